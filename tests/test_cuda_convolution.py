"""Convolution and its adjoints on the device against NumPy in float64."""

from importlib import import_module
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from tests.cuda import check, check_fused
from tests.kernels import normal

pytestmark = pytest.mark.gpu

# x, weight, stride, padding, dilation, groups
CASES = {
    "plain": ((2, 3, 7, 9), (5, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "one by one": ((2, 12, 5, 3), (70, 12, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one by one, strides": ((2, 12, 5, 3), (70, 12, 1, 1), (2, 1), (0, 1), (1, 1), 1),
    "strides": ((2, 4, 9, 11), (6, 4, 3, 4), (2, 3), (1, 2), (1, 1), 1),
    "dilations": ((1, 4, 12, 11), (6, 4, 3, 2), (1, 1), (2, 0), (2, 3), 1),
    "strides and dilations": ((2, 3, 13, 14), (4, 3, 3, 3), (4, 2), (3, 1), (2, 2), 1),
    "a stride past the kernel": ((1, 2, 10, 8), (3, 2, 2, 1), (3, 3), (0, 0), (1, 1), 1),
    "groups": ((2, 18, 5, 6), (20, 9, 3, 3), (1, 2), (1, 1), (1, 1), 2),
    "small groups": ((2, 6, 7, 6), (9, 2, 3, 3), (2, 1), (1, 1), (1, 2), 3),
    "depthwise": ((2, 5, 8, 7), (10, 1, 3, 3), (2, 2), (1, 1), (1, 1), 5),
    "one dimension": ((3, 4, 21), (6, 4, 5), (2,), (2,), (1,), 1),
    "more than a tile": ((3, 20, 9, 9), (66, 20, 2, 2), (1, 1), (0, 0), (1, 1), 1),
    "one element": ((3, 4, 21), (6, 4, 1), (1,), (0,), (1,), 1),
    "no images": ((0, 3, 7, 9), (5, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "no channels": ((2, 0, 7, 9), (5, 0, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "no outputs": ((2, 3, 7, 9), (0, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
}


def settings(case: Any) -> dict[str, Any]:
    return dict(zip(("stride", "padding", "dilation", "groups"), case[2:]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, dtype: Any) -> None:
    case = CASES[name]
    arrays = normal(0, *case[0]), normal(1, *case[1]), normal(2, case[1][0])
    check_fused("affine_convolution", *arrays, dtype=dtype, **settings(case))
    if dtype == np.float32:
        with cr.cuda.allow_tf32():
            check_fused("affine_convolution", *arrays, factor=300, **settings(case))


@pytest.mark.parametrize("name", ["strides", "depthwise", "one dimension"])
def test_rows(name: str) -> None:
    case = CASES[name]
    x, weight = normal(0, *case[0]), normal(1, *case[1])
    y = check("convolution", x, weight, **settings(case))
    check("convolution_transpose", y.astype(np.float64), weight, size=case[0][2:], **settings(case))
    check("convolution_weight", x, y.astype(np.float64), size=case[1][2:], **settings(case))
    turned = np.ascontiguousarray(x.swapaxes(1, -1)).swapaxes(1, -1)
    np.testing.assert_array_equal(check("convolution", turned, weight, **settings(case)), y)



def test_large_tiles_and_positions_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only large problems would get: tiles of 128, and several blocks for each tile of the adjoint in the weight."""
    module = import_module("chainrule.kernels.cuda.convolution")
    case = (2, 9, 9, 9), (130, 9, 3, 3), (1, 1), (1, 1), (1, 1), 1
    arrays = normal(0, *case[0]), normal(1, *case[1]), normal(2, 130)
    assert module._tiles(np.float32, 130, 162, 1)[0] == 64
    monkeypatch.setattr(module, "BLOCKS", 1)
    assert module._tiles(np.float32, 130, 162, 1) == (128, (2, 2, 1))
    check_fused("affine_convolution", *arrays, **settings(case))
    check_fused("affine_convolution", *arrays, dtype=np.float16, **settings(case))
    monkeypatch.setattr(module, "BLOCKS", 20)
    monkeypatch.setattr(module, "SHARE", 50)
    assert module._shares(162, 6) == (64, 3)
    check_fused("affine_convolution", *arrays, **settings(case))
    check_fused("affine_convolution", *arrays, dtype=ml_dtypes.bfloat16, **settings(case))


def test_what_the_kernels_do_not_take() -> None:
    one = dict(stride=(1, 1, 1), padding=(1, 0, 0), dilation=(1, 1, 1), groups=1)
    x, weight = normal(0, 1, 2, 3, 4, 3), normal(1, 3, 2, 2, 2, 2)
    y = check("convolution", x, weight, **one).astype(np.float64)
    check("convolution_transpose", y, weight, size=x.shape[2:], **one)
    check("convolution_weight", x, y, size=weight.shape[2:], **one)
    case = CASES["plain"]
    with pytest.raises(ValueError, match="channels"):
        check("convolution", normal(0, 2, 4, 7, 9), normal(1, *case[1]), **settings(case))


def test_not_a_number_stays_in_its_windows() -> None:
    case = CASES["plain"]
    x = normal(0, *case[0])
    x[1, 2, 3, 4] = np.nan
    y = check("convolution", x, normal(1, *case[1]), **settings(case))
    assert np.isnan(y[1, :, 2:5, 3:6]).all() and np.isnan(y).sum() == 5 * 9
