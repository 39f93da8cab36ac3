"""What the wrappers of CUDA kernels ask of arrays, and how rows and packs of elements are shared out among threads."""

from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.launch import FLOATS, HALVES, instances

# the instances of a kernel over packs: of one element, and of 16 bytes
PACKS = [*instances(FLOATS + HALVES, (1,)), ("float32", 4), ("float64", 2), ("float16", 8), ("bfloat16", 8)]
THREADS = 256  # of a block that works element by element
_served: dict[Any, bool] = {}  # dtype -> whether kernels take it: to ask a dtype for its name takes a microsecond


def served(*arrays: Any) -> bool:
    """Whether the arrays (None passed over) are all of one dtype, float32, float64, float16 or bfloat16."""
    dtype = arrays[0].dtype
    known = _served.get(dtype)
    if known is None:
        known = _served[dtype] = str(dtype) in FLOATS + HALVES
    return known and all([array is None or array.dtype == dtype for array in arrays])


def wide(dtype: Any) -> Any:
    """The dtype in which values of a float dtype are computed: float32 for the 16-bit ones."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def number(value: float, dtype: Any) -> Any:
    """A number as kernels for arrays of this dtype take it, `wide<T>`."""
    return wide(dtype).type(value)


def width(size: int, *arrays: Any) -> int:
    """How many elements a pack has (see packs.cuh): 16 bytes of them where the arrays (None passed over) begin at multiples of 16
    bytes and `size`, the length of what is cut in packs, is a multiple of that; else 1."""
    full = 16 // arrays[0].dtype.itemsize
    return full if size % full == 0 and all([a is None or a.data.ptr % 16 == 0 for a in arrays]) else 1


def row_blocks(rows: int, n: int, pack: int) -> Any:
    """Grid and block for rows of n elements that are kept in registers (`Row` of packs.cuh): about four packs a thread, and up to
    eight rows of one warp in a block."""
    threads = min(512, max(32, -(-n // pack) // 4 + 31 & ~31))
    height = 8 if threads == 32 else 1
    return (-(-rows // height),), (threads, height)


def blocks(size: int, each: int = 1) -> tuple[int]:
    """The grid of blocks of THREADS threads with `each` elements a thread."""
    return (-(-size // (each * THREADS)),)


def like(array: Any, dtype: Any = None) -> Any:
    """A new array of this one's shape, in C order."""
    return cupy.empty(array.shape, dtype or array.dtype)
