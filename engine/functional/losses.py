"""Losses that compare numbers or distributions, with torch.nn.functional's signatures.

`reduction` is "mean", "sum" or "none" (a loss for each element); `size_average` and `reduce` are torch's former way to
say it. Where input and target have different shapes they broadcast, with a warning, since that is rarely meant.
Classification losses stand in `losses_classification.py`, those of pairs and triplets in `losses_ranking.py`.
"""

import math
from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError, broadcast_advice, warn
from chainrule.functional.activations import floating
from chainrule.graph import no_grad
from chainrule.names import ops
from chainrule.ops.losses import reduced
from chainrule.state import check
from chainrule.tensor import Tensor

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def reduction_of(op: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The reduction asked for, by its name or in torch's former way, with a warning. ValueError for an unknown name."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warn(f"{op}: size_average and reduce are torch's former arguments; pass reduction={reduction!r} instead")
    if reduction not in ("mean", "sum", "none", "batchmean"):
        raise ValueError(f"{op}: reduction={reduction!r} must be 'mean', 'sum' or 'none'")
    return reduction


def pair(op: str, input: Any, target: Any, names: tuple[str, str] = ("input", "target")) -> tuple[Tensor, Tensor]:
    """Both as tensors, the input floating-point. Warns where their shapes differ; ShapeError where they do not
    broadcast."""
    input = floating(op, input)
    target = target if isinstance(target, Tensor) else ops.as_tensor(target)
    if input._data.shape != target._data.shape:
        given = f"{op}: {names[0]} of shape {input.shape} and {names[1]} of shape {target.shape}"
        try:
            result = np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            raise ShapeError(f"{given}: {broadcast_advice([input.shape, target.shape])}") from None
        smaller = names[1] if target.ndim <= input.ndim else names[0]
        warn(f"{given} differ, so they broadcast to {result} and every element of one may meet several of the other; "
             f"reshape the {smaller} first, for example with {smaller}.reshape({other_name(smaller, names)}.shape) or "
             "unsqueeze(1)")
    return input, target


def other_name(name: str, names: tuple[str, str]) -> str:
    """The one of two names that is not this one."""
    return names[1] if name == names[0] else names[0]


def floating_target(op: str, target: Tensor) -> Tensor:
    """The target, which must be floating-point."""
    if target.dtype.kind not in FLOATING:
        raise DtypeError(f"{op}: the target is {target.dtype}, it must be floating-point like the input; use "
                         "target.float()")
    return target


def _weighted(op: str, loss: Tensor, input: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The loss reduced; with a weight for each element the mean divides by the weights' sum."""
    found: Tensor
    if weight is None:
        found = reduced(ops, loss, reduction)
        return found
    weight = ops.as_tensor(weight)
    if weight.shape != input.shape:
        raise ShapeError(f"{op}: the weight has shape {weight.shape}, the input {input.shape}; they must be equal")
    found = reduced(ops, loss * weight, "sum" if reduction == "mean" else reduction)
    return found / ops.sum(weight) if reduction == "mean" else found


def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
             reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)², of any shape; with a `weight` of the input's shape the mean is a weighted one.

    Warns where the shapes differ; ShapeError where they do not broadcast.

    >>> import chainrule as cr
    >>> mse_loss(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    input, target = pair("mse_loss", input, target)
    if weight is None and reduction in ("mean", "sum") and input.shape == target.shape:
        found: Tensor = ops.squared_error(input, target, reduction=reduction)
        return found
    return _weighted("mse_loss", ops.square(input - target), input, weight, reduction)


def l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
            reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input - target|, of any shape, with derivative 0 where they are equal; `weight` as in `mse_loss`.

    >>> import chainrule as cr
    >>> l1_loss(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]), reduction="sum")
    tensor(2.)
    """
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    input, target = pair("l1_loss", input, target)
    return _weighted("l1_loss", ops.abs(input - target), input, weight, reduction)


def _huber(difference: Tensor, delta: float) -> Any:
    """½d² within delta, delta (|d| - ½ delta) outside: with c = d cut to ±delta both are c (d - c/2), nothing
    overflows."""
    cut = ops.clamp(difference, -delta, delta)
    return cut * (difference - 0.5 * cut)


def smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                   reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d = input - target: ½ d² / beta where |d| < beta, else |d| - ½ beta. `beta` 0 is `l1_loss`.

    Raises ValueError for a negative beta. Girshick (2015), "Fast R-CNN".

    >>> import chainrule as cr
    >>> smooth_l1_loss(cr.tensor([0.0, 0.0]), cr.tensor([1.0, 3.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    input, target = pair("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta={beta} must not be negative")
    difference = input - target
    loss = ops.abs(difference) if beta == 0 else _huber(difference, beta) / beta
    return _weighted("smooth_l1_loss", loss, input, None, reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
               weight: Tensor | None = None) -> Tensor:
    """d = input - target: ½ d² where |d| <= delta, else delta (|d| - ½ delta); a `weight` of the input's shape
    multiplies it, and the mean, as torch's, divides by the number of elements all the same.

    Raises ValueError for delta <= 0. Huber (1964), "Robust estimation of a location parameter".

    >>> import chainrule as cr
    >>> huber_loss(cr.tensor([0.0, 0.0]), cr.tensor([1.0, 3.0]), reduction="none", delta=2.0)
    tensor([0.5, 4. ])
    """
    reduction = reduction_of("huber_loss", reduction)
    input, target = pair("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta={delta} must be positive")
    loss: Tensor = _weighted("huber_loss", _huber(input - target, delta), input, weight, "none")
    found: Tensor = reduced(ops, loss, reduction)
    return found


def kl_div(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
           reduction: str = "mean", log_target: bool = False) -> Tensor:
    """The divergence of Kullback and Leibler, elementwise: target (log target - input), 0 where the target is 0.

    `input` holds log probabilities, `target` probabilities, or with `log_target` their logarithms too. reduction
    "batchmean", the sum divided by the size of axis 0, is the divergence as mathematics has it. Raises DtypeError for
    an integer target.

    >>> import chainrule as cr
    >>> p = cr.tensor([[0.5, 0.5]])
    >>> kl_div(cr.tensor([[0.25, 0.75]]).log(), p, reduction="batchmean")
    tensor(0.1438)
    """
    reduction = reduction_of("kl_div", reduction, size_average, reduce)
    input, target = pair("kl_div", input, target)
    floating_target("kl_div", target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        loss = target * ops.log(ops.where(target > 0, target, 1)) - target * input
    if reduction == "batchmean":
        found: Tensor = ops.sum(loss) / (input.shape[0] if input.ndim else 1)
        return found
    return _weighted("kl_div", loss, input, None, reduction)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
                     size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """-log of the Poisson distribution's probability of the target, without the term that does not depend on the input.

    With `log_input` the input is the logarithm of the rate: exp(input) - target · input; else the rate: input - target
    · log(input + eps). `full` adds Stirling's approximation of log(target!) where target > 1.

    >>> import chainrule as cr
    >>> poisson_nll_loss(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(1.)
    """
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    input, target = pair("poisson_nll_loss", input, target)
    loss = ops.exp(input) - target * input if log_input else input - target * ops.log(input + eps)
    if full:
        above = ops.where(target > 1, target, 1)
        stirling = above * ops.log(above) - above + 0.5 * ops.log(2 * math.pi * above)
        loss = loss + ops.where(target > 1, stirling, 0)
    return _weighted("poisson_nll_loss", loss, input, None, reduction)


def _one_axis_of_one(shape: tuple[int, ...], full: tuple[int, ...]) -> bool:
    """Whether `shape` is `full` with 1 in place of one of its sizes."""
    return len(shape) == len(full) and [n for n, m in zip(shape, full, strict=True) if n != m] == [1]


def _check_variance(variance: Any) -> None:
    """ValueError where an element is negative."""
    if (variance < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entries; a variance is positive")


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Tensor:
    """½ (log v + (input - target)² / v), v = max(var, eps): -log of the density of N(input, var) at the target; `full`
    adds the constant ½ log 2π.

    `var` has the input's shape, or 1 for one axis, or lacks the last, or is a number; its gradient passes through the
    maximum unchanged. Raises ValueError where it is negative, ShapeError for another shape. Nix & Weigend (1994).

    >>> import chainrule as cr
    >>> gaussian_nll_loss(cr.tensor([0.0]), cr.tensor([2.0]), cr.tensor([1.0]))
    tensor(2.)
    """
    reduction = reduction_of("gaussian_nll_loss", reduction)
    input, target = pair("gaussian_nll_loss", input, target)
    variance = ops.as_tensor(var)
    if isinstance(var, int | float):
        variance = variance.to(input)
    check(_check_variance, variance)
    if variance.ndim and variance.shape != input.shape:
        if variance.shape == input.shape[:-1]:
            variance = ops.reshape(variance, (*variance.shape, 1))
        elif not _one_axis_of_one(variance.shape, input.shape):
            raise ShapeError(f"gaussian_nll_loss: var has shape {variance.shape}, the input {input.shape}; they must "
                             "be equal, or var may have 1 in place of one axis")
    variance = variance + 0  # a copy, to be written to
    with no_grad():
        ops.write_into(variance, ops.maximum(variance, eps))
    loss = 0.5 * (ops.log(variance) + ops.square(input - target) / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _weighted("gaussian_nll_loss", loss, input, None, reduction)
