"""Joining tensors, taking them apart, repeating them, and grids of coordinates."""

from typing import Any

import numpy as np

from chainrule.arguments import axis_of, one_of
from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.methods.typed import ops
from chainrule.ops.devices import constant
from chainrule.ops.shapes import dim_of, shape_of
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["cat", "chunk", "column_stack", "concat", "concatenate", "dstack", "hstack", "meshgrid", "narrow", "repeat",
           "repeat_interleave", "select", "split", "stack", "tile", "unbind", "vstack"]


def cut(axis: int, part: Any) -> Any:
    """The index that takes `part` (a slice, a number, an array) along `axis` and everything along the axes before."""
    return (slice(None),) * axis + (part,)


# part i of the result is that from offsets[i] to offsets[i + 1]
_cat = Op("cat", word="linear",
          each=lambda xp, g, position, axis, offsets: xp.getitem(
              g, index=cut(axis, slice(offsets[position], offsets[position + 1]))))


# ---- together


def _listed(op: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        tensors = list(tensors)
    found = [ops.as_tensor(x) for x in tensors]
    if not found:
        raise ShapeError(f"{op}: there are no tensors to join; pass a list of at least one")
    return found


@public
def cat(tensors: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """The tensors one after the other along `dim` (also `axis`; 0 unless given).

    Their shapes agree but for that axis; tensors of shape (0,) are left out. Differing dtypes are promoted. Raises
    ShapeError for shapes that do not fit and for 0-d tensors (use `stack`).

    >>> import chainrule as cr
    >>> cr.cat([cr.tensor([1, 2]), cr.tensor([3])])
    tensor([1, 2, 3])
    """
    found = _listed("cat", tensors)
    found = [x for x in found if x.shape != (0,)] or found[:1]
    first = found[0]
    if not first.ndim:
        raise ShapeError("cat: 0-d tensors have no axis to be joined along; use stack()")
    place = dim_of("cat", dim, axis, 0, first)
    offsets = [0]
    for i, x in enumerate(found):
        if x.ndim != first.ndim or any(a != b for k, (a, b) in enumerate(zip(x.shape, first.shape)) if k != place):
            raise ShapeError(f"cat: tensor {i} has shape {x.shape}, the first {first.shape}; apart from axis {place} "
                             "their sizes must be equal")
        offsets.append(offsets[-1] + x.shape[place])
    return _cat(*found, axis=place, offsets=tuple(offsets))


@public
def concat(tensors: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Another name of `cat`.

    >>> import chainrule as cr
    >>> cr.concat([cr.tensor([1, 2]), cr.tensor([3])], axis=-1)
    tensor([1, 2, 3])
    """
    return cat(tensors, dim, axis=axis)


@public
def concatenate(tensors: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Another name of `cat`, NumPy's.

    >>> import chainrule as cr
    >>> cr.concatenate([cr.tensor([1, 2]), cr.tensor([3])], axis=0)
    tensor([1, 2, 3])
    """
    return cat(tensors, dim, axis=axis)


@public
def stack(tensors: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Tensors of one shape along a new axis at the place `dim` (also `axis`; 0 unless given) of the result.

    Raises ShapeError where the shapes differ.

    >>> import chainrule as cr
    >>> cr.stack([cr.tensor([1, 2]), cr.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    found = _listed("stack", tensors)
    for i, x in enumerate(found):
        if x.shape != found[0].shape:
            raise ShapeError(f"stack: tensor {i} has shape {x.shape}, the first {found[0].shape}; all must be equal")
    place = dim_of("stack", dim, axis, 0, found[0], 1)
    return cat([ops.unsqueeze(x, place) for x in found], place)


@public
def hstack(tensors: Any) -> Tensor:
    """The tensors side by side: along axis 1, vectors along axis 0.

    >>> import chainrule as cr
    >>> cr.hstack([cr.tensor([1, 2]), cr.tensor(3)])
    tensor([1, 2, 3])
    """
    found = [ops.atleast_1d(x) for x in _listed("hstack", tensors)]
    return cat(found, 0 if found[0].ndim == 1 else 1)


@public
def vstack(tensors: Any) -> Tensor:
    """The tensors below each other: along axis 0, vectors as rows.

    >>> import chainrule as cr
    >>> cr.vstack([cr.tensor([1, 2]), cr.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([ops.atleast_2d(x) for x in _listed("vstack", tensors)], 0)


@public
def dstack(tensors: Any) -> Tensor:
    """The tensors behind each other: along axis 2, vectors and matrices as (1, n, 1) and (m, n, 1).

    >>> import chainrule as cr
    >>> cr.dstack([cr.tensor([1, 2]), cr.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return cat([ops.atleast_3d(x) for x in _listed("dstack", tensors)], 2)


@public
def column_stack(tensors: Any) -> Tensor:
    """The tensors side by side, vectors as columns.

    >>> import chainrule as cr
    >>> cr.column_stack([cr.tensor([1, 2]), cr.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([x if x.ndim > 1 else ops.reshape(x, (-1, 1)) for x in _listed("column_stack", tensors)], 1)


# ---- apart


@public
def split(input: Any, split_size: Any, dim: Any = None, *, axis: Any = None) -> tuple[Tensor, ...]:
    """The input cut along `dim` (also `axis`; 0 unless given) into views: of `split_size` elements each (the last may
    have fewer), or of the sizes listed.

    Raises ShapeError where the sizes do not add up to the axis.

    >>> import chainrule as cr
    >>> cr.split(cr.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    >>> cr.split(cr.tensor([1, 2, 3]), [1, 2])
    (tensor([1]), tensor([2, 3]))
    """
    input = ops.as_tensor(input)
    place = dim_of("split", dim, axis, 0, input)
    if not input.ndim:
        raise ShapeError("split: a 0-d tensor has no axis to be cut")
    length = input.shape[place]
    if isinstance(split_size, tuple | list):
        sizes = shape_of((split_size,))
        if sum(sizes) != length or any(n < 0 for n in sizes):
            raise ShapeError(f"split: sizes {list(sizes)} add up to {sum(sizes)}; axis {place} of shape {input.shape} "
                             f"has {length}")
    else:
        size = split_size.__index__()
        if size < 0 or (not size and length):
            raise ShapeError(f"split: split_size={size}, it must be positive")
        sizes = tuple(min(size, length - start) for start in range(0, length, size or 1)) or (0,)
    ends = np.cumsum(sizes).tolist()
    return tuple(ops.getitem(input, cut(place, slice(end - n, end))) for n, end in zip(sizes, ends))


@public
def chunk(input: Any, chunks: int, dim: Any = None, *, axis: Any = None) -> tuple[Tensor, ...]:
    """The input cut along `dim` (also `axis`; 0 unless given) into at most `chunks` views of equal size; the last may
    be smaller.

    >>> import chainrule as cr
    >>> [c.shape for c in cr.chunk(cr.arange(7), 3)]
    [(3,), (3,), (1,)]
    """
    input = ops.as_tensor(input)
    if chunks < 1:
        raise ShapeError(f"chunk: chunks={chunks}, it must be 1 or more")
    place = dim_of("chunk", dim, axis, 0, input)
    length = input.shape[place] if input.ndim else 0
    return split(input, -(-length // chunks) if length else [0] * chunks, place)


@public
def unbind(input: Any, dim: Any = None, *, axis: Any = None) -> tuple[Tensor, ...]:
    """The slices along `dim` (also `axis`; 0 unless given) as a tuple of views, without that axis.

    >>> import chainrule as cr
    >>> cr.unbind(cr.tensor([[1, 2], [3, 4]]), 1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    input = ops.as_tensor(input)
    place = dim_of("unbind", dim, axis, 0, input)
    if not input.ndim:
        raise ShapeError("unbind: a 0-d tensor has no axis to be taken apart")
    return tuple(ops.getitem(input, cut(place, i)) for i in range(input.shape[place]))


@public
def narrow(input: Any, dim: int, start: int, length: int) -> Tensor:
    """The `length` elements from `start` on along `dim`, a view. Raises IndexError where they are not all there.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2, 3, 4]).narrow(0, 1, 2)
    tensor([2, 3])
    """
    input = ops.as_tensor(input)
    axis = axis_of("narrow", dim, input)
    size = input.shape[axis] if input.ndim else 0
    first = start.__index__() + (size if start < 0 else 0)
    if not 0 <= first <= size or not 0 <= length <= size - first:
        raise IndexError(f"narrow: {length} elements from {start} on are not in axis {axis} of shape {input.shape}")
    return ops.getitem(input, cut(axis, slice(first, first + length)))


@public
def select(input: Any, dim: int, index: int) -> Tensor:
    """The slice at `index` along `dim`, a view without that axis.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).select(1, -1)
    tensor([2, 4])
    """
    input = ops.as_tensor(input)
    axis = axis_of("select", dim, input)
    if not input.ndim or not -input.shape[axis] <= index.__index__() < input.shape[axis]:
        raise IndexError(f"select: index {index} is out of range for axis {axis} of shape {input.shape}")
    return ops.getitem(input, cut(axis, index.__index__()))


# ---- repeated


@public
def repeat(input: Any, *sizes: Any) -> Tensor:
    """The input side by side, sizes[i] times along axis i; more sizes than axes add axes in front (torch's `repeat`,
    which NumPy calls `tile`). A copy. Raises ShapeError for fewer sizes than axes.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    input = ops.as_tensor(input)
    times = shape_of(sizes)
    if len(times) < input.ndim or any(n < 0 for n in times):
        raise ShapeError(f"repeat: {times} for shape {input.shape}: one number, 0 or more, is needed for each axis")
    own = (1,) * (len(times) - input.ndim) + input.shape
    # (1, a, 1, b) -> (s, a, t, b) -> (s·a, t·b)
    between = ops.reshape(input, tuple(n for size in own for n in (1, size)))
    spread = ops.expand(between, tuple(n for pair in zip(times, own) for n in pair))
    out: Tensor = ops.reshape(spread, tuple(n * size for n, size in zip(times, own)))
    return out if out._version is not input._version else ops.clone(out)


@public
def tile(input: Any, *sizes: Any) -> Tensor:
    """The input side by side, sizes[i] times along axis i; the shorter of sizes and shape is filled with ones in front.

    >>> import chainrule as cr
    >>> cr.tensor([[1], [2]]).tile(2)
    tensor([[1, 1],
            [2, 2]])
    """
    input = ops.as_tensor(input)
    times = shape_of(sizes)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


@public
def repeat_interleave(input: Any, repeats: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Each element `repeats` times in a row along `dim` (also `axis`; of the flattened input where neither is given).

    `repeats`: a number, or an integer tensor with one for each element of the axis. Raises ShapeError where their
    number does not fit.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2]).repeat_interleave(2)
    tensor([1, 1, 2, 2])
    >>> cr.tensor([1, 2]).repeat_interleave(cr.tensor([1, 3]))
    tensor([1, 2, 2, 2])
    """
    input = ops.as_tensor(input)
    given = one_of("repeat_interleave", dim, axis)
    if given is None or not input.ndim:
        input, given = ops.reshape(input, (-1,)), 0
    place = axis_of("repeat_interleave", given, input)
    counts = np.asarray(repeats.cpu().data if isinstance(repeats, Tensor) else repeats)
    length = input.shape[place]
    if counts.dtype.kind not in "iu" or (counts < 0).any() or (counts.ndim and counts.shape not in ((1,), (length,))):
        raise ShapeError(f"repeat_interleave: repeats={repeats!r} for axis {place} of shape {input.shape}: pass a "
                         f"number, 0 or more, or an integer tensor of shape ({length},)")
    return ops.take(input, constant(np.repeat(np.arange(length), counts), input), axis=place)


@public
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For coordinates along each axis, those of every point of the grid: out[k][i, j, …] is tensors[k] at the k-th
    index.

    Vectors or 0-d tensors, also as one list; `indexing="xy"` swaps the first two axes. Read-only views.

    >>> import chainrule as cr
    >>> cr.meshgrid(cr.tensor([1, 2]), cr.tensor([3, 4, 5]))[1]
    tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    found = [ops.atleast_1d(x) for x in tensors]
    if any(x.ndim != 1 for x in found):
        raise ShapeError(f"meshgrid: coordinates are vectors, got shapes {[x.shape for x in found]}")
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing={indexing!r}, it is 'ij' or 'xy'")
    order = list(range(len(found)))
    if indexing == "xy" and len(found) > 1:
        order[:2] = 1, 0
    shape = tuple(found[k].shape[0] for k in order)
    return tuple(ops.expand(ops.reshape(x, tuple(-1 if order[i] == k else 1 for i in range(len(found)))), shape)
                 for k, x in enumerate(found))
