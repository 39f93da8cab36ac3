"""The memory of NumPy's arrays, beginning at whole cache lines: an allocator that NumPy is told to use (its NEP 49).

malloc gives addresses at multiples of 16 bytes. A vector of 64 bytes that is read from such a place lies across two cache lines,
and a kernel that does little with each element takes half as long again. So LINE bytes more are asked for; the array begins at the
first line that leaves room for the address of the block it lies in, which is written right before it:

    block ... | address of block | array ...
                                 ^ a multiple of LINE

`install` tells NumPy, for the thread that first asks for a kernel; memory.py for every other thread that runs one. An array knows
by whose functions it is freed, so both kinds live side by side. Whoever has chosen another allocator keeps it.
"""

import ctypes
import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chainrule.kernels.cpu import memory
from chainrule.kernels.cpu.cache import callback, jit

LINE = 64
HUGE = 1 << 22  # bytes from which Linux is asked for large pages, as NumPy's own allocator does
_PAGE, _WANT_HUGE = 4096, np.int32(14)  # MADV_HUGEPAGE

_address, _size = types.uintp, types.uintp
_get = types.ExternalFunction("malloc", _address(_size))
_get_zeros = types.ExternalFunction("calloc", _address(_size, _size))
_get_again = types.ExternalFunction("realloc", _address(_address, _size))
_give_back = types.ExternalFunction("free", types.void(_address))
_move = types.ExternalFunction("memmove", _address(_address, _address, _size))
_advise = types.ExternalFunction("madvise", types.int32(_address, _size, types.int32))
_LINUX = sys.platform == "linux"


def _before(builder: Any, address: Any) -> Any:
    word = ir.IntType(64)
    return builder.inttoptr(builder.sub(address, word(8)), word.as_pointer())


@intrinsic
def _note(context: Any, start: Any, block: Any) -> Any:
    """Writes the block's address before the array's start."""
    def build(c: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[1], _before(builder, values[0]))
        return c.get_dummy_value()

    return types.void(_address, _address), build


@intrinsic
def _block_of(context: Any, start: Any) -> Any:
    return _address(_address), lambda c, builder, signature, values: builder.load(_before(builder, values[0]))


@jit
def _line_in(block: Any) -> Any:
    return (block + np.uint64(LINE)) & ~np.uint64(LINE - 1)


@jit
def _array_in(block: Any) -> Any:
    """Where the array begins in a new block; 0 where there is none."""
    if block == 0:
        return block
    start = _line_in(block)
    _note(start, block)
    return start


@callback(_address(_address, _size))
def _malloc(context: Any, size: Any) -> Any:
    start = _array_in(_get(size + np.uint64(LINE)))
    if _LINUX and start != 0 and size >= np.uint64(HUGE):
        page = (start + np.uint64(_PAGE - 1)) & ~np.uint64(_PAGE - 1)
        _advise(page, start + size - page, _WANT_HUGE)
    return start


@callback(_address(_address, _size, _size))
def _calloc(context: Any, count: Any, size: Any) -> Any:
    return _array_in(_get_zeros(np.uint64(1), count * size + np.uint64(LINE)))


@callback(_address(_address, _address, _size))
def _realloc(context: Any, start: Any, size: Any) -> Any:
    before = _block_of(start)
    shift = start - before
    block = _get_again(before, size + np.uint64(LINE))
    if block == 0:  # the old one is as it was
        return block
    now = _line_in(block)
    if now - block != shift:  # malloc found another place, in which the line lies elsewhere
        _move(now, block + shift, size)
    _note(now, block)
    return now


@callback(types.void(_address, _address, _size))
def _free(context: Any, start: Any, size: Any) -> None:
    if start != 0:
        _give_back(_block_of(start))


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of ndarraytypes.h."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
                ("malloc", ctypes.c_void_p), ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p),
                ("free", ctypes.c_void_p))


SET_HANDLER = 304  # the place of PyDataMem_SetHandler in NumPy's C interface


def install() -> None:
    """Let arrays that are made from now on begin at whole cache lines."""
    inside: Any = np._core.multiarray  # type: ignore[attr-defined]
    python = ctypes.pythonapi
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = ctypes.py_object, ctypes.c_char_p
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
    functions = _malloc, _calloc, _realloc, _free
    handler = _Handler(b"chainrule", 1, None, *[f.address for f in functions])
    for needed in (handler, *functions):  # the last arrays are freed when modules are gone
        python.Py_IncRef(ctypes.py_object(needed))
    capsule = python.PyCapsule_New(ctypes.addressof(handler), b"mem_handler", None)
    table = python.PyCapsule_GetPointer(inside._ARRAY_API, None)
    address = ctypes.c_void_p.from_address(table + 8 * SET_HANDLER).value or 0
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)

    def arrive() -> None:
        if inside.get_handler_name() == "default_allocator":
            set_handler(capsule)

    memory.arrive = arrive
    arrive()
