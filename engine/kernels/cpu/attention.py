"""Attention in blocks: scores are made, used and forgotten a block at a time, so that none of (L, S) is ever in memory.

Forward, a block of queries meets the keys block by block and keeps for each query the largest score so far, the sum of
exp(score - largest) and the weighted mean so far; where a larger score comes up, both are shrunk (Milakov &
Gimelshein 2018; Dao et al., "FlashAttention", 2022). What is kept for the backward pass is one number per query,
lse = log Σ exp(score): the weights are exp(score - lse), computed again.

A block of scores lies with a row for each *key*. So the maxima and sums over the keys run along memory for all queries at
once, and with the block of queries turned once, all products are of the two forms that OpenBLAS computes without packing
(a @ b and a.T @ b, up to a million multiplications, at 250 GF/s a core; a @ b.T runs at 175).

Scores that causality hides are not computed, but for triangles of DIAGONAL keys. Inputs are read where they lie, and results
lie as their inputs do: heads cut out of one projection are not copied. Declined, and left to the definition: dropout, the gradient
of an additive mask, dtypes other than float32 and float64, sizes of zero.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.kernels.cpu.addresses import data, part
from chainrule.kernels.cpu.blas import gemm
from chainrule.kernels.cpu.exponential import exp
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import LIKE, declines
from chainrule.kernels.cpu.memory import empty

# Scores of one block, which stay in the second cache with their keys; and keys of a block on the diagonal.
QUERIES, KEYS, DIAGONAL = 128, 64, 32
# From this many multiplications on, threads share the work.
SHARED = 1 << 19
# Backward, a task is one entry of the keys; where these are fewer than PARTS, it is some of its keys, at least LEAST.
PARTS, LEAST = 4, 128

# The plan of a call: for each array its id, the distance of its rows, and where each entry of the batch begins.
Q, K, V, OUT, LSE, MASK, G, DQ, DK, DV, ORDER, STARTS, ROWS = range(13)
NO_MASK, BOOLS, FLOATS = range(3)
OCTETS = np.empty(0, np.uint8)


@jit
def _row(plan: Any, which: int, entry: int, row: int, columns: int, like: Any) -> Any:
    """The `columns` elements from the given row of an entry of one of the arrays on."""
    begin = plan[which, 2 + entry] + row * plan[which, 1]
    return part(data(plan[which, 0]), begin, begin + columns, like)


@jit
def _turned(plan: Any, which: int, entry: int, top: int, rows: int, factor: Any, out: Any) -> None:
    """out (columns, rows) = factor times the transpose of rows top, top + 1, … of an array."""
    columns = out.size // rows
    for i in range(rows):
        line = _row(plan, which, entry, top + i, columns, out)
        for j in range(columns):
            out[j * rows + i] = line[j] * factor


@jit
def _scores(plan: Any, entry: int, turned: Any, size: int, kind: int, causal: bool, top: int, first: int, rows: int, left: int,
            columns: int, s: Any) -> None:
    """s[j, i] (columns, rows) = k[left + j] . q[top + i] + mask for queries i ≥ first, -inf where the key is hidden.

    turned (size, rows): the queries, times the scale.
    """
    hidden = s.dtype.type(-math.inf)
    gemm(False, False, columns, rows - first, size, 1.0, _row(plan, K, entry, left, size, s), plan[K, 1], turned[first:], rows,
         0.0, s[first:], rows)
    if kind != NO_MASK:
        alike = plan[MASK, 1] == 1  # the mask has one row for all queries
        for j in range(columns):
            line = s[j * rows : (j + 1) * rows]
            if kind == BOOLS:
                sees = _row(plan, MASK, entry, left + j, 1 if alike else top + rows, OCTETS)
                if alike:
                    if not sees[0]:
                        line[first:] = hidden
                else:
                    sees = sees[top:]
                    for i in range(np.uint64(first), np.uint64(rows)):
                        line[i] = line[i] if sees[i] else hidden
            else:
                added = _row(plan, MASK, entry, left + j, 1 if alike else top + rows, s)
                if alike:
                    for i in range(np.uint64(first), np.uint64(rows)):
                        line[i] += added[0]
                else:
                    added = added[top:]
                    for i in range(np.uint64(first), np.uint64(rows)):
                        line[i] += added[i]
    if causal:
        for j in range(columns):
            for i in range(first, min(rows, left + j - top)):
                s[j * rows + i] = hidden


@jit
def _block(causal: bool, top: int, left: int, end: int) -> tuple[int, int]:
    """(columns, first): how many keys the block at `left` has, and the first of the queries from `top` on that sees any of them."""
    if not causal:
        return min(KEYS, end - left), 0
    columns = min(KEYS if left + KEYS <= top else DIAGONAL, end - left)
    return columns, max(0, left - top)


@tasks
def _forward(task: int, plan: Any, length: int, keys: int, size: int, width: int, scale: float, kind: int, causal: bool,
             like: Any) -> None:
    """q (B, L, E), k (B, S, E), v (B, S, D) -> out (B, L, D), lse (B, L). A task: a block of queries of one entry of B."""
    blocks = (length + QUERIES - 1) // QUERIES
    real = like.dtype.type
    zero, one, least = real(0), real(1), real(-math.inf)
    b, top = task // blocks, (blocks - 1 - task % blocks) * QUERIES  # the last see most keys: begin with them
    rows = min(QUERIES, length - top)
    end = min(keys, top + rows) if causal else keys
    turned, scores = np.empty(size * rows, like.dtype), np.empty(rows * KEYS, like.dtype)
    sums, tops, largest, shift = (np.zeros(rows, like.dtype), np.empty(rows, like.dtype), np.empty(rows, like.dtype),
                                  np.empty(rows, like.dtype))
    tops[:] = least
    _turned(plan, Q, b, top, rows, real(scale), turned)
    left = 0
    while left < end:
        columns, first = _block(causal, top, left, end)
        _scores(plan, b, turned, size, kind, causal, top, first, rows, left, columns, scores)
        for i in range(np.uint64(rows)):
            largest[i] = tops[i]
        for j in range(columns):
            line = scores[j * rows : (j + 1) * rows]
            for i in range(np.uint64(first), np.uint64(rows)):  # a NaN is passed over here; it shows in the sum
                largest[i] = line[i] if line[i] > largest[i] else largest[i]
        for i in range(np.uint64(first), np.uint64(rows)):
            shift[i] = zero if largest[i] == least else largest[i]
        for i in range(first, rows):
            if largest[i] != tops[i] and left:
                shrink = exp(tops[i] - shift[i])
                sums[i] *= shrink
                line = _row(plan, OUT, b, top + i, width, like)
                for j in range(np.uint64(width)):
                    line[j] *= shrink
        for i in range(np.uint64(rows)):
            tops[i] = largest[i]
        for j in range(columns):
            line = scores[j * rows : (j + 1) * rows]
            for i in range(np.uint64(first), np.uint64(rows)):
                line[i] = exp(line[i] - shift[i])
            for i in range(np.uint64(first), np.uint64(rows)):
                sums[i] += line[i]
        gemm(True, False, rows - first, width, columns, 1.0, scores[first:], rows, _row(plan, V, b, left, 1, like), plan[V, 1],
             1.0 if left else 0.0,
             _row(plan, OUT, b, top + first, 1, like), plan[OUT, 1])
        left += columns
    lse = _row(plan, LSE, b, top, rows, like)
    for i in range(rows):
        line = _row(plan, OUT, b, top + i, width, like)
        seeing = sums[i] != zero  # NaN too
        share = one / sums[i] if seeing else zero
        for j in range(np.uint64(width)):
            line[j] *= share
        lse[i] = tops[i] + np.log(sums[i]) if seeing else zero


@tasks
def _backward(task: int, plan: Any, batch: int, parts: int, length: int, keys: int, size: int, width: int, scale: float,
              kind: int, causal: bool, like: Any) -> None:
    """dq, dk, dv. A task: a part of the keys of one entry of them, for all entries of q that these keys serve.

    dq has `parts` layers, to be added up.
    """
    group, piece = task // parts, task % parts
    begin, end = piece * keys // parts // KEYS * KEYS, (piece + 1) * keys // parts // KEYS * KEYS
    end = keys if piece + 1 == parts else end
    real = like.dtype.type
    zero, one = real(0), real(1)
    most = min(QUERIES, length)
    q_turned, g_turned = np.empty(size * most, like.dtype), np.empty(width * most, like.dtype)
    weights, slopes, delta = np.empty(most * KEYS, like.dtype), np.empty(most * KEYS, like.dtype), np.empty(most, like.dtype)
    for j in range(begin, end):
        _row(plan, DK, group, j, size, like)[:] = zero
        _row(plan, DV, group, j, width, like)[:] = zero
    for place in range(plan[STARTS, 2 + group], plan[STARTS, 3 + group]):
        b = plan[ORDER, 2 + place]
        for top in range(0, length, QUERIES):
            rows = min(QUERIES, length - top)
            lse = _row(plan, LSE, b, top, rows, like)
            for i in range(rows):
                # Σ_j weight_j * (g . v_j) = g . out: what the softmax's derivative takes off every score's gradient
                given, mean = _row(plan, G, b, top + i, width, like), _row(plan, OUT, b, top + i, width, like)
                total = zero
                for j in range(np.uint64(width)):
                    total += given[j] * mean[j]
                delta[i] = total
                _row(plan, DQ, piece * batch + b, top + i, size, like)[:] = zero
            _turned(plan, Q, b, top, rows, real(scale), q_turned[: size * rows])
            _turned(plan, G, b, top, rows, one, g_turned[: width * rows])
            left, last = begin, min(end, top + rows) if causal else end
            while left < last:
                columns, first = _block(causal, top, left, last)
                seen = rows - first
                _scores(plan, b, q_turned, size, kind, causal, top, first, rows, left, columns, weights)
                gemm(False, False, columns, seen, width, 1.0, _row(plan, V, b, left, 1, like), plan[V, 1], g_turned[first:], rows,
                     0.0, slopes[first:], rows)
                for j in range(columns):
                    share, line = weights[j * rows : (j + 1) * rows], slopes[j * rows : (j + 1) * rows]
                    for i in range(np.uint64(first), np.uint64(rows)):
                        share[i] = exp(share[i] - lse[i])
                    for i in range(np.uint64(first), np.uint64(rows)):
                        line[i] = share[i] * (line[i] - delta[i])
                gemm(False, False, columns, width, seen, 1.0, weights[first:], rows,
                     _row(plan, G, b, top + first, 1, like), plan[G, 1], 1.0, _row(plan, DV, group, left, 1, like), plan[DV, 1])
                gemm(False, False, columns, size, seen, scale, slopes[first:], rows,
                     _row(plan, Q, b, top + first, 1, like), plan[Q, 1], 1.0, _row(plan, DK, group, left, 1, like), plan[DK, 1])
                gemm(True, False, seen, size, columns, scale, slopes[first:], rows, _row(plan, K, b, left, 1, like), plan[K, 1],
                     1.0, _row(plan, DQ, piece * batch + b, top + first, 1, like), plan[DQ, 1])
                left += columns


class _Entries:
    """How the leading axes of query, key and value lie over each other."""

    def __init__(self, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], enable_gqa: bool) -> None:
        self.served = np.broadcast_shapes(key, value)
        numbers = np.arange(math.prod(self.served)).reshape(self.served)
        if enable_gqa:
            numbers = np.repeat(numbers, query[-1] // self.served[-1], axis=-1)
        self.lead = np.broadcast_shapes(query, numbers.shape)
        self.serving = np.broadcast_to(numbers, self.lead).reshape(-1)  # the entry of the keys that an entry of q uses
        self.batch, self.groups = self.serving.size, math.prod(self.served)
        self.order = np.argsort(self.serving, kind="stable")  # the entries of q, those of one entry of the keys together
        self.starts = np.searchsorted(self.serving[self.order], np.arange(self.groups + 1))


entries_of = lru_cache(256)(_Entries)


@lru_cache(1024)
def _places(shape: tuple[int, ...], strides: tuple[int, ...], lead: tuple[int, ...]) -> Any:
    """Where each entry of the leading axes begins, in units of the strides, the axes broadcast to `lead`."""
    total: Any = np.zeros((1,) * len(shape), np.int64)
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        total = total + (np.arange(n) * stride).reshape((n,) + (1,) * (len(shape) - axis - 1))
    return np.broadcast_to(total, lead).reshape(-1)


def _readable(x: Any) -> Any:
    """x, or a copy where its rows do not lie as BLAS reads them."""
    size, columns = x.itemsize, x.shape[-1]
    if x.flags.c_contiguous or ((x.strides[-1] == size or columns == 1) and not any(step % size for step in x.strides)
                                and (x.strides[-2] >= columns * size or x.shape[-2] == 1)):
        return x
    return np.ascontiguousarray(x)


@lru_cache(1024)
def _memory_order(strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The axes from the one with the longest steps to that with the shortest, and the way back; None for plain C order."""
    order = tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))
    if min(strides) <= 0 or order[-1] != len(strides) - 1:
        return None
    return order, tuple(order.index(axis) for axis in range(len(strides)))


def _lying_like(x: Any, shape: tuple[int, ...]) -> Any:
    """An empty array whose axes lie in memory in the order of those of x."""
    found = None if x.flags.c_contiguous or x.ndim != len(shape) else _memory_order(x.strides)
    if found is None:
        return empty(shape, x.dtype)
    return empty(tuple(shape[axis] for axis in found[0]), x.dtype).transpose(found[1])


def _turned_mask(mask: Any, keys: int, like: Any) -> Any:
    """(..., L or 1, S or 1) -> (..., S, L or 1), in C order; without elements where there is no mask."""
    if mask is None:
        return np.empty(0, like.dtype)
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape).swapaxes(-1, -2)
    return np.ascontiguousarray(np.broadcast_to(mask, (*mask.shape[:-2], keys, mask.shape[-1])))


class _Plan:
    """The table of a call's arrays, which it holds."""

    def __init__(self, entries: Any, columns: int) -> None:
        self.entries = entries
        self.held: list[Any] = []
        self.rows = np.zeros((ROWS, 2 + columns), np.int64)

    def put(self, which: int, x: Any, lead: tuple[int, ...], pick: Any = None) -> None:
        """Enter x (*own, n, m), whose leading axes broadcast to `lead`, of which the entries `pick` are used in turn."""
        row, size = self.rows[which], x.itemsize
        places = _places(x.shape[:-2], x.strides[:-2], lead)
        places = places if pick is None else places[pick]
        row[0], row[1] = id(x), x.shape[-1] if x.shape[-2] == 1 else x.strides[-2] // size
        np.floor_divide(places, size, out=row[2 : 2 + places.size])
        self.held.append(x)

    def put_inputs(self, query: Any, key: Any, value: Any, mask: Any) -> int:
        """Enter query, key, value and the turned mask; says of which kind the mask is."""
        entries = self.entries
        self.put(Q, _readable(query), entries.lead)
        self.put(K, _readable(key), entries.served, entries.serving)
        self.put(V, _readable(value), entries.served, entries.serving)
        if not mask.size:
            return NO_MASK
        self.put(MASK, mask, entries.lead)
        return BOOLS if mask.dtype.kind == "b" else FLOATS

    def work(self, query: Any, value: Any) -> int:
        """Multiplications of the forward pass, more or less."""
        return int(self.entries.batch * query.shape[-2] * value.shape[-2] * (query.shape[-1] + value.shape[-1]))


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any, *, dropout_p: float,
                                 random_key: Any, is_causal: bool, scale: float, enable_gqa: bool) -> Any:
    """See `chainrule.ops.attention.scaled_dot_product_attention`. Keeps one number per query, the log of the sum of the
    scores' exponentials, and a copy of the mask that lies as the scores do."""
    floats = None if attn_mask is None or attn_mask.dtype.kind == "b" else attn_mask
    if dropout_p or declines(query, key, value, floats) or not (query.size and key.size and value.size):
        return NotImplemented
    if enable_gqa and key.shape[-3] != value.shape[-3]:
        return NotImplemented
    entries = entries_of(query.shape[:-2], key.shape[:-2], value.shape[:-2], enable_gqa)
    (length, size), (keys, width) = query.shape[-2:], value.shape[-2:]
    plan = _Plan(entries, entries.batch)
    turned_mask = _turned_mask(attn_mask, keys, query)
    kind = plan.put_inputs(query, key, value, turned_mask)
    out = _lying_like(query, (*entries.lead, length, width))
    lse = empty((entries.batch, length, 1), query.dtype)
    plan.put(OUT, out, entries.lead)
    plan.put(LSE, lse, (entries.batch,))
    blocks = -(-length // QUERIES)
    run = _forward if plan.work(query, value) >= SHARED else _forward.serial
    run(entries.batch * blocks, plan.rows, length, keys, size, width, scale, kind, is_causal, LIKE[query.dtype])
    return out, {"lse": lse, "turned_mask": turned_mask}


def scaled_dot_product_attention_grad(g: Any, query: Any, key: Any, value: Any, out: Any, lse: Any, turned_mask: Any,
                                      is_causal: bool, scale: float, enable_gqa: bool, wanted: Any) -> Any:
    """The gradients of query, key and value; declined where that of the mask is wanted too."""
    if wanted[3]:
        return NotImplemented
    entries = entries_of(query.shape[:-2], key.shape[:-2], value.shape[:-2], enable_gqa)
    (length, size), (keys, width) = query.shape[-2:], value.shape[-2:]
    lead, served = entries.lead, entries.served
    parts = max(1, min(-(-PARTS // entries.groups), keys // LEAST))
    plan = _Plan(entries, max(parts * entries.batch, entries.groups + 1))
    kind = plan.put_inputs(query, key, value, turned_mask)
    for which, x in ((G, _readable(g)), (OUT, _readable(out))):
        plan.put(which, x, lead)
    plan.put(LSE, lse, (entries.batch,))
    # with leading axes that are repeated or parts that are added up: first each apart
    for_query = empty((parts, *lead, length, size), g.dtype) if parts > 1 else _lying_like(query, (*lead, length, size))
    for_key, for_value = _lying_like(key, (*served, keys, size)), _lying_like(value, (*served, keys, width))
    plan.put(DQ, for_query, for_query.shape[:-2])
    plan.put(DK, for_key, served)
    plan.put(DV, for_value, served)
    plan.rows[ORDER, 2 : 2 + entries.batch], plan.rows[STARTS, 2 : 3 + entries.groups] = entries.order, entries.starts
    run = _backward if plan.work(query, value) >= SHARED else _backward.serial
    run(entries.groups * parts, plan.rows, entries.batch, parts, length, keys, size, width, scale, kind, is_causal,
        LIKE[query.dtype])
    if parts > 1:
        for_query = for_query.sum(0)
    return (_gathered(for_query, query), _gathered(for_key, key), _gathered(for_value, value), None)


def _gathered(g: Any, like: Any) -> Any:
    """The adjoint of broadcasting: the gradients of what was read several times, added up."""
    if g.shape == like.shape:
        return g
    extra = g.ndim - like.ndim
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(like.shape) if n != g.shape[extra + i])
    return g.sum(axis=axes, keepdims=True).reshape(like.shape)
