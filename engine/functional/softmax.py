"""Activation functions along an axis, with torch.nn.functional's signatures: the softmax family and `glu`."""

from typing import Any

import numpy as np

from chainrule.arguments import axis_of
from chainrule.dtypes import REAL
from chainrule.errors import ShapeError, warn
from chainrule.functional.activations import floating
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["glu", "gumbel_softmax", "log_softmax", "softmax", "softmin"]


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), where a and b are the two halves of the input along `dim`. Raises ShapeError for an odd size.

    Dauphin et al. (2016), "Language modeling with gated convolutional networks".

    >>> import chainrule as cr
    >>> glu(cr.tensor([[1.0, 2.0, 0.0, 0.0]]))
    tensor([[0.5, 1. ]])
    """
    input = floating("glu", input)
    if not input.ndim:
        raise ShapeError("glu: a 0-d input has no axis to halve")
    axis = axis_of("glu", dim, input)
    size = input.shape[axis]
    if size % 2:
        raise ShapeError(f"glu: the input of shape {input.shape} has size {size} along axis {axis}, which must be even")
    lead = (slice(None),) * axis
    found: Tensor = input[(*lead, slice(None, size // 2))] * ops.sigmoid(input[(*lead, slice(size // 2, None))])
    return found


def _softmax_axis(op: str, input: Tensor, dim: int | None) -> int:
    """The axis of a softmax; without one torch's old choice, with a warning."""
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
        warn(f"{op}: pass dim, the axis along which the results sum to 1; without it axis {dim} is taken for an input of "
             f"shape {input.shape}, as torch does")
    return axis_of(op, dim, input)


def _cast(op: str, input: Any, dtype: Any) -> Tensor:
    return floating(op, input if dtype is None else ops.as_tensor(input).to(dtype))


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) / Σ exp(input) along `dim`, the largest subtracted first so that nothing overflows.

    `dtype` converts the input first. Raises IndexError for an axis that is not there.

    >>> import chainrule as cr
    >>> softmax(cr.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5, 0.5])
    """
    input = _cast("softmax", input, dtype)
    found: Tensor = ops.softmax(input, _softmax_axis("softmax", input, dim))
    return found


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-input).

    >>> import chainrule as cr
    >>> softmin(cr.tensor([0.0, 1000.0]), dim=0)
    tensor([1., 0.])
    """
    input = _cast("softmin", input, dtype)
    found: Tensor = ops.softmax(-input, _softmax_axis("softmin", input, dim))
    return found


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(input)) = input - log Σ exp(input) along `dim`, without the loss that taking the logarithm after
    would bring.

    >>> import chainrule as cr
    >>> log_softmax(cr.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.])
    """
    input = _cast("log_softmax", input, dtype)
    found: Tensor = ops.log_softmax(input, _softmax_axis("log_softmax", input, dim))
    return found


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + G) / tau) along `dim` with G drawn from the Gumbel distribution: a differentiable draw from the
    categories with these logits. With `hard` the result is one-hot, and the gradient that of the soft one. `eps` is
    unused, as in torch.

    Jang, Gu & Poole (2016), "Categorical reparameterization with Gumbel-softmax".

    >>> import chainrule as cr
    >>> float(gumbel_softmax(cr.zeros(5), hard=True).sum())
    1.0
    """
    logits = floating("gumbel_softmax", logits)
    axis = axis_of("gumbel_softmax", dim, logits)
    uniform = ops.rand(*logits.shape, dtype=np.float64, device=logits.device)  # from [0, 1); the same for every dtype
    uniform = ops.clamp(uniform, 2.0**-54)
    noise = -ops.log(-ops.log(uniform))
    if logits.dtype.kind in REAL:
        noise = noise.to(logits.dtype)
    soft: Tensor = ops.softmax((logits + noise) / tau, axis)
    if not hard:
        return soft
    best = ops.argmax(soft.detach(), axis, keepdim=True)
    positions = ops.reshape(ops.arange(logits.shape[axis], device=logits.device), (-1,) + (1,) * (logits.ndim - 1 - axis))
    chosen = (positions == best).to(soft.dtype)
    straight: Tensor = chosen - soft.detach() + soft
    return straight
