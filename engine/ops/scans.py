"""Scans: running sums, products and extrema along an axis, and differences, which undo sums."""

from typing import Any

from chainrule.arguments import axis_of, one_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.ops.products import cumprod as by_doubling
from chainrule.ops.sorting import Picked, pick_along
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "diff"]


def _scanned(op: str, input: Any, dim: Any, axis: Any, dtype: Any = None) -> tuple[Tensor, int]:
    """The input and the one axis of a scan, which must be named."""
    dim = one_of(op, dim, axis)
    input = ops.as_tensor(input) if dtype is None else ops.as_tensor(input).to(dtype)
    if dim is None:
        raise TypeError(f"{op}: pass dim, the axis along which to go, for example dim=0")
    return input, axis_of(op, dim, input)


def _backward(axis: int) -> tuple[slice, ...]:
    """The index that turns an axis around."""
    return (*(slice(None),) * axis, slice(None, None, -1))


# each element is in all sums from its place on: the gradient is a running sum from the other end
_cumsum = Op("cumsum", word="linear", input=lambda xp, g, axis: xp.getitem(
    xp.cumsum(xp.getitem(g, index=_backward(axis)), axis=axis), index=_backward(axis)))


@public
def cumsum(input: Any, dim: int | None = None, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running sums along `dim`: out[i] = input[0] + … + input[i]. Bools and integers sum to int64.

    >>> import chainrule as cr
    >>> cr.cumsum(cr.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    input, dim = _scanned("cumsum", input, dim, axis, dtype)
    return _cumsum(input, axis=dim) if input.ndim else _cumsum(input.reshape(1), axis=0).reshape(())


@public
def cumprod(input: Any, dim: int | None = None, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running products along `dim`: out[i] = input[0] · … · input[i]. Derivatives are exact at zeros.

    >>> import chainrule as cr
    >>> cr.cumprod(cr.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    input, dim = _scanned("cumprod", input, dim, axis, dtype)
    if input.dtype.kind in "biu":
        input = input.to("int64")
    found: Tensor = by_doubling(input, axis=dim) if input.ndim else by_doubling(input.reshape(1), axis=0).reshape(())
    return found


@public
def cummax(input: Any, dim: int | None = None, *, axis: int | None = None) -> Picked:
    """The largest element so far, along `dim`: (values, indices), of equal elements the latest; NaN stays.

    >>> import chainrule as cr
    >>> cr.cummax(cr.tensor([1.0, 3.0, 2.0]), dim=0).indices
    tensor([0, 1, 1])
    """
    input, dim = _scanned("cummax", input, dim, axis)
    return pick_along(input, _cummax_indices(input, axis=dim, smallest=False), dim, True)


@public
def cummin(input: Any, dim: int | None = None, *, axis: int | None = None) -> Picked:
    """The smallest element so far, along `dim`: (values, indices), of equal elements the latest; NaN stays.

    >>> import chainrule as cr
    >>> cr.cummin(cr.tensor([2.0, 3.0, 1.0]), dim=0).values
    tensor([2., 2., 1.])
    """
    input, dim = _scanned("cummin", input, dim, axis)
    return pick_along(input, _cummax_indices(input, axis=dim, smallest=True), dim, True)


_cummax_indices = Op("cummax_indices", input=None)


@public
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along `dim`, taken n times: out[i] = input[i + 1] - input[i]; of bools, whether they differ.

    `prepend` and `append` are joined to the input first. Raises ShapeError for a number, ValueError for a negative n.

    >>> import chainrule as cr
    >>> cr.diff(cr.tensor([1.0, 3.0, 7.0])), cr.diff(cr.tensor([1.0, 3.0]), prepend=cr.tensor([0.0]))
    (tensor([2., 4.]), tensor([1., 2.]))
    """
    found: Tensor = ops.as_tensor(input)
    if not found.ndim:
        raise ShapeError("diff: the input has no axis; it needs one at least")
    if n < 0:
        raise ValueError(f"diff: n={n} must be at least 0")
    axis = axis_of("diff", dim, found)
    parts = [part for part in (prepend, found, append) if part is not None]
    if n and len(parts) > 1:
        found = ops.cat(parts, axis)
    lead = (slice(None),) * axis
    for _ in range(min(n, found.shape[axis])):
        later, earlier = found[(*lead, slice(1, None))], found[(*lead, slice(None, -1))]
        found = later ^ earlier if found.dtype.kind == "b" else later - earlier
    return found
