"""Depthwise convolution, one kernel for each channel, and its adjoints: plane by plane, with nothing but the sums themselves.

A plane (H, W) is copied into a buffer in the first-level cache, with zeros around it. Then an output row is a sum over the kernel's
elements, as many outputs at a time as a vector has lanes, written straight to where it belongs.

- **The adjoint in the input** is the same with the kernel mirrored, of the output's gradient with zeros between its elements
  where the stride is more than one: more multiplications than necessary, of which there are few.
- **The adjoint in the weight** keeps a vector of sums for each kernel element of each channel, for a share of the images.

It is there beside direct.py, which can do the same, since a group of one channel leaves a tile of
sums nothing to share: there it is overhead that takes the time.

Floor: the memory.
"""

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.sums import total
from chainrule.kernels.cpu.vectors import VECTOR, Code, move_row

__all__ = ["depthwise", "depthwise_adjoint", "depthwise_weight", "suits_depthwise"]

Pair = tuple[int, int]

TASK = 1 << 14  # elements that a task has about
SHARES = 8  # that the images are cut into for the adjoint in the weight
AHEAD = 1024  # elements beyond the one that is written, whose line of memory is asked for
ROWS = 4  # output rows that are worked on together, where there are so many: sums that do not wait for one another


def _filter(stride: int, height: int) -> Any:
    @intrinsic
    def filter_rows(typing: Any, out: Any, to: Any, pitch: Any, count: Any, shift: Any, weight: Any, first: Any, step: Any,
                    source: Any, at: Any, below: Any, offsets: Any) -> Any:
        """out[to + i * pitch + j] = shift + Σ_q weight[first + q * step] source[at + i * below + j * stride + offsets[q]]

        for i < height and j < count.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, to, pitch, count, shift, weight, first, step, source, at, below, offsets = values
            kinds = signature.args
            code = Code(context, builder, kinds[0])
            lines = [(code.pointer(kinds[0], out, to, builder.mul(pitch, count.type(i))),
                      code.pointer(kinds[8], source, at, builder.mul(below, count.type(i)))) for i in range(height)]
            factors, more = code.pointer(kinds[5], weight, first), code.spread(shift)
            sums = [cgutils.alloca_once(builder, code.vector) for _ in lines]
            taps, places = context.make_array(kinds[11])(context, builder, offsets).nitems, code.pointer(kinds[11], offsets)

            def found(j: Any, left: Any) -> None:
                begins = [builder.gep(origin, [builder.mul(j, count.type(stride))]) for _, origin in lines]
                for register in sums:
                    builder.store(code.vector(None), register)

                with cgutils.for_range(builder, taps, intp=count.type) as q:
                    place = builder.load(builder.gep(places, [q.index]))
                    factor = code.spread(builder.load(builder.gep(factors, [builder.mul(q.index, step)])))
                    for register, begin in zip(sums, begins, strict=True):
                        code.accumulate(register, factor, code.load_apart(builder.gep(begin, [place]), stride, left))
                for register, (target, _) in zip(sums, lines, strict=True):
                    place = builder.gep(target, [j])
                    code.prefetch(code.step(place, AHEAD))
                    code.store_some(builder.fadd(builder.load(register), more), place, left)

            code.sweep(count, found)
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, number, number, out.dtype, weight, number, number, source, number, number, offsets), build
    return filter_rows


def _correlate(stride: int) -> Any:
    @intrinsic
    def correlate_plane(typing: Any, out: Any, start: Any, left: Any, height: Any, width: Any, source: Any, below: Any,
                        offsets: Any) -> Any:
        """out[start + q * lanes + j % lanes] += left[i * width + j] source[i * below + j * stride + offsets[q]]

        over i < height and j < width, which are a multiple of ROWS and one of lanes.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, start, left, height, width, source, below, offsets = values
            kinds, kind = signature.args, width.type
            code = Code(context, builder, kinds[0])
            target, lanes, zero = code.pointer(kinds[0], out, start), kind(code.lanes), kind(0)
            given, origin = code.pointer(kinds[2], left), code.pointer(kinds[5], source)
            taps, places = context.make_array(kinds[7])(context, builder, offsets).nitems, code.pointer(kinds[7], offsets)
            sums = [cgutils.alloca_once(builder, code.vector) for _ in range(ROWS)]
            with cgutils.for_range(builder, taps, intp=kind) as q:
                begin = builder.gep(origin, [builder.load(builder.gep(places, [q.index]))])
                for register in sums:
                    builder.store(code.vector(None), register)
                with cgutils.for_range_slice(builder, zero, height, kind(ROWS), kind) as (i, _):
                    lines = [builder.add(i, kind(row)) for row in range(ROWS)]
                    factors = [builder.gep(given, [builder.mul(line, width)]) for line in lines]
                    seen = [builder.gep(begin, [builder.mul(line, below)]) for line in lines]
                    with cgutils.for_range_slice(builder, zero, width, lanes, kind) as (j, _):
                        far = builder.mul(j, kind(stride))
                        for register, factor, line in zip(sums, factors, seen, strict=True):
                            value = code.load_apart(builder.gep(line, [far]), stride, None)
                            code.accumulate(register, code.load(builder.gep(factor, [j])), value)
                found = builder.load(sums[0])
                for register in sums[1:]:
                    found = builder.fadd(found, builder.load(register))
                home = builder.gep(target, [builder.mul(q.index, lanes)])
                code.store(builder.fadd(code.load(home), found), home)
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, left, number, number, source, number, offsets), build
    return correlate_plane


_filter_near, _filter_apart = _filter(1, ROWS), _filter(2, ROWS)
_filter_row_near, _filter_row_apart = _filter(1, 1), _filter(2, 1)
_correlate_near, _correlate_apart = _correlate(1), _correlate(2)


@jit
def _filter_plane(y: Any, start: int, height: int, width: int, shift: Any, weight: Any, first: int, step: int, buffer: Any,
                  columns: int, offsets: Any, stride: Any) -> None:
    """The plane of y (flat) from `start` on = the sums of weight's elements from `first` on times pieces of the buffer, + shift."""
    below = stride[0] * columns
    together, lanes = ROWS if height >= ROWS else 1, VECTOR // y.itemsize
    for i in range(0, height, together):
        top = min(i, height - together)  # the last rows may be done twice
        to, at = start + top * width, top * below
        # a short row is written as a whole vector, whose end later rows overwrite, where that is inside of the plane
        inside = (top + together - 1) * width + lanes <= height * width
        count = max(width, lanes) if inside else width
        if together == ROWS:
            if stride[1] == 1:
                _filter_near(y, to, width, count, shift, weight, first, step, buffer, at, below, offsets)
            else:
                _filter_apart(y, to, width, count, shift, weight, first, step, buffer, at, below, offsets)
        elif stride[1] == 1:
            _filter_row_near(y, to, width, count, shift, weight, first, step, buffer, at, below, offsets)
        else:
            _filter_row_apart(y, to, width, count, shift, weight, first, step, buffer, at, below, offsets)


@jit
def _copy(buffer: Any, rows: int, columns: int, x: Any, begin: int, size: Any, padding: Any, spread: Any) -> None:
    """The flat buffer (rows, columns) = the plane of x (flat) of this size from `begin` on, padded and its elements spread."""
    for i in range(size[0]):
        to, at = (padding[0] + i * spread[0]) * columns + padding[1], begin + i * size[1]
        if padding[0] + i * spread[0] >= rows:
            break
        if spread[1] == 1:
            move_row(buffer, to, x, at, size[1], x.dtype.type(0))
        else:
            for j in range(size[1]):
                buffer[to + j * spread[1]] = x[at + j]


@tasks
def _apply(task: int, x: Any, weight: Any, mirrored: bool, bias: Any, y: Any, shape: Pair, padding: Any, spread: Any,
           offsets: Any, stride: Any, planes: int) -> None:
    """y (N, C, OH, OW) = the sums of weight (C, KH, KW) times pieces of x (N, C, H, W), copied to `shape`; + bias (C,)."""
    channels, height, width = x.shape[1:]
    rows, columns = shape
    out_height, out_width = y.shape[2], y.shape[3]
    buffer = np.zeros(rows * columns + 2 * VECTOR // x.itemsize, x.dtype)
    source, target, taps = x.reshape(-1), y.reshape(-1), offsets.size
    step = -1 if mirrored else 1
    for p in range(task * planes, min(x.shape[0] * channels, (task + 1) * planes)):
        _copy(buffer, rows, columns, source, p * height * width, (height, width), padding, spread)
        c = p % channels
        shift, first = bias[c] if bias.size > 0 else x.dtype.type(0), c * taps + (taps - 1 if mirrored else 0)
        _filter_plane(target, p * out_height * out_width, out_height, out_width, shift, weight, first, step, buffer, columns,
                      offsets, stride)


@tasks
def _weights(share: int, x: Any, y: Any, shape: Pair, padding: Any, offsets: Any, stride: Any, sums: Any, totals: Any) -> None:
    """sums (shares, C * KH * KW * lanes) of zeros += a share of the images' adjoint in the weight; totals (shares, C) of zeros +=
    the sums of y, if it has elements."""
    images, channels, height, width = x.shape
    rows, columns = shape
    shares, out_height, out_width, lanes = sums.shape[0], y.shape[2], y.shape[3], VECTOR // x.itemsize
    line, whole = (out_width + lanes - 1) // lanes * lanes, (out_height + ROWS - 1) // ROWS * ROWS
    # as much beyond the end as rows and columns beyond the gradient's see, which are multiplied by zeros
    buffer = np.zeros((rows + ROWS * stride[0]) * columns + 2 * stride[1] * lanes, x.dtype)
    given = np.zeros(whole * line, x.dtype)
    source, output, result, taps = x.reshape(-1), y.reshape(-1), sums[share], offsets.size
    for n in range(share * images // shares, (share + 1) * images // shares):
        for c in range(channels):
            p = n * channels + c
            _copy(buffer, rows, columns, source, p * height * width, (height, width), padding, (1, 1))
            _copy(given, out_height, line, output, p * out_height * out_width, (out_height, out_width), (0, 0), (1, 1))
            if stride[1] == 1:
                _correlate_near(result, c * taps * lanes, given, whole, line, buffer, stride[0] * columns, offsets)
            else:
                _correlate_apart(result, c * taps * lanes, given, whole, line, buffer, stride[0] * columns, offsets)
            if totals.size > 0:
                totals[share, c] += total(output, p * out_height * out_width, out_height * out_width)


def suits_depthwise(channels: int, weight: Any, stride: Any, groups: int) -> bool:
    """Whether every channel has a kernel of its own, of a weight (O, C / groups, …), and windows are one or two apart.

    Measured with one thread, float32, (N, C, H), 3 × 3: milliseconds by this file and by direct.py, of the convolution and of its
    adjoints in the input and in the weight.

        (32, 128, 28)              1.34 3.06   1.34 3.17   1.62 3.14      (8, 64, 56)            0.55 0.81   0.59 0.81   0.72 0.60
        (32, 128, 28), stride 2    0.73 2.80   1.49 2.73   1.00 2.35      (32, 128, 28), 5 × 5   2.55 4.61   2.60 4.75   4.34 4.89
    """
    return bool(groups == channels == weight[0] and stride[-1] <= 2)


def _shape(out: Pair, kernel: Pair, stride: Pair, dilation: Pair, width: int) -> Pair:
    """The rows and columns that an output of this size sees, but at least `width` columns."""
    rows, columns = ((n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(out, kernel, stride, dilation))
    return rows, max(columns, width)


def _offsets(kernel: Pair, dilation: Pair, columns: int) -> Any:
    """(KH * KW,): how much further on than the first one each kernel element looks."""
    return (np.arange(kernel[0])[:, None] * (dilation[0] * columns) + np.arange(kernel[1]) * dilation[1]).reshape(-1)


def _run(x: Any, weight: Any, mirrored: bool, bias: Any, y: Any, shape: Pair, padding: Pair, spread: Pair, stride: Pair,
         dilation: Pair, serial: bool) -> None:
    planes = max(1, TASK // (shape[0] * shape[1]))
    offsets = _offsets(weight.shape[2:], dilation, shape[1])
    (_apply.serial if serial else _apply)(-(-x.shape[0] * x.shape[1] // planes), x, weight.reshape(-1), mirrored, bias, y, shape,
                                          padding, spread, offsets, stride, planes)


def depthwise(x: Any, weight: Any, bias: Any, y: Any, stride: Pair, padding: Pair, dilation: Pair, serial: bool) -> None:
    """y (N, C, OH, OW) = convolution of x (N, C, H, W) with weight (C, 1, KH, KW), + bias (C,) if it has elements."""
    shape = _shape(y.shape[2:], weight.shape[2:], stride, dilation, padding[1] + x.shape[3])
    _run(x, weight, False, bias, y, shape, padding, (1, 1), stride, dilation, serial)


def depthwise_adjoint(y: Any, weight: Any, bias: Any, x: Any, stride: Pair, padding: Pair, dilation: Pair, serial: bool) -> bool:
    """x (N, C, H, W) = the adjoint of depthwise in its input at y (N, C, OH, OW).

    False, and x is not written, where a weight is not finite: the zeros between and beyond would make it a NaN; or where more is
    padded than a kernel reaches.
    """
    before = tuple(d * (k - 1) - p for k, p, d in zip(weight.shape[2:], padding, dilation))
    if min(before) < 0 or not np.isfinite(weight).all():
        return False
    shape = _shape(x.shape[2:], weight.shape[2:], (1, 1), dilation, before[1] + (y.shape[3] - 1) * stride[1] + 1)
    _run(y, weight, True, bias, x, shape, (int(before[0]), int(before[1])), stride, (1, 1), dilation, serial)
    return True


def depthwise_weight(x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, bias: bool,
                     serial: bool) -> tuple[Any, Any]:
    """The adjoint in the weight at x (N, C, H, W) and y (N, C, OH, OW): (C, KH * KW); and if `bias`, y's sums (C,)."""
    (images, channels), taps = x.shape[:2], kernel[0] * kernel[1]
    shares = min(images, SHARES)
    sums = np.zeros((shares, channels * taps * VECTOR // x.itemsize), x.dtype)
    totals = np.zeros((shares, channels if bias else 0))
    shape = _shape(y.shape[2:], kernel, stride, dilation, padding[1] + x.shape[3])
    (_weights.serial if serial else _weights)(shares, x, y, shape, padding,
                                                       _offsets(kernel, dilation, shape[1]), stride, sums, totals)
    weight = sums.sum(0).reshape(channels, taps, -1).sum(2)
    return weight, totals.sum(0).astype(x.dtype) if bias else None
