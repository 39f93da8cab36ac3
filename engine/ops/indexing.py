"""Indexing as NumPy does, by masks, and the positions of elements. (Gathering along an axis: `scattering.py`.)"""

from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError
from chainrule.graph import Op
from chainrule.kernels import is_array
from chainrule.kernels.reference.devices import move
from chainrule.methods.typed import ops
from chainrule.ops.shapes import together
from chainrule.registry import public
from chainrule.state import special, state
from chainrule.tensor import Tensor

__all__ = ["argwhere", "diagonal_mask", "getitem", "masked_fill", "masked_select", "nonzero", "unique"]

_getitem = Op("getitem", word="linear", views=True, adds="add_at",
              input=lambda xp, g, input_shape, index: xp.getitem_adjoint(g, index=index, shape=input_shape))
_getitem_adjoint = Op("getitem_adjoint", word="linear", input=lambda xp, g, index: xp.getitem(g, index=index))


def raw_index(index: Any) -> Any:
    """An index without tensors in it, and with lists as arrays: what NumPy takes."""
    if isinstance(index, tuple):
        return tuple([_raw_part(p) for p in index])
    return _raw_part(index)


def _raw_part(part: Any) -> Any:
    if part is None or part is Ellipsis or part.__class__ is int or isinstance(part, bool):
        return part
    if part.__class__ is slice:
        return slice(_bound(part.start), _bound(part.stop), _bound(part.step))
    tensor = None
    if isinstance(part, Tensor):
        tensor, part = part, part._data
    elif isinstance(part, list | tuple):
        part = np.asarray([np.asarray(p) for p in part], dtype=None if part else np.int64)
    if isinstance(part, np.generic) or is_array(part):
        if part.dtype.kind not in "iub":
            raise DtypeError(f"getitem: an index is a {part.dtype} array; indices are integers or bools, convert with "
                             ".long()")
        # one integer selects a view; of the rest a copy, since later writes to it must not change what was read here
        if not part.ndim and part.dtype.kind != "b":
            return int(part if tensor is None else tensor)
        copy = part.copy()
        if tensor is not None and special.count and state.tracer is not None:
            state.tracer.indexed(tensor, copy)
        return copy
    if hasattr(part, "__index__"):
        return part.__index__()
    raise DtypeError(f"getitem: {part!r:.60} is not an index; use integers, slices, None, ..., and arrays of integers "
                     "or bools")


def beside(index: Any, input: Tensor) -> Any:
    """The raw index with its arrays on the device of the input: a host's goes there."""
    if input._data.__class__ is np.ndarray:
        return index
    if isinstance(index, tuple):
        return tuple([beside(part, input) for part in index])
    return move(index, device=input.device) if isinstance(index, np.ndarray | np.generic) else index


def _bound(value: Any) -> Any:
    """A slice's bound as an int."""
    if value is None or value.__class__ is int:
        return value
    if not hasattr(value, "__index__"):
        raise DtypeError(f"getitem: a slice's bounds are integers, got {value!r:.60}")
    return value.__index__()


@public
def getitem(input: Any, index: Any) -> Tensor:
    """input[index], as NumPy indexes: integers, slices, None and ... give views; index arrays and masks give copies.

    Raises IndexError for a position that is not there, DtypeError for what is no index.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x[:, 1], x[cr.tensor([True, False])]
    (tensor([2., 4.]), tensor([[1., 2.]]))
    """
    input = input if isinstance(input, Tensor) else ops.as_tensor(input)
    found: Tensor = _getitem(input, index=beside(raw_index(index), input))
    return found


# ---- masks


def _mask(op: str, mask: Any) -> Tensor:
    found: Tensor = ops.as_tensor(mask)
    if found.dtype.kind != "b":
        raise DtypeError(f"{op}: the mask is {found.dtype}, it must be bool; compare first, for example mask != 0")
    return found


@public
def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """`value` (a number or a 0-d tensor) where the mask holds, the input elsewhere; mask and input broadcast.

    The dtype stays the input's. Raises DtypeError for a mask that is not bool, ShapeError for a value with axes.

    >>> import chainrule as cr
    >>> cr.tensor([1.0, 2.0]).masked_fill(cr.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    input, mask = ops.as_tensor(input), _mask("masked_fill", mask)
    if getattr(value, "shape", ()):
        raise ShapeError(f"masked_fill: the value has shape {value.shape}, it must be a single one; see where()")
    if isinstance(value, Tensor):
        value = value if value.dtype.kind == "c" else value.to(input.dtype)
    elif isinstance(value, float) and input.dtype.kind not in FLOATING:
        raise DtypeError(f"masked_fill: {value} does not fit into a {input.dtype} tensor")
    return ops.where(mask, value, input)


@public
def masked_select(input: Any, mask: Any) -> Tensor:
    """The elements where the mask holds, in C order, along one axis; mask and input broadcast.

    >>> import chainrule as cr
    >>> cr.tensor([1.0, 2.0, 3.0]).masked_select(cr.tensor([True, False, True]))
    tensor([1., 3.])
    """
    input, mask = ops.as_tensor(input), _mask("masked_select", mask)
    shape = together("masked_select", input.shape, mask.shape)
    return getitem(ops.expand(input, shape), ops.expand(mask, shape))


# ---- positions


@public
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero, int64 of shape (count, ndim), in C order; not recorded.

    `as_tuple` gives a vector for each axis, as an index takes them.

    >>> import chainrule as cr
    >>> cr.nonzero(cr.tensor([[1, 0], [0, 2]]))
    tensor([[0, 0],
            [1, 1]])
    """
    data = ops.as_tensor(input).data
    if as_tuple:
        return tuple(Tensor(positions) for positions in np.nonzero(np.atleast_1d(data)))
    return Tensor(np.argwhere(data))


@public
def argwhere(input: Any) -> Tensor:
    """The positions of the elements that are not zero, one a row: `nonzero(input)`.

    >>> import chainrule as cr
    >>> cr.argwhere(cr.tensor([1, 0, 2]))
    tensor([[0],
            [2]])
    """
    return ops.nonzero(input)


@public
def diagonal_mask(input: Tensor, wrap: bool) -> Tensor:
    """True for the elements whose indices are all equal; `wrap` starts again below, in a tall matrix.

    Raises ShapeError for fewer than two axes, and for more whose sizes differ.
    """
    shape = input.shape
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeError(f"fill_diagonal_: a tensor of shape {shape}; it needs two axes, or more of equal sizes")
    mask = np.zeros(shape, np.bool_)
    np.fill_diagonal(mask, True, wrap)
    found: Tensor = ops.constant(mask, input)
    return found


@public
def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:
    """The different elements, in ascending order (whatever `sorted` says); with `dim` the different slices. Not
    recorded.

    With `return_inverse` also where each element of the input is among them, with `return_counts` how often each
    occurs.

    >>> import chainrule as cr
    >>> cr.unique(cr.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    data = ops.as_tensor(input).data
    find: Any = np.unique
    found = find(data, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    if not isinstance(found, tuple):
        return Tensor(found)
    parts = list(found)
    if return_inverse:
        parts[1] = parts[1].reshape(data.shape if dim is None else (-1,))
    return tuple(Tensor(part) for part in parts)
