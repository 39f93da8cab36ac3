"""Order: largest and smallest elements, sorting, and ranks.

Where a function picks elements, it finds their indices, unrecorded, and takes the values along the axis by them: so the
gradient goes to the elements that were picked. `amax` and `amin` (and `max` and `min` of all) pick none; they share the
gradient evenly among equal elements.
"""

from typing import Any, NamedTuple

from chainrule.arguments import axis_of, one_of
from chainrule.dtypes import REAL
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.ops.products import count
from chainrule.ops.reductions import arguments, evenly
from chainrule.ops.scattering import take_along_axis
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "argsort", "kthvalue", "max", "median", "min", "msort",
           "sort", "topk"]


class Picked(NamedTuple):
    """Elements that were picked along an axis, and where they were."""

    values: Tensor
    indices: Tensor


class Extremes(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


def pick_along(input: Tensor, indices: Tensor, axis: int, keepdim: bool) -> Picked:
    """The values at `indices` along an axis, which stays only where `keepdim`."""
    if not input.ndim:  # the only element, whatever is asked
        return Picked(ops.identity(input), ops.reshape(indices, ()))
    values = take_along_axis(input, indices, axis=axis)
    if keepdim:
        return Picked(values, indices)
    shape = values.shape[:axis] + values.shape[axis + 1:]
    return Picked(ops.reshape(values, shape), ops.reshape(indices, shape))


def _some(op: str, input: Tensor, axis: Any) -> None:
    """An extremum needs an element: ShapeError where there are none."""
    if not count(input.shape, axis):
        where = "" if axis is None else f" along axis {axis[0] if len(axis) == 1 else axis}"
        raise ShapeError(f"{op}: the input has shape {input.shape}, no elements{where} to choose from")


# ---- extrema

_amax = Op("amax", input=lambda xp, g, input, out, axis, keepdims: evenly(xp, g, input, out, axis, keepdims))
_amin = Op("amin", input=lambda xp, g, input, out, axis, keepdims: evenly(xp, g, input, out, axis, keepdims))
_argmax = Op("argmax", input=None)
_argmin = Op("argmin", input=None)


@public
def amax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element, over all or over the axes `dim`. Equal largest elements share the gradient evenly.

    NaN where an element is NaN. Raises ShapeError for no elements.

    >>> import chainrule as cr
    >>> cr.amax(cr.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=0)
    tensor([3., 5.])
    """
    input, options = arguments("amax", input, dim, axis, keepdim, keepdims)
    _some("amax", input, options["axis"])
    return _amax(input, **options)


@public
def amin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element, over all or over the axes `dim`. Equal smallest elements share the gradient evenly.

    NaN where an element is NaN. Raises ShapeError for no elements.

    >>> import chainrule as cr
    >>> cr.amin(cr.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1)
    tensor([1., 2.])
    """
    input, options = arguments("amin", input, dim, axis, keepdim, keepdims)
    _some("amin", input, options["axis"])
    return _amin(input, **options)


@public
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """The smallest and the largest element: (min, max), as `amin` and `amax` give them.

    >>> import chainrule as cr
    >>> cr.aminmax(cr.tensor([3.0, 1.0, 2.0])).max
    tensor(3.)
    """
    return Extremes(amin(input, dim, keepdim), amax(input, dim, keepdim))


def _extremum(op: str, input: Any, dim: Any, keepdim: bool, axis: Any, pick: Op, all_of_them: Any, of_two: Any) -> Any:
    """What max and min do, by the kind of their second argument."""
    if isinstance(dim, Tensor) or getattr(dim, "ndim", False):
        return of_two(input, dim)
    dim = one_of(op, dim, axis)
    input = ops.as_tensor(input)
    if dim is None:
        _some(op, input, None)
        return all_of_them(input, axis=None, keepdims=keepdim)
    place = axis_of(op, dim, input)
    _some(op, input, (place,) if input.ndim else None)
    return pick_along(input, pick(input, axis=place if input.ndim else None, keepdims=True), place, keepdim)


@public
def max(input: Any, dim: Any = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The largest element. Of all: a tensor; equal elements share the gradient evenly. With `dim`: (values, indices),
    and the gradient goes to the one at the index, the first of equal ones. `max(a, b)` with tensors is `maximum(a, b)`.

    NaN where an element is NaN. Raises ShapeError for no elements.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 5.0], [3.0, 2.0]])
    >>> cr.max(x)
    tensor(5.)
    >>> cr.max(x, 0).indices
    tensor([1, 0])
    """
    return _extremum("max", input, dim, keepdim or keepdims, axis, _argmax, _amax, ops.maximum)


@public
def min(input: Any, dim: Any = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """The smallest element: see `max`.

    >>> import chainrule as cr
    >>> cr.min(cr.tensor([[1.0, 5.0], [3.0, 2.0]]), 1).values
    tensor([1., 2.])
    """
    return _extremum("min", input, dim, keepdim or keepdims, axis, _argmin, _amin, ops.minimum)


def _place(op: str, row: Op, input: Any, dim: Any, axis: Any, keepdims: bool) -> Tensor:
    """What argmax and argmin do."""
    input, dim = ops.as_tensor(input), one_of(op, dim, axis)
    place = None if dim is None or not input.ndim else axis_of(op, dim, input)
    _some(op, input, None if place is None else (place,))
    return row(input, axis=place, keepdims=keepdims)


@public
def argmax(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None,
           keepdims: bool = False) -> Tensor:
    """The index of the largest element along `dim`, the first of equal ones; without `dim`, in the flattened input.

    >>> import chainrule as cr
    >>> cr.argmax(cr.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _place("argmax", _argmax, input, dim, axis, keepdim or keepdims)


@public
def argmin(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None,
           keepdims: bool = False) -> Tensor:
    """The index of the smallest element along `dim`, the first of equal ones; without `dim`, in the flattened input.

    >>> import chainrule as cr
    >>> cr.argmin(cr.tensor([4.0, 1.0, 3.0]))
    tensor(1)
    """
    return _place("argmin", _argmin, input, dim, axis, keepdim or keepdims)


# ---- sorting

_argsort = Op("argsort", input=None)


@public
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True, *,
            axis: int | None = None) -> Tensor:
    """The indices that sort the elements along `dim`. Equal elements keep their order; NaN counts as the largest.

    >>> import chainrule as cr
    >>> cr.argsort(cr.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    input = ops.as_tensor(input)
    place = axis_of("argsort", dim if axis is None else axis, input)
    if not input.ndim:
        return _argsort(input.reshape(1), axis=0, descending=descending).reshape(())
    return _argsort(input, axis=place, descending=descending)


@public
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True, *,
         axis: int | None = None) -> Picked:
    """The elements sorted along `dim`: (values, indices). Equal elements keep their order; NaN counts as the largest.

    >>> import chainrule as cr
    >>> cr.sort(cr.tensor([3.0, 1.0, 2.0]), descending=True).values
    tensor([3., 2., 1.])
    """
    input = ops.as_tensor(input)
    indices = argsort(input, dim, descending, axis=axis)
    return pick_along(input, indices, axis_of("sort", dim if axis is None else axis, input), True)


@public
def msort(input: Any) -> Tensor:
    """The elements sorted along the first axis.

    >>> import chainrule as cr
    >>> cr.msort(cr.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return sort(input, 0).values


@public
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *,
         axis: int | None = None) -> Picked:
    """The k largest (or smallest) elements along `dim`, in order: (values, indices).

    Raises ShapeError where there are not k of them.

    >>> import chainrule as cr
    >>> cr.topk(cr.tensor([3.0, 1.0, 2.0]), 2).indices
    tensor([0, 2])
    """
    input = ops.as_tensor(input)
    place = axis_of("topk", dim if axis is None else axis, input)
    size = input.shape[place] if input.ndim else 1
    if not 0 <= k <= size:
        raise ShapeError(f"topk: k={k}, but axis {place} of shape {input.shape} has {size} elements")
    if not input.ndim:
        flat = topk(input.reshape(1), k)
        return Picked(*(t.reshape(()) for t in flat)) if k else flat
    order = argsort(input, place, descending=largest)
    return pick_along(input, order[(*(slice(None),) * place, slice(0, k))], place, True)


@public
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False, *, axis: int | None = None,
             keepdims: bool = False) -> Picked:
    """The k-th smallest element along `dim`, counted from 1: (values, indices).

    Raises ShapeError where there are not k.

    >>> import chainrule as cr
    >>> cr.kthvalue(cr.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    input = ops.as_tensor(input)
    place = axis_of("kthvalue", dim if axis is None else axis, input)
    size = input.shape[place] if input.ndim else 1
    if not 1 <= k <= size:
        raise ShapeError(f"kthvalue: k={k}, but axis {place} of shape {input.shape} has {size} elements")
    order = argsort(input, place)
    if input.ndim:
        order = order[(*(slice(None),) * place, slice(k - 1, k))]
    return pick_along(input, order, place, keepdim or keepdims)


# ---- the middle

_median = Op("median", input=lambda xp, g, input, out: evenly(xp, g, input, out, None, False))


@public
def median(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None,
           keepdims: bool = False) -> Any:
    """The middle element, the lower one of two. Of all: a tensor; equal elements share the gradient evenly. With `dim`:
    (values, indices), and the gradient goes to the one at the index.

    NaN where an element is NaN. Raises ShapeError for no elements along `dim`; of none at all it is NaN.

    >>> import chainrule as cr
    >>> cr.median(cr.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    input, dim = ops.as_tensor(input), one_of("median", dim, axis)
    if dim is None:
        return _median(input)
    place = axis_of("median", dim, input)
    _some("median", input, (place,) if input.ndim else None)
    order = argsort(input, place)
    if not input.ndim:
        return pick_along(input, order, place, True)

    def at(i: int) -> Tensor:
        return order[(*(slice(None),) * place, slice(i, i + 1))]

    middle, last = at((input.shape[place] - 1) // 2), at(input.shape[place] - 1)
    if input.dtype.kind in REAL:  # a NaN sorts last, and is the median
        middle = ops.where(ops.isnan(take_along_axis(input.detach(), last, axis=place)), last, middle)
    return pick_along(input, middle, place, keepdim or keepdims)
