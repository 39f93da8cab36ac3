"""The generator on the device has the reference's bits, and so has everything that is drawn by it."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from chainrule.kernels import reference
from tests.cuda import cuda, run
from tests.kernels import normal

pytestmark = pytest.mark.gpu
KEYS = [(0, 0), (2**64 - 1, 2**64 - 1), (0x299F31D0_A4093822, 0x03707344_13198A2E)]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3, 5), (4 * 256 * 2 + 7,)]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_bits(key: tuple[int, int], shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(run(lambda: cuda().philox(key, shape)), reference.philox(key, shape), strict=True)


@pytest.mark.parametrize("shape", SHAPES)
@DTYPES
def test_the_same_numbers(shape: tuple[int, ...], dtype: Any) -> None:
    for key in KEYS:
        found = run(cuda().random_uniform, key=key, shape=shape, dtype=dtype)
        np.testing.assert_array_equal(found, reference.random_uniform(key, shape, dtype), strict=True)
        assert (found.astype(np.float64) < 1).all()
        found = run(cuda().random_normal, key=key, shape=shape, dtype=dtype)
        expected = reference.random_normal(key, shape, dtype)
        assert found.dtype == expected.dtype and found.shape == expected.shape
        step = float(ml_dtypes.finfo(dtype).eps) * 4
        np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=step, atol=step)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounds", [(0, 10), (-5, 2**40), (-2**63, 2**63)])
def test_the_same_integers(shape: tuple[int, ...], bounds: tuple[int, int]) -> None:
    found = run(lambda: cuda().random_integers((5, 7), shape, *bounds))
    np.testing.assert_array_equal(found, reference.random_integers((5, 7), shape, *bounds), strict=True)


@pytest.mark.parametrize("shape", [*SHAPES, (7, 301)])
@DTYPES
def test_dropout_has_the_same_mask(shape: tuple[int, ...], dtype: Any) -> None:
    x = normal(0, *shape).astype(dtype)
    for key, p in zip(KEYS * 2, (0.0, 0.1, 0.5, 1.0)):
        options: Any = {"key": key, "p": p, "scale": 1.2, "shape": shape}
        np.testing.assert_array_equal(run(cuda().dropout, x, **options), reference.dropout(x, **options), strict=True)


def test_dropout_of_other_arrays() -> None:
    """Strided ones, those that begin where no pack may, masks that broadcast, NaN and infinity (times 0 they are NaN)."""
    x = normal(0, 6, 8, 10, dtype=np.float32)
    options: Any = {"key": (1, 2), "p": 0.5, "scale": 2.0}
    for part in (x.transpose(2, 0, 1), x.reshape(-1)[1:]):
        np.testing.assert_array_equal(run(cuda().dropout, part, shape=part.shape, **options),
                                      reference.dropout(part, shape=part.shape, **options))
    line = x.reshape(-1)
    np.testing.assert_array_equal(run(lambda a: cuda().dropout(a[1:], shape=(line.size - 1,), **options), line),
                                  reference.dropout(line[1:], shape=(line.size - 1,), **options))
    for shape in ((6, 8, 1), (1, 1, 10)):
        np.testing.assert_array_equal(run(cuda().dropout, x, shape=shape, **options),
                                      reference.dropout(x, shape=shape, **options))
    special = np.tile(np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float32), 10)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(run(cuda().dropout, special, shape=special.shape, **options),
                                      reference.dropout(special, shape=special.shape, **options))
