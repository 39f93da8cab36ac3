"""Data: sets of examples, and the loader that serves them in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.random import Generator
from chainrule.tensor import Tensor

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "collate", "random_split"]


class Dataset:
    """A set of examples, reached by index: subclasses define `__getitem__` and `__len__`.

    An example is anything that `collate` can put into batches: a tensor, an array, a number, a tuple or a dict of them.
    """

    def __getitem__(self, index: int) -> Any:
        """The example at an index from 0."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__()")


class TensorDataset(Dataset):
    """Examples from tensors (or arrays) of the same length: example i is the tuple of their i-th entries.

    Raises ShapeError where the lengths differ or a tensor is 0-d.

    >>> import numpy as np
    >>> images, labels = np.zeros((3, 8, 8)), np.array([4, 5, 6])
    >>> image, label = TensorDataset(images, labels)[1]
    >>> image.shape, label
    ((8, 8), tensor(5))
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors: tuple[Tensor, ...] = tuple(ops.as_tensor(t) for t in tensors)
        lengths = {t.shape[0] if t.ndim else None for t in self.tensors}
        if len(lengths) != 1 or None in lengths:
            raise ShapeError("TensorDataset: the tensors need the same first axis, got shapes "
                             f"{', '.join(str(t.shape) for t in self.tensors) or 'none'}")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def batch(self, indices: Any) -> tuple[Tensor, ...]:
        """The batch of these examples, by one indexing operation for each tensor."""
        return self[np.asarray(indices)]


class Subset(Dataset):
    """Some of the examples of a dataset, by their indices.

    >>> Subset(["a", "b", "c"], [2, 0])[0]
    'c'
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, dtype=np.int64)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Any) -> Any:
        """The batch of these examples, made by the dataset itself where it can."""
        return gather(self.dataset, self.indices[np.asarray(indices)])


def as_generator(generator: Any) -> Any:
    """A Generator as it is, a new one for a seed, None (the one that `manual_seed` sets) for None."""
    return generator if generator is None or isinstance(generator, Generator) else Generator(generator)


def shuffled(count: int, generator: Any) -> Any:
    """The numbers below `count` in random order, as an array."""
    return ops.randperm(count, generator=generator)._data


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Divide a dataset at random into subsets of these lengths, or of these fractions of the whole, which sum to 1.

    `generator`: a Generator or a seed. Raises ValueError where the lengths do not sum to the dataset's.

    >>> [len(part) for part in random_split(range(10), [0.8, 0.2], generator=0)]
    [8, 2]
    """
    total = len(dataset)
    sizes = [int(n) for n in lengths]
    if any(n != int(n) for n in lengths) or (total != 1 and sum(lengths) == 1):
        if abs(sum(lengths) - 1) > 1e-9 or min(lengths) < 0:
            raise ValueError(f"random_split: the fractions {list(lengths)} must be positive and sum to 1")
        sizes = [int(total * fraction + 1e-9) for fraction in lengths]
        for i in range(total - sum(sizes)):  # what rounding down left over: one each, from the first
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise ValueError(f"random_split: the lengths {list(lengths)} sum to {sum(sizes)}, the dataset has {total} "
                         "examples")
    order = shuffled(total, as_generator(generator))
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size: end]) for end, size in zip(ends, sizes, strict=True)]


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


class DataLoader:
    """Batches of a dataset's examples: loop over it once per epoch.

    `shuffle`: in another random order each epoch, drawn from `generator` (a Generator or a seed: the same seed gives
    the same orders), or else from the stream that `manual_seed` sets. `drop_last` leaves out a last batch that is
    smaller. `collate_fn` makes a batch of a list of examples, instead of `collate`. Raises ValueError for a batch size
    below 1.

    >>> loader = DataLoader(range(5), batch_size=2)
    >>> len(loader), list(loader)
    (3, [tensor([0, 1]), tensor([2, 3]), tensor([4])])
    """

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
                 collate_fn: Callable[[list[Any]], Any] | None = None, generator: Any = None) -> None:
        if batch_size.__index__() < 1:
            raise ValueError(f"DataLoader: batch_size={batch_size} must be at least 1")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.collate_fn, self.generator = collate_fn, as_generator(generator)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        order = shuffled(count, self.generator) if self.shuffle else np.arange(count)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield gather(self.dataset, order[start: start + self.batch_size], self.collate_fn)
