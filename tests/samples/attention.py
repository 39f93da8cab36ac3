"""Samples of chainrule.functional.attention."""

from typing import Any

import numpy as np

from tests.samples.table import Sample, mask, normal, sample


def row(label: str, *args: Any, **options: Any) -> Sample:
    """A row of scaled_dot_product_attention."""
    return sample("functional.scaled_dot_product_attention", *args, label=label, **options)


def inputs(length: int = 3, keys: int = 4, lead: tuple[int, ...] = (2,), heads: tuple[int, ...] = ()) -> Any:
    """query (..., length, 2), key (..., keys, 2), value (..., keys, 3)."""
    return normal(*lead, length, 2), normal(*(heads or lead), keys, 2), normal(*(heads or lead), keys, 3)


UNSEEING = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]], bool)  # query 1 sees no key
KEYS = np.array([[[[1, 1, 0, 1]]], [[[1, 0, 0, 0]]]], bool)  # which keys are there, for each of two sequences

SAMPLES = [
    row("plain", *inputs()),
    row("matrices", *inputs(lead=())),
    row("heads", *inputs(lead=(2, 2))),
    row("broadcast", normal(2, 1, 3, 2), normal(2, 4, 2), normal(2, 1, 4, 3)),
    row("scale", *inputs(), scale=0.3),
    row("causal", *inputs(4, 4), is_causal=True),
    row("causal-wide", *inputs(3, 5), is_causal=True),
    row("causal-tall", *inputs(5, 3), is_causal=True),
    row("bool-mask", *inputs(), attn_mask=mask(2, 3, 4)),
    row("key-mask", *inputs(lead=(2, 2)), attn_mask=KEYS),
    row("unseeing-row", *inputs(), attn_mask=UNSEEING),
    row("additive-mask", *inputs(), attn_mask=normal(2, 3, 4)),
    row("additive-mask-broadcast", *inputs(), attn_mask=normal(3, 1)),
    row("shared-heads", *inputs(lead=(2, 4), heads=(2, 2)), enable_gqa=True),
    row("shared-heads-causal", *inputs(lead=(4,), heads=(1,)), enable_gqa=True, is_causal=True),
    row("one", *inputs(1, 1)),
    row("no-queries", *inputs(0, 4)),
    row("no-batch", *inputs(lead=(0,))),
    # one key has weight 1 whatever the scores, or 0 where dropout took it: with p = 1 always, and all is zero
    row("dropout-all", *inputs(), dropout_p=1.0),
]
