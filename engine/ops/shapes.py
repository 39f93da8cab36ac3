"""Shapes: reshaping, permuting and repeating axes. Most results are views that share memory with their input."""

from typing import Any

from chainrule.arguments import axis_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

_reshape = Op("reshape", word="linear", views=True, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))
_broadcast_to = Op("broadcast_to", word="linear", views=True, broadcasts=True, input=lambda xp, g: g)
_permute = Op("permute_dims", word="linear", views=True,
              input=lambda xp, g, axes: xp.permute_dims(g, axes=inverse(axes)))
_swapaxes = Op("swapaxes", word="linear", views=True,
               input=lambda xp, g, axis1, axis2: xp.swapaxes(g, axis1=axis1, axis2=axis2))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape given as separate numbers or as one tuple."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = shape[0]
    return tuple(n.__index__() for n in shape)


@public
def reshape(input: Any, *shape: Any) -> Tensor:
    """The same elements in another shape, given as numbers or as one tuple; one size may be -1: whatever is left.

    A view where the memory layout allows. Raises ShapeError where the number of elements differs.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    input = ops.as_tensor(input)
    return _reshape(input, shape=shape_of(shape))


@public
def broadcast_to(input: Any, shape: Any) -> Tensor:
    """A view in which axes of size 1, and new ones in front, are repeated without copying.

    >>> import chainrule as cr
    >>> cr.broadcast_to(cr.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return _broadcast_to(ops.as_tensor(input), shape=tuple(shape))


@public
def permute_dims(input: Any, axes: Any) -> Tensor:
    """The axes in the order `axes`, as a view."""
    input = ops.as_tensor(input)
    found = tuple(axis_of("permute", a, input) for a in axes)
    if sorted(found) != list(range(input.ndim)):
        raise ShapeError(f"permute: {tuple(axes)} does not name each of the {input.ndim} axes of shape {input.shape} once")
    return _permute(input, axes=found)


@public
def swapaxes(input: Any, axis1: int, axis2: int) -> Tensor:
    """The two axes swapped, as a view."""
    input = ops.as_tensor(input)
    return _swapaxes(input, axis1=axis_of("swapaxes", axis1, input), axis2=axis_of("swapaxes", axis2, input))


@public
def matrix_transpose(input: Any) -> Tensor:
    """The last two axes swapped, as a view: the transpose of each matrix."""
    input = ops.as_tensor(input)
    if input.ndim < 2:
        raise ShapeError(f"matrix_transpose: a matrix has two axes, the input has shape {input.shape}")
    return swapaxes(input, -2, -1)
