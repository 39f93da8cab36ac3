"""The loader that serves a dataset's examples in batches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.data.collation import gather
from chainrule.data.datasets import as_generator, shuffled

__all__ = ["DataLoader"]


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
