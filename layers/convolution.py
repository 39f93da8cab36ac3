"""Convolution layers."""

from typing import Any

from chainrule import functional as F
from chainrule.arguments import tuple_of
from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.linear import empty
from chainrule.layers.module import Module, Parameter
from chainrule.tensor import Tensor

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlation with learned kernels:

    y[n, o, i, j] = b[o] + Σ_c,u,v W[o, c, u, v] x[n, c, i·s + u·d, j·s + v·d].

    x (N, in_channels, H, W) or (in_channels, H, W), W (out_channels, in_channels / groups, *kernel_size),
    b (out_channels), y (N, out_channels, H', W') with H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    `padding`: zeros on each side, or 'valid' (none), or 'same' (H' = H, for stride 1). Both start uniform on
    ±1/√fan_in.

    Raises ShapeError where groups does not divide the channels, ValueError for another padding or padding_mode.

    >>> import chainrule as cr
    >>> layer = Conv2d(1, 4, 3, padding="same")
    >>> layer(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).shape, layer.weight.shape
    ((1, 4, 2, 2), (4, 1, 3, 3))
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(f"Conv2d: groups={groups} must divide both in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode={padding_mode!r} is not supported, only 'zeros' is; pad the input "
                             "with functional.pad and use padding=0")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.padding_mode = padding_mode
        self.kernel_size = tuple_of("Conv2d", "kernel_size", kernel_size, 2)
        self.stride = tuple_of("Conv2d", "stride", stride, 2)
        self.dilation = tuple_of("Conv2d", "dilation", dilation, 2)
        self.padding = padding if isinstance(padding, str) else tuple_of("Conv2d", "padding", padding, 2)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Conv2d: padding={padding!r} is neither 'same' nor 'valid' nor numbers")
        if padding == "same" and self.stride != (1, 1):
            raise ValueError(f"Conv2d: padding='same' needs stride 1, not {self.stride}: the output cannot be as "
                             "large as the input otherwise")
        self.weight = empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        self.bias = empty(out_channels, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The channels, the kernel, and what is not the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text + (", bias=False" if self.bias is None else "")
