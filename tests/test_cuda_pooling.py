"""Pooling on the device against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels import reference
from tests.cuda import check, check_fused, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])

# x, kernel, stride, padding, dilation, ceil_mode
CASES = {
    "halves": ((2, 3, 8, 12), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "overlapping": ((2, 3, 9, 7), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "uneven": ((1, 4, 11, 10), (3, 2), (1, 3), (1, 0), (1, 1), True),
    "dilated": ((2, 2, 12, 9), (3, 2), (2, 1), (1, 1), (2, 3), False),
    "a stride past the kernel": ((1, 2, 9, 9), (2, 1), (3, 4), (0, 0), (1, 1), True),
    "one dimension": ((2, 3, 15), (4,), (3,), (2,), (1,), True),
    "more than a block": ((3, 5, 16, 17), (3, 3), (1, 1), (1, 1), (1, 1), False),
    "no images": ((0, 3, 8, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
}


def settings(case: Any, dilation: bool = True) -> dict[str, Any]:
    found = dict(zip(("kernel", "stride", "padding", "dilation", "ceil_mode"), case[1:]))
    return found if dilation else {n: v for n, v in found.items() if n != "dilation"}


@DTYPES
@pytest.mark.parametrize("name", CASES)
def test_maxima(name: str, dtype: Any) -> None:
    case = CASES[name]
    x = np.random.default_rng(0).integers(-4, 4, case[0]).astype(np.float64)  # with equal ones
    check_fused("max_pool", x, dtype=dtype, **settings(case))
    check_indices(x.astype(dtype), **settings(case))


def check_indices(x: Any, **options: Any) -> None:
    found = run(cuda().max_pool_indices, x, **options)
    np.testing.assert_array_equal(found, reference.max_pool_indices(x.astype(np.float64), **options), strict=True)


@DTYPES
@pytest.mark.parametrize("name", [n for n in CASES if n != "dilated"])
@pytest.mark.parametrize("include, divisor", [(True, None), (False, None), (True, 5)])
def test_means(name: str, include: bool, divisor: int | None, dtype: Any) -> None:
    case = CASES[name]
    options: Any = {**settings(case, False), "count_include_pad": include, "divisor": divisor}
    y = check("average_pool", normal(0, *case[0]), dtype=dtype, **options)
    check("average_pool_transpose", normal(1, *y.shape), dtype=dtype, size=case[0][2:], **options)


def test_not_a_number_and_infinity() -> None:
    x = normal(0, 2, 2, 6, 6)
    x[0, 0, 1, 1], x[0, 0, 0, 0], x[1, 1, 2, 3], x[1, 0] = np.nan, np.inf, np.inf, -np.inf
    one = settings(CASES["halves"])
    y, = check_fused("max_pool", x, **one)
    assert np.isnan(y[0, 0, 0, 0]) and y[1, 1, 1, 1] == np.inf and (y[1, 0] == -np.inf).all()
    check_indices(x, **one)


@DTYPES
@pytest.mark.parametrize("shape, out", [((2, 3, 7, 9), (3, 4)), ((1, 2, 5), (7,)), ((2, 2, 4, 6), (1, 6))])
def test_windows_that_divide_evenly(shape: Any, out: Any, dtype: Any) -> None:
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(dtype)
    x[0, 0, ..., 1:4] = [np.nan, np.inf, np.nan]
    found = run(cuda().adaptive_max_pool_indices, x, out=out)
    np.testing.assert_array_equal(found, reference.adaptive_max_pool_indices(x.astype(np.float64), out=out), strict=True)
    assert run(cuda().adaptive_max_pool_indices, x[:0], out=out).shape == (0, shape[1], *out)


def test_what_the_kernels_do_not_take() -> None:
    x = normal(0, 1, 2, 4, 5, 6)
    three: Any = {"kernel": (2, 2, 3), "stride": (2, 1, 2), "padding": (0, 1, 1), "ceil_mode": False}
    assert cuda().max_pool(to_device(x), dilation=(1, 1, 1), **three) is NotImplemented
    check_indices(x, dilation=(1, 1, 1), **three)
    y = check("average_pool", x, count_include_pad=True, divisor=None, **three)
    check("average_pool_transpose", y.astype(np.float64), count_include_pad=True, divisor=None, size=(4, 5, 6), **three)
    large: Any = {"kernel": (16, 16), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False}
    assert cuda().max_pool(to_device(normal(0, 1, 1, 16, 16)), **large) is NotImplemented
    with pytest.raises(ValueError, match="sees nothing"):
        run(cuda().max_pool, normal(0, 1, 1, 1, 1), kernel=(2, 2), stride=(1, 1), padding=(1, 1), dilation=(2, 2), ceil_mode=False)
    with pytest.raises(ValueError, match="was expected"):
        run(cuda().average_pool_transpose, normal(0, 1, 1, 3, 3), kernel=(2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=False,
            count_include_pad=True, divisor=None, size=(8, 8))
    taken = x[:, :, ::2, 0].swapaxes(2, 3)
    check_fused("max_pool", taken, **settings(CASES["halves"]))
