"""Samplers: which indices come, how often, and from whose draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)


@given(st.integers(0, 30), st.integers(0, 2**64 - 1))
def test_each_index_comes_once(count, seed):
    assert list(SequentialSampler(range(count))) == list(range(count))
    sampler = RandomSampler(range(count), generator=seed)
    assert sorted(sampler) == list(range(count)) and len(sampler) == count
    chosen = [i * i for i in range(count)]
    assert sorted(SubsetRandomSampler(chosen, generator=seed)) == chosen
    assert list(RandomSampler(range(count), generator=cr.Generator(seed))) == list(RandomSampler(range(count), generator=seed))


@given(st.integers(1, 9), st.integers(1, 40))
def test_more_or_fewer_samples_than_there_are(count, number):
    drawn = list(RandomSampler(range(count), num_samples=number, generator=0))
    assert len(drawn) == number
    for start in range(0, number, count):  # order after order, each complete but for the last
        part = drawn[start: start + count]
        assert len(set(part)) == len(part) and set(part) <= set(range(count))


@given(st.lists(st.integers(), max_size=20), st.integers(1, 25), st.booleans())
def test_batches_of_indices(indices, size, drop_last):
    sampler = BatchSampler(indices, size, drop_last)
    expected = [indices[i: i + size] for i in range(0, len(indices), size)]
    if drop_last and expected and len(expected[-1]) < size:
        expected.pop()
    assert list(sampler) == expected and len(sampler) == len(expected)


def test_replacement_and_weights_draw_in_proportion():
    drawn = np.bincount(list(RandomSampler(range(4), replacement=True, num_samples=4000, generator=0)))
    assert abs(drawn - 1000).max() < 150 and drawn.max() != drawn.min()
    weights = [1.0, 0.0, 2.0, 5.0]
    counts = np.bincount(list(WeightedRandomSampler(weights, 8000, generator=1)), minlength=4)
    assert counts[1] == 0 and abs(counts - 1000 * np.array(weights)).max() < 200
    assert sorted(WeightedRandomSampler(cr.tensor(weights), 3, replacement=False)) == [0, 2, 3]
    assert len(WeightedRandomSampler(weights, 8000)) == 8000


def test_epochs_differ_and_the_default_generator_serves():
    sampler = RandomSampler(range(20), generator=1)
    assert list(sampler) != list(sampler)
    cr.manual_seed(5)
    first = list(RandomSampler(range(20)))
    cr.manual_seed(5)
    assert list(RandomSampler(range(20))) == first
    assert list(RandomSampler([])) == []


def test_what_samplers_do_not_take():
    for make in (lambda: RandomSampler("ab", num_samples=0), lambda: WeightedRandomSampler([1.0], 0),
                 lambda: BatchSampler("ab", 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            make()
    with pytest.raises(TypeError, match="num_samples=2.5 is no integer"):
        WeightedRandomSampler([1.0], 2.5)
    with pytest.raises(cr.ShapeError, match="takes one weight for each example"):
        WeightedRandomSampler([[1.0]], 1)
    with pytest.raises(ValueError, match="nothing to draw 3 samples from"):
        list(RandomSampler([], num_samples=3))
    with pytest.raises(ValueError, match="fewer weights above 0"):
        list(WeightedRandomSampler([1.0, 0.0], 2, replacement=False))
    for method in (iter, len):
        with pytest.raises(NotImplementedError, match="Sampler has no"):
            method(Sampler())


# ---- datasets made of others

@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=5))
def test_one_after_the_other(parts):
    whole = [x for part in parts for x in part]
    found = ConcatDataset(parts)
    assert len(found) == len(whole)
    assert [found[i] for i in range(len(found))] == whole and [found[i - len(whole)] for i in range(len(found))] == whole
    for outside in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError, match=f"no example {outside}, there are {len(whole)}"):
            found[outside]
    assert list(ChainDataset(parts)) == whole and len(ChainDataset(parts)) == len(whole)


def test_side_by_side_and_errors():
    a, b = TensorDataset(np.arange(3)), TensorDataset(np.arange(3, 6))
    assert [x.item() for x, in (a + b)] == list(range(6)) and len(a + b) == 6
    assert StackDataset(a, b)[2][1][0].item() == 5 and len(StackDataset(a, b)) == len(StackDataset(one=a)) == 3
    with pytest.raises(cr.ShapeError, match=r"they have \[3, 2\]"):
        StackDataset(a, "ab")
    for wrong in (lambda: StackDataset(), lambda: StackDataset(a, b=b)):
        with pytest.raises(TypeError, match="pass datasets, or datasets by keywords"):
            wrong()
    with pytest.raises(ValueError, match="no dataset to put together"):
        ConcatDataset([])
    with pytest.raises(NotImplementedError, match="IterableDataset has no __iter__"):
        iter(IterableDataset())
