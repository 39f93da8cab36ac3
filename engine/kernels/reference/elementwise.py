"""Elementwise functions that NumPy has not, or has with another rule."""

import math
from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING

__all__ = ["clamp_max", "clamp_min", "clip", "detach", "erf", "erfc", "erfinv", "floor_divide", "fmod", "frac", "identity",
           "lerp", "logaddexp", "power", "reciprocal", "remainder", "rsqrt", "sigmoid", "trunc_divide"]


def identity(x: Any) -> Any:
    """x itself."""
    return x


def detach(x: Any) -> Any:
    """x itself: raw arrays have no history to leave behind."""
    return x


def clip(x: Any, *, min: Any = None, max: Any = None) -> Any:
    """x where it lies between min and max, else the nearer of them (None for no bound)."""
    return np.clip(x, min, max)  # in order: CuPy calls them otherwise


# ---- arithmetic

def reciprocal(x: Any) -> Any:
    """1 / x."""
    return 1 / x


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return 1 / np.sqrt(x)


def power(x: Any, p: Any) -> Any:
    """x**p. TypeError for integers to negative powers, which are fractions."""
    if np.result_type(x, p).kind in "iu" and np.any(np.less(p, 0)):
        raise TypeError("integers to negative powers are fractions; convert the base first, for example with .float()")
    return np.power(x, p)


def _divisible(name: str, y: Any) -> None:
    """ZeroDivisionError for integers divided by 0; floats give NaN or infinity instead."""
    if np.asarray(y).dtype.kind in "iub" and not np.all(y):
        raise ZeroDivisionError(f"{name}: integer division by zero; floats give inf or NaN, convert with .float()")


def floor_divide(x: Any, y: Any) -> Any:
    """x / y rounded down."""
    _divisible("floor_divide", y)
    return np.floor_divide(x, y)


def trunc_divide(x: Any, y: Any) -> Any:
    """x / y rounded toward zero."""
    _divisible("trunc_divide", y)
    if np.result_type(x, y).kind in FLOATING:
        return np.trunc(x / y)
    down = np.floor_divide(x, y)
    return down + ((down < 0) & (down * y != x))


def remainder(x: Any, y: Any) -> Any:
    """What floor_divide leaves: it has the sign of y."""
    _divisible("remainder", y)
    return np.remainder(x, y)


def fmod(x: Any, y: Any) -> Any:
    """What trunc_divide leaves: it has the sign of x."""
    _divisible("fmod", y)
    return np.fmod(x, y)


def frac(x: Any) -> Any:
    """x - trunc(x)."""
    return x - np.trunc(x)


def lerp(x: Any, end: Any, weight: Any) -> Any:
    """From x to end; from the nearer side, so that both ends are met exactly."""
    if not hasattr(weight, "dtype"):
        return x + weight * (end - x) if weight < 0.5 else end - (end - x) * (1 - weight)
    return np.where(weight.real < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight))


def logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)); complex arguments serve the complex step."""
    if np.iscomplexobj(x) or np.iscomplexobj(y):
        top = np.maximum(np.real(x), np.real(y))
        return top + np.log(np.exp(x - top) + np.exp(y - top))
    return np.logaddexp(x, y)


def clamp_min(x: Any, min: Any) -> Any:
    """max(x, min)."""
    return np.maximum(x, min)


def clamp_max(x: Any, max: Any) -> Any:
    """min(x, max)."""
    return np.minimum(x, max)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), by the exponential of -|x| so that nothing overflows."""
    if np.iscomplexobj(x):
        return 1 / (1 + np.exp(-x))
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


# ---- the error function, by the rational approximations of W. J. Cody, "Rational Chebyshev approximations for the
# error function", Mathematics of Computation 23 (1969): for y = |x|
#   erf(x)  = x R(x²)                                  up to 0.46875
#   erfc(y) = exp(-y²) R(y)                            up to 4
#   erfc(y) = exp(-y²) / y (1/sqrt(pi) + R(1/y²) / y²) above
# Coefficients run from the highest power to the lowest; accurate to rounding in float64.

_NEAR = ((1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
          3.20937758913846947e3),
         (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3))
_MIDDLE = ((2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
            2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
            1.23033935479799725e3),
           (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
            3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3))
_FAR = ((1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
         1.60837851487422766e-2, 6.58749161529837803e-4),
        (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
         2.33520497626869185e-3))
_BEYOND = 27.0  # erfc is smaller than any float64 above 26.7


def _ratio(x: Any, coefficients: Any) -> Any:
    """The quotient of two polynomials."""
    above, below = coefficients
    return np.polyval(above, x) / np.polyval(below, x)


def _tails(x: Any) -> Any:
    """erfc(|x|) where |x| > 0.46875 (elsewhere anything), and the sign of x; |x| = x * sign serves complex x too."""
    sign = np.where(np.real(x) < 0, -1.0, 1.0)
    y = np.where(np.abs(np.real(x)) < _BEYOND, x * sign, _BEYOND)
    coarse = np.trunc(np.real(y) * 16) / 16  # its square is exact; the small rest of y² goes into a factor of its own
    scale = np.exp(-coarse * coarse) * np.exp(-(y - coarse) * (y + coarse))
    large = np.where(np.real(y) > 4, y, 4)
    square = 1 / (large * large)
    far = (1 / math.sqrt(math.pi) - square * _ratio(square, _FAR)) / large
    return scale * np.where(np.real(y) > 4, far, _ratio(y, _MIDDLE)), sign


def _erf(x: Any, complement: bool) -> Any:
    """erf(x), or 1 - erf(x)."""
    wide = x if np.iscomplexobj(x) else np.asarray(x, np.float64)
    tail, sign = _tails(np.where(np.isnan(wide), 0, wide))
    small = np.where(np.abs(np.real(wide)) <= 0.46875, wide, 0)
    near = small * _ratio(small * small, _NEAR)
    if complement:
        out = np.where(np.abs(np.real(wide)) <= 0.46875, 1 - near, np.where(sign < 0, 2 - tail, tail))
    else:
        out = np.where(np.abs(np.real(wide)) <= 0.46875, near, sign * (1 - tail))
    return np.where(np.isnan(wide), math.nan, out).astype(x.dtype)


def erf(x: Any) -> Any:
    """The error function 2/sqrt(pi) * integral of exp(-t**2) from 0 to x."""
    return _erf(x, False)


def erfc(x: Any) -> Any:
    """1 - erf(x), exact where erf is near 1."""
    return _erf(x, True)


def erfinv(x: Any) -> Any:
    """The inverse of erf: S. Winitzki's closed form, good to three digits ("A handy approximation for the error
    function and its inverse", 2008), and three steps of Halley's method, on erfc where that is the more exact."""
    wide = np.asarray(x, np.float64)
    size = np.where(np.abs(wide) < 1, np.abs(wide), 0.0)
    rest = 1 - size
    logarithm = np.log1p(-size) + np.log1p(size)
    a = 0.147
    middle = 2 / (math.pi * a) + logarithm / 2
    y = np.sqrt(np.maximum(np.sqrt(middle * middle - logarithm / a) - middle, 0))
    y = np.where(size < 1e-3, size * (math.sqrt(math.pi) / 2), y)
    for _ in range(3):
        error = np.where(size < 0.5, _erf(y, False) - size, rest - _erf(y, True))
        step = error * np.exp(y * y) * (math.sqrt(math.pi) / 2)
        y = y - step / (1 + y * step)
    outside = np.where(np.abs(wide) == 1, math.inf, math.nan)
    out = np.copysign(np.where(np.abs(wide) < 1, y, outside), wide)
    return out.astype(x.dtype)
