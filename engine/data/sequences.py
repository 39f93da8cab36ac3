"""Sequences of different lengths in one tensor."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.dtypes import as_dtype
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["pad_sequence", "pad_sequences"]


def side_of(name: str, argument: str, value: str) -> bool:
    """Whether "post" was said, and not "pre"; ValueError for another word."""
    if value not in ("pre", "post"):
        raise ValueError(f"{name}: {argument}={value!r}: it is 'pre' or 'post'")
    return value == "post"


def pad_sequences(sequences: Sequence[Any], maxlen: int | None = None, dtype: Any = None, padding: str = "pre",
                  truncating: str = "pre", value: float = 0.0, *, lengths: bool = False) -> Any:
    """Sequences of T_i entries each as one tensor (N, maxlen), or (N, maxlen, …) where the entries have axes; Keras's
    signature.

    `maxlen`: the longest's length when None. `dtype`: when None that of the sequences: int64 for ints. Shorter ones get
    `value` in front (`padding="pre"`) or behind ("post"), longer ones lose their first (`truncating="pre"`) or last
    entries. `lengths`: return also how many entries each has kept, int64 (N), which with `padding="post"` is what
    recurrent layers ask for. Raises ShapeError where entries have different shapes, ValueError for other words and for
    a `value` that the dtype does not have.

    >>> pad_sequences([[1, 2, 3], [4]], padding="post")
    tensor([[1, 2, 3],
            [4, 0, 0]])
    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2, lengths=True)
    (tensor([[2, 3],
            [0, 4]]), tensor([2, 1]))
    """
    after, keep_first = side_of("pad_sequences", "padding", padding), side_of("pad_sequences", "truncating", truncating)
    if maxlen is not None and maxlen < 0:
        raise ValueError(f"pad_sequences: maxlen={maxlen} must be at least 0")
    arrays = [ops.as_tensor(s, device="cpu")._data for s in sequences]
    if any(a.ndim == 0 for a in arrays):
        raise ShapeError("pad_sequences: takes a list of sequences, got a number among them")
    filled = [a for a in arrays if a.size] or arrays
    shapes = {a.shape[1:] for a in filled}
    if len(shapes) > 1:
        raise ShapeError(f"pad_sequences: the entries of the sequences have different shapes, {sorted(shapes)}")
    if dtype is not None:
        found = as_dtype(dtype)
    else:
        found = np.result_type(*(a.dtype for a in filled)) if filled else np.dtype(np.int64)
    longest = max(map(len, arrays), default=0) if maxlen is None else maxlen
    if found.kind in "iub" and value != int(value):
        raise ValueError(f"pad_sequences: value={value} is no {found.name}; pass dtype")
    out = np.full((len(arrays), longest, *(shapes.pop() if shapes else ())), value, found)
    kept = []
    for row, array in zip(out, arrays, strict=True):
        count = min(len(array), longest)
        kept.append(count)
        if count:
            part = array[:count] if keep_first else array[len(array) - count:]
            row[slice(0, count) if after else slice(longest - count, longest)] = part
    padded: Tensor = ops.as_tensor(out)
    return (padded, ops.as_tensor(np.array(kept, np.int64))) if lengths else padded


def pad_sequence(sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """Tensors (T_i, …) as one, (max T, N, …), or (N, max T, …) with `batch_first`; torch's signature. Gradients pass.

    Shorter ones get `padding_value` behind (`padding_side="right"`) or in front ("left"). Raises ShapeError where the
    other axes differ, ValueError for another side and for no tensors.

    >>> import chainrule as cr
    >>> pad_sequence([cr.tensor([1.0, 2.0]), cr.tensor([3.0])], batch_first=True)
    tensor([[1., 2.],
            [3., 0.]])
    """
    tensors = [ops.as_tensor(s) for s in sequences]
    if padding_side not in ("left", "right") or not tensors:
        raise ValueError(f"pad_sequence: padding_side={padding_side!r} of {len(tensors)} tensors: it is 'left' or 'right', "
                         "and there is at least one tensor")
    if any(t.ndim == 0 for t in tensors) or len({t.shape[1:] for t in tensors}) > 1:
        raise ShapeError("pad_sequence: the tensors need an axis of time and otherwise the same shape, got "
                         f"{', '.join(str(t.shape) for t in tensors)}")
    longest = max(t.shape[0] for t in tensors)
    rows = []
    for t in tensors:
        rest = ops.full((longest - t.shape[0], *t.shape[1:]), padding_value, dtype=t.dtype, device=t.device)
        rows.append(ops.cat([t, rest] if padding_side == "right" else [rest, t]))
    found: Tensor = ops.stack(rows, 0 if batch_first else 1)
    return found
