"""What elementwise.py runs over large arrays, each a function of one element."""

from typing import Any

from chainrule.kernels.cpu import errorfunction, exponential
from chainrule.kernels.cpu.chunks import Elementwise


@Elementwise
def exp(x: Any) -> Any:
    """e**x."""
    return exponential.exp(x)


@Elementwise
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return exponential.tanh(x)


@Elementwise
def tanh_grad(g: Any, out: Any) -> Any:
    """The derivative of tanh, times g."""
    return g * (type(g)(1) - out * out)


@Elementwise
def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    return exponential.sigmoid(x)


@Elementwise
def sigmoid_grad(g: Any, out: Any) -> Any:
    """The derivative of sigmoid, times g."""
    return g * out * (type(g)(1) - out)


@Elementwise
def erf(x: Any) -> Any:
    """The error function."""
    return errorfunction.erf(x)
