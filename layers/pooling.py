"""Pooling layers."""

from typing import Any

from chainrule import functional as F
from chainrule.layers.module import Module
from chainrule.tensor import Tensor

__all__ = ["MaxPool2d"]


class MaxPool2d(Module):
    """The largest element of each window: x (N, C, H, W) -> (N, C, H', W'). `stride` is kernel_size unless given.

    `return_indices`: also where in its H×W plane each was found. `ceil_mode`: windows may reach over the end.

    >>> import chainrule as cr
    >>> MaxPool2d(2)(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[4.0]]]]
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """x (N, C, H, W) -> (N, C, H', W')."""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)

    def extra_repr(self) -> str:
        """The kernel, and what is not the default."""
        text = f"{self.kernel_size}"
        for name, default in (("stride", self.kernel_size), ("padding", 0), ("dilation", 1), ("ceil_mode", False)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text
