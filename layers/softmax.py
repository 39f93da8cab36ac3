"""Activations along an axis, as layers: the softmax family and `GLU`."""

from chainrule import functional as F
from chainrule.errors import ShapeError
from chainrule.layers.activations import Activation
from chainrule.layers.configured import refuse_input
from chainrule.tensor import Tensor

__all__ = ["GLU", "LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class AlongAxis(Activation):
    """Activations along an axis `dim`; without one, torch's old choice with a warning."""

    settings = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        refuse_input(self, dim)
        self.dim = dim


class Softmax(AlongAxis):
    """exp(x_i) / Σ_j exp(x_j) along the axis `dim`.

    >>> import chainrule as cr
    >>> Softmax(dim=1)(cr.tensor([[0.0, 0.0]]))
    tensor([[0.5, 0.5]])
    """

    function = staticmethod(F.softmax)


class Softmin(AlongAxis):
    """softmax(−x) along the axis `dim`.

    >>> import chainrule as cr
    >>> Softmin(dim=1)(cr.tensor([[0.0, 1000.0]]))
    tensor([[1., 0.]])
    """

    function = staticmethod(F.softmin)


class LogSoftmax(AlongAxis):
    """log softmax(x) along the axis `dim`.

    >>> import chainrule as cr
    >>> LogSoftmax(dim=1)(cr.tensor([[0.0, 1000.0]]))
    tensor([[-1000.,     0.]])
    """

    function = staticmethod(F.log_softmax)


class Softmax2d(Activation):
    """Softmax over the channels at every place: x (N, C, H, W) or (C, H, W). Raises ShapeError for other ranks.

    >>> import chainrule as cr
    >>> Softmax2d()(cr.zeros(4, 1, 1)).tolist()
    [[[0.25]], [[0.25]], [[0.25]], [[0.25]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """softmax over the third axis from the end."""
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: the input has shape {input.shape}, it must be (N, C, H, W) or (C, H, W)")
        return F.softmax(input, -3)


class GLU(Activation):
    """a · σ(b), with a and b the halves of the input along `dim`. Raises ShapeError for an odd size.

    Dauphin et al. 2016, "Language modeling with gated convolutional networks", arXiv 1612.08083.

    >>> import chainrule as cr
    >>> GLU()(cr.tensor([[1.0, 2.0, 0.0, 0.0]]))
    tensor([[0.5, 1. ]])
    """

    function, settings = staticmethod(F.glu), ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim
