"""Activations as layers: each is a function of chainrule.functional, with its settings."""

from collections.abc import Callable
from typing import Any, ClassVar

from chainrule import functional as F
from chainrule.arguments import check_numbers
from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured, refuse_input
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.tensor import Tensor

__all__ = [
    "CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish", "PReLU",
    "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]


class Activation(Configured):
    """function(input, **settings), where the settings are attributes."""

    function: ClassVar[Callable[..., Tensor]]
    settings: ClassVar[tuple[str, ...]] = ()

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input, of the input's shape."""
        return type(self).function(input, **{name: getattr(self, name) for name in self.settings})


class InPlace(Activation):
    """Activations whose only setting is `inplace`: to write the result into the input's memory."""

    settings = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        refuse_input(self, inplace)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input, of the input's shape."""
        return type(self).function(input, self.inplace)


# ---- pieces of straight lines


class ReLU(InPlace):
    """max(x, 0). `inplace` writes the result into the input's memory.

    >>> import chainrule as cr
    >>> ReLU()(cr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(F.relu)


class ReLU6(InPlace):
    """min(max(x, 0), 6).

    >>> import chainrule as cr
    >>> ReLU6()(cr.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """

    function = staticmethod(F.relu6)


class Hardtanh(Activation):
    """min(max(x, min_val), max_val). Raises ValueError where min_val is not below max_val.

    >>> import chainrule as cr
    >>> Hardtanh(-2, 2)(cr.tensor([-3.0, 0.5, 3.0]))
    tensor([-2. ,  0.5,  2. ])
    """

    function, settings = staticmethod(F.hardtanh), ("min_val", "max_val", "inplace")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        check_numbers("Hardtanh", min_val=min_val, max_val=max_val)
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val={min_val} must be below max_val={max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class LeakyReLU(Activation):
    """x where x > 0, else negative_slope · x. Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network
    acoustic models".

    >>> import chainrule as cr
    >>> LeakyReLU(0.1)(cr.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    function, settings = staticmethod(F.leaky_relu), ("negative_slope", "inplace")

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        check_numbers(type(self).__name__, negative_slope=negative_slope)
        self.negative_slope, self.inplace = negative_slope, inplace


class PReLU(Configured):
    """x where x > 0, else w · x with a learned slope w: one for all channels, or `num_parameters` for as many (axis 1).

    The slopes start at `init`. He et al. 2015, "Delving deep into rectifiers", arXiv 1502.01852.

    >>> import chainrule as cr
    >>> PReLU(2)(cr.tensor([[-1.0, 2.0]]))
    tensor([[-0.25,  2.  ]], grad_fn=<Where>)
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        if num_parameters < 1:
            raise ShapeError(f"PReLU: num_parameters={num_parameters}; it needs 1 slope, or 1 for each channel")
        self.num_parameters, self.init = num_parameters, init
        self.weight = empty(num_parameters, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, num_parameters, …), or of any shape with one slope."""
        return F.prelu(input, self.weight)


class RReLU(Configured):
    """A leaky ReLU whose slope is drawn for every element in training, uniformly from [lower, upper), and is their mean
    in evaluation. Raises ValueError where lower > upper.

    Xu et al. 2015, "Empirical evaluation of rectified activations in convolutional network", arXiv 1505.00853.

    >>> import chainrule as cr
    >>> RReLU(0.25, 0.75).eval()(cr.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        check_numbers("RReLU", lower=lower, upper=upper)
        if lower > upper:
            raise ValueError(f"RReLU: lower={lower} is above upper={upper}")
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        """input of any shape."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Threshold(Activation):
    """x where x > threshold, else `value`.

    >>> import chainrule as cr
    >>> Threshold(1.0, -2.0)(cr.tensor([0.5, 1.5]))
    tensor([-2. ,  1.5])
    """

    function, settings = staticmethod(F.threshold), ("threshold", "value", "inplace")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        check_numbers("Threshold", threshold=threshold, value=value)
        self.threshold, self.value, self.inplace = threshold, value, inplace


class Hardshrink(Activation):
    """x where |x| > lambd, else 0.

    >>> import chainrule as cr
    >>> Hardshrink()(cr.tensor([-1.0, 0.3, 2.0]))
    tensor([-1.,  0.,  2.])
    """

    function, settings = staticmethod(F.hardshrink), ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        check_numbers(type(self).__name__, lambd=lambd)
        self.lambd = lambd


class Softshrink(Hardshrink):
    """x moved towards 0 by lambd, and 0 where |x| <= lambd. Raises ValueError for a negative lambd.

    >>> import chainrule as cr
    >>> Softshrink()(cr.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5,  0. ,  1.5])
    """

    function = staticmethod(F.softshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd)
        if lambd < 0:
            raise ValueError(f"Softshrink: lambd={lambd} must not be negative")


class Hardsigmoid(InPlace):
    """min(max(x + 3, 0), 6) / 6.

    >>> import chainrule as cr
    >>> Hardsigmoid()(cr.tensor([-4.0, 1.5, 4.0]))
    tensor([0.  , 0.75, 1.  ])
    """

    function = staticmethod(F.hardsigmoid)


class Hardswish(InPlace):
    """x · hardsigmoid(x). Howard et al. 2019, "Searching for MobileNetV3", arXiv 1905.02244.

    >>> import chainrule as cr
    >>> Hardswish()(cr.tensor([-4.0, 0.0, 4.0]))
    tensor([0., 0., 4.])
    """

    function = staticmethod(F.hardswish)


# ---- smooth ones


class ELU(Activation):
    """x where x > 0, else alpha (eˣ − 1). Clevert, Unterthiner & Hochreiter 2015, "Fast and accurate deep network
    learning by exponential linear units", arXiv 1511.07289.

    >>> import chainrule as cr
    >>> ELU()(cr.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """

    function, settings = staticmethod(F.elu), ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        check_numbers(type(self).__name__, alpha=alpha)
        self.alpha, self.inplace = alpha, inplace


class CELU(ELU):
    """x where x > 0, else alpha (e^(x / alpha) − 1), smooth for every alpha but 0. Raises ValueError for alpha = 0.
    Barron 2017, "Continuously differentiable exponential linear units", arXiv 1704.07483.

    >>> import chainrule as cr
    >>> CELU(2.0)(cr.tensor([-1000.0, 3.0]))
    tensor([-2.,  3.])
    """

    function = staticmethod(F.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha, inplace)
        if alpha == 0:
            raise ValueError("CELU: alpha is 0, it divides the input; use ReLU")


class SELU(InPlace):
    """1.0507 · (x where x > 0, else 1.6733 (eˣ − 1)), with which mean 0 and variance 1 are a fixed point through the
    layers. Klambauer et al. 2017, "Self-normalizing neural networks", arXiv 1706.02515.

    >>> import chainrule as cr
    >>> SELU()(cr.tensor([-1000.0, 0.0, 1.0]))
    tensor([-1.7581,  0.    ,  1.0507])
    """

    function = staticmethod(F.selu)


class GELU(Activation):
    """x Φ(x), with Φ the standard normal distribution function; approximate="tanh": GPT-2's approximation of it.
    Hendrycks & Gimpel 2016, "Gaussian error linear units", arXiv 1606.08415.

    >>> import chainrule as cr
    >>> GELU()(cr.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.    ,  0.8413])
    """

    function, settings = staticmethod(F.gelu), ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate={approximate!r}; it is 'none' or 'tanh'")
        self.approximate = approximate


class SiLU(InPlace):
    """x · sigmoid(x), also called swish. Elfwing, Uchibe & Doya 2017, "Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning", arXiv 1702.03118.

    >>> import chainrule as cr
    >>> SiLU()(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.7311])
    """

    function = staticmethod(F.silu)


class Mish(InPlace):
    """x · tanh(log(1 + eˣ)). Misra 2019, "Mish: a self regularized non-monotonic activation function", arXiv 1908.08681.

    >>> import chainrule as cr
    >>> Mish()(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.8651])
    """

    function = staticmethod(F.mish)


class Softplus(Activation):
    """log(1 + e^(beta x)) / beta, a smooth ReLU; x itself where beta · x is above the threshold.

    >>> import chainrule as cr
    >>> Softplus()(cr.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0000e+03])
    """

    function, settings = staticmethod(F.softplus), ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check_numbers("Softplus", beta=beta, threshold=threshold)
        if beta == 0:
            raise ValueError("Softplus: beta is 0, it divides the result")
        self.beta, self.threshold = beta, threshold


class Sigmoid(Activation):
    """σ(x) = 1 / (1 + e⁻ˣ).

    >>> import chainrule as cr
    >>> Sigmoid()(cr.tensor([-1000.0, 0.0]))
    tensor([0. , 0.5])
    """

    function = staticmethod(F.sigmoid)


class LogSigmoid(Activation):
    """log σ(x) = −log(1 + e⁻ˣ).

    >>> import chainrule as cr
    >>> LogSigmoid()(cr.tensor([-1000.0]))
    tensor([-1000.])
    """

    function = staticmethod(F.logsigmoid)


class Tanh(Activation):
    """tanh x.

    >>> import chainrule as cr
    >>> Tanh()(cr.tensor([0.0, 1000.0]))
    tensor([0., 1.])
    """

    function = staticmethod(F.tanh)


class Tanhshrink(Activation):
    """x − tanh x.

    >>> import chainrule as cr
    >>> Tanhshrink()(cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.2384])
    """

    function = staticmethod(F.tanhshrink)


class Softsign(Activation):
    """x / (1 + |x|).

    >>> import chainrule as cr
    >>> Softsign()(cr.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """

    function = staticmethod(F.softsign)
