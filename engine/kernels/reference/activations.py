"""Activation functions of one array, elementwise."""

import math
from typing import Any

import numpy as np

from chainrule.kernels.reference.elementwise import sigmoid

__all__ = ["elu", "leaky_relu", "relu", "silu", "softplus"]


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""
    return np.maximum(x, 0)


def leaky_relu(x: Any, *, negative_slope: float) -> Any:
    """x where it is positive, else negative_slope * x."""
    return np.where(x > 0, x, x * negative_slope)


def elu(x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    """scale * x where x is positive, else scale * alpha * (exp(input_scale * x) - 1)."""
    below = np.where(x > 0, 0, x)  # the exponential of a large positive x would overflow, unused
    return np.where(x > 0, x * scale, np.expm1(below * input_scale) * (scale * alpha))


def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def softplus(x: Any, *, beta: float, threshold: float) -> Any:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is above the threshold."""
    scaled = x * beta
    if np.iscomplexobj(x):
        return np.where(scaled.real > threshold, x, np.log1p(np.exp(scaled)) / beta)
    # log(1 + e**s) = max(s, 0) + log(1 + e**-|s|): nothing overflows
    out = (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta
    return out if threshold == math.inf else np.where(scaled > threshold, x, out)
