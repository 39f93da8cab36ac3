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
        return ops.as_tensor(list(examples), device="cpu")
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


def convert(example: Any) -> Any:
    """An example as it goes to the loop where there are no batches: arrays become tensors, the rest stays as it is."""
    if isinstance(example, np.ndarray | np.generic):
        return Tensor(np.asarray(example))
    if isinstance(example, Mapping):
        return {key: convert(value) for key, value in example.items()}
    if isinstance(example, list | tuple):
        parts = map(convert, example)
        return type(example)(*parts) if hasattr(example, "_fields") else type(example)(parts)
    return example


def batch_method(dataset: Any) -> Callable[[Any], Any] | None:
    """The dataset's own `batch`, if it has one that knows its `__getitem__`: a subclass that has changed only
    `__getitem__`, for one example, must not be passed by."""
    for kind in type(dataset).__mro__:
        if "batch" in vars(kind):
            found: Callable[[Any], Any] = dataset.batch
            return found
        if "__getitem__" in vars(kind):
            return None
    return None


def gather(dataset: Any, indices: Any, collate_fn: Callable[[list[Any]], Any] | None = None,
           check: Callable[[], None] | None = None) -> Any:
    """The batch of a dataset's examples at these indices: by its own `batch` method if it has one, else one by one.

    `check` is called before each example: it may raise to give the batch up. Errors get a note that names the example.
    """
    batch = batch_method(dataset) if collate_fn is None else None
    if batch is not None:
        return batch(indices)
    examples = []
    for i in indices.tolist() if isinstance(indices, np.ndarray) else indices:
        if check is not None:
            check()
        try:
            examples.append(dataset[i])
        except Exception as error:
            error.add_note(f"while reading example {i} of a {type(dataset).__name__}")
            raise
    return (collate_fn or collate)(examples)
