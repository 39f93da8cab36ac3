"""Functions of one variable over the threads: exp, tanh, sigmoid, erf, with their derivatives in one pass.

Below a measured size NumPy serves, and nothing is compiled or imported: a look at the size is all that it costs. The
compiled functions stand in elements.py.
"""

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu.arrays import alike

# From this many elements on compiled code is quicker than NumPy: than its functions without vector code, than its exp and than a
# product of three passes, and (with two threads) than its tanh.
CURVED, QUICK, TANH = 1 << 7, 1 << 13, 1 << 15


@cache
def elements() -> Any:
    """The compiled functions; importing them imports numba."""
    return import_module("chainrule.kernels.cpu.elements")


def exp(x: Any) -> Any:
    """e**x."""
    return elements().exp(x) if alike(QUICK, x) else np.exp(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return elements().tanh(x) if alike(TANH, x) else np.tanh(x)


def tanh_grad(g: Any, out: Any) -> Any:
    """g * (1 - out * out)."""
    return (elements().tanh_grad(g, out),) if alike(QUICK, g, out) else NotImplemented


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return elements().sigmoid(x) if alike(CURVED, x) else reference.sigmoid(x)


def sigmoid_grad(g: Any, out: Any) -> Any:
    """g * out * (1 - out)."""
    return (elements().sigmoid_grad(g, out),) if alike(QUICK, g, out) else NotImplemented


def erf(x: Any) -> Any:
    """The error function."""
    return elements().erf(x) if alike(CURVED, x) else reference.erf(x)
