"""Axes: in another order, added and dropped. All results are views that share memory with their input."""

from typing import Any

from chainrule.arguments import axes_of, axis_of, one_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.methods.typed import ops
from chainrule.ops.shapes import shape_of
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["atleast_1d", "atleast_2d", "atleast_3d", "expand_dims", "matrix_transpose", "moveaxis", "movedim",
           "permute", "permute_dims", "reverse_axes", "squeeze", "swapaxes", "swapdims", "t", "transpose",
           "unsqueeze"]

_permute = Op("permute_dims", word="linear", views=True,
              input=lambda xp, g, axes: xp.permute_dims(g, axes=inverse(axes)))
_swapaxes = Op("swapaxes", word="linear", views=True,
               input=lambda xp, g, axis1, axis2: xp.swapaxes(g, axis1=axis1, axis2=axis2))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


# ---- in another order


@public
def permute_dims(input: Any, axes: Any) -> Tensor:
    """The axes in the order `axes`, as a view: axis i of the result is axis axes[i] of the input.

    Raises IndexError for an axis that is not there, ShapeError unless each is named once.

    >>> import chainrule as cr
    >>> cr.permute_dims(cr.arange(6).reshape(1, 2, 3), (2, 0, 1)).shape
    (3, 1, 2)
    """
    input = ops.as_tensor(input)
    found = tuple(axis_of("permute", a, input) for a in axes)
    if sorted(found) != list(range(input.ndim)):
        raise ShapeError(f"permute: {tuple(axes)} does not name each of the {input.ndim} axes of shape {input.shape} "
                         "once")
    return _permute(input, axes=found)


@public
def permute(input: Any, *dims: Any) -> Tensor:
    """The axes in another order, given as numbers or as one tuple, as a view; see `permute_dims`.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(1, 2, 3).permute(2, 0, 1).shape
    (3, 1, 2)
    """
    return permute_dims(input, shape_of(dims))


@public
def transpose(input: Any, dim0: int, dim1: int) -> Tensor:
    """The two axes swapped, as a view (as torch's, not NumPy's, which reverses all axes: that is `.T`).

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(1, 2, 3).transpose(0, -1).shape
    (3, 2, 1)
    """
    input = ops.as_tensor(input)
    first, second = axis_of("transpose", dim0, input), axis_of("transpose", dim1, input)
    return _swapaxes(input, axis1=first, axis2=second) if input.ndim else ops.reshape(input, ())


@public
def swapaxes(input: Any, axis1: int, axis2: int) -> Tensor:
    """The two axes swapped, as a view: `transpose` by NumPy's name.

    >>> import chainrule as cr
    >>> cr.swapaxes(cr.arange(6).reshape(1, 2, 3), 0, 1).shape
    (2, 1, 3)
    """
    return transpose(input, axis1, axis2)


@public
def swapdims(input: Any, dim0: int, dim1: int) -> Tensor:
    """The two axes swapped, as a view: another name of `transpose`.

    >>> import chainrule as cr
    >>> cr.swapdims(cr.arange(6).reshape(1, 2, 3), 0, 1).shape
    (2, 1, 3)
    """
    return transpose(input, dim0, dim1)


@public
def movedim(input: Any, source: Any, destination: Any) -> Tensor:
    """The axes `source` (one or several) moved to the places `destination`; the others keep their order. A view.

    Raises ShapeError where the two differ in number or name an axis twice.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(1, 2, 3).movedim(0, -1).shape
    (2, 3, 1)
    """
    input = ops.as_tensor(input)
    taken = axes_of("movedim", source, input) or ()
    places = axes_of("movedim", destination, input) or ()
    if len(taken) != len(places):
        raise ShapeError(f"movedim: source={source} and destination={destination} differ in number")
    rest = iter(a for a in range(input.ndim) if a not in taken)
    order = [taken[places.index(i)] if i in places else next(rest) for i in range(input.ndim)]
    return permute_dims(input, order)


@public
def moveaxis(input: Any, source: Any, destination: Any) -> Tensor:
    """`movedim` by NumPy's name.

    >>> import chainrule as cr
    >>> cr.moveaxis(cr.arange(6).reshape(1, 2, 3), (0, 1), (2, 0)).shape
    (2, 3, 1)
    """
    return movedim(input, source, destination)


@public
def t(input: Any) -> Tensor:
    """The transpose of a matrix, as a view; vectors and 0-d tensors stay as they are. Raises ShapeError above two axes.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).t()
    tensor([[1, 3],
            [2, 4]])
    """
    input = ops.as_tensor(input)
    if input.ndim > 2:
        raise ShapeError(f"t: a tensor of shape {input.shape} has more than two axes; use .mT or permute()")
    return reverse_axes(input)


@public
def reverse_axes(input: Any) -> Tensor:
    """The axes in reverse order, as a view: what `tensor.T` is.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(1, 2, 3).T.shape
    (3, 2, 1)
    """
    input = ops.as_tensor(input)
    return _permute(input, axes=tuple(reversed(range(input.ndim))))


@public
def matrix_transpose(input: Any) -> Tensor:
    """The last two axes swapped, as a view: the transpose of each matrix. Raises ShapeError below two axes.

    >>> import chainrule as cr
    >>> cr.matrix_transpose(cr.arange(6).reshape(1, 2, 3)).shape
    (1, 3, 2)
    """
    input = ops.as_tensor(input)
    if input.ndim < 2:
        raise ShapeError(f"matrix_transpose: a matrix has two axes, the input has shape {input.shape}")
    return _swapaxes(input, axis1=input.ndim - 2, axis2=input.ndim - 1)


# ---- axes of size 1


@public
def squeeze(input: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Without the axes of size 1: all of them, or those of `dim` (an axis or several) that have size 1. A view.

    >>> import chainrule as cr
    >>> x = cr.arange(3).reshape(1, 3, 1)
    >>> x.squeeze().shape, x.squeeze(0).shape, x.squeeze(1).shape
    ((3,), (3, 1), (1, 3, 1))
    """
    input = ops.as_tensor(input)
    given = one_of("squeeze", dim, axis)
    named = range(input.ndim) if given is None else axes_of("squeeze", given, input) or ()
    return ops.reshape(input, tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in named))


@public
def expand_dims(input: Any, axis: Any) -> Tensor:
    """New axes of size 1 at the places `axis` (one or several) of the result. A view.

    >>> import chainrule as cr
    >>> cr.expand_dims(cr.arange(3), (0, -1)).shape
    (1, 3, 1)
    """
    input = ops.as_tensor(input)
    listed = axis if isinstance(axis, tuple | list) else (axis,)
    places = {axis_of("expand_dims", a, input, len(listed)) for a in listed}
    if len(places) != len(listed):
        raise ShapeError(f"expand_dims: an axis appears twice in {tuple(listed)}")
    sizes = iter(input.shape)
    return ops.reshape(input, tuple(1 if i in places else next(sizes) for i in range(input.ndim + len(places))))


@public
def unsqueeze(input: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """A new axis of size 1 at the place `dim`. A view. Raises IndexError for a place outside [-rank - 1, rank].

    >>> import chainrule as cr
    >>> cr.arange(3).unsqueeze(-1).shape
    (3, 1)
    """
    given = one_of("unsqueeze", dim, axis)
    if given is None:
        raise TypeError("unsqueeze: say where the new axis goes: unsqueeze(dim)")
    input = ops.as_tensor(input)
    place = axis_of("unsqueeze", given, input, 1)
    return ops.reshape(input, (*input.shape[:place], 1, *input.shape[place:]))


def _atleast(rank: int, tensors: Any) -> Any:
    """The tensors, each with axes of size 1 added up to `rank`: one for one, a tuple for several."""
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tensors[0]
        single = False
    else:
        single = len(tensors) == 1
    found = []
    for x in map(ops.as_tensor, tensors):
        if x.ndim < rank:  # (n,) is a row: (1, n), (1, n, 1); (m, n) is (m, n, 1)
            x = ops.reshape(x, ((1,) * (x.ndim < 2) + x.shape + (1, 1))[:rank])
        found.append(x)
    return found[0] if single else tuple(found)


@public
def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors as (1,), others as they are. One tensor gives one, several (or a list) a tuple.

    >>> import chainrule as cr
    >>> cr.atleast_1d(cr.tensor(2))
    tensor([2])
    """
    return _atleast(1, tensors)


@public
def atleast_2d(*tensors: Any) -> Any:
    """Tensors of fewer than two axes as one row, (1, n). One tensor gives one, several (or a list) a tuple.

    >>> import chainrule as cr
    >>> cr.atleast_2d(cr.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _atleast(2, tensors)


@public
def atleast_3d(*tensors: Any) -> Any:
    """(n,) as (1, n, 1) and (m, n) as (m, n, 1), others as they are. One tensor gives one, several (or a list) a tuple.

    >>> import chainrule as cr
    >>> cr.atleast_3d(cr.tensor([1, 2])).shape
    (1, 2, 1)
    """
    return _atleast(3, tensors)
