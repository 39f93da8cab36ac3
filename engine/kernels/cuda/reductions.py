"""Sums and means over the first and the last axes: along rows, down columns, of everything, and of channels (sums.py).

Float arrays that lie in one piece; sums of fewer than SHORT elements along rows, other axes and other dtypes are CuPy's.
"""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import served
from chainrule.kernels.cuda.sums import sum_into

SHORT = 32  # elements of a row, for which a warp would be too many threads


def parted(shape: tuple[int, ...], axis: Any) -> tuple[int, int, int] | None:
    """The shape as (samples, channels, positions) of which the first and last are summed over; None where that is not possible.

    >>> parted((2, 3, 4, 5), (0, 2, 3)), parted((2, 3), 1), parted((2, 3), -2), parted((2, 3), None), parted((2, 3, 4), 1)
    ((2, 3, 20), (1, 2, 3), (2, 3, 1), (1, 1, 6), None)
    """
    n = len(shape)
    axes = range(n) if axis is None else {a % n for a in (axis if isinstance(axis, tuple) else (axis,))}
    if len(axes) == n:
        return 1, 1, prod(shape)
    first = next(i for i in range(n) if i not in axes)
    last = next(i for i in range(n, 0, -1) if i - 1 not in axes)
    return (prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])) if len(axes) == first + n - last else None


def _summed(x: Any, axis: Any, keepdims: bool, mean: bool) -> Any:
    """The sum or the mean, or NotImplemented."""
    parts = parted(x.shape, axis) if served(x) and axis != () and x.size and x.flags.c_contiguous else None
    if parts is None or parts[0] * parts[2] < SHORT and parts[2] > 1:
        return NotImplemented
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    shape = tuple([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])
    return sum_into(cupy.empty(shape, x.dtype), x, *parts, parts[0] * parts[2] if mean else 1)


def sum(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over `axis`; bools and small integers accumulate in int64."""
    found = _summed(x, axis, keepdims, False)
    return definitions.find("sum")(x, axis=axis, keepdims=keepdims) if found is NotImplemented else found


def mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over `axis`; NaN for no elements."""
    found = _summed(x, axis, keepdims, True)
    return definitions.find("mean")(x, axis=axis, keepdims=keepdims) if found is NotImplemented else found
