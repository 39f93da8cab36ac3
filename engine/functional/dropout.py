"""The dropout family: parts of the input set to 0 at random, in training only.

N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014). The mask is a pure
function of a key that the node remembers, so it takes no memory, and a recomputed checkpoint draws the same.
"""

from math import sqrt
from typing import Any

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.names import ops
from chainrule.random import Generator, key_of
from chainrule.tensor import Tensor

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _checked(name: str, input: Any, p: float) -> Tensor:
    """The input as a tensor of floats, with a probability that is one."""
    input = ops.as_tensor(input)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}(p={p}): a probability lies between 0 and 1")
    if input.dtype.kind not in FLOATING:
        raise DtypeError(f"{name}({describe(input)}): takes floats; convert it with .float()")
    found: Tensor = input
    return found


def _drop(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool, generator: Generator | None) -> Tensor:
    """Elements dropped with probability p, the others scaled so that the mean stays; `shape` is the mask's."""
    if p == 0:
        return input
    options = {"key": key_of(generator), "p": float(p), "scale": 1 / (1 - p) if p < 1 else 0.0, "shape": shape}
    found: Tensor = ops.in_place(ops.dropout, input, **options) if inplace else ops.dropout(input, **options)
    return found


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *,
            generator: Generator | None = None) -> Tensor:
    """input * mask / (1 - p), where each element of the mask is 0 with probability p, else 1; any shape.

    Not `training` (or with p = 0) the input itself. `inplace` writes into the input's memory, recorded. `generator`:
    the source of randomness, else the default one. Raises ValueError for p outside [0, 1], DtypeError for integers.

    >>> import chainrule as cr
    >>> set(cr.functional.dropout(cr.ones(100), 0.5).tolist()) == {0.0, 2.0}
    True
    """
    input = _checked("dropout", input, p)
    return _drop(input, p, input.shape, inplace, generator) if training else input


def _channels(name: str, input: Tensor, spatial: int) -> tuple[int, ...]:
    """The mask's shape for whole channels of (N, C, *) or (C, *), with `spatial` axes at the end."""
    if input.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}({describe(input)}): takes (N, C{', L' * spatial}) or (C{', L' * spatial}), "
                         f"{spatial + 2} or {spatial + 1} axes; plain dropout takes any shape")
    return input.shape[:input.ndim - spatial] + (1,) * spatial


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *,
              generator: Generator | None = None) -> Tensor:
    """As `dropout`, but whole channels of (N, C, L) or (C, L) are kept or dropped.

    J. Tompson et al., "Efficient object localization using convolutional networks" (2015). Raises ShapeError for other
    ranks.

    >>> import chainrule as cr
    >>> cr.functional.dropout1d(cr.ones(64, 3), 0.5).sum(1).max().item()
    6.0
    """
    input = _checked("dropout1d", input, p)
    return _drop(input, p, _channels("dropout1d", input, 1), inplace, generator) if training else input


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *,
              generator: Generator | None = None) -> Tensor:
    """As `dropout1d` for (N, C, H, W) or (C, H, W).

    >>> import chainrule as cr
    >>> cr.functional.dropout2d(cr.ones(2, 3, 4, 4), training=False).sum().item()
    96.0
    """
    input = _checked("dropout2d", input, p)
    return _drop(input, p, _channels("dropout2d", input, 2), inplace, generator) if training else input


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *,
              generator: Generator | None = None) -> Tensor:
    """As `dropout1d` for (N, C, D, H, W) or (C, D, H, W).

    >>> import chainrule as cr
    >>> cr.functional.dropout3d(cr.ones(1, 2, 2, 2, 2), p=1.0).sum().item()
    0.0
    """
    input = _checked("dropout3d", input, p)
    return _drop(input, p, _channels("dropout3d", input, 3), inplace, generator) if training else input


# what selu gives for -inf: -scale * alpha of G. Klambauer et al. (2017)
_SATURATED = -1.7580993408473766


def _alpha_drop(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool, generator: Generator | None) -> Tensor:
    """a * (input * mask + s * (1 - mask)) + b with a and b such that mean 0 and variance 1 stay so; zeros for p = 1."""
    if p in (0, 1):
        return _drop(input, p, shape, inplace, generator)
    a = 1 / sqrt((1 - p) * (1 + p * _SATURATED**2))
    options = {"key": key_of(generator), "p": float(p), "shape": shape}
    mask = ops.dropout(ops.ones_like(input, shape=shape), scale=1.0, **options)
    shift = (1 - mask) * (a * _SATURATED) - a * p * _SATURATED

    def masked(x: Tensor) -> Tensor:
        found: Tensor = ops.dropout(x, scale=a, **options) + shift
        return found

    found: Tensor = ops.in_place(masked, input) if inplace else masked(input)
    return found


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *,
                  generator: Generator | None = None) -> Tensor:
    """Dropout for selu: dropped elements become the value at which selu saturates, s = -1.7581, and the result is
    scaled and shifted so that mean 0 and variance 1 stay so: a (input mask + s (1 - mask)) + b,
    a = ((1 - p) (1 + p s²))^(-1/2), b = -a p s.

    G. Klambauer et al., "Self-normalizing neural networks" (2017). Arguments and errors as `dropout`, but `training` is
    False unless given, as in torch.

    >>> import chainrule as cr
    >>> cr.functional.alpha_dropout(cr.ones(2))
    tensor([1., 1.])
    """
    input = _checked("alpha_dropout", input, p)
    return _alpha_drop(input, p, input.shape, inplace, generator) if training else input


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *,
                          generator: Generator | None = None) -> Tensor:
    """As `alpha_dropout`, but whole channels of (N, C, *) are kept or dropped. Raises ShapeError for fewer than 2 axes.

    >>> import chainrule as cr
    >>> cr.functional.feature_alpha_dropout(cr.ones(1, 2, 3)).shape
    (1, 2, 3)
    """
    input = _checked("feature_alpha_dropout", input, p)
    if input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout({describe(input)}): takes (N, C, *), at least 2 axes")
    return _alpha_drop(input, p, input.shape[:2] + (1,) * (input.ndim - 2), inplace, generator) if training else input
