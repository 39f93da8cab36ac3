"""Arithmetic with two operands."""

import math
from typing import Any

import numpy as np

from chainrule.onnx.converters.elementwise import floored, same
from chainrule.onnx.table import converter, converters


@converter("add")
def add(g: Any, use: Any, a: str, b: str) -> Any:
    """Add, Or for bools; a bias that is added to a convolution becomes its third input."""
    if use.dtype == np.bool_:
        return g.op("Or", a, b)
    node, (bias, trailing) = g.made.get(a), g.notes.get(("vector", b), (None, 0))
    if node is not None and node.op_type in ("Conv", "ConvTranspose") and len(node.input) == 2 and trailing == use.rank() - 2:
        # the node with a bias replaces the one without, which is dropped unless something else needs it
        options = {at.name: g.helper.get_attribute_value(at) for at in node.attribute}
        return g.op(node.op_type, *node.input, bias, **options)
    return g.op("Add", a, b)


converters["subtract"] = same("Sub")
converters["divide"] = same("Div")


@converter("multiply")
def multiply(g: Any, use: Any, a: str, b: str) -> Any:
    """Mul, And for bools."""
    return g.op("And" if use.dtype == np.bool_ else "Mul", a, b)


@converter("power")
def power(g: Any, use: Any, a: str, b: str) -> Any:
    """Pow."""
    return g.op("Pow", a, b)


def down(g: Any, use: Any, a: str, b: str) -> Any:
    """The quotient rounded down; ONNX rounds that of integers toward zero."""
    if use.dtype.kind == "f":
        return g.op("Floor", g.op("Div", a, b))
    rest = g.op("Mod", a, b)  # it has the sign of b, as Python's
    return g.op("Div", g.op("Sub", a, rest), b)


converters["floor_divide"] = down


@converter("trunc_divide")
def trunc_divide(g: Any, use: Any, a: str, b: str) -> Any:
    """Div, which rounds integers toward zero; floats are rounded."""
    quotient = g.op("Div", a, b)
    return floored(g, quotient) if use.dtype.kind == "f" else quotient


@converter("remainder")
def remainder(g: Any, use: Any, a: str, b: str) -> Any:
    """a - b · floor(a / b); Mod for integers."""
    if use.dtype.kind == "f":
        return g.op("Sub", a, g.op("Mul", b, down(g, use, a, b)))
    return g.op("Mod", a, b)


@converter("fmod")
def fmod(g: Any, use: Any, a: str, b: str) -> Any:
    """Mod as C's fmod."""
    return g.op("Mod", a, b, fmod=1)


@converter("hypot")
def hypot(g: Any, use: Any, a: str, b: str) -> Any:
    """√(a² + b²)."""
    return g.op("Sqrt", g.op("Add", g.op("Mul", a, a), g.op("Mul", b, b)))


@converter("arctan2")
def arctan2(g: Any, use: Any, y: str, x: str) -> Any:
    """Atan of y / x, turned by π where x is negative, ±π/2 where it is 0."""
    zero, half = g.constant(0, use.dtype), g.constant(math.pi / 2, use.dtype)
    angle = g.op("Atan", g.op("Div", y, x))
    turned = g.op("Where", g.op("Less", y, zero), g.constant(-math.pi, use.dtype), g.constant(math.pi, use.dtype))
    left = g.op("Where", g.op("Less", x, zero), g.op("Add", angle, turned), angle)
    return g.op("Where", g.op("Equal", x, zero), g.op("Mul", g.op("Sign", y), half), left)


@converter("lerp")
def lerp(g: Any, use: Any, a: str, b: str, weight: str) -> Any:
    """From the nearer side, as the kernel does."""
    way, half, one = g.op("Sub", b, a), g.constant(0.5, use.dtype), g.constant(1, use.dtype)
    near = g.op("Add", a, g.op("Mul", weight, way))
    far = g.op("Sub", b, g.op("Mul", way, g.op("Sub", one, weight)))
    return g.op("Where", g.op("Less", weight, half), near, far)


def log_of_sum(base: float) -> Any:
    """max + log(1 + base^-|a - b|), the difference taken as 0 where both are the same infinity."""
    def convert(g: Any, use: Any, a: str, b: str) -> Any:
        gap = g.op("Abs", g.op("Sub", a, b))
        gap = g.op("Where", g.op("Equal", a, b), g.constant(0, use.dtype), gap)
        one, scale = g.constant(1, use.dtype), g.constant(math.log(base), use.dtype)
        rest = g.op("Log", g.op("Add", one, g.op("Exp", g.op("Neg", g.op("Mul", gap, scale)))))
        return g.op("Add", g.op("Max", a, b), g.op("Div", rest, scale))

    return convert


converters.update({"logaddexp": log_of_sum(math.e), "logaddexp2": log_of_sum(2)})
