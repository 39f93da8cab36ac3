"""Products of matrices inside kernels, of which one side is small: a tile of the result is computed in registers.

OpenBLAS packs one operand on every call. For the few rows of one step of a recurrent network, against the same weight at every
step, that is a large share of the work (8 rows of 128 times (128, 512): 200 µs of 240); here the weight is packed once.

A tile is HEIGHT rows by two vectors of the processor's width. Its sums stay in registers while the tile walks along the inner
axis: per step it reads one line of two vectors of b and a number of each row of a. That is written in LLVM's own terms, since
numba has no vectors; the rest is ordinary kernels. Measured on a Zen 5 core with AVX-512: 255 to 265 GF/s from 8 rows on, for
weights of any size that fits the caches.
"""

import platform
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import jit, tasks

__all__ = ["HEIGHT", "add_product", "move_line", "pack", "panels_of", "tile", "width_in", "width_of"]


def _machine() -> tuple[int, int]:
    """Bytes of a vector, and rows of a tile so that the sums, a line and a number fit the vector registers: 32 or 16 of them."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 8
    return (32, 6) if features.get("avx") else (16, 8 if platform.machine().lower() in ("aarch64", "arm64") else 6)


BYTES, HEIGHT = _machine()
VECTORS = 2
AHEAD = 32  # steps: what lies strided in the outer caches is asked for in time


def width_of(dtype: Any) -> int:
    """The columns of a tile."""
    return VECTORS * BYTES // int(np.dtype(dtype).itemsize)


@jit
def width_in(array: Any) -> Any:
    """The columns of a tile of the array's dtype, in a kernel."""
    return VECTORS * BYTES // array.itemsize


def _tile(context: Any, a: Any, at_a: Any, row_a: Any, step_a: Any, b: Any, at_b: Any, step_b: Any, depth: Any,
          start: Any, at_start: Any, row_start: Any, c: Any, at_c: Any, row_c: Any, rows: Any) -> Any:
    """c = start + a @ b for at most HEIGHT rows and the columns of one tile; a is (rows, depth), b (depth, columns).

    Each matrix is an array, the position in it of the matrix's first element, and the distances between its rows, and for a
    between its columns (`step_a`) and for b between its rows (`step_b`); what lies in a row of b, start and c is contiguous.
    Where there are fewer rows than HEIGHT, the last one is computed several times: start is read whole before c is written, so
    that they may be the same.
    """
    real = {32: ir.FloatType(), 64: ir.DoubleType()}[c.dtype.bitwidth]
    size = c.dtype.bitwidth // 8
    vector, word, lanes = ir.VectorType(real, BYTES // size), ir.IntType(64), BYTES // size
    name = f"llvm.fma.v{lanes}f{8 * size}"
    undefined, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

    def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        fma = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        values = dict(zip(names, args, strict=True))
        bases = {n: ctx.make_array(t)(ctx, builder, values[n]).data for n, t in zip(names, signature.args, strict=True)
                 if isinstance(t, types.Array)}
        rows_of: dict[str, list[Any]] = {"a": [], "start": [], "c": []}
        last = builder.sub(values["rows"], word(1))
        for r in range(HEIGHT):
            row = builder.select(builder.icmp_signed("<", word(r), last), word(r), last)
            for n, found in rows_of.items():
                offset = builder.add(values["at_" + n], builder.mul(row, values["row_" + n]))
                found.append(builder.gep(bases[n], [offset]))

        def load(pointer: Any, v: int) -> Any:
            pointer = builder.bitcast(builder.gep(pointer, [word(v * lanes)]), vector.as_pointer())
            return builder.load(pointer, align=size)

        sums = [load(pointer, v) for pointer in rows_of["start"] for v in range(VECTORS)]
        entry, loop, done = builder.block, builder.append_basic_block("step"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", values["depth"], word(0)), loop, done)

        builder.position_at_end(loop)
        k, running = builder.phi(word), [builder.phi(vector) for _ in sums]
        line = builder.gep(bases["b"], [builder.add(values["at_b"], builder.mul(k, values["step_b"]))])
        lines = [load(line, v) for v in range(VECTORS)]
        along = builder.mul(k, values["step_a"])
        ahead = builder.gep(rows_of["a"][0], [builder.mul(builder.add(k, word(AHEAD)), values["step_a"])])
        prefetch = builder.module.globals.get("llvm.prefetch") or ir.Function(builder.module, ir.FunctionType(
            ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]), "llvm.prefetch")
        builder.call(prefetch, [builder.bitcast(ahead, ir.IntType(8).as_pointer()), *map(ir.IntType(32), (0, 3, 1))])
        after = []
        for r in range(HEIGHT):
            number = builder.load(builder.gep(rows_of["a"][r], [along]))
            spread = builder.shuffle_vector(builder.insert_element(undefined, number, ir.IntType(32)(0)), undefined, zeros)
            after += [builder.call(fma, [spread, lines[v], running[VECTORS * r + v]]) for v in range(VECTORS)]
        following = builder.add(k, word(1))
        for phi, before, new in zip([k, *running], [word(0), *sums], [following, *after], strict=True):
            phi.add_incoming(before, entry)
            phi.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", following, values["depth"]), loop, done)

        builder.position_at_end(done)
        results = [builder.phi(vector) for _ in sums]
        for phi, before, new in zip(results, sums, after, strict=True):
            phi.add_incoming(before, entry)
            phi.add_incoming(new, loop)
        for i, value in enumerate(results):
            pointer = builder.gep(rows_of["c"][i // VECTORS], [word(i % VECTORS * lanes)])
            builder.store(value, builder.bitcast(pointer, vector.as_pointer()), align=size)
        return ctx.get_dummy_value()

    i = types.intp
    names = ("a", "at_a", "row_a", "step_a", "b", "at_b", "step_b", "depth", "start", "at_start", "row_start", "c", "at_c",
             "row_c", "rows")
    return types.void(a, i, i, i, b, i, i, i, start, i, i, c, i, i, i), build


tile: Any = intrinsic(_tile)


def _move_line(context: Any, source: Any, at_source: Any, target: Any, at_target: Any) -> Any:
    """Copy one line of a tile from a position of an array to a position of another."""

    def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, size = signature.args, target.dtype.bitwidth // 8
        pointers = [builder.gep(ctx.make_array(kinds[i])(ctx, builder, args[i]).data, [args[i + 1]]) for i in (0, 2)]
        vector = ir.VectorType({4: ir.FloatType(), 8: ir.DoubleType()}[size], VECTORS * BYTES // size).as_pointer()
        value = builder.load(builder.bitcast(pointers[0], vector), align=size)
        builder.store(value, builder.bitcast(pointers[1], vector), align=size)
        return ctx.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), build


move_line: Any = intrinsic(_move_line)


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
