"""Losses of classification, with torch.nn.functional's signatures. `reduction`: see `losses.py`."""

from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING, REAL
from chainrule.errors import DtypeError, ShapeError
from chainrule.functional.activations import floating, logsigmoid
from chainrule.functional.losses import floating_target, pair, reduction_of
from chainrule.kernels.cpu.arrays import within
from chainrule.names import ops
from chainrule.ops import losses as rows
from chainrule.ops.activations import softplus
from chainrule.ops.devices import constant
from chainrule.ops.losses import reduced
from chainrule.state import check
from chainrule.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "soft_margin_loss",
]


def _class_weight(op: str, weight: Any, classes: int) -> Tensor | None:
    if weight is None:
        return None
    weight = floating(op, weight)
    if weight.shape != (classes,):
        raise ShapeError(f"{op}: the weight has shape {weight.shape}, it needs ({classes},), one number for each class")
    found: Tensor = weight
    return found


def _check_classes(op: str, values: Any, classes: int, ignore_index: int | None) -> None:
    """IndexError where a target is no class."""
    if within(values, classes):
        return
    wrong = (values < 0) | (values >= classes)
    if ignore_index is not None:
        wrong &= values != ignore_index
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        also = "" if ignore_index is None else f", or ignore_index={ignore_index}"
        raise IndexError(f"{op}: target {int(values[place])} at position {place} is out of range for {classes} "
                         "classes (valid: "
                         f"0 to {classes - 1}{also})")


def _rows(op: str, input: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Class scores (N, C, positions...) as (M, C) and class indices (N, positions...) as (M,), M = N times
    positions."""
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{op}: the target is {target.dtype}, class indices are integers; use target.long()")
    if not input.ndim:
        raise ShapeError(f"{op}: the input is 0-d, it needs an axis of classes: (C,), (N, C) or (N, C, ...)")
    axis = 0 if input.ndim == 1 else 1
    wanted = input.shape[:axis] + input.shape[axis + 1:]
    if target.shape != wanted:
        advice = "; class probabilities are floating-point" if target.shape == input.shape else ""
        if target.ndim == len(wanted) + 1 and target.shape[-1] == 1:
            advice = "; squeeze its last axis?"
        raise ShapeError(f"{op}: class indices of shape {target.shape} for an input of shape {input.shape}, whose "
                         "classes are "
                         f"axis {axis}; they need shape {wanted}{advice}")
    classes = input.shape[axis]
    check(_check_classes, op, target, classes, ignore_index)
    if input.ndim > 2:
        input = ops.permute_dims(input, (0, *range(2, input.ndim), 1))
    if input.ndim != 2:
        input = ops.reshape(input, (target.numel(), classes))
    return input, target if target.ndim == 1 else ops.reshape(target, (target.numel(),))


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
             ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-weight[target] · input[target], the negative log likelihood: input (N, C, ...) log probabilities, or (C,),
    target (N, ...) class indices, or ().

    Targets equal to `ignore_index` count nothing. The mean divides by the sum of the weights (C,) of the targets that
    count. Raises IndexError for a target that is no class, ShapeError and DtypeError for what does not fit.

    >>> import chainrule as cr
    >>> nll_loss(cr.tensor([[-1.0, -2.0], [-3.0, -4.0]]), cr.tensor([1, 0]))
    tensor(2.5)
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    input, target = floating("nll_loss", input), ops.as_tensor(target)
    scores, indices = _rows("nll_loss", input, target, ignore_index)
    loss = rows.nll(ops, scores, indices, _class_weight("nll_loss", weight, scores.shape[1]), ignore_index=ignore_index,
                    label_smoothing=0.0, reduction=reduction)
    found: Tensor = ops.reshape(loss, target.shape) if reduction == "none" else loss
    return found


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                  ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-Σ_c weight_c · q_c · log softmax(input)_c: input (N, C, ...) logits, or (C,), and a target that says the
    distribution q.

    Class indices, integers (N, ...) or (): q is 1 at the class; those equal to `ignore_index` count nothing; the mean
    divides by the sum of the weights (C,) of the classes that count. Class probabilities, floats of the input's shape:
    q is the target, and the mean divides by the number of distributions. `label_smoothing` ε mixes q with the uniform
    distribution: (1 - ε) q + ε/C.

    Raises IndexError for a target that is no class, ShapeError and DtypeError for what does not fit, ValueError for a
    smoothing outside [0, 1]. Szegedy et al. (2016), "Rethinking the Inception architecture" (smoothing).

    >>> import chainrule as cr
    >>> cross_entropy(cr.tensor([[0.0, 0.0], [1000.0, 0.0]]), cr.tensor([1, 1]), reduction="none")
    tensor([6.9315e-01, 1.0000e+03])
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    input, target = floating("cross_entropy", input), ops.as_tensor(target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing={label_smoothing} must lie between 0 and 1")
    if target.dtype.kind in FLOATING:
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    logits, indices = _rows("cross_entropy", input, target, ignore_index)
    loss = rows.cross_entropy(logits, indices, _class_weight("cross_entropy", weight, logits.shape[1]),
                              ignore_index=ignore_index, label_smoothing=float(label_smoothing), reduction=reduction)
    found: Tensor = ops.reshape(loss, target.shape) if reduction == "none" else loss
    return found


def _cross_entropy_of_probabilities(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str,
                                    label_smoothing: float) -> Tensor:
    if target.shape != input.shape or not input.ndim:
        raise ShapeError(f"cross_entropy: a floating-point target holds class probabilities and has the input's shape "
                         f"{input.shape}, this one has {target.shape}; class indices are integers, use target.long()")
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    weight = _class_weight("cross_entropy", weight, classes)
    if weight is not None:
        target = target * ops.reshape(weight, (classes,) + (1,) * (input.ndim - 1 - axis))
    loss = -ops.sum(ops.log_softmax(input, axis) * target, axis)
    if reduction != "mean":
        found: Tensor = reduced(ops, loss, reduction)
        return found
    mean: Tensor = ops.mean(loss)
    return mean


def _equal_shapes(op: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Both as floating-point tensors of one shape."""
    input, target = floating(op, input), ops.as_tensor(target)
    if input.shape != target.shape:
        advice = "; reshape the target, for example with unsqueeze(1)" if target.numel() == input.numel() else ""
        raise ShapeError(f"{op}: the input has shape {input.shape} and the target {target.shape}; they must be equal"
                         f"{advice}")
    return input, floating_target(op, target)


def _check_probabilities(values: Any) -> None:
    """ValueError where an element is no probability."""
    if values.dtype.kind in REAL and ((values < 0) | (values > 1)).any():
        wrong = values[(values < 0) | (values > 1)][0]
        raise ValueError(f"binary_cross_entropy: the input must hold probabilities, between 0 and 1, but has {wrong}; for "
                         "logits use binary_cross_entropy_with_logits")


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-weight (t log x + (1 - t) log(1 - x)) of probabilities x, input and target of one shape; each logarithm is at
    least -100. `weight` broadcasts.

    Raises ValueError for an input outside [0, 1], ShapeError for different shapes, DtypeError for an integer target.

    >>> import chainrule as cr
    >>> binary_cross_entropy(cr.tensor([0.5, 1.0]), cr.tensor([1.0, 0.0]), reduction="none")
    tensor([  0.6931, 100.    ])
    """
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    input, target = _equal_shapes("binary_cross_entropy", input, target)
    check(_check_probabilities, input)
    loss = rows.binary_cross_entropy(input, target)
    found: Tensor = reduced(ops, loss if weight is None else loss * weight, reduction)
    return found


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None, reduce: bool | None = None,
                                     reduction: str = "mean", pos_weight: Tensor | None = None) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), exact for any logit: weight (p · t · softplus(-x) + (1 - t)
    softplus(x)).

    input and target of one shape; `weight` and p = `pos_weight` (1 where None), the weight of positive examples,
    broadcast. Raises ShapeError for different shapes, DtypeError for an integer target.

    >>> import chainrule as cr
    >>> binary_cross_entropy_with_logits(cr.tensor([0.0, 1000.0]), cr.tensor([1.0, 0.0]), reduction="none")
    tensor([6.9315e-01, 1.0000e+03])
    """
    op = "binary_cross_entropy_with_logits"
    reduction = reduction_of(op, reduction, size_average, reduce)
    input, target = _equal_shapes(op, input, target)
    exact = {"beta": 1.0, "threshold": float("inf")}
    positive = target if pos_weight is None else target * pos_weight
    loss = positive * softplus(-input, **exact) + (1 - target) * softplus(input, **exact)
    found: Tensor = reduced(ops, loss if weight is None else loss * weight, reduction)
    return found


def soft_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target · input)), targets 1 and -1, of any shape.

    >>> import chainrule as cr
    >>> soft_margin_loss(cr.tensor([0.0, -1000.0]), cr.tensor([1.0, 1.0]), reduction="none")
    tensor([6.9315e-01, 1.0000e+03])
    """
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    input, target = pair("soft_margin_loss", input, target)
    found: Tensor = reduced(ops, softplus(-target * input, beta=1.0, threshold=float("inf")), reduction)
    return found


def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:
    """The mean over classes, the last axis, of -weight (t log σ(x) + (1 - t) log σ(-x)): input and target (N, C) give
    (N,).

    Warns where the shapes differ; ShapeError where they do not broadcast.

    >>> import chainrule as cr
    >>> multilabel_soft_margin_loss(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    input, target = pair("multilabel_soft_margin_loss", input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    found: Tensor = reduced(ops, ops.mean(loss if weight is None else loss * weight, -1), reduction)
    return found


def _samples(op: str, input: Any) -> tuple[Tensor, tuple[int, ...]]:
    """The input (N, C), a (C,) one lifted, and the shape of a loss for each sample."""
    input = floating(op, input)
    if input.ndim not in (1, 2) or not input.shape[-1]:
        raise ShapeError(f"{op}: the input has shape {input.shape}, it needs (N, C) or (C,), C > 0")
    return (ops.reshape(input, (1, -1)) if input.ndim == 1 else input), input.shape[:-1]


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
                      size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """Σ_{c ≠ t} max(0, weight_t (margin - x_t + x_c))^p / C (weight_t outside the power): input (N, C), class indices
    (N,).

    Raises IndexError for a target that is no class, ValueError for p other than 1 and 2.

    >>> import chainrule as cr
    >>> multi_margin_loss(cr.tensor([[0.5, 1.0]]), cr.tensor([1]))
    tensor(0.25)
    """
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    scores, shape = _samples("multi_margin_loss", input)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p={p} must be 1 or 2")
    target = ops.reshape(ops.as_tensor(target), (-1,))
    scores, indices = _rows("multi_margin_loss", scores, target, None)
    count, classes = scores.shape
    positions = constant(np.arange(count), scores), indices
    slack = ops.clamp(margin - ops.reshape(scores[positions], (-1, 1)) + scores, 0)  # (N, C)
    others = ops.ne(constant(np.arange(classes), scores), ops.reshape(indices, (-1, 1)))
    loss = ops.where(others, slack if p == 1 else ops.square(slack), 0)
    weight = _class_weight("multi_margin_loss", weight, classes)
    if weight is not None:
        loss = loss * ops.reshape(weight[indices], (-1, 1))
    found: Tensor = reduced(ops, ops.reshape(ops.sum(loss, 1) / classes, shape), reduction)
    return found


def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                           reduction: str = "mean") -> Tensor:
    """Σ_t Σ_c max(0, 1 - (x_t - x_c)) / C over a sample's classes t and all others c: input and target (N, C) or (C,).

    Each row of the target lists class indices, up to the first -1. Raises IndexError for one that is no class,
    ShapeError for different shapes.

    >>> import chainrule as cr
    >>> multilabel_margin_loss(cr.tensor([[0.1, 0.2, 0.4, 0.8]]), cr.tensor([[3, 0, -1, 1]]))
    tensor(0.85)
    """
    reduction = reduction_of("multilabel_margin_loss", reduction, size_average, reduce)
    target = ops.as_tensor(target)
    scores, shape = _samples("multilabel_margin_loss", input)
    if target.shape != input.shape or target.dtype.kind not in "iu":
        raise ShapeError(f"multilabel_margin_loss: the target is {target.dtype}{target.shape}; it needs integers of "
                         "the input's "
                         f"shape {input.shape}, padded with -1")
    count, classes = scores.shape
    listed = ops.reshape(target, (count, classes))
    ended = ops.cumsum(ops.eq(listed, -1), 1) > 0  # (N, T): from the first -1 on
    listed = ops.where(ended, -1, listed)
    check(_check_classes, "multilabel_margin_loss", listed, classes, -1)
    is_target = ops.any(ops.eq(ops.reshape(listed, (count, classes, 1)), constant(np.arange(classes), scores)), 1)  # (N, C)
    chosen = ops.take_along_axis(scores, ops.where(ended, 0, listed), axis=1)  # (N, T)
    slack = ops.clamp(1 - ops.reshape(chosen, (count, classes, 1)) + ops.reshape(scores, (count, 1, classes)), 0)
    counts = ops.logical_not(ops.logical_or(ops.reshape(ended, (count, classes, 1)), ops.reshape(is_target, (count, 1, classes))))
    loss = ops.sum(ops.where(counts, slack, 0), (1, 2)) / classes
    found: Tensor = reduced(ops, ops.reshape(loss, shape), reduction)
    return found
