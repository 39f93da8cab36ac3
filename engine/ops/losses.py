"""Losses that are rows of the table or fused ops; those that are compositions stand in `functional/losses*.py`."""

from typing import Any

import numpy as np

from chainrule.fused import fused, register
from chainrule.graph import Op
from chainrule.ops.half import narrow, widen

__all__: list[str] = []


def _slope(xp: Any, g: Any, input: Any, target: Any) -> Any:
    """(x - t) / (x (1 - x)), the denominator kept from 0 as torch's."""
    least = 1e-12 if input.dtype != np.float16 else 6e-8
    return g * (input - target) / xp.maximum(input * (1 - input), least)


def _target_slope(xp: Any, g: Any, input: Any) -> Any:
    """log(1 - x) - log x, kept finite at 0 and 1."""
    least = float(np.finfo(input.dtype).tiny)
    return g * (xp.log(xp.maximum(1 - input, least)) - xp.log(xp.maximum(input, least)))


binary_cross_entropy = Op("binary_cross_entropy", "-(t log x + (1 - t) log(1 - x)), each logarithm at least -100.",
                          word="elementwise", input=_slope, target=_target_slope)


def reduced(xp: Any, loss: Any, reduction: str) -> Any:
    """The mean of the elements, their sum, or (none) the elements."""
    return xp.mean(loss, axis=None) if reduction == "mean" else xp.sum(loss, axis=None) if reduction == "sum" else loss


def nll(xp: Any, log_probabilities: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float,
        reduction: str) -> Any:
    """Minus the log probability of the target class: (M, C) and (M,) give (M,), or () reduced.

    ℓ_m = -w[t_m] logp[m, t_m], and 0 where t_m is ignore_index; the mean divides by the sum of the w[t_m] that count.
    With smoothing ε: (1 - ε) ℓ_m - ε/C Σ_c w_c logp[m, c].
    """
    rows, classes = log_probabilities.shape
    dtype = log_probabilities.dtype
    counts = target != ignore_index
    index = xp.where(counts, target, 0)
    share = xp.astype(counts, dtype) if weight is None else xp.where(counts, xp.getitem(weight, index=index), 0)  # (M,)
    if rows == 0:
        picked = xp.sum(log_probabilities, axis=1)
    else:
        picked = xp.getitem(log_probabilities, index=(xp.arange(rows), index))
    # `where` rather than a product: an ignored row may be infinite
    loss = -xp.where(counts, picked, 0) * share
    if label_smoothing:
        weighted = log_probabilities if weight is None else log_probabilities * weight
        uniform = -xp.where(counts, xp.sum(weighted, axis=1), 0)
        loss = (1 - label_smoothing) * loss + (label_smoothing / classes) * uniform
    if reduction == "mean":
        return xp.sum(loss, axis=None) / xp.sum(share, axis=None)
    return xp.sum(loss, axis=None) if reduction == "sum" else loss


@register
@fused
def cross_entropy(xp: Any, input: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float,
                  reduction: str) -> Any:
    """-log softmax(input)[target] of logits (M, C) and class indices (M,), reduced as `nll` says; weight (C,) or None.

    The target lies within 0 … C - 1 or is ignore_index (the caller has checked).
    """
    logits = widen(xp, input)
    loss = nll(xp, xp.log_softmax(logits, axis=1), target, widen(xp, weight), ignore_index=ignore_index,
               label_smoothing=label_smoothing, reduction=reduction)
    return narrow(xp, loss, input.dtype)
