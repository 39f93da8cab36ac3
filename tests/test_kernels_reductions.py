"""Compiled sums and means: within a few units in the last place of Σ|x|, however many terms."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.kernels import cpu, reference
from tests.kernels import check, normal

reductions = import_module("chainrule.kernels.cpu.reductions")

AXES = [None, 0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (2, 0, 1), ()]


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for threshold in ("SHARED", "TALL"):
        monkeypatch.setattr(reductions, threshold, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (70, 3, 11), (1, 1, 1), (2, 0, 3), (40, 20, 50)])
def test_sums_of_integers_are_exact(shape: tuple[int, ...], axis: Any, keepdims: bool, dtype: Any) -> None:
    x = np.random.default_rng(0).integers(-9, 10, shape).astype(dtype)
    expected = reference.sum(x, axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(cpu.sum(x, axis=axis, keepdims=keepdims), expected)
    assert cpu.sum(x, axis=axis, keepdims=keepdims).dtype == dtype
    if x.size:
        np.testing.assert_allclose(cpu.mean(x, axis=axis, keepdims=keepdims), reference.mean(x, axis=axis, keepdims=keepdims),
                                   rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, axis", [((70_000, 3), 0), ((3, 70_000), 1), ((300_001,), 0), ((4000, 5000), 0)])
def test_accuracy(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    """Against sums in extended precision: 2 units in the last place of Σ|x|, where adding one by one loses a hundred."""
    x = np.abs(normal(0, *shape, dtype=dtype))
    exact = np.add.reduce(x, axis, dtype=np.longdouble)
    error = np.abs(cpu.sum(x, axis=axis) - exact) / exact / np.finfo(dtype).eps
    assert error.max() <= 2 if dtype == np.float32 else error.max() <= 40


def test_not_a_number_infinity_and_other_arrays() -> None:
    x = normal(0, 50, 30, dtype=np.float32)
    x[3, 4], x[5, 6], x[7, 6], x[8, 7] = np.nan, np.inf, -np.inf, np.inf
    with np.errstate(invalid="ignore"):
        for axis in (0, 1, None):
            found, expected = cpu.sum(x, axis=axis), np.asarray(reference.sum(x, axis=axis))
            odd = ~np.isfinite(expected)
            assert odd.any()
            np.testing.assert_array_equal(found[odd], expected[odd])
            np.testing.assert_allclose(found[~odd], expected[~odd], rtol=1e-4)
    np.testing.assert_allclose(cpu.sum(x[9:].T, axis=0), reference.sum(x[9:].T, axis=0), rtol=1e-5)
    assert cpu.sum(np.ones((3, 4), bool), axis=0).dtype == np.int64
    assert cpu.sum(np.ones((300, 400), np.float16), axis=1)[0] == 400
    x = normal(1, 40, 30)
    x.flags.writeable = False
    np.testing.assert_allclose(reductions.sum_rows(x), x.sum(0), rtol=1e-12)
    np.testing.assert_allclose(reductions.sum_rows(x[::2, ::-1]), x[::2, ::-1].sum(0), rtol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_any_number_of_threads_and_gradients(axis: Any) -> None:
    check(lambda x: cr.sum(x, axis), normal(0, 700, 300, dtype=np.float32) + 1, ulps=4)
    check(lambda x: cr.mean(x, axis), normal(0, 700, 300, dtype=np.float32) + 1, ulps=4)
