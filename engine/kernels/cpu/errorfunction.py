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


# erf(z) = z P(z²) / Q(z²) for |z| <= 4, to 3.5 units in the last place of float32: the fit of the Eigen library
_ABOVE32 = polynomial(-2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5,
                      -7.34990630326855e-4, -2.95459980854025e-3, -1.60960333262415e-2)
_BELOW32 = polynomial(-1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3,
                      -1.42647390514189e-2)


def normal_distribution(x: Any) -> Any:
    """Φ(x) = ½ (1 + erf(x / √2)) in a compiled kernel. In float32 a shorter fit than `erf`'s, without an exponential: within
    2 units in the last place of 1."""
    raise TypeError("for compiled kernels")


@compiles(normal_distribution)
def _normal_distribution(x: Any) -> Any:
    if x == types.float32:
        root, half, end, zero = np.float32(math.sqrt(0.5)), np.float32(0.5), np.float32(3.9), np.float32(0)

        def short(x: Any) -> Any:
            z = x * root
            y = end if z > end else z  # from there on erf is 1
            square = y * y
            result = half + half * (y * _ABOVE32(square) / _BELOW32(square))
            return zero if z < -end else result
        return short

    def long(x: Any) -> Any:
        z = x * _ROOT
        near, tail = erf_and_tail(z)
        far = 1 - 0.5 * tail if x > 0 else 0.5 * tail
        result = 0.5 + 0.5 * near if abs(z) <= 0.46875 else far
        return result if x == x else x
    return long


_ROOT = math.sqrt(0.5)
