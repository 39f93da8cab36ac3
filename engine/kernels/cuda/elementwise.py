"""Activation functions and others of one element, with their derivatives in one pass (elementwise.cu).

Values are computed in float32 (for 16-bit arrays too) or float64. What is no float goes to the definition.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import THREADS, blocks, like, number, served
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_CURVED = ("Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "Silu", "Softplus", "Erf", "Erfc", "Gelu", "GeluTanh")
_value = Kernel("elementwise.cu", "map_value", instances(("Exp", *_CURVED), FLOATS + HALVES))
_slope = Kernel("elementwise.cu", "map_slope", instances(_CURVED, FLOATS + HALVES))


def _map(kernel: Kernel, function: str, arrays: Any, numbers: Any) -> Any:
    """A new array of the function's values (slopes) over arrays of one shape; the numbers are the function's a, b and c."""
    out = like(arrays[0])
    given = [number(n, out.dtype) for n in (*numbers, 0, 0, 0)[:3]]
    kernel(function, out.dtype, grid=blocks(out.size, 16 // out.dtype.itemsize), block=(THREADS,),
           arguments=(*map(contiguous, arrays), out, np.int64(out.size), *given))
    return out


def _of(name: str, function: str, x: Any, **numbers: Any) -> Any:
    """The function of x by the kernel, or by the definition of that name."""
    return _map(_value, function, (x,), numbers.values()) if served(x) else definitions.find(name)(x, **numbers)


def _grad(function: str, g: Any, x: Any, *numbers: Any) -> Any:
    """The gradient as a gradient kernel returns it, or NotImplemented."""
    return (_map(_slope, function, (g, x), numbers),) if served(g, x) and g.shape == x.shape else NotImplemented


def exp(x: Any) -> Any:
    """e**x."""
    return _of("exp", "Exp", x)


def erf(x: Any) -> Any:
    """The error function."""
    return _of("erf", "Erf", x)


def erf_grad(g: Any, input: Any) -> Any:
    """g * 2/√π * exp(-input²)."""
    return _grad("Erf", g, input)


def erfc(x: Any) -> Any:
    """1 - erf(x), exact where erf is near 1."""
    return _of("erfc", "Erfc", x)


def erfc_grad(g: Any, input: Any) -> Any:
    """-g * 2/√π * exp(-input²)."""
    return _grad("Erfc", g, input)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return _of("tanh", "Tanh", x)


def tanh_grad(g: Any, out: Any) -> Any:
    """g * (1 - out * out)."""
    return _grad("Tanh", g, out)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return _of("sigmoid", "Sigmoid", x)


def sigmoid_grad(g: Any, out: Any) -> Any:
    """g * out * (1 - out)."""
    return _grad("Sigmoid", g, out)


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""
    return _of("relu", "Relu", x)


def relu_grad(g: Any, out: Any) -> Any:
    """g where out is above 0 (or NaN), else 0."""
    return _grad("Relu", g, out)


def leaky_relu(x: Any, *, negative_slope: float) -> Any:
    """x where it is positive, else negative_slope * x."""
    return _of("leaky_relu", "LeakyRelu", x, negative_slope=negative_slope)


def leaky_relu_grad(g: Any, input: Any, negative_slope: float) -> Any:
    """g where the input is positive, else negative_slope * g."""
    return _grad("LeakyRelu", g, input, negative_slope)


def elu(x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    """scale * x where x is positive, else scale * alpha * (exp(input_scale * x) - 1)."""
    return _of("elu", "Elu", x, alpha=alpha, scale=scale, input_scale=input_scale)


def elu_grad(g: Any, input: Any, alpha: float, scale: float, input_scale: float) -> Any:
    """g times scale where the input is positive, else times scale * alpha * input_scale * exp(input_scale * input)."""
    return _grad("Elu", g, input, alpha, scale, input_scale)


def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return _of("silu", "Silu", x)


def silu_grad(g: Any, input: Any) -> Any:
    """g * (s + input * s * (1 - s)) with s = sigmoid(input)."""
    return _grad("Silu", g, input)


def softplus(x: Any, *, beta: float, threshold: float) -> Any:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is above the threshold."""
    return _of("softplus", "Softplus", x, beta=beta, threshold=threshold)


def softplus_grad(g: Any, input: Any, beta: float, threshold: float) -> Any:
    """g * sigmoid(beta * input), and g where beta * input is above the threshold."""
    return _grad("Softplus", g, input, beta, threshold)


def gelu(input: Any, *, approximate: str) -> Any:
    """input * Φ(input)."""
    if not served(input):
        return NotImplemented
    return _map(_value, "GeluTanh" if approximate == "tanh" else "Gelu", (input,), ())


def gelu_grad(g: Any, input: Any, approximate: str) -> Any:
    """The gradient of <g, gelu(input)>: g * (Φ(input) + input * φ(input)), φ the density."""
    return _grad("GeluTanh" if approximate == "tanh" else "Gelu", g, input)
