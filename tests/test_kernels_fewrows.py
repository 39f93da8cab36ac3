"""x @ weight.T for few rows. Integers: every sum is exact."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.kernels import cpu
from tests.test_kernels_matmul import integers, threads

fewrows = import_module("chainrule.kernels.cpu.fewrows")
pytestmark = pytest.mark.skipif(import_module("chainrule.kernels.cpu.vectors").VECTOR != 64, reason="BLAS is asked there")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def served(x: Any, weight: Any, bias: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """linear's result, which must have come from here."""
    asked, product = [], fewrows.product
    monkeypatch.setattr(fewrows, "product", lambda *arrays: asked.append(1) or product(*arrays))
    found = cpu.linear(x, weight, bias)
    assert asked == [1]
    return found


@DTYPES
@pytest.mark.parametrize("rows, depth, columns", [(64, 300, 200), (25, 129, 133), (32, 1000, 500), (120, 257, 245), (16, 128, 160)])
@pytest.mark.parametrize("biased", [False, True])
def test_products(rows: int, depth: int, columns: int, biased: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (integers(rng, *shape, dtype=dtype) for shape in [(rows, depth), (columns, depth), (2 * columns,)])
    bias = bias[::2] if biased else None
    if not fewrows.takes(rows, columns, depth, x.itemsize):  # one panel of float32 would be half empty
        assert rows == 16 and dtype == np.float32
        return
    expected = x @ weight.T if bias is None else x @ weight.T + bias
    for n in (1, 2):
        with threads(n):
            np.testing.assert_array_equal(served(x, weight, bias, monkeypatch), expected, strict=True)
    np.testing.assert_array_equal(cpu.matmul(x, weight.T), x @ weight.T, strict=True)


@DTYPES
def test_accuracy_and_bits(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the greatest depth: within 100 units in the last place of |x| @ |weight|; the same bits with any number of threads."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal((n, fewrows.DEEPEST)).astype(dtype) for n in (32, 260))
    exact = x.astype(np.longdouble) @ weight.T.astype(np.longdouble)
    with threads(1):
        alone = served(x, weight, None, monkeypatch)
    assert (np.abs(alone - exact) < 100 * np.finfo(dtype).eps * (np.abs(x) @ np.abs(weight.T))).all()
    with threads(2):
        np.testing.assert_array_equal(served(x, weight, None, monkeypatch), alone)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in [(30, 200), (140, 200), (140,)])
    x[7, 3] = weight[139, 0] = bias[8] = value
    with np.errstate(invalid="ignore"):
        found, expected = served(x, weight, bias, monkeypatch), x @ weight.T + bias
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)  # NaN and infinities are compared by place


def test_what_is_not_served_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices that do not lie in a row, or may not be written to, and sizes that are not worth it, go to BLAS."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(fewrows, "product", None)
    x, weight = integers(rng, 64, 300), integers(rng, 200, 300)
    readonly, wider, turned = weight.copy(), np.zeros((200, 310)), weight.T.copy().T
    readonly.flags.writeable = False
    wider[:, 5:305] = weight
    for form in (readonly, wider[:, 5:305], turned):
        np.testing.assert_array_equal(cpu.linear(x, form, None), x @ weight.T)
    np.testing.assert_array_equal(cpu.linear(np.asfortranarray(x), weight, None), x @ weight.T)
    np.testing.assert_array_equal(cpu.linear(x, weight[:120], None), x @ weight[:120].T)


def test_a_compiled_step_gives_the_same_bits() -> None:
    layer = cr.layers.Linear(300, 200)
    x = cr.randn(64, 300)

    def step(x: Any) -> Any:
        layer.zero_grad()
        loss = (layer(x) ** 2).sum()
        loss.backward()
        return loss

    expected = step(x).item(), layer.weight.grad.numpy().copy()
    compiled = cr.compile(step)
    for _ in range(3):
        assert compiled(x).item() == expected[0]
        np.testing.assert_array_equal(layer.weight.grad.numpy(), expected[1])
