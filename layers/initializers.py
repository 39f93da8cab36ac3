"""Filling parameters with their first values; the functions of torch.nn.init, as `chainrule.layers.init`.

Each writes into its tensor in place, unrecorded, and returns it. Random ones take `generator`; without it they draw
from the stream that `manual_seed` sets.
"""

import math
from typing import Any

from chainrule.errors import ShapeError
from chainrule.graph import no_grad
from chainrule.tensor import Tensor

__all__ = ["calculate_gain", "constant_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_",
           "xavier_normal_", "xavier_uniform_", "zeros_"]

GAINS = {"linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0,
         "conv_transpose1d": 1.0, "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "tanh": 5 / 3,
         "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights should grow so that activations keep their variance behind this nonlinearity.

    1 for linear, conv and sigmoid, 5/3 for tanh, √2 for relu, 3/4 for selu, √(2 / (1 + slope²)) for leaky_relu with the
    slope `param` (0.01 unless given). Raises ValueError for another name.

    >>> calculate_gain("relu"), calculate_gain("leaky_relu", 1.0)
    (1.4142135623730951, 1.0)
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in GAINS:
        raise ValueError(f"calculate_gain({nonlinearity!r}): choose one of {', '.join(sorted([*GAINS, 'leaky_relu']))}")
    return GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs reach one output, and how many outputs one input, for a weight (out, in, *kernel).

    Raises ShapeError for fewer than two axes.

    >>> import chainrule as cr
    >>> fans(cr.tensor([[1.0, 2.0, 3.0]]))
    (3, 1)
    """
    if tensor.ndim < 2:
        raise ShapeError(f"init: a weight of shape {tensor.shape} has no fan-in and fan-out, which need two axes "
                         "(out, in) or more; use uniform_ or normal_")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the uniform distribution on [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the normal distribution N(mean, std²)."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere.

    >>> import chainrule as cr
    >>> constant_(cr.tensor([1.0, 2.0]), 0.5)
    tensor([0.5, 0.5])
    """
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform on [-b, b) with b = gain √(6 / (fan_in + fan_out)): Glorot & Bengio 2010, "Understanding the difficulty
    of training deep feedforward neural networks"."""
    bound = gain * math.sqrt(6 / max(sum(fans(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with standard deviation gain √(2 / (fan_in + fan_out)); see `xavier_uniform_`."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)), generator)


def kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan, with the fan that `mode` names. Raises ValueError for another mode."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode={mode!r} is neither 'fan_in' nor 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: Any = None) -> Tensor:
    """Uniform on [-b, b) with b = gain √(3 / fan), where `a` is the slope of leaky_relu: He et al. 2015, "Delving deep
    into rectifiers"."""
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: Any = None) -> Tensor:
    """Normal with standard deviation gain / √fan; see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), generator)


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """What Linear and the convolutions start with: both uniform on ±1/√fan_in (for the weight this is
    kaiming_uniform_ with a = √5)."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(max(fans(weight)[0], 1))
        uniform_(bias, -bound, bound)
