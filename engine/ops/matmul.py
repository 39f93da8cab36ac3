"""Products of matrices and vectors."""

from math import prod
from typing import Any

from chainrule.arguments import axis_of, scaled
from chainrule.errors import ShapeError, describe
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["addmm", "addmv", "baddbmm", "bmm", "dot", "inner", "kron", "matmul", "mm", "mv", "outer", "tensordot",
           "trace"]


def _of_shared(xp: Any, g: Any, input: Any, other_shape: tuple[int, ...]) -> Any:
    """input.mT @ g; summed over the batch at once where all its entries share one `other`: their rows are one matrix."""
    if len(other_shape) == 2 and len(g.shape) > 2 and len(g.shape) == len(input.shape):
        g, input = (xp.reshape(x, (prod(x.shape[:-1]), x.shape[-1])) for x in (g, input))
    return xp.matmul(input.mT, g)


# (..., M, K) @ (..., K, N) -> (..., M, N); leading axes broadcast, so the walk sums the gradients back over them
_matmul = Op("matmul", word="bilinear", broadcasts=True,
             input=lambda xp, g, other: xp.matmul(g, other.mT),
             other=_of_shared)


def _misfit(name: str, input: Tensor, other: Tensor) -> ShapeError:
    """Why these two cannot be multiplied."""
    a, b = input.shape, other.shape
    inner = b[-2] if len(b) > 1 else b[-1]
    if a[-1] != inner:
        which = "second to last" if len(b) > 1 else "only"
        advice = f"the last axis of the first has size {a[-1]}, the {which} axis of the other {inner}; make them equal"
        if len(b) > 1 and a[-1] == b[-1]:
            advice += " (transpose the second, other.mT?)"
        elif len(a) > 1 and a[-2] == inner:
            advice += " (transpose the first, input.mT?)"
    else:
        advice = (f"the leading axes {a[:-2]} and {b[:-2]} do not broadcast: sizes must be equal or 1; insert an axis "
                  "with "
                  "unsqueeze or reshape one of them")
    return ShapeError(f"{name}({describe(input)}, {describe(other)}): {advice}")


@public
def matmul(input: Any, other: Any) -> Tensor:
    """The matrix product input @ other: out[..., i, j] = Σ_k input[..., i, k] other[..., k, j].

    (..., M, K) @ (..., K, N) -> (..., M, N): leading axes broadcast; a 1-D operand is a row (left) or a column (right)
    whose axis then disappears. Raises ShapeError where the inner sizes differ, the leading axes do not broadcast, or an
    operand is 0-d.

    >>> import chainrule as cr
    >>> cr.tensor([[1.0, 2.0], [3.0, 4.0]]) @ cr.tensor([1.0, 1.0])
    tensor([3., 7.])
    """
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        input, other = ops.as_tensor(input), ops.as_tensor(other)
    a, b = input._data.ndim, other._data.ndim
    if not a or not b:
        raise ShapeError(f"matmul({describe(input)}, {describe(other)}): a 0-d tensor has no rows; use * for scaling")
    try:
        if a >= 2 and b >= 2:
            return _matmul(input, other)
        left = ops.reshape(input, (1, input.shape[0])) if a == 1 else input
        right = ops.reshape(other, (other.shape[0], 1)) if b == 1 else other
        out = _matmul(left, right)
    except ShapeError:
        raise _misfit("matmul", input, other) from None
    shape = out.shape[:-2] + (() if a == 1 else out.shape[-2:-1]) + (() if b == 1 else out.shape[-1:])
    found: Tensor = ops.reshape(out, shape)
    return found


def _of_ranks(name: str, input: Any, other: Any, ranks: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Both as tensors; ShapeError unless they have the number of axes that `name` wants, and inner sizes that fit."""
    input, other = ops.as_tensor(input), ops.as_tensor(other)
    if (input.ndim, other.ndim) != ranks:
        raise ShapeError(f"{name}({describe(input)}, {describe(other)}): takes a {ranks[0]}-D and a {ranks[1]}-D "
                         "tensor; "
                         "matmul takes all forms")
    if input.shape[-1] != other.shape[-2 if ranks[1] > 1 else -1]:
        raise _misfit(name, input, other)
    return input, other


@public
def mm(input: Any, mat2: Any) -> Tensor:
    """The product of two matrices, (M, K) by (K, N); no broadcasting. Raises ShapeError for anything else.

    >>> import chainrule as cr
    >>> cr.mm(cr.ones(2, 3), cr.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    return matmul(*_of_ranks("mm", input, mat2, (2, 2)))


@public
def bmm(input: Any, mat2: Any) -> Tensor:
    """The products of two batches of matrices, (B, M, K) by (B, K, N); no broadcasting. Raises ShapeError for anything
    else.

    >>> import chainrule as cr
    >>> cr.bmm(cr.ones(5, 2, 3), cr.ones(5, 3, 4)).shape
    (5, 2, 4)
    """
    input, mat2 = _of_ranks("bmm", input, mat2, (3, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm({describe(input)}, {describe(mat2)}): the batches have {input.shape[0]} and "
                         f"{mat2.shape[0]} "
                         "matrices; matmul broadcasts a single one")
    return matmul(input, mat2)


@public
def mv(input: Any, vec: Any) -> Tensor:
    """The product of a matrix (M, K) and a vector (K). Raises ShapeError for anything else.

    >>> import chainrule as cr
    >>> cr.mv(cr.eye(2), cr.tensor([3.0, 4.0]))
    tensor([3., 4.])
    """
    return matmul(*_of_ranks("mv", input, vec, (2, 1)))


@public
def dot(input: Any, other: Any) -> Tensor:
    """The inner product of two vectors of one length: Σ_i input[i] other[i]. Raises ShapeError for anything else.

    >>> import chainrule as cr
    >>> cr.dot(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return matmul(*_of_ranks("dot", input, other, (1, 1)))


@public
def outer(input: Any, vec2: Any) -> Tensor:
    """The outer product of two vectors: out[i, j] = input[i] vec2[j]. Raises ShapeError where one is not 1-D.

    >>> import chainrule as cr
    >>> cr.outer(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    input, vec2 = ops.as_tensor(input), ops.as_tensor(vec2)
    if (input.ndim, vec2.ndim) != (1, 1):
        raise ShapeError(f"outer({describe(input)}, {describe(vec2)}): takes two vectors; flatten others with "
                         "reshape(-1)")
    found: Tensor = ops.reshape(input, (input.shape[0], 1)) * vec2
    return found


@public
def inner(input: Any, other: Any) -> Tensor:
    """The sum of products over the last axes: (..., K) and (***, K) -> (..., ***); with a 0-d tensor the plain product.

    Raises ShapeError where the last axes differ.

    >>> import chainrule as cr
    >>> cr.inner(cr.ones(2, 3), cr.ones(4, 3)).shape
    (2, 4)
    """
    input, other = ops.as_tensor(input), ops.as_tensor(other)
    if not input.ndim or not other.ndim:
        scaled: Tensor = input * other
        return scaled
    return tensordot(input, other, dims=((-1,), (-1,)))


@public
def tensordot(a: Any, b: Any, dims: Any = 2, *, axes: Any = None) -> Tensor:
    """The sum of products over pairs of axes; the result has a's other axes, then b's.

    `dims` (also `axes`): a number n for the last n axes of a with the first n of b, or a pair of lists, the axes of a
    and those of b in the same order. Raises ShapeError where paired axes differ in size, IndexError for one that is not
    there.

    >>> import chainrule as cr
    >>> cr.tensordot(cr.ones(2, 3, 4), cr.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    (2, 5)
    """
    a, b = ops.as_tensor(a), ops.as_tensor(b)
    dims = dims if axes is None else axes
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, tuple | list):
        first, second = (list(d) if isinstance(d, tuple | list) else [d] for d in dims)
    else:
        n = dims.__index__()
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot({describe(a)}, {describe(b)}): dims={n} is more axes than both have")
        first, second = list(range(a.ndim - n, a.ndim)), list(range(n))
    first, second = [axis_of("tensordot", d, a) for d in first], [axis_of("tensordot", d, b) for d in second]
    if len(first) != len(second) or len(set(first)) != len(first) or len(set(second)) != len(second):
        raise ShapeError(f"tensordot: axes {first} and {second} do not pair up, each axis at most once")
    for i, j in zip(first, second, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(f"tensordot({describe(a)}, {describe(b)}): axis {i} of the first has size {a.shape[i]}, "
                             f"axis {j} "
                             f"of the second {b.shape[j]}; paired axes must be equal")
    left = [i for i in range(a.ndim) if i not in first]
    right = [j for j in range(b.ndim) if j not in second]
    found: Tensor = ops.reshape(matmul(as_matrix(a, left, first), as_matrix(b, second, right)),
                                tuple(a.shape[i] for i in left) + tuple(b.shape[j] for j in right))
    return found


def as_matrix(x: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    """The tensor as a matrix whose rows run over some of its axes and whose columns run over the others."""
    order = rows + columns
    if order != list(range(x.ndim)):
        x = ops.permute_dims(x, order)
    height = width = 1
    for n in x.shape[:len(rows)]:
        height *= n
    for n in x.shape[len(rows):]:
        width *= n
    found: Tensor = ops.reshape(x, (height, width))
    return found


@public
def kron(input: Any, other: Any) -> Tensor:
    """The Kronecker product: a block for each element of `input`, that element times `other`.

    Along each axis the sizes multiply; the tensor with fewer axes gets axes of size 1 in front.

    >>> import chainrule as cr
    >>> cr.kron(cr.tensor([1.0, 10.0]), cr.tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    input, other = ops.as_tensor(input), ops.as_tensor(other)
    rank = max(input.ndim, other.ndim)
    a, b = (1,) * (rank - input.ndim) + input.shape, (1,) * (rank - other.ndim) + other.shape
    left = ops.reshape(input, tuple(n for m in a for n in (m, 1)))
    right = ops.reshape(other, tuple(n for m in b for n in (1, m)))
    found: Tensor = ops.reshape(left * right, tuple(m * n for m, n in zip(a, b, strict=True)))
    return found


@public
def trace(input: Any) -> Tensor:
    """The sum of a matrix's diagonal: Σ_i input[i, i]. Raises ShapeError for a tensor that is not a matrix.

    >>> import chainrule as cr
    >>> cr.trace(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    input = ops.as_tensor(input)
    if input.ndim != 2:
        raise ShapeError(f"trace({describe(input)}): takes a matrix; for a batch take input.diagonal(0, -2, "
                         "-1).sum(-1)")
    found: Tensor = ops.sum(ops.diagonal(input, 0, 0, 1))
    return found


def _plus(input: Any, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product, without what a factor makes needless (beta 0 ignores the input, even its NaN)."""
    product = scaled(product, alpha)
    if isinstance(beta, int | float) and beta == 0:
        return product
    if not isinstance(beta, int | float) or beta != 1:
        input = ops.as_tensor(input) * beta
    total: Tensor = ops.add(input, product)
    if total.shape != product.shape:
        raise ShapeError(f"addmm: the input has shape {ops.as_tensor(input).shape}, which does not broadcast to the "
                         "product's "
                         f"shape {product.shape}")
    return total


@public
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2) for matrices (M, K) and (K, N); the input broadcasts to (M, N).

    Raises ShapeError where they do not fit. With beta=0 the input is not read.

    >>> import chainrule as cr
    >>> cr.addmm(cr.tensor([1.0, 2.0]), cr.ones(1, 3), cr.ones(3, 2))
    tensor([[4., 5.]])
    """
    return _plus(input, mm(mat1, mat2), beta, alpha)


@public
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec) for a matrix (M, K) and a vector (K); the input broadcasts to (M).

    >>> import chainrule as cr
    >>> cr.addmv(cr.tensor([1.0]), cr.ones(2, 3), cr.ones(3))
    tensor([4., 4.])
    """
    return _plus(input, mv(mat, vec), beta, alpha)


@public
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2) for batches (B, M, K) and (B, K, N); the input broadcasts to (B, M, N).

    >>> import chainrule as cr
    >>> cr.baddbmm(cr.tensor(1.0), cr.ones(2, 1, 3), cr.ones(2, 3, 1), alpha=2).reshape(-1)
    tensor([7., 7.])
    """
    return _plus(input, bmm(batch1, batch2), beta, alpha)
