"""The optimizers' and the clipping's kernels on the device against their rules in NumPy, in float64 on the CPU."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels import cpu
from tests.cuda import TOLERANCE, cuda, shuffled, simulated, to_device, to_host
from tests.kernels import normal

pytestmark = pytest.mark.gpu
SHAPES = ((3, 5), (), (0, 4), (2 * 1024 + 77,), (1,), (8, 128))  # several chunks, and one that an array fills
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
RULES: list[tuple[str, int, tuple[float, ...], dict[str, bool]]] = [
    ("sgd_step", 0, (1.0, 0.0, 0.0, 1.0, 0.1), {"momentum": False, "nesterov": False}),
    ("sgd_step", 1, (-1.0, 0.1, 0.9, 0.7, 0.1), {"momentum": True, "nesterov": False}),
    ("sgd_step", 1, (1.0, 0.1, 0.9, 1.0, 0.1), {"momentum": True, "nesterov": True}),
    ("adam_step", 2, (1.0, 0.0, 1.0, 0.1, 0.9, 0.1, 1.7, 1e-3, 0.05), {"amsgrad": False}),
    ("adam_step", 3, (-1.0, 0.1, 0.97, 0.2, 0.8, 0.2, 1.3, 1e-3, 0.05), {"amsgrad": True}),
    ("rmsprop_step", 1, (1.0, 0.0, 0.9, 0.1, 1e-2, 0.0, 0.05), {"centered": False, "momentum": False}),
    ("rmsprop_step", 2, (-1.0, 0.1, 0.9, 0.1, 1e-2, 0.0, 0.05), {"centered": True, "momentum": False}),
    ("rmsprop_step", 2, (1.0, 0.1, 0.9, 0.1, 1e-2, 0.5, 0.05), {"centered": False, "momentum": True}),
    ("rmsprop_step", 3, (1.0, 0.0, 0.9, 0.1, 1e-2, 0.5, 0.05), {"centered": True, "momentum": True}),
]


def arrays_of(name: str, states: int, dtype: Any, shapes: Any = SHAPES) -> list[Any]:
    """p, g and states for each shape; mean squares are above the squares of means, as they are in a real run."""
    square = {"adam_step": 3, "rmsprop_step": 2}.get(name)
    wide = np.float32 if np.dtype(dtype).itemsize == 2 else dtype
    found = []
    for i, shape in enumerate(shapes):
        for column in range(2 + states):
            x = normal(10 * i + column, *shape)
            if column > 1:
                x = x * x + 2 if column == square else 0.3 * x
            found.append(np.asarray(x, dtype if column < 2 else wide))
    return found


def expected_of(name: str, arrays: list[Any], coefficients: Any, **switches: bool) -> list[Any]:
    """What the cpu kernel makes of them in float64."""
    wide = [np.array(a, np.float64) for a in arrays]
    assert getattr(cpu, name)(wide, coefficients, **switches)
    return wide


def compare(found: list[Any], expected: list[Any], before: list[Any]) -> None:
    for a, right, was in zip(found, expected, before, strict=True):
        assert a.dtype == was.dtype and a.shape == was.shape
        np.testing.assert_allclose(a.astype(np.float64), right, rtol=2 * TOLERANCE[str(a.dtype)], atol=2 * TOLERANCE[str(a.dtype)])


@DTYPES
@pytest.mark.parametrize(("name", "states", "numbers", "switches"), RULES)
def test_rules(name: str, states: int, numbers: Any, switches: Any, dtype: Any) -> None:
    before = arrays_of(name, states, dtype)
    expected = expected_of(name, before, [numbers], **switches)
    ends = []
    for seed in (None, 3):
        arrays = to_device(before)
        if seed and simulated():
            with shuffled(seed):
                assert getattr(cuda(), name)(arrays, [numbers], **switches)
        else:
            assert getattr(cuda(), name)(arrays, [numbers], **switches)
        ends.append(to_host(arrays))
    compare(ends[0], expected, before)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*ends, strict=True))
    changed = [not np.array_equal(a, b) for a, b in zip(ends[0], before, strict=True) if a.size > 1]
    assert changed == [column != 1 for _ in range(3) for column in range(2 + states)]


def test_coefficients_of_each_parameter() -> None:
    """Parameters whose numbers of steps differ."""
    name, states, numbers, switches = RULES[4]
    each = [tuple(n * (1 + i % 3) / 3 for n in numbers) for i in range(len(SHAPES))]
    before = arrays_of(name, states, np.float32)
    arrays = to_device(before)
    assert getattr(cuda(), name)(arrays, each, **switches)
    compare(to_host(arrays), expected_of(name, before, each, **switches), before)


def test_addresses_that_are_not_aligned() -> None:
    """Parts of a larger array, which begin anywhere in it."""
    name, states, numbers, switches = RULES[3]
    before = arrays_of(name, states, np.float32, [(1500,), (7,)])
    flat = to_device([np.zeros(4 * 1600, np.float32)])[0]
    arrays, place = [], 1
    for a in before:
        arrays.append(flat[place : place + a.size])
        arrays[-1][...] = to_device([a])[0]
        place += a.size
    edge = to_host([flat])[0].copy()
    assert getattr(cuda(), name)(arrays, [numbers], **switches)
    compare(to_host(arrays), expected_of(name, before, [numbers], **switches), before)
    after = to_host([flat])[0]
    assert after[0] == edge[0] and np.array_equal(after[place:], edge[place:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-42])
def test_numbers_that_are_not_finite_or_tiny(value: float) -> None:
    for name, states, numbers, switches in (RULES[1], RULES[4], RULES[8]):
        before = arrays_of(name, states, np.float32, [(67,)])
        before[1][5:9] = value
        arrays = to_device(before)
        with np.errstate(all="ignore"):
            assert getattr(cuda(), name)(arrays, [numbers], **switches)
            compare(to_host(arrays), expected_of(name, before, [numbers], **switches), before)


def test_tables_follow_the_arrays() -> None:
    """A table is used again only for the same arrays, and made anew where one has moved or has another size."""
    from chainrule.kernels.cuda import optimizers

    arrays = to_device(arrays_of("sgd_step", 0, np.float32))
    table = optimizers.table(arrays, 2)
    assert optimizers.table(arrays, 2)[0] is table[0]
    arrays[1] = arrays[1] * 1
    moved = optimizers.table(arrays, 2)
    assert moved[0] is not table[0] and moved[1:] == table[1:]
    whole = to_device([np.ones(5000, np.float32)] * 2)
    assert optimizers.table(whole, 2)[3] == 5
    assert optimizers.table([a[:2000] for a in whole], 2)[3] == 2


def test_what_the_kernels_do_not_take() -> None:
    one = np.ones((4, 3), np.float32)
    odd = [[one, one.astype(np.float64)], [one, np.ones((3, 4), np.float32)], [one.astype(np.int64)] * 2,
           [np.asfortranarray(one), one], [one, one[:, :2].copy()]]
    for arrays in odd:
        found = to_device(arrays)
        assert not cuda().sgd_step(found, [RULES[0][2]], **RULES[0][3])
        assert all(np.array_equal(a, b) for a, b in zip(to_host(found), arrays, strict=True))
    halves = to_device([one.astype(np.float16)] * 3)
    assert not cuda().sgd_step(halves, [RULES[1][2]], **RULES[1][3])  # the buffer is to be float32
    assert not cuda().scale_and_clamp(to_device([one.astype(np.int32)]), 0.5, math.inf)
    assert cuda().sum_of_squares(to_device([one.astype(np.int32)])) is None


# Clipping

@DTYPES
def test_sum_of_squares(dtype: Any) -> None:
    arrays = [normal(i, *shape).astype(dtype) for i, shape in enumerate(SHAPES)]
    expected = sum(float((a.astype(np.float64) ** 2).sum()) for a in arrays)
    found = []
    for seed in (1, 5):
        with shuffled(seed):
            total = cuda().sum_of_squares(to_device(arrays))
        assert total.shape == () and total.dtype == np.float64
        found.append(to_host([total])[0].item())
    assert found[0] == found[1] and math.isclose(found[0], expected, rel_tol=1e-14)
    large = [np.full((3, 700), 300.0, dtype)]
    assert math.isclose(to_host([cuda().sum_of_squares(to_device(large))])[0], 2100 * 9e4, rel_tol=1e-6)
    assert to_host([cuda().sum_of_squares(to_device([np.zeros((0, 3), dtype)]))])[0] == 0


@DTYPES
@pytest.mark.parametrize("on_device", [False, True])
def test_scale_and_clamp(dtype: Any, on_device: bool) -> None:
    before = [normal(i, *shape).astype(dtype) for i, shape in enumerate(SHAPES)]
    before[0].reshape(-1)[:3] = np.nan, np.inf, -np.inf
    for factor, limit in ((0.3, math.inf), (1.0, 0.5), (0.7, 0.4), (1.0, math.inf), (math.nan, math.inf)):
        arrays = to_device(before)
        given = to_device([np.asarray(factor)])[0] if on_device else factor
        assert cuda().scale_and_clamp(arrays, given, limit)
        with np.errstate(all="ignore"):
            expected = [np.clip(a.astype(np.float64) * factor, -limit, limit) for a in before]
        for a, right, was in zip(to_host(arrays), expected, before, strict=True):
            assert a.dtype == was.dtype
            np.testing.assert_allclose(a.astype(np.float64), right, rtol=TOLERANCE[str(a.dtype)])
