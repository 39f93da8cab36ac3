"""Attention: every query looks at all keys and takes the mean of their values, weighted by how well they fit."""

import math
from typing import Any

import numpy as np

from chainrule.fused import Fused, register

__all__: list[str] = []  # users call chainrule.functional.scaled_dot_product_attention


@register
@Fused
def scaled_dot_product_attention(xp: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, *,
                                 dropout_p: float = 0.0, random_key: Any = None, is_causal: bool = False,
                                 scale: float = 1.0, enable_gqa: bool = False) -> Any:
    """softmax(scale * query @ key.T + mask) @ value (Vaswani et al., "Attention is all you need", 2017).

    Hidden pairs get the score -inf, hence the weight 0. A query that sees no key gets zeros, and its gradients are
    zero: its weights are 0 / 1 instead of 0 / 0. What `attn_mask` or `is_causal` hide must be finite all the same
    (0 * NaN is NaN in a matrix product); what a kernel does with NaN there is not defined.

    query (..., L, E), key (..., S, E), value (..., S, D), attn_mask broadcasting to (..., L, S), bool (True: take part)
    or additive -> (..., L, D). random_key: of dropout's mask, see `chainrule.random`. enable_gqa: axis -3 of the query
    is a multiple of that of key and value, whose heads serve several query heads each (Ainslie et al. 2023).
    """
    if enable_gqa:
        key, value = repeat_heads(xp, key, query.shape[-3]), repeat_heads(xp, value, query.shape[-3])
    scores = xp.matmul(query * scale, key.mT)  # (..., L, E) @ (..., E, S) -> (..., L, S)
    if not scores.shape[-1]:
        return xp.matmul(scores, value)  # no keys: zeros
    if is_causal:  # query l sees the keys 0 … l
        seen = xp.constant(np.tri(*scores.shape[-2:], dtype=np.bool_), scores)
        scores = xp.where(seen, scores, -math.inf)
    if attn_mask is not None:
        scores = xp.where(attn_mask, scores, -math.inf) if attn_mask.dtype.kind == "b" else scores + attn_mask
    # exp(scores - top) / Σ exp(scores - top) is the same for any top; with the largest score nothing overflows
    top = xp.amax(xp.detach(scores), axis=-1, keepdims=True)
    weights = xp.exp(scores - xp.where(top == -math.inf, 0, top))
    total = xp.sum(weights, axis=-1, keepdims=True)
    weights = weights / xp.where(total == 0, 1, total)
    if dropout_p:
        grown = 1 / (1 - dropout_p) if dropout_p < 1 else 0.0  # so that the mean stays as it was
        weights = xp.dropout(weights, key=random_key, p=dropout_p, scale=grown, shape=weights.shape)
    return xp.matmul(weights, value)  # (..., L, S) @ (..., S, D) -> (..., L, D)


def repeat_heads(xp: Any, values: Any, heads: int) -> Any:
    """(..., h, S, E) -> (..., heads, S, E), each head as often as it takes, in turn: 0 0 1 1 2 2."""
    *lead, own, count, size = values.shape
    times = heads // own
    spread = xp.broadcast_to(xp.reshape(values, (*lead, own, 1, count, size)), (*lead, own, times, count, size))
    return xp.reshape(spread, (*lead, heads, count, size))
