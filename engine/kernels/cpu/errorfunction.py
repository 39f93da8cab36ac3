"""The error function and the normal distribution's inside compiled kernels, in a form that is vectorised.

Both sides of every choice are computed, so that there is no branch. float64 takes Cody's rational approximations (the
reference's, kernels/reference/elementwise.py), float32 shorter polynomials:

    erf(x) = x + x P(x²)                up to 0.93, and above    1 - exp(-Q(|x|))

fitted by N. Juffa; both are within 2 units in the last place. NaN gives NaN.
"""

import math
from typing import Any

import numpy as np
from numba import types

from chainrule.kernels.cpu.exponential import compiles, exp, polynomial
from chainrule.kernels.reference import elementwise as cody

_NEAR_ABOVE, _NEAR_BELOW = (polynomial(*c) for c in cody._NEAR)
_MIDDLE_ABOVE, _MIDDLE_BELOW = (polynomial(*c) for c in cody._MIDDLE)
_FAR_ABOVE, _FAR_BELOW = (polynomial(*c) for c in cody._FAR)
_NEAR32 = polynomial(-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1,
                      1.28379166e-1)
_FAR32 = polynomial(-1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1,
                     -6.34846687e-1, -1.28717512e-1)


def erf_and_tail(x: Any) -> Any:
    """erf(x) where that is small, else anything; and erfc(|x|) where it is not."""
    raise TypeError("for compiled kernels")


@compiles(erf_and_tail)
def _erf_and_tail(x: Any) -> Any:
    if x == types.float32:
        def short(x: Any) -> Any:
            y = abs(x)
            return x + x * _NEAR32(x * x), exp(_FAR32(y) * y - y)
        return short

    def long(x: Any) -> Any:
        y = abs(x) if abs(x) < 27.0 else 27.0
        near = x * (_NEAR_ABOVE(x * x) / _NEAR_BELOW(x * x))
        coarse = np.floor(y * 16.0) / 16.0  # its square is exact; the small rest of y² goes into a factor of its own
        scale = exp(-coarse * coarse) * exp(-(y - coarse) * (y + coarse))
        large = y if y > 4.0 else 4.0
        square = 1.0 / (large * large)
        far = (_FAR_SHARE - square * (_FAR_ABOVE(square) / _FAR_BELOW(square))) / large
        middle = _MIDDLE_ABOVE(y) / _MIDDLE_BELOW(y)
        return near, scale * (far if y > 4.0 else middle)
    return long


_FAR_SHARE = 1 / math.sqrt(math.pi)


def erf(x: Any) -> Any:
    """2/sqrt(pi) times the integral of exp(-t²) from 0 to x, in a compiled kernel."""
    raise TypeError("for compiled kernels; in Python, use chainrule.erf")


@compiles(erf)
def _erf(x: Any) -> Any:
    one, border = (np.float32(1), np.float32(0.927734375)) if x == types.float32 else (1.0, 0.46875)

    def call(x: Any) -> Any:
        near, tail = erf_and_tail(x)
        far = one - tail if x > 0 else tail - one
        result = near if abs(x) <= border else far
        return result if x == x else x
    return call


def normal_distribution(x: Any) -> Any:
    """Φ(x) = ½ (1 + erf(x / √2)), exact in the left tail too, in a compiled kernel."""
    raise TypeError("for compiled kernels")


@compiles(normal_distribution)
def _normal_distribution(x: Any) -> Any:
    real = np.float32 if x == types.float32 else np.float64
    root, half, one, border = real(math.sqrt(0.5)), real(0.5), real(1), real(0.927734375 if real is np.float32 else 0.46875)

    def call(x: Any) -> Any:
        z = x * root
        near, tail = erf_and_tail(z)
        far = half * tail
        far = one - far if x > 0 else far
        result = half + half * near if abs(z) <= border else far
        return result if x == x else x
    return call
