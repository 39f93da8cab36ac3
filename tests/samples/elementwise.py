"""Samples of chainrule.ops.arithmetic, elementwise, comparisons and choices."""

import math
from typing import Any

import numpy as np

from tests.samples.table import Sample, away, integers, mask, normal, positive, sample, uniform

nan, inf = math.nan, math.inf


def of_one(name: str, make: Any = normal, **options: Any) -> list[Sample]:
    """A function of one variable: a matrix, one number, nothing, and float32's neighbour integers."""
    return [sample(name, make(3, 4), **options), sample(name, make(), label="0-d", **options),
            sample(name, make(0, 3), label="empty", **options)]


def of_two(name: str, left: Any = normal, right: Any = normal, scalar: float = 2.5, **options: Any) -> list[Sample]:
    """A function of two variables: alike, broadcast on both sides, with a number on either side, 0-d, empty."""
    found = [sample(name, left(3, 4), right(3, 4), **options),
             sample(name, left(3, 1, 2), right(4, 1), label="broadcast", **options),
             sample(name, left(2, 3), scalar, label="scalar", **options),
             sample(name, left(), right(), label="0-d", **options),
             sample(name, left(0, 3), right(3), label="empty", **options)]
    return found


def with_tensors(name: str) -> Any:
    """torch's function of that name, which does not take numbers."""
    return lambda torch, a, b: getattr(torch, name)(a, torch.as_tensor(b, dtype=a.dtype))


def unit(*shape: int) -> np.ndarray:
    """Values inside (-0.9, 0.9), away from 0."""
    x = uniform(0.1, 0.9, *shape)
    return np.where(integers(0, 2, *shape) == 0, x, -x)


def fractions(*shape: int) -> np.ndarray:
    """Values at least 0.1 away from whole numbers and halves, of both signs."""
    whole = integers(-3, 4, *shape) + integers(0, 2, *shape) / 2
    return np.asarray(whole + uniform(0.1, 0.4, *shape))


def above_one(*shape: int) -> np.ndarray:
    """Values from [1.2, 3)."""
    return uniform(1.2, 3.0, *shape)


def bits(*shape: int) -> np.ndarray:
    """Small integers."""
    return integers(0, 8, *shape)


SPECIAL = np.array([nan, inf, -inf, 0.0, -0.0, 1.5, -2.5])
UNRECORDED: dict[str, Any] = {"differentiable": False}
KINKED: dict[str, Any] = {"analytic": False}
STEP: dict[str, Any] = {"analytic": False, "second": False}  # the derivative is 0, and nothing remains to record

SAMPLES = [
    # ---- arithmetic
    *of_two("add"), *of_two("subtract"), *of_two("sub"), *of_two("multiply"), *of_two("mul"),
    *of_two("divide", right=positive), *of_two("true_divide", right=positive), *of_two("div", right=positive),
    sample("add", 2.5, normal(3), label="scalar first", torch=lambda torch, a, b: a + b),
    sample("subtract", 2.5, normal(3), label="scalar first", torch=lambda torch, a, b: a - b),
    sample("divide", 2.5, positive(3), label="scalar first", torch=lambda torch, a, b: a / b),
    sample("add", integers(0, 5, 3), normal(3), label="integers and floats"),
    sample("add", mask(4), mask(4), label="bools", **UNRECORDED),
    sample("divide", integers(1, 5, 3), integers(1, 5, 3), label="integers", **UNRECORDED),
    *of_one("negative"), *of_one("neg"), *of_one("positive"), *of_one("square"), *of_one("reciprocal", positive),
    *of_one("identity", torch=lambda torch, x: x),
    sample("square", integers(-3, 4, 5), label="integers", **UNRECORDED),
    sample("div", normal(3, 4), positive(4), rounding_mode="floor", label="floor", **STEP),
    sample("div", normal(3, 4), positive(4), rounding_mode="trunc", label="trunc", **STEP),
    sample("div", integers(-9, 9, 6), integers(1, 4, 6), rounding_mode="floor", label="integers, floor", **UNRECORDED),
    sample("div", integers(-9, 9, 6), integers(1, 4, 6), rounding_mode="trunc", label="integers, trunc", **UNRECORDED),
    *of_two("trunc_divide", right=positive, torch=lambda torch, a, b: torch.div(a, b, rounding_mode="trunc"), **STEP),
    *of_two("floor_divide", right=positive, torch=lambda torch, a, b: torch.div(a, b, rounding_mode="floor"), **STEP),
    sample("floor_divide", integers(-9, 9, 6), integers(1, 4, 6), label="integers", **UNRECORDED),
    *of_two("remainder", lambda *s: np.asarray(fractions(*s) * 2.3), positive, 1.7, **KINKED),
    *of_two("fmod", lambda *s: np.asarray(fractions(*s) * 2.3), positive, 1.7, **KINKED),
    sample("remainder", integers(-9, 9, 6), integers(1, 4, 6), label="integers", **UNRECORDED),
    sample("remainder", normal(6), -positive(6), label="negative divisor", **KINKED),
    sample("fmod", integers(-9, 9, 6), integers(1, 4, 6), label="integers", **UNRECORDED),
    # ---- powers
    *of_two("pow", positive), *of_two("power", positive, torch="pow"),
    *[sample("pow", away(5), p, label=f"to {p}") for p in (1, 2, 3, -1, -2)],
    sample("pow", away(5), 0, label="to 0", second=False),
    sample("pow", positive(5), 0.5, label="root"),
    sample("pow", 1.7, normal(5), label="of a number"),
    sample("pow", away(5), integers(0, 4, 5), label="integer exponents"),
    sample("pow", integers(-3, 4, 5), 3, label="integers", **UNRECORDED),
    sample("pow", np.array([0.0, 0.0, 0.0]), 2, label="of zero", second=False),
    sample("float_power", positive(4), 1.5, strict_dtype=False, **KINKED),
    sample("float_power", integers(1, 5, 4), -1, label="integers", strict_dtype=False, **UNRECORDED),
    # ---- exponentials, logarithms, roots
    *of_one("exp"), *of_one("exp2"), *of_one("expm1"), *of_one("log", positive), *of_one("log2", positive),
    *of_one("log10", positive), *of_one("log1p", unit), *of_one("sqrt", positive), *of_one("rsqrt", positive),
    *of_one("cbrt", torch=lambda torch, x: x.sign() * x.abs() ** (1 / 3), **KINKED),
    sample("exp", integers(-2, 3, 4), label="integers", strict_dtype=False, tolerance=10.0, **UNRECORDED),
    # ---- trigonometry
    *of_one("sin"), *of_one("cos"), *of_one("tan", unit), *of_one("sinh"), *of_one("cosh"), *of_one("tanh"),
    *of_one("sinc"),
    *[row for name in ("arcsin", "asin", "arccos", "acos", "arctanh", "atanh") for row in of_one(name, unit)],
    *[row for name in ("arctan", "atan", "arcsinh", "asinh") for row in of_one(name)],
    *[row for name in ("arccosh", "acosh") for row in of_one(name, above_one)],
    *[row for name in ("arctan2", "atan2", "hypot") for row in of_two(name, torch=with_tensors(name), **KINKED)],
    # ---- the logistic function, the error function
    *of_one("sigmoid"), *of_one("logit", lambda *s: uniform(0.1, 0.9, *s)),
    sample("logit", np.array([0.05, 0.3, 0.6, 0.97]), eps=0.1, label="eps", **KINKED),
    *of_one("erf"), *of_one("erfc"), *of_one("erfinv", unit, **KINKED),
    sample("erf", uniform(-6, 6, 40), label="wide"), sample("erfc", uniform(-4, 9, 40), label="wide"),
    sample("erfinv", np.array([-0.999999, -0.99, 0.4999, 0.9999]), label="tails", **UNRECORDED),
    # ---- signs and rounding
    *of_one("abs", **KINKED), *of_one("absolute", **KINKED), *of_one("sign", **STEP),
    *of_one("frac", fractions, **KINKED),
    *[row for name in ("floor", "ceil", "trunc", "fix", "round") for row in of_one(name, fractions, **STEP)],
    sample("round", fractions(5) / 10, decimals=1, label="decimals", **STEP),
    sample("floor", integers(-3, 4, 5), label="integers", **UNRECORDED),
    sample("nan_to_num", normal(4), **KINKED),
    sample("nan_to_num", SPECIAL, nan=7.0, posinf=8.0, neginf=9.0, label="special", **UNRECORDED),
    sample("nan_to_num", np.array([1.0, nan]), label="nan", **UNRECORDED),
    # ---- between two values
    sample("lerp", normal(3, 4), normal(3, 4), 0.3, label="near"),
    sample("lerp", normal(3, 4), normal(3, 4), 0.8, label="far"),
    sample("lerp", normal(3, 1), normal(4), uniform(0, 1, 3, 4), label="weights"),
    sample("lerp", normal(0, 3), normal(3), 0.5, label="empty"),
    sample("lerp", normal(), normal(), uniform(0, 1), label="0-d"),
    *of_two("logaddexp", torch=with_tensors("logaddexp")),
    *of_two("logaddexp2", torch=with_tensors("logaddexp2"), **KINKED),
    sample("logaddexp", np.array([-inf, 1.0, 800.0]), np.array([1.0, -inf, 801.0]), label="far apart", **UNRECORDED),
    # ---- choices
    sample("where", mask(3, 4), normal(3, 4), normal(3, 4)),
    sample("where", mask(3, 1), normal(4), normal(2, 3, 4), label="broadcast"),
    sample("where", mask(3), normal(3), 0.0, label="number"),
    sample("where", mask(0, 3), normal(0, 3), normal(3), label="empty"),
    sample("where", np.array(True), normal(), normal(), label="0-d"),
    *[row for name in ("maximum", "minimum", "fmax", "fmin") for row in of_two(
        name, torch=with_tensors(name), **KINKED)],
    sample("maximum", SPECIAL, 1.0 + SPECIAL[::-1], label="special", **UNRECORDED),
    sample("fmax", SPECIAL, 1.0 + SPECIAL[::-1], label="special", **UNRECORDED),
    sample("fmin", SPECIAL, 1.0 + SPECIAL[::-1], label="special", **UNRECORDED),
    *[sample(name, away(3, 5, points=(-0.5, 0.8)), -0.5, 0.8, **KINKED) for name in ("clamp", "clip")],
    sample("clamp", normal(3, 4) * 2, normal(4) - 1.5, normal(3, 1) + 1.5, label="tensors", **KINKED),
    sample("clamp", normal(0, 3), 0.0, 1.0, label="empty", **KINKED),
    sample("clamp", normal(), -9.0, 9.0, label="0-d", **KINKED),
    sample("clamp", away(5, points=(0.2,)), min=0.2, label="min", **KINKED),
    sample("clamp", away(5, points=(0.2,)), max=0.2, label="max", **KINKED),
    sample("clamp", integers(-5, 5, 6), 0, 3, label="integers", **UNRECORDED),
    sample("clamp", integers(-5, 5, 6), 0.5, label="integers, float bound", strict_dtype=False, **UNRECORDED),
    sample("clamp_min", normal(3, 4), normal(4), **KINKED), sample("clamp_max", normal(3, 4), normal(4), **KINKED),
    sample("clamp_min", normal(0, 4), 0.5, label="empty", **KINKED),
    sample("clamp_max", normal(), 9.5, label="0-d", **KINKED),
    # ---- comparisons, logic, bits
    *[row for name in ("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater",
                       "greater_equal")
      for row in (sample(name, bits(3, 4), bits(4), **UNRECORDED),
                  sample(name, normal(3), 0.5, label="number", **UNRECORDED),
                  sample(name, SPECIAL, SPECIAL[::-1].copy(), label="special", **UNRECORDED))],
    *[sample(name, bits(3, 4) % 2, bits(4) % 2, **UNRECORDED) for name in ("logical_and", "logical_or", "logical_xor")],
    sample("logical_not", bits(5) % 2, **UNRECORDED),
    *[row for name in ("bitwise_and", "bitwise_or", "bitwise_xor") for row in (
        sample(name, bits(3, 4), bits(4), **UNRECORDED), sample(name, mask(5), mask(5), label="bools", **UNRECORDED))],
    *[row for name in ("bitwise_not", "bitwise_invert") for row in (
        sample(name, bits(5), torch="bitwise_not", **UNRECORDED),
        sample(name, mask(5), torch="bitwise_not", label="bools", **UNRECORDED))],
    *[sample(name, bits(3, 4), bits(4) % 4, torch=f"bitwise_{name.removeprefix('bitwise_')}", **UNRECORDED)
      for name in ("left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift")],
    *[sample(name, SPECIAL, **UNRECORDED) for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf",
                                                       "signbit")],
    *[sample(name, bits(3), label="integers", **UNRECORDED) for name in ("isnan", "isinf", "isfinite")],
    sample("heaviside", np.array([-1.0, 0.0, 2.0]), np.array([0.5]), **UNRECORDED),
    sample("isclose", np.array([1.0, 2.0, nan, inf]), np.array([1.0 + 1e-6, 2.1, nan, inf]), **UNRECORDED),
    sample("isclose", np.array([1.0, nan]), np.array([1.2, nan]), rtol=0.2, equal_nan=True, label="options",
           **UNRECORDED),
    sample("allclose", np.array([1.0, 2.0]), np.array([1.0 + 1e-6, 2.0]), **UNRECORDED),
    sample("equal", np.array([1.0, 2.0]), np.array([1.0, 2.0]), **UNRECORDED),
    # ---- sums with products
    sample("addcmul", normal(3, 4), normal(3, 4), normal(3, 4)),
    sample("addcmul", normal(3, 1), normal(4), normal(3, 4), value=-0.5, label="broadcast, value"),
    sample("addcdiv", normal(3, 4), normal(3, 4), positive(3, 4)),
    sample("addcdiv", normal(3, 1), normal(4), positive(3, 4), value=2.5, label="broadcast, value"),
]
