"""Winograd's convolution of 3 × 3 kernels, against the definition: its shapes, its accuracy, and what it leaves to others."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.kernels import cpu, reference

convolution_file = import_module("chainrule.kernels.cpu.convolution")
winograd_file = import_module("chainrule.kernels.cpu.winograd")
ONCE = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_file, "WIDE", 1)


def by_definition(x: Any, weight: Any, bias: Any, padding: Any) -> Any:
    """In float64."""
    y = reference.convolution(x.astype(np.float64), weight.astype(np.float64), **ONCE, padding=padding)
    return y if bias is None else y + bias.astype(np.float64).reshape(-1, 1, 1)


def error(found: Any, expected: Any) -> float:
    """The largest difference, in units of the largest output."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.integers(1, 20), channels=st.integers(1, 10), outputs=st.integers(1, 10), height=st.integers(3, 19),
       width=st.integers(3, 19), padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), adjoint=st.booleans(),
       biased=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 99))
def test_every_shape(batch: int, channels: int, outputs: int, height: int, width: int, padding: Any, adjoint: bool, biased: bool,
                     dtype: Any, seed: int) -> None:
    if winograd_file.lanes(np.dtype(dtype)) < 4:  # float64 on a machine without AVX
        return
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, channels, height, width)).astype(dtype)
    weight = rng.standard_normal((channels, outputs, 3, 3) if adjoint else (outputs, channels, 3, 3)).astype(dtype)
    bias = rng.standard_normal(outputs).astype(dtype)
    kernels = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if adjoint else weight
    expected = by_definition(x, kernels, bias if biased else None, padding)
    y = np.full(expected.shape, np.nan, dtype)
    assert winograd_file.winograd(x, weight, bias if biased else bias[:0], y, padding, adjoint, False)
    assert error(y, expected) < (1e-5 if dtype == np.float32 else 2e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy_with_many_channels(dtype: Any) -> None:
    """The errors that the file states: about twenty times those of a direct sum."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((16, 128, 12, 12)).astype(dtype), rng.standard_normal((16, 128, 3, 3)).astype(dtype)
    expected = by_definition(x, weight, None, (1, 1))
    assert error(cpu.convolution(x, weight, **ONCE, padding=(1, 1)), expected) < (2e-5 if dtype == np.float32 else 5e-14)


X, WEIGHT = (16, 32, 13, 14), (24, 32, 3, 3)


def arrays(seed: int = 0) -> tuple[Any, Any, Any]:
    """x, weight and a gradient of the output, of a shape that goes this way."""
    rng = np.random.default_rng(seed)
    x, weight, g = (rng.integers(-4, 5, shape).astype(np.float32) for shape in (X, WEIGHT, (16, 24, 13, 14)))
    assert convolution_file.suits_winograd(g.shape, WEIGHT, (1, 1), (1, 1), 1, x.dtype, 1)
    return x, weight, g


def both_ways(x: Any, weight: Any, g: Any, xp: Any) -> tuple[Any, Any]:
    return (xp.convolution(x, weight, **ONCE, padding=(1, 1)),
            xp.convolution_transpose(g, weight, **ONCE, padding=(1, 1), size=x.shape[2:]))


def test_what_is_chosen_depends_on_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_file, "WIDE", 1000)
    wide: Any = ((64, 32, 14, 14), (32, 32, 3, 3), (1, 1), (1, 1), 1, np.dtype(np.float32), 1000)
    lanes = winograd_file.lanes(wide[5])
    others = {0: [(lanes // 2, 32, 14, 14), (lanes + 1, 32, 14, 14)],
              1: [(16, 16, 3, 3), (32, 3, 3, 3), (32, 32, 5, 5), (32, 32, 3)],
              2: [(2, 1)], 3: [(1, 2)], 4: [2], 6: [999]}
    assert convolution_file.suits_winograd(*wide)
    for place, values in others.items():
        for value in values:
            assert not convolution_file.suits_winograd(*wide[:place], value, *wide[place + 1:])


def test_it_is_chosen_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def spy(*arguments: Any) -> bool:
        calls.append(arguments[5])
        return bool(winograd_file.winograd(*arguments))

    monkeypatch.setattr(convolution_file, "winograd", spy)
    given_ = arrays()
    for found, expected in zip(both_ways(*given_, cpu), both_ways(*given_, reference), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert calls == [False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_is_not_finite_comes_out_as_in_the_definition(value: float, where: int) -> None:
    """Nothing spreads through a tile, and what does not overflow by the definition (0 + 3e38) does not overflow."""
    given_ = arrays()
    for array in given_ if value == 3e38 else ():
        array[...] = np.sign(array) * (np.abs(array) == 4)  # little enough for no sum to overflow by itself
    given_[where][3, 5, 1, 2] = value
    with np.errstate(all="ignore"):
        for found, expected in zip(both_ways(*given_, cpu), both_ways(*given_, reference), strict=True):
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-3)


def test_the_number_of_threads_does_not_change_the_bits() -> None:
    given_ = arrays()
    before = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        alone = [y.tobytes() for y in both_ways(*given_, cpu)]
        cr.set_num_threads(2)
        assert [y.tobytes() for y in both_ways(*given_, cpu)] == alone
    finally:
        cr.set_num_threads(before)


def test_bias_has_the_bits_of_a_pass_of_its_own() -> None:
    x, weight, _ = arrays()
    bias = np.random.default_rng(1).standard_normal(24).astype(np.float32)
    arguments: Any = {**ONCE, "padding": (1, 1)}
    np.testing.assert_array_equal(cpu.affine_convolution(x, weight, bias, **arguments),
                                  cpu.convolution(x, weight, **arguments) + bias.reshape(-1, 1, 1))
