"""Functions of one element and their derivatives on the device against NumPy in float64."""

from inspect import signature
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import names
from chainrule.kernels import reference
from tests.cuda import check, check_fused, close, cuda, run
from tests.kernels import normal

pytestmark = pytest.mark.gpu
ROWS: dict[str, dict[str, Any]] = {
    "relu": {}, "leaky_relu": {"negative_slope": 0.1}, "elu": {"alpha": 0.7, "scale": 1.3, "input_scale": 2.0}, "silu": {},
    "softplus": {"beta": 2.0, "threshold": 3.0}, "sigmoid": {}, "tanh": {}, "erf": {}, "erfc": {},
}
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30, 3e4, -3e4, 88.0, -88.0]


def derivative(name: str, x: Any, g: Any) -> Any:
    """g times the derivative by the row's formula, in float64, where the cpu backend has the reference's functions."""
    leaf = cr.Tensor(x.astype(np.float64), requires_grad=True)
    with cr.backend("reference"), np.errstate(all="ignore"):
        out = getattr(names.ops, name)(leaf, **ROWS[name])
        found, = cr.grad(out, leaf, cr.Tensor(g.astype(np.float64)))
    return found.data


def slope(name: str, g: Any, x: Any, out: Any) -> Any:
    """The gradient kernel's result."""
    kernel = getattr(cuda(), name + "_grad")
    known = {"input": x, "out": out, **ROWS[name]}
    found, = run(kernel, g, *[known[p] for p in list(signature(kernel).parameters)[1:]])
    return found


@pytest.mark.parametrize("name, dtype", [*[(n, np.float32) for n in ROWS], *[("softplus", d) for d in DTYPES[1:]]])
def test_values_and_derivatives(name: str, dtype: Any) -> None:
    """Two blocks, the last pack not whole."""
    x, g = normal(0, 3, 431).astype(dtype) * np.array(2, dtype), normal(1, 3, 431).astype(dtype)
    out = check(name, x, dtype=dtype, **ROWS[name])
    of_result = "out" in signature(getattr(cuda(), name + "_grad")).parameters
    close(slope(name, g, x, out), derivative(name, x, g), dtype, factor=4 if of_result else 1)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gelu(approximate: str, dtype: Any) -> None:
    check_fused("gelu", normal(0, 3, 431) * 2, dtype=dtype, approximate=approximate)


@pytest.mark.parametrize("name", ROWS)
def test_not_a_number_and_infinity(name: str) -> None:
    """At the ends of the range a value and its derivative are what the definition gives: the same NaN, infinities and zeros."""
    x = np.array(SPECIAL, np.float32)
    with np.errstate(all="ignore"):
        found = check(name, x, **ROWS[name])
        g = np.ones_like(x)
        close(slope(name, g, x, found), derivative(name, x, g), np.float32)


def test_shapes_and_places() -> None:
    """Nothing, one element, memory that is strided, and memory that begins where no pack may."""
    for shape in ((), (0,), (3, 0), (1,), (5,)):
        check("relu", normal(0, *shape), dtype=np.float32)
    x = normal(0, 40, 7, dtype=np.float32)
    for part in (lambda a: a.T, lambda a: a[1:], lambda a: a[:, 1:], lambda a: a[::-1]):
        np.testing.assert_array_equal(run(lambda a, part=part: cuda().relu(part(a)), x), np.maximum(part(x), 0))
        found, = run(lambda a, part=part: cuda().relu_grad(part(a), part(a)), x)
        np.testing.assert_array_equal(found, np.maximum(part(x), 0))


def test_what_the_kernels_do_not_take() -> None:
    x = np.arange(-3, 4)
    np.testing.assert_array_equal(run(cuda().relu, x), reference.relu(x))
    assert run(lambda a: cuda().relu_grad(a.astype(np.float32), a) is NotImplemented, x)
    check("exp", normal(0, 9), dtype=np.float32)
