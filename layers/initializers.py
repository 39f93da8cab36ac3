"""Filling parameters with their first values; the functions of torch.nn.init, as `chainrule.layers.init`.

Each writes into its tensor in place, unrecorded, and returns it. Random ones take `generator`; without it they draw
from the stream that `manual_seed` sets.
"""

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph import no_grad
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
           "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_"]

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


def check_tensor(name: str, tensor: Any) -> None:
    """TypeError for what is no tensor, such as a layer."""
    if not isinstance(tensor, Tensor):
        kind = type(tensor).__name__
        hint = f"; pass its weight, {kind.lower()}.weight" if hasattr(tensor, "weight") else ""
        raise TypeError(f"{name}: takes a tensor and fills it, got a {kind}{hint}")


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs reach one output, and how many outputs one input, for a weight (out, in, *kernel).

    Raises ShapeError for fewer than two axes.

    >>> import chainrule as cr
    >>> fans(cr.tensor([[1.0, 2.0, 3.0]]))
    (3, 1)
    """
    check_tensor("init", tensor)
    if tensor.ndim < 2:
        raise ShapeError(f"init: a weight of shape {tensor.shape} has no fan-in and fan-out, which need two axes "
                         "(out, in) or more; use uniform_ or normal_")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def axes(name: str, tensor: Tensor, allowed: tuple[int, ...]) -> tuple[int, ...]:
    """The tensor's shape; ShapeError where it has another number of axes."""
    check_tensor(name, tensor)
    if tensor.ndim not in allowed:
        raise ShapeError(f"{name}: a tensor of shape {tensor.shape} has {tensor.ndim} axes, it needs "
                         f"{' or '.join(map(str, allowed))}")
    return tensor.shape


def fill(tensor: Tensor, values: Any) -> Tensor:
    """Write an array of the tensor's shape into it, unrecorded."""
    with no_grad():
        return tensor.copy_(Tensor(values))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the uniform distribution on [a, b)."""
    check_tensor("uniform_", tensor)
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the normal distribution N(mean, std²)."""
    check_tensor("normal_", tensor)
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere.

    >>> import chainrule as cr
    >>> constant_(cr.tensor([1.0, 2.0]), 0.5)
    tensor([0.5, 0.5])
    """
    check_tensor("constant_", tensor)
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Any = None) -> Tensor:
    """Draws from N(mean, std²) within [a, b]: x = mean + std √2 erf⁻¹(u), with u uniform from erf of one bound to erf of
    the other. The bounds are values, not multiples of std.

    Raises ValueError where a is not below b, or all of [a, b] lies more than 7 std away from the mean.

    >>> import chainrule as cr
    >>> drawn = trunc_normal_(cr.zeros(1000), std=0.02, a=-0.04, b=0.04)
    >>> bool((drawn.abs() <= 0.04).all())
    True
    """
    check_tensor("trunc_normal_", tensor)
    low, high = (a - mean) / std, (b - mean) / std
    if not low < high or low > 7 or high < -7:
        raise ValueError(f"trunc_normal_: nothing to draw from N({mean}, {std}²) between a={a} and b={b}; the bounds are "
                         "values, in order, and near the mean")
    ends = [math.erf(bound / math.sqrt(2)) for bound in (low, high)]
    uniform = ops.rand(*tensor.shape, dtype=np.float64, generator=generator)
    drawn = ops.erfinv(ends[0] + (ends[1] - ends[0]) * uniform) * (std * math.sqrt(2)) + mean
    with no_grad():
        return tensor.copy_(ops.clamp(drawn, a, b)).clamp_(a, b)  # rounding to the tensor's dtype may pass a bound


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, of any two sizes. Raises ShapeError for a tensor that has not two axes.

    >>> import chainrule as cr
    >>> eye_(cr.zeros(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    rows, columns = axes("eye_", tensor, (2,))
    return fill(tensor, np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight (out, in, *kernel) that hands its input on: 1 at the kernel's middle from channel i to
    channel i (in each group), 0 elsewhere. Channels out of the input's range give 0.

    Raises ShapeError for a tensor with fewer than 3 or more than 5 axes, ValueError where groups does not divide out.

    >>> import chainrule as cr
    >>> dirac_(cr.zeros(2, 2, 3)).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    outputs, inputs, *kernel = axes("dirac_", tensor, (3, 4, 5))
    if groups < 1 or outputs % groups:
        raise ValueError(f"dirac_: groups={groups} must divide the {outputs} output channels of shape {tensor.shape}")
    values = np.zeros(tensor.shape)
    each = outputs // groups
    for channel in range(outputs):
        if channel % each < inputs:
            values[(channel, channel % each, *(k // 2 for k in kernel))] = 1
    return fill(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer; further axes count as columns.

    It is the Q of a normal matrix's QR factorisation, with the signs that make all such matrices equally likely
    (Mezzadri 2007). Saxe, McClelland & Ganguli 2013, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", arXiv 1312.6120. Raises ShapeError for fewer than two axes.

    >>> import chainrule as cr
    >>> weight = orthogonal_(cr.zeros(2, 5))
    >>> cr.allclose(weight @ weight.mT, cr.eye(2), atol=1e-6)
    True
    """
    fans(tensor)
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = ops.randn(max(rows, columns), min(rows, columns), dtype=np.float64, device="cpu", generator=generator).data
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r))
    return fill(tensor, gain * np.reshape(q if rows >= columns else q.T, tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Draws from N(0, std²), with a share `sparsity` of every column set to 0 (rounded up). Martens 2010, "Deep learning
    via Hessian-free optimization". Raises ShapeError for a tensor that has not two axes, ValueError for a share outside
    0 to 1.

    >>> import chainrule as cr
    >>> (sparse_(cr.zeros(10, 3), 0.7) == 0).sum(0).tolist()
    [7, 7, 7]
    """
    rows, _ = axes("sparse_", tensor, (2,))
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity={sparsity} is a share, between 0 and 1")
    ranks = ops.argsort(ops.argsort(ops.rand(*tensor.shape, dtype=np.float64, device=tensor.device, generator=generator), 0), 0)
    normal_(tensor, 0.0, std, generator)
    with no_grad():
        return tensor.masked_fill_(ranks < math.ceil(sparsity * rows), 0)


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
