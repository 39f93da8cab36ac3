"""Losses on the device against their definitions in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.cuda import check_fused, close, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu
HALF = [np.float16, ml_dtypes.bfloat16]


def targets(rows: int, classes: int) -> Any:
    target = np.random.default_rng(9).integers(0, classes, rows)
    target[rows // 2] = -100
    return target


def check_entropy(x: Any, target: Any, weight: Any = None, **options: Any) -> Any:
    static = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean", **options}
    return check_fused("cross_entropy", x, target, weight, without=("weight",), **static)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(weighted: bool, smoothing: float, reduction: str) -> None:
    """A warp a row, the last block not full."""
    weight = np.abs(normal(1, 12)) + 0.1 if weighted else None
    check_entropy(normal(0, 11, 12) * 5, targets(11, 12), weight, reduction=reduction, label_smoothing=smoothing, factor=4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, *HALF])
@pytest.mark.parametrize("classes", [7, 1030, 1032])
def test_many_classes_and_dtypes(classes: int, dtype: Any) -> None:
    """Rows of one warp and of several, in packs and element by element."""
    check_entropy(normal(0, 3, classes) * 3, targets(3, classes), dtype=dtype, factor=4, label_smoothing=0.1)


def test_classes_as_int32_and_strided_logits() -> None:
    x, target = normal(0, 10, 5), targets(5, 10).astype(np.int32)
    check_entropy(x.T, target, reduction="none")


def test_a_target_that_is_no_class_gives_not_a_number() -> None:
    """In its own row, and nowhere else; an ignored one gives nothing, even where its row is infinite."""
    x = normal(0, 6, 8, dtype=np.float32)
    x[4] = np.inf
    target = np.array([3, 8, -1, 2**40, -100, 0])
    static = {"ignore_index": -100, "label_smoothing": 0.0}
    loss, kept = run(cuda().cross_entropy, x, target, None, reduction="none", **static)
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, True, False, False])
    assert loss[4] == 0
    dx, *_ = run(cuda().cross_entropy_grad, loss * 0 + 1, x, target, None, kept["tops"], kept["sums"], None, -100, 0.0,
                 (True, False, False))
    np.testing.assert_array_equal(np.isnan(dx).all(1), [False, True, True, True, False, False])
    assert not dx[4].any() and np.isfinite(dx[[0, 5]]).all()
    loss, _ = run(cuda().cross_entropy, x, target, None, reduction="mean", **static)
    assert np.isnan(loss)


def test_logits_that_are_not_finite() -> None:
    x = normal(0, 6, 40)
    x[0, 3], x[1, 5], x[2, :], x[3, 1], x[4, ::2] = np.nan, np.inf, -np.inf, -np.inf, -np.inf
    with np.errstate(all="ignore"):
        check_entropy(x, np.array([0, 1, 2, 1, 1, 5]), reduction="none")


def test_nothing_counts() -> None:
    with np.errstate(all="ignore"):
        check_entropy(normal(0, 3, 4), np.full(3, -100))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, *HALF])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_squared_error(reduction: str, dtype: Any) -> None:
    """Several blocks, the last pack not whole."""
    check_fused("squared_error", normal(0, 3, 431), normal(1, 3, 431), dtype=dtype, reduction=reduction)


def test_squared_error_of_many_elements_and_of_strided_ones() -> None:
    """More than the largest grid takes at one pack a thread."""
    n = 1024 * 256 * 4 + 5
    a, b = normal(0, n, dtype=np.float32), normal(1, n, dtype=np.float32)
    found = run(cuda().squared_error, a, b, reduction="mean")
    close(found, np.square(a.astype(np.float64) - b).mean(), np.float32)
    check_fused("squared_error", normal(0, 7, 5).T, normal(1, 5, 7), reduction="mean")
    check_fused("squared_error", normal(0, 9), normal(1, 9), reduction="sum", without=("target",))


def test_what_is_declined() -> None:
    x = to_device(normal(0, 3, 4, dtype=np.float32))
    assert cuda().squared_error(x, x.astype(np.float64), reduction="mean") is NotImplemented
    assert cuda().squared_error(x[:0], x[:0], reduction="mean") is NotImplemented
    static = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}
    assert cuda().cross_entropy(x[:0], to_device(np.zeros(0, np.int64)), None, **static) is NotImplemented
