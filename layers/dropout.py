"""Dropout layers."""

from chainrule import functional as F
from chainrule.layers.module import Module
from chainrule.tensor import Tensor

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, each element becomes 0 with probability p and the others grow by 1 / (1 − p).

    In evaluation nothing changes.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting". Raises ValueError for p
    outside 0 to 1.

    >>> import chainrule as cr
    >>> Dropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p} is the probability to drop an element; it lies between 0 and 1")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """input with elements dropped, in training mode."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """p, and inplace=True where set."""
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")
