"""The compiled generator has the reference's bits, and so has everything that is drawn by it."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels import cpu, reference
from tests.kernels import normal

KEYS = [(0, 0), (2**64 - 1, 2**64 - 1), (0x299F31D0_A4093822, 0x03707344_13198A2E), (5, 7)]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3, 5), (4 * 4096 * 2 + 7,)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_bits(key: tuple[int, int], shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(cpu.philox(key, shape), reference.philox(key, shape), strict=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_same_numbers(shape: tuple[int, ...], dtype: Any) -> None:
    for key in KEYS:
        for name in ("random_uniform", "random_normal"):
            found, expected = (getattr(xp, name)(key, shape, dtype) for xp in (cpu, reference))
            np.testing.assert_array_equal(found, expected, strict=True)
    for bounds in ((0, 10), (-5, 2**40), (-2**63, 2**63)):
        found, expected = (xp.random_integers((5, 7), shape, *bounds) for xp in (cpu, reference))
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("shape", [*SHAPES, (70, 301)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout_has_the_same_mask(shape: tuple[int, ...], dtype: Any, p: float) -> None:
    x = normal(0, *shape, dtype=dtype)
    for key in KEYS[1:3]:
        options: Any = {"key": key, "p": p, "scale": 1.25, "shape": shape}
        np.testing.assert_array_equal(cpu.dropout(x, **options), reference.dropout(x, **options), strict=True)


def test_dropout_of_other_arrays() -> None:
    """Strided ones, masks that broadcast, NaN and infinity (times 0 they are NaN, as in the definition)."""
    x = normal(0, 6, 8, 10).transpose(2, 0, 1)
    options: Any = {"key": (1, 2), "p": 0.5, "scale": 2.0}
    for shape in (x.shape, (10, 6, 1), (1, 1, 8)):
        np.testing.assert_array_equal(cpu.dropout(x, shape=shape, **options), reference.dropout(x, shape=shape, **options))
    special = np.tile(np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float32), 50)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(cpu.dropout(special, shape=special.shape, **options),
                                      reference.dropout(special, shape=special.shape, **options))


def test_the_backward_pass_draws_the_same_mask() -> None:
    x = cr.Tensor(np.ones((300, 77), np.float32), requires_grad=True)
    out = F.dropout(x, 0.3, generator=cr.Generator(3))
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, out.data)
    with cr.backend("reference"):
        np.testing.assert_array_equal(F.dropout(x, 0.3, generator=cr.Generator(3)).data, out.data)
