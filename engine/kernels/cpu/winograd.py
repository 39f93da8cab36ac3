"""Convolution with 3 × 3 kernels by a quarter of the multiplications: Winograd's F(4 × 4, 3 × 3).

A polynomial product of degree 5 is determined by its values at 6 points. So 4 outputs of a 3-element filter, 12
multiplications if done directly, need 6: inputs d (6) and filter g (3) are evaluated at the points 0, 1, -1, 2, -2, ∞ by the
matrices Bᵀ and G, multiplied there, and Aᵀ brings 4 outputs back. In two dimensions,

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          Y (4, 4), d (6, 6), g (3, 3): 36 multiplications for 144

With channels, ⊙ is at each of the 36 points a matrix product over the input channels (Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2015), which the tiles of vectors.py do. A vector's lanes are images here: whatever is done for a
tile is done for 16 images (of float32, with AVX-512) at once, and a 16 × 16 transposition in registers brings images and positions
from one order to the other on the way in and out.

The adjoint in the input is the convolution with the kernels mirrored, input and output channels exchanged, padded by 2 - padding.

It differs from the definition by rounding: numbers up to 20 times as large are added on the way, so that errors are 10 to 20
times those of a direct sum (in float32 2e-6 to 1.3e-5 of the largest output, for 4 to 256 channels; tests bound it). NaN and
infinity would spread through their tile, and large numbers overflow sooner: where an output is not finite, the caller takes the
direct way.

Floor: 36 / 16 multiplications an output, for whole tiles of 4 × 4: at 14 × 14 are 12 % of rows and of columns for nothing.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.vectors import OUTPUTS, PIECES, VECTOR, Code, multiply_narrow, multiply_tile

__all__ = ["lanes", "winograd"]

POINTS = 36
VALUES = 1 << 22  # bytes of the transformed input that a task keeps
TASKS = 8

_INT = ir.IntType(64)


class _Number:
    """A vector of the code that is being written, with Python's operators."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def __add__(self, other: "_Number") -> "_Number":
        return _Number(self.code, self.code.builder.fadd(self.value, other.value, flags=("contract",)))

    def __sub__(self, other: "_Number") -> "_Number":
        return _Number(self.code, self.code.builder.fsub(self.value, other.value, flags=("contract",)))

    def __rmul__(self, factor: float) -> "_Number":
        constant = ir.Constant(self.code.vector, [float(factor)] * self.code.lanes)
        return _Number(self.code, self.code.builder.fmul(self.value, constant, flags=("contract",)))


def _inputs(d: Any) -> list[Any]:
    """Bᵀ d: six inputs to the six points."""
    a, b, c, e = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    return [4 * d[0] - 5 * d[2] + d[4], a + b, a - b, c + e, c - e, 4 * d[1] - 5 * d[3] + d[5]]


def _outputs(m: Any) -> list[Any]:
    """Aᵀ m: six points to four outputs."""
    a, b, c, e = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + a + c, b + 2 * e, a + 4 * c, b + 8 * e + m[5]]


def _both(transform: Any, square: list[list[Any]]) -> list[list[Any]]:
    """A transform of the columns, then of the rows."""
    columns = [transform(list(column)) for column in zip(*square)]
    return [transform(list(row)) for row in zip(*columns)]


def _transposed(code: Code, rows: list[Any]) -> list[Any]:
    """As many vectors as they have lanes, transposed: each round deals the first half's and the second half's lanes in turn."""
    half, n = len(rows) // 2, len(rows)
    low = [i // 2 + i % 2 * n for i in range(n)]
    for _ in range(n.bit_length() - 1):
        rows = [code.shuffled(rows[i // 2], rows[i // 2 + half], low if i % 2 == 0 else [p + half for p in low]) for i in range(n)]
    return rows


@intrinsic
def _gather(typing: Any, x: Any, at: Any, pitch: Any, count: Any, left: Any, out: Any, to: Any) -> Any:
    """out[to + j * lanes + n] = x[at + n * pitch + j] for j < lanes, 0 where j >= left; images from `count` on are the last one."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, at, pitch, count, left, out, to = values
        code = Code(context, builder, signature.args[0])
        rows, last = [], builder.sub(count, _INT(1))
        for n in range(code.lanes):
            image = builder.select(builder.icmp_signed("<", _INT(n), count), _INT(n), last)
            rows.append(code.load_some(code.pointer(signature.args[0], x, at, builder.mul(image, pitch)), left, code.vector))
        target = code.pointer(signature.args[5], out, to)
        for j, vector in enumerate(_transposed(code, rows)):
            code.store(vector, code.step(target, j * code.lanes))
        return context.get_dummy_value()

    number = types.int64
    return types.void(x, number, number, number, number, out, number), build


@intrinsic
def _evaluate(typing: Any, d: Any, at: Any, row: Any, out: Any, to: Any, pitch: Any) -> Any:
    """out[to + point * pitch] = Bᵀ d B at the 36 points, vectors all; d's rows lie `row` apart."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        d, at, row, out, to, pitch = values
        code = Code(context, builder, signature.args[0])
        lines = [code.pointer(signature.args[0], d, at, builder.mul(row, _INT(r))) for r in range(6)]
        found = _both(_inputs, [[_Number(code, code.load(code.step(line, s * code.lanes))) for s in range(6)] for line in lines])
        for point in range(POINTS):
            target = code.pointer(signature.args[3], out, to, builder.mul(pitch, _INT(point)))
            code.store(found[point // 6][point % 6].value, target)
        return context.get_dummy_value()

    number = types.int64
    return types.void(d, number, number, out, number, number), build


@intrinsic
def _interpolate(typing: Any, m: Any, at: Any, point: Any, shift: Any, y: Any, to: Any, pitch: Any, row: Any, count: Any, rows: Any,
                 columns: Any) -> Any:
    """y's tile = Aᵀ m A + shift, in rows × columns of it and in `count` images; returns 0, or NaN where a number is not finite.

    m's points lie `point` apart, y's images `pitch` and rows `row`.
    """
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        m, at, point, shift, y, to, pitch, row, count, rows, columns = values
        code = Code(context, builder, signature.args[0])
        places = [code.pointer(signature.args[0], m, at, builder.mul(point, _INT(i))) for i in range(POINTS)]
        read = [_Number(code, code.load(place)) for place in places]
        tile = _both(_outputs, [read[6 * r:6 * r + 6] for r in range(6)])
        more = _Number(code, code.spread(shift))
        flat = [value + more for line in tile for value in line]
        check = 0 * flat[0]
        for value in flat[1:]:
            check = check + 0 * value
        group = min(code.lanes, 16)  # so many positions are transposed at a time, whole rows of four
        for first in range(0, 16, group):
            images = _transposed(code, [value.value for value in flat[first:first + group]])
            for n, image in enumerate(images):
                with builder.if_then(builder.icmp_signed("<", _INT(n), count)):
                    for r in range(group // 4):
                        part = code.shuffled(image, image, list(range(4 * r, 4 * r + 4)))
                        line = first // 4 + r
                        inside = builder.select(builder.icmp_signed("<", _INT(line), rows), columns, _INT(0))
                        place = code.pointer(signature.args[4], y, to, builder.mul(pitch, _INT(n)), builder.mul(row, _INT(line)))
                        code.store_some(part, place, inside)
        register = code.registers(1, 1)[0][0]
        builder.store(check.value, register)
        return builder.extract_element(code.totals([register]), ir.IntType(32)(0))

    number = types.int64
    return m.dtype(m, number, number, m.dtype, y, number, number, number, number, number, number), build


@tasks
def _filters(block: int, weight: Any, outer: int, inner: int, count: int, mirrored: bool, out: Any) -> None:
    """out (blocks, 36, C, OUTPUTS) = G g Gᵀ of the kernels; output o's and input c's is at o * outer + c * inner of weight."""
    channels = out.shape[2]
    half = np.empty((6, 3, OUTPUTS), out.dtype)
    kernel = np.zeros((3, 3, OUTPUTS), out.dtype)
    quarter, sixth, twelfth = out.dtype.type(1 / 4), out.dtype.type(1 / 6), out.dtype.type(1 / 12)
    line = np.empty((6, 6, OUTPUTS), out.dtype)
    for c in range(channels):
        for o in range(min(OUTPUTS, count - block * OUTPUTS)):
            start = (block * OUTPUTS + o) * outer + c * inner
            for k in range(9):
                kernel[k // 3, k % 3, o] = weight[start + (8 - k if mirrored else k)]
        for s in range(3):
            for o in range(OUTPUTS):
                a, b, e = kernel[0, s, o], kernel[1, s, o], kernel[2, s, o]
                even, far = -sixth * (a + e), quarter * sixth * a + sixth * e
                half[0, s, o], half[1, s, o], half[2, s, o] = quarter * a, even - sixth * b, even + sixth * b
                half[3, s, o], half[4, s, o], half[5, s, o] = far + twelfth * b, far - twelfth * b, e
        for r in range(6):
            for o in range(OUTPUTS):
                a, b, e = half[r, 0, o], half[r, 1, o], half[r, 2, o]
                even, far = -sixth * (a + e), quarter * sixth * a + sixth * e
                line[r, 0, o], line[r, 1, o], line[r, 2, o] = quarter * a, even - sixth * b, even + sixth * b
                line[r, 3, o], line[r, 4, o], line[r, 5, o] = far + twelfth * b, far - twelfth * b, e
        for point in range(36):
            for o in range(OUTPUTS):
                out[block, point, c, o] = line[point // 6, point % 6, o]


@tasks
def _convolve(task: int, x: Any, filters: Any, bias: Any, y: Any, padding: Any, band: int, finite: Any) -> None:
    """y (N, O, OH, OW) = the convolution of x (N, C, H, W) + bias; a task is as many images as a vector has lanes, and `band` rows
    of tiles. finite (tasks,): whether all of a task's outputs are."""
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = y.shape[1], y.shape[2], y.shape[3]
    blocks = filters.shape[0]
    lanes = VECTOR // x.itemsize
    down, across = (out_height + 3) // 4, (out_width + 3) // 4
    bands = (down + band - 1) // band
    n, top = task // bands * lanes, task % bands * band
    count, here = min(lanes, batch - n), min(band, down - top)
    # one channel of the band, padded, in the order (rows, columns, images)
    rows, columns = 4 * here + 2, max(4 * across + 2, padding[1] + (width + lanes - 1) // lanes * lanes)
    plane = np.zeros(rows * columns * lanes, x.dtype)
    tiles = here * across
    pitch = tiles * lanes
    values = np.empty(POINTS * channels * pitch, x.dtype)
    source, target, kernels = x.reshape(-1), y.reshape(-1), filters.reshape(-1)
    size = height * width
    for channel in range(channels):
        for r in range(rows):
            row = 4 * top + r - padding[0]
            if row >= 0 and row < height:
                for column in range(0, width, lanes):
                    _gather(source, (n * channels + channel) * size + row * width + column, channels * size, count, width - column,
                            plane, (r * columns + padding[1] + column) * lanes)
        for tile in range(tiles):
            i, j = tile // across, tile % across
            _evaluate(plane, (4 * i * columns + 4 * j) * lanes, columns * lanes, values, channel * pitch + tile * lanes,
                      channels * pitch)
    offsets = np.arange(channels) * pitch
    run = PIECES * lanes
    products = np.empty(POINTS * OUTPUTS * run, x.dtype)
    check = x.dtype.type(0)
    for first in range(0, tiles, PIECES):
        for block in range(blocks):
            for point in range(POINTS):
                to, filter = point * OUTPUTS * run, (block * POINTS + point) * channels * OUTPUTS
                at = point * channels * pitch + first * lanes
                if first + 2 < tiles:
                    multiply_tile(products, to, run, kernels, filter, values, at, offsets, 0, channels, True)
                else:
                    for tile in range(tiles - first):
                        multiply_narrow(products, to + tile * lanes, run, kernels, filter, values, at + tile * lanes, offsets, 0,
                                        channels, True)
            for o in range(block * OUTPUTS, min(outputs, (block + 1) * OUTPUTS)):
                shift = bias[o] if bias.size > 0 else x.dtype.type(0)
                for tile in range(first, min(tiles, first + PIECES)):
                    i, j = 4 * (top + tile // across), 4 * (tile % across)
                    check += _interpolate(products, ((o - block * OUTPUTS) * PIECES + tile - first) * lanes, OUTPUTS * run, shift,
                                          target, ((n * outputs + o) * out_height + i) * out_width + j,
                                          outputs * out_height * out_width, out_width, count, out_height - i,
                                          min(4, out_width - j))
    finite[task] = check == 0


def lanes(dtype: Any) -> int:
    """How many images are worked on at once."""
    return VECTOR // int(dtype.itemsize)


def _band(images: int, channels: int, down: int, across: int) -> int:
    """How many rows of tiles a task has: few enough for TASKS tasks and for VALUES, all tasks about the same."""
    most = max(1, min(-(-down // -(-TASKS // images)), VALUES // (POINTS * channels * VECTOR * across)))
    return -(-down // -(-down // most))


def winograd(x: Any, weight: Any, bias: Any, y: Any, padding: tuple[int, int], adjoint: bool, serial: bool) -> bool:
    """y (N, O, OH, OW) = the convolution of x (N, C, H, W) with weight (O, C, 3, 3), + bias (O,) if it has elements.

    If `adjoint`, of weight (C, O, 3, 3), mirrored. False where an output is not finite, and may not be the definition's.
    """
    channels, outputs = x.shape[1], y.shape[1]
    blocks = -(-outputs // OUTPUTS)
    filters = np.empty((blocks, POINTS, channels, OUTPUTS), x.dtype)
    outer, inner = (9, 9 * outputs) if adjoint else (9 * channels, 9)
    (_filters.serial if serial or blocks * channels < 64 else _filters)(
        blocks, weight.reshape(-1), outer, inner, outputs, adjoint, filters)
    images = -(-x.shape[0] // lanes(x.dtype))
    down, across = -(-y.shape[2] // 4), -(-y.shape[3] // 4)
    band = _band(images, channels, down, across)
    tasks = images * -(-down // band)
    finite = np.empty(tasks, np.bool_)
    (_convolve.serial if serial else _convolve)(tasks, x, filters, bias, y, padding, band, finite)
    return bool(finite.all())
