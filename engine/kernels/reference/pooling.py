"""Pooling, and windows as columns, in any number of spatial dimensions.

Maximum pooling is told apart into choosing and taking: `max_pool_indices` says where each window's maximum lies, and the
values are then taken by index, whose derivative is known. Average pooling and unfold are linear; each has its adjoint.
"""

from itertools import product
from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.reference.windows import (
    Sizes,
    accumulator,
    add_windows,
    extent,
    gather_windows,
    interior,
    output_size,
    taps,
)

__all__ = ["adaptive_max_pool_indices", "add_to_planes", "average_pool", "average_pool_transpose", "fold", "max_pool_indices",
           "take_from_planes", "unfold"]


def pooled_size(name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                ceil_mode: bool) -> tuple[int, ...]:
    """The spatial size of a pooling's output; a ValueError where a window could lie in the padding alone."""
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ValueError(f"{name}: padding {tuple(padding)} is more than half of the kernel {tuple(kernel)} with "
                             f"dilation {tuple(dilation)}; a window would see nothing but padding")
    return output_size(name, size, kernel, stride, padding, dilation, ceil_mode)


def max_pool_indices(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """Where each window's maximum lies: x (N, C, *S) -> int64 (N, C, *out), flat positions in the spatial extent.

    Of equal maxima the first counts; a NaN counts as a maximum, the last one of a window, as in torch. Padding is never
    chosen. A complex x is compared by its real part.
    ValueError where the kernel does not fit, or a window holds no element of x.

    >>> x = np.array([[[1., 3, 2, 0]]])
    >>> max_pool_indices(x, kernel=(2,), stride=(2,), padding=(0,), dilation=(1,), ceil_mode=False)
    array([[[1, 2]]])
    """
    x = x.real if np.iscomplexobj(x) else x
    lead, size = x.shape[:2], x.shape[2:]
    out = pooled_size("max_pool", size, kernel, stride, padding, dilation, ceil_mode)
    padded = np.zeros(lead + extent(size, kernel, stride, padding, dilation, out), x.dtype)
    padded[interior(size, padding)] = x
    # Every padded place's flat position in x, and -1 in the padding.
    place = np.full(padded.shape[2:], -1, np.int64)
    place[interior(size, padding)] = np.arange(prod(size), dtype=np.int64).reshape(size)
    best = np.zeros((*lead, *out), x.dtype)
    index = np.full((*lead, *out), -1, np.int64)
    for _, seen in taps(kernel, stride, dilation, out):
        value, at = padded[seen], np.broadcast_to(place[seen], index.shape)
        better = (at >= 0) & ((index < 0) | (value > best) | np.isnan(value))
        best = np.where(better, value, best)
        index = np.where(better, at, index)
    if index.size and index.min() < 0:
        raise ValueError(f"max_pool: a window of kernel {tuple(kernel)} with dilation {tuple(dilation)} and padding "
                         f"{tuple(padding)} sees nothing of an input of spatial size {tuple(size)}")
    return index


def adaptive_windows(size: int, out: int) -> list[tuple[int, int]]:
    """Where each of `out` windows that divide an axis evenly begins and ends; they overlap where `out` does not divide it.

    >>> adaptive_windows(5, 3)
    [(0, 2), (1, 4), (3, 5)]
    """
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def adaptive_max_pool_indices(x: Any, *, out: Sizes) -> Any:
    """As max_pool_indices, for the windows of adaptive_windows along each axis: x (N, C, *S) -> int64 (N, C, *out).

    >>> adaptive_max_pool_indices(np.array([[[1., 3, 2, 0, 4]]]), out=(2,))
    array([[[1, 4]]])
    """
    x = x.real if np.iscomplexobj(x) else x
    size = x.shape[2:]
    index: Any = np.empty((*x.shape[:2], *out), np.int64)
    bounds = [adaptive_windows(s, o) for s, o in zip(size, out, strict=True)]
    place: Any = np.arange(prod(size), dtype=np.int64).reshape(size)
    for at in product(*map(range, out)):
        window: Any = (..., *(slice(*bounds[axis][i]) for axis, i in enumerate(at)))
        values = x[window].reshape(*x.shape[:2], -1)
        nans = np.isnan(values)
        # argmax gives the first of equal maxima; where there are NaN, the last one counts
        best = np.where(nans.any(-1), values.shape[-1] - 1 - nans[..., ::-1].argmax(-1), values.argmax(-1))
        index[(..., *at)] = place[window].reshape(-1)[best]
    return index


def take_from_planes(x: Any, indices: Any) -> Any:
    """The elements at flat positions of every plane: x (N, C, *S), indices (N, C, *out) -> (N, C, *out).

    >>> take_from_planes(np.array([[[1., 3, 2, 0]]]), np.array([[[1, 2, 1]]]))
    array([[[3., 2., 3.]]])
    """
    lead = x.shape[:2]
    flat = indices.reshape(*lead, prod(indices.shape[2:]))
    return np.take_along_axis(x.reshape(*lead, prod(x.shape[2:])), flat, -1).reshape(indices.shape)


def add_to_planes(g: Any, indices: Any, *, size: Sizes) -> Any:
    """The adjoint of take_from_planes: g (N, C, *out) -> zeros (N, C, *size) with every g added at its position.

    >>> add_to_planes(np.array([[[1., 2, 30]]]), np.array([[[1, 2, 1]]]), size=(4,))
    array([[[ 0., 31.,  2.,  0.]]])
    """
    positions, planes = prod(size), prod(g.shape[:2])
    out = np.zeros(planes * positions, accumulator(g.dtype))
    first = np.arange(planes, dtype=np.int64)[:, None] * positions     # where each plane begins
    np.add.at(out, (indices.reshape(planes, prod(indices.shape[2:])) + first).reshape(-1), g.reshape(-1))
    return out.reshape(*g.shape[:2], *size).astype(g.dtype, copy=False)


def average_divisors(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, count_include_pad: bool,
                     divisor: int | None) -> Any:
    """What each window's sum is divided by: float64 (*out), the given divisor or the number of elements that count.

    Elements beyond the padding, where ceil_mode lets a window reach, never count.
    """
    if divisor is not None:
        return np.full(out, float(divisor))
    counts = np.ones((1,) * len(kernel))
    for axis, (s, k, step, p, o) in enumerate(zip(size, kernel, stride, padding, out, strict=True)):
        start = np.arange(o) * step - p
        end = np.minimum(start + k, s + p)
        length = end - start if count_include_pad else np.minimum(end, s) - np.maximum(start, 0)
        counts = counts * length.reshape(-1, *(1,) * (len(kernel) - axis - 1))
    return counts


def average_pool(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, count_include_pad: bool,
                 divisor: int | None) -> Any:
    """The mean of each window: x (N, C, *S) -> (N, C, *out); see average_divisors for what counts.

    ValueError where the kernel does not fit, or the padding is more than half of it.

    >>> average_pool(np.array([[[1., 3, 2, 0]]]), kernel=(2,), stride=(2,), padding=(0,), ceil_mode=False,
    ...              count_include_pad=True, divisor=None)
    array([[[2., 1.]]])
    """
    lead, size, once = x.shape[:2], x.shape[2:], (1,) * len(kernel)
    out = pooled_size("average_pool", size, kernel, stride, padding, once, ceil_mode)
    wide = accumulator(x.dtype)
    padded = np.zeros(lead + extent(size, kernel, stride, padding, once, out), wide)
    padded[interior(size, padding)] = x
    total = np.zeros((*lead, *out), wide)
    for _, seen in taps(kernel, stride, once, out):
        total += padded[seen]
    divisors = average_divisors(size, kernel, stride, padding, out, count_include_pad, divisor)
    return (total / divisors.astype(total.real.dtype)).astype(x.dtype, copy=False)


def average_pool_transpose(g: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool,
                           count_include_pad: bool, divisor: int | None, size: Sizes) -> Any:
    """The adjoint of average_pool: g (N, C, *out) -> (N, C, *size), each g spread evenly over its window.

    ValueError where g is not of the size that average_pool gives for an x of that size.

    >>> average_pool_transpose(np.array([[[2., 4.]]]), kernel=(2,), stride=(2,), padding=(0,), ceil_mode=False,
    ...                        count_include_pad=True, divisor=None, size=(5,))
    array([[[1., 1., 2., 2., 0.]]])
    """
    lead, once = g.shape[:2], (1,) * len(kernel)
    out = pooled_size("average_pool_transpose", size, kernel, stride, padding, once, ceil_mode)
    check_output("average_pool_transpose", g.shape[2:], out)
    wide = g.astype(accumulator(g.dtype), copy=False)
    divisors = average_divisors(size, kernel, stride, padding, out, count_include_pad, divisor)
    each = (wide / divisors.astype(wide.real.dtype)).reshape(*lead, *once, *out)
    columns = np.broadcast_to(each, (*lead, *kernel, *out))
    return add_windows(columns, size, kernel, stride, padding, once).astype(g.dtype, copy=False)


def check_output(name: str, found: Sizes, expected: Sizes) -> None:
    """A ValueError where a gradient is not of the size of the output that it belongs to."""
    if tuple(found) != tuple(expected):
        raise ValueError(f"{name}: a gradient of spatial size {tuple(expected)} was expected, not {tuple(found)}")


def unfold(x: Any, *, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """Windows as columns: x (N, C, *S) -> (N, C * prod(kernel), L), L windows in row-major order.

    >>> unfold(np.array([[[1., 2, 3]]]), kernel=(2,), dilation=(1,), padding=(0,), stride=(1,))
    array([[[1., 2.],
            [2., 3.]]])
    """
    batch, channels, *size = x.shape
    out = output_size("unfold", size, kernel, stride, padding, dilation)
    columns = gather_windows(x, kernel, stride, padding, dilation, out)            # (N, C, *K, *out)
    return columns.reshape(batch, channels * prod(kernel), prod(out))


def fold(columns: Any, *, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """The adjoint of unfold: columns (N, C * prod(kernel), L) -> (N, C, *size), overlapping windows added up.

    ValueError where the columns are not as many or as long as unfold makes them.

    >>> fold(np.array([[[1., 2], [20, 30]]]), size=(3,), kernel=(2,), dilation=(1,), padding=(0,), stride=(1,))
    array([[[ 1., 22., 30.]]])
    """
    batch, rows, length = columns.shape
    out = output_size("fold", size, kernel, stride, padding, dilation)
    if rows % prod(kernel) or length != prod(out):
        raise ValueError(f"fold: columns of shape (N, C * {prod(kernel)}, {prod(out)}) were expected for a result of "
                         f"spatial size {tuple(size)} and a kernel of size {tuple(kernel)}, not {columns.shape}")
    columns = columns.reshape(batch, rows // prod(kernel), *kernel, *out)
    return add_windows(columns, size, kernel, stride, padding, dilation)
