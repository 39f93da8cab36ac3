"""NumPy's inner loops, called one after the other by compiled code: the same bits as NumPy's own calls."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.kernels.cpu.loops import FIELDS, Loops, loop_of, run, usable

UFUNCS = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.less_equal, np.greater, np.equal, np.negative,
          np.square, np.sqrt, np.exp, np.log, np.tanh, np.absolute, np.positive, np.sign, np.arctan2, np.logaddexp]
SIZES = [(32, 10, 10), (32, 10, 5), (32, 5, 1), (1, 32, 5), (5, 32, 10), (1, 1, 1), (7, 1, 9), (1, 5, 1), (3, 3, 3)]
DTYPES = [np.float32, np.float64]


def done(rows: Loops) -> None:
    run(rows.table())


def same(one: Any, other: Any) -> None:
    one, other = np.asarray(one), np.asarray(other)
    assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_the_loops_are_where_this_numpy_has_them() -> None:
    assert usable()


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(UFUNCS), st.sampled_from(DTYPES), st.lists(st.integers(1, 7), max_size=3), st.data())
def test_elementwise(ufunc: Any, dtype: Any, shape: list[int], data: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    inputs = []
    for _ in range(ufunc.nin):
        own = [n if data.draw(st.booleans()) else 1 for n in shape][data.draw(st.integers(0, len(shape))):]
        x = rng.standard_normal(own).astype(dtype)
        if own and data.draw(st.booleans()):
            x = np.concatenate([x, x], -1)[..., ::2]  # with gaps
        if data.draw(st.integers(0, 4)) == 0:
            x = np.where(x > 0.5, np.inf, np.where(x < -0.5, np.nan, -x * 0)).astype(dtype)
        inputs.append(np.asarray(x))
    inputs[0] = np.array(np.broadcast_to(inputs[0], shape))
    with np.errstate(all="ignore"):
        expected = np.asarray(ufunc(*inputs))
    out, rows = np.empty_like(expected, order="C"), Loops()
    if rows.add(ufunc, tuple(inputs), out):
        done(rows)
        same(out, expected)
    else:
        assert len(shape) == 3 and rows.rows == []  # three axes may not join to two


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_products(dtype: Any, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    rng = np.random.default_rng(0)
    for turned_a in (False, True):
        for turned_b in (False, True):
            a, b = rng.standard_normal((k, m) if turned_a else (m, k)), rng.standard_normal((n, k) if turned_b else (k, n))
            a, b = a.astype(dtype), b.astype(dtype)
            a, b = (a.T if turned_a else a), (b.T if turned_b else b)
            expected, rows = np.matmul(a, b), Loops()
            out = np.empty_like(expected)
            assert rows.add(np.matmul, (a, b), out)
            done(rows)
            same(out, expected)
            own, rows = np.empty((m, m), dtype), Loops()
            assert rows.add(np.matmul, (a, a.T), own)
            done(rows)
            same(own, np.matmul(a, a.T))
    assert not Loops().add(np.matmul, (np.zeros((2, 3, 4)), np.zeros((4, 5))), np.zeros((2, 3, 5)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(32, 10), (300, 7), (1, 9), (5,), (1,), (1000,), (13, 400), (8193,), (20000,), (3, 4, 5), ()])
def test_sums(dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values = np.asarray(rng.standard_normal(shape), dtype)
    for x in (values, np.asarray(-np.zeros(shape, dtype)), np.asarray(values * dtype(np.inf))):
        for axis in (None, 0) if x.ndim == 2 else (None,):
            with np.errstate(all="ignore"):
                expected = np.add.reduce(x, axis)
            out, rows = np.empty(np.shape(expected), dtype), Loops()
            assert rows.total(x, axis, out)
            done(rows)
            same(out, expected)
    assert not Loops().total(np.zeros((4, 5), dtype), 1, np.zeros(4, dtype))
    assert not Loops().total(np.zeros((4, 5), dtype).T, None, np.zeros((), dtype))
    assert not Loops().total(np.zeros((0,), dtype), None, np.zeros((), dtype))
    assert not Loops().total(np.zeros(4, np.float16), None, np.zeros((), np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_copies_under_a_mask(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    mask, a = rng.random((6, 5)) > 0.5, rng.standard_normal((6, 5)).astype(dtype)
    for source in (np.zeros((), dtype), a[0], a[:, :1], a):
        out, rows = np.full((6, 5), 7, dtype), Loops()
        assert rows.copy(out, source, mask)
        done(rows)
        same(out, np.where(mask, source, dtype(7)))
    assert not Loops().copy(out, np.zeros((), np.float16), mask)


def test_rows_run_in_their_order_and_again() -> None:
    a, b, c, rows = np.arange(6.0).reshape(2, 3), np.ones(3), np.zeros((2, 3)), Loops()
    assert rows.add(np.multiply, (a, b), c) and rows.add(np.add, (c, b), c) and rows.add(np.multiply, (c, c), c)
    table = rows.table()
    assert table.shape == (3, FIELDS)
    run(table)
    a += 1
    run(table)
    np.testing.assert_array_equal(c, (a + 1) ** 2)


def test_what_has_no_loop_of_its_own_is_declined() -> None:
    assert loop_of(np.add, (np.dtype("f4"), np.dtype("f8"), np.dtype("f8"))) is None
    assert loop_of(np.add, (np.dtype(">f4"),) * 3) is None
    rows = Loops()
    assert not rows.add(np.add, (np.zeros(2, "f4"), np.zeros(2)), np.zeros(2))
    assert not rows.add(np.divmod, (np.zeros(2), np.zeros(2)), np.zeros(2))
    shifted = np.zeros(17, np.uint8)[1:].view(np.float64)
    assert not rows.add(np.add, (shifted, shifted), np.zeros(2))
    assert rows.rows == []
