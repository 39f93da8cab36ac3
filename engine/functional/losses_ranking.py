"""Losses of pairs and triplets, with torch.nn.functional's signatures. `reduction`: see `losses.py`."""

from collections.abc import Callable
from typing import Any

from chainrule.errors import ShapeError
from chainrule.functional.activations import floating
from chainrule.functional.losses import pair, reduction_of
from chainrule.functional.similarity import pairwise_distance
from chainrule.names import ops
from chainrule.ops.losses import reduced
from chainrule.tensor import Tensor

__all__ = ["cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "triplet_margin_loss",
           "triplet_margin_with_distance_loss"]


def _reduced(loss: Any, reduction: str) -> Tensor:
    found: Tensor = reduced(ops, loss, reduction)
    return found


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                          size_average: bool | None = None, reduce: bool | None = None,
                          reduction: str = "mean") -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1, cos being the cosine of the angle between the
    inputs: (N, D) and (N, D) with target (N,), or (D,) and (D,) with target ().

    Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> cosine_embedding_loss(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]), cr.tensor([1]))
    tensor(0.4)
    """
    op = "cosine_embedding_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    input1, input2, target = floating(op, input1), floating(op, input2), ops.as_tensor(target)
    if input1.shape != input2.shape or input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ShapeError(f"{op}: inputs of shapes {input1.shape} and {input2.shape} with a target of shape "
                         f"{target.shape}; they "
                         "need (N, D), (N, D) and (N,), or (D,), (D,) and ()")
    tiny = 1e-12  # torch's: below the root, so that vectors of zeros have a cosine of 0
    product = ops.sum(input1 * input2, -1)
    squares = (ops.sum(ops.square(input1), -1) + tiny) * (ops.sum(ops.square(input2), -1) + tiny)
    cosine = product / ops.sqrt(squares)
    apart = ops.clamp(cosine - margin, 0)
    return _reduced(ops.where(target == 1, 1 - cosine, ops.where(target == -1, apart, 0)), reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """input, a distance, where the target is 1; max(0, margin - input) where it is -1; of any shape.

    >>> import chainrule as cr
    >>> hinge_embedding_loss(cr.tensor([0.3, 0.3]), cr.tensor([1, -1]), reduction="none")
    tensor([0.3, 0.7])
    """
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    input, target = pair("hinge_embedding_loss", input, target)
    apart = ops.where(target != 1, ops.clamp(margin - input, 0), 0)
    return _reduced(apart + ops.where(target != -1, input, 0), reduction)


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, -target (input1 - input2) + margin): a target 1 says that input1 should rank higher, -1 that input2
    should.

    Three tensors of one shape; warns where they differ. Raises ShapeError where they do not broadcast.

    >>> import chainrule as cr
    >>> margin_ranking_loss(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1]), margin=0.5)
    tensor(2.5)
    """
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    input1, input2 = pair("margin_ranking_loss", input1, input2, ("input1", "input2"))
    difference, target = pair("margin_ranking_loss", input1 - input2, target, ("inputs", "target"))
    return _reduced(ops.clamp(-target * difference + margin, 0), reduction)


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
                        eps: float = 1e-6, swap: bool = False, size_average: bool | None = None,
                        reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d being `pairwise_distance` over the last axis.

    Three tensors of one shape (..., D). With `swap` the negative's distance is the smaller of those to the anchor and
    to the positive. Raises ValueError for margin <= 0, ShapeError for different numbers of axes. Balntas et al. (2016),
    "Learning local feature descriptors with triplets and shallow convolutional neural networks".

    >>> import chainrule as cr
    >>> a, b = cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]])
    >>> triplet_margin_loss(a, b, b)
    tensor(1.)
    """
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *,
                                      distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
                                      margin: float = 1.0, swap: bool = False, reduction: str = "mean") -> Tensor:
    """`triplet_margin_loss` with any `distance_function(x, y)` in place of the Euclidean distance.

    >>> import chainrule as cr
    >>> a, b, c = cr.tensor([[0.0]]), cr.tensor([[2.0]]), cr.tensor([[5.0]])
    >>> triplet_margin_with_distance_loss(a, b, c, distance_function=lambda x, y: (x - y).abs().sum(-1), margin=4.0)
    tensor(1.)
    """
    op = "triplet_margin_with_distance_loss"
    return _triplet(op, anchor, positive, negative, distance_function or pairwise_distance, margin, swap,
                    reduction_of(op, reduction))


def _triplet(op: str, anchor: Tensor, positive: Tensor, negative: Tensor, distance: Callable[[Tensor, Tensor], Tensor],
             margin: float, swap: bool, reduction: str) -> Tensor:
    anchor, positive, negative = floating(op, anchor), floating(op, positive), floating(op, negative)
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(f"{op}: anchor, positive and negative have shapes {anchor.shape}, {positive.shape} and "
                         f"{negative.shape}; they need one shape")
    if margin <= 0:
        raise ValueError(f"{op}: margin={margin} must be positive")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return _reduced(ops.clamp(near - far + margin, 0), reduction)
