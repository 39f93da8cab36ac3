"""NumPy's products and linear algebra."""

from typing import Any, NamedTuple

from chainrule.dtypes import REAL
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.numpy_protocol.dispatch import answer
from chainrule.numpy_protocol.shapes import flat
from chainrule.ops import linalg
from chainrule.tensor import Tensor


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant, by NumPy's names."""

    sign: Tensor
    logabsdet: Tensor


def _dot(a: Any, b: Any) -> Any:
    """Sums over the last axis of a and the second to last of b (its only one); a plain product where one is 0-d."""
    a, b = ops.as_tensor(a), ops.as_tensor(b)
    if not a.ndim or not b.ndim:
        return ops.multiply(a, b)
    if b.ndim <= 2:
        return ops.matmul(a, b)
    return ops.tensordot(a, b, ((-1,), (-2,)))


def _vdot(a: Any, b: Any) -> Any:
    return ops.dot(flat(a), flat(b))


def _outer(a: Any, b: Any) -> Any:
    return ops.outer(flat(a), flat(b))


def _einsum(*operands: Any, optimize: Any = False) -> Any:
    """`optimize` may be anything: it chooses an order of multiplications, and ours goes from left to right."""
    return ops.einsum(*operands)


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return ops.sum(ops.diagonal(a, offset, axis1, axis2), -1, dtype=dtype)


def _floats(a: Any) -> Any:
    """Norms are of floats: integers are converted."""
    x = ops.as_tensor(a)
    return x if x.dtype.kind in REAL else x.to(float)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = _floats(x)
    vector = x.ndim == 1 if axis is None else not isinstance(axis, tuple) or len(axis) == 1
    if vector and isinstance(ord, str):
        raise ValueError(f"np.linalg.norm: ord={ord!r} is for matrices")
    if isinstance(axis, tuple) and len(axis) > 2:
        raise ShapeError(f"np.linalg.norm: axis={axis}; a norm is of vectors (one axis) or of matrices (two)")
    return linalg.norm(x, ord, axis, keepdims)


def _vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return linalg.vector_norm(_floats(x), ord, axis, keepdims)


def _solve(a: Any, b: Any) -> Any:
    """NumPy takes b for a vector only where it has one axis."""
    a, b = ops.as_tensor(a), ops.as_tensor(b)
    return linalg.solve(a, ops.unsqueeze(b, 0) if 1 < b.ndim < a.ndim else b)


def _cholesky(a: Any, upper: bool = False) -> Any:
    """NumPy reads one triangle alone."""
    a = linalg.square("np.linalg.cholesky", a)
    part, rest = (ops.triu(a), ops.triu(a, 1)) if upper else (ops.tril(a), ops.tril(a, -1))
    return ops.cholesky(part + rest.mT, upper)


def _matrices(x: Any) -> Any:
    x = ops.as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"np.linalg: a matrix has two axes, the input has shape {x.shape}")
    return x


answer(
    dot=_dot, vdot=_vdot, inner=lambda a, b: ops.inner(a, b), outer=_outer, kron=lambda a, b: ops.kron(a, b),
    tensordot=lambda a, b, axes=2: ops.tensordot(a, b, axes), einsum=_einsum, trace=_trace,
    diagonal=lambda a, offset=0, axis1=0, axis2=1: ops.diagonal(a, offset, axis1, axis2),
    diag=lambda v, k=0: ops.diag(v, k), tril=lambda m, k=0: ops.tril(m, k), triu=lambda m, k=0: ops.triu(m, k),
    linalg_norm=_norm, linalg_vector_norm=_vector_norm,
    linalg_matrix_norm=lambda x, keepdims=False, ord="fro": linalg.matrix_norm(_floats(x), ord, (-2, -1), keepdims),
    linalg_inv=lambda a: linalg.inv(a), linalg_solve=_solve, linalg_det=lambda a: ops.det(a),
    linalg_slogdet=lambda a: SlogdetResult(*ops.slogdet(a)), linalg_cholesky=_cholesky,
    linalg_matrix_power=lambda a, n: ops.matrix_power(a, n), linalg_multi_dot=lambda arrays: linalg.multi_dot(arrays),
    linalg_vecdot=lambda x1, x2, axis=-1: linalg.vecdot(x1, x2, dim=axis),
    linalg_matmul=lambda x1, x2: ops.matmul(x1, x2), linalg_outer=lambda x1, x2: ops.outer(x1, x2),
    linalg_tensordot=lambda x1, x2, axes=2: ops.tensordot(x1, x2, axes),
    linalg_trace=lambda x, offset=0, dtype=None: _trace(_matrices(x), offset, -2, -1, dtype),
    linalg_diagonal=lambda x, offset=0: ops.diagonal(_matrices(x), offset, -2, -1),
)
