"""Products of matrices inside kernels, of which one side is small: a tile of the result is computed in registers.

OpenBLAS packs one operand on every call. For the few rows of one step of a recurrent network, against the same weight at every
step, that is a large share of the work (8 rows of 128 times (128, 512): 200 µs of 240); here the weight is packed once.

A tile is HEIGHT rows by two vectors (see vectors.py). Its sums stay in registers while the tile walks along the inner axis: per
step it reads one line of two vectors of b, and a number of each row of a. Measured on a Zen 5 core with AVX-512: 255 to 265
GF/s from 8 rows on, for weights of any size that fits the caches.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.vectors import OUTPUTS as HEIGHT
from chainrule.kernels.cpu.vectors import VECTOR, Code

__all__ = ["HEIGHT", "add_product", "move_line", "pack", "panels_of", "tile", "width_in", "width_of"]

VECTORS = 2  # in a tile's row
AHEAD = 32  # steps along the inner axis: what lies strided in the outer caches is asked for in time
_INT = ir.IntType(64)


def width_of(dtype: Any) -> int:
    """The columns of a tile."""
    return VECTORS * VECTOR // int(np.dtype(dtype).itemsize)


@jit
def width_in(array: Any) -> Any:
    """The columns of a tile of the array's dtype, in a kernel."""
    return VECTORS * VECTOR // array.itemsize


@intrinsic
def tile(typing: Any, a: Any, at_a: Any, row_a: Any, step_a: Any, b: Any, at_b: Any, step_b: Any, depth: Any,
         start: Any, at_start: Any, row_start: Any, c: Any, at_c: Any, row_c: Any, rows: Any) -> Any:
    """c = start + a @ b for at most HEIGHT rows and the columns of one tile; a is (rows, depth), b (depth, columns).

    Each matrix is an array, the position in it of the matrix's first element, and the distances between its rows, and for a
    between its columns (`step_a`) and for b between its rows (`step_b`); what lies in a row of b, start and c is contiguous.
    Where there are fewer rows than HEIGHT, the last one is computed several times: start is read whole before c is written, so
    that they may be the same.
    """
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, at_a, row_a, step_a, b, at_b, step_b, depth, start, at_start, row_start, c, at_c, row_c, rows = values
        kinds = signature.args
        code = Code(context, builder, kinds[11])
        last = builder.sub(rows, _INT(1))
        numbers = [builder.select(builder.icmp_signed("<", _INT(r), last), _INT(r), last) for r in range(HEIGHT)]
        places = [[code.pointer(kind, array, at, builder.mul(number, row)) for number in numbers]
                  for kind, array, at, row in ((kinds[0], a, at_a, row_a), (kinds[8], start, at_start, row_start),
                                               (kinds[11], c, at_c, row_c))]
        sums = code.registers(HEIGHT, VECTORS)
        for registers, place in zip(sums, places[1], strict=True):
            for v, register in enumerate(registers):
                builder.store(code.load(code.step(place, v * code.lanes)), register)
        lines = code.pointer(kinds[4], b, at_b)
        with cgutils.for_range_slice(builder, _INT(0), depth, _INT(1), _INT) as (k, _):
            line = builder.gep(lines, [builder.mul(k, step_b)])
            vectors = [code.load(code.step(line, v * code.lanes)) for v in range(VECTORS)]
            code.prefetch(builder.gep(places[0][0], [builder.mul(builder.add(k, _INT(AHEAD)), step_a)]))
            along = builder.mul(k, step_a)
            for registers, place in zip(sums, places[0], strict=True):
                factor = code.spread(builder.load(builder.gep(place, [along])))
                for register, vector in zip(registers, vectors, strict=True):
                    code.accumulate(register, factor, vector)
        for registers, place in zip(sums, places[2], strict=True):
            for v, register in enumerate(registers):
                code.store(builder.load(register), code.step(place, v * code.lanes))
        return context.get_dummy_value()

    i = types.intp
    return types.void(a, i, i, i, b, i, i, i, start, i, i, c, i, i, i), build


@intrinsic
def move_line(typing: Any, source: Any, at_source: Any, target: Any, at_target: Any) -> Any:
    """Copy one line of a tile from a position of an array to a position of another."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature.args[2])
        origin = code.pointer(signature.args[0], values[0], values[1])
        place = code.pointer(signature.args[2], values[2], values[3])
        for v in range(VECTORS):
            code.store(code.load(code.step(origin, v * code.lanes)), code.step(place, v * code.lanes))
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), build


def panels_of(parts: int, depth: int, columns: int, dtype: Any) -> Any:
    """Memory for `parts` matrices (depth, columns), packed: (parts, panels, depth, width of a tile)."""
    width = width_of(dtype)
    return np.empty((parts, -(-columns // width), depth, width), dtype)


@tasks
def pack(task: int, weight: Any, transposed: bool, panels: Any) -> None:
    """One panel of one part of a weight (parts * R, K), cut into equal parts; a task for each panel of each part.

    The parts are packed as they are, (depth R, columns K), or transposed, (depth K, columns R). Past the last column: zeros.
    """
    parts, count, depth, width = panels.shape
    part, p = task // count, task % count
    rows = weight.shape[0] // parts
    columns = min(width, (rows if transposed else weight.shape[1]) - p * width)
    panel, zero = panels[part, p], weight.dtype.type(0)
    if columns < width:
        panel[:, columns:] = zero
    if transposed:
        for j in range(columns):
            line = weight[part * rows + p * width + j]
            for k in range(depth):
                panel[k, j] = line[k]
    else:
        for k in range(depth):
            line, target = weight[part * rows + k, p * width : p * width + columns], panel[k]
            for j in range(np.uint64(columns)):
                target[j] = line[j]


@jit
def add_product(a: Any, at_a: int, row_a: int, rows: int, panels: Any, start: Any, at_start: int, row_start: int,
                c: Any, at_c: int, row_c: int, columns: int, spare: Any) -> None:
    """c (rows, columns) = start + a (rows, K) @ the matrix (K, columns) packed in panels (panels, K, width).

    a, start and c are flat arrays, with where the matrix begins and how far its rows lie apart: row_start = 0 for the same start
    in every row, start = c to add to c. `spare` (HEIGHT * width) is for panels that hang over the last column.
    """
    count, depth, width = panels.shape
    for p in range(count):
        left = columns - p * width
        for r in range(0, rows, HEIGHT):
            height = min(HEIGHT, rows - r)
            from_start, to_c = at_start + r * row_start + p * width, at_c + r * row_c + p * width
            if left >= width:
                tile(a, at_a + r * row_a, row_a, 1, panels, p * depth * width, width, depth,
                     start, from_start, row_start, c, to_c, row_c, height)
                continue
            for i in range(height):
                for j in range(left):
                    spare[i * width + j] = start[from_start + i * row_start + j]
            tile(a, at_a + r * row_a, row_a, 1, panels, p * depth * width, width, depth, spare, 0, width, spare, 0, width,
                 height)
            for i in range(height):
                for j in range(left):
                    c[to_c + i * row_c + j] = spare[i * width + j]
