"""Resampling on the device against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels.reference.resampling import Taps
from tests.cuda import check
from tests.kernels import normal

pytestmark = pytest.mark.gpu
TAPS = Taps(5, 7, [0, 0, 1, 3, 3, 3, 4], [6, 0, 2, 1, 1, 5, 3], [0.5, -1.5, 2.0, 0.25, 1.0, 3.0, 1.0])  # row 2 has none


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_along_every_axis(dtype: Any) -> None:
    check("resample", normal(0, 3, 7, 50), axis=1, taps=TAPS, dtype=dtype)
    check("resample", normal(0, 50, 7).T, axis=-2, taps=TAPS, dtype=dtype)
    check("resample", normal(0, 4, 5), axis=-1, taps=TAPS.transposed(), dtype=dtype)


def test_infinity_without_a_tap_and_nothing() -> None:
    x = normal(0, 2, 7)
    x[:, 4] = np.inf  # no row asks for it
    assert np.isfinite(check("resample", x, axis=1, taps=TAPS)).all()
    check("resample", normal(0, 0, 7, 3), axis=1, taps=TAPS)
