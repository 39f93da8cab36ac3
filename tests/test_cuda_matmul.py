"""Products of matrices and the affine map on the device against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from tests.cuda import check, check_fused, close, cuda, run, to_device
from tests.cuda_on_cpu import cublas, simulated
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])

SHAPES = [((3, 5), (5, 7)), ((1, 5), (5, 1)), ((4, 1), (1, 3)), ((2, 3, 5), (5, 7)), ((2, 3, 5), (2, 5, 7)), ((3, 5), (4, 5, 2)),
          ((2, 1, 3, 5), (4, 5, 2)), ((2, 1, 3, 5), (1, 4, 5, 2)), ((0, 5), (5, 7)), ((3, 0), (0, 7)), ((2, 3, 0), (0, 4)),
          ((0, 3, 5), (5, 2))]


@DTYPES
@pytest.mark.parametrize("shapes", SHAPES)
def test_products(shapes: Any, dtype: Any) -> None:
    a, b = (normal(i, *s) for i, s in enumerate(shapes))
    check("matmul", a, b, dtype=dtype)
    check("matmul", a.swapaxes(-1, -2).copy().swapaxes(-1, -2), b, dtype=dtype)
    check("matmul", a, b.swapaxes(-1, -2).copy().swapaxes(-1, -2), dtype=dtype)


def test_views() -> None:
    x = normal(0, 4, 6, 3, 8)
    wide = normal(1, 8, 12)
    a, b = (to_device(v.astype(np.float32)) for v in (x, wide))
    product = cuda().matmul
    for one, other, right in ((a[:, :, 1], b[:, 2:9], x[:, :, 1] @ wide[:, 2:9]), (a[1, 2, :, ::-1], b, x[1, 2, :, ::-1] @ wide),
                              (a[0, 0, :, ::2], b[::2], x[0, 0, :, ::2] @ wide[::2]),
                              (a.transpose(0, 2, 1, 3), b, x.transpose(0, 2, 1, 3) @ wide),
                              (a.transpose(0, 2, 1, 3), a.transpose(0, 2, 3, 1), x.transpose(0, 2, 1, 3) @ x.transpose(0, 2, 3, 1)),
                              (a[:, :1], a[:1].swapaxes(2, 3), x[:, :1] @ x[:1].swapaxes(2, 3)),
                              (a[0, 0, :1].T, b[:1], x[0, 0, :1].T @ wide[:1])):
        close(product(one, other).get(), right, np.float32)


def test_what_cublas_does_not_take() -> None:
    whole = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(run(cuda().matmul, whole, whole.T), whole @ whole.T)
    complex_ = (whole + 1j).astype(np.complex64)
    np.testing.assert_array_equal(run(cuda().matmul, complex_, complex_.T), complex_ @ complex_.T)
    with pytest.raises(ValueError):
        run(cuda().matmul, np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))


def test_tf32_is_a_choice() -> None:
    a, b = normal(0, 64, 64, dtype=np.float32), normal(1, 2, 64, 64, dtype=np.float32)
    exact = run(cuda().matmul, a, b)
    with cr.cuda.allow_tf32():
        rounded = run(cuda().matmul, a, b)
        one = run(cuda().matmul, a, b[0])
        same = run(cuda().matmul, a.astype(np.float64), b.astype(np.float64))
    close(exact, a.astype(np.float64) @ b.astype(np.float64), np.float32)
    close(same, a.astype(np.float64) @ b.astype(np.float64), np.float64)
    close(rounded, a.astype(np.float64) @ b.astype(np.float64), np.float32, factor=500)
    close(one, a.astype(np.float64) @ b[0].astype(np.float64), np.float32, factor=500)
    if simulated():
        close(rounded, cublas.tf32(a).astype(np.float64) @ cublas.tf32(b).astype(np.float64), np.float32)
        np.testing.assert_array_equal(one, rounded[0])


@DTYPES
@pytest.mark.parametrize("rows, inputs, outputs", [((5,), 3, 7), ((2, 70), 4, 33), ((300,), 1, 40), ((0,), 3, 4), ((3,), 0, 2),
                                                   ((2, 3), 4, 0)])
def test_linear(rows: tuple[int, ...], inputs: int, outputs: int, dtype: Any) -> None:
    x, weight, bias = normal(0, *rows, inputs), normal(1, outputs, inputs), normal(2, outputs)
    check_fused("linear", x, weight, bias, dtype=dtype, factor=3)  # the terms of the bias's gradient cancel
    check_fused("linear", x, weight, None, dtype=dtype, factor=1.5)


def test_linear_of_one_row_and_of_views() -> None:
    weight, bias = normal(1, 7, 5), normal(2, 7)
    check_fused("linear", normal(0, 5), weight, bias)
    check_fused("linear", normal(0, 4, 10)[:, ::2], weight, bias)
    check_fused("linear", normal(0, 4, 5), normal(1, 5, 7).T, bias)
    with pytest.raises(ValueError, match="features"):
        run(cuda().linear, normal(0, 3, 4), weight, bias)
    assert cuda().linear(*to_device((np.ones((2, 5), np.float32), weight)), None) is NotImplemented


def test_not_a_number_stays_in_its_row() -> None:
    x, weight = normal(0, 3, 5, dtype=np.float32), normal(1, 4, 5, dtype=np.float32)
    x[1, 2] = np.nan
    out = run(cuda().linear, x, weight, np.ones(4, np.float32))
    assert np.isnan(out[1]).all() and np.isfinite(out[[0, 2]]).all()


def twin(a: Any, b: Any, turn_a: bool, turn_b: bool) -> Any:
    """tiled_matmul of operands that lie by columns where they are turned."""
    from chainrule.kernels.cuda.matmul import tiled_matmul

    return tiled_matmul(a.T.copy().T if turn_a else a, b.T.copy().T if turn_b else b)


@DTYPES
@pytest.mark.parametrize("m, k, n", [(130, 40, 70), (5, 3, 9), (64, 100, 8), (0, 3, 4), (3, 0, 4)])
def test_the_tiled_twin(m: int, k: int, n: int, dtype: Any) -> None:
    a, b = normal(0, m, k).astype(dtype), normal(1, k, n).astype(dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    for turns in ((False, False), (False, True), (True, False), (True, True)):
        close(run(twin, a, b, *turns), expected, dtype)
        if dtype == np.float32:
            with cr.cuda.allow_tf32():
                close(run(twin, a, b, *turns), expected, dtype, factor=500)


def test_what_the_twin_does_not_take() -> None:
    from chainrule.kernels.cuda.matmul import tiled_matmul

    with pytest.raises(ValueError, match="were expected"):
        run(tiled_matmul, np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="were expected"):
        run(tiled_matmul, np.ones((2, 3), np.float32), np.ones((3, 2)))
    x = np.ones((140, 70), np.float32)
    x[3, 4], x[100, 2] = np.nan, np.inf
    found = run(tiled_matmul, x, np.ones((70, 2), np.float32))
    assert np.isnan(found[3]).all() and np.isinf(found[100]).all() and np.isfinite(np.delete(found, [3, 100], 0)).all()
    close(run(lambda y: tiled_matmul(y[:, ::2], y.T[::2, 1:]), x[5:90]), x[5:90, ::2] @ x[5:90].T[::2, 1:], np.float32)
