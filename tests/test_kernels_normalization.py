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


# Channels: runs of odd length, of several blocks, of one element; several tasks.
IMAGES = [(4, 6, 7, 5), (3, 4, 2500), (33, 8), (5, 12, 31, 9), (16, 4, 1, 1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", IMAGES)
def test_batch_norm(shape: tuple[int, ...], dtype: Any) -> None:
    x, weight, bias = (normal(i, *s, dtype=dtype) + 1 for i, s in enumerate([shape, shape[1:2], shape[1:2]]))
    check(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), x, weight, bias, ulps=32)
    check(lambda x: F.batch_norm(x, None, None, training=True), x, ulps=32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", IMAGES)
def test_group_norm(shape: tuple[int, ...], groups: int, dtype: Any) -> None:
    if shape[1] * int(np.prod(shape[2:])) // groups < 8:
        pytest.skip("two or three elements, whose gradients all but cancel")
    x, weight, bias = (normal(i, *s, dtype=dtype) + 1 for i, s in enumerate([shape, shape[1:2], shape[1:2]]))
    check(lambda x, w, b: F.group_norm(x, groups, w, b), x, weight, bias, ulps=32)
    check(lambda x: F.group_norm(x, groups), x, ulps=32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", IMAGES)
def test_batch_norm_by_running_statistics(shape: tuple[int, ...], dtype: Any) -> None:
    channels = shape[1]
    mean, var, weight, bias = (cr.Tensor(np.abs(normal(i, channels, dtype=dtype)) + 0.2) for i in range(4))

    def function(x: Any) -> Any:
        return F.batch_norm(x, *(t.to(x.dtype) for t in (mean, var, weight, bias)))

    check(function, normal(5, *shape, dtype=dtype), ulps=16)
    check(lambda x, w, b: F.batch_norm(x, mean.to(x.dtype), var.to(x.dtype), w, b), normal(5, *shape, dtype=dtype),
          np.array(weight.data), np.array(bias.data), ulps=64)


def test_strided_images_and_the_statistics_that_batch_norm_returns() -> None:
    x = normal(0, 5, 6, 3, 4).transpose(3, 2, 0, 1)
    check(lambda x: F.batch_norm(x, None, None, training=True), x, ulps=32)
    check(lambda x: F.group_norm(x, 3), x, ulps=32)
    check(lambda x: F.batch_norm(x, None, None, training=True), normal(1, 6, 9).T, ulps=32)
    mean, var = cr.zeros(3, dtype=cr.float64), cr.ones(3, dtype=cr.float64)
    F.batch_norm(cr.Tensor(x), mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(mean.data, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var.data, x.var((0, 2, 3), ddof=1), rtol=1e-12)
    check(lambda x: cr.names.ops.batch_norm(x, None, None, eps=1e-5)[2], x, ulps=32)  # a gradient the kernel declines


@pytest.mark.parametrize("function", [lambda x: F.batch_norm(x, None, None, training=True), lambda x: F.group_norm(x, 4)])
def test_not_a_number_stays_in_its_channel(function: Any) -> None:
    x = normal(0, 2, 4, 30, dtype=np.float32)
    x[1, 2, 7], x[0, 1, 3] = np.nan, np.inf
    found = results(function, (x,))
    with cr.backend("reference"):
        expected = results(function, (x,))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
