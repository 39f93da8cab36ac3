"""Functions of one variable, element by element: exponentials, trigonometry, the error function, rounding.

Each row is a function and its derivative. Where integers come in, floats come out (but for rounding and signs, which
keep them).
"""

import math
from typing import Any

from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import alias, public
from chainrule.tensor import Tensor

__all__ = ["abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "asin",
           "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "erfinv", "exp", "exp2", "expm1",
           "fix", "floor", "frac", "log", "log10", "log1p", "log2", "logit", "nan_to_num", "round", "rsqrt", "sigmoid",
           "sign", "sin", "sinc", "sinh", "sqrt", "tan", "tanh", "trunc"]

# ---- exponentials, logarithms, roots

exp = Op("exp", "e**input.", word="elementwise", floats=True, input=lambda xp, g, out: g * out)
exp2 = Op("exp2", "2**input.", word="elementwise", floats=True, input=lambda xp, g, out: g * out * math.log(2))
expm1 = Op("expm1", "e**input - 1, exact near 0.", word="elementwise", floats=True,
           input=lambda xp, g, out: g * (out + 1))
log = Op("log", "The natural logarithm: -inf at 0, NaN below.", word="elementwise", floats=True,
         input=lambda xp, g, input: g / input)
log2 = Op("log2", "The logarithm to base 2.", word="elementwise", floats=True,
          input=lambda xp, g, input: g / (input * math.log(2)))
log10 = Op("log10", "The logarithm to base 10.", word="elementwise", floats=True,
           input=lambda xp, g, input: g / (input * math.log(10)))
log1p = Op("log1p", "log(1 + input), exact near 0.", word="elementwise", floats=True,
           input=lambda xp, g, input: g / (input + 1))
sqrt = Op("sqrt", "The square root; the derivative at 0 is inf.", word="elementwise", floats=True,
          input=lambda xp, g, out: 0.5 * g / out)
rsqrt = Op("rsqrt", "1 / sqrt(input).", word="elementwise", floats=True,
           input=lambda xp, g, out: -0.5 * g * out * out * out)
cbrt = Op("cbrt", "The cube root, negative for negative numbers; the derivative at 0 is inf.", word="elementwise",
          floats=True, input=lambda xp, g, out: g / (3 * out * out))

# ---- trigonometry, in radians

sin = Op("sin", "The sine.", word="elementwise", floats=True, input=lambda xp, g, input: g * xp.cos(input))
cos = Op("cos", "The cosine.", word="elementwise", floats=True, input=lambda xp, g, input: -g * xp.sin(input))
tan = Op("tan", "The tangent.", word="elementwise", floats=True, input=lambda xp, g, out: g * (1 + out * out))
arcsin = Op("arcsin", "The angle in [-π/2, π/2] whose sine is input; NaN outside [-1, 1].", word="elementwise",
            floats=True, input=lambda xp, g, input: g / xp.sqrt((1 - input) * (1 + input)))
arccos = Op("arccos", "The angle in [0, π] whose cosine is input; NaN outside [-1, 1].", word="elementwise",
            floats=True, input=lambda xp, g, input: -g / xp.sqrt((1 - input) * (1 + input)))
arctan = Op("arctan", "The angle in (-π/2, π/2) whose tangent is input.", word="elementwise", floats=True,
            input=lambda xp, g, input: g / (1 + input * input))


def _slope_of_sinc(xp: Any, g: Any, input: Any, out: Any) -> Any:
    """(cos(πx) - sinc(x)) / x, and 0 at 0."""
    x = xp.where(input == 0, xp.ones_like(input), input)
    return xp.where(input == 0, xp.zeros_like(g), g) * (xp.cos(math.pi * x) - out) / x


sinc = Op("sinc", "sin(π input) / (π input), and 1 at 0.", word="elementwise", floats=True, input=_slope_of_sinc)

sinh = Op("sinh", "The hyperbolic sine.", word="elementwise", floats=True,
          input=lambda xp, g, input: g * xp.cosh(input))
cosh = Op("cosh", "The hyperbolic cosine.", word="elementwise", floats=True,
          input=lambda xp, g, input: g * xp.sinh(input))
tanh = Op("tanh", "The hyperbolic tangent.", word="elementwise", floats=True,
          input=lambda xp, g, out: g * (1 - out * out))
arcsinh = Op("arcsinh", "The inverse of sinh.", word="elementwise", floats=True,
             input=lambda xp, g, input: g / xp.sqrt(input * input + 1))
arccosh = Op("arccosh", "The inverse of cosh, >= 0; NaN below 1.", word="elementwise", floats=True,
             input=lambda xp, g, input: g / xp.sqrt((input - 1) * (input + 1)))
arctanh = Op("arctanh", "The inverse of tanh; NaN outside [-1, 1].", word="elementwise", floats=True,
             input=lambda xp, g, input: g / ((1 - input) * (1 + input)))

asin, acos, atan = alias("asin", arcsin), alias("acos", arccos), alias("atan", arctan)
asinh, acosh, atanh = alias("asinh", arcsinh), alias("acosh", arccosh), alias("atanh", arctanh)

# ---- the logistic function and the normal distribution's

sigmoid = Op("sigmoid", "1 / (1 + exp(-input)).", word="elementwise", floats=True,
             input=lambda xp, g, out: g * out * (1 - out))
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
erf = Op("erf", "The error function: 2/sqrt(π) times the integral of exp(-t²) from 0 to input.", word="elementwise",
         floats=True, input=lambda xp, g, input: g * (_TWO_OVER_ROOT_PI * xp.exp(-input * input)))
erfc = Op("erfc", "1 - erf(input), exact for large input too.", word="elementwise", floats=True,
          input=lambda xp, g, input: -g * (_TWO_OVER_ROOT_PI * xp.exp(-input * input)))
erfinv = Op("erfinv", "The inverse of erf: ±inf at ±1, NaN outside.", word="elementwise", floats=True,
            input=lambda xp, g, out: g * xp.exp(out * out) / _TWO_OVER_ROOT_PI)


@public
def logit(input: Any, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), the inverse of sigmoid. `eps` clamps the input to [eps, 1 - eps] first, beyond which
    the derivative is 0; without it, values outside [0, 1] give NaN.

    >>> import chainrule as cr
    >>> cr.logit(cr.tensor([0.5, 0.75]))
    tensor([0.    , 1.0986])
    """
    x = ops.as_tensor(input) if eps is None else ops.clamp(input, eps, 1 - eps)
    return log(x / (1 - x))


# ---- signs and rounding: steps, whose derivative is 0 wherever there is one

abs = Op("abs", "The absolute value; the derivative at 0 is 0.", word="elementwise",
         input=lambda xp, g, input: g * xp.sign(input))
absolute = alias("absolute", abs)
sign = Op("sign", "-1, 0 or 1.", word="elementwise", input=lambda xp, g: xp.zeros_like(g))
floor = Op("floor", "The largest whole number <= input.", word="elementwise", input=lambda xp, g: xp.zeros_like(g))
ceil = Op("ceil", "The smallest whole number >= input.", word="elementwise", input=lambda xp, g: xp.zeros_like(g))
trunc = Op("trunc", "input rounded toward zero.", word="elementwise", input=lambda xp, g: xp.zeros_like(g))
fix = alias("fix", trunc)
frac = Op("frac", "input - trunc(input), with the sign of input.", word="elementwise", input=lambda xp, g: g)
_round = Op("round", word="elementwise", input=lambda xp, g: xp.zeros_like(g))
_nan_to_num = Op("nan_to_num", word="elementwise",
                 input=lambda xp, g, input: xp.where(xp.isfinite(input), g, xp.zeros_like(g)))


@public
def round(input: Any, decimals: int = 0) -> Tensor:
    """input rounded to the nearest whole number (or multiple of 10**-decimals), halves to the even one.

    >>> import chainrule as cr
    >>> cr.round(cr.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    return _round(ops.as_tensor(input), decimals=decimals)


@public
def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """input with NaN replaced by `nan`, infinities by `posinf` and `neginf` (None: the dtype's largest and smallest).

    The derivative is 0 where a value was replaced.

    >>> import chainrule as cr
    >>> cr.nan_to_num(cr.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    return _nan_to_num(ops.as_tensor(input), nan=nan, posinf=posinf, neginf=neginf)
