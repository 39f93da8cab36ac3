"""Depthwise convolution of the cpu backend against the definition: rows shorter than a vector, and longer, few rows and many."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.kernels import cpu, reference

convolution_file = import_module("chainrule.kernels.cpu.convolution")
depthwise_file = import_module("chainrule.kernels.cpu.depthwise")


def draw(batch: int, channels: int, size: Any, kernel: Any, geometry: Any, dtype: Any, seed: int = 0) -> Any:
    """x, weight, bias and a gradient of the output: small integers, whose sums are exact."""
    rng = np.random.default_rng(seed)
    x, weight = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((batch, channels, *size), (channels, 1, *kernel)))
    g = rng.integers(-4, 5, reference.convolution(x, weight, **geometry).shape).astype(dtype)
    return x, weight, rng.integers(-4, 5, channels).astype(dtype), g


def all_maps(x: Any, weight: Any, bias: Any, g: Any, geometry: Any) -> list[Any]:
    """The convolution, and its gradients."""
    return [cpu.affine_convolution(x, weight, bias, **geometry),
            *cpu.affine_convolution_grad(g, x, weight, *geometry.values(), (True, True, True))]


def by_definition(x: Any, weight: Any, bias: Any, g: Any, geometry: Any) -> list[Any]:
    return [reference.convolution(x, weight, **geometry) + bias.reshape(-1, *[1] * (x.ndim - 2)),
            reference.convolution_transpose(g, weight, **geometry, size=x.shape[2:]),
            reference.convolution_weight(x, g, **geometry, size=weight.shape[2:]), g.sum((0, *range(2, g.ndim)))]


@st.composite
def cases(draw_: Any) -> Any:
    dims = draw_(st.sampled_from([1, 2, 2, 2]))

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw_(st.integers(low, high)) for _ in range(dims))

    kernel, stride, dilation, padding = sizes(1, 4), sizes(1, 2), sizes(1, 2), sizes(0, 3)
    size = tuple(d * (k - 1) + 1 + draw_(st.integers(0, 40 if axis == dims - 1 else 9))
                 for axis, (k, d) in enumerate(zip(kernel, dilation, strict=True)))
    channels = draw_(st.integers(1, 5))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    return (draw_(st.integers(1, 10)), channels, size, kernel, geometry, draw_(st.sampled_from([np.float32, np.float64])),
            draw_(st.integers(0, 99)))


@settings(max_examples=80, deadline=None)
@given(case=cases(), task=st.sampled_from([1, 1 << 14]))
def test_every_map(case: Any, task: int) -> None:
    """A task of one plane or of several; what a row spills over is overwritten, also at a plane's end."""
    geometry, drawn = case[4], draw(*case)
    assert depthwise_file.suits_depthwise(case[1], drawn[1].shape, geometry["stride"], case[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution_file, "SMALLEST", 1)
        patch.setattr(depthwise_file, "TASK", task)
        for found, expected in zip(all_maps(*drawn, geometry), by_definition(*drawn, geometry), strict=True):
            np.testing.assert_array_equal(found, expected, strict=True)


ONCE: Any = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 24}
SHAPE: Any = (9, 24, (13, 19), (3, 3), ONCE, np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 1, 3])
def test_what_is_not_finite_comes_out_as_in_the_definition(where: int, value: float) -> None:
    drawn = draw(*SHAPE)
    drawn[where].reshape(-1)[7] = value
    with np.errstate(all="ignore"):
        for found, expected in zip(all_maps(*drawn, ONCE), by_definition(*drawn, ONCE), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_number_of_threads_does_not_change_the_bits() -> None:
    x, weight, bias, g = (array / np.float32(3) for array in draw(*SHAPE))
    assert x.size * 9 > convolution_file.SHARED
    before = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        alone = [found.tobytes() for found in all_maps(x, weight, bias, g, ONCE)]
        cr.set_num_threads(2)
        assert [found.tobytes() for found in all_maps(x, weight, bias, g, ONCE)] == alone
    finally:
        cr.set_num_threads(before)


def test_what_is_chosen_depends_on_the_geometry() -> None:
    suits = depthwise_file.suits_depthwise
    assert suits(4, (4, 1, 3, 3), (3, 2), 4)
    assert not suits(4, (8, 1, 3, 3), (1, 1), 4) and not suits(4, (4, 2, 3, 3), (1, 1), 2) and not suits(4, (4, 1, 3), (3,), 4)
