"""Sums and means over the threads, more accurate than NumPy's: down the columns of a matrix, along its rows, of everything.

NumPy adds down the columns row after row in the arrays' own type, so that the error grows with the number of rows; here at
most DEPTH rows are added up before they go into float64. Along rows and for the whole, sums.py. The error is some units in
the last place of Σ|x|. Below SHARED elements, over other axes and for other dtypes than float32 and float64 NumPy serves.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import FLOATS, flat, pieces
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.sums import DEPTH, empty_into, total
from chainrule.kernels.reference import reductions as reference

# From this many elements on compiled code is quicker than NumPy: along rows and for the whole, and down columns.
SHARED, TALL = 1 << 14, 1 << 17
NARROW = 1024  # rows of fewer elements are too short for a loop of their own
WIDTH = 1 << 11  # columns of a task: their sums stay in the first cache


@jit.tasks
def _columns(task: int, x: Any, sums: Any, cuts: int) -> None:
    """sums (slabs, n): the sums down the columns of x (R · n), for each slab of the rows; the columns are cut in `cuts`."""
    slabs, n = sums.shape
    rows, slab, cut = x.size // n, task // cuts, task % cuts
    left, right = cut * n // cuts, (cut + 1) * n // cuts
    near, far = np.zeros(right - left, x.dtype), sums[slab, left:right]
    far[:] = 0
    top, bottom = slab * rows // slabs, (slab + 1) * rows // slabs
    for row in range(top, bottom):
        first = np.uint64(row * n + left)
        for j in range(np.uint64(near.size)):
            near[j] += x[first + j]
        if (row - top) % DEPTH == DEPTH - 1:
            empty_into(near, far)
    empty_into(near, far)


@jit.tasks
def _lines(task: int, x: Any, out: Any, tasks: int) -> None:
    """out (R): the sums along the rows of x (R · n)."""
    rows = out.size
    n = x.size // rows
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        out[row] = total(x, row * n, n)


@jit.tasks
def _parts(task: int, x: Any, sums: Any) -> None:
    """sums[task]: the sum of one of as many parts of x (n)."""
    begin, end = task * x.size // sums.size, (task + 1) * x.size // sums.size
    sums[task] = total(x, begin, end - begin)


def sum_rows(x: Any) -> Any:
    """The sum of the rows of a matrix (R, n), float32 or float64 -> (n,)."""
    rows, n = x.shape
    if x.size < TALL:
        return np.add.reduce(x, 0)
    if n < NARROW and rows >= NARROW and x.flags.carray:  # several rows as one wide one, whose sums are then added up
        height = -(-NARROW // n)
        whole = rows // height * height
        sums = sum_rows(x[:whole].reshape(-1, height * n)).reshape(height, n)
        return np.add.reduce(np.concatenate([sums, x[whole:]]), 0, np.float64).astype(x.dtype)
    cuts, slabs = -(-n // WIDTH), max(1, min(16, x.size >> 15, rows))
    sums = np.empty((slabs, n))
    _columns(slabs * cuts, flat(x), sums, cuts)
    out = empty(n, x.dtype)
    out[:] = np.add.reduce(sums, 0)
    return out


def _sum_lines(x: Any, rows: int) -> Any:
    """The sums of `rows` stretches of equal length of x -> (rows,)."""
    if rows == 1:
        sums = np.empty(pieces(x.size, 16, 1 << 15))
        _parts(sums.size, flat(x), sums)
        return np.add.reduce(sums, keepdims=True).astype(x.dtype)
    out, count = empty(rows, x.dtype), pieces(x.size, rows)
    _lines(count, flat(x), out, count)
    return out


def sum(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over `axis`; bools and small integers accumulate in int64."""
    if x.size < SHARED or x.dtype not in FLOATS or not x.flags.c_contiguous or axis == ():
        return reference.sum(x, axis=axis, keepdims=keepdims)
    axes = range(x.ndim) if axis is None else sorted([a % x.ndim for a in (axis if axis.__class__ is tuple else (axis,))])
    kept = tuple([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])
    if axes[-1] - axes[0] == len(axes) - 1:
        if axes[-1] == x.ndim - 1:  # the last ones: along rows
            return _sum_lines(x, prod(x.shape[: axes[0]])).reshape(kept)
        if axes[0] == 0:  # the first ones: down columns
            return sum_rows(x.reshape(-1, prod(x.shape[len(axes) :]))).reshape(kept)
    return reference.sum(x, axis=axis, keepdims=keepdims)


def mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over `axis`; NaN for no elements."""
    if x.size < SHARED or x.dtype not in FLOATS:
        return reference.mean(x, axis=axis, keepdims=keepdims)
    found = sum(x, axis=axis, keepdims=keepdims)
    found /= x.size // found.size
    return found
