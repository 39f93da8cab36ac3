"""Embeddings: rows of a table looked up by index, with torch.nn.functional's signatures."""

from typing import Any

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.functional.activations import floating
from chainrule.graph import no_grad
from chainrule.kernels.cpu.arrays import within
from chainrule.kernels.reference.devices import array_module
from chainrule.names import ops
from chainrule.ops import embedding as rows
from chainrule.ops.devices import constant
from chainrule.state import check, look, state
from chainrule.tensor import Tensor

__all__ = ["embedding", "embedding_bag"]


def _checked(op: str, input: Any, weight: Any) -> tuple[Tensor, Tensor]:
    """Indices and table as tensors. DtypeError for indices that are not integers, IndexError for one that is no row."""
    input, weight = ops.as_tensor(input), floating(op, weight)
    if input.dtype.kind not in "iu":
        raise DtypeError(f"{op}: the indices are {input.dtype}, they must be integers; use .long()"
                         + ("; are input and weight swapped?" if weight.dtype.kind in "iu" else ""))
    if weight.ndim != 2:
        raise ShapeError(f"{op}: the weight has shape {weight.shape}, it needs two axes, (rows, features)")
    check(_check_rows, op, input, weight.shape[0])
    return input, weight


def _check_rows(op: str, values: Any, count: int) -> None:
    """IndexError where an index is no row."""
    if within(values, count):
        return
    wrong = (values < 0) | (values >= count)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IndexError(f"{op}: index {int(values[place])} at position {place} is out of range for a weight of "
                         f"{count} rows "
                         f"(valid: 0 to {count - 1})")


def _row(op: str, padding_idx: int | None, count: int) -> int | None:
    """padding_idx counted from 0."""
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise IndexError(f"{op}: padding_idx={padding_idx} is out of range for a weight of {count} rows")
    return padding_idx % count


def _renormalise(weight: Tensor, indices: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up, in place, down to at most max_norm."""
    if state.recomputing:
        return
    used = np.unique(indices)
    table = weight.data[used]
    norms = np.linalg.norm(table, ord=norm_type, axis=1, keepdims=True)
    factors = np.where(norms > max_norm, max_norm / (norms + 1e-7), 1)
    with no_grad():
        weight[Tensor(used)] = Tensor((table * factors).astype(weight.dtype))


def _gradient_scale(indices: Any, padding: int | None, by_frequency: bool, dtype: Any) -> Any:
    """For each index the factor of its row's gradient: 0 for padding, 1 / how often it occurs where asked."""
    scale = np.ones_like(indices, dtype)
    if by_frequency:
        _, inverse, counts = np.unique(indices, return_inverse=True, return_counts=True)
        scale /= counts[inverse].reshape(indices.shape)
    if padding is not None:
        np.copyto(scale, 0, where=indices == padding)
    return scale


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """weight[input]: integers (*B) look up rows of weight (V, E), giving (*B, E).

    The row `padding_idx` gets no gradient. `max_norm` first scales the rows looked up down to that `norm_type`-norm, in
    place. `scale_grad_by_freq` divides a row's gradient by how often it occurs in the input. Gradients are dense:
    `sparse` changes nothing. Raises IndexError for an index that is no row, DtypeError for floats as indices.

    >>> import chainrule as cr
    >>> embedding(cr.tensor([1, 0, 1]), cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    input, weight = _checked("embedding", input, weight)
    if max_norm is not None:
        _renormalise(weight, input.data, max_norm, norm_type)
    padding = _row("embedding", padding_idx, weight.shape[0])
    scale = look(_gradient_scale, input, padding, scale_grad_by_freq, weight.dtype) if padding is not None or scale_grad_by_freq \
        else None
    return rows.embedding(input, weight, scale=scale)


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, int, Tensor | None]:
    """For each index the bag it is in, (L,); the number of bags; and which indices are in one, (L,), or None for all."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: offsets go with a 1-D input; each row of a 2-D one is a bag already")
        rows_of = ops.expand(ops.reshape(constant(np.arange(input.shape[0]), input), (-1, 1)), input.shape)
        return ops.reshape(rows_of, (-1,)), input.shape[0], None
    if input.ndim != 1:
        raise ShapeError(f"embedding_bag: the input has shape {input.shape}, it needs one axis (with offsets) or two")
    if offsets is None:
        raise ValueError("embedding_bag: a 1-D input needs offsets, the position where each bag begins")
    offsets = ops.as_tensor(offsets)
    length = input.shape[0]
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise ShapeError(f"embedding_bag: offsets must be a 1-D tensor of integers, not {offsets.dtype}{offsets.shape}")
    check(_check_starts, offsets, length)
    inside = None
    if include_last_offset:
        if not offsets.numel():
            raise ValueError("embedding_bag: include_last_offset=True needs at least one offset, the end of the last "
                             "bag")
        inside = ops.less(constant(np.arange(length), offsets), offsets[-1:])
        offsets = offsets[:-1]
    # how many bags begin at each position, added up: the number of the last that has begun
    begun = ops.take_adjoint(ops.ones_like(offsets), offsets, axis=0, shape=(length + 1,))
    return ops.cumsum(begun, 0)[:length] - 1, offsets.shape[0], inside


def _check_starts(starts: Any, length: int) -> None:
    """ValueError where these are not the places where bags begin."""
    if starts.size and (starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > length):
        raise ValueError(f"embedding_bag: offsets must begin with 0, never decrease, and end within the {length} "
                         "indices; they "
                         f"are {starts.tolist()}")


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None,
                  norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:
    """The sum, mean or elementwise maximum (`mode`) of the looked-up rows of each bag: (B, E).

    A 2-D input (B, L) has bags of L indices in its rows. In a 1-D input bag i begins at offsets[i] and ends where the
    next begins; with `include_last_offset` the last offset is only the end of the last bag. `per_sample_weights`, of
    the input's shape, multiplies the rows (mode "sum" only). Indices equal to `padding_idx` are left out. An empty bag
    gives zeros. The other arguments are `embedding`'s.

    Raises ValueError for offsets that do not fit or an unknown mode, IndexError for an index that is no row.

    >>> import chainrule as cr
    >>> weight = cr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(cr.tensor([0, 2, 1]), weight, cr.tensor([0, 2]), mode="sum")
    tensor([[6., 8.],
            [3., 4.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode={mode!r} must be 'sum', 'mean' or 'max'")
    input, weight = _checked("embedding_bag", input, weight)
    if per_sample_weights is not None:
        per_sample_weights = floating("embedding_bag", per_sample_weights)
        if mode != "sum":
            raise ValueError(f"embedding_bag: per_sample_weights go with mode='sum' only, not {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ShapeError(f"embedding_bag: per_sample_weights have shape {per_sample_weights.shape}, the input "
                             f"{input.shape}; they must be equal")
    bag, count, kept = _bags(input, offsets, include_last_offset)
    if max_norm is not None:
        _renormalise(weight, input.data, max_norm, norm_type)
    indices = ops.reshape(input, (-1,))  # (L,)
    padding = _row("embedding_bag", padding_idx, weight.shape[0])
    if padding is not None:
        real = ops.ne(indices, padding)
        kept = real if kept is None else ops.logical_and(kept, real)
    scale = look(_counted_scale, indices, kept, weight.dtype) if scale_grad_by_freq else None
    looked_up = rows.embedding(indices, weight, scale=scale)  # (L, E)
    if mode == "max":
        counted: Any = slice(None) if kept is None else kept.data
        return _bag_maximum(looked_up if kept is None else looked_up[counted], bag.data[counted], count)
    if per_sample_weights is not None:
        looked_up = looked_up * ops.reshape(per_sample_weights, (-1, 1))
    if kept is not None:
        kept = ops.reshape(kept, (-1, 1))
        looked_up = ops.where(kept, looked_up, 0)
    sums: Tensor = rows.embedding_adjoint(bag, looked_up, rows=count)
    if mode == "sum":
        return sums
    ones = ops.ones_like(looked_up, shape=(bag.shape[0], 1)) if kept is None else ops.astype(kept, sums.dtype)
    found: Tensor = sums / ops.clamp(rows.embedding_adjoint(bag, ones, rows=count), 1)
    return found


def _counted_scale(indices: Any, kept: Any, dtype: Any) -> Any:
    """`_gradient_scale` by frequency, among the indices that are kept."""
    counted = slice(None) if kept is None else kept
    scale = np.ones_like(indices, dtype)
    scale[counted] = _gradient_scale(indices[counted], None, True, dtype)
    return scale


def _bag_maximum(looked_up: Tensor, bag: Any, count: int) -> Tensor:
    """The maximum in each bag of rows (L, E): (count, E). A tie's gradient goes to the first; an empty bag gives
    zeros."""
    values = looked_up.data
    length, features = values.shape
    highest = np.full_like(values, -np.inf, shape=(count, features))
    module = array_module(None if isinstance(values, np.ndarray) else "cuda")  # (NumPy's `maximum.at` takes no CuPy array)
    module.maximum.at(highest, bag, values)
    first = np.full_like(bag, length, shape=(count, features))
    places = constant(np.arange(length)[:, None], looked_up).data
    module.minimum.at(first, bag, np.where(values == highest[bag], places, length))
    empty = first == length
    if not length:
        nothing: Tensor = ops.zeros_like(looked_up, shape=(count, features)) + ops.sum(looked_up)
        return nothing
    picked = looked_up[Tensor(np.where(empty, 0, first)), constant(np.arange(features), looked_up)]
    found: Tensor = ops.where(Tensor(empty), 0, picked)
    return found
