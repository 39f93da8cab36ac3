"""Additive attention, the first there was: scores by a small network instead of by a dot product."""

import math
from typing import Any

from chainrule.errors import ShapeError, describe
from chainrule.layers.linear import Linear
from chainrule.layers.module import Module
from chainrule.names import ops
from chainrule.state import check
from chainrule.tensor import Tensor

__all__ = ["AdditiveAttention"]


class AdditiveAttention(Module):
    """How much does the query look at each key? e_t = v · tanh(W q + b + U k_t), a = softmax(e), context = Σ_t a_t k_t.

    Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and translate". torch has no
    such layer. Parameters: `query.weight` W (hidden_size, query_size), `query.bias` b, `key.weight` U (hidden_size,
    key_size), `score.weight` v (1, hidden_size), which start as those of `Linear`.

    `attention(query, keys, lengths=None, projected=None)` with query (N, query_size), keys (N, T, key_size) returns
    context (N, key_size) and the weights a (N, T). With several queries (N, S, query_size) both have S after N.
    `lengths` (N) integers: keys from there on get the weight 0. `projected` (N, T, hidden_size) is `attention.key(keys)`,
    for who asks about the same keys many times. Raises ShapeError where shapes do not fit, or a length is not from 1
    to T.

    >>> import chainrule as cr
    >>> context, weights = AdditiveAttention(4, 6, 8)(cr.ones(2, 4), cr.ones(2, 3, 6), lengths=[3, 1])
    >>> context.shape, weights[1].tolist()
    ((2, 6), [1.0, 0.0, 0.0])
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int, device: Any = None, dtype: Any = None) -> None:
        self.query = Linear(query_size, hidden_size, device=device, dtype=dtype)
        self.key = Linear(key_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.score = Linear(hidden_size, 1, bias=False, device=device, dtype=dtype)

    def forward(self, query: Any, keys: Any, lengths: Any = None, projected: Any = None) -> tuple[Tensor, Tensor]:
        """query (N, [S,] query_size), keys (N, T, key_size) -> context (N, [S,] key_size), weights (N, [S,] T)."""
        query, keys = ops.as_tensor(query), ops.as_tensor(keys)
        if keys.ndim != 3 or query.ndim not in (2, 3) or len(query) != len(keys):
            raise ShapeError("AdditiveAttention: query (N, query_size) or (N, S, query_size) and keys (N, T, key_size), "
                             f"got {describe(query)} and {describe(keys)}")
        single = query.ndim == 2
        queries = query.unsqueeze(1) if single else query
        projected = self.key(keys) if projected is None else projected
        # (N, S, 1, hidden) + (N, 1, T, hidden) -> (N, S, T, hidden) -> (N, S, T)
        scores = self.score(ops.tanh(self.query(queries).unsqueeze(2) + projected.unsqueeze(1))).squeeze(-1)
        if lengths is not None:
            scores = scores.masked_fill(beyond(lengths, *keys.shape[:2]).unsqueeze(1), -math.inf)
        weights = ops.softmax(scores, dim=-1)
        context = weights @ keys  # (N, S, T) @ (N, T, key_size)
        return (context.squeeze(1), weights.squeeze(1)) if single else (context, weights)


def beyond(lengths: Any, count: int, steps: int) -> Tensor:
    """Where the T steps of N sequences are past their lengths: bool (N, T)."""
    lengths = ops.as_tensor(lengths)
    if lengths.shape != (count,):
        raise ShapeError(f"AdditiveAttention: lengths must be of shape ({count},), one for each sequence of keys, got "
                         f"{describe(lengths)}")
    check(_check_lengths, lengths, count, steps)
    past: Tensor = ops.arange(steps, device=lengths.device) >= lengths.unsqueeze(1)
    return past


def _check_lengths(lengths: Any, count: int, steps: int) -> None:
    """ShapeError where a length is not one of 1 … steps."""
    if count and not (lengths.min() >= 1 and lengths.max() <= steps):
        raise ShapeError(f"AdditiveAttention: lengths are {count} numbers from 1 to {steps}, one for each sequence of "
                         f"keys, got {describe(lengths)} with values {lengths.tolist()}")
