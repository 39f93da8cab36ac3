"""Compiled look-up and adding up of rows, against NumPy: the values are integers, so that every sum is exact."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import cpu, reference
from tests.kernels import check, normal


@pytest.fixture(autouse=True)
def at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for threshold in ("SHARED", "COPIED"):
        monkeypatch.setattr(import_module("chainrule.kernels.cpu.embedding"), threshold, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("features", [(), (1,), (7,), (3, 5), (300,)])
@pytest.mark.parametrize("shape", [(), (0,), (9,), (40, 13)])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_rows_and_their_sums(shape: tuple[int, ...], features: tuple[int, ...], dtype: Any, kind: Any) -> None:
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 20, shape).astype(kind)
    weight, g = (rng.integers(-9, 10, s).astype(dtype) for s in ((20, *features), (*shape, *features)))
    np.testing.assert_array_equal(cpu.embedding(indices, weight), reference.embedding(indices, weight))
    np.testing.assert_array_equal(cpu.embedding_adjoint(indices, g, rows=20), reference.embedding_adjoint(indices, g, rows=20),
                                  strict=True)


def test_strided_arrays_and_other_dtypes() -> None:
    rng = np.random.default_rng(0)
    indices, g = rng.integers(0, 6, (8, 10)).T[::2], rng.integers(-9, 10, (3, 5, 8)).astype(np.float32).transpose(1, 2, 0)
    weight = rng.integers(-9, 10, (5, 6)).astype(np.float32).T
    np.testing.assert_array_equal(cpu.embedding(indices, weight), weight[indices])
    np.testing.assert_array_equal(cpu.embedding_adjoint(indices, g, rows=6), reference.embedding_adjoint(indices, g, rows=6))
    half = g.astype(np.float16)
    np.testing.assert_array_equal(cpu.embedding_adjoint(indices, half, rows=6), reference.embedding_adjoint(indices, half, rows=6))


@pytest.mark.parametrize("wrong", [-1, 6, 2**40])
def test_an_index_that_is_no_row(wrong: int) -> None:
    """The kernels say so themselves, and write nowhere else: a compiled step calls them without the checks before."""
    indices = np.array([0, 5, wrong, 1])
    with pytest.raises(IndexError, match=r"out of range for a table of 6 rows \(valid: 0 to 5\)"):
        cpu.embedding(indices, np.ones((6, 40)))
    with pytest.raises(IndexError, match="out of range for a table of 6 rows"):
        cpu.embedding_adjoint(indices, np.ones((4, 40)), rows=6)


@pytest.mark.parametrize("wrong", [-1, 6])
def test_small_look_ups_are_numpys(monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    monkeypatch.setattr(import_module("chainrule.kernels.cpu.embedding"), "COPIED", 10_000)
    weight, indices = normal(0, 6, 40), np.array([[0, 5], [3, 0]])
    for array in (weight, weight.astype(np.float16), normal(0, 40, 6).T):
        np.testing.assert_array_equal(cpu.embedding(indices, array), array[indices], strict=True)
    indices[1, 0] = wrong
    with pytest.raises(IndexError, match="out of range for a table of 6 rows"):
        cpu.embedding(indices, weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads(dtype: Any) -> None:
    """Equal indices are added in the order of their positions, whoever adds them."""
    indices = cr.Tensor(np.random.default_rng(0).integers(0, 30, (500, 3)))
    check(lambda w: F.embedding(indices, w), normal(0, 30, 200, dtype=dtype), ulps=64)
    check(lambda w: F.embedding(indices, w, padding_idx=3, scale_grad_by_freq=True), normal(0, 30, 200, dtype=dtype), ulps=64)


def test_not_a_number_stays_in_its_row() -> None:
    g = np.ones((4, 50), np.float32)
    g[1, 7], g[3, 8] = np.nan, np.inf
    found = cpu.embedding_adjoint(np.array([0, 2, 2, 1]), g, rows=3)
    np.testing.assert_array_equal(np.isnan(found), reference.embedding_adjoint(np.array([0, 2, 2, 1]), g, rows=3) != found)
    assert np.isnan(found).sum() == 1 and found[1, 8] == np.inf
