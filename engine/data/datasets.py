"""Sets of examples: reached by index, or one after the other; divided, put together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.data.collation import gather
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.random import as_generator
from chainrule.tensor import Tensor

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset",
           "random_split"]


class Dataset:
    """A set of examples, reached by index: subclasses define `__getitem__` and `__len__`.

    An example is anything that `collate` can put into batches: a tensor, an array, a number, a tuple or a dict of them.
    A class whose batches can be made in one go may also define `batch(indices)`; it then serves the loader in place of
    `__getitem__` and `collate`.
    """

    def __getitem__(self, index: int) -> Any:
        """The example at an index from 0."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__()")

    def __add__(self, other: Any) -> "ConcatDataset":
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Examples from tensors (or arrays) of the same length: example i is the tuple of their i-th entries.

    `transform`: called with the entries, of one example or of a batch, it returns those that are served; see
    `chainrule.data.augmentation`. Raises ShapeError where the lengths differ or a tensor is 0-d.

    >>> import numpy as np
    >>> images, labels = np.zeros((3, 8, 8)), np.array([4, 5, 6])
    >>> image, label = TensorDataset(images, labels)[1]
    >>> image.shape, label
    ((8, 8), tensor(5))
    """

    def __init__(self, *tensors: Any, transform: Callable[..., Any] | None = None) -> None:
        self.transform = transform
        self.tensors: tuple[Tensor, ...] = tuple(
            t if isinstance(t, Tensor) else ops.as_tensor(t, device="cpu") for t in tensors)
        lengths = {t.shape[0] if t.ndim else None for t in self.tensors}
        if len(lengths) != 1 or None in lengths:
            raise ShapeError("TensorDataset: the tensors need the same first axis, got shapes "
                             f"{', '.join(str(t.shape) for t in self.tensors) or 'none'}")

    def __getitem__(self, index: Any) -> Any:
        found = tuple(t[index] for t in self.tensors)
        return found if self.transform is None else self.transform(*found)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def batch(self, indices: Any) -> Any:
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


class ConcatDataset(Dataset):
    """Several datasets one after the other: `a + b` of two datasets makes one. Raises ValueError for none.

    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[2], both[-1]
    (5, 'c', 'e')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: there is no dataset to put together")
        self.ends = np.cumsum([len(d) for d in self.datasets])

    def __getitem__(self, index: int) -> Any:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"ConcatDataset: there is no example {index}, there are {count}")
        index %= count
        which = int(np.searchsorted(self.ends, index, side="right"))
        return self.datasets[which][index - int(self.ends[which - 1]) if which else index]

    def __len__(self) -> int:
        return int(self.ends[-1])


class StackDataset(Dataset):
    """Datasets of the same length side by side: example i is the tuple of their i-th examples, or, of datasets given by
    keywords, the dict.

    Raises ShapeError where the lengths differ, TypeError for both kinds or none.

    >>> StackDataset("abc", [1, 2, 3])[1], StackDataset(letter="abc", number=[1, 2, 3])[1]
    (('b', 2), {'letter': 'b', 'number': 2})
    """

    def __init__(self, *datasets: Any, **named: Any) -> None:
        if bool(datasets) == bool(named):
            raise TypeError("StackDataset: pass datasets, or datasets by keywords")
        self.datasets: Any = named or datasets
        lengths = [len(d) for d in (named.values() if named else datasets)]
        if len(set(lengths)) > 1:
            raise ShapeError(f"StackDataset: the datasets need the same length, they have {lengths}")

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0])


class IterableDataset:
    """Examples that come one after the other and have no index, such as the lines of a file too large for memory:
    subclasses define `__iter__`, and `__len__` where it is known.

    >>> class Countdown(IterableDataset):
    ...     def __iter__(self): yield from (3, 2, 1)
    >>> list(Countdown() + Countdown())
    [3, 2, 1, 3, 2, 1]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")

    def __add__(self, other: Any) -> "ChainDataset":
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Several iterable datasets one after the other.

    >>> list(ChainDataset(["ab", "c"]))
    ['a', 'b', 'c']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


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
    order = ops.randperm(total, generator=as_generator(generator), device="cpu").data
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size: end]) for end, size in zip(ends, sizes, strict=True)]
