"""Scaled dot-product attention."""

import math
from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.names import ops
from chainrule.ops import attention as rows
from chainrule.random import key_of
from chainrule.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]

NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
                                 ) -> Tensor:
    """softmax(scale * query @ key.T + mask) @ value. Vaswani et al., "Attention is all you need", 2017.

    `query` (..., L, E), `key` (..., S, E), `value` (..., S, D); leading axes broadcast. `attn_mask` broadcasts to
    (..., L, S): bools, True where the query may see the key, or floats that are added to the scores. `is_causal`:
    query l sees the keys 0 to l (not together with attn_mask). `scale`: 1/sqrt(E) where not given. `dropout_p`: each
    weight becomes zero with this probability, the others grow by 1/(1 - dropout_p); always, also in evaluation, as in
    torch. `enable_gqa`: axis -3 of the query may be a multiple of that of key and value, whose heads are then shared.

    Returns (..., L, D). A query that sees no key gets zeros, with gradients of zero. Raises ShapeError where shapes do
    not fit, DtypeError for a mask of integers, ValueError for dropout_p outside 0 to 1, or a mask beside is_causal.

    >>> import chainrule as cr
    >>> keys = cr.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(keys, keys, cr.tensor([[1.0], [3.0]]), is_causal=True, scale=0.0)
    tensor([[1.],
            [2.]])
    """
    query, key, value = ops.as_tensor(query), ops.as_tensor(key), ops.as_tensor(value)
    for name, t in (("query", query), ("key", key), ("value", value)):
        if t.ndim < 2 + enable_gqa:
            axes = "(..., heads, length, features)" if enable_gqa else "(..., length, features)"
            raise ShapeError(f"{NAME}: the {name} must have the axes {axes}, it is {describe(t)}")
        if t.dtype.kind not in FLOATING:
            raise DtypeError(f"{NAME}: the {name} must be of floats, it is {describe(t)}; convert it with .float()")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{NAME}: dropout_p={dropout_p} is a probability, from 0 to 1")
    if attn_mask is not None:
        if is_causal:
            raise ValueError(f"{NAME}: attn_mask and is_causal=True exclude each other; put that part into the mask")
        attn_mask = ops.as_tensor(attn_mask)
        if attn_mask.dtype.kind not in FLOATING + "b":
            raise DtypeError(f"{NAME}: attn_mask is {attn_mask.dtype}; it must be bools (True: take part) or "
                             "floats to add")
    _check_shapes(query, key, value, attn_mask, enable_gqa)
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    random_key = key_of(None) if dropout_p else None
    out: Tensor = rows.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p=float(dropout_p), random_key=random_key, is_causal=bool(is_causal),
        scale=scale, enable_gqa=bool(enable_gqa))
    return out


def _check_shapes(query: Any, key: Any, value: Any, attn_mask: Any, enable_gqa: bool) -> None:
    """ShapeError where queries, keys, values and the mask do not fit together."""
    shapes = f"query {describe(query)}, key {describe(key)}, value {describe(value)}"
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"{NAME}: {shapes}: query and key must agree in the last axis, their features")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"{NAME}: {shapes}: key and value must agree in the axis -2, each key has one value")
    leads = [query.shape[:-2], key.shape[:-2], value.shape[:-2]]
    if enable_gqa:
        heads = query.shape[-3]
        for name, t in (("key", key), ("value", value)):
            if not t.shape[-3] or heads % t.shape[-3]:
                raise ShapeError(f"{NAME}: {shapes}: with enable_gqa the query's {heads} heads (axis -3) must be a "
                                 f"multiple of the {name}'s {t.shape[-3]}")
        leads[1:] = [(*lead[:-1], heads) for lead in leads[1:]]
    try:
        lead = np.broadcast_shapes(*leads)
    except ValueError:
        advice = "" if enable_gqa or query.ndim < 3 else "; for heads shared by several queries pass enable_gqa=True"
        raise ShapeError(f"{NAME}: {shapes}: the leading axes do not broadcast{advice}") from None
    if attn_mask is not None:
        full = (*lead, query.shape[-2], key.shape[-2])
        try:
            fits = np.broadcast_shapes(attn_mask.shape, full) == full
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{NAME}: {shapes}: attn_mask {describe(attn_mask)} must broadcast to {full}, (..., L, S)")
