"""Depthwise convolution and its two adjoints: every input channel has kernels of its own, and no sum is over channels.

There a matrix product has nothing to reuse, so the sums are done directly, row by row: for each kernel element one pass
over a row of outputs, while the rows are in the first-level cache. An output channel o belongs to the input channel
o // multiplier. Which task does what depends on the shapes alone, so the bits do not depend on the number of threads.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.jit import jit, prange
from chainrule.kernels.cpu.planes import visible

# depthwise_weight divides its work into at least about this many tasks
SHARES = 16


@jit
def _add_multiple(target: Any, to: int, source: Any, at: int, count: int, step: int, factor: Any) -> None:
    """target[to + j] += factor * source[at + j * step] for j < count, in flat arrays (unsigned, so that it vectorises)."""
    to, at, by, n = np.uint64(to), np.uint64(at), np.uint64(step), np.uint64(count)
    if step == 1:
        for j in range(n):
            target[to + j] += factor * source[at + j]
    else:
        for j in range(n):
            target[to + j] += factor * source[at + j * by]


@jit
def _spread_multiple(target: Any, to: int, source: Any, at: int, count: int, step: int, factor: Any) -> None:
    """The adjoint of _add_multiple: target[to + j * step] += factor * source[at + j]."""
    to, at, by, n = np.uint64(to), np.uint64(at), np.uint64(step), np.uint64(count)
    if step == 1:
        for j in range(n):
            target[to + j] += factor * source[at + j]
    else:
        for j in range(n):
            target[to + j * by] += factor * source[at + j]


@jit
def _product(first: Any, to: int, second: Any, at: int, count: int, step: int) -> Any:
    """The sum of first[to + j] * second[at + j * step] for j < count."""
    to, at, by, n = np.uint64(to), np.uint64(at), np.uint64(step), np.uint64(count)
    total = first.dtype.type(0)
    if step == 1:
        for j in range(n):
            total += first[to + j] * second[at + j]
    else:
        for j in range(n):
            total += first[to + j] * second[at + j * by]
    return total


@jit(parallel=True)
def depthwise(x: Any, weight: Any, y: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """y (N, O, OH, OW) of zeros += the convolution of x (N, C, H, W) with weight (O, 1, KH, KW) in C groups."""
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = y.shape[1], y.shape[2], y.shape[3]
    multiplier, kernel_height, kernel_width = outputs // channels, weight.shape[2], weight.shape[3]
    for task in prange(batch * outputs):
        n, o = task // outputs, task % outputs
        source, target = x[n, o // multiplier].reshape(-1), y[n, o].reshape(-1)
        for i in range(out_height):
            for kh in range(kernel_height):
                above = i * stride[0] - padding[0] + kh * dilation[0]
                if above < 0 or above >= height:
                    continue
                for kw in range(kernel_width):
                    left, count, begin = visible(kw, stride[1], padding[1], dilation[1], width, out_width)
                    _add_multiple(target, i * out_width + left, source, above * width + begin, count, stride[1],
                                  weight[o, 0, kh, kw])


@jit(parallel=True)
def depthwise_transpose(y: Any, weight: Any, x: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """x (N, C, H, W) of zeros += the adjoint of depthwise in x at y (N, O, OH, OW)."""
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = y.shape[1], y.shape[2], y.shape[3]
    multiplier, kernel_height, kernel_width = outputs // channels, weight.shape[2], weight.shape[3]
    for task in prange(batch * channels):
        n, channel = task // channels, task % channels
        target = x[n, channel].reshape(-1)
        for o in range(channel * multiplier, (channel + 1) * multiplier):
            source = y[n, o].reshape(-1)
            for i in range(out_height):
                for kh in range(kernel_height):
                    below = i * stride[0] - padding[0] + kh * dilation[0]
                    if below < 0 or below >= height:
                        continue
                    for kw in range(kernel_width):
                        left, count, begin = visible(kw, stride[1], padding[1], dilation[1], width, out_width)
                        _spread_multiple(target, below * width + begin, source, i * out_width + left, count, stride[1],
                                         weight[o, 0, kh, kw])


@jit(parallel=True)
def _weight_sums(x: Any, y: Any, sums: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """sums (shares, O, KH, KW), float64: each share of the images adds up its part of the adjoint in the weight."""
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = y.shape[1], y.shape[2], y.shape[3]
    shares, kernel_height, kernel_width = sums.shape[0], sums.shape[2], sums.shape[3]
    multiplier = outputs // channels
    for task in prange(shares * outputs):
        own, o = task // outputs, task % outputs
        total = np.zeros((kernel_height, kernel_width))
        for n in range(own * batch // shares, (own + 1) * batch // shares):
            source, given = x[n, o // multiplier].reshape(-1), y[n, o].reshape(-1)
            for i in range(out_height):
                for kh in range(kernel_height):
                    above = i * stride[0] - padding[0] + kh * dilation[0]
                    if above < 0 or above >= height:
                        continue
                    for kw in range(kernel_width):
                        left, count, begin = visible(kw, stride[1], padding[1], dilation[1], width, out_width)
                        total[kh, kw] += _product(given, i * out_width + left, source, above * width + begin, count,
                                                  stride[1])
        sums[own, o] = total


def depthwise_weight(x: Any, y: Any, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any,
                     serial: bool) -> Any:
    """The adjoint of depthwise in the weight: x (N, C, H, W), y (N, O, OH, OW) -> (O, 1, KH, KW)."""
    shares = max(1, min(x.shape[0], SHARES // y.shape[1]))
    sums = np.empty((shares, y.shape[1], *kernel))
    (_weight_sums.serial if serial else _weight_sums)(x, y, sums, stride, padding, dilation)
    return sums.sum(0)[:, None].astype(x.dtype)
