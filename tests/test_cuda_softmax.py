"""softmax and log_softmax on the device against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels import reference
from tests.cuda import check, close, cuda, no_synchronisation, run, to_device, to_host
from tests.kernels import normal

pytestmark = pytest.mark.gpu
NAMES = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


@NAMES
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 2, 70), (2, 1500)])
def test_values_and_derivatives(name: str, shape: tuple[int, ...], dtype: Any) -> None:
    out = check(name, normal(0, *shape) * 4, dtype=dtype, axis=-1)
    g = normal(1, *shape).astype(dtype)
    y, w = out.astype(np.float64), g.astype(np.float64)
    expected = y * (w - (w * y).sum(-1, keepdims=True)) if name == "softmax" else w - np.exp(y) * w.sum(-1, keepdims=True)
    found, = run(getattr(cuda(), name + "_grad"), g, out, -1)
    close(found, expected, dtype)


@NAMES
def test_what_the_kernel_does_not_take(name: str) -> None:
    x = normal(0, 3, 4, 5)
    check(name, x, axis=1)
    check(name, x.transpose(2, 0, 1), axis=-1)
    assert run(getattr(cuda(), name), np.zeros((0, 3), np.float32), axis=-1).shape == (0, 3)
    assert run(getattr(cuda(), name), np.zeros((3, 0), np.float32), axis=-1).shape == (3, 0)


@NAMES
def test_not_a_number_and_infinity(name: str) -> None:
    x = normal(0, 5, 40, dtype=np.float32)
    x[1, 3], x[2, 5], x[3, :], x[4, 1] = np.nan, np.inf, -np.inf, -np.inf
    with np.errstate(all="ignore"):
        close(run(getattr(cuda(), name), x, axis=1), getattr(reference, name)(x.astype(np.float64), axis=1), np.float32)


@NAMES
def test_the_host_does_not_wait(name: str) -> None:
    x, g = to_device([normal(0, 4, 40, dtype=np.float32), normal(1, 4, 40, dtype=np.float32)])

    def both() -> Any:
        out = getattr(cuda(), name)(x, axis=-1)
        return out, *getattr(cuda(), name + "_grad")(g, out, -1)

    expected = to_host(both())
    with no_synchronisation():
        found = both()
    for one, right in zip(to_host(found), expected, strict=True):
        np.testing.assert_array_equal(one, right)
