"""Diagonals, triangles and sliding windows."""

from typing import Any

from chainrule.arguments import axis_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.methods.typed import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["diag", "diag_embed", "diagonal", "tril", "triu", "unfold_windows"]

_diagonal = Op("diagonal", word="linear", views=True,
               input=lambda xp, g, input_shape, offset, axis1, axis2: xp.diagonal_adjoint(
                   g, offset=offset, axis1=axis1, axis2=axis2, shape=input_shape))
_diagonal_adjoint = Op("diagonal_adjoint", word="linear",
                       input=lambda xp, g, offset, axis1, axis2: xp.diagonal(g, offset, axis1, axis2))
_tril = Op("tril", word="linear", input=lambda xp, g, k: xp.tril(g, k))
_triu = Op("triu", word="linear", input=lambda xp, g, k: xp.triu(g, k))
_unfold_windows = Op("unfold_windows", word="linear", views=True,
                     input=lambda xp, g, input_shape, axis, size, step: xp.unfold_windows_adjoint(
                         g, axis=axis, size=size, step=step, shape=input_shape))
_unfold_windows_adjoint = Op("unfold_windows_adjoint", word="linear",
                             input=lambda xp, g, axis, size, step: xp.unfold_windows(g, axis=axis, size=size,
                                                                                     step=step))


@public
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices that `dim1` and `dim2` span, as a new last axis: out[…, i] = input[…, i, i +
    offset].

    A view. `offset` above 0 lies above the main diagonal. Raises ShapeError where the two axes are one.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).diagonal()
    tensor([1, 4])
    """
    input = ops.as_tensor(input)
    first, second = axis_of("diagonal", dim1, input), axis_of("diagonal", dim2, input)
    if first == second or input.ndim < 2:
        raise ShapeError(f"diagonal: dim1={dim1} and dim2={dim2} of shape {input.shape} must be two axes")
    return _diagonal(input, offset=offset, axis1=first, axis2=second)


@public
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros with the last axis on the diagonals of matrices that span the new axes `dim1` and `dim2` of the result.

    >>> import chainrule as cr
    >>> cr.diag_embed(cr.tensor([1, 2]), offset=1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    input = ops.as_tensor(input)
    if not input.ndim:
        raise ShapeError("diag_embed: a 0-d tensor has no axis to be laid on a diagonal; use reshape(1)")
    first, second = axis_of("diag_embed", dim1, input, 1), axis_of("diag_embed", dim2, input, 1)
    if first == second:
        raise ShapeError(f"diag_embed: dim1={dim1} and dim2={dim2} are one axis")
    side = input.shape[-1] + abs(offset)
    sizes = iter(input.shape)
    shape = tuple(side if i in (first, second) else next(sizes) for i in range(input.ndim + 1))
    return _diagonal_adjoint(input, offset=offset, axis1=first, axis2=second, shape=shape)


@public
def diag(input: Any, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal. Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> cr.diag(cr.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    >>> cr.diag(cr.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    input = ops.as_tensor(input)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ShapeError(f"diag: a vector or a matrix is needed, got shape {input.shape}; see diagonal and diag_embed")
    return ops.clone(ops.diagonal(input, diagonal))


def _matrix(op: str, input: Any) -> Tensor:
    found: Tensor = ops.as_tensor(input)
    if found.ndim < 2:
        raise ShapeError(f"{op}: a matrix has two axes, the input has shape {found.shape}")
    return found


@public
def tril(input: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above the diagonal: out[…, i, j] = input[…, i, j] where j - i <=
    diagonal.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).tril()
    tensor([[1, 0],
            [3, 4]])
    """
    return _tril(_matrix("tril", input), k=diagonal)


@public
def triu(input: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below the diagonal: out[…, i, j] = input[…, i, j] where j - i >=
    diagonal.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).triu(1)
    tensor([[0, 2],
            [0, 0]])
    """
    return _triu(_matrix("triu", input), k=diagonal)


@public
def unfold_windows(input: Any, dimension: int | None = None, size: int = 1, step: int = 1, *,
                   axis: int | None = None) -> Tensor:
    """All windows of `size` elements along an axis, one every `step`, as a new last axis (`tensor.unfold`):
    out[…, i, …, k] = input[…, i·step + k, …]. A view, read-only where windows overlap.

    Raises ShapeError where the axis is shorter than a window or step is not positive.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    input = ops.as_tensor(input)
    place = axis_of("unfold", axis if dimension is None else dimension, input)
    if not input.ndim or not 0 < size <= input.shape[place] or step < 1:
        raise ShapeError(f"unfold: windows of size={size}, step={step} do not fit axis {place} of shape {input.shape}")
    return _unfold_windows(input, axis=place, size=size, step=step)
