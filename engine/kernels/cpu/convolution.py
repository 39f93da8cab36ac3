"""Convolution and its two adjoints in one and two dimensions: columns of a tile, and one BLAS product for each tile.

The three maps are those of the reference (`chainrule.kernels.reference.convolution` states what they compute); only the
work is cut differently. Columns ("im2col") are never made for a whole image, but for a tile that stays in the cache:

- convolution: a task is an image, a group and a tile of output positions; its product is written in place.
- convolution_transpose: a task is an image, a group and a block of input channels, so that no two tasks add to the same
  element of the result.
- convolution_weight: a task is a block of input channels and a share of the images; the shares' sums are added at the
  end. How the work is cut depends on the shapes alone, never on the number of threads, so the bits do not either.

What these kernels do not do (three dimensions, dtypes other than float32 and float64, tiny sizes, no BLAS) the
reference does.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu.blas import AVAILABLE, gemm
from chainrule.kernels.cpu.jit import jit, prange
from chainrule.kernels.reference.convolution import check_arguments
from chainrule.kernels.reference.windows import Sizes

# Fewer multiplications than this are done sooner by NumPy than the kernels are found in the cache on disk.
SMALLEST = 1 << 14
# Elements of one tile's columns: float32 fills half a megabyte, which a core's second-level cache holds.
TILE = 1 << 17
# Convolution_weight divides its work into about this many tasks.
SHARES = 16


@jit
def _fill_columns(columns: Any, x: Any, first: int, width: int, kernel_height: int, kernel_width: int,
                  stride: Any, padding: Any, dilation: Any, row: int, rows: int, out_width: int) -> None:
    """columns (width * KH * KW, rows * OW) = the windows of x (C, H, W), channels first … first + width, output rows row …"""
    height, row_length = x.shape[1], x.shape[2]
    line = 0
    for channel in range(first, first + width):
        for kh in range(kernel_height):
            for kw in range(kernel_width):
                shift = kw * dilation[1] - padding[1]
                # output columns left … right - 1 see the input; the others see padding
                left = min(out_width, max(0, (-shift + stride[1] - 1) // stride[1]))
                right = max(left, min(out_width, (row_length - 1 - shift) // stride[1] + 1))
                for i in range(rows):
                    source = (row + i) * stride[0] - padding[0] + kh * dilation[0]
                    target = columns[line, i * out_width:(i + 1) * out_width]
                    if source < 0 or source >= height:
                        target[:] = 0
                        continue
                    target[:left] = 0
                    target[right:] = 0
                    seen = x[channel, source]
                    if stride[1] == 1:
                        for j in range(left, right):
                            target[j] = seen[j + shift]
                    else:
                        for j in range(left, right):
                            target[j] = seen[j * stride[1] + shift]
                line += 1


@jit
def _add_columns(columns: Any, x: Any, first: int, width: int, kernel_height: int, kernel_width: int,
                 stride: Any, padding: Any, dilation: Any, row: int, rows: int, out_width: int) -> None:
    """The adjoint of _fill_columns: add columns to the places of x that they were taken from."""
    height, row_length = x.shape[1], x.shape[2]
    line = 0
    for channel in range(first, first + width):
        for kh in range(kernel_height):
            for kw in range(kernel_width):
                shift = kw * dilation[1] - padding[1]
                left = min(out_width, max(0, (-shift + stride[1] - 1) // stride[1]))
                right = max(left, min(out_width, (row_length - 1 - shift) // stride[1] + 1))
                for i in range(rows):
                    target = (row + i) * stride[0] - padding[0] + kh * dilation[0]
                    if target < 0 or target >= height:
                        continue
                    source = columns[line, i * out_width:(i + 1) * out_width]
                    seen = x[channel, target]
                    if stride[1] == 1:
                        for j in range(left, right):
                            seen[j + shift] += source[j]
                    else:
                        for j in range(left, right):
                            seen[j * stride[1] + shift] += source[j]
                line += 1


@jit(parallel=True)
def _forward(x: Any, weight: Any, y: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int) -> None:
    """y (N, O, OH, OW) from x (N, C, H, W) and weight (O, C / G, KH, KW), in tiles of `rows` output rows."""
    batch, outputs, out_height, out_width = y.shape
    inner, kernel_height, kernel_width = weight.shape[1], weight.shape[2], weight.shape[3]
    share, depth, positions = outputs // groups, inner * kernel_height * kernel_width, out_height * out_width
    tiles = (out_height + rows - 1) // rows
    for task in prange(batch * groups * tiles):
        n, group, tile = task // (groups * tiles), task // tiles % groups, task % tiles
        row = tile * rows
        count = min(rows, out_height - row)
        columns = np.empty((depth, count * out_width), x.dtype)
        _fill_columns(columns, x[n], group * inner, inner, kernel_height, kernel_width,
                      stride, padding, dilation, row, count, out_width)
        # (O/G, C/G K) @ (C/G K, tile) -> y[n, group, tile]
        gemm(False, False, share, count * out_width, depth, 1.0, weight[group * share:], depth,
             columns, count * out_width, 0.0, y[n, group * share:, row:], positions)


@jit(parallel=True)
def _transpose(y: Any, weight: Any, x: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int,
               block: int) -> None:
    """x (N, C, H, W) of zeros += the adjoint of _forward at y, in blocks of input channels and tiles of output rows."""
    batch, outputs, out_height, out_width = y.shape
    inner, kernel_height, kernel_width = weight.shape[1], weight.shape[2], weight.shape[3]
    share, kernel, positions = outputs // groups, kernel_height * kernel_width, out_height * out_width
    blocks = (inner + block - 1) // block
    for task in prange(batch * groups * blocks):
        n, group, first = task // (groups * blocks), task // blocks % groups, task % blocks * block
        width = min(block, inner - first)
        columns = np.empty((width * kernel, rows * out_width), x.dtype)
        for row in range(0, out_height, rows):
            count = min(rows, out_height - row)
            # (C/G K, O/G) @ (O/G, tile) -> columns
            gemm(True, False, width * kernel, count * out_width, share, 1.0, weight[group * share:, first:],
                 inner * kernel, y[n, group * share:, row:], positions, 0.0, columns, rows * out_width)
            _add_columns(columns, x[n], group * inner + first, width, kernel_height, kernel_width,
                         stride, padding, dilation, row, count, out_width)


@jit(parallel=True)
def _weight(x: Any, y: Any, sums: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int,
            block: int) -> None:
    """sums (shares, O, C / G, KH, KW): each share of the images adds up its part of the adjoint in the weight."""
    batch, outputs, out_height, out_width = y.shape
    shares, inner, kernel_height, kernel_width = sums.shape[0], sums.shape[2], sums.shape[3], sums.shape[4]
    part, kernel, positions = outputs // groups, kernel_height * kernel_width, out_height * out_width
    blocks = (inner + block - 1) // block
    for task in prange(shares * groups * blocks):
        own, group, first = task // (groups * blocks), task // blocks % groups, task % blocks * block
        width = min(block, inner - first)
        columns = np.empty((width * kernel, rows * out_width), x.dtype)
        beta = 0.0
        for n in range(own * batch // shares, (own + 1) * batch // shares):
            for row in range(0, out_height, rows):
                count = min(rows, out_height - row)
                _fill_columns(columns, x[n], group * inner + first, width, kernel_height, kernel_width,
                              stride, padding, dilation, row, count, out_width)
                # (O/G, tile) @ (tile, C/G K) -> sums
                gemm(False, True, part, width * kernel, count * out_width, 1.0, y[n, group * part:, row:], positions,
                     columns, rows * out_width, beta, sums[own, group * part:, first:], inner * kernel)
                beta = 1.0


def _declines(first: Any, second: Any, result: int, depth: int) -> bool:
    """Whether the reference is to do it: the arrays' kind, or `result` elements of `depth` multiplications being few."""
    return (not AVAILABLE or first.ndim not in (3, 4) or first.dtype != second.dtype
            or first.dtype not in (np.float32, np.float64) or not first.dtype.isnative
            or result * depth < SMALLEST)


def _planar(array: Any) -> Any:
    """A contiguous array of two spatial dimensions, the first of them 1 where there was only one."""
    array = np.ascontiguousarray(array)
    return array.reshape(*array.shape[:2], 1, array.shape[2]) if array.ndim == 3 else array


def _plane(one: int, sizes: Sizes) -> tuple[int, int]:
    """Two sizes, the first of them `one` where there was only one."""
    first, second = sizes if len(sizes) == 2 else (one, *sizes)
    return int(first), int(second)


def _tile_rows(depth: int, out: Sizes) -> int:
    """How many output rows' columns, of `depth` elements a position, make a tile."""
    return max(1, min(out[0], TILE // max(1, depth * out[1])))


def convolution(x: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """x (N, C, *S), weight (O, C / groups, *K) -> (N, O, *out); see the reference.

    >>> convolution(np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1)
    array([[[2., 2.]]])
    """
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    if _declines(x, weight, x.shape[0] * weight.shape[0] * prod(out), prod(weight.shape[1:])):
        return reference.convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = np.empty((x.shape[0], weight.shape[0], *_plane(1, out)), x.dtype)
    _forward(_planar(x), _planar(weight), y, _plane(1, stride), _plane(0, padding), _plane(1, dilation), int(groups),
             _tile_rows(prod(weight.shape[1:]), y.shape[2:]))
    return y.reshape(*y.shape[:2], *out)


def convolution_transpose(y: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                          size: Sizes) -> Any:
    """The adjoint in x: y (N, O, *out), weight (O, C / groups, *K) -> (N, C, *size); see the reference.

    >>> convolution_transpose(np.ones((1, 1, 2)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1,
    ...                       size=(5,))
    array([[[1., 1., 1., 1., 0.]]])
    """
    inner = weight.shape[1]
    shape = (y.shape[0], inner * groups, *size)
    check_arguments("convolution_transpose", shape, weight.shape, stride, padding, dilation, groups, y.shape)
    if _declines(y, weight, y.size, prod(weight.shape[1:])):
        return reference.convolution_transpose(y, weight, stride=stride, padding=padding, dilation=dilation,
                                               groups=groups, size=size)
    x = np.zeros((*shape[:2], *_plane(1, size)), y.dtype)
    y, weight = _planar(y), _planar(weight)
    block = -(-inner // _blocks(inner, SHARES // max(1, y.shape[0] * groups)))
    _transpose(y, weight, x, _plane(1, stride), _plane(0, padding), _plane(1, dilation), int(groups),
               _tile_rows(block * prod(weight.shape[2:]), y.shape[2:]), block)
    return x.reshape(shape)


def convolution_weight(x: Any, y: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                       size: Sizes) -> Any:
    """The adjoint in the weight: x (N, C, *S), y (N, O, *out) -> (O, C / groups, *size); see the reference.

    >>> convolution_weight(np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1,
    ...                    size=(2,))
    array([[[2., 2.]]])
    """
    inner = x.shape[1] // max(1, groups)
    shape = (y.shape[1], inner, *size)
    check_arguments("convolution_weight", x.shape, shape, stride, padding, dilation, groups, y.shape)
    if _declines(x, y, y.size, prod(shape[1:])):
        return reference.convolution_weight(x, y, stride=stride, padding=padding, dilation=dilation, groups=groups,
                                            size=size)
    x, y, kernel = _planar(x), _planar(y), _plane(1, size)
    # Blocks of channels first, since they need no sums to be added; then shares of the images.
    blocks = _blocks(inner, SHARES // groups)
    shares = max(1, min(x.shape[0], SHARES // (groups * blocks)))
    block = -(-inner // blocks)
    sums = np.empty((shares, *shape[:2], *kernel), x.dtype)
    _weight(x, y, sums, _plane(1, stride), _plane(0, padding), _plane(1, dilation), int(groups),
            _tile_rows(block * prod(kernel), y.shape[2:]), block)
    return (sums[0] if shares == 1 else sums.sum(0)).reshape(shape)


def _blocks(channels: int, wanted: int) -> int:
    """Into how many blocks to cut the channels of a group: no more than wanted, none narrower than eight channels."""
    return max(1, min(wanted, channels // 8))
