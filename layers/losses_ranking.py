"""Losses of pairs, triplets and sequences, as layers. See `losses.py`."""

from collections.abc import Callable

from chainrule import functional as F
from chainrule.layers.losses import Loss
from chainrule.tensor import Tensor

__all__ = ["CTCLoss", "CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss",
           "TripletMarginWithDistanceLoss"]


class MarginLoss(Loss):
    """A loss that wants two numbers apart by a `margin`."""

    margin: float

    def __init__(self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MarginRankingLoss(MarginLoss):
    """max(0, −target (input1 − input2) + margin): a target 1 says that input1 should rank higher, −1 that input2 should.

    Called with (input1, input2, target), all of one shape.

    >>> import chainrule as cr
    >>> MarginRankingLoss(0.5)(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1]))
    tensor(2.5)
    """

    compute, arguments = staticmethod(F.margin_ranking_loss), ("margin",)


class HingeEmbeddingLoss(MarginLoss):
    """input, a distance, where the target is 1; max(0, margin − input) where it is −1; both of one shape.

    >>> import chainrule as cr
    >>> HingeEmbeddingLoss(reduction="none")(cr.tensor([0.3, 0.3]), cr.tensor([1, -1]))
    tensor([0.3, 0.7])
    """

    compute, arguments = staticmethod(F.hinge_embedding_loss), ("margin",)

    def __init__(self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(margin, size_average, reduce, reduction)


class CosineEmbeddingLoss(MarginLoss):
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1, cos being that of the angle between the inputs.

    Called with (input1, input2, target): (N, D), (N, D), (N,), or (D,), (D,), (). Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> CosineEmbeddingLoss()(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]), cr.tensor([1]))
    tensor(0.4)
    """

    compute, arguments = staticmethod(F.cosine_embedding_loss), ("margin",)


class TripletMarginLoss(MarginLoss):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the p-norm of the difference (plus eps) of vectors.

    Called with (anchor, positive, negative), of one shape (…, D). With `swap` the negative's distance is the smaller of
    those to the anchor and to the positive. Raises ValueError for margin ≤ 0. Balntas et al. (2016), "Learning local
    feature descriptors with triplets and shallow convolutional neural networks".

    >>> import chainrule as cr
    >>> a, b = cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]])
    >>> TripletMarginLoss()(a, b, b)
    tensor(1.)
    """

    compute = staticmethod(F.triplet_margin_loss)
    arguments = ("margin", "p", "eps", "swap")

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
                 size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        positive("TripletMarginLoss", margin)
        super().__init__(margin, size_average, reduce, reduction)
        self.p, self.eps, self.swap = p, eps, swap


class TripletMarginWithDistanceLoss(MarginLoss):
    """`TripletMarginLoss` with any `distance_function(x, y)`; Euclidean unless given. Raises ValueError for margin ≤ 0.

    >>> import chainrule as cr
    >>> a, b, c = cr.tensor([[0.0]]), cr.tensor([[2.0]]), cr.tensor([[5.0]])
    >>> TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1), margin=4.0)(a, b, c)
    tensor(1.)
    """

    compute = staticmethod(F.triplet_margin_with_distance_loss)
    arguments = ("distance_function", "margin", "swap")

    def __init__(self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
                 swap: bool = False, reduction: str = "mean") -> None:
        positive("TripletMarginWithDistanceLoss", margin)
        super().__init__(margin, None, None, reduction)
        self.distance_function, self.swap = distance_function, swap


class CTCLoss(Loss):
    """−log of the probability that a sequence of T distributions spells the target, summed over all alignments.

    Called with (log_probs, targets, input_lengths, target_lengths): log_probs (T, N, C) of log_softmax, or (T, C);
    targets (N, S) or all one after the other, without the class `blank`. "mean" first divides each loss by its target's
    length. A target that does not fit into its input costs inf, or with `zero_infinity` 0. See
    `chainrule.functional.ctc_loss`. Graves et al. (2006), "Connectionist temporal classification".

    >>> import chainrule as cr
    >>> even = cr.full((2, 1, 2), 0.5).log()  # two steps, blank or "1": of the four strings three read "1"
    >>> CTCLoss()(even, cr.tensor([[1]]), cr.tensor([2]), cr.tensor([1])).exp()
    tensor(1.3333)
    """

    compute = staticmethod(F.ctc_loss)
    arguments = ("blank", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity


def positive(name: str, margin: float) -> None:
    """ValueError for a margin that leaves nothing to learn."""
    if margin <= 0:
        raise ValueError(f"{name}: margin={margin} must be positive")
