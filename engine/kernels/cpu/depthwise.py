"""Depthwise convolution and its two adjoints: every input channel has kernels of its own, and no sum is over channels.

There a matrix product has nothing to reuse, so the sums are done directly, one plane at a time in a buffer in the
cache. The buffer holds the padded plane cut into phases: phase (r, s) has the rows r, r + stride, r + 2 stride … and
the columns s, s + stride …. What a kernel element sees, for all outputs, is then one contiguous piece of the buffer,
whatever the stride: output (i, j) is at i * width + j, and the input that kernel element (kh, kw) multiplies with
lies a constant further on. Each row of the pieces is as long as a phase's; what lies between the outputs' end and the
row's end counts for nothing.

An output channel o belongs to the input channel o // multiplier. Which task does what depends on the shapes alone, so
the bits do not depend on the number of threads.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.jit import jit, tasks

# Elements of a piece that are worked on at a time, by all kernel elements, while they are in the first-level cache
BLOCK = 1 << 12
# depthwise_weight divides its work into at least about this many tasks
SHARES = 16


@jit
def _phases(out: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Along one axis: how many phases are seen, and how long each is."""
    reach = dilation * (kernel - 1)
    return min(stride, reach + 1), out + reach // stride


@jit
def _piece(position: int, stride: int, dilation: int) -> tuple[int, int]:
    """Along one axis: the phase that a kernel position sees, and where it begins there."""
    return position * dilation % stride, position * dilation // stride


@jit
def _inside(phase: int, stride: int, padding: int, size: int, length: int) -> tuple[int, int]:
    """Along one axis: the part of a phase (first, end) that is of the input and not of the padding."""
    shift = phase - padding
    first = min(length, max(0, (stride - 1 - shift) // stride))
    return first, max(first, min(length, (size - 1 - shift) // stride + 1))


@jit
def _copy(source: Any, at: int, target: Any, to: int, count: int) -> None:
    """target[to + j] = source[at + j] for j < count, in flat arrays. Unsigned positions cannot mean "from the end", and
    without the test for that the loop is vectorised."""
    first, start = np.uint64(at), np.uint64(to)
    for j in range(np.uint64(count)):
        target[start + j] = source[first + j]


@jit
def _move(buffer: Any, x: Any, stride: Any, padding: Any, backward: bool) -> None:
    """buffer (phases, phases, rows, columns) = the phases of x (H, W); backward, x = the buffer."""
    height, width = x.shape
    above, beside, rows, columns = buffer.shape
    plane, phases, step = x.reshape(-1), buffer.reshape(-1), np.uint64(stride[1])
    for r in range(above):
        top, bottom = _inside(r, stride[0], padding[0], height, rows)
        for s in range(beside):
            left, right = _inside(s, stride[1], padding[1], width, columns)
            for i in range(top, bottom):
                at = (i * stride[0] + r - padding[0]) * width + left * stride[1] + s - padding[1]
                to = ((r * beside + s) * rows + i) * columns + left
                if stride[1] == 1 and backward:
                    _copy(phases, to, plane, at, right - left)
                elif stride[1] == 1:
                    _copy(plane, at, phases, to, right - left)
                else:
                    first, start = np.uint64(at), np.uint64(to)
                    for j in range(np.uint64(right - left)):
                        if backward:
                            plane[first + j * step] = phases[start + j]
                        else:
                            phases[start + j] = plane[first + j * step]


@tasks
def depthwise(task: int, x: Any, weight: Any, y: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """y (N, O, OH, OW) = the convolution of x (N, C, H, W) with weight (O, 1, KH, KW) in C groups."""
    channels, outputs, out_height, out_width = x.shape[1], y.shape[1], y.shape[2], y.shape[3]
    multiplier, kernel_height, kernel_width = outputs // channels, weight.shape[2], weight.shape[3]
    above, rows = _phases(out_height, kernel_height, stride[0], dilation[0])
    beside, columns = _phases(out_width, kernel_width, stride[1], dilation[1])
    length = (out_height - 1) * columns + out_width
    n, channel = task // channels, task % channels
    buffer = np.zeros((above, beside, rows, columns), x.dtype)
    _move(buffer, x[n, channel], stride, padding, False)
    source = buffer.reshape(-1)
    total = np.empty(out_height * columns, x.dtype)
    for o in range(channel * multiplier, (channel + 1) * multiplier):
        total[:] = 0
        for start in range(0, length, BLOCK):
            count = np.uint64(min(BLOCK, length - start))
            to = np.uint64(start)
            for kh in range(kernel_height):
                r, i = _piece(kh, stride[0], dilation[0])
                for kw in range(kernel_width):
                    s, j = _piece(kw, stride[1], dilation[1])
                    at = np.uint64(((r * beside + s) * rows + i) * columns + j + start)
                    factor = weight[o, 0, kh, kw]
                    for k in range(count):
                        total[to + k] += factor * source[at + k]
        target = y[n, o].reshape(-1)
        for i in range(out_height):
            _copy(total, i * columns, target, i * out_width, out_width)


@tasks
def depthwise_transpose(task: int, y: Any, weight: Any, x: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """x (N, C, H, W) of zeros becomes the adjoint of depthwise in x at y (N, O, OH, OW)."""
    channels, outputs, out_height, out_width = x.shape[1], y.shape[1], y.shape[2], y.shape[3]
    multiplier, kernel_height, kernel_width = outputs // channels, weight.shape[2], weight.shape[3]
    above, rows = _phases(out_height, kernel_height, stride[0], dilation[0])
    beside, columns = _phases(out_width, kernel_width, stride[1], dilation[1])
    length = (out_height - 1) * columns + out_width
    n, channel = task // channels, task % channels
    buffer = np.zeros((above, beside, rows, columns), x.dtype)
    target = buffer.reshape(-1)
    source = np.zeros(out_height * columns, x.dtype)
    for o in range(channel * multiplier, (channel + 1) * multiplier):
        given = y[n, o].reshape(-1)
        for i in range(out_height):
            _copy(given, i * out_width, source, i * columns, out_width)
        for start in range(0, length, BLOCK):
            count = np.uint64(min(BLOCK, length - start))
            at = np.uint64(start)
            for kh in range(kernel_height):
                r, i = _piece(kh, stride[0], dilation[0])
                for kw in range(kernel_width):
                    s, j = _piece(kw, stride[1], dilation[1])
                    to = np.uint64(((r * beside + s) * rows + i) * columns + j + start)
                    factor = weight[o, 0, kh, kw]
                    for k in range(count):
                        target[to + k] += factor * source[at + k]
    _move(buffer, x[n, channel], stride, padding, True)


@tasks
def _weight_sums(task: int, x: Any, y: Any, sums: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """sums (shares, O, KH, KW), float64: each share of the images adds up its part of the adjoint in the weight."""
    batch, channels, outputs, out_height, out_width = x.shape[0], x.shape[1], y.shape[1], y.shape[2], y.shape[3]
    shares, kernel_height, kernel_width = sums.shape[0], sums.shape[2], sums.shape[3]
    multiplier = outputs // channels
    above, rows = _phases(out_height, kernel_height, stride[0], dilation[0])
    beside, columns = _phases(out_width, kernel_width, stride[1], dilation[1])
    length = (out_height - 1) * columns + out_width
    own, channel = task // channels, task % channels
    buffer = np.zeros((above, beside, rows, columns), x.dtype)
    source = buffer.reshape(-1)
    given = np.zeros(out_height * columns, x.dtype)
    sums[own, channel * multiplier:(channel + 1) * multiplier] = 0
    for n in range(own * batch // shares, (own + 1) * batch // shares):
        _move(buffer, x[n, channel], stride, padding, False)
        for o in range(channel * multiplier, (channel + 1) * multiplier):
            output = y[n, o].reshape(-1)
            for i in range(out_height):
                _copy(output, i * out_width, given, i * columns, out_width)
            for start in range(0, length, BLOCK):
                count = np.uint64(min(BLOCK, length - start))
                to = np.uint64(start)
                for kh in range(kernel_height):
                    r, i = _piece(kh, stride[0], dilation[0])
                    for kw in range(kernel_width):
                        s, j = _piece(kw, stride[1], dilation[1])
                        at = np.uint64(((r * beside + s) * rows + i) * columns + j + start)
                        total = x.dtype.type(0)
                        for k in range(count):
                            total += given[to + k] * source[at + k]
                        sums[own, o, kh, kw] += total


def depthwise_weight(x: Any, y: Any, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any,
                     serial: bool) -> Any:
    """The adjoint of depthwise in the weight: x (N, C, H, W), y (N, O, OH, OW) -> (O, 1, KH, KW)."""
    shares = max(1, min(x.shape[0], SHARES // x.shape[1]))
    sums = np.empty((shares, y.shape[1], *kernel))
    (_weight_sums.serial if serial else _weight_sums)(sums.shape[0] * x.shape[1], x, y, sums, stride, padding,
                                                                 dilation)
    return sums.sum(0)[:, None].astype(x.dtype)
