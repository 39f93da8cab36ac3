"""Inverses, determinants and factorizations of (batches of) matrices."""

from functools import wraps
from typing import Any

import numpy as np

from chainrule.errors import LinAlgError

__all__ = ["cholesky", "cofactor", "det", "inv", "logabsdet", "matmul", "signdet", "solve"]


def _wide(kernel: Any) -> Any:
    """Compute float16 in float32: LAPACK has no half precision."""

    @wraps(kernel)
    def widened(*arrays: Any, **options: Any) -> Any:
        if arrays[0].dtype != np.float16:
            return kernel(*arrays, **options)
        return np.asarray(kernel(*[a.astype(np.float32) for a in arrays], **options)).astype(np.float16)

    return widened


def _which(a: Any, bad: Any) -> str:
    """Which of a batch's matrices `bad` (one bool each) holds for, in words."""
    index = np.argwhere(bad)
    return "the matrix" if a.ndim == 2 or not len(index) else f"matrix [{', '.join(map(str, index[0]))}] of the batch"


def _singular(name: str, a: Any) -> LinAlgError:
    return LinAlgError(f"{name}({a.dtype}{a.shape}): {_which(a, np.linalg.slogdet(a)[0] == 0)} is singular, it has no "
                       "inverse; "
                       "its rows are linearly dependent")


def matmul(a: Any, b: Any) -> Any:
    """The matrix product; float16 is accumulated in float32."""
    if a.dtype == np.float16 and b.dtype == np.float16:
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(np.float16)
    return np.matmul(a, b)


@_wide
def inv(a: Any) -> Any:
    """The inverse of each matrix (..., n, n)."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        raise _singular("inv", a) from None


@_wide
def solve(a: Any, b: Any) -> Any:
    """X of a @ X = b, for (..., n, n) and (..., n, k)."""
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        raise _singular("solve", a) from None


@_wide
def det(a: Any) -> Any:
    """The determinant of each matrix (..., n, n)."""
    return np.linalg.det(a)


@_wide
def logabsdet(a: Any) -> Any:
    """log |det a| of each matrix, without forming the determinant, which may overflow."""
    return np.linalg.slogdet(a)[1]


@_wide
def signdet(a: Any) -> Any:
    """The sign of each determinant: -1, 0 or 1."""
    return np.linalg.slogdet(a)[0]


@_wide
def cofactor(a: Any) -> Any:
    """The matrix of cofactors, d det(a) / da, exact for singular matrices too.

    With a = U diag(s) V^T it is det(U) det(V) U diag(t) V^T, where t_i is the product of all s but s_i.
    """
    if not a.size:
        return np.zeros_like(a)
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    t = np.ones_like(s)
    for i in range(n):  # no division: s_i may be 0
        t[..., i] = np.prod(np.delete(s, i, axis=-1), axis=-1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * ((u.conj() * t[..., None, :]) @ vh.conj())


@_wide
def cholesky(a: Any) -> Any:
    """The lower triangular L with L @ L^T = (a + a^T) / 2."""
    try:
        return np.linalg.cholesky((a + a.mT) / 2)
    except np.linalg.LinAlgError:
        bad = ~(np.linalg.eigvalsh((a + a.mT) / 2)[..., 0] > 0)
        raise LinAlgError(f"cholesky({a.dtype}{a.shape}): {_which(a, bad)} is not positive-definite; if it should be, "
                          "add a "
                          "small multiple of the identity") from None
