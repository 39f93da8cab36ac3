"""Dropout layers: in training parts of the input are dropped at random, in evaluation nothing changes."""

from typing import Any

from chainrule import functional as F
from chainrule.layers.configured import refuse_input
from chainrule.layers.module import Module
from chainrule.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


def check_probability(name: str, **probabilities: float) -> None:
    """ValueError for what is no number between 0 and 1."""
    for what, p in probabilities.items():
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise ValueError(f"{name}: {what}={p!r} is the probability to drop an element, between 0 and 1")


class Dropping(Module):
    """What the dropout layers share: the probability p, checked, and which function drops."""

    drop: Any  # (input, p, training, inplace) -> output

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        refuse_input(self, p)
        check_probability(type(self).__name__, p=p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """input with parts dropped, in training mode."""
        found: Tensor = self.drop(input, self.p, self.training, self.inplace)
        return found

    def extra_repr(self) -> str:
        """p, and inplace=True where set."""
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


class Dropout(Dropping):
    """In training, each element becomes 0 with probability p and the others grow by 1 / (1 − p).

    In evaluation nothing changes. Any shape. `inplace` writes into the input's memory.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting". Raises ValueError for p
    outside 0 to 1.

    >>> import chainrule as cr
    >>> Dropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    drop = staticmethod(F.dropout)


class Dropout1d(Dropping):
    """As `Dropout`, but whole channels of (N, C, L) or (C, L) are dropped or kept.

    Neighbours in a feature map are alike, so dropping single elements would hide little. Tompson et al. 2015,
    "Efficient object localization using convolutional networks". Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> Dropout1d(0.5)(cr.ones(64, 3)).sum(1).max().item()
    6.0
    """

    drop = staticmethod(F.dropout1d)


class Dropout2d(Dropping):
    """As `Dropout1d`, for channels of (N, C, H, W) or (C, H, W).

    >>> import chainrule as cr
    >>> set(Dropout2d(0.5)(cr.ones(4, 32, 3, 3)).sum((2, 3)).flatten().tolist()) == {0.0, 18.0}
    True
    """

    drop = staticmethod(F.dropout2d)


class Dropout3d(Dropping):
    """As `Dropout1d`, for channels of (N, C, D, H, W) or (C, D, H, W).

    >>> import chainrule as cr
    >>> Dropout3d(1.0)(cr.ones(1, 2, 2, 2, 2)).sum().item()
    0.0
    """

    drop = staticmethod(F.dropout3d)


class AlphaDropout(Dropping):
    """Dropout for networks of selu: what is dropped becomes the value at which selu saturates.

    The result is scaled and shifted so that mean 0 and variance 1 stay so. Klambauer et al. 2017, "Self-normalizing
    neural networks". Raises ValueError for p outside 0 to 1.

    >>> import chainrule as cr
    >>> abs(AlphaDropout(0.3)(cr.randn(10000)).std().item() - 1) < 0.1
    True
    """

    drop = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(Dropping):
    """As `AlphaDropout`, but whole channels of (N, C, …) are dropped or kept. Raises ShapeError for fewer than 2 axes.

    >>> import chainrule as cr
    >>> FeatureAlphaDropout(0.3)(cr.randn(2, 3, 4)).shape
    (2, 3, 4)
    """

    drop = staticmethod(F.feature_alpha_dropout)
