"""exp, sigmoid, tanh and log1p inside compiled kernels, for float32 and float64, in a form that is vectorised.

exp(x) = 2**n * exp(r) with n = round(x / log 2) and |r| <= log(2) / 2, where the Taylor series is short. numba's own
np.exp calls the C library once per element, which takes an order of magnitude longer.

NaN gives NaN, the infinities their limits. Results of exp below the smallest normal number are 0.
"""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from chainrule.kernels.cpu.jit import FAST_MATH

OPTIONS: Any = {"fastmath": set(FAST_MATH), "error_model": "numpy", "nogil": True, "forceinline": True}


def compiles(function: Any) -> Callable[[Any], Any]:
    """Decorator: what `function` is in compiled code, for the given types."""
    found: Callable[[Any], Any] = overload(function, jit_options=OPTIONS)
    return found


def inlined(function: Any) -> Any:
    """Decorator: a function that becomes a part of the compiled code it is called in, so that a loop around it is vectorised."""
    return numba.njit(**OPTIONS)(function)


def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once, which the compiler may not reorder: the low digits of r and of expm1 hang on it."""
    return a(a, a, a), lambda ctx, builder, signature, args: builder.fma(*args)


fma: Any = intrinsic(_fma)


def _settled(context: Any, x: Any) -> Any:
    """x itself, which the compiler may not reorder with what it is added to."""

    def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        real = args[0].type
        fence = builder.module.declare_intrinsic("llvm.arithmetic.fence", [real], ir.FunctionType(real, [real]))
        return builder.call(fence, args)

    return x(x), build


settled: Any = intrinsic(_settled)


def _power_of_two(context: Any, n: Any, like: Any) -> Any:
    """2**n in the float type of `like`, for whole n in the range of its exponents: n goes to the exponent's bits."""
    if like == types.float32:
        bits, real, shift, bias = ir.IntType(32), ir.FloatType(), 23, 127
    else:
        bits, real, shift, bias = ir.IntType(64), ir.DoubleType(), 52, 1023

    def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = builder.fptosi(args[0], ir.IntType(32))
        if bits.width == 64:
            whole = builder.sext(whole, bits)
        return builder.bitcast(builder.shl(builder.add(whole, bits(bias)), bits(shift)), real)

    return like(like, like), build


power_of_two: Any = intrinsic(_power_of_two)


def polynomial(*coefficients: float) -> Any:
    """The polynomial with these coefficients, highest power first, as a function of one float for compiled code."""

    def chain(context: Any, x: Any) -> Any:
        real, rounded = (ir.FloatType(), np.float32) if x == types.float32 else (ir.DoubleType(), float)

        def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
            constants = [ir.Constant(real, float(rounded(c))) for c in coefficients]
            total: Any = constants[0]
            for constant in constants[1:]:
                total = builder.fma(total, args[0], constant)
            return total

        return x(x), build

    return intrinsic(chain)


def _reduced(x: Any) -> Any:
    """n and exp(r) - 1, where x = n * log 2 + r."""
    raise TypeError("for compiled kernels")


# log 2 in two parts: n times the first is exact; the second is what is left
_HIGH32, _LOW32 = np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
_HIGH64 = float.fromhex("0x1.62e42fee00000p-1")
_LOW64 = 1.90821492927058770002e-10
_LOG2E32 = np.float32(1 / math.log(2))
_LOG2E64 = 1 / math.log(2)
_T32 = [np.float32(1 / math.factorial(k)) for k in range(8)]
_T64 = [1 / math.factorial(k) for k in range(14)]
_A2, _A3, _A4, _A5, _A6, _A7 = _T32[2:]
_B2, _B3, _B4, _B5, _B6, _B7, _B8, _B9, _B10, _B11, _B12, _B13 = _T64[2:]


@compiles(_reduced)
def _reduced_of(x: Any) -> Any:
    if x == types.float32:
        def single(x: Any) -> Any:
            n = np.floor(x * _LOG2E32 + np.float32(0.5))
            r = fma(n, -_LOW32, fma(n, -_HIGH32, x))
            p = fma(fma(fma(fma(fma(_A7, r, _A6), r, _A5), r, _A4), r, _A3), r, _A2)
            return n, fma(p * r, r, r)
        return single

    def double(x: Any) -> Any:
        n = np.floor(x * _LOG2E64 + 0.5)
        r = fma(n, -_LOW64, fma(n, -_HIGH64, x))
        p = fma(fma(fma(fma(fma(_B13, r, _B12), r, _B11), r, _B10), r, _B9), r, _B8)
        p = fma(fma(fma(fma(fma(fma(p, r, _B7), r, _B6), r, _B5), r, _B4), r, _B3), r, _B2)
        return n, fma(p * r, r, r)
    return double


def exp(x: Any) -> Any:
    """e**x in a compiled kernel, for a float32 or float64 number."""
    raise TypeError("for compiled kernels; in Python, use numpy.exp")


@compiles(exp)
def _exp(x: Any) -> Any:
    real = np.float32 if x == types.float32 else np.float64
    # x is moved to where the result is infinite, or to where a number ends to have all its digits; NaN stays (it is in q)
    high, low = (real(88.8), real(-86.6)) if real is np.float32 else (real(709.9), real(-707.6))
    one, two, zero = real(1), real(2), real(0)

    def call(x: Any) -> Any:
        y = high if x > high else x
        y = low if y < low else y
        n, q = _reduced(y)
        scale = power_of_two(n - one, x)  # half of it: 2**128 would be infinite, although exp(x) is not
        result = fma(scale, q, scale) * two
        return zero if x < low else result
    return call


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x) in a compiled kernel."""
    raise TypeError("for compiled kernels")


@compiles(sigmoid)
def _sigmoid(x: Any) -> Any:
    one = np.float32(1) if x == types.float32 else np.float64(1)

    def call(x: Any) -> Any:
        return one / (one + exp(-x))
    return call


def tanh(x: Any) -> Any:
    """The hyperbolic tangent in a compiled kernel: -m / (2 + m) with m = exp(-2|x|) - 1, which is exact near 0 too."""
    raise TypeError("for compiled kernels; in Python, use numpy.tanh")


@compiles(tanh)
def _tanh(x: Any) -> Any:
    real = np.float32 if x == types.float32 else np.float64
    one, two, far = real(1), real(2), real(-40)  # exp(-40) is nothing beside 1

    def call(x: Any) -> Any:
        y = -two * abs(x)
        n, q = _reduced(y if y > far else far)
        scale = power_of_two(n, x)
        m = fma(scale, q, scale - one)
        t = m / (two + m)
        t = t if x < 0 else -t
        return t if x == x else x
    return call


def log1p(x: Any) -> Any:
    """log(1 + x) for 0 <= x <= 1 in a compiled kernel: 2 artanh(z) with z = x / (2 + x), by its Taylor series."""
    raise TypeError("for compiled kernels; in Python, use numpy.log1p")


_ARTANH32 = polynomial(*[1 / (2 * k + 1) for k in range(7, -1, -1)])
_ARTANH64 = polynomial(*[1 / (2 * k + 1) for k in range(16, -1, -1)])


@compiles(log1p)
def _log1p(x: Any) -> Any:
    if x == types.float32:
        def single(x: Any) -> Any:
            z = x / (np.float32(2) + x)
            return np.float32(2) * z * _ARTANH32(z * z)
        return single

    def double(x: Any) -> Any:
        z = x / (2.0 + x)
        return 2.0 * z * _ARTANH64(z * z)
    return double
