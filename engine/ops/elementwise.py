"""Elementwise operations: arithmetic, powers, exponentials, trigonometric functions, comparisons, rounding.

Each row reads as in a table of derivatives: the formula of an input says what the gradient `g` of the result becomes.
Where a derivative has a kink, the convention is torch's (docs/conventions.md).
"""

import math
from typing import Any

from chainrule.graph import Op
from chainrule.names import ops

# ---- arithmetic

add = Op("add", "input + other, broadcasting.", word="elementwise",
         input=lambda xp, g: g,
         other=lambda xp, g: g)
subtract = Op("subtract", "input - other, broadcasting.", word="elementwise",
              input=lambda xp, g: g,
              other=lambda xp, g: -g)
multiply = Op("multiply", "input * other, broadcasting.", word="elementwise",
              input=lambda xp, g, other: g * other,
              other=lambda xp, g, input: g * input)
divide = Op("divide", "input / other, broadcasting; integers become floats.", word="elementwise", floats=True,
            input=lambda xp, g, other: g / other,
            other=lambda xp, g, other, out: -g * out / other)
negative = Op("negative", "-input.", word="elementwise", input=lambda xp, g: -g)
identity = Op("identity", "input itself, as a new step of the graph.", word="elementwise", input=lambda xp, g: g)
square = Op("square", "input**2.", word="elementwise", input=lambda xp, g, input: 2 * g * input)
abs = Op("abs", "The absolute value; the derivative at 0 is 0.", word="elementwise",
         input=lambda xp, g, input: g * xp.sign(input))
sign = Op("sign", "-1, 0 or 1.", word="elementwise", input=lambda xp, g: xp.zeros_like(g))

# ---- exponentials and logarithms

exp = Op("exp", "e**input.", word="elementwise", floats=True, input=lambda xp, g, out: g * out)
log = Op("log", "The natural logarithm.", word="elementwise", floats=True, input=lambda xp, g, input: g / input)
sqrt = Op("sqrt", "The square root.", word="elementwise", floats=True, input=lambda xp, g, out: 0.5 * g / out)
tanh = Op("tanh", "The hyperbolic tangent.", word="elementwise", floats=True,
          input=lambda xp, g, out: g * (1 - out * out))
sigmoid = Op("sigmoid", "1 / (1 + exp(-input)).", word="elementwise", floats=True,
             input=lambda xp, g, out: g * out * (1 - out))
