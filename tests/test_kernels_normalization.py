"""The compiled normalizations and their gradients against NumPy in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import cpu
from tests.kernels import check, normal, results


def layer(axes: int) -> Callable[..., Any]:
    return lambda x, *affine: F.layer_norm(x, x.shape[x.ndim - axes:], *affine)


def rms(axes: int) -> Callable[..., Any]:
    return lambda x, *affine: F.rms_norm(x, x.shape[x.ndim - axes:], *affine, eps=1e-5)


# Several tasks, rows of odd length, rows of several blocks of a sum, more rows than are added up in one go.
SHAPES = [(70, 37), (3, 5, 400), (2, 5000), (1, 3), (900, 64), (3, 0), (0, 4)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm(shape: tuple[int, ...], dtype: Any) -> None:
    x, weight, bias = normal(0, *shape, dtype=dtype) * 3 + 1, normal(1, shape[-1], dtype=dtype), normal(2, shape[-1], dtype=dtype)
    check(layer(1), x, weight, bias, ulps=16)
    check(layer(1), x, ulps=16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm(shape: tuple[int, ...], dtype: Any) -> None:
    x, weight = normal(0, *shape, dtype=dtype) * 3 + 1, normal(1, shape[-1], dtype=dtype)
    check(rms(1), x, weight, ulps=16)
    check(rms(1), x, ulps=16)


def test_several_axes_and_strided_inputs() -> None:
    x, weight, bias = normal(0, 6, 4, 5).transpose(2, 1, 0), normal(1, 4, 6), normal(2, 6, 4).T
    check(layer(2), x, weight, bias, ulps=16)
    check(rms(2), x, weight, ulps=16)


@pytest.mark.parametrize("function", [layer(1), rms(1)])
def test_not_a_number_and_infinity_stay_in_their_row(function: Any) -> None:
    x = normal(0, 6, 40, dtype=np.float32)
    x[1, 3], x[2, 39], x[3, 0], x[4] = np.nan, np.inf, -np.inf, 2.0
    found = results(function, (x,))
    with cr.backend("reference"):
        expected = results(function, (x,))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_allclose(one[[0, 5]], other[[0, 5]], rtol=1e-4, atol=1e-5)


def test_a_mean_that_is_large_beside_the_deviation() -> None:
    """Mean and variance are taken one after the other: nothing cancels."""
    x = (normal(0, 4, 3000) + 1e4).astype(np.float32)
    found = results(layer(1), (x,))[0]
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, expected, atol=2e-3)   # the mean itself is rounded to 1e-3


def test_other_dtypes_are_left_to_the_definition() -> None:
    x = normal(0, 2, 3).astype(np.float16)
    assert cpu.layer_norm(x, None, None, normalized_shape=(3,), eps=1e-5) is NotImplemented
    assert cpu.rms_norm(x, None, normalized_shape=(3,), eps=1e-5) is NotImplemented
