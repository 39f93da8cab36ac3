"""Norms, distances and similarities, with torch.nn.functional's signatures."""

import numpy as np

from chainrule.arguments import axis_of
from chainrule.errors import ShapeError
from chainrule.functional.activations import floating
from chainrule.names import ops
from chainrule.ops.devices import constant
from chainrule.tensor import Tensor

__all__ = ["cdist", "cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """input / max(‖input‖_p, eps), the norm taken along `dim`: vectors of length 1. A vector of zeros stays.

    Raises IndexError for an axis that is not there.

    >>> import chainrule as cr
    >>> normalize(cr.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    input = floating("normalize", input)
    found: Tensor = input / ops.clamp(ops.norm(input, p, dim, True), eps)
    return found


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along `dim`, the cosine of the angle between the vectors; they
    broadcast.

    Raises ShapeError where they do not, IndexError for an axis that is not there.

    >>> import chainrule as cr
    >>> cosine_similarity(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([0.6])
    """
    x1, x2 = floating("cosine_similarity", x1), floating("cosine_similarity", x2)
    longer = x1 if x1.ndim >= x2.ndim else x2
    axis = axis_of("cosine_similarity", dim, longer) - longer.ndim  # from the end, where both have it
    units = [x / ops.clamp(ops.norm(x, 2, axis, True), eps) for x in (_lifted(x1, longer), _lifted(x2, longer))]
    found: Tensor = ops.sum(units[0] * units[1], axis)
    return found


def _lifted(x: Tensor, longer: Tensor) -> Tensor:
    """x with axes of size 1 in front, as many as `longer` has."""
    found: Tensor = x if x.ndim == longer.ndim else ops.reshape(x, (1,) * (longer.ndim - x.ndim) + x.shape)
    return found


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x1 - x2 + eps‖_p over the last axis: (..., D) and (..., D), which broadcast, give (...).

    Raises ShapeError where they do not broadcast.

    >>> import chainrule as cr
    >>> pairwise_distance(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    x1, x2 = floating("pairwise_distance", x1), floating("pairwise_distance", x2)
    found: Tensor = ops.norm(x1 - x2 + eps, p, -1, keepdim)
    return found


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The distance ‖a - b‖_p from every row a of x1 to every row b of x2: (..., P, D) and (..., R, D) give (..., P, R).

    Raises ShapeError for fewer axes or different D.

    >>> import chainrule as cr
    >>> cdist(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    x1, x2 = floating("cdist", x1), floating("cdist", x2)
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: shapes {x1.shape} and {x2.shape}; they need rows of the same size, (..., P, D) and "
                         "(..., R, D)")
    left = ops.reshape(x1, (*x1.shape[:-1], 1, x1.shape[-1]))
    right = ops.reshape(x2, (*x2.shape[:-2], 1, *x2.shape[-2:]))
    found: Tensor = ops.norm(left - right, p, -1)
    return found


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances ‖a - b‖_p of all pairs of rows of an (N, D) input, first with second, first with third …: N(N-1)/2.

    Raises ShapeError for another number of axes.

    >>> import chainrule as cr
    >>> pdist(cr.tensor([[0.0], [1.0], [5.0]]))
    tensor([1., 5., 4.])
    """
    input = floating("pdist", input)
    if input.ndim != 2:
        raise ShapeError(f"pdist: the input has shape {input.shape}, it needs two axes, (N, D)")
    first, second = np.triu_indices(input.shape[0], 1)
    found: Tensor = ops.norm(input[constant(first, input)] - input[constant(second, input)], p, -1)
    return found
