"""Losses of classification, as layers. A `weight` is a buffer, saved with the layer's state. See `losses.py`."""

from chainrule import functional as F
from chainrule.layers.losses import Loss
from chainrule.tensor import Tensor

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss",
           "MultiMarginLoss", "NLLLoss", "SoftMarginLoss"]


class WeightedLoss(Loss):
    """A loss with a `weight`, a tensor or None."""

    arguments: tuple[str, ...] = ("weight",)
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(WeightedLoss):
    """−log of the probability that softmax(input) gives the target class.

    input (N, C, …), or (C,): logits; target (N, …), or (): class indices, or of the input's shape: probabilities.

    `weight` (C): how much each class counts; `ignore_index`: targets that do not count; `label_smoothing`: the share of
    the target's probability that is spread over all classes. The mean is over the weights of the targets that count.
    Raises ValueError for a smoothing outside 0 to 1, IndexError for a target that is no class.

    >>> import chainrule as cr
    >>> round(CrossEntropyLoss()(cr.tensor([[2.0, 2.0]]), cr.tensor([1])).item(), 4)
    0.6931
    """

    compute = staticmethod(F.cross_entropy)
    arguments = ("weight", "ignore_index", "label_smoothing")

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing={label_smoothing} must lie between 0 and 1")
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(WeightedLoss):
    """−weight[target] · input[target], the negative log likelihood: input (N, C, …) log probabilities, target (N, …).

    Targets equal to `ignore_index` count nothing; the mean is over the weights (C,) of those that count. Raises
    IndexError for a target that is no class.

    >>> import chainrule as cr
    >>> NLLLoss()(cr.tensor([[-1.0, -2.0], [-3.0, -4.0]]), cr.tensor([1, 0]))
    tensor(2.5)
    """

    compute = staticmethod(F.nll_loss)
    arguments = ("weight", "ignore_index")

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index


class BCELoss(WeightedLoss):
    """−weight (t log x + (1 − t) log(1 − x)) of probabilities x; input and target of one shape, `weight` broadcasts.

    Each logarithm is at least −100. Raises ValueError for an input outside 0 to 1, ShapeError for different shapes,
    DtypeError for an integer target. For logits `BCEWithLogitsLoss` is exact.

    >>> import chainrule as cr
    >>> BCELoss(reduction="none")(cr.tensor([0.5, 1.0]), cr.tensor([1.0, 0.0]))
    tensor([  0.6931, 100.    ])
    """

    compute = staticmethod(F.binary_cross_entropy)


class BCEWithLogitsLoss(WeightedLoss):
    """`BCELoss` of sigmoid(input), exact for any logit: weight (p · t · softplus(−x) + (1 − t) softplus(x)).

    `weight`, and p = `pos_weight`, how much positive examples count, broadcast. Raises ShapeError for different shapes,
    DtypeError for an integer target.

    >>> import chainrule as cr
    >>> BCEWithLogitsLoss(reduction="none")(cr.tensor([0.0, 1000.0]), cr.tensor([1.0, 0.0]))
    tensor([6.9315e-01, 1.0000e+03])
    """

    compute = staticmethod(F.binary_cross_entropy_with_logits)
    arguments = ("weight", "pos_weight")
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)


class SoftMarginLoss(Loss):
    """log(1 + exp(−target · input)), targets 1 and −1; both of one shape.

    >>> import chainrule as cr
    >>> SoftMarginLoss(reduction="none")(cr.tensor([0.0, -1000.0]), cr.tensor([1.0, 1.0]))
    tensor([6.9315e-01, 1.0000e+03])
    """

    compute = staticmethod(F.soft_margin_loss)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """The mean over classes, the last axis, of −weight (t log σ(x) + (1 − t) log σ(−x)): (N, C) and (N, C) give (N,).

    >>> import chainrule as cr
    >>> MultiLabelSoftMarginLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    compute = staticmethod(F.multilabel_soft_margin_loss)


class MultiLabelMarginLoss(Loss):
    """Σ_t Σ_c max(0, 1 − (x_t − x_c)) / C over a sample's classes t and all others c: (N, C) and (N, C), or (C,).

    Each row of the target lists class indices, up to the first −1. Raises IndexError for one that is no class.

    >>> import chainrule as cr
    >>> MultiLabelMarginLoss()(cr.tensor([[0.1, 0.2, 0.4, 0.8]]), cr.tensor([[3, 0, -1, 1]]))
    tensor(0.85)
    """

    compute = staticmethod(F.multilabel_margin_loss)


class MultiMarginLoss(WeightedLoss):
    """Σ_{c ≠ t} max(0, margin − x_t + x_c)^p / C, times weight_t: input (N, C), target (N,) class indices.

    Raises ValueError for p other than 1 and 2, IndexError for a target that is no class.

    >>> import chainrule as cr
    >>> MultiMarginLoss()(cr.tensor([[0.5, 1.0]]), cr.tensor([1]))
    tensor(0.25)
    """

    compute = staticmethod(F.multi_margin_loss)
    arguments = ("p", "margin", "weight")

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: bool | None = None,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p={p} must be 1 or 2")
        super().__init__(weight, size_average, reduce, reduction)
        self.p, self.margin = p, margin
