"""Pooling in one and two spatial dimensions (pooling.cu): a thread for each element, also of the adjoints, which gather.

Maximum pooling keeps, as on the CPU, one byte for each window: which of its elements was the largest. The functions are those of
the reference (`chainrule.kernels.reference.pooling`), which over CuPy does three dimensions, other dtypes and windows of 255
elements and more.
"""

from functools import lru_cache
from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import THREADS, blocks, like, served
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.cuda.planes import extents
from chainrule.kernels.reference.pooling import check_output, pooled_size
from chainrule.kernels.reference.windows import Sizes

_max = Kernel("pooling.cu", "max_windows", instances(FLOATS + HALVES, (False, True)))
_adaptive_max = Kernel("pooling.cu", "adaptive_max_windows", instances(FLOATS + HALVES))
_max_grad = Kernel("pooling.cu", "max_windows_grad", instances(FLOATS + HALVES))
_mean = Kernel("pooling.cu", "mean_windows", instances(FLOATS + HALVES))
_mean_grad = Kernel("pooling.cu", "mean_windows_grad", instances(FLOATS + HALVES))


@lru_cache(1024)
def sees_nothing(x: Sizes, y: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> bool:
    """Whether a window has no element of x: only a dilated one can step over it."""
    for size, out, k, s, p, d in zip(x, y, kernel, stride, padding, dilation, strict=True):
        places = np.arange(out)[:, None] * s - p + np.arange(k) * d
        if not ((places >= 0) & (places < size)).any(1).all():
            return True
    return False


def _takes(x: Any) -> bool:
    return served(x) and x.ndim in (3, 4) and x.size < 2**31


def _geometry(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """The output's spatial size, and the extents, of maximum pooling; ValueError where a window sees nothing."""
    size = tuple(x.shape[2:])
    out = pooled_size("max_pool", size, kernel, stride, padding, dilation, ceil_mode)
    sizes = size, out, tuple(kernel), tuple(stride), tuple(padding), tuple(dilation)
    if max(dilation) > 1 and prod(x.shape[:2]) and sees_nothing(*sizes):
        raise ValueError(f"max_pool: a window of kernel {tuple(kernel)} with dilation {tuple(dilation)} and padding "
                         f"{tuple(padding)} sees nothing of an input of spatial size {size}")
    return out, extents(*sizes)


def max_pool_indices(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """Where each window's maximum lies: x (N, C, *S) -> int64 (N, C, *out); see the reference."""
    if not _takes(x):
        return definitions.find("max_pool_indices")(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                                                    ceil_mode=ceil_mode)
    out, sizes = _geometry(x, kernel, stride, padding, dilation, ceil_mode)
    index = cupy.empty((*x.shape[:2], *out), np.int64)
    _max(x.dtype, True, grid=blocks(index.size), block=(THREADS,), arguments=(contiguous(x), None, None, index, index.size, *sizes))
    return index


def max_pool(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """The maximum of each window: x (N, C, *S) -> (N, C, *out), and {"choice": which of the window's elements it was}."""
    if not _takes(x) or prod(kernel) >= 255:
        return NotImplemented
    out, sizes = _geometry(x, kernel, stride, padding, dilation, ceil_mode)
    y = cupy.empty((*x.shape[:2], *out), x.dtype)
    choice = like(y, np.uint8)
    _max(x.dtype, False, grid=blocks(y.size), block=(THREADS,), arguments=(contiguous(x), y, choice, None, y.size, *sizes))
    return y, {"choice": choice}


def max_pool_grad(g: Any, x: Any, choice: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                  wanted: tuple[bool]) -> Any:
    """The gradient of <g, max_pool(x)>: to each element of x the g of the windows that chose it."""
    found = like(x)
    sizes = extents(tuple(x.shape[2:]), tuple(g.shape[2:]), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    _max_grad(x.dtype, grid=blocks(found.size), block=(THREADS,), arguments=(contiguous(g), choice, found, found.size, *sizes))
    return (found,)


def adaptive_max_pool_indices(x: Any, *, out: Sizes) -> Any:
    """As max_pool_indices, for windows that divide each axis evenly: x (N, C, *S) -> int64 (N, C, *out)."""
    if not _takes(x) or not prod(x.shape[2:]):
        return definitions.find("adaptive_max_pool_indices")(x, out=out)
    index = cupy.empty((*x.shape[:2], *out), np.int64)
    sizes = [(1, 1)] * (4 - x.ndim) + list(zip(x.shape[2:], out, strict=True))
    _adaptive_max(x.dtype, grid=blocks(index.size), block=(THREADS,),
                  arguments=(contiguous(x), index, index.size, *(int(n) for axis in sizes for n in axis)))
    return index


def average_pool(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, count_include_pad: bool,
                 divisor: int | None) -> Any:
    """The mean of each window: x (N, C, *S) -> (N, C, *out); see the reference."""
    settings: Any = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    means: Any = {"count_include_pad": count_include_pad, "divisor": divisor}
    if not _takes(x):
        return definitions.find("average_pool")(x, **settings, **means)
    out, sizes = _mean_geometry("average_pool", x.shape[2:], **settings)
    y = cupy.empty((*x.shape[:2], *out), x.dtype)
    _mean(x.dtype, grid=blocks(y.size), block=(THREADS,),
          arguments=(contiguous(x), y, y.size, divisor or 0, count_include_pad, *sizes))
    return y


def average_pool_transpose(g: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, count_include_pad: bool,
                           divisor: int | None, size: Sizes) -> Any:
    """The adjoint of average_pool: g (N, C, *out) -> (N, C, *size); see the reference."""
    settings: Any = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    means: Any = {"count_include_pad": count_include_pad, "divisor": divisor}
    if not _takes(g):
        return definitions.find("average_pool_transpose")(g, **settings, **means, size=size)
    out, sizes = _mean_geometry("average_pool_transpose", size, **settings)
    check_output("average_pool_transpose", g.shape[2:], out)
    x = cupy.empty((*g.shape[:2], *size), g.dtype)
    _mean_grad(g.dtype, grid=blocks(x.size), block=(THREADS,),
               arguments=(contiguous(g), x, x.size, divisor or 0, count_include_pad, *sizes))
    return x


def _mean_geometry(name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool) -> Any:
    """The output's spatial size, and the extents, of average pooling."""
    once = (1,) * len(kernel)
    out = pooled_size(name, size, kernel, stride, padding, once, ceil_mode)
    return out, extents(tuple(size), out, tuple(kernel), tuple(stride), tuple(padding), once)
