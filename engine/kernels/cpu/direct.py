"""Direct convolution and its two adjoints: sums of products with a tile of sums in registers (vectors.py), without columns.

A task copies what it needs of a few images into a buffer in the cache, padded and cut into phases (phases.py). There, for
all outputs at once, the q-th kernel element (an input channel, kh, kw) looks at one contiguous piece, at a fixed offset; so
a convolution is a matrix product weight (O, Q) @ pieces (Q, positions) whose right side is never written down.

- **The convolution** multiplies tiles of OUTPUTS channels × a few vectors of positions.
- **Its adjoint in the input** is the same sum over the output's gradient: to an input of phase (a, b), that is to the rows
  a, a + stride … and the columns b, b + stride …, only those kernel elements contribute that are a multiple of the stride
  away. For each phase there is a list of them, and the results are put back a stride apart.
- **The adjoint in the weight** sums over positions: tiles of OUTPUTS channels × PIECES kernel elements.

The order of the sum over q is the order of the weight's elements, in runs of CHUNK; in the weight's adjoint each
share of the images is summed for itself. How the work is cut depends on the shapes alone, so the bits do not depend
on the number of threads.

Floor: the multiplications at two vectors a cycle. Between the rows (and where images are worked on together, between them)
lie positions that count for nothing: columns / OW of the work, 30 / 28 for a 3×3 kernel at a width of 28.

These positions see elements of the wrong rows. Of the sums they are dropped; in the weight's adjoint they meet a
gradient of zero, and so would make a NaN of an infinity: `convolution.py` looks at the result and leaves it to the reference
where it is not finite. Likewise the adjoint in the input multiplies zeros beyond the output's edge with the weight.
"""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.phases import move
from chainrule.kernels.cpu.vectors import (
    LINE,
    OUTPUTS,
    PIECES,
    VECTOR,
    correlate_line,
    correlate_tile,
    move_row,
    multiply_line,
    multiply_narrow,
    multiply_tile,
)

__all__ = ["correlate", "forward", "transpose"]

Pair = tuple[int, int]

CHUNK = 512  # kernel elements whose products are summed before they are added to the result
BUFFER = 1 << 19  # bytes of a task's buffers, which a core's second-level cache holds
TASKS = 8  # a kernel's work is divided into at least about this many tasks
POSITIONS = 384  # images of fewer positions are worked on together
PACKED = 1 << 15  # weights of fewer elements are packed by the calling thread
LONG = 1024  # likewise in the weight's adjoint, where a tile's sums are added up at the end


@tasks
def _pack(task: int, weight: Any, places: Any, group: int, step: int, count: int, packed: Any, finite: Any) -> None:
    """packed (G, blocks, Q, lines)[g, b, q, o] = weight[places[q] + g * group + (b * lines + o) * step], zero beyond `count`.

    finite (G * blocks,): whether all of a task's weights are.
    """
    blocks, kernel, lines = packed.shape[1], packed.shape[2], packed.shape[3]
    own, block = task // blocks, task % blocks
    target, total = packed[own, block], packed.dtype.type(0)
    for q in range(kernel):
        for o in range(lines):
            channel = block * lines + o
            value = weight[places[q] + own * group + channel * step] if channel < count else packed.dtype.type(0)
            target[q, o] = value
            total += value * packed.dtype.type(0)
    finite[task] = total == 0


@tasks
def _apply(task: int, source: Any, packed: Any, offsets: Any, segments: Any, bias: Any, target: Any, source_stride: Any,
           padding: Any, shape: Any, images: int, band: int, target_stride: Any) -> None:
    """target (N, O, H, W) = the sums of packed weights times pieces of source (N, C, …), + bias (O,) if it has elements.

    offsets (Q,): where in the buffer of (C / G, phases, images, rows, columns) a kernel element looks. segments: which q
    contribute to the first phase of the target, the second …. A task is `images` images, a group and `band` rows of a phase.
    """
    batch, outputs, height, width = target.shape
    groups, blocks, kernel, lines = packed.shape
    inner, share, whole = source.shape[1] // groups, outputs // groups, -(-height // target_stride[0])
    bands = -(-whole // band)
    first, group, top = task // (groups * bands) * images, task // bands % groups, task % bands * band
    count, here = min(images, batch - first), min(band, whole - top)
    above, beside, rows, columns = shape
    plane = rows * columns
    pitch = images * plane
    lanes = VECTOR // source.itemsize
    buffer = np.zeros(inner * above * beside * pitch + columns + LINE * lanes, source.dtype)
    for channel in range(inner):
        for n in range(count):
            move(buffer, channel * above * beside * pitch + n * plane, pitch, shape, source[first + n, group * inner + channel],
                 source_stride, (padding[0] - top * source_stride[0], padding[1]))
    length = ((count - 1) * rows + here) * columns
    run = -(-length // lanes) * lanes + LINE * lanes
    sums = np.empty(blocks * lines * run, source.dtype)
    weights, result = packed.reshape(-1), target.reshape(-1)
    for phase in range(len(segments) - 1):
        begin, end = segments[phase], segments[phase + 1]
        a, b = phase // target_stride[1], phase % target_stride[1]
        for q in range(begin, max(end, begin + 1), CHUNK):
            at = 0
            while at < length:
                wide = LINE if lines == 1 else PIECES if length - at > 2 * lanes else 1  # vectors
                for block in range(blocks):
                    to, place = block * lines * run + at, (group * blocks + block) * kernel * lines
                    if wide == LINE:
                        multiply_line(sums, to, run, weights, place, buffer, at, offsets, q, min(end, q + CHUNK), q == begin)
                    elif wide == PIECES:
                        multiply_tile(sums, to, run, weights, place, buffer, at, offsets, q, min(end, q + CHUNK), q == begin)
                    else:
                        multiply_narrow(sums, to, run, weights, place, buffer, at, offsets, q, min(end, q + CHUNK), q == begin)
                at += wide * lanes
        many, step = np.uint64(max(0, -(-(width - b) // target_stride[1]))), np.uint64(target_stride[1])
        for o in range(share):
            shift = bias[group * share + o] if bias.size > 0 else source.dtype.type(0)
            for n in range(count):
                for i in range(here):
                    row = a + target_stride[0] * (top + i)
                    if row >= height:
                        break
                    start = o * run + n * plane + i * columns
                    line = (((first + n) * outputs + group * share + o) * height + row) * width + b
                    if target_stride[1] == 1:
                        move_row(result, line, sums, start, width, shift)
                    else:
                        for j in range(many):
                            result[np.uint64(line) + j * step] = sums[np.uint64(start) + j] + shift


@tasks
def _correlate(task: int, x: Any, y: Any, offsets: Any, sums: Any, totals: Any, stride: Any, padding: Any, shape: Any,
               images: int, band: int, width: int, part: int) -> None:
    """sums (shares, G, channel blocks, output blocks, Q, lines) of zeros += each share's part of the adjoint in the weight.

    Q is that of a block of `width` input channels, a multiple of PIECES; `part` output channels are worked on together, `lines`
    make a tile. totals (shares, O) of zeros += the sums of y, if it has elements.
    """
    batch, outputs, height, across = y.shape
    shares, groups, blocks, kernel, tile = sums.shape[0], sums.shape[1], sums.shape[2], sums.shape[4], sums.shape[5]
    parts = sums.shape[3] * tile // part
    inner, share = x.shape[1] // groups, outputs // groups
    own, group = task // (groups * blocks * parts), task // (blocks * parts) % groups
    block, lowest = task // parts % blocks, task % parts * part
    channels, lines = min(width, inner - block * width), min(part, share - lowest)
    above, beside, rows, columns = shape
    plane = rows * columns
    pitch, lanes = images * plane, VECTOR // x.itemsize
    run = -(-pitch // lanes) * lanes
    buffer, given = np.zeros(width * above * beside * pitch + columns + lanes, x.dtype), np.zeros(part * run, x.dtype)
    output, result, bands = y.reshape(-1), sums.reshape(-1), -(-height // band)
    start = (((own * groups + group) * blocks + block) * sums.shape[3] * tile + lowest) * kernel
    units = -(-batch // images) * bands
    for unit in range(own * units // shares, (own + 1) * units // shares):
        first, top = unit // bands * images, unit % bands * band
        count, here = min(images, batch - first), min(band, height - top)
        if bands > 1:
            buffer[:] = 0  # what is padding in one band is not in the next
        for channel in range(channels):
            for n in range(count):
                move(buffer, channel * above * beside * pitch + n * plane, pitch, shape,
                     x[first + n, group * inner + block * width + channel], stride,
                     (padding[0] - top * stride[0], padding[1]))
        length = ((count - 1) * rows + here) * columns
        padded = -(-length // lanes) * lanes
        for o in range(lines):
            channel = group * share + lowest + o
            given[o * run + length:o * run + padded] = 0
            for n in range(count):
                for i in range(here):
                    move_row(given, o * run + n * plane + i * columns, output,
                             (((first + n) * outputs + channel) * height + top + i) * across, across, x.dtype.type(0))
            if totals.size > 0 and block == 0:
                total, at = x.dtype.type(0), np.uint64(o * run)
                for t in range(np.uint64(length)):
                    total += given[at + t]
                totals[own, channel] += total
        for o in range(0, lines, tile):
            for q in range(0, kernel, PIECES):
                to = start + o * kernel + q * tile
                if tile == 1:
                    correlate_line(result, to, given, o * run, run, buffer, offsets, q, padded)
                else:
                    correlate_tile(result, to, given, o * run, run, buffer, offsets, q, padded)


def _lines(outputs: int) -> int:
    """How many output channels a tile has: one, where a group has no more than two."""
    return 1 if outputs <= 2 else OUTPUTS


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _cut(batch: int, groups: int, whole: int, extra: int, columns: int, position: int, least: int) -> Pair:
    """How many images, or which part of one's `whole` rows, are worked on together: (images, rows).

    position: the bytes of a position in the buffers. extra: further rows that the buffer has.
    """
    images = max(1, min(least // ((whole + extra) * columns), -(-batch * groups // TASKS)))
    if images > 1:
        return min(images, batch), whole
    shared = -(-whole // -(-TASKS // (batch * groups)))  # where there are few images, each is cut
    fits = BUFFER // (position * columns) - extra
    return 1, min(whole, max(min(shared, fits), -(-least // (4 * columns))))


def _axis(out: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, Any, Any]:
    """Along one axis: the phases, the further rows of a phase, and for each kernel element its phase and where it begins."""
    reach, at = dilation * (kernel - 1), np.arange(kernel) * dilation
    return min(stride, reach + 1), reach // stride, at % stride, at // stride


def _table(channels: int, pitch: int, vertical: Any, across: Any, beside: int, columns: int) -> Any:
    """(channels, KH, KW): where in the buffer each kernel element looks, from the phases and beginnings of both axes."""
    above, (r, i), (s, j) = vertical[0], vertical[2:], across[2:]
    place = (r[:, None] * beside + s) * pitch + i[:, None] * columns + j
    return np.arange(channels)[:, None, None] * (above * beside * pitch) + place


def _packed(weight: Any, places: Any, groups: int, group: int, step: int, count: int) -> tuple[Any, bool]:
    """The weights in the order in which a tile reads them, and whether all are finite."""
    lines = _lines(count)
    blocks = -(-count // lines)
    packed = np.empty((groups, blocks, len(places), lines), weight.dtype)
    finite = np.empty(groups * blocks, np.bool_)
    form = _pack if weight.size >= PACKED else _pack.serial
    form(groups * blocks, weight.reshape(-1), places, group, step, count, packed, finite)
    return packed, bool(finite.all())


@lru_cache(maxsize=512)
def _forward_plan(batch: int, inner: int, share: int, groups: int, out: Pair, kernel: Pair, stride: Pair, dilation: Pair,
                  itemsize: int) -> Any:
    vertical, across = (_axis(o, k, s, d) for o, k, s, d in zip(out, kernel, stride, dilation))
    columns, seen = out[1] + across[1], vertical[0] * across[0]
    images, band = _cut(batch, groups, out[0], vertical[1], columns, max(inner * seen, share) * itemsize, POSITIONS)
    rows = band + vertical[1]
    offsets = _table(inner, images * rows * columns, vertical, across, across[0], columns).reshape(-1)
    tasks = -(-batch // images) * groups * -(-out[0] // band)
    return (tasks, np.arange(len(offsets)), offsets, np.array([0, len(offsets)]), (vertical[0], across[0], rows, columns),
            images, band)


def forward(x: Any, weight: Any, bias: Any, y: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int,
            serial: bool) -> None:
    """y (N, O, OH, OW) = convolution of x (N, C, H, W) with weight (O, C / G, KH, KW), + bias (O,) if it has elements."""
    inner, share, kernel = weight.shape[1], weight.shape[0] // groups, weight.shape[2:]
    tasks, places, offsets, segments, shape, images, band = _forward_plan(
        x.shape[0], inner, share, groups, y.shape[2:], kernel, stride, dilation, x.itemsize)
    taps = inner * kernel[0] * kernel[1]
    packed, _ = _packed(weight, places, groups, share * taps, taps, share)
    (_apply.serial if serial else _apply)(tasks, x, packed, offsets, segments, bias, y, stride, padding, shape, images, band,
                                          (1, 1))


@lru_cache(maxsize=512)
def _transpose_plan(batch: int, inner: int, share: int, groups: int, size: Pair, kernel: Pair, stride: Pair, padding: Pair,
                    dilation: Pair, itemsize: int) -> Any:
    """To input a + stride * I of an axis, kernel element k brings output (a + padding - k * dilation) / stride + I."""
    lowest = [(p - (k - 1) * d) // s for k, s, p, d in zip(kernel, stride, padding, dilation)]
    whole, wide = (-(-n // s) for n, s in zip(size, stride))
    extra, more = ((s - 1 + p) // s - low for s, p, low in zip(stride, padding, lowest))
    columns = wide + more
    images, band = _cut(batch, groups, whole, extra, columns, max(share, inner) * itemsize, POSITIONS)
    rows = band + extra
    pitch, element = images * rows * columns, np.arange(share)[:, None, None]
    offsets, places, segments = [], [], [0]
    for a in range(stride[0]):
        for b in range(stride[1]):
            (kh, i), (kw, j) = (_contributing(phase, k, s, p, d, low) for phase, k, s, p, d, low in
                                zip((a, b), kernel, stride, padding, dilation, lowest))
            offsets.append((element * pitch + i[:, None] * columns + j).reshape(-1))
            places.append((element * (inner * prod(kernel)) + kh[:, None] * kernel[1] + kw).reshape(-1))
            segments.append(segments[-1] + len(places[-1]))
    tasks = -(-batch // images) * groups * -(-whole // band)
    return (tasks, np.concatenate(places), np.concatenate(offsets), np.array(segments), (1, 1, rows, columns), images, band,
            (-lowest[0], -lowest[1]))


def _contributing(phase: int, kernel: int, stride: int, padding: int, dilation: int, lowest: int) -> tuple[Any, Any]:
    """Along one axis, to a phase of the input: the kernel elements that contribute, and where in the buffer each looks."""
    k = np.arange(kernel)
    distance = phase + padding - k * dilation
    k = k[distance % stride == 0]
    return k, distance[k] // stride - lowest


def transpose(y: Any, weight: Any, bias: Any, x: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int,
              serial: bool) -> bool:
    """x (N, C, H, W) = the adjoint of the convolution in its input at y (N, O, OH, OW), + bias (C,) if it has elements.

    False, and x is not written, where a weight is not finite: zeros beyond the edge would make it a NaN.
    """
    inner, share, kernel = weight.shape[1], weight.shape[0] // groups, weight.shape[2:]
    tasks, places, offsets, segments, shape, images, band, before = _transpose_plan(
        y.shape[0], inner, share, groups, x.shape[2:], kernel, stride, padding, dilation, y.itemsize)
    taps = kernel[0] * kernel[1]
    packed, finite = _packed(weight, places, groups, share * inner * taps, taps, inner)
    if finite:
        (_apply.serial if serial else _apply)(tasks, y, packed, offsets, segments, bias, x, (1, 1), before, shape, images, band,
                                              stride)
    return finite


@lru_cache(maxsize=512)
def _weight_plan(batch: int, inner: int, share: int, groups: int, out: Pair, kernel: Pair, stride: Pair, dilation: Pair,
                 itemsize: int) -> Any:
    vertical, across = (_axis(o, k, s, d) for o, k, s, d in zip(out, kernel, stride, dilation))
    columns, seen = out[1] + across[1], vertical[0] * across[0]
    images, band = _cut(batch, 1, out[0], vertical[1], columns, _lines(share) * seen * itemsize, LONG)
    rows = band + vertical[1]
    pitch, units = images * rows * columns, -(-batch // images) * -(-out[0] // band)
    lines = _lines(share)
    part = 1 if lines == 1 else min(_up(share, OUTPUTS), max(1, BUFFER // (pitch * itemsize * OUTPUTS)) * OUTPUTS)
    parts = -(-share // part)
    blocks = -(-inner // max(1, BUFFER // (seen * pitch * itemsize)))
    blocks = min(inner, max(blocks, -(-TASKS // (units * groups * parts))))
    width = -(-inner // blocks)
    blocks = -(-inner // width)
    shares = max(1, min(units, TASKS // (groups * parts * blocks)))
    offsets = _table(width, pitch, vertical, across, across[0], columns).reshape(-1)
    taps = len(offsets)
    offsets = np.concatenate([offsets, np.zeros(_up(taps, PIECES) - taps, np.int64)])
    layout = shares, groups, blocks, parts * part // lines, len(offsets), lines
    return offsets, layout, taps, (vertical[0], across[0], rows, columns), images, band, width, part


def correlate(x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int, bias: bool,
              serial: bool) -> tuple[Any, Any]:
    """The adjoint in the weight at x (N, C, H, W) and y (N, O, OH, OW): (O, C / G, KH, KW); and if `bias`, y's sums (O,)."""
    inner, share = x.shape[1] // groups, y.shape[1] // groups
    offsets, layout, taps, shape, images, band, width, part = _weight_plan(
        x.shape[0], inner, share, groups, y.shape[2:], kernel, stride, dilation, x.itemsize)
    sums = np.zeros(layout, x.dtype)
    totals = np.zeros((layout[0], y.shape[1] if bias else 0), x.dtype)
    tasks = layout[0] * groups * layout[2] * (layout[3] * layout[5] // part)
    (_correlate.serial if serial else _correlate)(tasks, x, y, offsets, sums, totals, stride, padding, shape, images, band,
                                                  width, part)
    # (G, channel blocks, output blocks, Q, lines) -> (G, output blocks, lines, channel blocks, Q) -> (G, O / G, C / G * KH * KW)
    whole = sums.sum(0)[:, :, :, :taps].transpose(0, 2, 4, 1, 3).reshape(groups, layout[3] * layout[5], -1)
    return whole[:, :share, :inner * prod(kernel)].reshape(y.shape[1], inner, *kernel), totals.sum(0) if bias else None
