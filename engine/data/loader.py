"""The loader that serves a dataset's examples in batches.

Where the randomness comes from. Each epoch takes one key from the loader's generator (or from the default one), and
everything random in the epoch follows from it: the order of the examples, and what the dataset itself draws, such as
augmentation. Batch i draws from a stream of its own, number i of the epoch. So it does not matter which thread makes a
batch, nor when; and an epoch can be resumed in its middle without going through what came before.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Event
from typing import Any

from chainrule import kernels
from chainrule.data.background import Stopped, in_background
from chainrule.data.collation import collate, convert, gather
from chainrule.data.datasets import IterableDataset
from chainrule.data.prefetch import on_device
from chainrule.data.samplers import BatchSampler, RandomSampler, SequentialSampler
from chainrule.ops.devices import check_device
from chainrule.random import Generator, as_generator, drawing_from, key_of, random_bits
from chainrule.state import Flag, state

__all__ = ["DataLoader"]

DRAWS = 2**32  # as many as a batch may make
END = object()  # what comes after the last batch of a stream


@dataclass
class Epoch:
    """Where a loop over the loader stands."""

    seed: int  # from which everything random in the epoch follows
    sampler: list[int] | None  # the state of the sampler's own generator when the epoch began, None where it has none
    batches: int = 0  # how many the loop was given
    finished: bool = False

    def stream(self, number: int) -> Generator:
        """The generator of the epoch's order, number 0, or of batch number - 1."""
        generator = Generator()
        generator.set_state((self.seed, number * DRAWS))
        return generator


class Fetch:
    """Makes the batches of an epoch, in the thread that calls it, drawing from each batch's own stream."""

    def __init__(self, loader: "DataLoader", epoch: Epoch) -> None:
        self.dataset, self.collate_fn, self.batched = loader.dataset, loader.collate_fn, loader.batched
        self.size, self.drop_last = loader.batch_size or 1, loader.drop_last
        self.epoch, self.stopped = epoch, Event()
        self.flags = state.backend, state.recording  # of the thread that loops, which the others take over

    def check(self) -> None:
        """Give up where the loop has been left."""
        if self.stopped.is_set():
            raise Stopped

    def __call__(self, number: int, *indices: Any) -> Any:
        backend, recording = self.flags
        with drawing_from(self.epoch.stream(number + 1)), kernels.backend(backend), Flag(recording):
            try:
                return self.make(*indices)
            except Exception as error:
                error.add_note(f"while making batch {number} of the epoch (batches are counted from 0)")
                raise

    def make(self, indices: Any) -> Any:
        """A batch of the examples at these indices; without batches the example at this index."""
        if self.batched:
            return gather(self.dataset, indices, self.collate_fn, self.check)
        self.check()
        return (self.collate_fn or convert)(self.dataset[indices])


class FetchNext(Fetch):
    """Makes batches of the next examples of an iterable dataset. Called in order; returns END when there are no more."""

    examples: Iterator[Any] | None = None

    def make(self, skip: bool = False) -> Any:
        """The next batch, or None if it is to be skipped."""
        if self.examples is None:
            self.examples = iter(self.dataset)
        found = []
        for example in islice(self.examples, self.size):
            self.check()
            found.append(example)
        if not found or (self.drop_last and len(found) < self.size):
            return END
        if skip:
            return None
        return (self.collate_fn or collate)(found) if self.batched else (self.collate_fn or convert)(found[0])


def own_generator(sampler: Any) -> Generator | None:
    """The generator of the sampler, or of the one inside it; None where they have none."""
    while sampler is not None:
        if isinstance(found := getattr(sampler, "generator", None), Generator):
            return found
        sampler = getattr(sampler, "sampler", None)
    return None


def state_of(generator: Generator | None) -> list[int] | None:
    """A generator's state as plain data."""
    return None if generator is None else list(generator.get_state())


class DataLoader:
    """Batches of a dataset's examples: loop over it once per epoch.

    `dataset`: anything with `__getitem__` and `__len__`, or an IterableDataset. `batch_size`: None for single examples,
    whose arrays become tensors. `shuffle`: in another random order each epoch. `sampler`: the order, an iterable of
    indices, instead of `shuffle`. `batch_sampler`: an iterable of lists of indices, instead of `batch_size`, `shuffle`,
    `sampler` and `drop_last`. `collate_fn` makes a batch of a list of examples, instead of `collate`. `drop_last`
    leaves out a last batch that is smaller.

    `num_workers`: how many background threads make batches ahead of time, `prefetch_factor` (2) each; 0 makes each when
    it is asked for. Threads help where reading waits for disks or uncompresses, or NumPy works on large arrays; Python
    code runs in one thread at a time. The batches, and their order, are the same for any number. An IterableDataset is
    read by one thread. An error in a thread is raised in the loop, in its batch's place, with its own traceback and a
    note that says which example and batch. When the loop ends, however it ends, so do the threads.

    `generator`: a Generator or a seed; None is the default one, which `manual_seed` seeds. Each epoch takes one key from
    it, from which all that is random in the epoch follows: the order, and what the dataset draws without being given a
    generator. So the same seed gives the same batches, with augmentation, for any number of workers.

    `device`: batches are handed out there. For a GPU each is copied, through page-locked memory, while the step before
    computes, so one more batch is made ahead. `pin_memory` and `persistent_workers` are for torch's scripts and change
    nothing: what goes to a GPU is page-locked anyway; threads share the memory, and start in no time.

    Raises ValueError for arguments that exclude each other and for a batch size below 1.

    >>> loader = DataLoader(range(5), batch_size=2)
    >>> len(loader), list(loader)
    (3, [tensor([0, 1]), tensor([2, 3]), tensor([4])])
    >>> shuffled = DataLoader(range(5), batch_size=2, shuffle=True, num_workers=2, generator=0)
    >>> sorted(i for batch in shuffled for i in batch.tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[Any] | None = None, batch_sampler: Iterable[Any] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[Any], Any] | None = None, pin_memory: bool = False, drop_last: bool = False, *,
                 generator: Any = None, prefetch_factor: int | None = None, persistent_workers: bool = False,
                 device: Any = None) -> None:
        iterable = isinstance(dataset, IterableDataset)
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler says which examples make a batch; pass no batch_size, shuffle, "
                             "sampler or drop_last with it")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler is the order; pass no shuffle with it")
        if iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(f"DataLoader: a {type(dataset).__name__} comes in its own order; it takes no shuffle, "
                             "sampler or batch_sampler")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: without batches (batch_size=None) there is no last one for drop_last")
        if batch_size is not None and batch_size.__index__() < 1:
            raise ValueError(f"DataLoader: batch_size={batch_size} must be at least 1")
        if num_workers < 0 or (prefetch_factor is not None and (prefetch_factor < 1 or not num_workers)):
            raise ValueError(f"DataLoader: num_workers={num_workers}, prefetch_factor={prefetch_factor}: the number of "
                             "workers is at least 0; batches are made ahead, at least one each, by workers only")
        self.dataset, self.num_workers, self.collate_fn, self.drop_last = dataset, num_workers, collate_fn, drop_last
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.generator = as_generator(generator)
        self.device = check_device("DataLoader", device)
        self.batched = batch_sampler is not None or batch_size is not None
        self.batch_size = None if batch_sampler is not None else batch_size
        self.sampler, self.batch_sampler = sampler, batch_sampler
        if sampler is None and batch_sampler is None and not iterable:
            self.sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        if self.batch_size is not None and self.sampler is not None:
            self.batch_sampler = BatchSampler(self.sampler, self.batch_size, drop_last)
        self._epoch: Epoch | None = None  # the latest
        self._resume: Epoch | None = None  # where the next loop goes on, after load_state_dict

    @property
    def order(self) -> Any:
        """What gives the indices: of each batch in a list, or of each example where there are no batches."""
        return self.batch_sampler if self.batched else self.sampler

    def __len__(self) -> int:
        """The number of batches in an epoch. TypeError for an iterable dataset that does not know its length."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self.order)
        count = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        epoch, self._resume = self._resume, None
        if epoch is None:
            high, low = random_bits(key_of(self.generator), (2,)).tolist()
            epoch = Epoch(high << 32 | low, state_of(own_generator(self.order)))
        self._epoch = epoch
        return self._serve(epoch)

    def _serve(self, epoch: Epoch) -> Iterator[Any]:
        """The batches that are still to come in an epoch."""
        fetch = (FetchNext if isinstance(self.dataset, IterableDataset) else Fetch)(self, epoch)
        work = self._work(fetch, epoch)
        if self.num_workers:
            threads = 1 if isinstance(fetch, FetchNext) else self.num_workers
            batches = in_background(fetch, work, threads, self.num_workers * self.prefetch_factor, fetch.stopped.set)
        else:
            batches = (fetch(*each) for each in work)  # closes like the other
        if self.device is not None and self.device.type == "cuda":
            batches = on_device(batches, self.device)
        try:
            for batch in batches:
                if batch is END:
                    break
                epoch.batches += 1
                yield batch
            epoch.finished = True
        finally:
            batches.close()  # now, not when the last traceback that holds it is gone

    def _work(self, fetch: Fetch, epoch: Epoch) -> Iterator[tuple[Any, ...]]:
        """What to call `fetch` with for each batch still to come: its number, and the indices of its examples."""
        done = epoch.batches
        if isinstance(fetch, FetchNext):
            for number in range(done):  # there is no other way to the middle of a stream
                fetch(number, True)
            while True:
                yield done, False
                done += 1
        number, order = 0, epoch.stream(0)
        with drawing_from(order):
            indices = iter(self.order)
        while True:
            with drawing_from(order):  # a sampler may draw whenever it is asked
                found = next(indices, END)
            if found is END:
                return
            if number >= done:
                yield number, found
            number += 1

    def state_dict(self) -> dict[str, Any]:
        """Where the latest loop over the loader stands, for `load_state_dict`: plain data, which `chainrule.save` takes.

        The contract:

        - Call it at any time, in the loop or after it. In the loop, the batches given so far, the present one among
          them, count as done; those that were only made ahead do not.
        - After `load_state_dict`, the next loop over the loader gives the batches that are still to come in that epoch,
          the same to the bit, and later epochs go on as they would have: with the same dataset and arguments, any
          `num_workers`. Where the epoch was complete, it is the next epoch that begins; where its last batch was
          given but the loop had not yet ended, the next loop is empty.
        - A loop that was left by `break` or by Ctrl-C is resumed after the batch at which it was left. (Without
          loading, a further loop is a new epoch.)
        - The loader's own `generator` is saved with it. The default generator is not: whoever draws their shuffling
          from it saves it too (`random.get_rng_state`). The generator of a sampler is saved as it was when the epoch
          began.
        - Examples that an IterableDataset gave before are read again and passed over; all others are not read.

        >>> loader = DataLoader(range(6), batch_size=2, shuffle=True, generator=0)
        >>> batches = iter(loader)
        >>> first, state = next(batches), loader.state_dict()
        >>> resumed = DataLoader(range(6), batch_size=2, shuffle=True)
        >>> resumed.load_state_dict(state)
        >>> [batch.tolist() for batch in resumed] == [batch.tolist() for batch in batches]
        True
        """
        epoch = self._resume or self._epoch
        found = {"epoch": None, "sampler": state_of(own_generator(self.order)), "generator": state_of(self.generator),
                 "examples": self._count(), "batch_size": self.batch_size}
        if epoch is None or epoch.finished:
            return found
        return found | {"epoch": {"seed": epoch.seed, "batches": epoch.batches}, "sampler": epoch.sampler}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called, on this loader or on one like it: see there.

        Raises ValueError where the dataset's length or the batch size is another one, or this is no such state; the
        loader then stays as it was.
        """
        own = own_generator(self.order)
        here = {"examples": self._count(), "batch_size": self.batch_size, "sampler": own is not None}
        try:
            there = {name: state_dict[name] for name in here} | {"sampler": state_dict["sampler"] is not None}
            position, generator, sampler = state_dict["epoch"], Generator(), Generator()
            if state_dict["generator"] is not None:
                generator.set_state(state_dict["generator"])
            if state_dict["sampler"] is not None:
                sampler.set_state(state_dict["sampler"])
            epoch = None if position is None else Epoch(
                position["seed"].__index__(), state_dict["sampler"], position["batches"].__index__())
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError("DataLoader: this is not what state_dict() returned") from None
        if here != there:
            raise ValueError(f"DataLoader: the state was saved where there was {there}, here there is {here} (sampler: "
                             "whether it has a generator of its own): the batches would be others")
        if state_dict["generator"] is None:
            self.generator = None
        elif self.generator is None:
            self.generator = generator
        else:
            self.generator.set_state(generator.get_state())
        if own is not None:
            own.set_state(sampler.get_state())
        self._resume, self._epoch = epoch, None

    def _count(self) -> int | None:
        """The number of examples, where it is known."""
        try:
            return len(self.dataset)
        except (TypeError, NotImplementedError):
            return None
