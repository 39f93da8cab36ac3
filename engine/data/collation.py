"""From examples to a batch: `collate`, which stacks them, and `gather`, which fetches those at given indices."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["collate"]


def collate(examples: Sequence[Any]) -> Any:
    """Put a list of examples into one batch: tensors, arrays and numbers are stacked along a new first axis, tuples and
    dicts batched entry by entry, strings listed.

    Raises ShapeError for arrays of different shapes, DtypeError for what it does not know.

    >>> collate([(1.0, {"label": 3}), (2.0, {"label": 4})])
    (tensor([1., 2.]), {'label': tensor([3, 4])})
    """
    first = examples[0]
    if isinstance(first, Tensor):
        return Tensor(stack([e._data for e in examples]))
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(stack(examples))
    if isinstance(first, int | float):
        return ops.as_tensor(list(examples))
    if isinstance(first, str | bytes):
        return list(examples)
    if isinstance(first, Mapping):
        return {key: collate([e[key] for e in examples]) for key in first}
    if isinstance(first, list | tuple):
        if any(len(e) != len(first) for e in examples):
            raise ShapeError(f"collate: the examples have {sorted({len(e) for e in examples})} entries; pad them, or "
                             "pass collate_fn")
        parts = (collate(column) for column in zip(*examples, strict=True))
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise DtypeError(f"collate: examples of type {type(first).__name__} do not make a batch; return tensors, arrays, "
                     "numbers, tuples or dicts, or pass collate_fn")


def stack(arrays: Sequence[Any]) -> Any:
    """Arrays stacked along a new first axis; ShapeError where their shapes differ."""
    shapes = {tuple(a.shape) for a in arrays}
    if len(shapes) > 1:
        raise ShapeError(f"collate: the examples of a batch have the shapes {', '.join(map(str, sorted(shapes)))}; "
                         "pad them to one, or pass collate_fn")
    return np.stack(arrays)


def gather(dataset: Any, indices: Any, collate_fn: Callable[[list[Any]], Any] | None = None) -> Any:
    """The batch of a dataset's examples at these indices: by its own `batch` method if it has one, else one by one."""
    if collate_fn is None and hasattr(dataset, "batch"):
        return dataset.batch(indices)
    return (collate_fn or collate)([dataset[int(i)] for i in indices])
