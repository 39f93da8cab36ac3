"""Gathering and scattering along an axis by tensors of indices.

The rows take the indices as an input, so that writing to them before backward is an error and not a wrong gradient.
"""

from typing import Any

import numpy as np

from chainrule.arguments import axis_of, one_of, scaled
from chainrule.dtypes import FLOATING, REAL
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.graph import SCALARS, Op
from chainrule.methods.typed import ops
from chainrule.ops.indexing import raw_index
from chainrule.ops.joining import cut
from chainrule.ops.shapes import together
from chainrule.registry import public
from chainrule.state import check
from chainrule.tensor import Tensor

__all__ = ["bincount", "gather", "index_add", "index_copy", "index_fill", "index_select", "scatter", "scatter_add",
           "take_along_dim"]

# whole slices, at indices along one axis
_take = Op("take",
           input=lambda xp, g, input_shape, indices, axis: xp.take_adjoint(g, indices, axis=axis, shape=input_shape),
           indices=None)
_take_adjoint = Op("take_adjoint", source=lambda xp, g, indices, axis: xp.take(g, indices, axis=axis), indices=None)
# single elements: indices along one axis, and the position's own coordinates along the others
take_along_axis = Op("take_along_axis",
                 input=lambda xp, g, input_shape, indices, axis: xp.add_along_axis(
                     g, indices, axis=axis, shape=input_shape),
                 indices=None)
_add_along_axis = Op("add_along_axis",
                         source=lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis=axis), indices=None)
_put_along = Op("put_along",
                input=lambda xp, g, indices, axis: xp.put_along(g, indices, 0, axis=axis),
                indices=None,
                values=lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis=axis))


def _indices(op: str, index: Any, input: Tensor, axis: int) -> Tensor:
    """The index as a tensor; DtypeError where it is not of integers, IndexError where one is not in the axis."""
    found: Tensor = ops.as_tensor(index)
    if found.dtype.kind not in "iu":
        raise DtypeError(f"{op}: the index is {found.dtype}, it must be integers; convert it with .long()")
    check(_check_range, op, found, input.shape, axis)
    return found


def _check_range(op: str, data: Any, shape: tuple[int, ...], axis: int) -> None:
    """IndexError where an index is not in the axis."""
    size = shape[axis]
    if data.size and not 0 <= data.min() <= data.max() < size:
        wrong = data[(data < 0) | (data >= size)][0]
        raise IndexError(f"{op}: index {wrong} is out of range for axis {axis} of shape {shape}: 0 to {size - 1}")


def _same_dtype(op: str, input: Tensor, source: Tensor) -> None:
    if source.dtype != input.dtype and "c" not in source.dtype.kind + input.dtype.kind:  # complex steps go through
        raise DtypeError(f"{op}: the tensor is {input.dtype} and the source {source.dtype}; convert one with .to()")


# ---- single elements


def _fits(op: str, index: Tensor, input: Tensor, axis: int) -> None:
    if index.ndim != input.ndim or any(m > n for k, (m, n) in enumerate(zip(index.shape, input.shape)) if k != axis):
        raise ShapeError(f"{op}: the index has shape {index.shape}, the tensor {input.shape}; apart from axis {axis} "
                         "no axis of the index may be longer, and their number is the same")


@public
def gather(input: Any, dim: int, index: Any) -> Tensor:
    """Elements picked along `dim`: out[i][j][k] = input[i][index[i][j][k]][k] for dim 1; the result has the index'
    shape.

    Apart from `dim` the index may be shorter than the input. Raises IndexError for an index not in the axis (negative
    ones too), ShapeError for shapes that do not fit.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).gather(1, cr.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    input = ops.as_tensor(input)
    if not input.ndim:
        return ops.reshape(gather(ops.reshape(input, (1,)), dim, ops.reshape(index, (1,))), ())
    axis = axis_of("gather", dim, input)
    index = _indices("gather", index, input, axis)
    _fits("gather", index, input, axis)
    return take_along_axis(input, index, axis=axis)


@public
def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """`gather` that broadcasts input and indices apart from the axis; without one both are flattened.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1, 3, 2], [6, 4, 5]])
    >>> cr.take_along_dim(x, cr.tensor([[1], [0]]), dim=1)
    tensor([[3],
            [6]])
    """
    input, indices = ops.as_tensor(input), ops.as_tensor(indices)
    given = one_of("take_along_dim", dim, axis)
    if given is None:
        return gather(ops.reshape(input, (-1,)), 0, ops.reshape(indices, (-1,)))
    place = axis_of("take_along_dim", given, input)
    if input.ndim != indices.ndim:
        raise ShapeError(f"take_along_dim: the input has shape {input.shape}, the indices {indices.shape}; they need "
                         "as many axes")
    rest = together("take_along_dim", *[s[:place] + (1,) + s[place + 1:] for s in (input.shape, indices.shape)])
    full, wanted = [(*rest[:place], x.shape[place], *rest[place + 1:]) for x in (input, indices)]
    return gather(ops.expand(input, full), place, ops.expand(indices, wanted))


def _scattered(op: str, input: Any, dim: int, index: Any, src: Any) -> tuple[Tensor, Tensor, Any, int]:
    """The arguments of scatter and scatter_add, checked; the source cut to the shape of the index."""
    axis = axis_of(op, dim, input)
    index = _indices(op, index, input, axis)
    _fits(op, index, input, axis)
    if src.__class__ in SCALARS or isinstance(src, np.generic):
        if isinstance(src, float | np.floating) and input.dtype.kind not in FLOATING:
            raise DtypeError(f"{op}: {src} does not fit into a {input.dtype} tensor")
        return input, index, src, axis
    src = ops.as_tensor(src)
    _same_dtype(op, input, src)
    if not src.ndim:
        src = ops.expand(src, index.shape)
    if src.ndim != index.ndim or any(m > n for m, n in zip(index.shape, src.shape)):
        raise ShapeError(f"{op}: the index has shape {index.shape}, the source {src.shape}; no axis of the index may "
                         "be longer")
    if src.shape != index.shape:
        src = ops.getitem(src, tuple(slice(n) for n in index.shape))
    return input, index, src, axis


@public
def scatter(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """A copy of the input with out[i][index[i][j][k]][k] = src[i][j][k] for dim 1; `src` is a tensor or a number.

    Where an element is named twice, which value stays is not defined, nor is the gradient of the other. Raises
    IndexError for an index not in the axis, ShapeError for shapes that do not fit, DtypeError for differing dtypes.

    >>> import chainrule as cr
    >>> cr.zeros_like(cr.tensor([[1, 2], [3, 4]])).scatter(1, cr.tensor([[1], [0]]), 1)
    tensor([[0, 1],
            [1, 0]])
    """
    input = ops.as_tensor(input)
    if not input.ndim:
        src = src if src.__class__ in SCALARS else ops.reshape(src, (1,))
        out = scatter(ops.reshape(input, (1,)), dim, ops.reshape(index, (1,)), src)
        return ops.reshape(out, ())
    input, index, src, axis = _scattered("scatter", input, dim, index, src)
    return _put_along(input, index, src, axis=axis)


@public
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """The input with src[i][j][k] added at [i][index[i][j][k]][k] for dim 1; an element named twice receives both.

    Raises as `scatter` does.

    >>> import chainrule as cr
    >>> cr.tensor([0, 0]).scatter_add(0, cr.tensor([1, 1]), cr.tensor([2, 3]))
    tensor([0, 5])
    """
    input = ops.as_tensor(input)
    if not input.ndim:
        src = src if src.__class__ in SCALARS else ops.reshape(src, (1,))
        return ops.reshape(scatter_add(ops.reshape(input, (1,)), dim, ops.reshape(index, (1,)), src), ())
    input, index, src, axis = _scattered("scatter_add", input, dim, index, src)
    if not isinstance(src, Tensor):
        src = ops.full_like(input, src, shape=index.shape)
    return ops.add(input, _add_along_axis(src, index, axis=axis, shape=input.shape))


# ---- whole slices


def _along(op: str, input: Any, dim: int, index: Any) -> tuple[Tensor, int, Tensor]:
    """The arguments of the index functions, checked: (input of at least one axis, axis, vector of indices)."""
    input = ops.atleast_1d(input)
    axis = axis_of(op, dim, input)
    index = ops.atleast_1d(_indices(op, index, input, axis))
    if index.ndim != 1:
        raise ShapeError(f"{op}: the index has shape {index.shape}, it must be a vector")
    return input, axis, index


def _sourced(op: str, input: Tensor, axis: int, index: Tensor, source: Any) -> Any:
    source = ops.as_tensor(source)
    source = source if source.ndim else source.reshape(1)
    _same_dtype(op, input, source)
    wanted = (*input.shape[:axis], index.shape[0], *input.shape[axis + 1:])
    if source.shape != wanted:
        raise ShapeError(f"{op}: the source has shape {source.shape}; for {index.shape[0]} indices into axis {axis} "
                         f"of shape {input.shape} it must have {wanted}")
    return source


@public
def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """The slices at `index` (a vector of integers) along `dim`; a copy. Raises IndexError for an index not in the axis.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).index_select(1, cr.tensor([1, 1]))
    tensor([[2, 2],
            [4, 4]])
    """
    shape = ops.as_tensor(input).shape
    input, axis, index = _along("index_select", input, dim, index)
    out = _take(input, index, axis=axis)
    return out if shape else ops.reshape(out, ())


@public
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
    """The input with alpha·source added, slice k at index[k] along `dim`; a slice named twice receives both.

    Raises IndexError for an index not in the axis, ShapeError where the source does not have one slice for each index.

    >>> import chainrule as cr
    >>> cr.tensor([0, 0]).index_add(0, cr.tensor([1, 1]), cr.tensor([2, 3]))
    tensor([0, 5])
    """
    shape = ops.as_tensor(input).shape
    input, axis, index = _along("index_add", input, dim, index)
    source = _sourced("index_add", input, axis, index, source)
    added = _take_adjoint(scaled(source, alpha), index, axis=axis, shape=input.shape)
    out: Tensor = ops.add(input, added)
    return out if shape else ops.reshape(out, ())


def _replaced(input: Tensor, axis: int, index: Tensor, value: Any) -> Tensor:
    path = (("getitem", {"index": raw_index(cut(axis, index))}),)
    return ops.write(input, value, path=path)


@public
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Tensor:
    """A copy of the input with slice k of the source at index[k] along `dim`. Raises as `index_add` does.

    >>> import chainrule as cr
    >>> cr.tensor([0, 0, 0]).index_copy(0, cr.tensor([2, 0]), cr.tensor([5, 6]))
    tensor([6, 0, 5])
    """
    shape = ops.as_tensor(input).shape
    input, axis, index = _along("index_copy", input, dim, index)
    return ops.reshape(_replaced(input, axis, index, _sourced("index_copy", input, axis, index, source)), shape)


@public
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Tensor:
    """A copy of the input with `value` (a number or a 0-d tensor) in the slices at `index` along `dim`.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2, 3]).index_fill(0, cr.tensor([0, 2]), 7)
    tensor([7, 2, 7])
    """
    shape = ops.as_tensor(input).shape
    input, axis, index = _along("index_fill", input, dim, index)
    if getattr(value, "shape", ()):
        raise ShapeError(f"index_fill: the value has shape {value.shape}, it must be a single one; see index_copy")
    if isinstance(value, float) and input.dtype.kind not in FLOATING:
        raise DtypeError(f"index_fill: {value} does not fit into a {input.dtype} tensor")
    return ops.reshape(_replaced(input, axis, index, value), shape)


@public
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2 … occurs in a vector of integers, int64, or the sums of the `weights` of its elements.

    The result has max(input) + 1 elements, at least `minlength`. Raises ShapeError for what is no vector or for weights
    of another shape, DtypeError for elements that are no integers, ValueError for negative ones.

    >>> import chainrule as cr
    >>> cr.bincount(cr.tensor([0, 2, 2]), minlength=4), cr.bincount(cr.tensor([0, 2, 2]), cr.tensor([0.5, 1.0, 2.0]))
    (tensor([1, 0, 2, 0]), tensor([0.5, 0. , 3. ]))
    """
    input = ops.as_tensor(input)
    if input.ndim != 1 or input.dtype.kind not in "iu":
        kind: type[Exception] = ShapeError if input.ndim != 1 else DtypeError
        raise kind(f"bincount: the input is {describe(input)}, it must be a vector of integers")
    data = input.data
    if data.size and data.min() < 0:
        raise ValueError(f"bincount: the input has {data.min()} in it; only 0, 1, 2 … are counted")
    if weights is None:
        return Tensor(np.bincount(data, minlength=minlength))
    weights = ops.as_tensor(weights)
    if weights.shape != input.shape:
        raise ShapeError(f"bincount: the weights have shape {weights.shape}, the input {input.shape}; they must be equal")
    weights = weights if weights.dtype.kind in REAL else weights.double()
    size = max(minlength, int(data.max()) + 1 if data.size else 0)
    return ops.index_add(ops.zeros(size, dtype=weights.dtype, device=input.device), 0, input, weights)
