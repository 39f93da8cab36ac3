"""Clipping: gradients made smaller where they are too large, between `backward()` and `optimizer.step()`."""

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.graph import no_grad, tick
from chainrule.optim.optimizer import apart
from chainrule.state import again
from chainrule.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def listed(tensors: Any, name: str) -> list[Tensor]:
    """The tensors, of which one may come alone; TypeError for anything else."""
    if not isinstance(tensors, Tensor | Iterable):
        raise TypeError(f"{name}: takes tensors, got a {type(tensors).__name__}; pass model.parameters()")
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: number {i} is a {type(t).__name__}, it must be a tensor; pass model.parameters()")
    return found


def gradients_of(parameters: Any, name: str) -> list[Tensor]:
    """The gradients of those parameters that have one; a warning where there are no parameters at all."""
    found = listed(parameters, name)
    if not found:
        warnings.warn(f"{name}: there are no parameters to clip; a generator such as model.parameters() can be used only "
                      "once", stacklevel=3)
    return [p.grad for p in found if p.grad is not None]


def norm_of(tensors: list[Tensor], norm_type: float, error_if_nonfinite: bool) -> Any:
    """The total norm, whatever the dtypes: the square of 300 is infinite in float16 already, that of 1e-170 is 0 in float64.

    A number; for tensors of one GPU an array of shape () there, in float64, for which nothing has waited.
    """
    norm_type = float(norm_type)  # torch takes "inf", too
    if not norm_type > 0:
        raise ValueError(f"norm_type={norm_type} must be positive; float('inf') is the largest magnitude")
    arrays = [t._data for t in tensors]
    if arrays:
        kernels.follow(arrays[0])
    total = root_of_squares(arrays) if norm_type == 2 and arrays else None
    if total is None:  # by the definition
        with np.errstate(all="ignore"):
            norms = []
            for part in apart(arrays, lambda a: a):
                kernels.follow(part[0])
                norms.append(p_norm([np.linalg.norm(a.ravel().astype(np.float64), norm_type) for a in part if a.size], norm_type))
            if len({t.device for t in tensors}) > 1:
                norms = [float(norm) for norm in norms]
            total = norms[0] if len(norms) == 1 else p_norm(norms, norm_type)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(f"the norm of the gradients (norm_type={norm_type}) is {float(total)}, so they cannot be clipped; to "
                           "have them scaled all the same pass error_if_nonfinite=False, and to find where it comes from "
                           "look at each parameter's grad")
    return total


def root_of_squares(arrays: list[Any]) -> Any:
    """The Euclidean norm by the backend's kernel; None where there is none, or it cannot take these arrays or numbers."""
    kernel = kernels.find("sum_of_squares", arrays[0])
    squares = None if kernel is None else kernel(arrays)
    if isinstance(squares, float):
        return math.sqrt(squares) if 1e-30 < squares < math.inf else None
    return None if squares is None else np.sqrt(squares)


def p_norm(norms: list[Any], norm_type: float) -> Any:
    """The norm of norms, of one device; 0 for none."""
    if not norms:
        return 0.0
    total = np.linalg.norm(np.stack(norms), norm_type)
    return float(total) if isinstance(total, np.floating) else total


def as_norm(total: Any, tensors: list[Tensor]) -> Tensor:
    """A norm as a tensor of shape () in the tensors' common dtype."""
    dtype = np.result_type(*(t.dtype for t in tensors)) if tensors else np.float32
    with np.errstate(over="ignore"):
        return Tensor(np.asarray(total, dtype=dtype) if isinstance(total, float) else total.astype(dtype))


@again
def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all numbers in these tensors together: (Σ |xᵢ|ᵖ)^(1/p), or max |xᵢ| for p = inf.

    `tensors`: a list of tensors, or one; `norm_type`: p > 0. Returns a tensor of shape () in the tensors' common dtype,
    0 for an empty list. Raises ValueError for another p, RuntimeError with `error_if_nonfinite` where the norm is
    infinite or not a number.

    >>> import chainrule as cr
    >>> get_total_norm([cr.tensor([3.0, 0.0]), cr.tensor([[4.0]])])
    tensor(5.)
    """
    found = listed(tensors, "get_total_norm")
    with kernels.returning():
        return as_norm(norm_of(found, norm_type, error_if_nonfinite), found)


def scale_down(gradients: list[Tensor], max_norm: float, total: Any) -> None:
    """Multiply the gradients in place by max_norm / (total + 1e-6), where that is below 1. A total on a GPU stays there, and the
    factor with it."""
    if not max_norm >= 0:
        raise ValueError(f"max_norm={max_norm} must not be negative")
    scale = max_norm / (total + 1e-6)
    if not isinstance(scale, float):
        limit(gradients, np.minimum(scale, 1.0), math.inf)
    elif not scale >= 1:  # also where it is not a number
        limit(gradients, scale, math.inf)


def limit(gradients: list[Tensor], factor: Any, highest: float) -> None:
    """g ← min(max(factor · g, −highest), highest) in place, by the backend's kernel where there is one and it can. (It cannot
    where one is listed twice: two threads would write to it.)"""
    if not gradients or at_once(gradients, factor, highest):
        return
    parts = apart(gradients, lambda g: g._data)
    for part in parts:
        kernels.follow(part[0]._data)
        if len(parts) == 1 or not at_once(part, factor, highest):
            with no_grad():
                for g in part:
                    if not isinstance(factor, float):
                        g.mul_(Tensor(factor.astype(g.dtype)))
                    elif factor != 1:
                        g.mul_(factor)
                    if highest < math.inf:
                        g.clamp_(-highest, highest)


def at_once(gradients: list[Tensor], factor: Any, highest: float) -> bool:
    """`limit` by the backend's kernel; False where it does not."""
    arrays = [g._data for g in gradients]
    kernel = kernels.find("scale_and_clamp", arrays[0])
    if kernel is None or len({id(a) for a in arrays}) < len(arrays) or not kernel(arrays, factor, highest):
        return False
    now = tick()
    for g in gradients:
        g._version[0] = now
    return True


@again
def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any) -> None:
    """Multiply all gradients, in place, by max_norm / (total_norm + 1e-6) where that is below 1: `clip_grad_norm_` for a
    norm that is known already. Raises ValueError for a negative `max_norm`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> (8 * x).sum().backward(); clip_grads_with_norm_(x, 1.0, total_norm=16.0); round(x.grad.item(), 4)
    0.5
    """
    gradients = gradients_of(parameters, "clip_grads_with_norm_")
    on_device = isinstance(total_norm, Tensor) and total_norm.is_cuda and {g.device for g in gradients} == {total_norm.device}
    with kernels.returning():
        if on_device:
            kernels.follow(total_norm._data)
        scale_down(gradients, max_norm, total_norm._data.reshape(()).astype(np.float64) if on_device else float(total_norm))


@again
def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """Scale the gradients, in place and all by the same factor, so that their total norm is at most `max_norm`: the
    direction stays. Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks".

    `parameters`: tensors, or one; those without a gradient are passed over. Returns `get_total_norm` of the gradients
    as they were, a tensor of shape (); log it to see where training becomes unstable. Raises ValueError for a negative
    `max_norm` and a norm type that is not positive, RuntimeError with `error_if_nonfinite` for a norm that is infinite or
    not a number; without it an infinite norm makes gradients 0 or NaN. On a GPU nothing waits for the norm, which stays there,
    unless `error_if_nonfinite` wants to see it (or the gradients lie on several devices).

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 1.0], requires_grad=True)
    >>> (x * cr.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_([x], max_norm=1.0).item(), [round(g, 4) for g in x.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    gradients = gradients_of(parameters, "clip_grad_norm_")
    with kernels.returning():
        total = norm_of(gradients, norm_type, error_if_nonfinite)
        scale_down(gradients, max_norm, total)
        return as_norm(total, gradients)


@again
def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit each element of the gradients, in place, to the interval [−clip_value, clip_value].

    Raises ValueError for a negative `clip_value`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 1.0], requires_grad=True)
    >>> (x * cr.tensor([3.0, 0.5])).sum().backward(); clip_grad_value_([x], 1.0); x.grad.tolist()
    [1.0, 0.5]
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value={clip_value} must not be negative")
    gradients = gradients_of(parameters, "clip_grad_value_")
    with kernels.returning():
        limit(gradients, 1.0, clip_value)
