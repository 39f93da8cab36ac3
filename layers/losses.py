"""Losses as layers: each takes (input, target) and returns one number unless `reduction="none"`."""

from typing import Any

from chainrule import functional as F
from chainrule.layers.module import Module
from chainrule.tensor import Tensor

__all__ = ["CrossEntropyLoss", "MSELoss"]


def check_reduction(name: str, reduction: str) -> str:
    """The reduction; ValueError for another word than mean, sum and none."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction={reduction!r}; choose 'mean', 'sum' or 'none'")
    return reduction


class MSELoss(Module):
    """The mean of (input − target)² over all elements; their sum, or each, by `reduction`.

    >>> import chainrule as cr
    >>> MSELoss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0])).item()
    2.0
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = check_reduction("MSELoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """input and target of the same shape."""
        return F.mse_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The reduction where it is not the mean."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(Module):
    """−log of the probability that softmax(input) gives the target class.

    input (N, C, …): logits; target (N, …): class indices, or (N, C, …): probabilities.

    `weight` (C): how much each class counts; `ignore_index`: targets that do not count; `label_smoothing`: the share of
    the target's probability that is spread over all classes. The mean is over the weights of the targets that count.

    >>> import chainrule as cr
    >>> round(CrossEntropyLoss()(cr.tensor([[2.0, 2.0]]), cr.tensor([1])).item(), 4)
    0.6931
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing={label_smoothing} must lie between 0 and 1")
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.reduction = check_reduction("CrossEntropyLoss", reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """input (N, C, …), target (N, …) or (N, C, …)."""
        return F.cross_entropy(input, target, weight=self.weight, ignore_index=self.ignore_index,
                               reduction=self.reduction,
                               label_smoothing=self.label_smoothing)

    def extra_repr(self) -> str:
        """What is not the default."""
        rows = (("ignore_index", -100), ("reduction", "mean"), ("label_smoothing", 0.0))
        return ", ".join(f"{name}={getattr(self, name)!r}" for name, default in rows if getattr(self, name) != default)
