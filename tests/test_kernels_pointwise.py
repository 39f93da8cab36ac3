"""Convolution with 1 × 1 kernels as products of images, against the definition."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.kernels import cpu, reference

convolution_file = import_module("chainrule.kernels.cpu.convolution")
pointwise_file = import_module("chainrule.kernels.cpu.pointwise")
pytestmark = pytest.mark.skipif(not pointwise_file.AVAILABLE, reason="OpenBLAS is missing")

# batch, channels, outputs, spatial size: one image that is cut, more images than shares, both longer sides, one dimension
SHAPES = [(1, 12, 20, (20, 31)), (3, 20, 12, (9, 16)), (19, 9, 33, (5, 7)), (9, 40, 8, (6, 3)), (5, 16, 16, (77,)),
          (2, 64, 64, (2, 2))]


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution_file, "SMALLEST", 1)
    monkeypatch.setattr(pointwise_file, "TERMS", 8)


def draw(shape: Any, dtype: Any, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """x, weight, bias and a gradient of the output."""
    batch, channels, outputs, size = shape
    rng, ones = np.random.default_rng(seed), (1,) * len(size)
    shapes = ((batch, channels, *size), (outputs, channels, *ones), (outputs,), (batch, outputs, *size))
    x, weight, bias, g = (rng.standard_normal(s).astype(dtype) for s in shapes)
    assert pointwise_file.suits_pointwise(x.shape, weight.shape, ones, (0,) * len(size), 1, channels, outputs)
    return x, weight, bias, g


def settings(x: Any) -> Any:
    n = x.ndim - 2
    return {"stride": (1,) * n, "padding": (0,) * n, "dilation": (1,) * n, "groups": 1}


def all_maps(x: Any, weight: Any, bias: Any, g: Any) -> list[Any]:
    """The convolution, and its gradients."""
    values = settings(x)
    return [cpu.affine_convolution(x, weight, bias, **values), *cpu.affine_convolution_grad(g, x, weight, *values.values(),
                                                                                            (True, True, True))]


def by_definition(x: Any, weight: Any, bias: Any, g: Any) -> list[Any]:
    """The same in the arrays' dtype."""
    values, axes = settings(x), tuple(range(2, x.ndim))
    return [reference.convolution(x, weight, **values) + bias.reshape(-1, *[1] * len(axes)),
            reference.convolution_transpose(g, weight, **values, size=x.shape[2:]),
            reference.convolution_weight(x, g, **values, size=weight.shape[2:]), g.sum((0, *axes))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sums", [1 << 20, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_map(shape: Any, sums: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sums` = 1: the adjoint in the weight is cut along the weight, not into shares of the images."""
    monkeypatch.setattr(pointwise_file, "SUMS", sums)
    drawn = draw(shape, dtype)
    exact = by_definition(*(array.astype(np.float64) for array in drawn))
    scales = by_definition(*(np.abs(array).astype(np.float64) for array in drawn))
    for found, expected, scale in zip(all_maps(*drawn), exact, scales, strict=True):
        assert found.dtype == dtype and found.shape == expected.shape
        assert np.abs(found - expected).max() < (1e-6 if dtype == np.float32 else 2e-15) * scale.max()


def test_strides_of_memory_do_not_matter() -> None:
    drawn = draw(SHAPES[1], np.float32)
    turned = [np.asfortranarray(array) for array in drawn]
    for found, expected in zip(all_maps(*turned), all_maps(*drawn), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1, 3])
def test_what_is_not_finite_comes_out_as_in_the_definition(where: int, value: float) -> None:
    drawn = draw(SHAPES[2], np.float32)
    drawn[where].reshape(-1)[5] = value
    with np.errstate(all="ignore"):
        for found, expected in zip(all_maps(*drawn), by_definition(*drawn), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 32, 48, (40, 40)), (24, 32, 48, (14, 14))])
def test_the_number_of_threads_does_not_change_the_bits(shape: Any) -> None:
    drawn, before = draw(shape, np.float32), cr.get_num_threads()
    assert drawn[1].size * drawn[0].size > convolution_file.SHARED
    try:
        cr.set_num_threads(1)
        alone = [found.tobytes() for found in all_maps(*drawn)]
        cr.set_num_threads(2)
        assert [found.tobytes() for found in all_maps(*drawn)] == alone
    finally:
        cr.set_num_threads(before)


def test_what_is_chosen_depends_on_the_geometry() -> None:
    suits = pointwise_file.suits_pointwise
    fits: Any = ((2, 8, 4, 4), (8, 8, 1, 1), (1, 1), (0, 0), 1, 8, 8)
    others: Any = {0: (2, 8, 1, 3), 1: (8, 8, 1, 3), 2: (1, 2), 3: (0, 1), 4: 2, 5: 7}
    assert suits(*fits)
    for place, value in others.items():
        assert not suits(*fits[:place], value, *fits[place + 1:])
