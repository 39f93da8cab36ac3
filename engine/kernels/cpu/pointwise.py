"""Convolution with 1 × 1 kernels, stride 1 and no padding, and its adjoints: a matrix product for each image.

An image (C, P) lies in memory as a matrix, a channel in each row. So with the weight (O, C) nothing is copied or padded:

    y[n] = weight @ x[n],     dx[n] = weight.T @ dy[n],     dweight = Σ_n dy[n] @ x[n].T

A task is an image or, where there are few, a part of its positions; of the adjoint in the weight, a share of the images, or where
the weight is large a part of its longer side. How that is cut depends on the shapes alone.

Floor: the products at the processor's speed (blas.py).
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.cpu.blas import AVAILABLE, gemm
from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.sums import total

__all__ = ["pointwise", "pointwise_weight", "suits_pointwise"]

POSITIONS = 4  # images of fewer are left to direct.py, which works on several together
TERMS = 32
COLUMNS = 64  # positions that a part of an image has at least
TASKS = 8
SUMS = 1 << 20  # elements of all shares' sums together


def suits_pointwise(shape: Any, weight: Any, stride: Any, padding: Any, groups: int, terms: int, results: int) -> bool:
    """Whether a convolution of x of this shape by a weight of that one, or an adjoint, goes by products of images.

    `terms` says how many products a sum has, and `results` how many sums each of their factors is in: where both are channels, and
    few become many, it is the writing that takes time, for which BLAS, which writes zeros first, is not better with one thread
    and worse with two: 0.45 ms and 0.45 ms for (32, 16, 32, 64), and directly 0.51 and 0.30.

    Measured with one thread, float32, (N, C, H, O): GF/s by this file and by direct.py, of the convolution, of its adjoint in the
    input and of that in the weight.

        (8, 256, 14, 256)   237 187  230 187  225 165      (64, 64, 4, 64)   169  25  199  25  142  24
        (64, 64, 28, 64)    180 130  183 130  152 121      (64, 64, 2, 64)    97   7  110   7   74   7
        (32, 16, 32, 64)    153 138   92 114  123 127      (64, 3, 32, 64)    44  53   55  28   82  51
        (32, 1024, 7, 512)  188 169  171 191  194 151      (64, 4, 32, 4)     75  23   72  23   79  25
    """
    return (AVAILABLE and groups == 1 and {*weight[2:], *stride} == {1} and not any(padding) and prod(shape[2:]) >= POSITIONS
            and terms >= min(TERMS, results))


@tasks
def _apply(task: int, weight: Any, transposed: bool, x: Any, bias: Any, y: Any, parts: int) -> None:
    """y (N, O, P) = weight (O, C), or the transposed of (C, O), @ x (N, C, P), + bias (O,) if it has elements."""
    channels, positions, outputs = x.shape[1], x.shape[2], y.shape[1]
    n, part = task // parts, task % parts
    begin, end = part * positions // parts, (part + 1) * positions // parts
    source, target = x.reshape(-1)[n * channels * positions + begin:], y.reshape(-1)[n * outputs * positions + begin:]
    line = outputs if transposed else channels
    gemm(transposed, False, outputs, end - begin, channels, 1.0, weight, line, source, positions, 0.0, target, positions)
    for o in range(bias.size):
        row, shift = target[o * positions:], bias[o]
        for j in range(np.uint64(end - begin)):
            row[j] += shift


@tasks
def _correlate(task: int, left: Any, right: Any, sums: Any, parts: int) -> None:
    """sums (shares, L, R) = each share's part of Σ_n left[n] @ right[n].T, of left (N, L, P) and right (N, R, P)."""
    shares, rows, columns = sums.shape
    images, positions = left.shape[0], left.shape[2]
    share, part = task // parts, task % parts
    begin, end = part * rows // parts, (part + 1) * rows // parts
    first = share * images // shares
    for n in range(first, (share + 1) * images // shares):
        gemm(False, True, end - begin, columns, positions, 1.0, left[n, begin:], positions, right[n], positions,
             0.0 if n == first else 1.0, sums[share, begin:], columns)


@tasks
def _totals(o: int, y: Any, out: Any) -> None:
    """out (O,)[o] = Σ y (N, O, P)[:, o]."""
    images, outputs, positions = y.shape
    found = 0.0
    for n in range(images):
        found += total(y.reshape(-1), (n * outputs + o) * positions, positions)
    out[o] = found


def _flat(x: Any) -> Any:
    """(N, C, H, W) -> (N, C, P)."""
    return x.reshape(*x.shape[:2], -1)


def pointwise(x: Any, weight: Any, bias: Any, y: Any, adjoint: bool, serial: bool) -> None:
    """y (N, O, H, W) = the convolution of x (N, C, H, W) with weight (O, C, 1, 1), + bias (O,) if it has elements.

    If `adjoint`, of weight (C, O, 1, 1).
    """
    x, y = _flat(x), _flat(y)
    parts = max(1, min(-(-TASKS // len(x)), x.shape[2] // COLUMNS))
    (_apply.serial if serial else _apply)(len(x) * parts, weight.reshape(-1), adjoint, x, bias, y, parts)


def pointwise_weight(x: Any, y: Any, bias: bool, serial: bool) -> tuple[Any, Any]:
    """The adjoint in the weight at x (N, C, H, W) and y (N, O, H, W): (O, C, 1, 1); and if `bias`, y's sums (O,)."""
    x, y = _flat(x), _flat(y)
    swapped = x.shape[1] > y.shape[1]  # OpenBLAS is quicker with a tall result than with a wide one
    left, right = (x, y) if swapped else (y, x)
    rows, columns = left.shape[1], right.shape[1]
    shares = max(1, min(len(x), TASKS, SUMS // (rows * columns)))
    parts = min(-(-TASKS // shares), -(-rows // 16))
    sums = np.empty((shares, rows, columns), x.dtype)
    (_correlate.serial if serial else _correlate)(shares * parts, left, right, sums, parts)
    weight = sums.sum(0) if shares > 1 else sums[0]
    weight = np.ascontiguousarray(weight.T if swapped else weight)[:, :, None, None]
    if not bias:
        return weight, None
    totals = np.empty(y.shape[1], y.dtype)
    (_totals.serial if serial else _totals)(y.shape[1], y, totals)
    return weight, totals
