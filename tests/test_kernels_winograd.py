"""Winograd's convolution of 3 × 3 kernels, against the definition: its shapes, its accuracy, and what it leaves to others."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
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


def draw(batch: int, channels: int, outputs: int, size: Any, padding: Any, dtype: Any, seed: int) -> Any:
    """x, weight, bias and a gradient of the output; None where a vector is too short for the transpositions."""
    if winograd_file.lanes(np.dtype(dtype)) < 4:  # float64 on a machine without AVX
        return None
    rng, out = np.random.default_rng(seed), [n + 2 * p - 2 for n, p in zip(size, padding)]
    shapes = ((batch, channels, *size), (outputs, channels, 3, 3), (outputs,), (batch, outputs, *out))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def tolerance(dtype: Any) -> float:
    return 1e-5 if dtype == np.float32 else 2e-14


SHAPES = {"batch": st.integers(1, 20), "channels": st.integers(1, 40), "outputs": st.integers(1, 40),
          "size": st.tuples(st.integers(3, 19), st.integers(3, 19)), "padding": st.tuples(st.integers(0, 2), st.integers(0, 2)),
          "dtype": st.sampled_from([np.float32, np.float64]), "seed": st.integers(0, 99)}
# How many tiles a task has at a time, and channels a part: few, so that images are cut into bands, and all is cut into parts.
CUTS = {"tiles": st.sampled_from([1, 7, 64]), "part": st.sampled_from([16, 128])}


def cut(tiles: int, part: int, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(winograd_file, "TILES", tiles)
    patch.setattr(winograd_file, "PART", part)
    winograd_file._plan.cache_clear()


@settings(max_examples=40, deadline=None)
@given(adjoint=st.booleans(), biased=st.booleans(), **SHAPES, **CUTS)
def test_every_shape(tiles: int, part: int, adjoint: bool, biased: bool, **shape: Any) -> None:
    drawn = draw(**shape)
    if drawn is None:
        return
    x, weight, bias, y = drawn
    if adjoint:
        weight = np.ascontiguousarray(weight.transpose(1, 0, 2, 3))
    kernels = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if adjoint else weight
    expected = by_definition(x, kernels, bias if biased else None, shape["padding"])
    y[:] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        cut(tiles, part, patch)
        assert winograd_file.winograd(x, weight, bias if biased else bias[:0], y, shape["padding"], adjoint, False)
    winograd_file._plan.cache_clear()
    assert error(y, expected) < tolerance(shape["dtype"])


@settings(max_examples=40, deadline=None)
@given(biased=st.booleans(), **SHAPES, **CUTS)
def test_every_shape_of_the_adjoint_in_the_weight(tiles: int, part: int, biased: bool, **shape: Any) -> None:
    drawn = draw(**shape)
    if drawn is None:
        return
    x, weight, _, y = drawn
    exact = x.astype(np.float64), y.astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        cut(tiles, part, patch)
        found, sums = winograd_file.winograd_weight(x, y, shape["padding"], biased, False)
    winograd_file._plan.cache_clear()
    expected = reference.convolution_weight(*exact, **ONCE, padding=shape["padding"], size=(3, 3))
    # sums of few products may cancel: errors are those of the absolute values' sum
    scale = reference.convolution_weight(*map(np.abs, exact), **ONCE, padding=shape["padding"], size=(3, 3)).max()
    assert found.shape == weight.shape and np.abs(found - expected).max() < tolerance(shape["dtype"]) * scale
    if biased:
        total = exact[1].sum((0, 2, 3))
        assert np.abs(sums - total).max() < tolerance(shape["dtype"]) * np.abs(exact[1]).sum((0, 2, 3)).max()
    else:
        assert sums is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy_with_many_channels(dtype: Any) -> None:
    """The errors that the file states: about twenty times those of a direct sum."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((16, 128, 12, 12)).astype(dtype), rng.standard_normal((16, 128, 3, 3)).astype(dtype)
    bound = 2e-5 if dtype == np.float32 else 5e-14
    assert error(cpu.convolution(x, weight, **ONCE, padding=(1, 1)), by_definition(x, weight, None, (1, 1))) < bound
    g, exact = rng.standard_normal((16, 16, 12, 12)).astype(dtype), {**ONCE, "padding": (1, 1), "size": (3, 3)}
    expected = reference.convolution_weight(x.astype(np.float64), g.astype(np.float64), **exact)
    assert error(cpu.convolution_weight(x, g, **exact), expected) < bound


X, WEIGHT = (16, 32, 13, 14), (24, 32, 3, 3)


def arrays(seed: int = 0) -> tuple[Any, Any, Any]:
    """x, weight and a gradient of the output, of a shape that goes this way."""
    rng = np.random.default_rng(seed)
    x, weight, g = (rng.integers(-4, 5, shape).astype(np.float32) for shape in (X, WEIGHT, (16, 24, 13, 14)))
    assert convolution_file.suits_winograd(WEIGHT, (1, 1), (1, 1), 1, x.dtype, 1)
    return x, weight, g


def three_maps(x: Any, weight: Any, g: Any, xp: Any) -> tuple[Any, Any, Any]:
    return (xp.convolution(x, weight, **ONCE, padding=(1, 1)),
            xp.convolution_transpose(g, weight, **ONCE, padding=(1, 1), size=x.shape[2:]),
            xp.convolution_weight(x, g, **ONCE, padding=(1, 1), size=(3, 3)))


def test_what_is_chosen_depends_on_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_file, "WIDE", 1000)
    wide: Any = ((32, 32, 3, 3), (1, 1), (1, 1), 1, np.dtype(np.float32), 1000)
    others = {0: [(8, 16, 3, 3), (32, 3, 3, 3), (32, 32, 5, 5), (32, 32, 3)], 1: [(2, 1)], 2: [(1, 2)], 3: [2], 5: [999]}
    assert convolution_file.suits_winograd(*wide)
    for place, values in others.items():
        for value in values:
            assert not convolution_file.suits_winograd(*wide[:place], value, *wide[place + 1:])


def test_it_is_chosen_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    for name in ("winograd", "winograd_weight"):
        monkeypatch.setattr(convolution_file, name, lambda *arguments, name=name: (
            calls.append((name, arguments[5]) if name == "winograd" else name), getattr(winograd_file, name)(*arguments))[1])
    given_ = arrays()
    for found, expected in zip(three_maps(*given_, cpu), three_maps(*given_, reference), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert calls == [("winograd", False), ("winograd", True), "winograd_weight"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_is_not_finite_comes_out_as_in_the_definition(value: float, where: int) -> None:
    """Nothing spreads through a tile, and what does not overflow by the definition (0 + 3e38) does not overflow."""
    given_ = arrays()
    for array in given_ if value == 3e38 else ():
        array[...] = np.sign(array) * (np.abs(array) == 4)  # little enough for no sum to overflow by itself
    given_[where][3, 5, 1, 2] = value
    with np.errstate(all="ignore"):
        for found, expected in zip(three_maps(*given_, cpu), three_maps(*given_, reference), strict=True):
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-3)


def test_the_number_of_threads_does_not_change_the_bits() -> None:
    given_ = arrays()
    before = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        alone = [y.tobytes() for y in three_maps(*given_, cpu)]
        cr.set_num_threads(2)
        assert [y.tobytes() for y in three_maps(*given_, cpu)] == alone
    finally:
        cr.set_num_threads(before)


def test_bias_has_the_bits_of_a_pass_of_its_own() -> None:
    x, weight, _ = arrays()
    bias = np.random.default_rng(1).standard_normal(24).astype(np.float32)
    arguments: Any = {**ONCE, "padding": (1, 1)}
    np.testing.assert_array_equal(cpu.affine_convolution(x, weight, bias, **arguments),
                                  cpu.convolution(x, weight, **arguments) + bias.reshape(-1, 1, 1))
