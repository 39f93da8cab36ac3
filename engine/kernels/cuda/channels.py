"""Batch norm and group norm (channels.cu): statistics by slabs, joined, then the result; backward likewise.

Kept are mean and scale of each channel (of each group of each sample), in float32 for 16-bit arrays, as batch norm's statistics
are. Declined: what is no float, weights of another dtype, empty arrays, and gradients of batch norm's statistics.
"""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda.arrays import PACKS, THREADS, blocks, like, number, served, wide, width
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.cuda.sums import add_parts

_EACH = instances(FLOATS + HALVES)
_statistics = Kernel("channels.cu", "slab_statistics", PACKS)
_statistics_of_columns = Kernel("channels.cu", "slab_statistics_of_columns", _EACH)
_join_statistics = Kernel("channels.cu", "join_statistics", instances(FLOATS))
_affine = Kernel("channels.cu", "affine", PACKS)
_sums = Kernel("channels.cu", "slab_sums", PACKS)
_sums_of_columns = Kernel("channels.cu", "slab_sums_of_columns", _EACH)
_join_sums = Kernel("channels.cu", "join_sums", _EACH)
_join_groups = Kernel("channels.cu", "join_groups", _EACH)
_affine_grad = Kernel("channels.cu", "affine_grad", PACKS)

KEEP, ROWS = 4, 16  # as channels.cu has them
WARPS = (32, 8)  # a block of eight warps with a task each


def _statistics_of(x: Any, samples: int, channels: int, positions: int, eps: float) -> tuple[Any, Any, Any]:
    """Mean, variance and scale of each channel of x (samples, channels, positions)."""
    dtype, kind, columns = x.dtype, wide(x.dtype), positions == 1 and samples > 1
    pack = width(positions, x)
    length = 8 * ROWS if columns else THREADS * KEEP * pack
    count = samples * positions
    slabs = -(-count // length)
    means, squares = cupy.empty((2, channels, slabs), kind)
    if columns:
        _statistics_of_columns(dtype, grid=(-(-channels // 32), slabs), block=WARPS,
                               arguments=(x, means, squares, samples, channels, slabs))
    else:
        _statistics(dtype, pack, grid=(channels * slabs,), block=(THREADS,),
                    arguments=(x, means, squares, samples, channels, positions, slabs))
    mean, variance, scale = (cupy.empty(channels, kind) for _ in range(3))
    _join_statistics(kind, grid=(-(-channels // 8),), block=WARPS,
                     arguments=(means, squares, mean, variance, scale, channels, slabs, length, count, number(eps, dtype)))
    return mean, variance, scale


def _sums_of(g: Any, x: Any, mean: Any, samples: int, channels: int, positions: int, inner: int) -> Any:
    """Σ g and Σ g · (x - mean) of each channel of arrays (samples, channels, positions), by slabs: (2, channels, slabs)."""
    columns, pack = positions == 1 and samples > 1, width(positions, g, x)
    packs = samples * positions // pack
    slabs = -(-samples // (8 * ROWS)) if columns else -(-packs // (THREADS * KEEP))
    sums = cupy.empty((2, channels, slabs), mean.dtype)
    if columns:
        _sums_of_columns(x.dtype, grid=(-(-channels // 32), slabs), block=WARPS,
                         arguments=(g, x, mean, sums, samples, channels, slabs))
    else:
        block = WARPS if packs <= 128 else (THREADS, 1)
        _sums(x.dtype, pack, grid=(-(-channels * slabs // block[1]),), block=block,
              arguments=(g, x, mean, sums, samples, channels, positions, slabs, inner))
    return sums


def _apply(kernel: Kernel, arrays: Any, others: Any, inner: int, *numbers: Any) -> Any:
    """The result of `affine` or `affine_grad` over arrays (N, C, …)."""
    out, channels = like(arrays[0]), arrays[0].shape[1]
    positions = prod(out.shape[2:])
    pack = width(positions, *arrays)
    packs = out.size // pack
    kernel(out.dtype, pack, grid=blocks(packs), block=(THREADS,),
           arguments=(*arrays, *others, out, packs, positions // pack, channels, inner, *numbers))
    return out


def batch_norm(input: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Each channel by itself: the result, and the channels' means and variances; keeps means and scales."""
    if not served(input, weight, bias) or not input.size:
        return NotImplemented
    x, (samples, channels, *positions) = contiguous(input), input.shape
    mean, variance, scale = _statistics_of(x, samples, channels, prod(positions), eps)
    out = _apply(_affine, (x,), (mean, scale, contiguous(weight), contiguous(bias)), 0, number(-1, x.dtype))
    return (out, mean, variance), {"means": mean, "scales": scale}


def batch_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any) -> Any:
    """The gradients (input, weight, bias) of <g[0], the result of batch_norm(input, weight, bias)>."""
    g, *statistics = g
    if g is None or any(d is not None for d in statistics) or not served(g, input):
        return NotImplemented
    g, x, weight, (samples, channels, *positions) = contiguous(g), contiguous(input), contiguous(weight), input.shape
    sums = _sums_of(g, x, means, samples, channels, prod(positions), 1)
    dweight, dbias = cupy.empty((2, channels), x.dtype)
    shift, slope = cupy.empty((2, channels), means.dtype)
    _join_sums(x.dtype, grid=(-(-channels // 8),), block=WARPS,
               arguments=(sums, weight, scales, dweight, dbias, shift, slope, channels, sums.shape[2],
                          number(samples * prod(positions), x.dtype)))
    return _apply(_affine_grad, (g, x), (means, scales, weight, shift, slope), 0), dweight, dbias


def batch_norm_by_running(input: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """(input - mean) / √(var + eps) · weight + bias of each channel."""
    if not served(input, mean, var, weight, bias) or not input.size:
        return NotImplemented
    kind = wide(input.dtype)
    statistics = [contiguous(a.astype(kind, copy=False)) for a in (mean, var)]
    return _apply(_affine, (contiguous(input),), (*statistics, contiguous(weight), contiguous(bias)), 0, number(eps, input.dtype))


def batch_norm_by_running_grad(g: Any, input: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, wanted: Any) -> Any:
    """The gradient of <g, batch_norm_by_running(input, …)> by the input; where others are wanted the definition gives them."""
    if any(wanted[1:]) or not served(g, input):
        return NotImplemented
    variance = contiguous(var.astype(wide(g.dtype), copy=False))
    dx = _apply(_affine, (contiguous(g),), (None, variance, contiguous(weight), None), 0, number(eps, g.dtype))
    return dx, None, None, None, None


def group_norm(input: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    """Each group of channels of each sample by itself; keeps its mean and scale."""
    if not served(input, weight, bias) or not input.size:
        return NotImplemented
    x, (samples, channels, *positions) = contiguous(input), input.shape
    inner = channels // num_groups
    mean, _, scale = _statistics_of(x, 1, samples * num_groups, inner * prod(positions), eps)
    out = _apply(_affine, (x,), (mean, scale, contiguous(weight), contiguous(bias)), inner, number(-1, x.dtype))
    return out, {"means": mean, "scales": scale}


def group_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any, num_groups: int) -> Any:
    """The gradients (input, weight, bias) of <g, group_norm(input, weight, bias)>."""
    if not served(g, input):
        return NotImplemented
    g, x, weight, (samples, channels, *positions) = contiguous(g), contiguous(input), contiguous(weight), input.shape
    inner, groups = channels // num_groups, samples * num_groups
    sums = _sums_of(g, x, means, 1, samples * channels, prod(positions), inner)
    parts = cupy.empty((samples, 2, channels), means.dtype)
    shift, slope = cupy.empty((2, groups), means.dtype)
    _join_groups(x.dtype, grid=(-(-groups // 8),), block=WARPS,
                 arguments=(sums, weight, scales, parts, shift, slope, groups, channels, inner, sums.shape[2],
                            number(inner * prod(positions), x.dtype)))
    dweight, dbias = add_parts(parts, cupy.empty((2, channels), x.dtype))
    return _apply(_affine_grad, (g, x), (means, scales, weight, shift, slope), inner), dweight, dbias
