"""Losses that compare numbers or distributions, as layers, and what all losses share.

Each takes what its function in `chainrule.functional` takes and returns one number, or one for each element or sample
with `reduction="none"`. The constructors have torch's arguments in torch's order; `size_average` and `reduce` among them
are the former way to say `reduction`, understood with a warning. Classification losses stand in
`losses_classification.py`, those of pairs, triplets and sequences in `losses_ranking.py`.
"""

from typing import Any

from chainrule import functional as F
from chainrule.functional.losses import reduction_of
from chainrule.layers.configured import Configured, refuse_input
from chainrule.tensor import Tensor

__all__ = ["GaussianNLLLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"]


class Loss(Configured):
    """What all losses share: a function, the reduction, and the function's other arguments kept as attributes."""

    compute: Any  # the function of chainrule.functional
    arguments: tuple[str, ...] = ()  # its other arguments, attributes of the layer
    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        refuse_input(self, size_average, reduce)
        name = type(self).__name__
        if reduction not in self.reductions:
            *words, last = map(repr, self.reductions)
            raise ValueError(f"{name}: reduction={reduction!r}; choose {', '.join(words)} or {last}")
        self.reduction = reduction_of(name, reduction, size_average, reduce)

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The loss of the function's inputs, in its order or by its names."""
        kept = {name: getattr(self, name) for name in self.arguments}
        found: Tensor = self.compute(*inputs, **named, reduction=self.reduction, **kept)
        return found

    def goes_without_saying(self, name: str, value: object) -> bool:
        """Tensors are not shown."""
        return isinstance(value, Tensor)


class L1Loss(Loss):
    """|input − target|, the mean over all elements unless `reduction` says "sum" or "none"; both of one shape.

    >>> import chainrule as cr
    >>> L1Loss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0])).item()
    1.0
    """

    compute = staticmethod(F.l1_loss)


class MSELoss(Loss):
    """(input − target)², the mean over all elements unless `reduction` says "sum" or "none"; both of one shape.

    >>> import chainrule as cr
    >>> MSELoss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0])).item()
    2.0
    """

    compute = staticmethod(F.mse_loss)


class SmoothL1Loss(Loss):
    """With d = input − target: ½ d² / beta where |d| < beta, else |d| − ½ beta; both of one shape.

    Raises ValueError, when called, for a negative beta. Girshick (2015), "Fast R-CNN".

    >>> import chainrule as cr
    >>> SmoothL1Loss(reduction="none")(cr.tensor([0.0, 0.0]), cr.tensor([1.0, 3.0]))
    tensor([0.5, 2.5])
    """

    compute, arguments = staticmethod(F.smooth_l1_loss), ("beta",)

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta


class HuberLoss(Loss):
    """With d = input − target: ½ d² where |d| ≤ delta, else delta (|d| − ½ delta); both of one shape.

    Raises ValueError, when called, for delta ≤ 0. Huber (1964), "Robust estimation of a location parameter".

    >>> import chainrule as cr
    >>> HuberLoss("none", delta=2.0)(cr.tensor([0.0, 0.0]), cr.tensor([1.0, 3.0]))
    tensor([0.5, 4. ])
    """

    compute, arguments = staticmethod(F.huber_loss), ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class KLDivLoss(Loss):
    """Kullback's and Leibler's divergence, elementwise: target (log target − input), 0 where the target is 0.

    `input` holds log probabilities, `target` probabilities, or with `log_target` their logarithms too; one shape.
    "mean" divides by the number of elements; "batchmean", the sum divided by the size of axis 0, is the divergence as
    mathematics has it. Raises DtypeError for an integer target.

    >>> import chainrule as cr
    >>> KLDivLoss(reduction="batchmean")(cr.tensor([[0.25, 0.75]]).log(), cr.tensor([[0.5, 0.5]]))
    tensor(0.1438)
    """

    compute, arguments = staticmethod(F.kl_div), ("log_target",)
    reductions = ("mean", "sum", "none", "batchmean")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 log_target: bool = False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target


class PoissonNLLLoss(Loss):
    """−log of the Poisson distribution's probability of the target, but for the term that only the target decides.

    With `log_input` the input is the logarithm of the rate: exp(input) − target · input; else the rate: input −
    target · log(input + eps). `full` adds Stirling's approximation of log(target!) where target > 1.

    >>> import chainrule as cr
    >>> PoissonNLLLoss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(1.)
    """

    compute, arguments = staticmethod(F.poisson_nll_loss), ("log_input", "full", "eps")

    def __init__(self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


class GaussianNLLLoss(Loss):
    """−log of the density of N(input, var) at the target: ½ (log v + (input − target)² / v) with v = max(var, eps).

    Called with (input, target, var). `full` adds the constant ½ log 2π. `var` has the input's shape, or 1 for one axis,
    or lacks the last, or is a number. Raises ValueError where it is negative. Nix & Weigend (1994), "Estimating the
    mean and variance of the target probability distribution".

    >>> import chainrule as cr
    >>> GaussianNLLLoss()(cr.tensor([0.0]), cr.tensor([2.0]), cr.tensor([1.0]))
    tensor(2.)
    """

    compute, arguments = staticmethod(F.gaussian_nll_loss), ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps
