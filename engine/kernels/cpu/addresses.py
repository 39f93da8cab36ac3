"""Many arrays in one kernel: a table of where they lie in memory, read from the array objects themselves.

An optimizer updates hundreds of arrays in a step, and the gradients are others each time. To ask Python for their addresses
(`array.ctypes.data`) takes a microsecond each; compiled code reads them in a nanosecond from the structure that NumPy's C
interface lays down (`PyArrayObject` in ndarraytypes.h, the same since its version 1), and sees there as well whether
the array is what the kernel can take. `KNOWN` tells whether objects are laid out like this; where they are not, `table`
declines.
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import jit

# In bytes from the object's address; HEAD is that of every Python object, and ends with its type.
HEAD = object.__basicsize__
TYPE, DATA, AXES, SIZES, DTYPE, FLAGS = HEAD - 8, HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
SCALAR, BYTE_ORDER = HEAD, HEAD + 10  # of a dtype object: the type of its scalars, and '=' for the machine's own order
ITEMS = HEAD + 8  # of a list: where the addresses of its objects stand
USABLE = 0x1 | 0x100 | 0x400  # C-contiguous, aligned, writable
# Where the types lie: arguments of the kernel, since compiled code is kept on disk for processes in which they lie elsewhere.
NDARRAY = id(np.ndarray)
SCALARS: dict[Any, int] = {np.dtype(kind): id(kind) for kind in (np.float32, np.float64)}


def _known() -> bool:
    """Whether a list and its arrays look as described above."""
    def word(address: int) -> int:
        return ctypes.c_int64.from_address(address).value

    def half(address: int) -> int:
        return ctypes.c_int32.from_address(address).value

    samples: list[Any] = [np.zeros((2, 3), np.float32), np.zeros(5), np.zeros((4, 4))[:, 1]]
    for i, array in enumerate(samples):
        start = word(word(id(samples) + ITEMS) + 8 * i)
        if start != id(array):
            return False
        kind, axes = word(start + DTYPE), half(start + AXES)
        shape = [word(word(start + SIZES) + 8 * axis) for axis in range(min(axes, 2))]
        found = (word(start + TYPE), word(start + DATA), axes, shape, half(start + FLAGS) & USABLE, kind)
        expected = (NDARRAY, array.ctypes.data, array.ndim, list(array.shape), array.flags.num & USABLE, id(array.dtype))
        if found != expected or word(kind + SCALAR) != SCALARS[array.dtype] \
                or ctypes.c_char.from_address(kind + BYTE_ORDER).value != b"=":
            return False
    return True


KNOWN = ctypes.sizeof(ctypes.c_void_p) == 8 and _known()


@intrinsic
def _read(context: Any, address: Any, kind: Any) -> Any:
    """The number of this type at an address."""
    number = kind.instance_type

    def build(ctx: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], ctx.get_data_type(number).as_pointer()))

    return number(types.int64, kind), build


@intrinsic
def _pointer(context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the array's type."""
    def build(ctx: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], ir.PointerType(ctx.get_data_type(like.dtype)))

    return types.CPointer(like.dtype)(types.int64, like), build


@jit
def data(array: int) -> Any:
    """Where the elements of the array object at this address begin."""
    return _read(array + DATA, np.int64)


@jit
def part(address: int, begin: int, end: int, like: Any) -> Any:
    """The elements begin … end - 1 of the array at this address, whose dtype is that of `like`."""
    return carray(_pointer(address + begin * like.itemsize, like), end - begin)


@jit
def span(rows: Any, row: int, task: int, pieces: int) -> tuple[int, int]:
    """What task number `task` of `pieces` equal ones has of the arrays in a row: begin and end, moved down to whole cache lines."""
    total, start, size = rows[-1, 0], rows[row, 0], rows[row + 1, 0] - rows[row, 0]
    begin, end = task * total // pieces - start, (task + 1) * total // pieces - start
    low = 0 if begin <= 0 else size if begin >= size else begin & ~15
    high = 0 if end <= 0 else size if end >= size else end & ~15
    return low, high


@jit
def _fill(arrays: int, ndarray: int, scalar: int, rows: Any) -> int:
    """Write the table of the list at this address; returns the sum of the sizes, -1 where one of the arrays cannot be used."""
    columns, total = rows.shape[1] - 1, 0
    objects = _read(arrays + ITEMS, np.int64)
    for row in range(rows.shape[0] - 1):
        first = _read(objects + 8 * row * columns, np.int64)
        if _read(first + TYPE, np.int64) != ndarray:  # what follows would be read from an object laid out in another way
            return -1
        axes, sizes, count = _read(first + AXES, np.int32), _read(first + SIZES, np.int64), 1
        for axis in range(axes):
            count *= _read(sizes + 8 * axis, np.int64)
        for column in range(columns):
            array = _read(objects + 8 * (row * columns + column), np.int64)
            if _read(array + TYPE, np.int64) != ndarray or _read(array + FLAGS, np.int32) & USABLE != USABLE:
                return -1
            kind = _read(array + DTYPE, np.int64)
            if _read(kind + SCALAR, np.int64) != scalar or _read(kind + BYTE_ORDER, np.uint8) != 61:  # '='
                return -1
            if _read(array + AXES, np.int32) != axes:
                return -1
            own = _read(array + SIZES, np.int64)
            for axis in range(axes):
                if _read(own + 8 * axis, np.int64) != _read(sizes + 8 * axis, np.int64):
                    return -1
            rows[row, 1 + column] = _read(array + DATA, np.int64)
        rows[row, 0] = total
        total += count
    rows[-1, 0] = total
    return total


def table(arrays: list[Any], columns: int) -> tuple[Any, int]:
    """Rows of (sum of the sizes so far, addresses of `columns` arrays) for a flat list of arrays, a last row with the sum of all
    sizes, and that sum; the caller holds the arrays while it uses the addresses.

    The sum is -1 where the arrays cannot be used: those of a row must have one shape, all of them one dtype, float32 or
    float64; they must be NumPy's, C-contiguous and writable.

    >>> table([np.zeros(3), np.ones(3)], 2)[1], table([np.zeros(3), np.ones(4)], 2)[1]
    (3, -1)
    """
    rows = np.empty((len(arrays) // columns + 1, columns + 1), np.int64)
    scalar = SCALARS.get(arrays[0].dtype)
    if scalar is None or not KNOWN:
        return rows, -1
    return rows, _fill(id(arrays), NDARRAY, scalar, rows)
