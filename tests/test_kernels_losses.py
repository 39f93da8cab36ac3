"""The compiled losses and their gradients against NumPy in float64."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import cpu
from tests.kernels import check, normal, results

losses = import_module("chainrule.kernels.cpu.losses")

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def targets(rows: int, classes: int) -> Any:
    return np.random.default_rng(9).integers(0, classes, rows)


@DTYPES
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(), (7, 3), (losses.SMALLEST - 1,), (13, 4999)])
def test_squared_error(shape: tuple[int, ...], reduction: str, dtype: Any) -> None:
    x, y = normal(0, *shape, dtype=dtype), normal(1, *shape, dtype=dtype)
    check(lambda x, y: F.mse_loss(x, y, reduction=reduction), x, y, ulps=16)
    if len(shape) == 2:
        check(lambda x, y: F.mse_loss(x.mT, y.mT, reduction=reduction), x, y, ulps=16)


@pytest.mark.parametrize("size", [5, losses.SMALLEST + 5])
def test_squared_error_of_what_is_not_finite(size: int) -> None:
    for value, expected in ((np.nan, np.nan), (np.inf, np.inf), (1e30, np.inf)):
        x = cr.tensor(np.zeros(size, np.float32), requires_grad=True)
        x.data[3] = value
        with np.errstate(over="ignore"):
            loss = F.mse_loss(x, cr.zeros(size))
        loss.backward()
        assert np.array_equal(loss.item(), expected, equal_nan=True) and x.grad.data[0] == 0
        assert np.allclose(x.grad.data[3], value * (2 / size), rtol=1e-6, equal_nan=True)


@DTYPES
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows, classes", [(1, 3), (64, 10), (257, 65), (9, 5003)])
def test_cross_entropy(rows: int, classes: int, weighted: bool, smoothing: float, reduction: str, dtype: Any) -> None:
    target = targets(rows, classes)
    target[rows // 2] = -100 if rows > 1 else 0
    weight = cr.Tensor(np.abs(normal(1, classes)) + 0.1) if weighted else None

    def loss(x: Any) -> Any:
        own = None if weight is None else weight.to(x.dtype)
        return F.cross_entropy(x, cr.Tensor(target), own, reduction=reduction, label_smoothing=smoothing)

    check(loss, normal(0, rows, classes, dtype=dtype) * 5, ulps=32 if reduction == "sum" else 16)


@DTYPES
def test_logits_far_from_zero(dtype: Any) -> None:
    """The maximum is taken off before anything is rounded."""
    x = normal(0, 5, 300, dtype=dtype) + dtype(1e4)
    check(lambda x: F.cross_entropy(x, cr.Tensor(targets(5, 300))), x, ulps=16)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_not_a_number_and_infinity(smoothing: float) -> None:
    x = normal(0, 7, 40, dtype=np.float32)
    x[1, 3], x[2, 5], x[3, :] = np.nan, np.inf, -np.inf
    x[4, 6], x[5, 0] = -np.inf, -np.inf
    x[6] = np.inf
    target = np.array([0, 0, 1, 2, 6, 1, -100])
    options = {"reduction": "none", "label_smoothing": smoothing}
    found = results(lambda x: F.cross_entropy(x, cr.Tensor(target), **options), (x,))
    with cr.backend("reference"):
        expected = results(lambda x: F.cross_entropy(x, cr.Tensor(target), **options), (x,))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    known = np.isfinite(expected[1])   # where the definition's chain meets inf - inf, NaN is as good as a limit
    np.testing.assert_allclose(found[1][known], expected[1][known], rtol=1e-4, atol=1e-6)
    assert np.isnan(found[1][1]).all() and not found[1][6].any()


def test_all_targets_ignored() -> None:
    x, target = cr.Tensor(normal(0, 3, 4), requires_grad=True), cr.Tensor(np.full(3, -100))
    with np.errstate(all="ignore"):
        assert np.isnan(F.cross_entropy(x, target).item())
    assert F.cross_entropy(x, target, reduction="sum").item() == 0


@pytest.mark.parametrize("wrong", [-1, 10, 2**62])
def test_a_target_that_is_no_class(wrong: int) -> None:
    """The kernel says so itself: a compiled step calls it without the checks before."""
    target = targets(20, 10)
    target[13] = wrong
    options: Any = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}
    with pytest.raises(IndexError, match=r"1 targets are out of range for 10 classes \(valid: 0 to 9, or ignore_index=-100\)"):
        cpu.cross_entropy(normal(0, 20, 10), target, None, **options)


def test_what_is_left_to_the_definition() -> None:
    """Other dtypes, and the gradient of the weight, which is right all the same."""
    x, target, weight = normal(0, 6, 4), targets(6, 4), np.abs(normal(1, 4)) + 1
    options: Any = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}
    assert cpu.cross_entropy(x.astype(np.float16), target, None, **options) is NotImplemented
    check(lambda x, w: F.cross_entropy(x, cr.Tensor(target), w, label_smoothing=0.1), x, weight, ulps=64)


def test_narrow_and_strided_targets() -> None:
    x = normal(0, 30, 7)
    target = targets(60, 7)[::2]
    expected = results(lambda x: F.cross_entropy(x, cr.Tensor(target.copy())), (x,))
    for kind in (target, target.astype(np.int8), target.astype(np.uint16)):
        for one, other in zip(results(lambda x, kind=kind: F.cross_entropy(x, cr.Tensor(kind)), (x,)), expected, strict=True):
            np.testing.assert_array_equal(one, other)


@DTYPES
@pytest.mark.parametrize("classes", [3, 5, 9])
def test_the_bits_of_cross_entropy_do_not_depend_on_where_the_arrays_lie(classes: int, dtype: Any) -> None:
    """A loop asks whether its arrays are near each other, and goes number by number where they are."""
    for seed in range(30):
        x, target = normal(seed, classes, dtype=dtype), np.array([seed % classes])
        top, bottom, factor = np.array([x.max()]), np.array([3], dtype), np.array([0.37], dtype)

        def at(distance: int, x: Any = x, target: Any = target, top: Any = top, bottom: Any = bottom, factor: Any = factor) -> Any:
            memory = np.zeros(1000, dtype)
            memory[:classes] = x
            out = memory[distance : distance + classes]
            losses._rows_grad(1, memory[:classes], target, np.empty(0, dtype), top, bottom, factor, out, -100, 0.0, 1)
            return out.tobytes()

        assert {at(distance) for distance in range(classes, 80)} == {at(900)}
