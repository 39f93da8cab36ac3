"""The transformations of Winograd's F(4 × 4, 3 × 3), on vectors whose lanes are channels (winograd.py says what they are for).

In memory a channel is a plane (H, W). `gather` turns lanes × lanes numbers at a time, as many neighbouring positions of as many
channels, so that a position is one vector; `scatter` turns them back. Between them everything is done for all lanes alike.
The matrices are written out as sums, each in one dimension; `_both` applies one to the columns and then to the rows.

All arrays are flat, and all numbers are positions in them.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chainrule.kernels.cpu.vectors import Code

__all__ = ["POINTS", "evaluate_gradient", "evaluate_input", "evaluate_kernels", "gather", "interpolate", "interpolate_kernels",
           "scatter"]

POINTS = 36
_INT = ir.IntType(64)
_NUMBER = types.int64


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


def _kernels(g: Any) -> list[Any]:
    """G g: three kernel elements to the six points."""
    near, far, odd = -1 / 6 * (g[0] + g[2]), 1 / 24 * g[0] + 1 / 6 * g[2], 1 / 12 * g[1]
    return [1 / 4 * g[0], near - 1 / 6 * g[1], near + 1 / 6 * g[1], far + odd, far - odd, g[2]]


def _outputs_adjoint(y: Any) -> list[Any]:
    """A y: four outputs' gradients to the six points."""
    even, odd, far, far_odd = y[0] + y[2], y[1] + y[3], y[0] + 4 * y[2], 2 * y[1] + 8 * y[3]
    return [y[0], even + odd, even - odd, far + far_odd, far - far_odd, y[3]]


def _kernels_adjoint(u: Any) -> list[Any]:
    """Gᵀ u: six points to three kernel elements' gradients."""
    near, far = 1 / 6 * (u[1] + u[2]), u[3] + u[4]
    return [1 / 4 * u[0] - near + 1 / 24 * far, 1 / 6 * (u[2] - u[1]) + 1 / 12 * (u[3] - u[4]), 1 / 6 * far - near + u[5]]


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


def _points(code: Code, pointer: Any, pitch: Any) -> list[Any]:
    """Where the 36 points lie, `pitch` apart."""
    return [code.builder.gep(pointer, [code.builder.mul(pitch, _INT(point))]) for point in range(POINTS)]


def _evaluated(code: Code, transform: Any, square: list[list[Any]], pointer: Any, pitch: Any) -> None:
    """Store the transform of a square of vectors at the 36 points."""
    found = _both(transform, [[_Number(code, value) for value in row] for row in square])
    for place, number in zip(_points(code, pointer, pitch), (number for row in found for number in row), strict=True):
        code.store(number.value, place)


def _interpolated(code: Code, transform: Any, pointer: Any, pitch: Any) -> list[list[Any]]:
    """The transform of the vectors at the 36 points."""
    read = [_Number(code, code.load(place)) for place in _points(code, pointer, pitch)]
    return _both(transform, [read[6 * r:6 * r + 6] for r in range(6)])


@intrinsic
def gather(typing: Any, x: Any, at: Any, pitch: Any, count: Any, left: Any, places: Any, first: Any, out: Any, to: Any) -> Any:
    """out[to + places[first + j] * lanes + n] = x[at + n * pitch + j] for j, n < lanes; 0 where j >= left.

    Channels n from `count` on are the last one again.
    """
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, at, pitch, count, left, places, first, out, to = values
        code = Code(context, builder, signature.args[0])
        rows, last = [], builder.sub(count, _INT(1))
        for n in range(code.lanes):
            channel = builder.select(builder.icmp_signed("<", _INT(n), count), _INT(n), last)
            rows.append(code.load_some(code.pointer(signature.args[0], x, at, builder.mul(channel, pitch)), left, code.vector))
        table, target = code.pointer(signature.args[5], places, first), code.pointer(signature.args[7], out, to)
        for j, vector in enumerate(_transposed(code, rows)):
            place = builder.mul(builder.load(code.step(table, j)), _INT(code.lanes))
            code.store(vector, builder.gep(target, [place]))
        return context.get_dummy_value()

    return types.void(x, _NUMBER, _NUMBER, _NUMBER, _NUMBER, places, _NUMBER, out, _NUMBER), build


@intrinsic
def scatter(typing: Any, source: Any, at: Any, places: Any, first: Any, y: Any, to: Any, pitch: Any, count: Any,
            left: Any) -> Any:
    """y[to + n * pitch + j] = source[at + places[first + j] * lanes + n] for j < left, n < count."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, at, places, first, y, to, pitch, count, left = values
        code = Code(context, builder, signature.args[0])
        table, origin = code.pointer(signature.args[2], places, first), code.pointer(signature.args[0], source, at)
        rows = [code.load(builder.gep(origin, [builder.mul(builder.load(code.step(table, j)), _INT(code.lanes))]))
                for j in range(code.lanes)]
        for n, vector in enumerate(_transposed(code, rows)):
            with builder.if_then(builder.icmp_signed("<", _INT(n), count)):
                code.store_some(vector, code.pointer(signature.args[4], y, to, builder.mul(pitch, _INT(n))), left)
        return context.get_dummy_value()

    return types.void(source, _NUMBER, places, _NUMBER, y, _NUMBER, _NUMBER, _NUMBER, _NUMBER), build


def _evaluate(transform: Any, size: int) -> Any:
    @intrinsic
    def evaluate(typing: Any, d: Any, at: Any, row: Any, out: Any, to: Any, pitch: Any) -> Any:
        """out[to + point * pitch] = the transform of a square of d, `size` vectors wide, whose rows lie `row` apart."""
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            d, at, row, out, to, pitch = values
            code = Code(context, builder, signature.args[0])
            lines = [code.pointer(signature.args[0], d, at, builder.mul(row, _INT(r))) for r in range(size)]
            square = [[code.load(code.step(line, s * code.lanes)) for s in range(size)] for line in lines]
            _evaluated(code, transform, square, code.pointer(signature.args[3], out, to), pitch)
            return context.get_dummy_value()

        return types.void(d, _NUMBER, _NUMBER, out, _NUMBER, _NUMBER), build
    return evaluate


evaluate_input, evaluate_gradient = _evaluate(_inputs, 6), _evaluate(_outputs_adjoint, 4)


@intrinsic
def interpolate(typing: Any, m: Any, at: Any, pitch: Any, bias: Any, shift: Any, out: Any, to: Any, row: Any, check: Any,
                slot: Any) -> Any:
    """out's tile of 4 × 4 vectors = Aᵀ m A + bias[shift:], rows `row` apart; check[slot:] becomes NaN where it is not finite."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        m, at, pitch, bias, shift, out, to, row, check, slot = values
        kinds = signature.args
        code = Code(context, builder, kinds[0])
        more = _Number(code, code.load(code.pointer(kinds[3], bias, shift)))
        place = code.pointer(kinds[8], check, slot)
        seen = _Number(code, code.load(place))
        for r, line in enumerate(_interpolated(code, _outputs, code.pointer(kinds[0], m, at), pitch)):
            target = code.pointer(kinds[5], out, to, builder.mul(row, _INT(r)))
            for s, number in enumerate(line):
                value = number + more
                code.store(value.value, code.step(target, s * code.lanes))
                seen = seen + 0 * value
        code.store(seen.value, place)
        return context.get_dummy_value()

    return types.void(m, _NUMBER, _NUMBER, bias, _NUMBER, out, _NUMBER, _NUMBER, check, _NUMBER), build


@intrinsic
def evaluate_kernels(typing: Any, weight: Any, at: Any, outer: Any, count: Any, mirrored: Any, out: Any, to: Any,
                     pitch: Any) -> Any:
    """out[to + point * pitch + n] = G g Gᵀ of the kernel g = weight[at + n * outer:][:9], or of g mirrored; n < count."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        weight, at, outer, count, mirrored, out, to, pitch = values
        code = Code(context, builder, signature.args[0])
        last, columns = builder.sub(count, _INT(1)), []
        places = []
        for n in range(code.lanes):
            output = builder.select(builder.icmp_signed("<", _INT(n), count), _INT(n), last)
            places.append(code.pointer(signature.args[0], weight, at, builder.mul(output, outer)))
        for k in range(0, 9, code.lanes):
            left = _INT(9 - k)
            columns += _transposed(code, [code.load_some(code.step(place, k), left, code.vector) for place in places])
        kernel = [builder.select(mirrored, columns[8 - k], columns[k]) for k in range(9)]
        _evaluated(code, _kernels, [kernel[3 * r:3 * r + 3] for r in range(3)], code.pointer(signature.args[5], out, to), pitch)
        return context.get_dummy_value()

    return types.void(weight, _NUMBER, _NUMBER, _NUMBER, types.boolean, out, _NUMBER, _NUMBER), build


@intrinsic
def interpolate_kernels(typing: Any, u: Any, at: Any, pitch: Any, weight: Any, to: Any, count: Any) -> Any:
    """weight[to + n * 9:][:9] = the kernel Gᵀ u G of lane n < count, of the points u[at + point * pitch]."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        u, at, pitch, weight, to, count = values
        code = Code(context, builder, signature.args[0])
        square = _interpolated(code, _kernels_adjoint, code.pointer(signature.args[0], u, at), pitch)
        kernel = [number.value for row in square for number in row]
        kernel += [ir.Constant(code.vector, None)] * (-len(kernel) % code.lanes)
        for k in range(0, 9, code.lanes):
            for n, vector in enumerate(_transposed(code, kernel[k:k + code.lanes])):
                with builder.if_then(builder.icmp_signed("<", _INT(n), count)):
                    place = code.pointer(signature.args[3], weight, to, _INT(9 * n + k))
                    code.store_some(vector, place, _INT(9 - k))
        return context.get_dummy_value()

    return types.void(u, _NUMBER, _NUMBER, weight, _NUMBER, _NUMBER), build
