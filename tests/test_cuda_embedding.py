"""Rows by index, and sums by index, on the device against NumPy."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule.kernels import reference
from tests.cuda import check, close, cuda, run
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])


def indices(rows: int, *shape: int) -> Any:
    """Some rows often, some never."""
    return np.minimum(np.random.default_rng(7).geometric(0.2, shape), rows) - 1


@pytest.fixture(params=["by counting", "by CuPy"])
def sorting(request: Any, monkeypatch: Any) -> Iterator[None]:
    """Positions are sorted in both ways."""
    if request.param == "by CuPy":
        monkeypatch.setattr(import_module("chainrule.kernels.cuda.embedding"), "COUNTED", 0)
    yield


@DTYPES
@pytest.mark.parametrize("features", [(8,), (5,), (2, 3)])
def test_rows_and_their_adjoint(features: tuple[int, ...], dtype: Any, sorting: None) -> None:
    """Runs within a segment, across two and across many."""
    found = indices(20, 5, 60)
    check("embedding", found, normal(0, 20, *features), dtype=dtype)
    check("embedding_adjoint", found, normal(0, 5, 60, *features), dtype=dtype, rows=20, factor=4)


@pytest.mark.parametrize("rows", [1, 3, 300])
@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 600])
def test_every_way_that_runs_meet_segments(count: int, rows: int, sorting: None) -> None:
    """Whole numbers: sums are exact."""
    found = np.random.default_rng(count).integers(0, rows, count)
    g = np.random.default_rng(0).integers(-9, 9, (count, 2)).astype(np.float32)
    expected = np.zeros((rows, 2), np.float32)
    np.add.at(expected, found, g)
    np.testing.assert_array_equal(run(cuda().embedding_adjoint, found, g, rows=rows), expected)


def test_the_order_of_the_sum_is_that_of_the_positions() -> None:
    """1 vanishes beside 2^24: a sum from the left loses every 1 that comes after it."""
    g = np.ones((20, 1), np.float32)
    g[5], g[12] = 2.0**24, -(2.0**24)
    found = run(cuda().embedding_adjoint, np.zeros(20, np.int64), g, rows=1)
    expected = np.float32(0)
    for value in g[:, 0]:
        expected += value
    assert found.item() == expected != g.sum(dtype=np.float64)


def test_sums_by_atomic_additions() -> None:
    found, g = indices(20, 300), normal(0, 300, 5)
    try:
        cr.cuda.atomic_sums(True)
        for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
            check("embedding_adjoint", found, g, dtype=dtype, rows=20, factor=8, repeatable=False)
    finally:
        cr.cuda.atomic_sums(False)


def test_an_index_that_is_no_row() -> None:
    """It reads nothing and writes nothing: NaN, and passed over."""
    weight = normal(0, 4, 8, dtype=np.float32)
    found = np.array([1, 4, -1, 2**40, -(2**40), 3])
    out = run(cuda().embedding, found, weight)
    np.testing.assert_array_equal(out[[0, 5]], weight[[1, 3]])
    assert np.isnan(out[1:5]).all()
    out = run(cuda().embedding_adjoint, found, np.ones((6, 8), np.float32), rows=4)
    np.testing.assert_array_equal(out.sum(1), [0, 8, 0, 8])


def test_shapes_and_places() -> None:
    weight = normal(0, 6, 9, dtype=np.float32)
    for shape in ((), (0,), (2, 0), (1,)):
        check("embedding", indices(6, *shape), weight)
        check("embedding_adjoint", indices(6, *shape), normal(0, *shape, 9), rows=6)
    close(run(lambda i, w: cuda().embedding(i, w.T), indices(9, 5), weight), weight.T[indices(9, 5)], np.float32)
    found = run(lambda i, w: cuda().embedding(i.astype(np.int32), w[1:]), indices(5, 7), weight)
    close(found, weight[1:][indices(5, 7)], np.float32)
    check("embedding_adjoint", indices(6, 5), normal(0, 9, 5).T, rows=6)
    assert run(cuda().embedding_adjoint, indices(6, 5), np.arange(10).reshape(5, 2), rows=6).dtype == np.int64


# ---- the adjoints of indexing

INDEX = np.array([[1, 0, 1], [2, 1, -1]])


@pytest.mark.parametrize("index", [INDEX, (INDEX,), (slice(None), INDEX), (INDEX, INDEX), (None, slice(0, 2), INDEX),
                                   (1, INDEX), slice(1, 3), 2, (INDEX, slice(None), np.array([0, 3, 3]))])
def test_indexing_adjoints(index: Any) -> None:
    shape = (3, 3, 4)
    g = normal(0, *np.zeros(shape)[index].shape)
    check("getitem_adjoint", g, index=index, shape=shape)
    start = normal(1, *shape, dtype=np.float32)
    expected = start + reference.getitem_adjoint(g, index=index, shape=shape)

    def added(out: Any, g: Any, index: Any, strided: bool) -> Any:
        out = out.copy().transpose(2, 1, 0).copy().transpose(2, 1, 0) if strided else out.copy()
        cuda().add_at(out, g, index=index)
        return out

    for strided in (False, True):
        close(run(added, start, g.astype(np.float32), index, strided), expected, np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_adjoints_along_an_axis(axis: int) -> None:
    shape = (3, 4, 3)
    g = normal(0, *shape[:axis], 2, 3, *shape[axis + 1:])
    check("take_adjoint", g, INDEX, axis=axis, shape=shape)
    short = np.random.default_rng(0).integers(-3, 3, (2, 3, 2))
    check("add_along_axis", normal(0, 2, 3, 2), short, axis=axis, shape=shape)
    np.testing.assert_array_equal(run(cuda().take_adjoint, np.ones(6, np.int64).reshape(2, 3), INDEX, axis=0, shape=(4,)),
                                  reference.take_adjoint(np.ones(6, np.int64).reshape(2, 3), INDEX, axis=0, shape=(4,)))


def test_adding_to_planes() -> None:
    at = np.random.default_rng(0).integers(0, 12, (2, 3, 4, 2))
    check("add_to_planes", normal(0, 2, 3, 4, 2), at, size=(3, 4))
