"""Products of matrices by cuBLAS, and a kernel of our own that shows how such a product is computed.

cuBLAS takes an operand that lies transposed as it is, by a flag, and a batch by the distance from one matrix to the next, zero
where all entries share one; what it cannot take so is copied first. It reads matrices by columns, ours lie by rows: what is a
matrix here is its transpose there, and C = A B is asked for as Cᵀ = Bᵀ Aᵀ.

float16 and bfloat16 are added up in float32. float32 is multiplied as it is, unless `chainrule.cuda.allow_tf32` says otherwise:
then cuBLAS is told by its compute type. (CuPy has a setting of that kind for the whole process, which is left alone.)
"""

from functools import cache
from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import served
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.state import special, state

TYPES = {"float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF", "float32": "CUDA_R_32F", "float64": "CUDA_R_64F"}
# what cuBLAS multiplies the product and the former result by, in the type it computes in
FACTORS = {t: np.array([0, 1], t) for t in FLOATS}


@cache
def _types(dtype: Any, rounded: bool) -> tuple[int, int, int, int]:
    """cuBLAS's numbers for the elements' type and for the type it computes in, and the addresses of that type's 0 and 1."""
    computed = "64F" if dtype == np.float64 else "32F_FAST_TF32" if rounded else "32F"
    factors = FACTORS["float64" if dtype == np.float64 else "float32"]
    return (getattr(cupy.cuda.runtime, TYPES[str(dtype)]), getattr(cupy.cuda.cublas, "CUBLAS_COMPUTE_" + computed),
            factors.ctypes.data, factors.ctypes.data + factors.itemsize)


def tf32(dtype: Any) -> bool:
    """Whether this thread allows tensor cores to round what they multiply, and the dtype is float32."""
    return bool(special.count and state.tf32 and dtype == np.float32)


def layout(x: Any) -> tuple[Any, bool, int]:
    """x (..., rows, columns), or its copy; whether it lies by columns; the distance from one row (column) to the next."""
    rows, columns = x.shape[-2:]
    down, across = (s // x.itemsize for s in x.strides[-2:])
    if across == 1 or columns == 1:
        if rows == 1 or down >= columns:
            return x, False, max(columns, 1) if rows == 1 else down
    if (down == 1 or rows == 1) and across >= rows:
        return x, True, across
    return contiguous(x), False, max(columns, 1)


def step(x: Any, lead: tuple[int, ...]) -> int | None:
    """How far apart the matrices of x, broadcast to leading axes `lead`, lie: 0 where they are one; None where it varies."""
    strides = (0,) * (len(lead) + 2 - x.ndim) + tuple(0 if n == 1 else s for n, s in zip(x.shape[:-2], x.strides))
    axes = [(n, s) for n, s in zip(lead, strides, strict=True) if n > 1]
    for (_, outer), (n, inner) in zip(axes, axes[1:]):
        if outer != n * inner:
            return None
    return axes[-1][1] // x.itemsize if axes else 0


def multiply(a: Any, b: Any, out: Any, add: bool = False) -> Any:
    """out (*lead, M, N) = a (..., M, K) @ b (..., K, N), which broadcast to `lead`; with `add`, out += that. out is contiguous."""
    (*lead, m, n), k = out.shape, a.shape[-1]
    if not out.size:
        return out
    if not k:
        return out if add else _zero(out)
    if a.ndim > 2 and b.size == k * n and a.shape[:-2] == tuple(lead) and a.flags.c_contiguous:
        # the entries of the batch are further rows
        a, b, m, lead = a.reshape(-1, k), b.reshape(k, n), out.size // n, []
    lead = tuple(lead)
    right, right_by_columns, right_pitch, right_step = _operand(b, lead)
    left, left_by_columns, left_pitch, left_step = _operand(a, lead)
    kind, computed, zero, one = _types(out.dtype, tf32(out.dtype))
    count, library = prod(lead), cupy.cuda.cublas
    begin = (cupy.cuda.get_cublas_handle(), int(right_by_columns), int(left_by_columns), n, m, k, one)
    beta = one if add else zero
    if count == 1:
        library.gemmEx(*begin, right.data.ptr, kind, right_pitch, left.data.ptr, kind, left_pitch, beta, out.data.ptr, kind, n,
                       computed, library.CUBLAS_GEMM_DEFAULT)
    else:
        library.gemmStridedBatchedEx(*begin, right.data.ptr, kind, right_pitch, right_step, left.data.ptr, kind, left_pitch,
                                     left_step, beta, out.data.ptr, kind, n, m * n, count, computed, library.CUBLAS_GEMM_DEFAULT)
    return out


def _zero(out: Any) -> Any:
    out.fill(0)
    return out


def _operand(x: Any, lead: tuple[int, ...]) -> tuple[Any, bool, int, int]:
    """`layout` and `step` of x, of a copy where leading axes do not lie evenly."""
    x, by_columns, distance = layout(x)
    between = step(x, lead)
    if between is None:
        x = contiguous(x)
        between = step(x, lead)
        if between is None:  # broadcast along some of the leading axes only
            x = contiguous(cupy.broadcast_to(x, lead + x.shape[-2:]))
            between = x.shape[-2] * x.shape[-1]
        by_columns, distance = False, max(x.shape[-1], 1)
    return x, by_columns, distance, between


def matmul(a: Any, b: Any) -> Any:
    """The kernel of the row `matmul`: (..., M, K) @ (..., K, N) -> (..., M, N), leading axes broadcast. Complex numbers and
    integers are left to CuPy."""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2] or not served(a, b):
        return cupy.matmul(a, b)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return multiply(a, b, cupy.empty((*lead, a.shape[-2], b.shape[-1]), a.dtype))


_tiled = Kernel("matmul.cu", "matmul", [*instances(("float32",), (8,), (False, True), (False, True)),
                                        *instances(("float64",), (4,), (False, True), (False, True))])
_tensor = Kernel("matmul_tensor.cu", "matmul_tensor", instances((*HALVES, "float32"), (4,), (False, True), (False, True)))


def tiled_matmul(a: Any, b: Any) -> Any:
    """a (M, K) @ b (K, N) -> (M, N) by kernels of our own: the readable twin of what cuBLAS does, for tests and benchmarks.

    float32 and float64 by multiply-adds in registers (matmul.cu), float16 and bfloat16 by tensor cores (matmul_tensor.cu), and
    so float32 where tf32 is allowed. Operands may lie by rows or by columns. ValueError for what are not two such matrices.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or not served(a, b):
        raise ValueError(f"tiled_matmul: float matrices (M, K) and (K, N) of one dtype were expected, not {a.dtype} {a.shape} and "
                         f"{b.dtype} {b.shape}")
    (m, k), n, dtype = a.shape, b.shape[1], a.dtype
    out = cupy.empty((m, n), dtype)
    tensor = str(dtype) in HALVES or tf32(dtype)
    a_by_columns, b_by_columns = (not x.flags.c_contiguous and x.flags.f_contiguous for x in (a, b))
    a, b = contiguous(a.T if a_by_columns else a), contiguous(b.T if b_by_columns else b)
    if tensor:
        a, b = in_chunks(a), in_chunks(b)
    side = 64 if dtype == np.float64 else 128
    grid = (-(-n // side), -(-m // side))
    if tensor:
        lines = a.shape[a_by_columns], b.shape[not b_by_columns]
        _tensor(dtype, side // 32, not a_by_columns, b_by_columns, grid=grid, block=(256,), shared=480 * side,
                arguments=(a, b, out, m, n, k, *lines, a.shape[1], b.shape[1]))
    else:
        _tiled(dtype, side // 16, not a_by_columns, b_by_columns, grid=grid, block=(256,),
               arguments=(a, b, out, m, n, k, a.shape[1], b.shape[1]))
    return out


def in_chunks(x: Any) -> Any:
    """A contiguous matrix, or its copy with zeros at the end of each row, that can be copied 16 bytes at a time."""
    chunk = 16 // x.itemsize
    if x.shape[1] % chunk == 0 and x.data.ptr % 16 == 0:
        return x
    filled = cupy.zeros((x.shape[0], -(-x.shape[1] // chunk) * chunk), x.dtype)
    filled[:, :x.shape[1]] = x
    return filled
