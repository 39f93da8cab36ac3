"""Pooling in one and two spatial dimensions (taking maxima in any number), a task for each (image, channel) plane.

The functions are those of the reference (`chainrule.kernels.reference.pooling`), which also does what these do not:
three dimensions, dtypes other than float32 and float64, and sizes too small to be worth compiled code.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.planes import is_plane, pair, plane
from chainrule.kernels.reference.pooling import average_divisors, check_output, pooled_size
from chainrule.kernels.reference.windows import Sizes

# Inputs of fewer elements than this are left to NumPy.
SMALLEST = 1 << 11
# From this many on, threads share the work.
SHARED = 1 << 15


@jit
def _first_inside(start: int, step: int) -> int:
    """The first of 0, 1, 2 … for which start + that * step is not negative."""
    return 0 if start >= 0 else (step - 1 - start) // step


@tasks
def _max_indices(p: int, x: Any, index: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """index (P, OH, OW): the flat position in its plane of x (P, H, W) of each window's maximum, -1 where it sees nothing."""
    planes, height, width = x.shape
    out_height, out_width = index.shape[1], index.shape[2]
    for i in range(out_height):
        top = i * stride[0] - padding[0]
        for j in range(out_width):
            left = j * stride[1] - padding[1]
            begin = _first_inside(left, dilation[1])
            found = -1
            best = x.dtype.type(0)
            for kh in range(_first_inside(top, dilation[0]), kernel[0]):
                row = top + kh * dilation[0]
                if row >= height:
                    break
                for kw in range(begin, kernel[1]):
                    column = left + kw * dilation[1]
                    if column >= width:
                        break
                    value = x[p, row, column]
                    if found < 0 or value > best or np.isnan(value):
                        best = value
                        found = row * width + column
            index[p, i, j] = found


@tasks
def _sums(p: int, x: Any, y: Any, divisors: Any, kernel: Any, stride: Any, padding: Any) -> None:
    """y (P, OH, OW) = the sums of the windows of x (P, H, W), divided by divisors (OH, OW)."""
    planes, height, width = x.shape
    out_height, out_width = y.shape[1], y.shape[2]
    for i in range(out_height):
        top = i * stride[0] - padding[0]
        for j in range(out_width):
            left = j * stride[1] - padding[1]
            total = x.dtype.type(0)
            for row in range(max(top, 0), min(top + kernel[0], height)):
                for column in range(max(left, 0), min(left + kernel[1], width)):
                    total += x[p, row, column]
            y[p, i, j] = total / divisors[i, j]


@tasks
def _spread(p: int, g: Any, x: Any, divisors: Any, kernel: Any, stride: Any, padding: Any) -> None:
    """The adjoint of _sums: x (P, H, W) of zeros += every g / divisor over its window."""
    planes, height, width = x.shape
    out_height, out_width = g.shape[1], g.shape[2]
    for i in range(out_height):
        top = i * stride[0] - padding[0]
        for j in range(out_width):
            left = j * stride[1] - padding[1]
            each = g[p, i, j] / divisors[i, j]
            for row in range(max(top, 0), min(top + kernel[0], height)):
                for column in range(max(left, 0), min(left + kernel[1], width)):
                    x[p, row, column] += each


@tasks
def _take(p: int, x: Any, indices: Any, out: Any) -> None:
    """out (P, L) = of each plane x (P, S) the elements at its indices (P, L)."""
    for i in range(indices.shape[1]):
        out[p, i] = x[p, indices[p, i]]


@tasks
def _add(p: int, g: Any, indices: Any, out: Any) -> None:
    """The adjoint of _take: out (P, S) of zeros += every element of g (P, L) at its index (P, L)."""
    for i in range(indices.shape[1]):
        out[p, indices[p, i]] += g[p, i]


def _form(kernel: Any, array: Any) -> Any:
    """The kernel over threads, or on this thread alone where there is too little to share."""
    return kernel if array.size >= SHARED else kernel.serial


def _planes(array: Any) -> Any:
    """(N, C, W) or (N, C, H, W) -> (N * C, H, W)."""
    array = plane(array)
    return array.reshape(-1, *array.shape[2:])


def max_pool_indices(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """Where each window's maximum lies: x (N, C, *S) -> int64 (N, C, *out); see the reference.

    >>> x = np.array([[[1., 3, 2, 0]]])
    >>> max_pool_indices(x, kernel=(2,), stride=(2,), padding=(0,), dilation=(1,), ceil_mode=False)
    array([[[1, 2]]])
    """
    if x.size < SMALLEST or not is_plane(x):
        return reference.max_pool_indices(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                                          ceil_mode=ceil_mode)
    out = pooled_size("max_pool", x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    index = np.empty((x.shape[0] * x.shape[1], *pair(1, out)), np.int64)
    _form(_max_indices, x)(len(index), _planes(x), index, pair(1, kernel), pair(1, stride), pair(0, padding), pair(1, dilation))
    if max(dilation) > 1 and index.min() < 0:  # only a dilated window can step over the input
        raise ValueError(f"max_pool: a window of kernel {tuple(kernel)} with dilation {tuple(dilation)} and padding "
                         f"{tuple(padding)} sees nothing of an input of spatial size {tuple(x.shape[2:])}")
    return index.reshape(*x.shape[:2], *out)


def average_pool(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, count_include_pad: bool,
                 divisor: int | None) -> Any:
    """The mean of each window: x (N, C, *S) -> (N, C, *out); see the reference.

    >>> average_pool(np.array([[[1., 3, 2, 0]]]), kernel=(2,), stride=(2,), padding=(0,), ceil_mode=False,
    ...              count_include_pad=True, divisor=None)
    array([[[2., 1.]]])
    """
    if x.size < SMALLEST or not is_plane(x):
        return reference.average_pool(x, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                                      count_include_pad=count_include_pad, divisor=divisor)
    size, once = x.shape[2:], (1,) * len(kernel)
    out = pooled_size("average_pool", size, kernel, stride, padding, once, ceil_mode)
    divisors = average_divisors(size, kernel, stride, padding, out, count_include_pad, divisor)
    y = np.empty((x.shape[0] * x.shape[1], *pair(1, out)), x.dtype)
    _form(_sums, x)(len(y), _planes(x), y, divisors.astype(x.dtype).reshape(y.shape[1:]), pair(1, kernel), pair(1, stride),
                    pair(0, padding))
    return y.reshape(*x.shape[:2], *out)


def average_pool_transpose(g: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool,
                           count_include_pad: bool, divisor: int | None, size: Sizes) -> Any:
    """The adjoint of average_pool: g (N, C, *out) -> (N, C, *size); see the reference.

    >>> average_pool_transpose(np.array([[[2., 4.]]]), kernel=(2,), stride=(2,), padding=(0,), ceil_mode=False,
    ...                        count_include_pad=True, divisor=None, size=(5,))
    array([[[1., 1., 2., 2., 0.]]])
    """
    if g.size < SMALLEST or not is_plane(g):
        return reference.average_pool_transpose(g, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                                                count_include_pad=count_include_pad, divisor=divisor, size=size)
    out = pooled_size("average_pool_transpose", size, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    check_output("average_pool_transpose", g.shape[2:], out)
    divisors = average_divisors(size, kernel, stride, padding, out, count_include_pad, divisor)
    planes = _planes(g)
    x = np.zeros((planes.shape[0], *pair(1, size)), g.dtype)
    _form(_spread, x)(len(x), planes, x, divisors.astype(g.dtype).reshape(planes.shape[1:]), pair(1, kernel), pair(1, stride),
                      pair(0, padding))
    return x.reshape(*g.shape[:2], *size)


def _lines(array: Any) -> Any:
    """(N, C, *S) -> a C-contiguous (N * C, prod(S))."""
    return np.ascontiguousarray(array).reshape(prod(array.shape[:2]), prod(array.shape[2:]))


def _compiled(array: Any, indices: Any) -> bool:
    """Whether compiled code takes and adds such elements: enough of them, native, in float32 or float64."""
    return (indices.size >= SMALLEST // 4 and indices.dtype == np.int64 and array.dtype in (np.float32, np.float64)
            and array.dtype.isnative)


def take_from_planes(x: Any, indices: Any) -> Any:
    """The elements at flat positions of every plane: x (N, C, *S), indices (N, C, *out) -> (N, C, *out).

    >>> take_from_planes(np.array([[[1., 3, 2, 0]]]), np.array([[[1, 2, 1]]]))
    array([[[3., 2., 3.]]])
    """
    if not _compiled(x, indices) or not prod(x.shape[2:]):
        return reference.take_from_planes(x, indices)
    at = _lines(indices)
    out = np.empty(at.shape, x.dtype)
    _form(_take, x)(len(at), _lines(x), at, out)
    return out.reshape(indices.shape)


def add_to_planes(g: Any, indices: Any, *, size: Sizes) -> Any:
    """The adjoint of take_from_planes: g (N, C, *out) -> zeros (N, C, *size) with every g added; see the reference.

    >>> add_to_planes(np.array([[[1., 2, 30]]]), np.array([[[1, 2, 1]]]), size=(4,))
    array([[[ 0., 31.,  2.,  0.]]])
    """
    if not _compiled(g, indices):
        return reference.add_to_planes(g, indices, size=size)
    out = np.zeros((*g.shape[:2], *size), g.dtype)
    _form(_add, out)(prod(g.shape[:2]), _lines(g), _lines(indices), out.reshape(-1, prod(size)))
    return out
