"""Pooling in one to three spatial dimensions, with torch.nn.functional's signatures.

A pooling looks at windows of `kernel_size` elements, every `stride` (by default the kernel's size), after adding
`padding` on both sides. With `ceil_mode` the last window may reach beyond the end.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError
from chainrule.functional.windows import Sizes, batched, sizes_of, unbatched, windows
from chainrule.kernels.reference.pooling import adaptive_windows
from chainrule.kernels.reference.resampling import Taps
from chainrule.names import ops
from chainrule.ops import pooling as rows
from chainrule.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]


def _windows(op: str, rank: int, input: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any,
             ceil_mode: bool) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Kernel, stride, padding and dilation for each axis, checked against each other and the input."""
    kernel = sizes_of(op, "kernel_size", kernel, rank, 1)
    stride = kernel if stride is None or stride == () else sizes_of(op, "stride", stride, rank, 1)
    padding, dilation = sizes_of(op, "padding", padding, rank, 0), sizes_of(op, "dilation", dilation, rank, 1)
    for k, p, d in zip(kernel, padding, dilation):
        if 2 * p > d * (k - 1) + 1:
            raise ShapeError(f"{op}: padding={padding} must be at most half of the kernel {kernel} (dilation "
                             f"{dilation}), or a window would see nothing but padding")
    windows(op, input.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return kernel, stride, padding, dilation


def _take(output_indices: Tensor, input: Tensor, keep: bool, return_indices: bool) -> Any:
    """The maxima, and where asked their positions."""
    output = unbatched(rows.take_from_planes(input, output_indices), keep)
    return (output, unbatched(output_indices, keep)) if return_indices else output


def _max_pool(op: str, rank: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
              ceil_mode: bool, return_indices: bool) -> Any:
    input, keep = batched(op, input, rank)
    kernel, stride, padding, dilation = _windows(op, rank, input, kernel_size, stride, padding, dilation, ceil_mode)
    if not return_indices:
        return unbatched(rows.max_pool(input, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                                       ceil_mode=ceil_mode), keep)
    indices = rows.max_pool_indices(input, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                                    ceil_mode=ceil_mode)
    return _take(indices, input, keep, return_indices)


def _average(op: str, rank: int, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
             count_include_pad: bool, divisor: int | None) -> Tensor:
    input, keep = batched(op, input, rank)
    if input.dtype.kind not in FLOATING:
        raise DtypeError(f"{op}: the input is {input.dtype}, it must be floating-point; convert it with .float()")
    if divisor == 0:
        raise ValueError(f"{op}: divisor_override must not be 0")
    kernel, stride, padding, _ = _windows(op, rank, input, kernel_size, stride, padding, 1, ceil_mode)
    return unbatched(rows.average_pool(input, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                                       count_include_pad=count_include_pad, divisor=divisor), keep)


def _adaptive_sizes(op: str, rank: int, input: Tensor, output_size: Any) -> Sizes:
    """The output's spatial size, None meaning the input's; ShapeError for an input without elements there."""
    given = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * rank
    if len(given) == rank:
        given = tuple(n if o is None else o for o, n in zip(given, input.shape[2:]))
    if 0 in input.shape[2:]:
        raise ShapeError(f"{op}: the input of shape {input.shape} has a spatial axis without elements")
    return sizes_of(op, "output_size", given, rank, 0)


def _adaptive_average(op: str, rank: int, input: Any, output_size: Any) -> Tensor:
    input, keep = batched(op, input, rank)
    if input.dtype.kind not in FLOATING:
        raise DtypeError(f"{op}: the input is {input.dtype}, it must be floating-point; convert it with .float()")
    size, spatial = _adaptive_sizes(op, rank, input, output_size), input.shape[2:]
    if all(o and not n % o for n, o in zip(spatial, size)):  # windows side by side
        kernel = tuple(n // o for n, o in zip(spatial, size))
        return unbatched(rows.average_pool(input, kernel=kernel, stride=kernel, padding=(0,) * rank, ceil_mode=False,
                                           count_include_pad=True, divisor=None), keep)
    for axis, (n, o) in enumerate(zip(spatial, size), 2):  # a mean over a box is one of means
        if n != o:
            input = rows.resample(input, axis=axis, taps=area_taps(n, o))
    return unbatched(input, keep)


def area_taps(size: int, out: int) -> Taps:
    """Each of `out` elements as the mean of its window, of `out` that divide `size` elements evenly."""
    taps = [(i, j, 1 / (end - start)) for i, (start, end) in enumerate(adaptive_windows(size, out))
            for j in range(start, end)]
    return Taps(out, size, *(zip(*taps) if taps else ((), (), ())))


def _adaptive_max(op: str, rank: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    input, keep = batched(op, input, rank)
    size, spatial = _adaptive_sizes(op, rank, input, output_size), input.shape[2:]
    if all(o and not n % o for n, o in zip(spatial, size)):
        kernel = tuple(n // o for n, o in zip(spatial, size))
        indices = rows.max_pool_indices(input, kernel=kernel, stride=kernel, padding=(0,) * rank, dilation=(1,) * rank,
                                        ceil_mode=False)
    else:
        indices = rows.adaptive_max_pool_indices(input, out=size)
    return _take(indices, input, keep, return_indices)


def _lp_pool(op: str, rank: int, input: Any, norm_type: float, kernel_size: Any, stride: Any,
             ceil_mode: bool) -> Tensor:
    kernel = sizes_of(op, "kernel_size", kernel_size, rank, 1)
    if norm_type == 0:
        raise ValueError(f"{op}: norm_type must not be 0")
    powers = _average(op, rank, ops.as_tensor(input) ** norm_type, kernel, stride, 0, ceil_mode, True, None)
    found: Tensor = (powers * prod(kernel)) ** (1 / norm_type)
    return found


def _unpool(op: str, rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any,
            output_size: Any) -> Tensor:
    input, keep = batched(op, input, rank)
    places = batched(op, indices, rank)[0]
    if places.dtype.kind not in "iu":
        raise DtypeError(f"{op}: the indices are {places.dtype}, they must be the integers of return_indices=True")
    if places.shape != input.shape:
        raise ShapeError(f"{op}: the input has shape {input.shape} and the indices {places.shape}, they must be equal")
    kernel = sizes_of(op, "kernel_size", kernel_size, rank, 1)
    stride = kernel if stride is None or stride == () else sizes_of(op, "stride", stride, rank, 1)
    pads = sizes_of(op, "padding", padding, rank, 0)
    least = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(input.shape[2:], stride, kernel, pads))
    size = least if output_size is None else sizes_of(op, "output_size", tuple(output_size)[-rank:], rank, 1)
    for wanted, usual, s in zip(size, least, stride):
        if wanted != usual and not usual - s < wanted < usual + s:
            raise ShapeError(f"{op}: output_size={output_size} is not one that pools to {input.shape[2:]}; it must "
                             f"differ from {least} by less than the stride {stride}")
    flat = places.data.reshape(-1, prod(input.shape[2:]))
    if flat.size and not 0 <= flat.min() <= flat.max() < prod(size):
        wrong = flat.min() if flat.min() < 0 else flat.max()
        raise IndexError(f"{op}: index {wrong} is not in an output of spatial size {size}, which has {prod(size)} "
                         "positions; pass the output_size that was pooled")
    if input.node is None:  # no gradient is asked for: whoever sets a place last sets the same value
        lead, count = input.shape[:2], prod(size)
        planes = [ops.reshape(t, (*lead, prod(t.shape[2:]))) for t in (input, places)]
        put = ops.put_along(ops.zeros_like(input, shape=(*lead, count)), planes[1], planes[0], axis=2)
        return unbatched(ops.reshape(put, (*lead, *size)), keep)
    order = np.sort(flat, axis=1)
    if (order[:, 1:] == order[:, :-1]).any():  # windows that overlapped share a maximum: one value, to be set once
        once = np.zeros(flat.shape, input.dtype)
        for row, line in zip(once, flat):
            row[np.unique(line, return_index=True)[1]] = 1
        input = input * Tensor(once.reshape(input.shape))
    return unbatched(rows.add_to_planes(input, places, size=size), keep)


def max_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window along one axis.

    input (N, C, L) or (C, L). Padding is never chosen; of equal elements the first is, and gets the gradient; a NaN
    counts as the largest. Returns (N, C, out), and with `return_indices` also int64 positions in L. Raises ShapeError
    where the kernel does not fit or the padding is more than half of it.

    >>> import chainrule as cr
    >>> max_pool1d(cr.tensor([[1.0, 4.0, 2.0, 3.0]]), 2, return_indices=True)
    (tensor([[4., 3.]]), tensor([[1, 3]]))
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window: as `max_pool1d`, along two axes.

    input (N, C, H, W) or (C, H, W). Returns (N, C, OH, OW), and with `return_indices` also int64 positions in the
    flattened H x W. Raises ShapeError where the kernel does not fit or the padding is more than half of it.

    >>> import chainrule as cr
    >>> max_pool2d(cr.tensor([[[1.0, 4.0], [2.0, 3.0]]]), 2)
    tensor([[[4.]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window: as `max_pool1d`, along three axes.

    input (N, C, D, H, W) or (C, D, H, W). Raises ShapeError where the kernel does not fit or the padding is more than
    half of it.

    >>> import chainrule as cr
    >>> max_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[7.]]]])
    """
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """The mean of each window along one axis: sum / count.

    input (N, C, L) or (C, L). The count is the kernel's size, less what lies beyond the padding (`ceil_mode`), less
    the padding itself where not `count_include_pad`. Returns (N, C, out). Raises ShapeError where the kernel does not
    fit or the padding is more than half of it, DtypeError for integers.

    >>> import chainrule as cr
    >>> avg_pool1d(cr.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[2., 3.]])
    """
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    """The mean of each window: as `avg_pool1d`, along two axes; `divisor_override` replaces the count.

    input (N, C, H, W) or (C, H, W). Raises ShapeError where the kernel does not fit or the padding is more than half of
    it, DtypeError for integers.

    >>> import chainrule as cr
    >>> avg_pool2d(cr.tensor([[[1.0, 3.0], [2.0, 4.0]]]), 2)
    tensor([[[2.5]]])
    """
    return _average("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                    divisor_override)


def avg_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    """The mean of each window: as `avg_pool1d`, along three axes; `divisor_override` replaces the count.

    input (N, C, D, H, W) or (C, D, H, W). Raises ShapeError where the kernel does not fit or the padding is more than
    half of it, DtypeError for integers.

    >>> import chainrule as cr
    >>> avg_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[3.5]]]])
    """
    return _average("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                    divisor_override)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that divide the axis evenly: window i of O is floor(i L / O) … ceil((i + 1) L / O).

    input (N, C, L) or (C, L). Returns (N, C, output_size). Raises ShapeError for an input without elements, DtypeError
    for integers.

    >>> import chainrule as cr
    >>> adaptive_avg_pool1d(cr.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[1.5, 2.5]])
    """
    return _adaptive_average("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool1d`, along two axes; a size None is the input's.

    input (N, C, H, W) or (C, H, W). Raises ShapeError for an input without elements, DtypeError for integers.

    >>> import chainrule as cr
    >>> adaptive_avg_pool2d(cr.tensor([[[1.0, 3.0], [2.0, 4.0]]]), (None, 1))
    tensor([[[2.],
             [3.]]])
    """
    return _adaptive_average("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool1d`, along three axes; a size None is the input's.

    input (N, C, D, H, W) or (C, D, H, W). Raises ShapeError for an input without elements, DtypeError for integers.

    >>> import chainrule as cr
    >>> adaptive_avg_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 1)
    tensor([[[[3.5]]]])
    """
    return _adaptive_average("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of the windows of `adaptive_avg_pool1d`; ties, NaN and `return_indices` as `max_pool1d`.

    input (N, C, L) or (C, L). Raises ShapeError for an input without elements.

    >>> import chainrule as cr
    >>> adaptive_max_pool1d(cr.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[2., 3.]])
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool1d`, along two axes; a size None is the input's.

    input (N, C, H, W) or (C, H, W). Raises ShapeError for an input without elements.

    >>> import chainrule as cr
    >>> adaptive_max_pool2d(cr.tensor([[[1.0, 3.0], [2.0, 4.0]]]), 1)
    tensor([[[4.]]])
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool1d`, along three axes; a size None is the input's.

    input (N, C, D, H, W) or (C, D, H, W). Raises ShapeError for an input without elements.

    >>> import chainrule as cr
    >>> adaptive_max_pool3d(cr.arange(8.0).reshape(1, 2, 2, 2), 1)
    tensor([[[[7.]]]])
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window, signs kept: (Σ x^p)^(1/p), for p = `norm_type`.

    input (N, C, L) or (C, L). Where `ceil_mode` lets a window reach beyond the end, its sum is scaled up to a full
    window's, as in torch. Raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> lp_pool1d(cr.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window: as `lp_pool1d`, along two axes.

    input (N, C, H, W) or (C, H, W). Raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> lp_pool2d(cr.ones(1, 2, 2), 2, 2)
    tensor([[[2.]]])
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window: as `lp_pool1d`, along three axes.

    input (N, C, D, H, W) or (C, D, H, W). Raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> lp_pool3d(cr.ones(1, 2, 2, 2), 3, 2)
    tensor([[[[2.]]]])
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Tensor:
    """The maxima back where `max_pool1d` found them, zeros elsewhere.

    input and indices (N, C, L) or (C, L), as pooling returned them. `output_size` says which of the sizes that pool
    to L is meant. Where windows overlapped, a maximum that several found is set once, and the first of them gets the
    gradient. Raises ShapeError or IndexError where sizes or indices do not fit.

    >>> import chainrule as cr
    >>> max_unpool1d(*max_pool1d(cr.tensor([[1.0, 4.0, 2.0, 3.0]]), 2, return_indices=True), 2)
    tensor([[0., 4., 0., 3.]])
    """
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Tensor:
    """As `max_unpool1d`, along two axes: input and indices (N, C, H, W) or (C, H, W).

    Raises ShapeError or IndexError where sizes or indices do not fit.

    >>> import chainrule as cr
    >>> max_unpool2d(cr.tensor([[[5.0]]]), cr.tensor([[[2]]]), 2)
    tensor([[[0., 0.],
             [5., 0.]]])
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Tensor:
    """As `max_unpool1d`, along three axes: input and indices (N, C, D, H, W) or (C, D, H, W).

    Raises ShapeError or IndexError where sizes or indices do not fit.

    >>> import chainrule as cr
    >>> max_unpool3d(cr.tensor([[[[5.0]]]]), cr.tensor([[[[1]]]]), (1, 1, 2))
    tensor([[[[0., 5.]]]])
    """
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
