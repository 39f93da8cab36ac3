"""Attention in blocks: scores are made, used and forgotten a block at a time, so that none of (L, S) is ever in memory.

Forward, a block of queries meets the keys block by block and keeps for each query the largest score so far, the sum of
exp(score - largest) and the weighted mean so far; where a larger score comes up, both are shrunk (Milakov &
Gimelshein 2018; Dao et al., "FlashAttention", 2022). What is kept for the backward pass is one number per query,
lse = log Σ exp(score): the weights are exp(score - lse), computed again.

Scores that causality hides are not computed where a whole block is hidden. Declined, and left to the definition:
dropout, the gradient of an additive mask, dtypes other than float32 and float64, sizes of zero.
"""

import math
from typing import Any

import numpy as np

from chainrule.kernels.cpu.blas import gemm
from chainrule.kernels.cpu.exponential import exp
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import declines

# Scores of one block: a block of queries times a block of keys, which stay in the second cache with their keys.
QUERIES, KEYS = 64, 128
LANES = 16  # running maxima of a row, side by side
# From this many multiplications on, threads share the work.
SHARED = 1 << 19


@jit
def _largest(line: Any, lanes: Any, least: Any) -> Any:
    """The largest element of a row, at least `least`; NaN is passed over (it shows in the sum).

    One running maximum would wait for itself at every element: the compiler may not reorder where NaN is possible.
    """
    blocks = line.size // LANES
    if blocks:
        for lane in range(np.uint64(LANES)):
            lanes[lane] = line[lane]
        for block in range(1, blocks):
            part = line[block * LANES : (block + 1) * LANES]
            for lane in range(np.uint64(LANES)):
                lanes[lane] = part[lane] if part[lane] > lanes[lane] else lanes[lane]
        for lane in range(np.uint64(LANES)):
            least = lanes[lane] if lanes[lane] > least else least
    for j in range(np.uint64(blocks * LANES), np.uint64(line.size)):
        least = line[j] if line[j] > least else least
    return least


@jit
def _exponentials(line: Any, shift: Any) -> Any:
    """line = exp(line - shift); returns its sum."""
    total = line.dtype.type(0)
    for j in range(np.uint64(line.size)):
        value = exp(line[j] - shift)
        line[j] = value
        total += value
    return total


@jit
def _scores(q: Any, k: Any, bias: Any, scale: float, causal: bool, top: int, left: int, s: Any) -> None:
    """s (rows, columns) = scale * q[top + i] . k[left + j] + bias, -inf where causality hides key from query."""
    rows, columns = s.shape
    size, hidden = q.shape[1], s.dtype.type(-math.inf)
    gemm(False, True, rows, columns, size, scale, q[top:], size, k[left:], size, 0.0, s, columns)
    for i in range(rows):
        line = s[i]
        if bias.size:
            added = bias[top + i if bias.shape[0] > 1 else 0, left : left + columns]
            for j in range(np.uint64(columns)):
                line[j] += added[j]
        if causal:
            for j in range(max(0, top + i + 1 - left), columns):
                line[j] = hidden


@tasks
def _forward(task: int, q: Any, k: Any, v: Any, serving: Any, bias: Any, biased: Any, scale: float, causal: bool, out: Any,
             lse: Any) -> None:
    """q (B, L, E), k (K, S, E), v (K, S, D) -> out (B, L, D), lse (B, L); serving (B,): which keys a batch entry uses.

    bias (M, L or 1, S), or without elements; biased (B,): which one an entry uses.
    """
    batch, length, _ = q.shape
    keys, width = v.shape[1], v.shape[2]
    blocks = (length + QUERIES - 1) // QUERIES
    zero, one, least = q.dtype.type(0), q.dtype.type(1), q.dtype.type(-math.inf)
    b, top = task // blocks, (blocks - 1 - task % blocks) * QUERIES  # the last see most keys: begin with them
    rows = min(QUERIES, length - top)
    end = min(keys, top + rows) if causal else keys
    own_k, own_v = k[serving[b]], v[serving[b]]
    own_bias = bias[biased[b]]
    sums, tops = np.zeros(rows, q.dtype), np.full(rows, least)
    lanes, buffer = np.empty(LANES, q.dtype), np.empty(rows * min(KEYS, keys), q.dtype)
    mean = out[b, top : top + rows]
    mean[:] = zero
    for left in range(0, end, KEYS):
        columns = min(KEYS, end - left)
        s = buffer[: rows * columns].reshape(rows, columns)
        _scores(q[b], own_k, own_bias, scale, causal, top, left, s)
        for i in range(rows):
            largest = _largest(s[i], lanes, tops[i])
            shift = zero if largest == least else largest
            shrink = exp(tops[i] - shift)
            tops[i] = largest
            sums[i] = sums[i] * shrink + _exponentials(s[i], shift)
            if left:
                line = mean[i]
                for j in range(np.uint64(width)):
                    line[j] *= shrink
        gemm(False, False, rows, width, columns, 1.0, s, columns, own_v[left:], width, 1.0, mean, width)
    for i in range(rows):
        line = mean[i]
        seeing = sums[i] != zero  # NaN too
        share = one / sums[i] if seeing else zero
        for j in range(np.uint64(width)):
            line[j] *= share
        lse[b, top + i] = tops[i] + np.log(sums[i]) if seeing else zero


@tasks
def _backward(task: int, g: Any, q: Any, k: Any, v: Any, order: Any, starts: Any, bias: Any, biased: Any, scale: float,
              causal: bool, out: Any, lse: Any, dq: Any, dk: Any, dv: Any) -> None:
    """dq, dk, dv, zeros on entry. One task for each entry of k: it serves the entries order[starts[task] …] of q."""
    length, size = q.shape[1], q.shape[2]
    keys, width = v.shape[1], v.shape[2]
    buffers = np.empty((2, min(QUERIES, length) * min(KEYS, keys)), q.dtype)
    delta = np.empty(QUERIES, q.dtype)
    for place in range(starts[task], starts[task + 1]):
        b = order[place]
        own_bias = bias[biased[b]]
        for top in range(0, length, QUERIES):
            rows = min(QUERIES, length - top)
            for i in range(rows):
                # Σ_j weight_j * (g . v_j) = g . out: what the softmax's derivative takes off every score's gradient
                total, given, mean = q.dtype.type(0), g[b, top + i], out[b, top + i]
                for j in range(np.uint64(width)):
                    total += given[j] * mean[j]
                delta[i] = total
            end = min(keys, top + rows) if causal else keys
            for left in range(0, end, KEYS):
                columns = min(KEYS, end - left)
                p = buffers[0, : rows * columns].reshape(rows, columns)
                d = buffers[1, : rows * columns].reshape(rows, columns)
                _scores(q[b], k[task], own_bias, scale, causal, top, left, p)
                gemm(False, True, rows, columns, width, 1.0, g[b, top:], width, v[task, left:], width, 0.0,
                     d, columns)
                for i in range(rows):
                    _exponentials(p[i], lse[b, top + i])
                    weights, line, less = p[i], d[i], delta[i]
                    for j in range(np.uint64(columns)):
                        line[j] = weights[j] * (line[j] - less)
                gemm(True, False, columns, width, rows, 1.0, p, columns, g[b, top:], width, 1.0,
                     dv[task, left:], width)
                gemm(False, False, rows, size, columns, scale, d, columns, k[task, left:], size, 1.0,
                     dq[b, top:], size)
                gemm(True, False, columns, size, rows, scale, d, columns, q[b, top:], size, 1.0,
                     dk[task, left:], size)


class _Layout:
    """How the leading axes of query, key, value and mask lie over each other, and flat versions of the arrays."""

    def __init__(self, query: Any, key: Any, value: Any, attn_mask: Any, enable_gqa: bool) -> None:
        self.served = np.broadcast_shapes(key.shape[:-2], value.shape[:-2])
        numbers = np.arange(math.prod(self.served)).reshape(self.served)
        if enable_gqa:
            numbers = np.repeat(numbers, query.shape[-3] // self.served[-1], axis=-1)
        self.lead = np.broadcast_shapes(query.shape[:-2], numbers.shape)
        self.serving = np.array(np.broadcast_to(numbers, self.lead), np.int64).reshape(-1)
        self.q = self.flat(query, self.lead)
        self.k, self.v = self.flat(key, self.served), self.flat(value, self.served)
        self.bias, self.biased = np.empty((1, 0, 0), query.dtype), np.zeros(self.serving.size, np.int64)
        if attn_mask is not None:
            if attn_mask.dtype.kind == "b":
                attn_mask = np.where(attn_mask, query.dtype.type(0), query.dtype.type(-math.inf))
            mask = attn_mask.reshape((1,) * (2 - attn_mask.ndim) + attn_mask.shape)
            own = mask.shape[:-2]
            rows = np.broadcast_to(mask, (*mask.shape[:-1], key.shape[-2]))
            self.bias = np.require(rows, requirements=["C", "W"]).reshape(-1, *rows.shape[-2:])
            numbers = np.arange(math.prod(own)).reshape(own)
            self.biased = np.array(np.broadcast_to(numbers, self.lead), np.int64).reshape(-1)

    @staticmethod
    def flat(x: Any, lead: Any) -> Any:
        """(..., m, n) -> (prod(lead), m, n), contiguous; leading axes that broadcast are written out."""
        if x.shape[:-2] != lead:
            x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
        # writable too: numba compiles anew for read-only arrays, and another compilation may round otherwise
        return np.require(x, requirements=["C", "W"]).reshape(-1, *x.shape[-2:])

    @staticmethod
    def gathered(g: Any, lead: Any, like: Any) -> Any:
        """The adjoint of `flat`: the gradients of what was written out several times, added up."""
        g = g.reshape(*lead, *g.shape[-2:])
        extra = g.ndim - like.ndim
        axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(like.shape) if n != g.shape[extra + i])
        return g.sum(axis=axes, keepdims=True).reshape(like.shape) if axes else g

    def run(self, kernel: Any) -> Any:
        """The kernel over threads, or on this thread alone where there is too little to share."""
        work = self.serving.size * self.q.shape[1] * self.k.shape[1] * (self.q.shape[2] + self.v.shape[2])
        return kernel if work >= SHARED else kernel.serial


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any, *, dropout_p: float,
                                 random_key: Any, is_causal: bool, scale: float, enable_gqa: bool) -> Any:
    """See `chainrule.ops.attention.scaled_dot_product_attention`. Keeps one number per query, the log of the sum of the
    scores' exponentials."""
    floats = None if attn_mask is None or attn_mask.dtype.kind == "b" else attn_mask
    if dropout_p or declines(query, key, value, floats) or not (query.size and key.size and value.size):
        return NotImplemented
    if enable_gqa and key.shape[-3] != value.shape[-3]:
        return NotImplemented
    own = _Layout(query, key, value, attn_mask, enable_gqa)
    out = np.empty((*own.q.shape[:2], own.v.shape[2]), query.dtype)
    lse = np.empty(own.q.shape[:2], query.dtype)
    blocks = -(-own.q.shape[1] // QUERIES)
    own.run(_forward)(len(own.q) * blocks, own.q, own.k, own.v, own.serving, own.bias, own.biased, scale, is_causal, out, lse)
    return out.reshape(*own.lead, *out.shape[1:]), {"lse": lse}


def scaled_dot_product_attention_grad(g: Any, query: Any, key: Any, value: Any, attn_mask: Any, out: Any, lse: Any,
                                      is_causal: bool, scale: float, enable_gqa: bool, wanted: Any) -> Any:
    """The gradients of query, key and value; declined where that of the mask is wanted too."""
    if wanted[3]:
        return NotImplemented
    own = _Layout(query, key, value, attn_mask, enable_gqa)
    dq, dk, dv = np.zeros_like(own.q), np.zeros_like(own.k), np.zeros_like(own.v)
    order = np.argsort(own.serving, kind="stable")
    starts = np.searchsorted(own.serving[order], np.arange(len(own.k) + 1))
    own.run(_backward)(len(own.k), own.flat(g, own.lead), own.q, own.k, own.v, order, starts, own.bias, own.biased, scale,
                       is_causal, own.flat(out, own.lead), lse, dq, dk, dv)
    return (own.gathered(dq, own.lead, query), own.gathered(dk, own.served, key), own.gathered(dv, own.served, value),
            None)
