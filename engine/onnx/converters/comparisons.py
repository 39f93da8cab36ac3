"""Comparisons, logic, choices."""

import math
from typing import Any

import numpy as np

from chainrule.onnx.converters.elementwise import same
from chainrule.onnx.table import converter, converters

converters.update({"less": same("Less"), "less_equal": same("LessOrEqual"), "greater": same("Greater"),
                   "greater_equal": same("GreaterOrEqual"), "equal": same("Equal"), "where": same("Where")})


@converter("not_equal")
def not_equal(g: Any, use: Any, a: str, b: str) -> Any:
    """Not Equal."""
    return g.op("Not", g.op("Equal", a, b))


def logic(kind: str) -> Any:
    """Operands that are no bools count as whether they are nonzero."""
    return lambda g, use, *inputs: g.op(kind, *[g.cast(x, own, np.bool_) for x, own in zip(inputs, use.dtypes, strict=True)])


converters.update({"logical_and": logic("And"), "logical_or": logic("Or"), "logical_xor": logic("Xor"),
                   "logical_not": logic("Not")})


def bits(kind: str, of_bools: str) -> Any:
    """Bit by bit; on bools it is logic."""
    return lambda g, use, *inputs: g.op(of_bools if use.dtype == np.bool_ else kind, *inputs)


converters.update({"bitwise_and": bits("BitwiseAnd", "And"), "bitwise_or": bits("BitwiseOr", "Or"),
                   "bitwise_xor": bits("BitwiseXor", "Xor"), "bitwise_not": bits("BitwiseNot", "Not")})


@converter("left_shift")
def left_shift(g: Any, use: Any, a: str, b: str) -> Any:
    """x · 2ⁿ."""
    return g.op("Mul", a, g.op("Pow", g.constant(2, use.dtype), b))


@converter("right_shift")
def right_shift(g: Any, use: Any, a: str, b: str) -> Any:
    """x / 2ⁿ, rounded down."""
    power = g.op("Pow", g.constant(2, use.dtype), b)
    return g.op("Div", g.op("Sub", a, g.op("Mod", a, power)), power)


@converter("isfinite", "isnan", "isinf")
def special(g: Any, use: Any, x: str) -> Any:
    """IsNaN, IsInf, or neither; the same answer everywhere for integers."""
    if use.dtypes[0].kind != "f":  # an integer is finite, and no NaN
        return g.op("Expand", g.constant(use.name == "isfinite", np.bool_), g.op("Shape", x))
    if use.name != "isfinite":
        return g.op("IsNaN" if use.name == "isnan" else "IsInf", x)
    return g.op("Not", g.op("Or", g.op("IsNaN", x), g.op("IsInf", x)))


@converter("isposinf")
def isposinf(g: Any, use: Any, x: str) -> Any:
    """IsInf for one sign."""
    return g.op("IsInf", x, detect_negative=0)


@converter("isneginf")
def isneginf(g: Any, use: Any, x: str) -> Any:
    """IsInf for the other."""
    return g.op("IsInf", x, detect_positive=0)


@converter("signbit")
def signbit(g: Any, use: Any, x: str) -> Any:
    """Less than 0; of a zero the sign of 1/x."""
    zero, one = g.constant(0, use.dtypes[0]), g.constant(1, use.dtypes[0])
    if use.dtypes[0].kind != "f":
        return g.op("Less", x, zero)
    return g.op("Less", g.op("Where", g.op("Equal", x, zero), g.op("Div", one, x), x), zero)  # 1/-0 is -inf


@converter("heaviside")
def heaviside(g: Any, use: Any, x: str, at_zero: str) -> Any:
    """Two Wheres."""
    zero, one = g.constant(0, use.dtype), g.constant(1, use.dtype)
    return g.op("Where", g.op("Equal", x, zero), at_zero, g.op("Where", g.op("Less", x, zero), zero, one))


@converter("isclose")
def isclose(g: Any, use: Any, a: str, b: str) -> Any:
    """|a - b| <= atol + rtol |b|, or equal (infinities), or both NaN where asked."""
    dtype = np.promote_types(use.dtypes[0], np.float32)
    a, b = g.cast(a, use.dtypes[0], dtype), g.cast(b, use.dtypes[1], dtype)
    near = g.op("Add", g.constant(use["atol"], dtype), g.op("Mul", g.constant(use["rtol"], dtype), g.op("Abs", b)))
    finite = g.op("LessOrEqual", g.op("Abs", g.op("Sub", a, b)), near)
    finite = g.op("And", finite, g.op("Not", g.op("Or", g.op("IsInf", a), g.op("IsInf", b))))
    close = g.op("Or", finite, g.op("Equal", a, b))
    return g.op("Or", close, g.op("And", g.op("IsNaN", a), g.op("IsNaN", b))) if use["equal_nan"] else close


def extreme(kind: str) -> Any:
    """Max or Min; Or or And for bools."""
    return lambda g, use, a, b: g.op({"Max": "Or", "Min": "And"}[kind] if use.dtype == np.bool_ else kind, a, b)


converters.update({"maximum": extreme("Max"), "minimum": extreme("Min"), "clamp_min": extreme("Max"), "clamp_max": extreme("Min")})


def number_wins(kind: str) -> Any:
    """Max or Min where a NaN loses."""
    def convert(g: Any, use: Any, a: str, b: str) -> Any:
        if use.dtype.kind != "f":
            return extreme(kind)(g, use, a, b)
        a, b = g.op("Where", g.op("IsNaN", a), b, a), g.op("Where", g.op("IsNaN", b), a, b)
        return g.op(kind, a, b)

    return convert


converters.update({"fmax": number_wins("Max"), "fmin": number_wins("Min")})


@converter("clip")
def clip(g: Any, use: Any, x: str) -> Any:
    """Clip; an infinite bound is none."""
    low, high = ((None if v is None or abs(v) == math.inf else g.constant(v, use.dtype)) for v in (use["min"], use["max"]))
    return g.op("Clip", x, low, high)
