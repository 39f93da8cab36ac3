"""Choosing between values, element by element: where, the larger and smaller of two, clamping."""

from typing import Any

import numpy as np

from chainrule.dtypes import REAL
from chainrule.errors import DtypeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import alias, public
from chainrule.tensor import Tensor

__all__ = ["clamp", "clamp_max", "clamp_min", "clip", "fmax", "fmin", "maximum", "minimum", "where"]


def _only(xp: Any, g: Any, chosen: Any) -> Any:
    """g where `chosen`, 0 elsewhere. Chosen, not multiplied: so an infinite or NaN g elsewhere leaves no NaN."""
    return xp.where(chosen, g, xp.zeros_like(g))


_where = Op("where", word="elementwise", condition=None,
            input=lambda xp, g, condition: _only(xp, g, condition),
            other=lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g))


@public
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where `condition` (bools) holds, other elsewhere; all three broadcast. With `condition` alone: a tuple of
    the indices where it holds, one tensor per axis.

    The gradient of the side that was not chosen is 0. If that side is itself computed by a function with an infinite
    derivative there, 0 times infinity is NaN, as in torch: `where(x > 0, sqrt(x), 0)` at 0. Choose the function's
    argument too: `where(x > 0, sqrt(where(x > 0, x, 1)), 0)`. Raises DtypeError where the condition is not of bools.

    >>> import chainrule as cr
    >>> x = cr.tensor([-1.0, 2.0])
    >>> cr.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return ops.nonzero(condition, as_tuple=True)
    kind = getattr(condition, "dtype", None)
    if kind is None:
        condition = ops.as_tensor(condition)
        kind = condition.dtype
    if kind.kind != "b":
        raise DtypeError(f"where: the condition is {kind}, it must be bools; compare it, for example condition != 0")
    return _where(condition, input, other)


# ---- the larger or smaller of two. At a tie both inputs receive half of the gradient; with fmax and fmin the first
# receives all.

maximum = Op("maximum", "The larger of both, NaN where one is NaN; a tie shares the gradient evenly.",
             word="elementwise",
             input=lambda xp, g, input, other: _share(xp, g, input == other, input < other),
             other=lambda xp, g, input, other: _share(xp, g, input == other, input > other))
minimum = Op("minimum", "The smaller of both, NaN where one is NaN; a tie shares the gradient evenly.",
             word="elementwise",
             input=lambda xp, g, input, other: _share(xp, g, input == other, input > other),
             other=lambda xp, g, input, other: _share(xp, g, input == other, input < other))
fmax = Op("fmax", "The larger of both; a number wins over NaN. At a tie the first gets the gradient.",
          word="elementwise",
          input=lambda xp, g, input, other: _only(xp, g, (input >= other) | xp.isnan(other)),
          other=lambda xp, g, input, other: xp.where((input >= other) | xp.isnan(other), xp.zeros_like(g), g))
fmin = Op("fmin", "The smaller of both; a number wins over NaN. At a tie the first gets the gradient.",
          word="elementwise",
          input=lambda xp, g, input, other: _only(xp, g, (input <= other) | xp.isnan(other)),
          other=lambda xp, g, input, other: xp.where((input <= other) | xp.isnan(other), xp.zeros_like(g), g))


def _share(xp: Any, g: Any, tie: Any, lost: Any) -> Any:
    """Half of g at a tie, nothing where this input lost, else all."""
    return xp.where(lost, xp.zeros_like(g), xp.where(tie, 0.5 * g, g))


# ---- clamping: at a bound itself the gradient is the input's

_clip = Op("clip", word="elementwise",
           input=lambda xp, g, input, min, max: _only(xp, g, _within(input, min, max)))
clamp_min = Op("clamp_min", "The larger of input and min; at a tie input gets the gradient.", word="elementwise",
               input=lambda xp, g, input, min: _only(xp, g, input >= min),
               min=lambda xp, g, input, min: _only(xp, g, input < min))
clamp_max = Op("clamp_max", "The smaller of input and max; at a tie input gets the gradient.", word="elementwise",
               input=lambda xp, g, input, max: _only(xp, g, input <= max),
               max=lambda xp, g, input, max: _only(xp, g, input > max))


def _within(input: Any, min: Any, max: Any) -> Any:
    """Whether input lies between the bounds (None: no bound)."""
    if min is None or max is None:
        return input <= max if min is None else input >= min
    return (input >= min) & (input <= max)


@public
def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """min(max(input, min), max), element by element; bounds are numbers or tensors that broadcast, None for no bound.

    The gradient is the input's within the bounds and at them, else the bound's. Raises ValueError without any bound.

    >>> import chainrule as cr
    >>> cr.clamp(cr.tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)
    tensor([0. , 0.5, 1. ])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given, both are None")
    input = ops.as_tensor(input)
    min, max = (b.item() if isinstance(b, np.generic) else b for b in (min, max))
    bounds = [b for b in (min, max) if b is not None]
    if all(isinstance(b, int | float) for b in bounds):
        if input.dtype.kind not in REAL and any(isinstance(b, float) for b in bounds):
            input = input.to(float)
        return _clip(input, min=min, max=max)
    if min is not None:
        input = clamp_min(input, min)
    return input if max is None else clamp_max(input, max)


clip = alias("clip", clamp)
