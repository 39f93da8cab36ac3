"""Stands in for cupy.cuda.cublas: the two products that the backend asks of cuBLAS, over memory of the host.

Matrices lie by columns: element (i, j) of one with leading dimension `ld` is at i + j * ld. What cuBLAS would refuse is an error.
"""

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_GEMM_DEFAULT = -1

TYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float64), 2: np.dtype(np.float16), 14: np.dtype(ml_dtypes.bfloat16)}


def _matrices(address: int, kind: int, rows: int, columns: int, ld: int, step: int, count: int) -> Any:
    """The matrices (count, rows, columns) at an address."""
    dtype = TYPES[kind]
    if ld < max(1, rows) or min(rows, columns, count) < 1:
        raise RuntimeError(f"CUBLAS_STATUS_INVALID_VALUE: {count} matrices ({rows}, {columns}), leading dimension {ld}")
    size = dtype.itemsize
    memory = (ctypes.c_char * (((count - 1) * step + (columns - 1) * ld + rows) * size)).from_address(address)
    return np.lib.stride_tricks.as_strided(np.frombuffer(memory, dtype), (count, rows, columns), (step * size, size, ld * size))


def tf32(x: Any) -> Any:
    """float32 rounded to the ten bits of fraction that tensor cores multiply."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xffffe000)).view(np.float32)


def gemmStridedBatchedEx(handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int,  # noqa: N802
                         lda: int, strideA: int, B: int, Btype: int, ldb: int, strideB: int, beta: int, C: int, Ctype: int,
                         ldc: int, strideC: int, batchCount: int, computeType: int, algo: int) -> None:
    """C (m, n) = alpha op(A) op(B) + beta C."""
    wide = np.float64 if computeType == CUBLAS_COMPUTE_64F else np.float32
    if (Ctype == 1) != (wide is np.float64) or not Atype == Btype == Ctype:
        raise RuntimeError(f"CUBLAS_STATUS_NOT_SUPPORTED: types {Atype}, {Btype}, {Ctype}, computed as {computeType}")
    scalar = ctypes.c_double if wide is np.float64 else ctypes.c_float
    one, other = scalar.from_address(alpha).value, scalar.from_address(beta).value
    a = _matrices(A, Atype, *((k, m) if transa else (m, k)), lda, strideA, batchCount).astype(wide)
    b = _matrices(B, Btype, *((n, k) if transb else (k, n)), ldb, strideB, batchCount).astype(wide)
    if computeType == CUBLAS_COMPUTE_32F_FAST_TF32:
        a, b = tf32(a), tf32(b)
    c = _matrices(C, Ctype, m, n, ldc, strideC, batchCount)
    product = one * ((a.swapaxes(1, 2) if transa else a) @ (b.swapaxes(1, 2) if transb else b))
    c[...] = product + other * c.astype(wide) if other else product


def gemmEx(handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int, lda: int, B: int,  # noqa: N802
           Btype: int, ldb: int, beta: int, C: int, Ctype: int, ldc: int, computeType: int, algo: int) -> None:
    """The same of one matrix."""
    gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0, 1,
                         computeType, algo)
