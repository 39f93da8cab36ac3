"""Matrix products inside kernels: a private OpenBLAS, called from compiled code through external symbols.

The library is the wheel scipy-openblas64, the one that NumPy's own builds use. Ours is a copy of its own, loaded with
local symbols and pinned to one thread: the threads are our own (pool.py), and two pools would fight, while NumPy's copy keeps the
user's setting. A kernel that refers to a ctypes function cannot be cached on disk; one that refers to an external
symbol can, since the symbol is registered under its name before cached code is linked.

`AVAILABLE` is False where the library is missing or cannot be loaded; kernels that need it then leave the work to the
reference. OPENBLAS_CORETYPE and the like are read by OpenBLAS itself when it is loaded.
"""

import ctypes
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy
from numba import types
from numba.extending import overload


def _load() -> Any:
    """The shared library, or None. Not by importing its package, which would make its symbols global to the process."""
    try:
        spec = find_spec("scipy_openblas64")
        folder = Path(next(iter(spec.submodule_search_locations or []))) / "lib" if spec else None
        if folder is None:
            return None
        pattern = "*.dll" if sys.platform == "win32" else "libscipy*"
        library = ctypes.CDLL(str(min(folder.glob(pattern))), mode=ctypes.RTLD_LOCAL)
        for letter in "sd":
            pointer = ctypes.cast(getattr(library, f"scipy_cblas_{letter}gemm64_"), ctypes.c_void_p).value
            llvm.add_symbol(f"chainrule_{letter}gemm", pointer)
        library.scipy_openblas_set_num_threads64_(1)
    except (OSError, StopIteration, ValueError, AttributeError):
        return None
    return library


_library = _load()
AVAILABLE = _library is not None


def core_name() -> str:
    """The processor that OpenBLAS chose its kernels for, or "none" where the library is missing.

    >>> isinstance(core_name(), str)
    True
    """
    if _library is None:
        return "none"
    function = _library.scipy_openblas_get_corename64_
    function.restype = ctypes.c_char_p
    return str(function().decode())


def _external(letter: str, real: Any) -> Any:
    enum, size, pointer = types.int32, types.int64, types.intp
    return types.ExternalFunction(f"chainrule_{letter}gemm", types.void(
        enum, enum, enum, size, size, size, real, pointer, size, pointer, size, real, pointer, size))


_sgemm, _dgemm = _external("s", types.float32), _external("d", types.float64)
_ROW_MAJOR, _NO, _TRANSPOSED = numpy.int32(101), numpy.int32(111), numpy.int32(112)


def gemm(transpose_a: bool, transpose_b: bool, rows: int, columns: int, inner: int, alpha: float,
         a: Any, lda: int, b: Any, ldb: int, beta: float, c: Any, ldc: int) -> None:
    """c = alpha * op(a) @ op(b) + beta * c, inside a kernel: row-major, float32 or float64 by the dtype of c.

    op(a) is (rows, inner) and op(b) (inner, columns); a, b and c are arrays whose first element is the first element of
    the matrix, and whose rows lie lda, ldb, ldc elements apart. With beta == 0, c is only written.
    """
    raise TypeError("gemm is for compiled kernels; in Python, use numpy.matmul")


@overload(gemm, inline="never")  # type: ignore[misc, untyped-decorator, unused-ignore]
def _gemm(transpose_a: Any, transpose_b: Any, rows: Any, columns: Any, inner: Any, alpha: Any,
          a: Any, lda: Any, b: Any, ldb: Any, beta: Any, c: Any, ldc: Any) -> Any:
    real: Any
    if c.dtype == types.float32:
        product, real = _sgemm, numpy.float32
    elif c.dtype == types.float64:
        product, real = _dgemm, numpy.float64
    else:
        return None

    def call(transpose_a: Any, transpose_b: Any, rows: Any, columns: Any, inner: Any, alpha: Any,
             a: Any, lda: Any, b: Any, ldb: Any, beta: Any, c: Any, ldc: Any) -> None:
        product(_ROW_MAJOR, _TRANSPOSED if transpose_a else _NO, _TRANSPOSED if transpose_b else _NO,
                rows, columns, inner, real(alpha), a.ctypes.data, lda, b.ctypes.data, ldb,
                real(beta), c.ctypes.data, ldc)
    return call
