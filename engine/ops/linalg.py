"""Linear algebra: what `chainrule.linalg` offers. All functions take batches: matrices are the last two axes.

The derivatives are those of M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), for Cholesky in the form of I. Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from math import inf
from typing import Any

import numpy as np

from chainrule.arguments import axis_of
from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.ops.devices import constant
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["cholesky", "cross", "det", "inv", "inverse", "logdet", "matrix_norm", "matrix_power", "multi_dot", "norm", "slogdet",
           "solve", "solve_triangular", "vecdot", "vector_norm"]

# ---- the rows

# d(A^-1) = -A^-1 dA A^-1
_inv = Op("inv", "The inverse of each matrix.", floats=True,
          input=lambda xp, g, out: -xp.matmul(xp.matmul(out.mT, g), out.mT))
# A X = B: dB gets A^-T g, dA gets -(A^-T g) X^T
_solve = Op("solve", "X of input @ X = other, for (..., n, n) and (..., n, k).", floats=True, broadcasts=True,
            input=lambda xp, g, input, out: -xp.matmul(xp.solve(input.mT, g), out.mT),
            other=lambda xp, g, input: xp.solve(input.mT, g))
_det = Op("det", "The determinant of each matrix.", floats=True,
          input=lambda xp, g, input: xp.reshape(g, (*g.shape, 1, 1)) * xp.cofactor(input))


def _cofactor_adjoint(xp: Any, g: Any, input: Any, out: Any) -> Any:
    """With W = A^-T, so that C = det(A) W: dC = <W, dA> C - C dA^T W. Needs an invertible A, as C alone does not."""
    w = xp.inv(input).mT
    return xp.sum(g * out, axis=(-2, -1), keepdims=True) * w - xp.matmul(xp.matmul(w, g.mT), out)


_cofactor = Op("cofactor", "The matrix of cofactors, the derivative of the determinant.", floats=True,
               input=_cofactor_adjoint)
_logabsdet = Op("logabsdet", "log |det| of each matrix.", floats=True,
                input=lambda xp, g, input: xp.reshape(g, (*g.shape, 1, 1)) * xp.inv(input).mT)
_signdet = Op("signdet", "The sign of each determinant.", floats=True, input=None)


def _cholesky_adjoint(xp: Any, g: Any, out: Any) -> Any:
    """Symmetric part of L^-T Φ(L^T g) L^-1, where Φ takes the lower triangle with half of the diagonal."""
    p = xp.matmul(out.mT, g)
    p = (xp.tril(p) + xp.tril(p, -1)) / 2
    s = xp.solve(out.mT, xp.solve(out.mT, p).mT)
    return (s + s.mT) / 2


_cholesky = Op("cholesky", "The lower triangular L with L @ L.mT = input.", floats=True, input=_cholesky_adjoint)


def square(name: str, input: Any) -> Tensor:
    """The input as a tensor of square matrices; ShapeError for anything else."""
    input = ops.as_tensor(input)
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ShapeError(f"{name}({describe(input)}): takes square matrices, the last two axes must be equal")
    found: Tensor = input
    return found


# ---- inverses and equations

def inv(A: Any) -> Tensor:
    """The inverse of each matrix (..., n, n). Raises LinAlgError where a matrix is singular, ShapeError where not
    square.

    Where you would multiply by it, `solve` is more accurate.

    >>> import chainrule as cr
    >>> cr.linalg.inv(cr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return _inv(square("linalg.inv", A))


@public
def inverse(input: Any) -> Tensor:
    """See `chainrule.linalg.inv`.

    >>> import chainrule as cr
    >>> cr.inverse(cr.tensor([[0.5]]))
    tensor([[2.]])
    """
    return _inv(square("inverse", input))


def solve(A: Any, B: Any, *, left: bool = True) -> Tensor:
    """X with A @ X = B (or X @ A = B where not `left`), for A (..., n, n).

    B is (..., n, k), or a vector (n), or a batch of vectors of exactly A's batch, A.shape[:-1]; batches broadcast.
    Raises LinAlgError where a matrix is singular, ShapeError where the shapes do not fit.

    >>> import chainrule as cr
    >>> cr.linalg.solve(cr.tensor([[2.0, 0.0], [0.0, 4.0]]), cr.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    A, B = square("linalg.solve", A), ops.as_tensor(B)
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    columns = ops.reshape(B, (*B.shape, 1)) if vector else B
    if vector and not left:
        raise ShapeError(f"linalg.solve({describe(A)}, {describe(B)}, left=False): B must hold matrices; pass A.mT "
                         "instead")
    rows = columns.shape[-2 if left else -1] if columns.ndim > 1 else None
    if rows != A.shape[-1]:
        raise ShapeError(f"linalg.solve({describe(A)}, {describe(B)}, left={left}): B has {rows} "
                         f"{'rows' if left else 'columns'}, "
                         f"the matrices of A have size {A.shape[-1]}; they must be equal")
    out = _solve(A, columns) if left else _solve(A.mT, columns.mT).mT
    if not vector:
        return out
    found: Tensor = ops.reshape(out, out.shape[:-1])
    return found


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A @ X = B (or X @ A = B where not `left`), reading only the upper or the lower triangle of A.

    `unitriangular` takes the diagonal to be ones, unread. Shapes (..., n, n) and (..., n, k). Errors as `solve`.

    >>> import chainrule as cr
    >>> cr.linalg.solve_triangular(cr.tensor([[2.0, 9.0], [1.0, 1.0]]), cr.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    A = square("linalg.solve_triangular", A)
    if ops.as_tensor(B).ndim < 2:
        raise ShapeError(f"linalg.solve_triangular({describe(A)}, {describe(ops.as_tensor(B))}): B must hold matrices "
                         "(..., n, k)")
    k = 1 if unitriangular else 0
    part = ops.triu(A, k) if upper else ops.tril(A, -k)
    if unitriangular:
        part = part + constant(np.eye(A.shape[-1], dtype=part.dtype), part)
    return solve(part, B, left=left)


def _identity(A: Tensor) -> Tensor:
    return constant(np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape).copy(), A)


@public
def matrix_power(input: Any, n: int) -> Tensor:
    """Each matrix times itself n times, by repeated squaring; the identity for n = 0, of the inverse for n < 0.

    Raises ShapeError where not square, LinAlgError where n < 0 and a matrix is singular.

    >>> import chainrule as cr
    >>> cr.matrix_power(cr.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    power = square("matrix_power", input)
    n = n.__index__()
    if n < 0:
        power, n = _inv(power), -n
    out: Tensor | None = None
    while n:
        if n & 1:
            out = power if out is None else ops.matmul(out, power)
        n >>= 1
        if n:
            power = ops.matmul(power, power)
    return _identity(power) if out is None else out


def multi_dot(tensors: Any) -> Tensor:
    """The product of two or more matrices, in the order of multiplications that needs the fewest operations.

    The first and the last may be vectors: a row and a column. Raises ShapeError where neighbours do not fit.

    >>> import chainrule as cr
    >>> cr.linalg.multi_dot([cr.ones(2, 3), cr.ones(3, 4), cr.ones(4)])
    tensor([12., 12.])
    """
    parts = [ops.as_tensor(t) for t in tensors]
    if len(parts) < 2 or any(t.ndim != 2 and not (t.ndim == 1 and i in (0, len(parts) - 1)) for i,
                             t in enumerate(parts)):
        raise ShapeError(f"linalg.multi_dot([{', '.join(map(describe, parts))}]): takes two or more matrices; only "
                         "the first and "
                         "the last may be vectors")
    # matrix i has sizes[i] rows and sizes[i + 1] columns
    sizes = [1 if parts[0].ndim == 1 else parts[0].shape[0], *[t.shape[0] for t in parts[1:]],
             1 if parts[-1].ndim == 1 else parts[-1].shape[1]]
    # best[i, j]: the fewest multiplications for the product of matrices i..j, and where to split it
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(parts))}
    for span in range(1, len(parts)):
        for i in range(len(parts) - span):
            j = i + span
            best[i, j] = min((best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                             for k in range(i, j))

    def product(i: int, j: int) -> Tensor:
        found: Tensor = parts[i] if i == j else ops.matmul(product(i, best[i, j][1]), product(best[i, j][1] + 1, j))
        return found

    return product(0, len(parts) - 1)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along an axis: Σ x y, broadcasting.

    >>> import chainrule as cr
    >>> cr.linalg.vecdot(cr.ones(2, 3), cr.ones(3))
    tensor([3., 3.])
    """
    found: Tensor = ops.sum(ops.as_tensor(x) * y, dim)
    return found


# ---- determinants

@public
def cross(input: Any, other: Any, dim: int | None = None) -> Tensor:
    """The cross products of vectors of three elements along `dim`, by default the first axis of size 3; the other axes
    broadcast.

    Raises ShapeError where there is no such axis, or the numbers of axes differ.

    >>> import chainrule as cr
    >>> cr.cross(cr.tensor([1.0, 0.0, 0.0]), cr.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    input, other = ops.as_tensor(input), ops.as_tensor(other)
    if dim is None:
        dim = next((axis for axis, size in enumerate(input.shape) if size == 3), 0)
    if input.ndim != other.ndim or not input.ndim or {x.shape[axis_of("cross", dim, x)] for x in (input, other)} != {3}:
        raise ShapeError(f"cross: shapes {input.shape} and {other.shape}; they need equally many axes, and size 3 along dim={dim}")
    first, second = (ops.roll(input, -1, dim), ops.roll(input, -2, dim)), (ops.roll(other, -1, dim), ops.roll(other, -2, dim))
    found: Tensor = first[0] * second[1] - first[1] * second[0]
    return found


@public
def det(input: Any) -> Tensor:
    """The determinant of each matrix (..., n, n) -> (...). Raises ShapeError where not square.

    Its derivative, the matrix of cofactors, is exact for singular matrices too (by singular values, where torch divides
    by perturbed pivots); the second derivative needs invertible ones and raises LinAlgError for others.

    >>> import chainrule as cr
    >>> cr.det(cr.tensor([[1.0, 2.0], [3.0, 5.0]])).round()
    tensor(-1.)
    """
    return _det(square("det", input))


@public
def slogdet(input: Any) -> tuple[Tensor, Tensor]:
    """The sign and the logarithm of the absolute value of each determinant, (..., n, n) -> (...), (...).

    A singular matrix has sign 0 and logarithm -inf, and no derivative: backward raises LinAlgError. The sign's is 0.

    >>> import chainrule as cr
    >>> cr.slogdet(cr.tensor([[0.0, 1.0], [1.0, 0.0]]))
    (tensor(-1.), tensor(0.))
    """
    input = square("slogdet", input)
    return _signdet(input), _logabsdet(input)


@public
def logdet(input: Any) -> Tensor:
    """The logarithm of each determinant: NaN where it is negative, -inf where it is 0.

    >>> import chainrule as cr
    >>> cr.logdet(cr.eye(3))
    tensor(0.)
    """
    sign, logarithm = slogdet(input)
    found: Tensor = ops.where(sign < 0, np.nan, logarithm)
    return found


@public
def cholesky(input: Any, upper: bool = False) -> Tensor:
    """The lower triangular L with L @ L.mT = input, for symmetric positive-definite matrices (..., n, n).

    With `upper` its transpose. The matrix is taken to be (input + input.mT) / 2, so the gradient is symmetric. Raises
    LinAlgError where a matrix is not positive-definite, ShapeError where not square.

    >>> import chainrule as cr
    >>> cr.linalg.cholesky(cr.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    out = _cholesky(square("cholesky", input))
    return out.mT if upper else out


# ---- norms

def _floating(name: str, x: Any, dtype: Any) -> Tensor:
    x = ops.as_tensor(x) if dtype is None else ops.as_tensor(x).to(dtype)
    if x.dtype.kind not in FLOATING:
        raise DtypeError(f"{name}({describe(x)}): takes floating-point tensors; convert it with .float()")
    found: Tensor = x
    return found


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
                keepdims: bool = False,
                dtype: Any = None) -> Tensor:
    """(Σ |x|^ord)^(1/ord) over the axes `dim` (also `axis`), or over all.

    ord inf takes the largest |x|, -inf the smallest, 0 counts what is not 0. Where the norm is 0 the gradient is 0.
    Raises IndexError for an axis that is not there, DtypeError for integers, ShapeError for ord < 0 or inf of no
    elements.

    >>> import chainrule as cr
    >>> cr.linalg.vector_norm(cr.tensor([3.0, -4.0])), cr.linalg.vector_norm(cr.tensor([3.0, -4.0]), ord=float("inf"))
    (tensor(5.), tensor(4.))
    """
    found: Tensor = ops.vector_norm(_floating("linalg.vector_norm", x, dtype), ord, dim, keepdim, axis=axis,
                                    keepdims=keepdims)
    return found


def matrix_norm(A: Any, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *,
                dtype: Any = None) -> Tensor:
    """A norm of each matrix: ord "fro" sqrt(Σ A²), 1 the largest column sum of |A|, inf the largest row sum; -1 and
    -inf the smallest.

    `dim` says which two axes are rows and columns. Raises ShapeError without two axes, ValueError for another order.

    >>> import chainrule as cr
    >>> a = cr.tensor([[1.0, -2.0], [3.0, 4.0]])
    >>> cr.linalg.matrix_norm(a, 1), cr.linalg.matrix_norm(a, float("inf"))
    (tensor(6.), tensor(7.))
    """
    A = _floating("linalg.matrix_norm", A, dtype)
    if A.ndim < 2 or len(dim) != 2:
        raise ShapeError(f"linalg.matrix_norm({describe(A)}, dim={dim}): a matrix has two axes")
    row, column = axis_of("linalg.matrix_norm", dim[0], A), axis_of("linalg.matrix_norm", dim[1], A)
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim)
    if ord not in (1, -1, inf, -inf):
        raise ValueError(f"linalg.matrix_norm: ord={ord!r} is not among 'fro', 1, -1, inf, -inf (those by singular "
                         "values are "
                         "not offered)")
    summed, largest = (row, column) if ord in (1, -1) else (column, row)
    sums = ops.sum(ops.abs(A), summed, True)
    out = ops.amax(sums, (largest,), True) if ord > 0 else ops.amin(sums, (largest,), True)
    kept = tuple(n for i, n in enumerate(A.shape) if i not in (row, column))
    found: Tensor = out if keepdim else ops.reshape(out, kept)
    return found


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm, or where `ord` is given with two axes (in `dim`, or A's own) a matrix norm.

    Without `ord` the square root of the sum of squares, over `dim` or all. See `vector_norm` and `matrix_norm`.

    >>> import chainrule as cr
    >>> cr.linalg.norm(cr.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(5.)
    """
    A = ops.as_tensor(A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise ShapeError(f"linalg.norm({describe(A)}, ord={ord!r}): with an order takes a vector or a matrix; pass dim")
    axes = tuple(range(A.ndim)) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    if len(axes) == 2:
        return matrix_norm(A, ord, (axes[0], axes[1]), keepdim, dtype=dtype)
    return vector_norm(A, ord, axes, keepdim, dtype=dtype)
