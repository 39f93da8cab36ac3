"""Convolution and its two adjoints in one and two dimensions: columns of a tile, and one BLAS product for each tile.

The three maps are those of the reference (`chainrule.kernels.reference.convolution` states what they compute); only the
work is cut differently. Columns ("im2col") are never made for a whole image, but for a tile that stays in the cache:

- convolution: a task is an image, a group and a tile of output positions; its product is written in place.
- convolution_transpose: a task is an image, a group and a block of input channels, so that no two tasks add to the same
  element of the result.
- convolution_weight: a task is a block of input channels and a share of the images; the shares' sums are added at the
  end. How the work is cut depends on the shapes alone, never on the number of threads, so the bits do not either.

Where every input channel has kernels of its own, depthwise.py sums directly. What these kernels do not do (three
dimensions, dtypes other than float32 and float64, tiny sizes, no BLAS) the reference does.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu.blas import AVAILABLE, gemm
from chainrule.kernels.cpu.depthwise import depthwise, depthwise_transpose, depthwise_weight
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.planes import is_plane, pair, plane
from chainrule.kernels.reference.convolution import check_arguments
from chainrule.kernels.reference.windows import Sizes

# Fewer multiplications than this are left to NumPy, so that tiny arrays (a gradient check's) compile nothing.
SMALLEST = 1 << 14
# From this many on, threads share the work.
SHARED = 1 << 20
# Elements of one tile's columns: float32 fills half a megabyte, which a core's second-level cache holds.
TILE = 1 << 17
# Convolution_weight divides its work into about this many tasks.
SHARES = 16


@jit
def _visible(position: int, stride: int, padding: int, dilation: int, length: int,
             out: int) -> tuple[int, int, int]:
    """Which of `out` windows see the input (of that length) at this kernel position: the first, how many, and where."""
    shift = position * dilation - padding
    left = min(out, max(0, (stride - 1 - shift) // stride))
    right = max(left, min(out, (length - 1 - shift) // stride + 1))
    return left, right - left, left * stride + shift


@jit
def _fill_columns(columns: Any, x: Any, first: int, width: int, kernel_height: int, kernel_width: int,
                  stride: Any, padding: Any, dilation: Any, row: int, rows: int, out_width: int) -> None:
    """columns (width * KH * KW, rows * OW) = the windows of x (C, H, W), channels first … first + width, output rows row …

    Positions in the flat arrays are unsigned: a signed index may be negative, meaning from the end, and the test for
    that keeps the loops from being vectorised.
    """
    height, length = x.shape[1], x.shape[2]
    source, target, step = x.reshape(-1), columns.reshape(-1), np.uint64(stride[1])
    line = 0
    for channel in range(first, first + width):
        for kh in range(kernel_height):
            for kw in range(kernel_width):
                left, count, begin = _visible(kw, stride[1], padding[1], dilation[1], length, out_width)
                before, seen, after = np.uint64(left), np.uint64(count), np.uint64(out_width - left - count)
                to = np.uint64(line * columns.shape[1])
                for i in range(rows):
                    above = (row + i) * stride[0] - padding[0] + kh * dilation[0]
                    if above < 0 or above >= height:
                        for j in range(np.uint64(out_width)):
                            target[to + j] = 0
                        to += np.uint64(out_width)
                        continue
                    for j in range(before):
                        target[to + j] = 0
                    to += before
                    at = np.uint64((channel * height + above) * length + begin)
                    if step == np.uint64(1):
                        for j in range(seen):
                            target[to + j] = source[at + j]
                    else:
                        for j in range(seen):
                            target[to + j] = source[at + j * step]
                    to += seen
                    for j in range(after):
                        target[to + j] = 0
                    to += after
                line += 1


@jit
def _add_columns(columns: Any, x: Any, first: int, width: int, kernel_height: int, kernel_width: int,
                 stride: Any, padding: Any, dilation: Any, row: int, rows: int, out_width: int) -> None:
    """The adjoint of _fill_columns: add columns to the places of x that they were taken from."""
    height, length = x.shape[1], x.shape[2]
    target, source, step = x.reshape(-1), columns.reshape(-1), np.uint64(stride[1])
    line = 0
    for channel in range(first, first + width):
        for kh in range(kernel_height):
            for kw in range(kernel_width):
                left, count, begin = _visible(kw, stride[1], padding[1], dilation[1], length, out_width)
                seen = np.uint64(count)
                for i in range(rows):
                    below = (row + i) * stride[0] - padding[0] + kh * dilation[0]
                    if below < 0 or below >= height:
                        continue
                    at = np.uint64(line * columns.shape[1] + i * out_width + left)
                    to = np.uint64((channel * height + below) * length + begin)
                    if step == np.uint64(1):
                        for j in range(seen):
                            target[to + j] += source[at + j]
                    else:
                        for j in range(seen):
                            target[to + j * step] += source[at + j]
                line += 1


@tasks
def _forward(task: int, x: Any, weight: Any, y: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int) -> None:
    """y (N, O, OH, OW) from x (N, C, H, W) and weight (O, C / G, KH, KW), in tiles of `rows` output rows."""
    batch, outputs, out_height, out_width = y.shape
    inner, kernel_height, kernel_width = weight.shape[1], weight.shape[2], weight.shape[3]
    share, depth, positions = outputs // groups, inner * kernel_height * kernel_width, out_height * out_width
    tiles = (out_height + rows - 1) // rows
    n, group, tile = task // (groups * tiles), task // tiles % groups, task % tiles
    row = tile * rows
    count = min(rows, out_height - row)
    columns = np.empty((depth, count * out_width), x.dtype)
    _fill_columns(columns, x[n], group * inner, inner, kernel_height, kernel_width,
                  stride, padding, dilation, row, count, out_width)
    # (O/G, C/G K) @ (C/G K, tile) -> y[n, group, tile]
    gemm(False, False, share, count * out_width, depth, 1.0, weight[group * share:], depth,
         columns, count * out_width, 0.0, y[n, group * share:, row:], positions)


@tasks
def _transpose(task: int, y: Any, weight: Any, x: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int,
               block: int) -> None:
    """x (N, C, H, W) of zeros += the adjoint of _forward at y, in blocks of input channels and tiles of output rows."""
    batch, outputs, out_height, out_width = y.shape
    inner, kernel_height, kernel_width = weight.shape[1], weight.shape[2], weight.shape[3]
    share, kernel, positions = outputs // groups, kernel_height * kernel_width, out_height * out_width
    blocks = (inner + block - 1) // block
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


@tasks
def _weight(task: int, x: Any, y: Any, sums: Any, stride: Any, padding: Any, dilation: Any, groups: int, rows: int,
            block: int) -> None:
    """sums (shares, O, C / G, KH, KW): each share of the images adds up its part of the adjoint in the weight."""
    batch, outputs, out_height, out_width = y.shape
    shares, inner, kernel_height, kernel_width = sums.shape[0], sums.shape[2], sums.shape[3], sums.shape[4]
    part, kernel, positions = outputs // groups, kernel_height * kernel_width, out_height * out_width
    blocks = (inner + block - 1) // block
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


def _declines(first: Any, second: Any, work: int) -> bool:
    """Whether the reference is to do it, for the arrays' kind or because there are few multiplications."""
    return not AVAILABLE or not is_plane(first) or first.dtype != second.dtype or work < SMALLEST


def _is_depthwise(inner: int, groups: int) -> bool:
    """Whether each of several input channels has kernels of its own."""
    return inner == 1 and groups > 1


def _form(kernel: Any, work: int) -> Any:
    """The kernel over threads, or on this thread alone where there is too little to share."""
    return kernel if work >= SHARED else kernel.serial


def _tile_rows(depth: int, out: Sizes) -> int:
    """How many output rows' columns, of `depth` elements a position, make a tile."""
    return max(1, min(out[0], TILE // max(1, depth * out[1])))


def _blocks(inner: int, kernel: Sizes, wanted: int) -> int:
    """Into how many blocks to cut a group's channels: no more than wanted, each with 256 lines of columns or more."""
    return max(1, min(wanted, inner, inner * prod(kernel) // 256))


def convolution(x: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """x (N, C, *S), weight (O, C / groups, *K) -> (N, O, *out); see the reference.

    >>> convolution(np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1)
    array([[[2., 2.]]])
    """
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    work = x.shape[0] * weight.size * prod(out)
    if _declines(x, weight, work):
        return reference.convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    shape = (x.shape[0], weight.shape[0], *pair(1, out))
    if _is_depthwise(weight.shape[1], groups):
        y = np.empty(shape, x.dtype)
        _form(depthwise, work)(x.shape[0] * x.shape[1], plane(x), plane(weight), y, pair(1, stride), pair(0, padding),
                               pair(1, dilation))
        return y.reshape(*shape[:2], *out)
    y = np.empty(shape, x.dtype)
    rows = _tile_rows(prod(weight.shape[1:]), y.shape[2:])
    count = x.shape[0] * int(groups) * -(-y.shape[2] // rows)
    _form(_forward, work)(count, plane(x), plane(weight), y, pair(1, stride), pair(0, padding), pair(1, dilation), int(groups),
                          rows)
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
    work = y.size * prod(weight.shape[1:])
    if _declines(y, weight, work):
        return reference.convolution_transpose(y, weight, stride=stride, padding=padding, dilation=dilation,
                                               groups=groups, size=size)
    x = np.zeros((*shape[:2], *pair(1, size)), y.dtype)
    y, weight = plane(y), plane(weight)
    if _is_depthwise(inner, groups):
        _form(depthwise_transpose, work)(x.shape[0] * x.shape[1], y, weight, x, pair(1, stride), pair(0, padding),
                                         pair(1, dilation))
        return x.reshape(shape)
    block = -(-inner // _blocks(inner, weight.shape[2:], SHARES // max(1, y.shape[0] * groups)))
    count = x.shape[0] * int(groups) * -(-inner // block)
    _form(_transpose, work)(count, y, weight, x, pair(1, stride), pair(0, padding), pair(1, dilation), int(groups),
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
    work = y.size * prod(shape[1:])
    if _declines(x, y, work):
        return reference.convolution_weight(x, y, stride=stride, padding=padding, dilation=dilation, groups=groups,
                                            size=size)
    x, y, kernel = plane(x), plane(y), pair(1, size)
    if _is_depthwise(inner, groups):
        sums = depthwise_weight(x, y, kernel, pair(1, stride), pair(0, padding), pair(1, dilation), work < SHARED)
        return sums.reshape(shape)
    # Blocks of channels first, since they need no sums to be added; then shares of the images.
    blocks = _blocks(inner, kernel, SHARES // groups)
    shares = max(1, min(x.shape[0], SHARES // (groups * blocks)))
    block = -(-inner // blocks)
    sums = np.empty((shares, *shape[:2], *kernel), x.dtype)
    count = shares * int(groups) * -(-inner // block)
    _form(_weight, work)(count, x, y, sums, pair(1, stride), pair(0, padding), pair(1, dilation), int(groups),
                         _tile_rows(block * prod(kernel), y.shape[2:]), block)
    return (sums[0] if shares == 1 else sums.sum(0)).reshape(shape)
