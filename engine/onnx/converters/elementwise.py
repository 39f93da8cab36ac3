"""Functions of one variable."""

import math
from typing import Any

import numpy as np

from chainrule.onnx.table import converter, converters

SAME = {  # op -> the ONNX operator that is the same
    "abs": "Abs", "arccos": "Acos", "arccosh": "Acosh", "arcsin": "Asin", "arcsinh": "Asinh", "arctan": "Atan",
    "arctanh": "Atanh", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "log": "Log",
    "negative": "Neg", "reciprocal": "Reciprocal", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh",
    "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh",
}


def same(kind: str) -> Any:
    """A converter that adds one node."""
    return lambda g, use, *inputs: g.op(kind, *inputs)


converters.update({name: same(kind) for name, kind in SAME.items()})

def rounded(kind: str) -> Any:
    """Rounding: nothing to do for integers, for which ONNX has no operator."""
    return lambda g, use, x: g.op(kind, x) if use.dtype.kind == "f" else x


converters.update({"ceil": rounded("Ceil"), "floor": rounded("Floor")})


@converter("identity", "positive", "clone")
def unchanged(g: Any, use: Any, x: str) -> str:
    """Nothing: the result is the input, whose value never changes."""
    return x


def floored(g: Any, x: str) -> Any:
    """Rounded toward zero."""
    return g.op("Mul", g.op("Sign", x), g.op("Floor", g.op("Abs", x)))


@converter("trunc")
def trunc(g: Any, use: Any, x: str) -> Any:
    """Rounded toward zero."""
    return floored(g, x) if use.dtype.kind == "f" else x


@converter("frac")
def frac(g: Any, use: Any, x: str) -> Any:
    """x less its whole part."""
    return g.op("Sub", x, floored(g, x) if use.dtype.kind == "f" else x)


@converter("round")
def around(g: Any, use: Any, x: str) -> Any:
    """Round, which takes halves to the even number, of a multiple."""
    if use.dtype.kind != "f":
        return x
    if not use["decimals"]:
        return g.op("Round", x)
    factor = g.constant(10.0 ** use["decimals"], use.dtype)
    return g.op("Div", g.op("Round", g.op("Mul", x, factor)), factor)


@converter("exp2")
def exp2(g: Any, use: Any, x: str) -> Any:
    """Pow of 2."""
    return g.op("Pow", g.constant(2, use.dtype), x)


@converter("expm1")
def expm1(g: Any, use: Any, x: str) -> Any:
    """2 sinh(x/2) exp(x/2), exact near 0."""
    half = g.op("Mul", x, g.constant(0.5, use.dtype))
    return g.op("Mul", g.op("Mul", g.op("Sinh", half), g.op("Exp", half)), g.constant(2, use.dtype))


def logarithm(base: float) -> Any:
    """log(x) / log(base)."""
    return lambda g, use, x: g.op("Div", g.op("Log", x), g.constant(math.log(base), use.dtype))


converters.update({"log2": logarithm(2), "log10": logarithm(10)})


@converter("log1p")
def log1p(g: Any, use: Any, x: str) -> Any:
    """Log of 1 + x."""
    return g.op("Log", g.op("Add", x, g.constant(1, use.dtype)))


@converter("rsqrt")
def rsqrt(g: Any, use: Any, x: str) -> Any:
    """1 / √x."""
    return g.op("Reciprocal", g.op("Sqrt", x))


@converter("cbrt")
def cbrt(g: Any, use: Any, x: str) -> Any:
    """The root of |x|, with the sign of x."""
    return g.op("Mul", g.op("Sign", x), g.op("Pow", g.op("Abs", x), g.constant(1 / 3, use.dtype)))


@converter("square")
def square(g: Any, use: Any, x: str) -> Any:
    """x · x."""
    return g.op("Mul", x, x)


@converter("sinc")
def sinc(g: Any, use: Any, x: str) -> Any:
    """sin(πx) / (πx), 1 at 0."""
    zero, one = g.constant(0, use.dtype), g.constant(1, use.dtype)
    nothing = g.op("Equal", x, zero)
    angle = g.op("Mul", g.op("Where", nothing, one, x), g.constant(math.pi, use.dtype))
    return g.op("Where", nothing, one, g.op("Div", g.op("Sin", angle), angle))


@converter("erfc")
def erfc(g: Any, use: Any, x: str) -> Any:
    """1 - Erf."""
    return g.op("Sub", g.constant(1, use.dtype), g.op("Erf", x))


@converter("nan_to_num")
def nan_to_num(g: Any, use: Any, x: str) -> Any:
    """Where each is found, its replacement."""
    if use.dtype.kind != "f":
        return x
    limits = np.finfo(use.dtype)
    high, low = use["posinf"], use["neginf"]
    for mark, value in ((g.op("IsNaN", x), use["nan"]),
                        (g.op("IsInf", x, detect_negative=0), limits.max if high is None else high),
                        (g.op("IsInf", x, detect_positive=0), limits.min if low is None else low)):
        x = g.op("Where", mark, g.constant(value, use.dtype), x)
    return x


@converter("astype")
def astype(g: Any, use: Any, x: str) -> Any:
    """Cast."""
    return g.cast(x, use.dtypes[0], use.dtype)
