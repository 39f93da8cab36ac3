"""Sums and means on the device against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels import reference
from tests.cuda import check, close, cuda, run
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
NAMES = pytest.mark.parametrize("name", ["sum", "mean"])
CASES: list[tuple[tuple[int, ...], Any]] = [
    ((11, 64), 1),             # a warp a row, of packs
    ((3, 70), -1),             # element by element
    ((2, 2, 9000), 2),         # several slabs
    ((3, 5, 4, 16), (0, 2, 3)),  # channels
    ((3, 5, 33), (2, 0)),
    ((300, 40), 0),            # columns
    ((2, 9, 70), (0, 1)),
    ((9, 11), None),
    ((40,), 0),
]


@NAMES
@pytest.mark.parametrize("shape, axis", CASES)
def test_sums_and_means(name: str, shape: tuple[int, ...], axis: Any) -> None:
    check(name, normal(0, *shape) + 0.5, axis=axis, keepdims=len(shape) == 3)


@DTYPES
@pytest.mark.parametrize("shape, axis", [((11, 64), 1), ((140, 40), 0)])
def test_dtypes(shape: tuple[int, ...], axis: Any, dtype: Any) -> None:
    check("sum", normal(0, *shape) + 0.5, dtype=dtype, axis=axis)


def test_many_parts_are_joined_by_a_block() -> None:
    x = normal(0, 130 * 4 * 1024 + 3, dtype=np.float32) + np.float32(0.5)
    close(run(cuda().sum, x), x.sum(dtype=np.float64), np.float32)


def test_halves_are_added_up_in_float() -> None:
    """5000 ones: beyond 2048 float16 does not change by one more; and their sum may be beyond float16 where the mean is not."""
    assert run(cuda().sum, np.ones(5000, np.float16)) == 5000
    assert run(cuda().mean, np.full((20, 5000), 100, np.float16), axis=1).tolist() == [100] * 20


def test_what_cupy_adds_up() -> None:
    """Few elements, axes in the middle, no axes, no elements, integers, strided memory."""
    check("sum", normal(0, 9, 5), axis=1)
    check("sum", normal(0, 3, 40, 5), axis=1)
    check("mean", normal(0, 3, 40), axis=())
    assert run(cuda().sum, np.zeros((0, 40), np.float32), axis=0).tolist() == [0] * 40
    assert np.isnan(run(cuda().mean, np.zeros((3, 0), np.float32), axis=1)).all()
    assert run(cuda().sum, np.ones(70, np.int32)).dtype == np.int64
    x = normal(0, 40, 50, dtype=np.float32)
    close(run(lambda a: cuda().sum(a.T[1:], axis=0), x), reference.sum(x.T[1:].astype(np.float64), axis=0), np.float32)


def test_memory_that_begins_where_no_pack_may_and_what_is_not_finite() -> None:
    x = normal(0, 101, dtype=np.float32)
    close(run(lambda a: cuda().sum(a[1:]), x), x[1:].sum(dtype=np.float64), np.float32)
    x = normal(0, 4, 40, dtype=np.float32)
    x[0, 3], x[1, 5], x[2, 1:3] = np.nan, np.inf, (np.inf, -np.inf)
    with np.errstate(invalid="ignore"):
        check("sum", x, axis=1)


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("shape, axis", [((5, 13), 1), ((7, 4), 0), ((3, 1), 1), ((0, 3), 0), ((), 0)])
def test_running_maxima(shape: tuple[int, ...], axis: int, smallest: bool) -> None:
    """Equal elements and NaN among them."""
    x = np.random.default_rng(0).integers(0, 5, shape).astype(np.float32)
    if x.ndim == 2 and len(x) == 5:
        x[1, 4], x[1, 9], x[2, 0] = np.nan, np.nan, np.nan
    expected = reference.cummax_indices(x, axis=axis, smallest=smallest)
    np.testing.assert_array_equal(run(cuda().cummax_indices, x, axis=axis, smallest=smallest), expected)
