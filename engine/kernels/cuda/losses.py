"""Cross-entropy and squared errors in one pass each way (losses.cu); sums over rows and blocks are made by a second launch.

No class index is looked at by the host, which would have to wait for the device: a target that is no class gives NaN, in its row's
loss and gradient (and so in a mean), and is never an address. Declined: the gradient of the class weights, what is no float.
"""

from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import PACKS, THREADS, blocks, like, number, row_blocks, served, wide, width
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.cuda.sums import add_parts

_EACH = instances(FLOATS + HALVES)
_rows = Kernel("losses.cu", "cross_entropy_rows", PACKS)
_rows_grad = Kernel("losses.cu", "cross_entropy_rows_grad", PACKS)
_reduce = Kernel("losses.cu", "reduce_losses", _EACH)
_differences = Kernel("losses.cu", "squared_differences", _EACH)
_differences_grad = Kernel("losses.cu", "squared_differences_grad", _EACH)

MOST_BLOCKS = 1024  # whose sums are then added up


def cross_entropy(input: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float, reduction: str) -> Any:
    """The loss of logits (M, C) and classes (M,); keeps a row's maximum and its sum of exponentials."""
    if not served(input, weight) or not input.size:
        return NotImplemented
    x, weight, classes = contiguous(input), contiguous(weight), contiguous(target.astype(np.int64, copy=False))
    (rows, n), dtype = x.shape, x.dtype
    tops, sums, losses, shares = (cupy.empty(rows, wide(dtype)) for _ in range(4))
    pack = width(n, x)
    grid, block = row_blocks(rows, n, pack)
    _rows(dtype, pack, grid=grid, block=block, arguments=(x, classes, weight, tops, sums, losses, shares, rows, n,
                                                          np.int64(ignore_index), number(label_smoothing, dtype)))
    if reduction == "none":
        return losses.astype(dtype, copy=False), {"tops": tops, "sums": sums, "total": None}
    loss, total = cupy.empty((), dtype), cupy.empty((), tops.dtype)
    _reduce(dtype, grid=(1,), block=(1024,), arguments=(losses, shares, loss, total, rows, reduction == "mean"))
    return loss, {"tops": tops, "sums": sums, "total": total}


def cross_entropy_grad(g: Any, input: Any, target: Any, weight: Any, tops: Any, sums: Any, total: Any, ignore_index: int,
                       label_smoothing: float, wanted: Any) -> Any:
    """The gradient of <g, loss> by the logits."""
    if wanted[2] or not served(g, input):
        return NotImplemented
    x, weight, classes = contiguous(input), contiguous(weight), contiguous(target.astype(np.int64, copy=False))
    (rows, n), dx = x.shape, like(input)
    weights = None if weight is None or not label_smoothing else cupy.sum(weight.astype(tops.dtype, copy=False))
    pack = width(n, x)
    grid, block = row_blocks(rows, n, pack)
    _rows_grad(x.dtype, pack, grid=grid, block=block, arguments=(
        contiguous(g), x, classes, weight, weights, tops, sums, total, dx, rows, n, np.int64(ignore_index),
        number(label_smoothing, x.dtype)))
    return dx, None, None


def squared_error(input: Any, target: Any, *, reduction: str) -> Any:
    """The mean or the sum of (input - target)²."""
    if not served(input, target) or input.shape != target.shape or not input.size:
        return NotImplemented
    a, b, dtype = contiguous(input), contiguous(target), input.dtype
    count = min(MOST_BLOCKS, *blocks(a.size, 16 // dtype.itemsize))
    parts, loss = cupy.empty(count, wide(dtype)), cupy.empty((), dtype)
    _differences(dtype, grid=(count,), block=(THREADS,), arguments=(a, b, parts, np.int64(a.size)))
    return add_parts(parts, loss, a.size if reduction == "mean" else 1)


def squared_error_grad(g: Any, input: Any, target: Any, reduction: str, wanted: tuple[bool, bool]) -> Any:
    """The gradients of <g, loss> by the input and the target: ±2 g (input - target), divided by the count for a mean."""
    if not served(g, input):
        return NotImplemented
    a, b, dtype = contiguous(input), contiguous(target), input.dtype
    da, db = (like(input) if w else None for w in wanted)
    _differences_grad(dtype, grid=blocks(a.size, 16 // dtype.itemsize), block=(THREADS,), arguments=(
        contiguous(g), a, b, da, db, np.int64(a.size), number(2 / a.size if reduction == "mean" else 2, dtype)))
    return da, db
