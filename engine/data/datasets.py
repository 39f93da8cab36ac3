"""Sets of examples, reached by index."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.collation import gather
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.random import Generator
from chainrule.tensor import Tensor

__all__ = ["Dataset", "Subset", "TensorDataset", "random_split"]


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
