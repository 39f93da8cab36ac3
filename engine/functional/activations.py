"""Activation functions, with torch.nn.functional's signatures.

Each computes elementwise; those that work along an axis stand in `softmax.py`. Those with `inplace=True` write
the result into the input's memory, recorded. At a kink the derivative is torch's (docs/conventions.md).
"""

from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.ops import activations as rows
from chainrule.tensor import Tensor

__all__ = [
    "celu", "elu", "elu_", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "rrelu", "selu",
    "sigmoid", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]

# Klambauer et al. (2017), "Self-normalizing neural networks": with these, mean 0 and variance 1 are a fixed point
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _apply(op: Any, input: Any, inplace: bool, **options: Any) -> Tensor:
    """op(input, **options), written into the input's own memory where `inplace`."""
    found: Tensor = ops.in_place(op, input, **options) if inplace else op(input, **options)
    return found


def floating(op: str, input: Any) -> Tensor:
    """The input as a tensor; DtypeError for integers and bools."""
    found: Tensor = input if isinstance(input, Tensor) else ops.as_tensor(input)
    if found._data.dtype.kind not in FLOATING:
        raise DtypeError(f"{op}: the input is {found.dtype}, it must be floating-point; convert it first, "
                         "for example with .float()")
    return found


# ---- pieces of straight lines


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), of any shape; the derivative at 0 is 0.

    >>> import chainrule as cr
    >>> relu(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return _apply(rows.relu, input, inplace)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, inplace=True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6).

    >>> import chainrule as cr
    >>> relu6(cr.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def _hardtanh(input: Any, *, min_val: float, max_val: float) -> Any:
    return ops.where(input <= min_val, min_val, ops.where(input >= max_val, max_val, input))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """min(max(input, min_val), max_val); the derivative at both ends is 0. Raises ValueError where min_val > max_val.

    >>> import chainrule as cr
    >>> hardtanh(cr.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val={min_val} is above max_val={max_val}")
    return _apply(_hardtanh, floating("hardtanh", input), inplace, min_val=float(min_val), max_val=float(max_val))


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input. Maas, Hannun & Ng (2013), "Rectifier nonlinearities
    improve neural network acoustic models".

    >>> import chainrule as cr
    >>> leaky_relu(cr.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1,  2. ])
    """
    return _apply(rows.leaky_relu, floating("leaky_relu", input), inplace, negative_slope=float(negative_slope))


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where it is positive, else weight * input: a leaky relu whose slope is learned.

    `weight` has one element, or one for each channel, axis 1 of the input (axis 0 of a 1-D one has none). Raises
    ShapeError for another number. He et al. (2015), "Delving deep into rectifiers".

    >>> import chainrule as cr
    >>> prelu(cr.tensor([[-1.0, -1.0]]), cr.tensor([0.1, 0.5]))
    tensor([[-0.1, -0.5]])
    """
    input, weight = floating("prelu", input), floating("prelu", weight)
    count = weight.numel()
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or (count != 1 and count != channels):
        raise ShapeError(f"prelu: the weight has shape {weight.shape}, it needs shape (1,) or ({channels},), a slope "
                         "for "
                         f"each channel (axis 1) of the input of shape {input.shape}")
    if count == 1:
        slope = ops.reshape(weight, ())
    else:
        slope = ops.reshape(weight, (1, count) + (1,) * (input.ndim - 2))
    found: Tensor = ops.where(input > 0, input, slope * input)
    return found


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
          inplace: bool = False) -> Tensor:
    """A leaky relu whose slope is drawn for every element, uniformly from [lower, upper), in training; else their mean.

    Raises ValueError where lower > upper. Xu et al. (2015), "Empirical evaluation of rectified activations in
    convolutional network".

    >>> import chainrule as cr
    >>> rrelu(cr.tensor([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower={lower} is above upper={upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    input = floating("rrelu", input)
    drawn = ops.rand(*input.shape, dtype=np.float64, device=input.device)  # alike in every dtype
    slope = (drawn * (upper - lower) + lower).to(input.dtype)
    return _apply(lambda x: ops.where(x > 0, x, x * slope), input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input where it is above the threshold, else `value`.

    >>> import chainrule as cr
    >>> import chainrule.functional as F
    >>> F.threshold(cr.tensor([0.5, 1.5]), 1.0, -2.0)
    tensor([-2. ,  1.5])
    """
    return _apply(lambda x: ops.where(x <= threshold, value, x), ops.as_tensor(input), inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input where |input| > lambd, else 0.

    >>> import chainrule as cr
    >>> hardshrink(cr.tensor([-1.0, 0.3, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    input = floating("hardshrink", input)
    found: Tensor = ops.where(ops.abs(input) <= lambd, 0, input)
    return found


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input moved towards 0 by lambd, and 0 where |input| <= lambd. Raises ValueError for a negative lambd.

    >>> import chainrule as cr
    >>> softshrink(cr.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5,  0. ,  1.5])
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd={lambd} must not be negative")
    input = floating("softshrink", input)
    found: Tensor = ops.where(input > lambd, input - lambd, ops.where(input < -lambd, input + lambd, input * 0))
    return found


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input + 3, 0), 6) / 6: straight lines in place of the sigmoid.

    >>> import chainrule as cr
    >>> hardsigmoid(cr.tensor([-4.0, 0.0, 1.5, 4.0]))
    tensor([0.  , 0.5 , 0.75, 1.  ])
    """
    def pieces(x: Any) -> Any:
        return ops.where(x <= -3, 0, ops.where(x >= 3, 1, (x + 3) / 6))

    return _apply(pieces, floating("hardsigmoid", input), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input). Howard et al. (2019), "Searching for MobileNetV3".

    >>> import chainrule as cr
    >>> hardswish(cr.tensor([-4.0, 0.0, 3.0, 4.0]))
    tensor([0., 0., 3., 4.])
    """
    def pieces(x: Any) -> Any:
        inner = ops.where(x <= -3, 0, ops.where(x >= 3, 0, x))  # the square of a large x would overflow, unused
        return ops.where(x <= -3, 0, ops.where(x >= 3, x, inner * (inner + 3) / 6))

    return _apply(pieces, floating("hardswish", input), inplace)


# ---- smooth ones


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else alpha (exp(input) - 1). Clevert, Unterthiner & Hochreiter (2015), "Fast and
    accurate deep network learning by exponential linear units".

    >>> import chainrule as cr
    >>> elu(cr.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """
    return _apply(rows.elu, floating("elu", input), inplace, alpha=float(alpha), scale=1.0, input_scale=1.0)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 * elu(input, 1.6733), with which mean 0 and variance 1 are a fixed point through the layers. Klambauer et
    al. (2017), "Self-normalizing neural networks".

    >>> import chainrule as cr
    >>> selu(cr.tensor([-1000.0, 0.0, 1.0]))
    tensor([-1.7581,  0.    ,  1.0507])
    """
    return _apply(rows.elu, floating("selu", input), inplace, alpha=SELU_ALPHA, scale=SELU_SCALE, input_scale=1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else alpha (exp(input / alpha) - 1): an elu with a continuous derivative for every
    alpha. Raises ValueError for alpha = 0. Barron (2017), "Continuously differentiable exponential linear units".

    >>> import chainrule as cr
    >>> celu(cr.tensor([-1000.0, 3.0]), 2.0)
    tensor([-2.,  3.])
    """
    if alpha == 0:
        raise ValueError("celu: alpha is 0, it divides the input; use relu")
    return _apply(rows.elu, floating("celu", input), inplace, alpha=float(alpha), scale=1.0, input_scale=1.0 / alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input * Φ(input), with Φ the standard normal distribution function; `approximate="tanh"`: GPT-2's approximation.

    Raises ValueError for another word. Hendrycks & Gimpel (2016), "Gaussian error linear units".

    >>> import chainrule as cr
    >>> gelu(cr.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.    ,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate={approximate!r} must be 'none' or 'tanh'")
    found: Tensor = rows.gelu(floating("gelu", input), approximate=approximate)
    return found


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input), also called swish. Elfwing, Uchibe & Doya (2017), "Sigmoid-weighted linear units".

    >>> import chainrule as cr
    >>> silu(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.7311])
    """
    return _apply(rows.silu, floating("silu", input), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input)). Misra (2019), "Mish: a self regularized non-monotonic activation function".

    >>> import chainrule as cr
    >>> mish(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.8651])
    """
    return _apply(lambda x: x * ops.tanh(softplus(x)), floating("mish", input), inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta, a smooth relu; input itself where beta * input is above the threshold.

    >>> import chainrule as cr
    >>> softplus(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+03])
    """
    found: Tensor = rows.softplus(floating("softplus", input), beta=float(beta), threshold=float(threshold))
    return found


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)) = -log(1 + exp(-input)), which neither overflows nor loses the left tail.

    >>> import chainrule as cr
    >>> logsigmoid(cr.tensor([-1000.0]))
    tensor([-1000.])
    """
    return -softplus(-floating("logsigmoid", input), threshold=float("inf"))


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|).

    >>> import chainrule as cr
    >>> softsign(cr.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    input = ops.as_tensor(input)
    found: Tensor = input / (1 + ops.abs(input))
    return found


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input).

    >>> import chainrule as cr
    >>> tanhshrink(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.2384])
    """
    input = ops.as_tensor(input)
    found: Tensor = input - ops.tanh(input)
    return found


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input)).

    >>> import chainrule as cr
    >>> sigmoid(cr.tensor([-1000.0, 0.0]))
    tensor([0. , 0.5])
    """
    found: Tensor = ops.sigmoid(input)
    return found


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent.

    >>> import chainrule as cr
    >>> tanh(cr.tensor([0.0, 1000.0]))
    tensor([0., 1.])
    """
    found: Tensor = ops.tanh(input)
    return found
