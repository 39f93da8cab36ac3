"""The loader: its arguments, its background threads, its randomness, and resuming in the middle of an epoch."""

import gc
import signal
import threading
import time
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from chainrule.functional import dropout
from chainrule.state import state


class Noisy(Dataset):
    """Examples that draw when they are read, and take different times."""

    def __getitem__(self, index):
        time.sleep(0.0005 * (index % 3))
        return index, cr.rand(2)

    def __len__(self):
        return 20


class Stream(IterableDataset):
    """Numbers with noise, drawn as they come."""

    def __init__(self, count=20):
        self.count = count

    def __iter__(self):
        for i in range(self.count):
            yield i, cr.rand(1)


class Broken(Dataset):
    """An example cannot be read."""

    def __getitem__(self, index):
        return index if index != 7 else 1 / 0

    def __len__(self):
        return 10


class Slow(Dataset):
    """Examples that take long, and count how often they were asked for."""

    def __init__(self, seconds):
        self.seconds, self.read = seconds, 0

    def __getitem__(self, index):
        self.read += 1
        time.sleep(self.seconds)
        return index

    def __len__(self):
        return 1000


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


def flat(batches):
    """Batches as nested lists: equal when every bit is."""
    return [[getattr(part, "tolist", lambda part=part: part)() for part in batch] for batch in batches]


def epochs(loader, count=2):
    return [flat(loader) for _ in range(count)]


# ---- arguments

def test_without_batches_examples_come_as_tensors():
    assert [x.item() for x in DataLoader(np.arange(3), batch_size=None)] == [0, 1, 2]
    pair, = DataLoader([{"x": np.zeros(2), "pair": (np.int64(1), "text")}], batch_size=None)
    assert isinstance(pair["x"], cr.Tensor) and isinstance(pair["pair"][0], cr.Tensor) and pair["pair"][1] == "text"
    found = list(DataLoader(TensorDataset(np.arange(6)), None, sampler=BatchSampler(range(6), 4, False)))
    assert [part.tolist() for part, in found] == [[0, 1, 2, 3], [4, 5]]  # one index operation for each list of indices
    assert list(DataLoader(Stream(2), None, collate_fn=lambda e: e[0])) == [0, 1]
    assert len(DataLoader(range(7), None)) == 7


def test_samplers_in_the_loader():
    assert [b.tolist() for b in DataLoader(range(9), 2, sampler=[4, 4, 1])] == [[4, 4], [1]]
    loader = DataLoader("abcdef", batch_sampler=[[0, 5], [1]])
    assert list(loader) == [["a", "f"], ["b"]] and len(loader) == 2 and loader.batch_size is None
    loader = DataLoader(range(9), 4, sampler=SubsetRandomSampler([1, 3, 5], generator=0), drop_last=True)
    assert list(loader) == [] and len(loader) == 0


@pytest.mark.parametrize(("arguments", "problem"), [
    ({"batch_size": 0}, "batch_size=0"),
    ({"batch_size": 2, "batch_sampler": [[0]]}, "batch_sampler says"),
    ({"shuffle": True, "batch_sampler": [[0]]}, "batch_sampler says"),
    ({"shuffle": True, "sampler": [0]}, "sampler is the order"),
    ({"batch_size": None, "drop_last": True}, "batch_size=None"),
    ({"num_workers": -1}, "num_workers=-1"),
    ({"prefetch_factor": 2}, "prefetch_factor=2"),
    ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor=0"),
    ({"dataset": Stream(), "shuffle": True}, "a Stream comes in its own order"),
    ({"dataset": Stream(), "sampler": [0]}, "a Stream comes in its own order"),
])
def test_arguments_that_do_not_fit(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        DataLoader(**{"dataset": range(3)} | arguments)


def test_iterable_datasets():
    class Known(Stream):
        def __len__(self):
            return self.count

    for workers in (0, 3):
        loader = DataLoader(Known(7), 3, num_workers=workers)
        assert [part[0].tolist() for part in loader] == [[0, 1, 2], [3, 4, 5], [6]] and len(loader) == 3
        loader = DataLoader(Known(7), 3, drop_last=True, num_workers=workers)
        assert [part[0].tolist() for part in loader] == [[0, 1, 2], [3, 4, 5]] and len(loader) == 2
    assert len(DataLoader(Known(7), None)) == 7
    with pytest.raises(TypeError):
        len(DataLoader(Stream(), 2))


def test_a_subclass_that_changes_one_example_is_not_passed_by():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            assert isinstance(index, int)
            return (super().__getitem__(index)[0] * 2,)

    assert flat(DataLoader(Doubled(np.arange(4)), 2)) == [[[0, 2]], [[4, 6]]]


# ---- background threads

@given(st.integers(1, 12), st.integers(0, 3), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 2**64 - 1))
def test_batches_are_those_of_a_plain_loop(batch_size, workers, factor, drop_last, shuffle, seed):
    loader = DataLoader(range(11), batch_size, shuffle, num_workers=workers, drop_last=drop_last, generator=seed,
                        prefetch_factor=factor if workers else None)
    found = [batch.tolist() for batch in loader]
    order = [i for batch in found for i in batch]
    assert [len(b) for b in found] == [len(b) for b in BatchSampler(range(11), batch_size, drop_last)]
    assert len(found) == len(loader) and len(set(order)) == len(order)
    assert shuffle or order == list(range(len(order)))
    assert found == [batch.tolist() for batch in
                     DataLoader(range(11), batch_size, shuffle, drop_last=drop_last, generator=seed)]
    assert threads() == []


@pytest.mark.parametrize("dataset", [Noisy(), Stream()], ids=["indexed", "stream"])
def test_what_is_drawn_does_not_depend_on_the_workers(dataset):
    shuffle = isinstance(dataset, Noisy)
    found = [epochs(DataLoader(dataset, 3, shuffle, num_workers=n, generator=5)) for n in (0, 1, 4)]
    assert found[0] == found[1] == found[2]
    assert found[0][0] != found[0][1]  # another epoch, other draws
    drawn = [number for batch in found[0][0] for row in batch[1] for number in row]
    assert len(set(drawn)) == len(drawn)
    assert epochs(DataLoader(dataset, 3, shuffle, generator=6)) != found[0]


def test_the_default_generator_is_not_disturbed_by_threads():
    def run(workers):
        cr.manual_seed(1)
        return [(flat([batch]), dropout(cr.ones(4)).tolist()) for _ in range(2)
                for batch in DataLoader(Noisy(), 4, shuffle=True, num_workers=workers)]

    assert run(0) == run(2)


def test_threads_take_over_the_backend_and_whether_to_record():
    seen = []

    class Watching(Dataset):
        def __getitem__(self, index):
            seen.append((cr.is_grad_enabled(), state.backend.__name__,
                         threading.current_thread() is threading.main_thread()))
            return index

        def __len__(self):
            return 1

    with cr.no_grad(), cr.backend("reference"):
        list(DataLoader(Watching(), num_workers=1))
    assert seen == [(False, "chainrule.kernels.reference", False)]


def test_batches_are_made_ahead_but_not_further_than_asked():
    data = Slow(0)
    batches = iter(DataLoader(data, 5, num_workers=2, prefetch_factor=3))
    next(batches)
    deadline = time.monotonic() + 10
    while data.read < 35 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.01)
    assert data.read == 35  # seven batches: the one given, and six that wait
    assert 1 <= len(threads()) <= 2
    batches.close()
    assert threads() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_come_in_the_place_of_their_batch_and_say_where(workers):
    got = []
    with pytest.raises(ZeroDivisionError) as caught:
        for batch in DataLoader(Broken(), 3, num_workers=workers):
            got.append(batch.tolist())
    assert got == [[0, 1, 2], [3, 4, 5]]
    assert caught.value.__notes__ == ["while reading example 7 of a Broken",
                                      "while making batch 2 of the epoch (batches are counted from 0)"]
    assert "return index if index != 7 else 1 / 0" in "".join(traceback.format_exception(caught.value))  # the original traceback
    assert threads() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_streams_and_of_collating(workers):
    class Ends(IterableDataset):
        def __iter__(self):
            yield from (1, 2, 3)
            raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone") as caught:
        for batch in DataLoader(Ends(), 2, num_workers=workers):
            got.append(batch.tolist())
    assert got == [[1, 2]] and caught.value.__notes__ == ["while making batch 1 of the epoch (batches are counted from 0)"]
    with pytest.raises(cr.ShapeError, match="pad them") as caught:
        list(DataLoader([np.zeros(1), np.zeros(2)], 2, num_workers=workers))
    assert "while making batch 0" in caught.value.__notes__[-1] and threads() == []


def test_leaving_the_loop_early_ends_the_threads_at_once():
    for leave in ("break", "error", "collected", "cycle"):
        data = Slow(0.002)
        start = time.monotonic()
        if leave == "break":
            for _ in DataLoader(data, 4, num_workers=2):
                break
        elif leave == "error":
            with pytest.raises(KeyError):
                for _ in DataLoader(data, 4, num_workers=2):
                    raise KeyError
        else:
            batches = iter(DataLoader(data, 4, num_workers=2, prefetch_factor=50))
            next(batches)
            if leave == "cycle":
                cycle = [batches]
                cycle.append(cycle)
                del cycle
            del batches
            gc.collect()
        assert threads() == [], leave
        assert time.monotonic() - start < 5 and data.read < 100


def test_an_example_that_is_under_way_is_awaited_and_the_rest_of_its_batch_is_not_read():
    data = Slow(0.05)
    batches = iter(DataLoader(data, batch_sampler=[[0], list(range(100))], num_workers=1))
    next(batches)
    batches.close()
    assert data.read <= 5 and threads() == []


def test_a_loop_that_its_own_thread_collects_does_not_hang():
    ended = threading.Event()

    class Collecting(Dataset):
        def __getitem__(self, index):
            if index == 2:
                holder.clear()  # the last reference to the loop goes, in a thread of the loop
                ended.set()
            return index

        def __len__(self):
            return 50

    holder = [iter(DataLoader(Collecting(), 1, num_workers=1, prefetch_factor=1))]
    next(holder[0]), next(holder[0])
    assert ended.wait(10)
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threads() == []


@pytest.mark.parametrize("place", ["loop", "waiting"])
def test_ctrl_c_ends_the_threads(place):
    class Interrupting(Dataset):
        def __getitem__(self, index):
            if index == 3 and place == "waiting":
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                time.sleep(0.05)
            return index

        def __len__(self):
            return 100

    kept = None
    try:
        for i in DataLoader(Interrupting(), 1, num_workers=2, prefetch_factor=1):
            if place == "loop" and i.item() == 3:
                signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        kept = error
    assert kept is not None and threads() == []  # although the traceback still refers to the loop


# ---- where a loop stands

def kinds():
    """Loaders with randomness in every place it may come from, each made twice alike."""
    return {
        "shuffled": lambda n: DataLoader(Noisy(), 3, shuffle=True, num_workers=n, generator=1),
        "default": lambda n: DataLoader(Noisy(), 3, shuffle=True, num_workers=n),
        "sequential": lambda n: DataLoader(Noisy(), 4, num_workers=n, generator=2),
        "sampler": lambda n: DataLoader(Noisy(), 3, sampler=RandomSampler(Noisy(), generator=3), num_workers=n),
        "batches": lambda n: DataLoader(Noisy(), num_workers=n, generator=4, batch_sampler=BatchSampler(
            WeightedRandomSampler(np.arange(20.0), 30, generator=3), 4, False)),
        "shared": lambda n: (lambda g: DataLoader(Noisy(), 3, sampler=RandomSampler(Noisy(), generator=g),
                                                  generator=g, num_workers=n))(cr.Generator(9)),
        "single": lambda n: DataLoader(Noisy(), None, shuffle=True, generator=1, num_workers=n),
        "stream": lambda n: DataLoader(Stream(), 3, generator=1, num_workers=n),
    }


@pytest.mark.parametrize("kind", sorted(kinds()))
@pytest.mark.parametrize("stop", [0, 1, 4, None])
def test_a_resumed_loop_goes_on_to_the_same_bits(kind, stop, tmp_path):
    make = kinds()[kind]
    cr.manual_seed(11)
    loader = make(2)
    list(loader)  # an epoch before
    if stop is None:  # between epochs
        cr.save({"loader": loader.state_dict(), "random": cr.random.get_rng_state()}, tmp_path / "state")
        rest = []
    else:
        for i, _ in enumerate(batches := iter(loader)):
            if i == stop:
                break
        cr.save({"loader": loader.state_dict(), "random": cr.random.get_rng_state()}, tmp_path / "state")
        rest = [x for batch in batches for x in flat([batch])]
    expected = [rest, flat(loader), flat(loader)][stop is None:]
    for workers in (0, 3):
        saved = cr.load(tmp_path / "state")
        cr.manual_seed(12345)
        resumed = make(workers)
        list(resumed)  # what it did before does not matter
        resumed.load_state_dict(saved["loader"])
        assert resumed.state_dict()["epoch"] == saved["loader"]["epoch"]
        cr.random.set_rng_state(saved["random"])
        assert [flat(resumed) for _ in expected] == expected


def test_what_counts_as_given():
    loader = DataLoader(range(4), 2, num_workers=2, generator=0)
    assert loader.state_dict()["epoch"] is None
    batches = iter(loader)
    assert loader.state_dict()["epoch"]["batches"] == 0
    next(batches), next(batches)
    given = loader.state_dict()
    assert given["epoch"]["batches"] == 2
    assert next(batches, None) is None and loader.state_dict()["epoch"] is None
    again = DataLoader(range(4), 2)
    again.load_state_dict(given)
    assert list(again) == [] and len(list(again)) == 2  # the epoch had given all, but had not ended
    for _ in loader:
        break
    left = loader.state_dict()
    assert left["epoch"]["batches"] == 1 and len(list(loader)) == 2  # another loop is a new epoch …
    loader.load_state_dict(left)
    assert len(list(loader)) == 1  # … unless the state is loaded


def test_examples_that_were_given_are_not_read_again():
    data = Slow(0)
    loader = DataLoader(data, 10)
    next(iter(loader))
    other = DataLoader(data := Slow(0), 10)
    other.load_state_dict(loader.state_dict())
    next(iter(other))
    assert data.read == 10


def test_states_that_do_not_fit():
    loader = DataLoader(range(4), 2, generator=0)
    saved = loader.state_dict()
    for other in (DataLoader(range(5), 2), DataLoader(range(4), 1),
                  DataLoader(range(4), 2, sampler=RandomSampler(range(4), generator=1))):
        before = other.state_dict()
        with pytest.raises(ValueError, match="the batches would be others"):
            other.load_state_dict(saved)
        assert other.state_dict() == before
    for bad in ({}, None, saved | {"generator": "x"}, saved | {"epoch": {"seed": 1}}, saved | {"sampler": [1]}):
        with pytest.raises(ValueError, match=r"not what state_dict\(\) returned"):
            loader.load_state_dict(bad)
    plain = DataLoader(range(4), 2)
    plain.load_state_dict(saved)
    assert plain.generator.get_state() == loader.generator.get_state()
    loader.load_state_dict(DataLoader(range(4), 2).state_dict())
    assert loader.generator is None


@pytest.mark.peers
@pytest.mark.parametrize("arguments", [
    {"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}, {"batch_size": 2, "sampler": [4, 1, 1, 0, 3]},
    {"batch_sampler": [[0, 5], [1], [2, 3, 4]]}, {"batch_size": 7}, {"batch_size": 3, "num_workers": 2, "prefetch_factor": 4},
    {"batch_size": 4, "collate_fn": len}], ids=str)
@pytest.mark.parametrize("kind", ["tuples", "dicts", "numbers"])
def test_batches_are_those_of_torch(arguments, kind):
    torch = pytest.importorskip("torch")
    arrays = np.arange(14.0, dtype=np.float32).reshape(7, 2)
    examples = [{"tuples": (row, i, f"e{i}"), "dicts": {"x": row, "pair": [i, i % 2 == 0]}, "numbers": i}[kind]
                for i, row in enumerate(arrays)]
    theirs = torch.utils.data.DataLoader(examples, **{**arguments, "num_workers": 0, "prefetch_factor": None})
    ours = DataLoader(examples, **arguments)

    def plain(batch):
        if isinstance(batch, dict):
            return {key: plain(value) for key, value in batch.items()}
        if isinstance(batch, list | tuple):
            return [plain(part) for part in batch]
        return (batch.tolist(), str(batch.dtype).removeprefix("torch.")) if hasattr(batch, "dtype") else batch

    assert len(ours) == len(theirs)
    assert [plain(batch) for batch in ours] == [plain(batch) for batch in theirs]
