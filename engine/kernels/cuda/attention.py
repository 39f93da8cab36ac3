"""Attention by tiles on the device (attention.cu): float16 and bfloat16 by the tensor cores with sums in float32, and float32 by
multiply-adds.

Kept for the backward pass is one number a query, in base 2 the logarithm of the sum of its scores' exponentials. Inputs are read
where they lie, however their leading axes are spread, and masks are not copied; results lie as their inputs do, so that heads cut
out of one projection go back into one. No two blocks of threads add to the same number: the bits are the same every time. Declined,
and left to the definition: dropout, the gradient of an additive mask, float64, heads of more than 128 elements, sizes of zero;
and all where a device is older than sm_80 or has not the shared memory (float32 heads of more than 64 elements take 146 KB).
"""

import math
from functools import cache, lru_cache
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import served
from chainrule.kernels.cuda.launch import HALVES, Kernel

# Tiles of a kernel by the head's size, for 16-bit types and for float32: strips of 16 rows a warp, and columns of a tile. More
# strips use each number loaded from shared memory more often; a thread's 255 registers must hold them (with which two blocks of 128
# threads run on a multiprocessor at a time).
FORWARD = {"half": {32: (2, 64), 64: (2, 64), 96: (2, 32), 128: (2, 32)},
           "float": {32: (2, 32), 64: (2, 32), 96: (1, 32), 128: (1, 32)}}
BACKWARD = {"half": {32: (1, 64), 64: (1, 64), 96: (1, 32), 128: (1, 32)},
            "float": {32: (1, 32), 64: (1, 32), 96: (1, 32), 128: (1, 32)}}
WARPS = 4  # of a block

# `Call` of attention.cu; its numbers that are no distances are together here
_LAYOUT = np.dtype([("batch", np.int64), ("head", np.int64), ("row", np.int64)])
_SHAPE = np.dtype([*[(name, np.int32) for name in ("heads", "group", "queries", "keys", "size", "width")], ("scale", np.float32),
                   ("causal", np.int32)])
_CALL = np.dtype([*[(name, _LAYOUT) for name in ("q", "k", "v", "out", "g", "dq", "dk", "dv", "mask")], ("mask_column", np.int64),
                  ("shape", _SHAPE), ("wide", np.int32)], align=True)


def _instances(tiles: Any) -> list[tuple[Any, ...]]:
    return [(dtype, size, *tile) for dtype in ("float32", *HALVES)
            for size, tile in tiles["float" if dtype == "float32" else "half"].items()]


_forward = Kernel("attention.cu", "attention_forward", _instances(FORWARD))
_deltas = Kernel("attention.cu", "attention_deltas", [("float32",), *[(dtype,) for dtype in HALVES]])
_backward_keys = Kernel("attention.cu", "attention_backward_keys", _instances(BACKWARD))
_backward_queries = Kernel("attention.cu", "attention_backward_queries", _instances(BACKWARD))


@cache
def _room(device: int) -> int:
    """Bytes of shared memory that a block may have; none on a device that is older than the instructions of ptx.cuh."""
    found = cupy.cuda.Device(device)
    return int(found.attributes["MaxSharedMemoryPerBlockOptin"]) if int(found.compute_capability) >= 80 else 0


def _shared(tile: tuple[int, int], size: int, itemsize: int, copies: int) -> int:
    """Bytes of shared memory of a block with `copies` tiles of its rows and four of columns, two of them on their way."""
    strips, columns = tile
    height, numbers = WARPS * 16 * strips, 4 * columns  # (lse and delta of two tiles, in one of the kernels)
    scratch = height * (columns + 8) if itemsize == 4 else 0  # where in float32 the lanes of a warp exchange weights
    return (copies * height + 4 * columns) * (size * itemsize + 16) + 4 * (numbers + scratch)


@lru_cache(1024)
def _layout(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, lead: tuple[int, ...]) -> Any:
    """How an array (..., rows, columns) lies, its leading axes broadcast to `lead`: elements from one entry of the batch (all of
    the leading axes but the last) to the next, from one head, one row and one column; and whether all of these but the last are
    whole pieces of 16 bytes. None where entries do not lie at even distances."""
    if any(step % itemsize for step in strides):
        return None
    more = len(lead) + 2 - len(shape)
    shape, steps = (1,) * more + shape, (0,) * more + tuple(step // itemsize for step in strides)
    *outer, row, column = [0 if n == 1 else step for n, step in zip(shape, steps, strict=True)]
    head = outer.pop() if outer else 0
    batch, after = 0, 1  # the axes so far take `after` entries, `batch` elements apart
    for n, step in zip(lead[-2::-1], reversed(outer), strict=True):
        if n > 1 and after > 1 and step != batch * after:
            return None
        if n > 1:
            batch, after = (step if after == 1 else batch), after * n
    whole = 16 // itemsize
    return batch, head, row, column, not any(step % whole for step in (batch, head, row, shape[-1]))


def _placed(x: Any, lead: tuple[int, ...], spaced: bool) -> Any:
    """x and its layout, or a copy that has one. Columns must be next to each other unless `spaced`."""
    found = _layout(x.shape, x.strides, x.itemsize, lead)
    if found is None or not (spaced or found[3] == 1 or x.shape[-1] == 1):
        x = cupy.ascontiguousarray(cupy.broadcast_to(x, (*lead, *x.shape[-2:])))
        found = _layout(x.shape, x.strides, x.itemsize, lead)
    return x, found


def _start(x: Any) -> Any:
    """The first element of an array, which stands for the address of an array that is not contiguous."""
    return x[(0,) * (x.ndim - 1)][:1] if x.ndim and not x.flags.c_contiguous else x


def _lying_like(x: Any, lead: tuple[int, ...], rows: int, columns: int) -> Any:
    """An empty array (*lead, rows, columns); in memory the heads are inside of the rows where they are so in x."""
    if lead and x.ndim > 2 and x.strides[-3] < x.strides[-2]:
        return cupy.empty((*lead[:-1], rows, lead[-1], columns), x.dtype).swapaxes(-2, -3)
    return cupy.empty((*lead, rows, columns), x.dtype)


class _Problem:
    """What a call is about: how the leading axes lie over each other, and the structure that the kernels are given."""

    def __init__(self, query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float, enable_gqa: bool) -> None:
        own = np.broadcast_shapes(key.shape[:-2], value.shape[:-2])
        self.group = query.shape[-3] // own[-1] if enable_gqa else 1
        own = (*own[:-1], own[-1] * self.group) if enable_gqa else own
        self.lead = np.broadcast_shapes(query.shape[:-2], own)
        self.heads = self.lead[-1] if self.lead else 1
        self.entries = math.prod(self.lead)
        self.shared = (*self.lead[:-1], self.heads // self.group) if self.lead else ()  # the leading axes of key and value
        (self.queries, self.size), (self.keys, self.width) = query.shape[-2:], value.shape[-2:]
        self.dtype = query.dtype
        self.kind = "float" if query.dtype == np.float32 else "half"
        self.rounded = -(-max(self.size, self.width) // 32) * 32
        self.call = np.zeros((), _CALL)
        self.wide = True
        self.call["shape"] = (self.heads, self.group, self.queries, self.keys, self.size, self.width, scale, is_causal)
        self.arrays = [self.put("q", query, self.lead), self.put("k", key, self.shared), self.put("v", value, self.shared)]
        self.arrays += [None, None]  # the mask, of bools and of numbers
        if mask is not None:
            mask, (*steps, column, _) = _placed(mask.reshape((1,) * (2 - mask.ndim) + mask.shape), self.lead, spaced=True)
            self.call["mask"], self.call["mask_column"] = tuple(steps), column
            self.arrays[3 if mask.dtype == np.bool_ else 4] = _start(mask)

    def put(self, name: str, x: Any, lead: tuple[int, ...]) -> Any:
        """Enter x (..., rows, columns), with its leading axes broadcast to `lead`, or a copy. Returns what the kernel is given."""
        x, (*steps, _, whole) = _placed(x, lead, spaced=False)
        self.call[name] = tuple(steps)
        self.wide = self.wide and whole and x.data.ptr % 16 == 0
        return _start(x)

    def described(self) -> Any:
        """The structure, complete."""
        self.call["wide"] = self.wide
        return self.call[()]

    def run(self, kernel: Kernel, tiles: Any, entries: int, rows: int, copies: int, arguments: tuple[Any, ...]) -> None:
        """Launch a kernel with blocks of 64 strips of rows, of `entries` times `rows`; it has `copies` tiles of that many rows."""
        strips, columns = tiles[self.kind][self.rounded]
        kernel(self.dtype, self.rounded, strips, columns, grid=(-(-rows // (WARPS * 16 * strips)) * entries,), block=(32 * WARPS,),
               shared=_shared((strips, columns), self.rounded, self.dtype.itemsize, copies),
               arguments=(*arguments, self.described()))

    def fits(self) -> bool:
        """Whether the device can run the kernels."""
        return _room(cupy.cuda.runtime.getDevice()) >= max(
            _shared(tiles[self.kind][self.rounded], self.rounded, self.dtype.itemsize, copies)
            for tiles, copies in ((FORWARD, 1), (BACKWARD, 2)))


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any, *, dropout_p: float,
                                 random_key: Any, is_causal: bool, scale: float, enable_gqa: bool) -> Any:
    """See `chainrule.ops.attention.scaled_dot_product_attention`. Keeps log2 Σ 2^(score · log2 e) of every query."""
    numbers = None if attn_mask is None or attn_mask.dtype == np.bool_ else attn_mask
    if dropout_p or not served(query, key, value, numbers) or query.dtype == np.float64:
        return NotImplemented
    if not (query.size and key.size and value.size) or max(query.shape[-1], value.shape[-1]) > 128:
        return NotImplemented
    if enable_gqa and key.shape[-3] != value.shape[-3]:
        return NotImplemented
    problem = _Problem(query, key, value, attn_mask, is_causal, scale, enable_gqa)
    if not problem.fits():
        return NotImplemented
    out = _lying_like(query, problem.lead, problem.queries, problem.width)
    lse = cupy.empty((problem.entries, problem.queries), np.float32)
    target = problem.put("out", out, problem.lead)
    problem.run(_forward, FORWARD, problem.entries, problem.queries, 1, (*problem.arrays, target, lse))
    return out, {"lse": lse}


def scaled_dot_product_attention_grad(g: Any, query: Any, key: Any, value: Any, attn_mask: Any, out: Any, lse: Any,
                                      is_causal: bool, scale: float, enable_gqa: bool, wanted: Any) -> Any:
    """The gradients of query, key and value; declined where that of the mask is wanted too."""
    if wanted[3]:
        return NotImplemented
    problem = _Problem(query, key, value, attn_mask, is_causal, scale, enable_gqa)
    lead, shared, queries, keys = problem.lead, problem.shared, problem.queries, problem.keys
    gradient, result = problem.put("g", g, lead), problem.put("out", out, lead)
    # where leading axes are repeated, the gradients are first each apart
    slopes = [_lying_like(query, lead, queries, problem.size), _lying_like(key, shared, keys, problem.size),
              _lying_like(value, shared, keys, problem.width)]
    dq, dk, dv = (problem.put(name, x, own)
                  for name, x, own in zip(("dq", "dk", "dv"), slopes, (lead, shared, shared), strict=True))
    delta, rows = cupy.empty_like(lse), lse.size
    _deltas(problem.dtype, grid=(-(-rows // WARPS),), block=(32 * WARPS,),
            arguments=(gradient, result, delta, np.int64(rows), problem.described()))
    inputs = (*problem.arrays, gradient, lse, delta)
    if wanted[1] or wanted[2]:
        problem.run(_backward_keys, BACKWARD, problem.entries // problem.group, keys, 2, (*inputs, dk, dv))
    if wanted[0]:
        problem.run(_backward_queries, BACKWARD, problem.entries, queries, 2, (*inputs, dq))
    return *[_gathered(d, x.shape) if w else None for d, x, w in zip(slopes, (query, key, value), wanted, strict=False)], None


def _gathered(g: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: the gradients of what was read several times, added up."""
    lead = g.ndim - len(shape)
    axes = (*range(lead), *[lead + i for i, n in enumerate(shape) if n != g.shape[lead + i]])
    return g.sum(axis=axes).reshape(shape) if axes else g
