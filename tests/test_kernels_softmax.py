"""The compiled softmax and log_softmax and their derivatives against NumPy in float64."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.breaking import compiled_at_every_size
from tests.kernels import check, normal, results

FUNCTIONS = pytest.mark.parametrize("function", [cr.softmax, cr.log_softmax])


@pytest.fixture(autouse=True)
def at_every_size() -> Iterator[None]:
    with compiled_at_every_size():
        yield


@FUNCTIONS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, axis", [((7,), 0), ((300, 65), 1), ((3, 4, 2500), -1), ((2, 3, 5), 1), ((0, 3), 1), ((3, 0), 1)])
def test_values_and_derivatives(function: Any, shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    check(lambda x: function(x, axis), normal(0, *shape, dtype=dtype) * 4, ulps=8)


@FUNCTIONS
def test_far_from_zero_and_strided(function: Any) -> None:
    x = normal(0, 40, 30).T + 1e5
    check(lambda x: function(x, 1), x, ulps=8)
    check(lambda x: function(x, 1), x.astype(np.float32), ulps=8)


@FUNCTIONS
def test_not_a_number_and_infinity(function: Any) -> None:
    x = normal(0, 5, 40, dtype=np.float32)
    x[1, 3], x[2, 5], x[3, :], x[4, 1] = np.nan, np.inf, -np.inf, -np.inf
    found = results(lambda x: function(x, 1), (x,))
    with cr.backend("reference"):
        expected = results(lambda x: function(x, 1), (x,))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
