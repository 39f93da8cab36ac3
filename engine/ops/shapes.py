"""Shapes: the same elements in other shapes, repeated, or copied. (Axes in another order: `axes.py`.)"""

import math
from operator import index
from typing import Any

from chainrule.arguments import axis_of, one_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.methods.typed import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["broadcast_tensors", "broadcast_to", "clone", "contiguous", "expand", "expand_as", "flatten", "ravel",
           "reshape", "reshape_as", "unflatten", "view", "view_as"]

_reshape = Op("reshape", word="linear", views=True, input=lambda xp, g, input_shape: xp.reshape(g, input_shape))
_broadcast_to = Op("broadcast_to", word="linear", views=True, broadcasts=True, input=lambda xp, g: g)
_clone = Op("clone", word="linear", input=lambda xp, g: g)


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape (or a list of axes) given as separate numbers or as one tuple."""
    if len(shape) == 1 and shape[0].__class__ is not int and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple(map(index, shape))


def dim_of(op: str, dim: Any, axis: Any, default: int, input: Any, extra: int = 0) -> int:
    """The one axis that `dim` or `axis` names, as an index from 0; `default` where neither is given."""
    found = one_of(op, dim, axis)
    return axis_of(op, default if found is None else found, input, extra)


def filled(op: str, shape: tuple[int, ...], count: int, described: Any) -> tuple[int, ...]:
    """`shape` with its -1, of which there may be one, replaced by what is left; ShapeError unless it has `count`
    elements."""
    unknown = shape.count(-1)
    known = math.prod(n for n in shape if n != -1)
    if unknown == 1 and known and count % known == 0:
        return tuple(count // known if n == -1 else n for n in shape)
    if unknown > 1 or any(n < -1 for n in shape):
        raise ShapeError(f"{op}: {shape} is not a shape: sizes are 0 or more, and one at most is -1, whatever is left")
    if unknown or known != count:
        raise ShapeError(f"{op}: shape {tuple(described)} has {count} elements, which do not fit into shape {shape}")
    return shape


# ---- other shapes for the same elements


@public
def reshape(input: Any, *shape: Any) -> Tensor:
    """The same elements in another shape, given as numbers or as one tuple; one size may be -1: whatever is left.

    A view where the memory layout allows, else a copy. Raises ShapeError where the number of elements differs.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if not isinstance(input, Tensor):
        input = ops.as_tensor(input)
    shape = shape_of(shape)
    try:
        out = _reshape(input, shape=shape)
    except ShapeError:
        filled("reshape", shape, input.numel(), input.shape)  # says what does not fit
        raise
    if out._data.shape != shape and min(shape) < -1:  # NumPy takes any negative size for -1
        filled("reshape", shape, input.numel(), input.shape)
    return out


@public
def view(input: Any, *shape: Any) -> Tensor:
    """`reshape` that never copies: the result shares memory, so that writes to either are seen by both.

    Raises ShapeError where the number of elements differs, or where the memory layout does not allow a view.

    >>> import chainrule as cr
    >>> cr.arange(4).view(2, 2).T.is_contiguous()
    False
    """
    out = reshape(input, *shape)
    if isinstance(input, Tensor) and out._version is not input._version and input.numel():
        raise ShapeError(f"view: a tensor of shape {input.shape} and strides {input._data.strides} cannot be seen as "
                         f"{out.shape} without copying; use reshape()")
    return out


@public
def view_as(input: Any, other: Any) -> Tensor:
    """`input` seen in the shape of `other`; see `view`.

    >>> import chainrule as cr
    >>> cr.arange(4).view_as(cr.zeros_like(cr.tensor([[1, 2], [3, 4]]))).shape
    (2, 2)
    """
    return view(input, other.shape)


@public
def reshape_as(input: Any, other: Any) -> Tensor:
    """`input` in the shape of `other`; see `reshape`.

    >>> import chainrule as cr
    >>> cr.arange(4).reshape_as(cr.tensor([[1, 2], [3, 4]])).shape
    (2, 2)
    """
    return reshape(input, other.shape)


@public
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, joined to one: (N, C, H, W) from 1 on is (N, C·H·W).

    A 0-d tensor becomes (1,). Raises IndexError for an axis that is not there, ShapeError where start comes after end.

    >>> import chainrule as cr
    >>> cr.arange(8).reshape(2, 2, 2).flatten(1).shape
    (2, 4)
    """
    input = ops.as_tensor(input)
    if not input.ndim:
        return reshape(input, (1,))
    start, end = axis_of("flatten", start_dim, input), axis_of("flatten", end_dim, input)
    if start > end:
        raise ShapeError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} for shape {input.shape}")
    shape = input.shape
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


@public
def unflatten(input: Any, dim: int, sizes: Any) -> Tensor:
    """Axis `dim` split into several of `sizes`, of which one may be -1: the inverse of `flatten`.

    >>> import chainrule as cr
    >>> cr.arange(6).unflatten(0, (2, -1)).shape
    (2, 3)
    """
    input = ops.as_tensor(input)
    axis = axis_of("unflatten", dim, input)
    shape = input.shape
    return reshape(input, (*shape[:axis], *filled("unflatten", shape_of((sizes,)), shape[axis], shape[axis:axis + 1]),
                           *shape[axis + 1:]))


@public
def ravel(input: Any) -> Tensor:
    """All elements along one axis; a view where the memory layout allows.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).ravel()
    tensor([1, 2, 3, 4])
    """
    return reshape(input, (-1,))


# ---- repeating without copying


@public
def broadcast_to(input: Any, shape: Any) -> Tensor:
    """A read-only view in which axes of size 1, and new ones in front, are repeated without copying.

    Raises ShapeError where another size than 1 would have to change.

    >>> import chainrule as cr
    >>> cr.broadcast_to(cr.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(input, tuple(shape))


@public
def expand(input: Any, *shape: Any) -> Tensor:
    """`broadcast_to` with the shape as numbers or as one tuple; -1 keeps an axis' size. Write to a clone(): several
    elements are one in memory.

    >>> import chainrule as cr
    >>> cr.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    input = ops.as_tensor(input)
    wanted, own = shape_of(shape), input.shape
    lead = len(wanted) - len(own)
    if lead < 0:
        raise ShapeError(f"expand: shape {own} has more axes than {wanted}; sum over some, or name all")
    found = tuple(own[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted))
    for i, n in enumerate(found):
        if n < 0 or (i >= lead and own[i - lead] not in (1, n)):
            raise ShapeError(f"expand: shape {own} does not expand to {wanted}: axis {i} cannot become {n}; only axes "
                             "of size 1 and new ones in front are repeated")
    return input if found == own else _broadcast_to(input, shape=found)


@public
def expand_as(input: Any, other: Any) -> Tensor:
    """`input` broadcast to the shape of `other`; see `expand`.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2]).expand_as(cr.tensor([[0, 0], [0, 0]])).shape
    (2, 2)
    """
    return expand(input, other.shape)


@public
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors, each broadcast to the shape they have together. Raises ShapeError where they do not broadcast.

    >>> import chainrule as cr
    >>> [x.shape for x in cr.broadcast_tensors(cr.tensor([[1], [2]]), cr.tensor([1, 2, 3]))]
    [(2, 3), (2, 3)]
    """
    found = [ops.as_tensor(x) for x in tensors]
    shape = together("broadcast_tensors", *[x.shape for x in found])
    return tuple(expand(x, shape) for x in found)


def together(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that shapes broadcast to."""
    rank = max(map(len, shapes), default=0)
    found = []
    for axis in range(-rank, 0):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            raise ShapeError(f"{op}: shapes {', '.join(map(str, shapes))} do not broadcast: axis {axis} has sizes "
                             f"{' and '.join(map(str, sorted(sizes)))}; insert an axis with unsqueeze or reshape one")
        found.append(sizes.pop() if sizes else 1)
    return tuple(found)


# ---- copies


@public
def clone(input: Any) -> Tensor:
    """A copy with memory of its own, through which gradients flow.

    >>> import chainrule as cr
    >>> x = cr.tensor([1, 2])
    >>> y = x.clone(); y[0] = 5; x
    tensor([1, 2])
    """
    return _clone(ops.as_tensor(input), order="K")


@public
def contiguous(input: Any) -> Tensor:
    """The tensor itself where its elements lie in C order without gaps, else a copy that does.

    >>> import chainrule as cr
    >>> cr.arange(6).reshape(2, 3).T.contiguous().is_contiguous()
    True
    """
    input = ops.as_tensor(input)
    return input if input.is_contiguous() else _clone(input, order="C")
