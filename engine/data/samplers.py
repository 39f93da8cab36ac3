"""In which order the examples come: samplers yield indices, and batch samplers lists of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from chainrule.errors import ShapeError, describe
from chainrule.names import ops
from chainrule.random import Generator, as_generator

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
           "WeightedRandomSampler"]


class Sampler:
    """An order of examples: subclasses define `__iter__`, which yields the indices of one epoch, and `__len__`.

    A sampler that draws should draw from its `generator`, None for the default one. Then a DataLoader can resume in the
    middle of an epoch: it lets the sampler begin the epoch again from where the generator stood.

    >>> class Backwards(Sampler):
    ...     def __init__(self, data): self.data = data
    ...     def __iter__(self): return iter(range(len(self.data) - 1, -1, -1))
    ...     def __len__(self): return len(self.data)
    >>> list(Backwards("abc"))
    [2, 1, 0]
    """

    generator: Generator | None = None

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__()")


class SequentialSampler(Sampler):
    """0, 1, 2, … in every epoch.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


def count_of(name: str, num_samples: Any) -> int:
    """A number of samples, at least 1; ValueError, TypeError for what is none."""
    if not isinstance(num_samples, int | np.integer) or isinstance(num_samples, bool):
        raise TypeError(f"{name}: num_samples={num_samples!r} is no integer")
    if num_samples < 1:
        raise ValueError(f"{name}: num_samples={num_samples} must be at least 1")
    return int(num_samples)


class RandomSampler(Sampler):
    """The indices of a data set in random order, another one in each epoch.

    `replacement`: each index is drawn from all of them. `num_samples`: how many come in an epoch, all when None; without
    replacement, more than there are means several orders one after the other. `generator`: a Generator or a seed.
    Raises ValueError for a number below 1.

    >>> sorted(RandomSampler("abcd", generator=0)), len(list(RandomSampler("abcd", replacement=True, num_samples=9)))
    ([0, 1, 2, 3], 9)
    """

    def __init__(self, data_source: Any, replacement: bool = False, num_samples: int | None = None,
                 generator: Any = None) -> None:
        self.data_source, self.replacement, self.generator = data_source, replacement, as_generator(generator)
        self._num_samples = None if num_samples is None else count_of("RandomSampler", num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices come in an epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, left = len(self.data_source), self.num_samples
        if count == 0 and left:
            raise ValueError(f"RandomSampler: there is nothing to draw {left} samples from")
        if self.replacement and left:
            yield from ops.randint(0, count, (left,), generator=self.generator, device="cpu").tolist()
            return
        while left > 0:
            yield from ops.randperm(count, generator=self.generator, device="cpu").tolist()[:left]
            left -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order, another one in each epoch. `generator`: a Generator or a seed.

    >>> sorted(SubsetRandomSampler([2, 5, 7], generator=0))
    [2, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, as_generator(generator)

    def __iter__(self) -> Iterator[int]:
        for i in ops.randperm(len(self.indices), generator=self.generator, device="cpu").tolist():
            yield int(self.indices[i])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Index i with probability weights[i] / sum of the weights: draw rare classes more often by giving their examples
    more weight.

    `weights` (N), at least 0, at least one above; `num_samples`: how many come in an epoch; without `replacement` each
    index at most once. `generator`: a Generator or a seed. Raises ShapeError for weights of another shape, ValueError
    where there are too few or none above 0.

    >>> list(WeightedRandomSampler([0.0, 0.0, 2.5], 4))
    [2, 2, 2, 2]
    """

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        self.weights = ops.as_tensor(weights, device="cpu").double()
        if self.weights.ndim != 1:
            raise ShapeError(f"WeightedRandomSampler({describe(self.weights)}): takes one weight for each example (N)")
        self.num_samples = count_of("WeightedRandomSampler", num_samples)
        self.replacement, self.generator = replacement, as_generator(generator)

    def __iter__(self) -> Iterator[int]:
        yield from ops.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The indices of another sampler (or of any iterable) in lists of `batch_size`; `drop_last` leaves out a last list
    that is shorter.

    Raises ValueError for a batch size below 1.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False)), list(BatchSampler(range(5), 2, drop_last=True))
    ([[0, 1], [2, 3], [4]], [[0, 1], [2, 3]])
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if batch_size.__index__() < 1:
            raise ValueError(f"BatchSampler: batch_size={batch_size} must be at least 1")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]  # an iterable without a length says so itself
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
