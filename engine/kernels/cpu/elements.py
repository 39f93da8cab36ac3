"""What elementwise.py runs over large arrays, each a function of one element."""

from typing import Any

from chainrule.kernels.cpu import errorfunction, exponential
from chainrule.kernels.cpu.chunks import Elementwise


@Elementwise
def exp(x: Any) -> Any:
    return exponential.exp(x)


@Elementwise
def exp_grad(g: Any, out: Any) -> Any:
    return g * out


@Elementwise
def tanh(x: Any) -> Any:
    return exponential.tanh(x)


@Elementwise
def tanh_grad(g: Any, out: Any) -> Any:
    return g * (type(g)(1) - out * out)


@Elementwise
def sigmoid(x: Any) -> Any:
    return exponential.sigmoid(x)


@Elementwise
def sigmoid_grad(g: Any, out: Any) -> Any:
    return g * out * (type(g)(1) - out)


@Elementwise
def erf(x: Any) -> Any:
    return errorfunction.erf(x)
