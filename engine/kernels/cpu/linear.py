"""The affine map of a layer, y = x @ weight.T + bias, and its gradients: one kernel for all three products.

A kernel that does not do what it is asked (dtypes other than float32 and float64, no BLAS) returns NotImplemented, and
the op's definition is run.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.blas import AVAILABLE, gemm
from chainrule.kernels.cpu.jit import tasks

# A task has at least this many multiplications, and a product at most this many tasks.
TASK, TASKS = 1 << 18, 16
# Products of fewer multiplications than this are left to NumPy: there is nothing to share between two threads.
SMALLEST = 2 * TASK


@tasks
def _product(task: int, a: Any, b: Any, bias: Any, out: Any, transpose_a: bool, transpose_b: bool, tasks: int) -> None:
    """out (M, N) = op(a) @ op(b) + bias, cut along its longer side; bias (N,), or of no elements for none."""
    rows, columns = out.shape
    inner = a.shape[0] if transpose_a else a.shape[1]
    beta = 1.0 if bias.size > 0 else 0.0
    tall = rows >= columns
    side = rows if tall else columns
    begin, end = task * side // tasks, (task + 1) * side // tasks
    top, left = (begin, 0) if tall else (0, begin)
    height, width = (end - begin, columns) if tall else (rows, end - begin)
    if bias.size > 0:
        for i in range(top, top + height):
            line, shift = out[i], np.uint64(left)
            for j in range(np.uint64(width)):  # unsigned positions are vectorised (see convolution.py)
                line[shift + j] = bias[shift + j]
    # op(a)'s rows `top …` begin at row `top` of a, or at its column where a is transposed; b alike.
    first = a[:, top:] if transpose_a else a[top:]
    second = b[left:] if transpose_b else b[:, left:]
    gemm(transpose_a, transpose_b, height, width, inner, 1.0, first, a.shape[1], second, b.shape[1],
         beta, out[top:, left:], columns)


def _multiply(a: Any, b: Any, bias: Any = None, *, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """op(a) @ op(b) + bias, by NumPy where it is small; a and b are matrices of one dtype."""
    rows, inner = (a.shape[1], a.shape[0]) if transpose_a else a.shape
    columns = b.shape[0] if transpose_b else b.shape[1]
    work = rows * inner * columns
    if work < SMALLEST:
        out = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
        return out if bias is None else np.add(out, bias, out=out)
    out = np.empty((rows, columns), a.dtype)
    tasks = max(1, min(TASKS, work // TASK, max(rows, columns)))
    _product(tasks, np.ascontiguousarray(a), np.ascontiguousarray(b), np.empty(0, a.dtype) if bias is None else
             np.ascontiguousarray(bias), out, transpose_a, transpose_b, tasks)
    return out


def _declines(*arrays: Any) -> bool:
    first = arrays[0].dtype
    return (not AVAILABLE or first not in (np.float32, np.float64) or not first.isnative
            or any(array is not None and array.dtype != first for array in arrays))


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """x (*lead, in) @ weight (out, in).T + bias (out,) or None -> (*lead, out).

    ValueError where x and weight do not fit together.

    >>> linear(np.array([[1., 2.]]), np.array([[1., 0.], [3., 4.], [0., 1.]]), np.array([0., 0., 10.]))
    array([[ 1., 11., 12.]])
    """
    if _declines(x, weight, bias):
        return NotImplemented
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x of shape {x.shape} has {x.shape[-1]} features, but the weight of shape "
                         f"{weight.shape} (out, in) takes {weight.shape[1]}")
    lead, (outputs, inputs) = x.shape[:-1], weight.shape
    return _multiply(_rows(x, inputs), weight, bias, transpose_b=True).reshape(*lead, outputs)


def linear_grad(g: Any, x: Any, weight: Any, bias: Any, wanted: tuple[bool, bool, bool]) -> Any:
    """The gradients (x, weight, bias) of <g, linear(x, weight, bias)>, g (*lead, out); None where not wanted.

    >>> x, weight = np.array([[1., 2.]]), np.array([[1., 0.], [3., 4.]])
    >>> linear_grad(np.array([[1., 1.]]), x, weight, None, (True, True, False))
    (array([[4., 4.]]), array([[1., 2.],
           [1., 2.]]), None)
    """
    if _declines(g, x, weight):
        return NotImplemented
    outputs, inputs = weight.shape
    rows = _rows(g, outputs)
    return (_multiply(rows, weight).reshape(x.shape) if wanted[0] else None,
            _multiply(rows, _rows(x, inputs), transpose_a=True) if wanted[1] else None,
            rows.sum(0) if wanted[2] and bias is not None else None)


def _rows(array: Any, features: int) -> Any:
    """(*lead, features) -> (prod(lead), features), also where an extent is zero."""
    count = 1
    for size in array.shape[:-1]:
        count *= size
    return array.reshape(count, features)
