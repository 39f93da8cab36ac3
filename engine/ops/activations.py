"""Activation functions that are rows of the table, or have definitions of their own.

Those that are compositions of a line or two stand in `functional/activations.py`, which gives all of them torch's
signatures. At a kink a derivative is torch's: that of the piece on the left, which for relu and its relatives is the
flat one.
"""

import math
from typing import Any

from chainrule.fused import fused, register
from chainrule.graph import Op
from chainrule.ops.half import narrow, widen

__all__ = ["relu"]

relu = Op("relu", """max(input, 0); the derivative at 0 is 0.

>>> import chainrule as cr
>>> cr.relu(cr.tensor([-1.0, 0.0, 2.0]))
tensor([0., 0., 2.])
""", word="elementwise", input=lambda xp, g, out: xp.where(out <= 0, 0, g))

leaky_relu = Op("leaky_relu", "input where it is positive, else negative_slope * input.", word="elementwise",
                floats=True, input=lambda xp, g, input, negative_slope: xp.where(input > 0, g, g * negative_slope))


def _elu_slope(xp: Any, g: Any, input: Any, alpha: float, scale: float, input_scale: float) -> Any:
    below = xp.where(input > 0, 0, input)
    return xp.where(input > 0, g * scale, g * (scale * alpha * input_scale) * xp.exp(below * input_scale))


# elu, selu and celu in one: scale * input, and scale * alpha * (exp(input_scale * input) - 1) where it is not positive
elu = Op("elu", "scale * input where it is positive, else scale * alpha * (exp(input_scale * input) - 1).",
         word="elementwise", floats=True, input=_elu_slope)


def _silu_slope(xp: Any, g: Any, input: Any) -> Any:
    gate = xp.sigmoid(input)
    return g * gate * (1 + input * (1 - gate))


silu = Op("silu", "input * sigmoid(input).", word="elementwise", floats=True, input=_silu_slope)


def _softplus_slope(xp: Any, g: Any, input: Any, beta: float, threshold: float) -> Any:
    slope = g * xp.sigmoid(input * beta)
    return slope if threshold == math.inf else xp.where(input * beta > threshold, g, slope)


softplus = Op("softplus", "log(1 + exp(beta * input)) / beta; input itself where beta * input is above the threshold.",
              word="elementwise", floats=True, input=_softplus_slope)


@register
@fused
def gelu(xp: Any, input: Any, *, approximate: str = "none") -> Any:
    """input * Φ(input), Φ being the standard normal distribution function: ½ (1 + erf(input / √2)).

    `approximate="tanh"` takes ½ (1 + tanh(√(2/π) (input + 0.044715 input³))) for it. Hendrycks & Gimpel, "Gaussian
    error linear units" (2016).
    """
    x = widen(xp, input)
    if approximate == "tanh":
        inside = xp.tanh(math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))
    else:
        inside = xp.erf(x * math.sqrt(0.5))
    return narrow(xp, 0.5 * x * (1 + inside), input.dtype)
