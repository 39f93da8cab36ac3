"""The inner loops of direct convolution, written with explicit vectors.

A compiler vectorises a loop along one axis; what makes a sum of products fast is to keep a whole tile of sums in registers,
so that each number that is read from memory is used several times. The two loops here keep a tile of `outputs` × `pieces` vectors:

    multiply     out[o, j]  +=  Σ_q weight[q, o] source[offset_q + j]      o < outputs, j < the tile's width
    correlate    out[o, q]  +=  Σ_t left[o, t] source[offset_q + t]        o < outputs, q < pieces

For every step of the sum, the first reads `pieces` vectors and `outputs` numbers, and multiplies and adds outputs × pieces
times; with 8 × 3 vectors of 512 bits these are 24 of the 32 registers, and two multiplications a cycle wait for nothing
else. `offset_q` says where in the source the q-th kernel element looks: that makes a matrix product a convolution, and
nothing is copied into columns. Each is there as a `_tile` and as a `_line` of one output, for what has no second one;
`multiply_narrow` is a tile one vector wide, for what is left over.

They are built as LLVM's intermediate code, which has vector types: numba has none.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Code", "LINE", "OUTPUTS", "PIECES", "VECTOR", "correlate_line", "correlate_tile", "move_row",
           "multiply_line", "multiply_narrow", "multiply_tile", "columns_narrow", "columns_wide", "rows_narrow", "rows_wide"]

_FEATURES = llvm.get_host_cpu_features()
VECTOR = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16  # bytes of a vector
OUTPUTS = 4 if VECTOR == 32 else 8  # AVX2 has 16 registers, the others 32
PIECES, LINE = 3, 8  # vectors of a tile's row, and of a line

_INT = ir.IntType(64)
_CONTRACT = ("contract",)  # a product and a sum may be one instruction


class Code:
    """Writes the instructions of one function, for arrays of one dtype.

    load_some, store_some and their likes reach no further than `left` elements, and read zeros there; None means all lanes.
    """

    def __init__(self, context: Any, builder: Any, array: Any) -> None:
        self.context, self.builder = context, builder
        self.real = context.get_data_type(array.dtype)
        self.lanes: int = VECTOR * 8 // array.dtype.bitwidth
        self.real_bytes = VECTOR // self.lanes
        self.vector, self.bytes = ir.VectorType(self.real, self.lanes), ir.VectorType(ir.IntType(8), self.lanes)

    def pointer(self, array: Any, value: Any, *shifts: Any) -> Any:
        """Where the array's element number sum(shifts) lies."""
        data = self.context.make_array(array)(self.context, self.builder, value).data
        for shift in shifts:
            data = self.builder.gep(data, [shift])
        return data

    def step(self, pointer: Any, count: int) -> Any:
        return self.builder.gep(pointer, [_INT(count)])

    def load(self, pointer: Any) -> Any:
        found = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        found.align = self.real_bytes
        return found

    def store(self, value: Any, pointer: Any) -> None:
        align = 1 if value.type == self.bytes else self.real_bytes
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer())).align = align

    def _mask(self, left: Any, lanes: int) -> Any:
        """(i < left) for each lane i."""
        short, most = ir.IntType(32), _INT(lanes)
        count = self.builder.trunc(self.builder.select(self.builder.icmp_signed("<", left, most), left, most), short)
        many = self.builder.insert_element(ir.Constant(ir.VectorType(short, lanes), ir.Undefined), count, short(0))
        many = self.shuffled(many, many, [0] * lanes)
        return self.builder.icmp_signed("<", ir.Constant(many.type, list(range(lanes))), many)

    def shuffled(self, a: Any, b: Any, places: list[int]) -> Any:
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))

    def _masked(self, name: str, vector: Any, result: Any, *arguments: Any) -> Any:
        kind = f"v{vector.count}{'i8' if vector == self.bytes else f'f{self.real_bytes * 8}'}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, [a.type for a in arguments]),
                                                  f"llvm.masked.{name}.{kind}.p0")
        return self.builder.call(function, arguments)

    def load_some(self, pointer: Any, left: Any, vector: Any) -> Any:
        pointer = self.builder.bitcast(pointer, vector.as_pointer())
        align = ir.IntType(32)(1 if vector == self.bytes else self.real_bytes)
        return self._masked("load", vector, vector, pointer, align, self._mask(left, vector.count), ir.Constant(vector, None))

    def store_some(self, value: Any, pointer: Any, left: Any) -> None:
        if left is None:
            self.store(value, pointer)
            return
        pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        align = ir.IntType(32)(1 if value.type == self.bytes else self.real_bytes)
        self._masked("store", value.type, ir.VoidType(), value, pointer, align, self._mask(left, value.type.count))

    def _two(self, pointer: Any, j: Any, left: Any) -> list[tuple[Any, Any]]:
        """Where the elements from 2 j on lie, in two vectors, and how many of each are among 2 * left."""
        first = self.builder.gep(pointer, [self.builder.mul(j, _INT(2))])
        twice = self.builder.mul(left, _INT(2))
        return [(first, twice), (self.step(first, self.lanes), self.builder.sub(twice, _INT(self.lanes)))]

    def load_pairs(self, pointer: Any, j: Any, left: Any) -> list[Any]:
        """The even and the odd ones of the elements from 2 j on."""
        a, b = (self.load_some(place, count, self.vector) for place, count in self._two(pointer, j, left))
        return [self.shuffled(a, b, list(range(s, 2 * self.lanes, 2))) for s in (0, 1)]

    def store_pairs(self, even: Any, odd: Any, pointer: Any, j: Any, left: Any) -> None:
        """The inverse of load_pairs."""
        for half, (place, count) in enumerate(self._two(pointer, j, left)):
            places = [half * self.lanes // 2 + i // 2 + i % 2 * self.lanes for i in range(self.lanes)]
            self.store_some(self.shuffled(even, odd, places), place, count)

    def load_apart(self, pointer: Any, stride: int, left: Any) -> Any:
        """The elements from the pointer on, or every second one: as many as lanes, or `left` of them where that is not None.

        Of memory nothing beyond the last of them is read.
        """
        if stride == 1:
            return self.load(pointer) if left is None else self.load_some(pointer, left, self.vector)
        if left is None:
            a, b, shift = self.load(pointer), self.load(self.step(pointer, self.lanes - 1)), 1
        else:
            last, shift = self.builder.sub(self.builder.mul(left, _INT(2)), _INT(1)), 0
            a, b = (self.load_some(self.step(pointer, at), self.builder.sub(last, _INT(at)), self.vector) for at in (0, self.lanes))
        return self.shuffled(a, b, [2 * i + (shift if 2 * i >= self.lanes else 0) for i in range(self.lanes)])

    def sweep(self, count: Any, some: Any) -> None:
        """some(j, left) for j = 0, lanes, 2 * lanes … below count: all lanes, where `left` is None, or `left` of them.

        Masks take time. So where there are enough for a vector, what is left over is done together with some that are done.
        """
        lanes = _INT(self.lanes)
        with self.builder.if_else(self.builder.icmp_signed("<", count, lanes)) as (few, many):
            with few, self.builder.if_then(self.builder.icmp_signed(">", count, _INT(0))):
                some(_INT(0), count)
            with many, cgutils.for_range_slice(self.builder, _INT(0), count, lanes, _INT) as (j, _):
                last = self.builder.sub(count, lanes)
                some(self.builder.select(self.builder.icmp_signed("<", j, last), j, last), None)

    def numbers(self, number: Any) -> Any:
        """A vector of bytes, all of them the number."""
        if isinstance(number, int):
            return ir.Constant(self.bytes, [number] * self.lanes)
        first = self.builder.insert_element(ir.Constant(self.bytes, ir.Undefined), number, ir.IntType(32)(0))
        return self.shuffled(first, first, [0] * self.lanes)

    def spread(self, number: Any) -> Any:
        """A vector of one number repeated."""
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, ir.IntType(32)(0))
        return self.shuffled(first, first, [0] * self.lanes)

    def registers(self, outputs: int, pieces: int) -> list[list[Any]]:
        """outputs × pieces vectors of zeros."""
        zero = ir.Constant(self.vector, None)
        return [[cgutils.alloca_once_value(self.builder, zero) for _ in range(pieces)] for _ in range(outputs)]

    def accumulate(self, register: Any, a: Any, b: Any) -> None:
        product = self.builder.fmul(a, b, flags=_CONTRACT)
        self.builder.store(self.builder.fadd(self.builder.load(register), product, flags=_CONTRACT), register)

    def prefetch(self, pointer: Any) -> None:
        """Ask for the line of memory at the pointer, which is soon to be read; it need not exist."""
        pointer = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[ir.IntType(32)] * 3])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        self.builder.call(function, [pointer, *(ir.IntType(32)(n) for n in (0, 3, 1))])

    def totals(self, registers: list[Any]) -> Any:
        """One vector of the sums of each register's lanes: neighbours are added, two registers' halves at a time, until one number
        of each is left. There are as many registers as a power of two."""
        values = [self.builder.load(register) for register in registers]
        while len(values) > 1:
            values = [self._neighbours(a, b) for a, b in zip(values[::2], values[1::2])]
        while values[0].type.count > len(registers):
            values = [self._neighbours(values[0])]
        return values[0]

    def _neighbours(self, a: Any, b: Any = None) -> Any:
        """The sums of neighbouring lanes of a, and then those of b."""
        lanes = a.type.count if b is None else 2 * a.type.count
        halves = [self.shuffled(a, a if b is None else b, list(range(s, lanes, 2))) for s in (0, 1)]
        return self.builder.fadd(*halves)


def _finish(code: Code, sums: list[list[Any]], target: Any, pitch: Any, fresh: Any) -> None:
    """Write the registers, a row of them at each multiple of `pitch` from the target on, or add them where not `fresh`."""
    builder = code.builder
    starts = [builder.gep(target, [builder.mul(pitch, _INT(o))]) for o in range(len(sums))]
    with builder.if_else(fresh) as (then, otherwise):
        for way, adds in ((then, False), (otherwise, True)):
            with way:
                for row, start in zip(sums, starts, strict=True):
                    for piece, register in enumerate(row):
                        value, place = builder.load(register), code.step(start, code.lanes * piece)
                        if adds:
                            value = builder.fadd(code.load(place), value)
                        code.store(value, place)


def _multiply(outputs: int, pieces: int) -> Any:
    @intrinsic
    def multiply(typing: Any, out: Any, to: Any, pitch: Any, weight: Any, first: Any, source: Any, at: Any, offsets: Any,
                 begin: Any, end: Any, fresh: Any) -> Any:
        """out[to + o * pitch + j] (+)= Σ_{begin <= q < end} weight[first + q * outputs + o] source[at + offsets[q] + j]

        for o < outputs and j < pieces vectors. The sum is written where `fresh`, else added. All arrays are flat.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, to, pitch, weight, first, source, at, offsets, begin, end, fresh = values
            kinds = signature.args
            code = Code(context, builder, kinds[0])
            sums = code.registers(outputs, pieces)
            origin = code.pointer(kinds[5], source, at)
            weights = code.pointer(kinds[3], weight, first)
            shifts = code.pointer(kinds[7], offsets)
            with cgutils.for_range_slice(builder, begin, end, _INT(1), _INT) as (q, _):
                seen = builder.gep(origin, [builder.load(builder.gep(shifts, [q]))])
                vectors = [code.load(code.step(seen, code.lanes * piece)) for piece in range(pieces)]
                factors = builder.gep(weights, [builder.mul(q, _INT(outputs))])
                for o in range(outputs):
                    factor = code.spread(builder.load(code.step(factors, o)))
                    for piece in range(pieces):
                        code.accumulate(sums[o][piece], factor, vectors[piece])
            _finish(code, sums, code.pointer(kinds[0], out, to), pitch, fresh)
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, number, weight, number, source, number, offsets, number, number, types.boolean), build
    return multiply


def _correlate(outputs: int, pieces: int) -> Any:
    @intrinsic
    def correlate(typing: Any, out: Any, to: Any, left: Any, first: Any, row: Any, source: Any, offsets: Any, begin: Any,
                  length: Any) -> Any:
        """out[to + q * outputs + o] += Σ_{t < length} left[first + o * row + t] source[offsets[begin + q] + t]

        for o < outputs and q < pieces; `length` is a multiple of a vector's lanes. All arrays are flat.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, to, left, first, row, source, offsets, begin, length = values
            kinds = signature.args
            code = Code(context, builder, kinds[0])
            sums = code.registers(outputs, pieces)
            shifts = code.pointer(kinds[6], offsets, begin)
            seen = [code.pointer(kinds[5], source, builder.load(code.step(shifts, q))) for q in range(pieces)]
            lines = [code.pointer(kinds[2], left, first, builder.mul(row, _INT(o))) for o in range(outputs)]
            with cgutils.for_range_slice(builder, _INT(0), length, _INT(code.lanes), _INT) as (t, _):
                vectors = [code.load(builder.gep(place, [t])) for place in seen]
                for o in range(outputs):
                    other = code.load(builder.gep(lines[o], [t]))
                    for q in range(pieces):
                        code.accumulate(sums[o][q], other, vectors[q])
            group = min(outputs, code.lanes)
            for q in range(pieces):
                for o in range(0, outputs, group):
                    found = code.totals([sums[o + i][q] for i in range(group)])
                    place = builder.bitcast(code.step(code.pointer(kinds[0], out, to), q * outputs + o), found.type.as_pointer())
                    before = builder.load(place)
                    before.align = code.real_bytes
                    builder.store(builder.fadd(before, found), place).align = code.real_bytes
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, left, number, number, source, offsets, number, number), build
    return correlate


@intrinsic
def move_row(typing: Any, out: Any, to: Any, source: Any, at: Any, count: Any, shift: Any) -> Any:
    """out[to + j] = source[at + j] + shift for j < count: rows are short, and what is left over is one vector too."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        out, to, source, at, count, shift = values
        kinds = signature.args
        code = Code(context, builder, kinds[0])
        target, origin, more = code.pointer(kinds[0], out, to), code.pointer(kinds[2], source, at), code.spread(shift)

        def moved(j: Any, left: Any) -> None:
            value = code.load_apart(builder.gep(origin, [j]), 1, left)
            code.store_some(builder.fadd(value, more), builder.gep(target, [j]), left)

        code.sweep(count, moved)
        return context.get_dummy_value()

    number = types.int64
    return types.void(out, number, source, number, number, out.dtype), build


def _products(outputs: int, pieces: int, adjacent: bool) -> Any:
    @intrinsic
    def products(typing: Any, out: Any, to: Any, pitch: Any, left: Any, first: Any, row: Any, right: Any, at: Any, line: Any,
                 gap: Any, count: Any, fresh: Any) -> Any:
        """out[to + o * pitch + j] (+)= Σ_{q < count} left(o, q) right[at + q * line + p * gap + j]

        for o < outputs, j in one of pieces vectors p. left(o, q) is left[first + q * row + o] if `adjacent`, else
        left[first + o * row + q]. The sum is written where `fresh`, else added. All arrays are flat.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, to, pitch, left, first, row, right, at, line, gap, count, fresh = values
            kinds = signature.args
            code = Code(context, builder, kinds[0])
            sums = code.registers(outputs, pieces)
            origins = [code.pointer(kinds[6], right, at, builder.mul(gap, _INT(piece))) for piece in range(pieces)]
            factors = code.pointer(kinds[3], left, first)
            rows = [builder.gep(factors, [builder.mul(row, _INT(o))]) for o in range(outputs)]
            with cgutils.for_range_slice(builder, _INT(0), count, _INT(1), _INT) as (q, _):
                vectors = [code.load(builder.gep(origin, [builder.mul(q, line)])) for origin in origins]
                here = builder.gep(factors, [builder.mul(q, row)])
                for o in range(outputs):
                    factor = code.spread(builder.load(code.step(here, o) if adjacent else builder.gep(rows[o], [q])))
                    for piece in range(pieces):
                        code.accumulate(sums[o][piece], factor, vectors[piece])
            _finish(code, sums, code.pointer(kinds[0], out, to), pitch, fresh)
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, number, left, number, number, right, number, number, number, number, types.boolean), build
    return products


multiply_tile, multiply_narrow, multiply_line = _multiply(OUTPUTS, PIECES), _multiply(OUTPUTS, 1), _multiply(1, LINE)
correlate_tile, correlate_line = _correlate(OUTPUTS, PIECES), _correlate(1, PIECES)
rows_narrow, rows_wide = _products(OUTPUTS, 1, False), _products(OUTPUTS, 2, False)
columns_narrow, columns_wide = _products(2 * OUTPUTS, 1, True), _products(OUTPUTS, 2, True)
