"""The compiled activation and other elementwise functions and their derivatives against NumPy in float64."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import cpu, reference
from tests.breaking import compiled_at_every_size
from tests.kernels import check, normal, results

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, "tanh"),
    "silu": F.silu,
    "softplus": lambda x: F.softplus(x, 2.0, 5.0),
    "logsigmoid": F.logsigmoid,
    "exp": cr.exp,
    "tanh": cr.tanh,
    "sigmoid": cr.sigmoid,
    "erf": cr.erf,
}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30, 3e4, -3e4, 88.0, -88.0, 710.0, -710.0]


@pytest.fixture(autouse=True)
def at_every_size() -> Iterator[None]:
    """The compiled kernels also take small arrays."""
    with compiled_at_every_size():
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str, dtype: Any) -> None:
    """Over several chunks, the last one short: within 4 units in the last place of the largest result; the slope of the
    approximated gelu, where the errors of a cube meet, within 50."""
    x = normal(0, 3, 11_111, dtype=dtype) * 3
    check(FUNCTIONS[name], x, ulps=50 if name == "gelu_tanh" else 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_not_a_number_and_infinity(name: str, dtype: Any) -> None:
    """At the ends of the range a value and its derivative are what the definition gives: the same NaN, infinities and zeros."""
    x = np.array(SPECIAL, dtype)
    found = results(FUNCTIONS[name], (x,))
    with cr.backend("reference"):
        expected = results(FUNCTIONS[name], (x,))
    tolerance = 8 * float(np.finfo(dtype).eps)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (5,)])
def test_any_shape(name: str, shape: tuple[int, ...]) -> None:
    check(FUNCTIONS[name], normal(1, *shape), ulps=4)


@pytest.mark.parametrize("name", ["relu", "gelu", "elu"])
def test_strided_and_read_only_arrays(name: str) -> None:
    x = normal(2, 8, 6)
    expected = results(FUNCTIONS[name], (x.copy(),))[0]
    np.testing.assert_array_equal(results(FUNCTIONS[name], (x.T,))[0], expected.T)
    x.flags.writeable = False
    np.testing.assert_array_equal(results(FUNCTIONS[name], (x,))[0], expected)
    x = cr.Tensor(normal(2, 8, 6), requires_grad=True)
    FUNCTIONS[name](x).sum().backward()   # its gradient is one number, broadcast
    assert x.grad is not None and x.grad.data.flags.c_contiguous


def test_small_arrays_are_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the thresholds nothing is compiled, and a gradient kernel declines."""
    monkeypatch.setattr(import_module("chainrule.kernels.cpu.activations"), "STRAIGHT", 100)
    x = normal(3, 99)
    np.testing.assert_array_equal(cpu.relu(x), reference.relu(x))
    assert cpu.relu_grad(x, x) is NotImplemented
    assert cpu.relu_grad(normal(3, 100), normal(4, 100)) is not NotImplemented


@pytest.mark.parametrize("dtype", [np.float16, np.complex128])
def test_other_dtypes_are_left_to_the_definition(dtype: Any) -> None:
    x = normal(5, 20).astype(dtype)
    np.testing.assert_array_equal(cpu.silu(x), reference.silu(x), strict=True)
    assert cpu.gelu(x, approximate="none") is NotImplemented
    assert cpu.gelu_grad(x, x, "none") is NotImplemented


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_far_out(dtype: Any) -> None:
    """An error in the last place of Φ must not be multiplied by a large input."""
    x = np.array([-5.4, -5.6, -6, -8, -20, -1e4, -1e30, 5.6, 8, 1e4, 1e30], dtype)
    found, slope = results(F.gelu, (x,))
    np.testing.assert_allclose(found, np.where(x > 0, x, 0), rtol=1e-6, atol=4e-7)
    np.testing.assert_allclose(slope / (0.5 + np.cos(np.arange(x.size) + 0.5)), x > 0, atol=2e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_a_compiled_step(name: str) -> None:
    """A replay calls the same kernels, those of the derivatives too: the same bits for other values."""
    def step(x: Any) -> Any:
        x = x.detach().requires_grad_()
        out = FUNCTIONS[name](x)
        return out.detach(), cr.grad(out, x, cr.ones_like(out) * 0.5)[0]

    compiled = cr.compile(step)
    for seed in range(3):
        x = normal(seed, 40, 30, dtype=np.float32)
        for found, expected in zip(compiled(cr.Tensor(x)), step(cr.Tensor(x)), strict=True):
            np.testing.assert_array_equal(found.data, expected.data)
