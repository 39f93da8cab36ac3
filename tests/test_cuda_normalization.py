"""Layer norm and rms norm on the device against their definitions in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.cuda import check_fused, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])


@DTYPES
@pytest.mark.parametrize("shape", [
    (11, 24),      # a warp a row, of packs; the last block not full
    (3, 70),       # a warp a row, element by element
    (2, 1, 1030),  # a block a row
])
def test_layer_norm(shape: tuple[int, ...], dtype: Any) -> None:
    n = shape[-1]
    check_fused("layer_norm", normal(0, *shape) * 3 + 1, normal(1, n), normal(2, n), dtype=dtype, normalized_shape=(n,), eps=1e-5)


@DTYPES
@pytest.mark.parametrize("n", [24, 70])
def test_rms_norm(n: int, dtype: Any) -> None:
    check_fused("rms_norm", normal(0, 9, n) * 3, normal(1, n), dtype=dtype, normalized_shape=(n,), eps=1e-5)


def test_rows_beyond_the_registers() -> None:
    """512 threads keep 512 · 4 packs of 4: what lies behind is loaded again."""
    x = normal(0, 1, 512 * 16 + 8) + 3
    check_fused("layer_norm", x, normal(1, x.size), None, normalized_shape=(x.size,), eps=1e-5)


def test_several_slabs_and_axes() -> None:
    check_fused("layer_norm", normal(0, 140, 3, 2, 4), normal(1, 2, 4), normal(2, 2, 4), normalized_shape=(2, 4), eps=1e-5)
    check_fused("layer_norm", normal(0, 5, 8), normalized_shape=(8,), eps=1e-5)
    check_fused("rms_norm", normal(0, 5, 8), normalized_shape=(8,), eps=1e-5)


def test_a_large_mean_costs_no_precision() -> None:
    x = np.round(normal(0, 4, 64) * 64) / 64 + 1000
    check_fused("layer_norm", x, normalized_shape=(64,), eps=1e-5, factor=4)


def test_no_rows_no_columns_not_a_number() -> None:
    for shape in ((0, 8), (3, 0)):
        out, kept = run(cuda().layer_norm, np.zeros(shape, np.float32), None, None, normalized_shape=shape[1:], eps=1e-5)
        assert out.shape == shape
        slopes = run(cuda().layer_norm_grad, out, out, None, None, *kept.values(), shape[1:], (True, True, True))
        assert [s.shape for s in slopes] == [shape, shape[1:], shape[1:]] and not slopes[1].any()
    x = normal(0, 5, 40)
    x[1, 3], x[2, 5] = np.nan, np.inf
    with np.errstate(all="ignore"):
        check_fused("layer_norm", x, normalized_shape=(40,), eps=1e-5)


def test_what_is_declined() -> None:
    x, w = to_device(normal(0, 3, 8, dtype=np.float32)), to_device(normal(1, 8))
    assert cuda().layer_norm(x, w, None, normalized_shape=(8,), eps=1e-5) is NotImplemented
    assert cuda().rms_norm(x.astype(np.int64), None, normalized_shape=(8,), eps=1e-5) is NotImplemented
