"""Arithmetic: sums, products, quotients, powers, remainders, interpolation.

Each row reads as in a table of derivatives: the formula of an input says what the gradient `g` of the result becomes.
What holds at kinks and for infinities is in docs/conventions.md.
"""

from typing import Any

import numpy as np

from chainrule.arguments import scaled
from chainrule.errors import DtypeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import alias, public
from chainrule.tensor import Tensor

__all__ = ["add", "addcdiv", "addcmul", "arctan2", "atan2", "div", "divide", "float_power", "floor_divide", "fmod",
           "hypot", "identity", "lerp", "logaddexp", "logaddexp2", "mul", "multiply", "neg", "negative", "positive",
           "pow", "power", "reciprocal", "remainder", "square", "sub", "subtract", "true_divide", "trunc_divide"]

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
negative = Op("negative", "-input. DtypeError for bools: `~input` inverts them.", word="elementwise",
              input=lambda xp, g: -g)
positive = Op("positive", "+input, the same values. DtypeError for bools.", word="elementwise", input=lambda xp, g: g)
identity = Op("identity", "input itself, as a new step of the graph: a view.", word="linear", views=True,
              input=lambda xp, g: g)
square = Op("square", "input**2.", word="elementwise", input=lambda xp, g, input: 2 * g * input)
reciprocal = Op("reciprocal", "1 / input; integers become floats.", word="elementwise", floats=True,
                input=lambda xp, g, out: -g * out * out)

sub = alias("sub", subtract)
mul = alias("mul", multiply)
neg = alias("neg", negative)
true_divide = alias("true_divide", divide)

# ---- quotients rounded to whole numbers, and what remains

trunc_divide = Op("trunc_divide",
                  "input / other rounded toward zero; the derivative is 0. ZeroDivisionError for integers "
                  "divided by 0.", word="elementwise",
                  input=lambda xp, g: xp.zeros_like(g),
                  other=lambda xp, g: xp.zeros_like(g))
floor_divide = Op("floor_divide",
                  "input / other rounded down, as Python's //; the derivative is 0. ZeroDivisionError for "
                  "integers divided by 0.", word="elementwise",
                  input=lambda xp, g: xp.zeros_like(g),
                  other=lambda xp, g: xp.zeros_like(g))
remainder = Op("remainder", "input - other * floor(input / other), as Python's %: its sign is that of other. "
               "ZeroDivisionError for integers divided by 0.", word="elementwise",
               input=lambda xp, g: g,
               other=lambda xp, g, input, other: -g * xp.floor_divide(input, other))
fmod = Op("fmod", "input - other * trunc(input / other), as C's fmod: its sign is that of input. ZeroDivisionError for "
          "integers divided by 0.", word="elementwise",
          input=lambda xp, g: g,
          other=lambda xp, g, input, other: -g * xp.trunc_divide(input, other))


@public
def div(input: Any, other: Any, rounding_mode: str | None = None) -> Tensor:
    """input / other, broadcasting. `rounding_mode`: None for the quotient itself (integers become floats), "trunc" to
    round it toward zero, "floor" to round it down; both of these keep integers and have derivative 0.

    Raises ValueError for another mode, ZeroDivisionError for integers divided by 0 where the quotient is rounded.

    >>> import chainrule as cr
    >>> cr.div(cr.tensor([-7, 7]), 2), cr.div(cr.tensor([-7, 7]), 2, rounding_mode="trunc")
    (tensor([-3.5,  3.5]), tensor([-3,  3]))
    """
    if rounding_mode is None:
        return divide(input, other)
    if rounding_mode == "trunc":
        return trunc_divide(input, other)
    if rounding_mode != "floor":
        raise ValueError(f"div: rounding_mode={rounding_mode!r}; it is None, 'trunc' or 'floor'")
    return floor_divide(input, other)


@public
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 · tensor2, broadcasting.

    >>> import chainrule as cr
    >>> cr.addcmul(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]), cr.tensor([5.0, 6.0]), value=0.5)
    tensor([ 8.5, 14. ])
    """
    return add(input, scaled(multiply(tensor1, tensor2), value))


@public
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 / tensor2, broadcasting; integers become floats.

    >>> import chainrule as cr
    >>> cr.addcdiv(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]), cr.tensor([2.0, 8.0]), value=2)
    tensor([4., 3.])
    """
    return add(input, scaled(divide(tensor1, tensor2), value))


# ---- powers

def _slope_of_base(xp: Any, g: Any, input: Any, other: Any) -> Any:
    """d(x**p)/dx = p x**(p-1). It is 0 for p = 0, at x = 0 too: there p x**(p-1) would be 0 times infinity."""
    if not hasattr(other, "dtype"):
        if other == 0:
            return xp.zeros_like(g)
        return g if other == 1 else 2 * g * input if other == 2 else g * (other * input ** (other - 1))
    other = other if other.dtype == g.dtype else xp.astype(other, g.dtype)  # integer exponents
    both = (input == 0) & (other == 0)
    return g * (other * xp.where(both, xp.ones_like(other), input) ** (other - 1))


def _slope_of_exponent(xp: Any, g: Any, input: Any, other: Any, out: Any) -> Any:
    """d(x**p)/dp = x**p log x. It is 0 where x = 0 and p >= 0, the limit for x -> 0, although log x is infinite."""
    limit = (input == 0) & (other >= 0)
    return g * (out * xp.log(xp.where(limit, xp.ones_like(out), input)))


power = Op("power",
           "input**other, broadcasting; 0**0 is 1. Negative bases to fractional powers are NaN. DtypeError for "
           "integers to negative integer powers. At base 0 the derivative by the exponent is 0 where that is >= 0.",
           word="elementwise", input=_slope_of_base, other=_slope_of_exponent)
pow = alias("pow", power)


@public
def float_power(input: Any, exponent: Any) -> Tensor:
    """input**exponent, computed in float64.

    >>> import chainrule as cr
    >>> cr.float_power(cr.tensor([2, 3]), -1).dtype
    dtype('float64')
    """
    wide = [v if isinstance(v, int | float) else ops.astype(v, np.float64) for v in (input, exponent)]
    if not isinstance(wide[0], Tensor) and not isinstance(wide[1], Tensor):
        raise DtypeError("float_power: one of input and exponent must be a tensor, both are numbers; use **")
    return power(*wide)


# ---- two sides of a triangle

def _ratio(xp: Any, g: Any, side: Any, out: Any) -> Any:
    """side / out, where out is 0 only if both sides are: there the derivative is 0, as that of a norm."""
    return xp.where(out == 0, xp.zeros_like(g), g) * side / xp.where(out == 0, xp.ones_like(out), out)


def _per_radius(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """g / (x² + y²), and 0 at the origin."""
    r = x * x + y * y
    return xp.where(r == 0, xp.zeros_like(g), g) / xp.where(r == 0, xp.ones_like(r), r)


hypot = Op("hypot", "sqrt(input² + other²) without overflow; the derivative at (0, 0) is 0.", word="elementwise",
           floats=True,
           input=lambda xp, g, input, out: _ratio(xp, g, input, out),
           other=lambda xp, g, other, out: _ratio(xp, g, other, out))
arctan2 = Op("arctan2", "The angle of the point (other, input) in (-π, π]; the derivative at the origin is 0.",
             word="elementwise", floats=True,
             input=lambda xp, g, input, other: _per_radius(xp, g, input, other) * other,
             other=lambda xp, g, input, other: -_per_radius(xp, g, input, other) * input)
atan2 = alias("atan2", arctan2)

# ---- between two values

lerp = Op("lerp", "input + weight * (end - input): input for weight 0, end for weight 1, exactly.", word="elementwise",
          floats=True,
          input=lambda xp, g, weight: g * (1 - weight),
          end=lambda xp, g, weight: g * weight,
          weight=lambda xp, g, input, end: g * (end - input))


def _log_odds(xp: Any, one: Any, two: Any, g: Any) -> Any:
    """one - two, but 0 where both are the same infinity."""
    same = (one == two) & xp.isinf(one)
    zero = xp.zeros_like(g)
    return xp.where(same, zero, one) - xp.where(same, zero, two)


LOG_2 = 0.6931471805599453
# each input's share in the sum of exponentials; where both are -inf (or both inf) it is a half
logaddexp = Op("logaddexp", "log(exp(input) + exp(other)) without overflow; -inf stands for 0.", word="elementwise",
               floats=True,
               input=lambda xp, g, input, other: g * xp.sigmoid(_log_odds(xp, input, other, g)),
               other=lambda xp, g, input, other: g * xp.sigmoid(_log_odds(xp, other, input, g)))
logaddexp2 = Op("logaddexp2", "log2(2**input + 2**other) without overflow; -inf stands for 0.", word="elementwise",
                floats=True,
                input=lambda xp, g, input, other: g * xp.sigmoid(LOG_2 * _log_odds(xp, input, other, g)),
                other=lambda xp, g, input, other: g * xp.sigmoid(LOG_2 * _log_odds(xp, other, input, g)))
