"""Activation functions over the threads, and their derivatives in one pass: each is a function of one element.

Below a measured size NumPy serves the rows of the table (the reference's function, and for a derivative the row's formula,
which a kernel asks for by returning NotImplemented): there a call of compiled code costs more than it saves. gelu has no
such size, its definition being many calls of NumPy.

How they differ from their definitions: exponentials are those of exponential.py and errorfunction.py, within a few units
in the last place of NumPy's. In `type(x)(1)` the number has x's own type: float32 times a plain 1.0 is float64.
"""

import math
from typing import Any

from chainrule.kernels.cpu.arrays import alike
from chainrule.kernels.cpu.chunks import Elementwise
from chainrule.kernels.cpu.errorfunction import normal_distribution
from chainrule.kernels.cpu.exponential import exp, log1p, sigmoid, tanh
from chainrule.kernels.reference import activations as reference

# From this many elements on compiled code is quicker than NumPy: for one pass without exponentials, and for the others.
STRAIGHT, CURVED = 1 << 11, 1 << 7


# ---- pieces of straight lines

@Elementwise
def _relu(x: Any) -> Any:
    return type(x)(0) if x <= type(x)(0) else x


@Elementwise
def _relu_grad(g: Any, out: Any) -> Any:
    return type(g)(0) if out <= type(g)(0) else g


@Elementwise
def _leaky_relu(x: Any, slope: float) -> Any:
    return x if x > type(x)(0) else x * slope


@Elementwise
def _leaky_relu_grad(g: Any, x: Any, slope: float) -> Any:
    return g if x > type(x)(0) else g * slope


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""
    return _relu(x) if alike(STRAIGHT, x) else reference.relu(x)


def relu_grad(g: Any, out: Any) -> Any:
    """g where out is above 0 (or NaN), else 0."""
    return (_relu_grad(g, out),) if alike(STRAIGHT, g, out) else NotImplemented


def leaky_relu(x: Any, *, negative_slope: float) -> Any:
    """x where it is positive, else negative_slope * x."""
    return _leaky_relu(x, negative_slope) if alike(STRAIGHT, x) else reference.leaky_relu(x, negative_slope=negative_slope)


def leaky_relu_grad(g: Any, input: Any, negative_slope: float) -> Any:
    """g where the input is positive, else negative_slope * g."""
    return (_leaky_relu_grad(g, input, negative_slope),) if alike(STRAIGHT, g, input) else NotImplemented


# ---- smooth ones

@Elementwise
def _elu(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    # exp(y) - 1 as 2t / (1 - t) with t = tanh(y / 2), which is exact near 0 too
    t = tanh(x * input_scale * type(x)(0.5))
    return scale * x if x > type(x)(0) else scale * alpha * (t + t) / (type(x)(1) - t)


@Elementwise
def _elu_grad(g: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    return g * scale if x > type(x)(0) else g * (scale * alpha * input_scale) * exp(x * input_scale)


@Elementwise
def _silu(x: Any) -> Any:
    return x * sigmoid(x)


@Elementwise
def _silu_grad(g: Any, x: Any) -> Any:
    gate = sigmoid(x)
    return g * gate * (type(x)(1) + x * (type(x)(1) - gate))


@Elementwise
def _softplus(x: Any, beta: float, threshold: float) -> Any:
    # log(1 + e**s) = max(s, 0) + log(1 + e**-|s|): nothing overflows
    scaled = x * beta
    above = scaled if scaled > type(x)(0) else type(x)(0)
    soft = (above + log1p(exp(-abs(scaled)))) / beta
    return x if scaled > threshold else soft


@Elementwise
def _softplus_grad(g: Any, x: Any, beta: float, threshold: float) -> Any:
    return g if x * beta > threshold else g * sigmoid(x * beta)


def elu(x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    """scale * x where x is positive, else scale * alpha * (exp(input_scale * x) - 1)."""
    if alike(CURVED, x):
        return _elu(x, alpha, scale, input_scale)
    return reference.elu(x, alpha=alpha, scale=scale, input_scale=input_scale)


def elu_grad(g: Any, input: Any, alpha: float, scale: float, input_scale: float) -> Any:
    """g times scale where the input is positive, else times scale * alpha * input_scale * exp(input_scale * input)."""
    return (_elu_grad(g, input, alpha, scale, input_scale),) if alike(CURVED, g, input) else NotImplemented


def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return _silu(x) if alike(CURVED, x) else reference.silu(x)


def silu_grad(g: Any, input: Any) -> Any:
    """g * (s + input * s * (1 - s)) with s = sigmoid(input)."""
    return (_silu_grad(g, input),) if alike(CURVED, g, input) else NotImplemented


def softplus(x: Any, *, beta: float, threshold: float) -> Any:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is above the threshold."""
    if alike(CURVED, x):
        return _softplus(x, beta, threshold)
    return reference.softplus(x, beta=beta, threshold=threshold)


def softplus_grad(g: Any, input: Any, beta: float, threshold: float) -> Any:
    """g * sigmoid(beta * input), and g where beta * input is above the threshold."""
    return (_softplus_grad(g, input, beta, threshold),) if alike(CURVED, g, input) else NotImplemented


# ---- gelu: input * Φ(input), or an approximation of it by tanh

_DENSITY = 1 / math.sqrt(2 * math.pi)
_SCALE, _CUBE = math.sqrt(2 / math.pi), 0.044715


@Elementwise
def _gelu(x: Any) -> Any:
    return x * normal_distribution(x)


@Elementwise
def _gelu_grad(g: Any, x: Any) -> Any:
    return g * (normal_distribution(x) + x * (type(x)(_DENSITY) * exp(type(x)(-0.5) * x * x)))


# ½ (1 + tanh(u)) = sigmoid(2u), with u = √(2/π) (x + 0.044715 x³)

@Elementwise
def _gelu_tanh(x: Any) -> Any:
    real = type(x)
    return x * sigmoid(real(2 * _SCALE) * x * (real(1) + real(_CUBE) * x * x))


@Elementwise
def _gelu_tanh_grad(g: Any, x: Any) -> Any:
    real = type(x)
    s = sigmoid(real(2 * _SCALE) * x * (real(1) + real(_CUBE) * x * x))
    slope = real(2 * _SCALE) * (real(1) + real(3 * _CUBE) * x * x)
    return g * (s + x * s * (real(1) - s) * slope)


def gelu(input: Any, *, approximate: str) -> Any:
    """input * Φ(input), Φ within two units in the last place of 1."""
    if not alike(0, input):
        return NotImplemented
    return _gelu_tanh(input) if approximate == "tanh" else _gelu(input)


def gelu_grad(g: Any, input: Any, approximate: str) -> Any:
    """The gradient of <g, gelu(input)>: g * (Φ(input) + input * φ(input)), φ the density."""
    if not alike(0, g, input):
        return NotImplemented
    return ((_gelu_tanh_grad if approximate == "tanh" else _gelu_grad)(g, input),)
