"""Datasets and the loader."""

import sys
from typing import NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import DataLoader, Dataset, Subset, TensorDataset, collate, digits, random_split


class Pair(NamedTuple):
    x: float
    y: int


class Squares(Dataset):
    def __getitem__(self, index):
        return {"number": index, "square": np.float32(index) ** 2, "name": f"n{index}"}

    def __len__(self):
        return 5


def order(loader):
    return np.concatenate([batch[0].numpy() for batch in loader]).tolist()


def numbers(count):
    return TensorDataset(np.arange(count))


def test_tensor_dataset():
    x = np.arange(12.0).reshape(4, 3)
    data = TensorDataset(x, cr.tensor([0, 1, 2, 3]))
    assert len(data) == 4 and data[2][0].tolist() == [6, 7, 8] and data[2][1].item() == 2
    assert [t.shape for t in data.batch([0, 3])] == [(2, 3), (2,)]
    for bad in ((np.zeros(3), np.zeros(4)), (np.zeros(()),), ()):
        with pytest.raises(cr.ShapeError, match="the tensors need the same first axis"):
            TensorDataset(*bad)


@pytest.mark.parametrize(("count", "size", "drop", "sizes"), [
    (10, 3, False, [3, 3, 3, 1]), (10, 3, True, [3, 3, 3]), (9, 3, True, [3, 3, 3]), (2, 5, False, [2]),
    (2, 5, True, []),
    (0, 2, False, []), (4, 1, False, [1, 1, 1, 1]),
])
def test_batches(count, size, drop, sizes):
    loader = DataLoader(numbers(count), size, drop_last=drop)
    assert [len(batch[0]) for batch in loader] == sizes and len(loader) == len(sizes)


def test_shuffling_is_seeded_and_differs_between_epochs():
    loader = DataLoader(numbers(50), 8, shuffle=True, generator=7)
    first, second = order(loader), order(loader)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second != list(range(50))
    again = DataLoader(numbers(50), 8, shuffle=True, generator=cr.random.Generator(7))
    assert [order(again), order(again)] == [first, second]
    assert order(DataLoader(numbers(50), 8, shuffle=True, generator=8)) != first
    assert order(DataLoader(numbers(50), 8)) == list(range(50))
    cr.manual_seed(3)
    drawn = order(DataLoader(numbers(50), 8, shuffle=True))
    cr.manual_seed(3)
    assert order(DataLoader(numbers(50), 50, shuffle=True)) == drawn


def test_any_sequence_is_a_dataset_and_examples_may_be_nested():
    batches = list(DataLoader(Squares(), 2))
    assert batches[1]["number"].tolist() == [2, 3] and batches[1]["square"].tolist() == [4, 9]
    assert batches[1]["name"] == ["n2", "n3"] and batches[1]["square"].dtype == cr.float32
    assert [b.tolist() for b in DataLoader([1.5, 2.5, 3.5], 2)] == [[1.5, 2.5], [3.5]]
    assert list(DataLoader([1, 2, 3], 2, collate_fn=sum)) == [3, 3]
    with pytest.raises(ValueError, match="batch_size=0"):
        DataLoader([1], 0)
    with pytest.raises(NotImplementedError, match="Dataset has no __getitem__"):
        Dataset()[0]


def test_collate():
    batch = collate([(cr.tensor([1.0]), [1, True]), (cr.tensor([2.0]), [2, False])])
    assert batch[0].tolist() == [[1], [2]] and batch[1][0].tolist() == [1, 2] and batch[1][1].dtype == cr.bool
    named = collate([Pair(0.5, 1), Pair(1.5, 2)])
    assert isinstance(named, Pair) and named.x.tolist() == [0.5, 1.5] and named.y.dtype == cr.int64
    with pytest.raises(cr.ShapeError, match=r"have the shapes \(1,\), \(2,\); pad them"):
        collate([np.zeros(2), np.zeros(1)])
    with pytest.raises(cr.ShapeError, match=r"have \[1, 2\] entries"):
        collate([(1,), (1, 2)])
    with pytest.raises(cr.DtypeError, match="type object do not make a batch"):
        collate([object()])


def test_subsets_and_splits():
    part = Subset(numbers(10), [7, 1, 3])
    assert len(part) == 3 and order(DataLoader(part, 2)) == [7, 1, 3] and part[-1][0].item() == 3
    assert DataLoader(Subset(Squares(), [4, 0]), 2).__iter__().__next__()["number"].tolist() == [4, 0]
    a, b, c = random_split(numbers(11), [0.5, 0.25, 0.25], generator=1)
    assert [len(a), len(b), len(c)] == [6, 3, 2]
    assert sorted(order(DataLoader(a)) + order(DataLoader(b)) + order(DataLoader(c))) == list(range(11))
    assert order(DataLoader(random_split(numbers(11), [6, 5], generator=1)[0])) == order(DataLoader(a))
    assert order(DataLoader(random_split(numbers(11), [6, 5], generator=2)[0])) != order(DataLoader(a))
    assert [len(p) for p in random_split(numbers(3), [1, 2])] == [1, 2]
    for bad, problem in (([3, 3], "sum to 6, the dataset has 11"), ([0.5, 0.2], "must be positive and sum to 1")):
        with pytest.raises(ValueError, match=problem):
            random_split(numbers(11), bad)


def test_digits():
    pytest.importorskip("sklearn")
    training, held = digits(shifted=True)
    images, labels = training.batch(np.arange(100))
    original = training.tensors[0].data[:100]
    assert images.shape == (100, 1, 8, 8) and images.dtype == cr.float32 and labels.dtype == cr.int64
    assert training[3][0].shape == (1, 8, 8) and training[3][1].shape == ()
    moved = 0
    for new, old in zip(images.data[:, 0], original[:, 0], strict=True):
        shifts = {(a, b): np.pad(old, 1)[a: a + 8, b: b + 8] for a in range(3) for b in range(3)}
        found = [where for where, shifted in shifts.items() if np.array_equal(new, shifted)]
        assert found
        moved += (1, 1) not in found
    assert moved > 50
    counts = np.bincount(held.tensors[1].data)
    assert counts.sum() == 359 and counts.min() >= 34 and np.array_equal(labels.data, training.tensors[1].data[:100])
    assert np.array_equal(digits()[1].tensors[0].data, held.tensors[0].data)
    assert [len(part) for part in digits(held_out=0.5)] == [899, 898]
    with pytest.raises(ValueError, match="held_out=1.5"):
        digits(held_out=1.5)


def test_digits_without_their_extra_name_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # how Python marks a module that cannot be imported
    with pytest.raises(ModuleNotFoundError, match=r'pip install "chainrule\[demo\]"'):
        digits()
