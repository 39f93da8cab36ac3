"""Many small NumPy calls as one: NumPy's own inner loops, called one after the other by compiled code.

A ufunc such as `np.add` is, inside, a C function for each combination of dtypes, `loop(pointers, lengths, steps, data)`. What
a call from Python costs, half a microsecond or more, is spent before that function begins: on arguments, dtypes, shapes and a
new array. Where all of that is known beforehand, as in a compiled step (`chainrule.replay`), the calls can be written down as
rows of numbers, and one compiled function calls the loops one after the other. They are NumPy's own, so the bits of the results
are too.

    rows = Loops()
    rows.add(np.multiply, (a, b), c) and rows.add(np.add, (c, b), c)   # False for what it cannot do
    run(rows.table())                                                # c = a * b + b

What differs: no floating-point warnings are given.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chainrule.kernels.cpu.cache import jit

# A row: the loop and its data, how often to call it, the arrays, how far they move on between two calls, lengths, steps. Copying
# under a mask has no loop in NumPy; there the place of the function says the size of an element, and the last array is the mask.
ARRAYS, LENGTHS, STEPS = 4, 3, 9  # at most: a product of matrices has three lengths besides its repetitions
FUNCTION, DATA, REPEAT, AT = 0, 1, 2, 3
MOVE, LENGTH, STEP, FIELDS = AT + ARRAYS, AT + 2 * ARRAYS, AT + 2 * ARRAYS + LENGTHS + 1, AT + 2 * ARRAYS + LENGTHS + 1 + STEPS
ZEROS = {4: np.zeros((), np.float32), 8: np.zeros((), np.float64)}  # what sums begin with; rows hold their addresses
MASKED = 16  # below any address: the size of an element


@intrinsic
def _call(context: Any, function: Any, arrays: Any, lengths: Any, steps: Any, data: Any) -> Any:
    """function(arrays, lengths, steps, data), all given by their addresses."""
    def build(c: Any, builder: Any, s: Any, a: Any) -> Any:
        word, byte = ir.IntType(64).as_pointer(), ir.IntType(8).as_pointer()
        loop = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, byte]).as_pointer()
        builder.call(builder.inttoptr(a[0], loop), [builder.inttoptr(a[1], byte.as_pointer()), builder.inttoptr(a[2], word),
                                                    builder.inttoptr(a[3], word), builder.inttoptr(a[4], byte)])
        return c.get_dummy_value()

    return types.void(*[types.int64] * 5), build


@intrinsic
def _move_if(context: Any, mask: Any, source: Any, target: Any, size: Any) -> Any:
    """Copies an element of 4 or 8 bytes where the byte at `mask` is not 0."""
    def build(c: Any, builder: Any, s: Any, a: Any) -> Any:
        set_ = builder.icmp_unsigned("!=", builder.load(builder.inttoptr(a[0], ir.IntType(8).as_pointer())), ir.IntType(8)(0))
        with builder.if_then(set_):
            with builder.if_else(builder.icmp_signed("==", a[3], ir.IntType(64)(4))) as (four, eight):
                for branch, width in ((four, 32), (eight, 64)):
                    with branch:
                        pointer = ir.IntType(width).as_pointer()
                        builder.store(builder.load(builder.inttoptr(a[1], pointer)), builder.inttoptr(a[2], pointer))
        return c.get_dummy_value()

    return types.void(*[types.int64] * 4), build


@jit
def run(table: Any) -> None:
    """Do what the rows of a table say, in their order."""
    arrays = np.empty(ARRAYS, np.int64)
    for number in range(len(table)):
        row = table[number]
        for again in range(row[REPEAT]):
            for i in range(ARRAYS):  # a copy, since some loops move the pointers that they are given
                arrays[i] = row[AT + i] + again * row[MOVE + i]
            if row[FUNCTION] > MASKED:
                _call(row[FUNCTION], arrays.ctypes.data, row[LENGTH:].ctypes.data, row[STEP:].ctypes.data, row[DATA])
            else:
                for j in range(row[LENGTH]):
                    _move_if(arrays[2] + j * row[STEP + 2], arrays[0] + j * row[STEP], arrays[1] + j * row[STEP + 1],
                             row[FUNCTION])


# ---- where NumPy keeps its loops


class _UFunc(ctypes.Structure):
    """The beginning of PyUFuncObject, as NumPy's header ufuncobject.h has it."""

    _fields_ = [("head", ctypes.c_char * object.__basicsize__), ("nin", ctypes.c_int), ("nout", ctypes.c_int),
                ("nargs", ctypes.c_int), ("identity", ctypes.c_int), ("functions", ctypes.POINTER(ctypes.c_void_p)),
                ("data", ctypes.POINTER(ctypes.c_void_p)), ("ntypes", ctypes.c_int), ("reserved", ctypes.c_int),
                ("name", ctypes.c_char_p), ("types", ctypes.POINTER(ctypes.c_byte))]


def loop_of(ufunc: Any, dtypes: tuple[Any, ...]) -> tuple[int, int] | None:
    """The addresses of the ufunc's loop for exactly these dtypes (inputs, then outputs) and of its data, or None."""
    inside = _UFunc.from_address(id(ufunc))
    if (inside.name or b"").decode() != ufunc.__name__ or inside.nargs != ufunc.nargs or inside.ntypes != ufunc.ntypes:
        return None
    wanted = [dtype.num for dtype in dtypes]
    if len(wanted) != ufunc.nargs or not all(dtype.isnative for dtype in dtypes):
        return None
    for i in range(ufunc.ntypes):
        if inside.types[i * ufunc.nargs : (i + 1) * ufunc.nargs] == wanted:
            function = inside.functions[i]
            return (function, inside.data[i] or 0) if function else None
    return None


@cache
def usable() -> bool:
    """Whether loops can be found and called as this file expects, tried on a sum."""
    try:
        rows, a, out = Loops(), np.arange(3.0), np.zeros(3)
        if not rows.add(np.add, (a, a), out):
            return False
        run(rows.table())
        return bool((out == [0, 2, 4]).all())
    except (AttributeError, ValueError, OSError):
        return False


class Loops:
    """Rows that are being written. Their arrays must stay where they are for as long as the table is in use."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def table(self) -> Any:
        """The rows as an array, for `run`."""
        return np.array(self.rows, np.int64).reshape(-1, FIELDS)

    def _append(self, function: int, data: int, repeat: int, arrays: Any, moves: Any, lengths: Any, steps: Any) -> bool:
        row = np.zeros(FIELDS, np.int64)
        row[FUNCTION], row[DATA], row[REPEAT] = function, data, repeat
        for start, values in ((AT, [_address(a) for a in arrays]), (MOVE, moves), (LENGTH, lengths), (STEP, steps)):
            row[start : start + len(values)] = values
        self.rows.append(row)
        return True

    def add(self, ufunc: Any, inputs: tuple[Any, ...], out: Any) -> bool:
        """A row for `ufunc(*inputs, out=out)`. Returns False, and adds none, where there is no loop for exactly these dtypes,
        or more than two axes are left when those are joined that lie one behind the other in all arrays."""
        arrays = (*inputs, out)
        found = loop_of(ufunc, tuple(a.dtype for a in arrays)) if len(arrays) <= ARRAYS and _plain(arrays) else None
        if found is None:
            return False
        if ufunc.signature is not None:
            return ufunc is np.matmul and self._product(found, *arrays)
        axes = _axes(out.shape, [_strides(a, out.shape) for a in arrays])
        if axes is None:
            return False
        (repeat, moves), (length, steps) = axes
        if ufunc is np.negative and length > 1 and any(step != out.itemsize for step in steps):
            return False  # NumPy's loop (2.4, float32 with AVX-512) reads other elements where both have gaps
        return self._append(*found, repeat, arrays, moves, [length], steps)

    def _product(self, found: tuple[int, int], a: Any, b: Any, out: Any) -> bool:
        if not a.ndim == b.ndim == out.ndim == 2:
            return False
        return self._append(*found, 1, (a, b, out), (), [1, *a.shape, b.shape[1]], [0, 0, 0, *a.strides, *b.strides, *out.strides])

    def total(self, x: Any, axis: Any, out: Any) -> bool:
        """Rows for `np.add.reduce(x, axis, out=out)`: of all elements of an array, or of a matrix's rows."""
        found = loop_of(np.add, (x.dtype, x.dtype, out.dtype)) if _plain((x, out)) else None
        if found is None or x.dtype not in (np.float32, np.float64) or out.dtype != x.dtype:
            return False
        if not x.flags.c_contiguous or not x.size:
            return False
        chosen = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted(i % x.ndim for i in chosen))
        size, zero = x.dtype.itemsize, ZEROS[x.dtype.itemsize]
        if axes == tuple(range(x.ndim)):
            return self.copy(out.reshape(()), zero) and self._append(*found, 1, (out, x, out), (), [x.size], [0, size, 0])
        if axes == (0,) and x.ndim == 2 and out.flags.c_contiguous:
            rows, width = x.shape
            flat = out.reshape(-1)
            return self.copy(flat, zero) and self._append(*found, rows, (flat, x, flat), [0, width * size, 0], [width], [size] * 3)
        return False

    def copy(self, target: Any, source: Any, mask: Any = None) -> bool:
        """A row for `np.copyto(target, source, where=mask)`, of one dtype."""
        if mask is None:
            return self.add(np.positive, (source,), target)
        arrays = source, target, mask
        size = target.dtype.itemsize
        if source.dtype != target.dtype or mask.dtype != np.bool_ or size not in (4, 8) or not _plain(arrays):
            return False
        axes = _axes(target.shape, [_strides(a, target.shape) for a in arrays])
        if axes is None:
            return False
        (repeat, moves), (length, steps) = axes
        return self._append(size, 0, repeat, arrays, moves, [length], steps)


def _plain(arrays: tuple[Any, ...]) -> bool:
    return all(type(a) is np.ndarray and a.flags.aligned and a.dtype.isnative for a in arrays)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _strides(array: Any, shape: tuple[int, ...]) -> list[int]:
    """By how many bytes an array that is broadcast to a shape moves on along each axis."""
    return list(np.broadcast_to(array, shape).strides)


def _axes(shape: tuple[int, ...], strides: list[list[int]]) -> Any:
    """((length, strides), (length, strides)) of the two axes that are left after joining; None where more are."""
    axes: list[tuple[int, list[int]]] = []
    for n, *steps in zip(shape, *strides, strict=True):
        if n == 1:
            continue
        if axes and all(before == n * now for before, now in zip(axes[-1][1], steps, strict=True)):
            axes[-1] = axes[-1][0] * n, steps
        else:
            axes.append((n, steps))
    still = 1, [0] * len(strides)
    axes = [still] * (2 - len(axes)) + axes
    return axes if len(axes) == 2 else None
