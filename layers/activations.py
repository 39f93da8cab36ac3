"""Activations as layers."""

from chainrule import functional as F
from chainrule.layers.module import Module
from chainrule.tensor import Tensor

__all__ = ["ReLU"]


class ReLU(Module):
    """max(x, 0). `inplace` writes the result into the input's memory.

    >>> import chainrule as cr
    >>> ReLU()(cr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """max(input, 0)."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """inplace=True where set."""
        return "inplace=True" if self.inplace else ""
