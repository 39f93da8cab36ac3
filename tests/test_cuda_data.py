"""Batches that a loader copies to the device ahead of time."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import DataLoader, TensorDataset

pytestmark = pytest.mark.gpu


class Pair(NamedTuple):
    values: Any
    names: Any


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches_on_the_device(workers: int) -> None:
    data = TensorDataset(cr.randn(23, 5), cr.arange(23))
    options: Any = {"batch_size": 4, "shuffle": True, "generator": 7, "num_workers": workers}
    here, there = DataLoader(data, **options), DataLoader(data, **options, device="cuda")
    for _ in range(2):
        found = list(there)
        assert len(found) == 6
        for (x, n), (y, m) in zip(here, found, strict=True):
            assert y.is_cuda and m.is_cuda
            np.testing.assert_array_equal(x.data, y.cpu().data)
            np.testing.assert_array_equal(n.data, m.cpu().data)


def test_what_a_batch_may_be_made_of() -> None:
    examples = [Pair({"a": np.ones(3) * i, "strided": np.arange(6.0).reshape(2, 3).T}, f"example {i}") for i in range(3)]
    batch, last = DataLoader(examples, batch_size=2, device="cuda")
    assert isinstance(batch, Pair) and batch.names == ["example 0", "example 1"]
    assert batch.values["a"].is_cuda and batch.values["strided"].cpu().tolist()[0] == [[0, 3], [1, 4], [2, 5]]
    assert last.values["a"].shape == (1, 3)


def test_an_error_comes_in_its_batchs_place() -> None:
    class Broken:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            if index == 2:
                raise KeyError("no such example")
            return np.float32(index)

    batches = iter(DataLoader(Broken(), batch_size=1, device="cuda"))
    assert next(batches).tolist() == [0.0] and next(batches).tolist() == [1.0]
    with pytest.raises(KeyError, match="no such example"):
        next(batches)


def test_a_loop_that_is_left_goes_on_where_it_was() -> None:
    loader = DataLoader(list(range(10)), batch_size=2, shuffle=True, generator=1, device="cuda")
    batches = iter(loader)
    next(batches)
    state, rest = loader.state_dict(), [b.tolist() for b in batches]
    resumed = DataLoader(list(range(10)), batch_size=2, shuffle=True, device="cuda")
    resumed.load_state_dict(state)
    assert [b.tolist() for b in resumed] == rest


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(RuntimeError, match="no such CUDA device"):
        DataLoader([1], device="cuda:77")


def test_a_batch_of_a_number() -> None:
    loader = DataLoader([1.5], batch_size=None, collate_fn=cr.tensor, device="cuda")
    assert [(x.shape, x.item(), x.is_cuda) for x in loader] == [((), 1.5, True)]


def test_copies_outlive_their_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.data import prefetch

    waited, arrived = [], prefetch.Sent.arrived
    monkeypatch.setattr(prefetch.Sent, "arrived", lambda sent: (waited.append(sent.event), arrived(sent))[1])
    held: Any = prefetch._busy.__class__()
    monkeypatch.setattr(prefetch, "_busy", held)
    batches = iter(DataLoader(list(range(6)), batch_size=2, device="cuda"))
    next(batches)
    last = held[-1][0]
    assert last not in waited, "the second batch is on its way"
    closed: list[Any] = []
    monkeypatch.setattr(prefetch.Copier, "close", lambda self: closed.append(self.last))
    batches.close()
    assert closed == [last] and held[-1][0] is last and held[-1][1], "what the copy reads stays"
