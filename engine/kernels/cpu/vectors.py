"""The inner loops of direct convolution, written with explicit vectors.

A compiler vectorises a loop along one axis; what makes a sum of products fast is to keep a whole tile of sums in registers,
so that each number that is read from memory is used several times. The two loops here keep a tile of `outputs` × `pieces` vectors:

    multiply     out[o, j]  +=  Σ_q weight[q, o] source[offset_q + j]      o < outputs, j < the tile's width
    correlate    out[o, q]  +=  Σ_t left[o, t] source[offset_q + t]        o < outputs, q < pieces

For every step of the sum, the first reads `pieces` vectors and `outputs` numbers, and multiplies and adds outputs × pieces
times; with 8 × 3 vectors of 512 bits these are 24 of the 32 registers, and two multiplications a cycle wait for nothing
else. `offset_q` says where in the source the q-th kernel element looks: that makes a matrix product a convolution, and
nothing is copied into columns. Each is there as a `_tile` and as a `_line` of one output, for what has no second one.

They are built as LLVM's intermediate code, which has vector types: numba has none.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LINE", "OUTPUTS", "PIECES", "VECTOR", "correlate_line", "correlate_tile", "multiply_line", "multiply_tile"]

_FEATURES = llvm.get_host_cpu_features()
VECTOR = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16  # bytes of a vector
OUTPUTS = 4 if VECTOR == 32 else 8  # AVX2 has 16 registers, the others 32
PIECES, LINE = 3, 8  # vectors of a tile's row, and of a line

_INT = ir.IntType(64)
_CONTRACT = ("contract",)  # a product and a sum may be one instruction


class _Code:
    """Writes the instructions of one function, for arrays of one dtype."""

    def __init__(self, context: Any, builder: Any, array: Any) -> None:
        self.context, self.builder = context, builder
        self.real = context.get_data_type(array.dtype)
        self.lanes = VECTOR * 8 // array.dtype.bitwidth
        self.vector = ir.VectorType(self.real, self.lanes)

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
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer())).align = self.real_bytes

    @property
    def real_bytes(self) -> int:
        return VECTOR // self.lanes

    def spread(self, number: Any) -> Any:
        """A vector of one number repeated."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.IntType(32)(0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def registers(self, outputs: int, pieces: int) -> list[list[Any]]:
        """outputs × pieces vectors of zeros."""
        zero = ir.Constant(self.vector, None)
        return [[cgutils.alloca_once_value(self.builder, zero) for _ in range(pieces)] for _ in range(outputs)]

    def accumulate(self, register: Any, a: Any, b: Any) -> None:
        product = self.builder.fmul(a, b, flags=_CONTRACT)
        self.builder.store(self.builder.fadd(self.builder.load(register), product, flags=_CONTRACT), register)

    def total(self, register: Any) -> Any:
        """The sum of a vector's lanes: its halves are added until one number is left."""
        value, lanes = self.builder.load(register), self.lanes
        while lanes > 1:
            lanes //= 2
            halves = [self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(r)))
                      for r in (range(lanes), range(lanes, 2 * lanes))]
            value = self.builder.fadd(*halves)
        return self.builder.extract_element(value, ir.IntType(32)(0))


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
            code = _Code(context, builder, kinds[0])
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
            places = [[code.step(code.pointer(kinds[0], out, to, builder.mul(pitch, _INT(o))), code.lanes * piece)
                       for piece in range(pieces)] for o in range(outputs)]
            with builder.if_else(fresh) as (then, otherwise):
                for way, adds in ((then, False), (otherwise, True)):
                    with way:
                        for o in range(outputs):
                            for piece in range(pieces):
                                value = builder.load(sums[o][piece])
                                if adds:
                                    value = builder.fadd(code.load(places[o][piece]), value)
                                code.store(value, places[o][piece])
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, number, weight, number, source, number, offsets, number, number, types.boolean), build
    return multiply


def _correlate(outputs: int, pieces: int) -> Any:
    @intrinsic
    def correlate(typing: Any, out: Any, to: Any, pitch: Any, left: Any, first: Any, row: Any, source: Any, offsets: Any,
                  begin: Any, length: Any) -> Any:
        """out[to + o * pitch + q] += Σ_{t < length} left[first + o * row + t] source[offsets[begin + q] + t]

        for o < outputs and q < pieces; `length` is a multiple of a vector's lanes. All arrays are flat.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, to, pitch, left, first, row, source, offsets, begin, length = values
            kinds = signature.args
            code = _Code(context, builder, kinds[0])
            sums = code.registers(outputs, pieces)
            shifts = code.pointer(kinds[7], offsets, begin)
            seen = [code.pointer(kinds[6], source, builder.load(code.step(shifts, q))) for q in range(pieces)]
            lines = [code.pointer(kinds[3], left, first, builder.mul(row, _INT(o))) for o in range(outputs)]
            with cgutils.for_range_slice(builder, _INT(0), length, _INT(code.lanes), _INT) as (t, _):
                vectors = [code.load(builder.gep(place, [t])) for place in seen]
                for o in range(outputs):
                    other = code.load(builder.gep(lines[o], [t]))
                    for q in range(pieces):
                        code.accumulate(sums[o][q], other, vectors[q])
            for o in range(outputs):
                for q in range(pieces):
                    place = code.step(code.pointer(kinds[0], out, to, builder.mul(pitch, _INT(o))), q)
                    builder.store(builder.fadd(builder.load(place), code.total(sums[o][q])), place)
            return context.get_dummy_value()

        number = types.int64
        return types.void(out, number, number, left, number, number, source, offsets, number, number), build
    return correlate


multiply_tile, multiply_line = _multiply(OUTPUTS, PIECES), _multiply(1, LINE)
correlate_tile, correlate_line = _correlate(OUTPUTS, PIECES), _correlate(1, PIECES)
