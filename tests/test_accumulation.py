"""A weight's gradient that is added to the one that is there within the product (BLAS's beta = 1)."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import layers, optim
from chainrule.kernels import cpu
from tests.kernels import normal as drawn

IN, OUT = 601, 450  # more elements than linear.STRAIGHT


@pytest.fixture(name="calls")
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What linear_accumulate answered."""
    calls: list[bool] = []
    kernel = cpu.linear_accumulate

    def call(total: Any, g: Any, x: Any) -> bool:
        calls.append(kernel(total, g, x))
        return calls[-1]

    monkeypatch.setattr(cpu, "linear_accumulate", call)
    return calls


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    return drawn(seed, *shape, dtype=dtype)


def leaf(dtype: Any) -> Any:
    return cr.tensor(normal(0, OUT, IN, dtype=dtype), requires_grad=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (17,), (2, 9), (0,)], ids=str)
def test_micro_batches_add_up(shape: tuple[int, ...], dtype: Any, calls: list[bool]) -> None:
    """Against sums in float64; the array of the gradient stays the same one, and with two threads it has the same bits."""
    found = []
    for threads in (1, 2):
        before = cr.get_num_threads()
        cr.set_num_threads(threads)
        try:
            weight, expected, array = leaf(dtype), np.zeros((OUT, IN)), None
            for i in range(3):
                x, g = normal(2 * i + 1, *shape, IN, dtype=dtype), normal(2 * i + 2, *shape, OUT, dtype=dtype)
                inputs = cr.tensor(x, requires_grad=True)
                F.linear(inputs, weight).backward(cr.tensor(g))
                expected += g.reshape(-1, OUT).T.astype(float) @ x.reshape(-1, IN).astype(float)
                np.testing.assert_allclose(inputs.grad.data, g @ weight.data, rtol=1e-3 if dtype == np.float32 else 1e-9, atol=1e-3)
                array = weight.grad.data if array is None else array
                assert np.shares_memory(weight.grad.data, array)
            np.testing.assert_allclose(weight.grad.data, expected, rtol=0, atol=1e2 * np.finfo(dtype).eps)
            found.append(weight.grad.data.tobytes())
        finally:
            cr.set_num_threads(before)
    assert found[0] == found[1]
    assert calls == [bool(np.prod(shape))] * 4


def test_no_array_of_the_weights_size_is_made() -> None:
    weight, x = leaf(np.float32), cr.tensor(normal(1, 4, IN))
    for _ in range(2):
        F.linear(x, weight).sum().backward()
    loss = F.linear(x, weight).sum()
    tracemalloc.start()
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < weight.data.nbytes / 4


def test_what_is_not_finite_stays() -> None:
    weight, x = leaf(np.float32), normal(1, 4, IN)
    F.linear(cr.tensor(x), weight).sum().backward()
    weight.grad.data[3, 5] = np.nan
    x[2, 7] = np.inf
    with np.errstate(all="ignore"):
        F.linear(cr.tensor(x), weight).sum().backward()
    assert np.isnan(weight.grad.data[3, 5])
    assert np.isposinf(weight.grad.data[:, 7]).all()
    assert np.isfinite(weight.grad.data).sum() == OUT * (IN - 1) - 1


def test_where_it_is_not_done(calls: list[bool]) -> None:
    """A hook, a weight that is the input too, an input in the gradient's memory, a recorded walk, one's own choice of inputs."""
    def fresh() -> Any:
        weight = cr.tensor(normal(0, 600, 600), requires_grad=True)
        weight.grad = cr.tensor(np.ones((600, 600), np.float32))
        return weight

    x = cr.tensor(normal(1, 5, 600))
    expected = 1 + np.ones((600, 1)) * x.data.sum(0)
    hooked = fresh()
    hooked.register_hook(lambda g: 2 * g)
    F.linear(x, hooked).sum().backward()
    np.testing.assert_allclose(hooked.grad.data, 2 * expected - 1, atol=1e-4)
    both = fresh()
    F.linear(both, both).sum().backward()
    np.testing.assert_allclose(both.grad.data, 1 + both.data.sum(0) * np.ones((600, 1)) * 2, atol=1e-3)
    recorded = fresh()
    F.linear(x, recorded).sum().backward(create_graph=True)
    np.testing.assert_allclose(recorded.grad.data, expected, atol=1e-4)
    chosen = fresh()
    F.linear(x, chosen).sum().backward(inputs=[chosen])
    np.testing.assert_allclose(chosen.grad.data, expected, atol=1e-4)
    assert calls == []
    shared = fresh()
    F.linear(cr.from_numpy(shared.grad.data[:5]), shared).sum().backward()
    np.testing.assert_allclose(shared.grad.data, np.full((600, 600), 6), atol=1e-4)
    turned = fresh()
    turned.grad = cr.from_numpy(np.ones((600, 600), np.float32).T[:, ::-1])
    F.linear(x, turned).sum().backward()
    np.testing.assert_allclose(turned.grad.data, expected, atol=1e-4)
    assert calls == [False, False]
    F.linear(x, fresh()).sum().backward()
    assert calls == [False, False, True]


def test_a_version_counts_it() -> None:
    """What was computed from the gradient before notices."""
    weight, x = leaf(np.float32), cr.tensor(normal(1, 4, IN))
    F.linear(x, weight).sum().backward()
    scale = cr.tensor(2.0, requires_grad=True)
    later = (weight.grad * scale).sum()
    F.linear(x, weight).sum().backward()
    with pytest.raises(cr.AutogradError, match="changed in place"):
        later.backward()


def test_compiled_steps_do_the_same(calls: list[bool]) -> None:
    """Micro-batches on gradients of zeros, and on those of the step before."""
    def trained(compiled: bool, threads: int) -> Any:
        cr.manual_seed(0)
        model = layers.Sequential(layers.Linear(IN, OUT), layers.Tanh(), layers.Linear(OUT, 3))
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad(set_to_none=False)
            losses = []
            for part in (slice(0, 4), slice(4, 10)):
                losses.append(model(x[part]).square().mean())
                losses[-1].backward()
            optimizer.step()
            return [loss.detach() for loss in losses]

        function = cr.compile(step) if compiled else step
        before = cr.get_num_threads()
        cr.set_num_threads(threads)
        try:
            losses = [[loss.data.tobytes() for loss in function(cr.tensor(normal(i, 10, IN)))] for i in range(5)]
        finally:
            cr.set_num_threads(before)
        return losses, [(p.data.tobytes(), p.grad.data.tobytes()) for p in model.parameters()]

    eager = trained(False, 1)
    assert sum(calls) == 9
    assert trained(True, 1) == eager
    assert trained(True, 2) == eager
    assert sum(calls) == 27
