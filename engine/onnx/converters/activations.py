"""Activation functions."""

import math
from typing import Any

from chainrule.onnx.converters.elementwise import same
from chainrule.onnx.table import converter, converters

converters["relu"] = same("Relu")


@converter("leaky_relu")
def leaky_relu(g: Any, use: Any, x: str) -> Any:
    """LeakyRelu."""
    return g.op("LeakyRelu", x, alpha=float(use["negative_slope"]))


@converter("elu")
def elu(g: Any, use: Any, x: str) -> Any:
    """Elu, Selu or Celu where the scales are theirs; else an Elu between two scalings."""
    alpha, scale, inner = float(use["alpha"]), float(use["scale"]), float(use["input_scale"])
    if scale == inner == 1:
        return g.op("Elu", x, alpha=alpha)
    if inner == 1:
        return g.op("Selu", x, alpha=alpha, gamma=scale)
    if scale == 1 and abs(inner * alpha - 1) < 1e-12:
        return g.op("Celu", x, alpha=alpha)
    below = g.op("Mul", g.op("Elu", g.op("Mul", x, g.constant(inner, use.dtype)), alpha=alpha), g.constant(scale, use.dtype))
    above = g.op("Mul", x, g.constant(scale, use.dtype))
    return g.op("Where", g.op("Greater", x, g.constant(0, use.dtype)), above, below)


@converter("silu")
def silu(g: Any, use: Any, x: str) -> Any:
    """x · Sigmoid(x)."""
    return g.op("Mul", x, g.op("Sigmoid", x))


@converter("softplus")
def softplus(g: Any, use: Any, x: str) -> Any:
    """Softplus of βx, divided by β; x itself above the threshold."""
    beta, threshold = use["beta"], use["threshold"]
    scaled = x if beta == 1 else g.op("Mul", x, g.constant(beta, use.dtype))
    out = g.op("Softplus", scaled)
    if beta != 1:
        out = g.op("Div", out, g.constant(beta, use.dtype))
    return out if threshold == math.inf else g.op("Where", g.op("Greater", scaled, g.constant(threshold, use.dtype)), x, out)


@converter("gelu")
def gelu(g: Any, use: Any, x: str) -> Any:
    """Gelu, exact or by tanh."""
    return g.op("Gelu", x, approximate=use["approximate"])


@converter("softmax", "log_softmax")
def softmax(g: Any, use: Any, x: str) -> Any:
    """Softmax or LogSoftmax; a 0-d tensor as a vector of one."""
    kind = "Softmax" if use.name == "softmax" else "LogSoftmax"
    if use.rank():
        return g.op(kind, x, axis=use["axis"])
    return g.reshape(g.op(kind, g.reshape(x, (1,)), axis=0), ())
