"""softmax, log_softmax and their derivatives along the last axis: a row is swept while it is in the cache.

Sums of a row are accumulated as in sums.py. Below CURVED elements, along other axes and for other dtypes than float32 and
float64 NumPy serves (for a derivative, the row's formula).
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import alike, flat, pieces
from chainrule.kernels.cpu.exponential import exp
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.sums import BLOCK, NEAR, largest, total
from chainrule.kernels.reference import reductions as reference

# From this many elements on compiled code is quicker than NumPy.
CURVED = 1 << 7


@jit.tasks
def _softmax(task: int, x: Any, out: Any, rows: int, tasks: int) -> None:
    """x and out (rows · n)."""
    n, real = x.size // rows, x.dtype.type
    near, end = max(1, NEAR // n), (task + 1) * rows // tasks
    tops, shares = np.empty(near, x.dtype), np.empty(near, x.dtype)
    for begin in range(task * rows // tasks, end, near):
        past = min(begin + near, end)
        for row in range(begin, past):
            tops[row - begin] = largest(x, row * n, n)
        for row in range(begin, past):
            found, top = 0.0, tops[row - begin]
            for left in range(0, n, BLOCK):
                at, part = np.uint64(row * n + left), real(0)
                for j in range(np.uint64(min(BLOCK, n - left))):
                    value = exp(x[at + j] - top)
                    out[at + j] = value
                    part += value
                found += part
            shares[row - begin] = real(1 / found)
        for row in range(begin, past):
            first, share = np.uint64(row * n), shares[row - begin]
            for j in range(np.uint64(n)):
                out[first + j] *= share


@jit.tasks
def _log_softmax(task: int, x: Any, out: Any, rows: int, tasks: int) -> None:
    """x and out (rows · n)."""
    n, real = x.size // rows, x.dtype.type
    near, end = max(1, NEAR // n), (task + 1) * rows // tasks
    logs = np.empty(near, x.dtype)
    for begin in range(task * rows // tasks, end, near):
        past = min(begin + near, end)
        for row in range(begin, past):
            first, top = np.uint64(row * n), largest(x, row * n, n)
            for j in range(np.uint64(n)):  # in memory, so that it is not taken for x - (top + log), which would lose log's digits
                out[first + j] = x[first + j] - top
        for row in range(begin, past):
            found = 0.0
            for left in range(0, n, BLOCK):
                at, part = np.uint64(row * n + left), real(0)
                for j in range(np.uint64(min(BLOCK, n - left))):
                    part += exp(out[at + j])
                found += part
            logs[row - begin] = real(np.log(found))
        for row in range(begin, past):
            first, log = np.uint64(row * n), logs[row - begin]
            for j in range(np.uint64(n)):
                out[first + j] -= log


@jit.tasks
def _softmax_grad(task: int, g: Any, out: Any, dx: Any, rows: int, tasks: int) -> None:
    """dx = out · (g - Σ g · out)."""
    n, real = g.size // rows, g.dtype.type
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        first, found = np.uint64(row * n), 0.0
        for left in range(0, n, BLOCK):
            at, part = first + np.uint64(left), real(0)
            for j in range(np.uint64(min(BLOCK, n - left))):
                part += g[at + j] * out[at + j]
            found += part
        mean = real(found)
        for j in range(np.uint64(n)):
            dx[first + j] = out[first + j] * (g[first + j] - mean)


@jit.tasks
def _log_softmax_grad(task: int, g: Any, out: Any, dx: Any, rows: int, tasks: int) -> None:
    """dx = g - exp(out) · Σ g."""
    n = g.size // rows
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        first, found = np.uint64(row * n), g.dtype.type(total(g, row * n, n))
        for j in range(np.uint64(n)):
            dx[first + j] = g[first + j] - exp(out[first + j]) * found


def _takes(axis: int, *arrays: Any) -> bool:
    return axis in (-1, arrays[0].ndim - 1) and alike(max(CURVED, 1), *arrays)


def _by_rows(kernel: Any, *arrays: Any) -> Any:
    """The kernel's result over the rows of arrays of one shape."""
    shape = arrays[0].shape
    out, rows = empty(shape, arrays[0].dtype), arrays[0].size // shape[-1]
    count = pieces(out.size, rows)
    kernel(count, *[flat(a) for a in arrays], out.reshape(-1), rows, count)
    return out


def softmax(x: Any, *, axis: int) -> Any:
    """exp(x) over its sum along axis; NaN where all are -inf."""
    return _by_rows(_softmax, x) if _takes(axis, x) else reference.softmax(x, axis=axis)


def softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """out * (g - Σ g * out)."""
    return (_by_rows(_softmax_grad, g, out),) if _takes(axis, g, out) else NotImplemented


def log_softmax(x: Any, *, axis: int) -> Any:
    """x - logsumexp(x) along axis; NaN where all are -inf."""
    return _by_rows(_log_softmax, x) if _takes(axis, x) else reference.log_softmax(x, axis=axis)


def log_softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """g - exp(out) * Σ g."""
    return (_by_rows(_log_softmax_grad, g, out),) if _takes(axis, g, out) else NotImplemented
