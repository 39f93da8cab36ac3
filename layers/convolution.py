"""Convolution layers and their transposes, in one to three spatial dimensions."""

from collections.abc import Callable
from typing import Any, ClassVar

from chainrule import functional as F
from chainrule.arguments import check_sizes, tuple_of
from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Kernels(Configured):
    """What convolutions and their transposes share: sizes for each axis, weight and bias, and their first values."""

    rank: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]
    weight: Parameter
    bias: Parameter | None
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def _set_up(self, in_channels: int, out_channels: int, groups: int, sizes: dict[str, Any], shape: tuple[int, int],
                bias: bool, device: Any, dtype: Any) -> None:
        """Keep the sizes as tuples, and make the parameters; `shape` is that of the weight before the kernel's axes."""
        check_sizes(type(self).__name__, 0, in_channels=in_channels, out_channels=out_channels)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(f"{type(self).__name__}: groups={groups} must divide both in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        for name, value in sizes.items():
            setattr(self, name, tuple_of(type(self).__name__, name, value, self.rank))
        self.weight = empty(*shape, *self.kernel_size, device=device, dtype=dtype)
        self.bias = empty(out_channels, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew: weight and bias uniform on ±1/√fan_in."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        """The channels, the kernel, and what is not the default."""
        return super().extra_repr().replace(repr(self.kernel_size), f"kernel_size={self.kernel_size}", 1)

    def goes_without_saying(self, name: str, value: object) -> bool:
        """Defaults are one number, the sizes kept are tuples."""
        return value == ((0,) if "padding" in name else (1,)) * self.rank


class Convolution(Kernels):
    """The convolutions of all ranks; see Conv1d."""

    padding: str | tuple[int, ...]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        name = type(self).__name__
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{name}: padding_mode={padding_mode!r}, it is one of {', '.join(PADDING_MODES)}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding={padding!r} is neither 'same' nor 'valid' nor numbers")
        self._set_up(in_channels, out_channels, groups, {"kernel_size": kernel_size, "stride": stride, "dilation": dilation},
                     (out_channels, in_channels // max(groups, 1)), bias, device, dtype)
        if padding == "same" and set(self.stride) != {1}:
            raise ValueError(f"{name}: padding='same' needs stride 1, not {self.stride}: the output cannot be as "
                             "large as the input otherwise")
        self.padding = padding if isinstance(padding, str) else tuple_of(name, "padding", padding, self.rank)
        self.padding_mode = padding_mode

    def _widths(self) -> list[int]:
        """(before, after) for each axis, the last axis first, as functional.pad takes them."""
        if isinstance(self.padding, str):  # "same": what the kernel takes away, the odd one at the end
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            pairs = [(total // 2, total - total // 2) for total in totals]
        else:
            pairs = [(p, p) for p in self.padding]
        return [width for pair in reversed(pairs) for width in pair]

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in_channels, *S) or (in_channels, *S) -> (N, out_channels, *S') or (out_channels, *S')."""
        padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            input, padding = F.pad(input, self._widths(), self.padding_mode), (0,) * self.rank
        return type(self).function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(Convolution):
    """Cross-correlation with learned kernels along one axis:

    y[n, o, i] = b[o] + Σ_c,u W[o, c, u] x[n, c, i·stride + u·dilation − padding].

    x (N, in_channels, L) or (in_channels, L), W (out_channels, in_channels / groups, kernel_size), b (out_channels),
    y (N, out_channels, L') with L' = ⌊(L + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1. With groups, each
    group of output channels sees its own group of input channels only.

    `padding`: by how much x is made longer on each side, or 'valid' (nothing), or 'same' (L' = L, for stride 1).
    `padding_mode`: what stands there: 'zeros', 'reflect' (mirrored, without the edge), 'replicate' (the edge),
    'circular' (from the other end). Weight and bias start uniform on ±1/√(kernel_size · in_channels / groups).

    Raises ShapeError where groups does not divide the channels, ValueError for another padding or padding_mode.

    >>> import chainrule as cr
    >>> layer = Conv1d(1, 4, 3, padding="same", padding_mode="circular")
    >>> layer(cr.zeros(2, 1, 7)).shape, layer.weight.shape
    ((2, 4, 7), (4, 1, 3))
    """

    rank, function = 1, staticmethod(F.conv1d)


class Conv2d(Convolution):
    """Convolution of images: as Conv1d, along two axes.

    y[n, o, i, j] = b[o] + Σ_c,u,v W[o, c, u, v] x[n, c, i·s + u·d, j·s + v·d].

    x (N, in_channels, H, W) or (in_channels, H, W), W (out_channels, in_channels / groups, *kernel_size),
    b (out_channels), y (N, out_channels, H', W') with H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    Sizes are one number, or one for each of height and width.

    >>> import chainrule as cr
    >>> layer = Conv2d(1, 4, 3, padding="same")
    >>> layer(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).shape, layer.weight.shape
    ((1, 4, 2, 2), (4, 1, 3, 3))
    """

    rank, function = 2, staticmethod(F.conv2d)


class Conv3d(Convolution):
    """Convolution of volumes: as Conv1d, along three axes.

    x (N, in_channels, D, H, W) or (in_channels, D, H, W) -> (N, out_channels, D', H', W').

    >>> import chainrule as cr
    >>> Conv3d(1, 2, (1, 3, 3))(cr.zeros(1, 1, 4, 5, 5)).shape
    (1, 2, 4, 3, 3)
    """

    rank, function = 3, staticmethod(F.conv3d)


class Transpose(Kernels):
    """The transposed convolutions of all ranks; see ConvTranspose1d."""

    padding: tuple[int, ...]
    output_padding: tuple[int, ...]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode={padding_mode!r}; only 'zeros' has a transpose")
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
                 "output_padding": output_padding}
        self._set_up(in_channels, out_channels, groups, sizes, (in_channels, out_channels // max(groups, 1)), bias, device,
                     dtype)
        self.padding_mode = padding_mode

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """What to add at the end of each axis for an output of this size."""
        if output_size is None:
            return self.output_padding
        name, wanted = type(self).__name__, tuple(output_size)[-self.rank:]
        if len(tuple(output_size)) not in (self.rank, input.ndim):
            raise ShapeError(f"{name}: output_size={tuple(output_size)} must have {self.rank} entries, or {input.ndim} for an "
                             f"input of shape {input.shape}")
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(
            input.shape[-self.rank:], self.stride, self.padding, self.dilation, self.kernel_size)]
        most = [n + s - 1 for n, s in zip(least, self.stride)]
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most)):
            raise ShapeError(f"{name}: output_size={wanted} cannot be: an input of shape {input.shape} gives sizes from "
                             f"{tuple(least)} to {tuple(most)}")
        return tuple(n - low for n, low in zip(wanted, least))

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """x (N, in_channels, *S) -> (N, out_channels, *S'). `output_size`: the S' to choose, in place of output_padding."""
        return type(self).function(input, self.weight, self.bias, self.stride, self.padding,
                                   self._output_padding(input, output_size), self.groups, self.dilation)


class ConvTranspose1d(Transpose):
    """The transpose of Conv1d: each input element adds its multiple of the kernel, every `stride` places.

    y[n, o, j] = b[o] + Σ_c,i,u W[c, o, u] x[n, c, i] over all i, u with i·stride + u·dilation − padding = j.

    x (N, in_channels, L) or (in_channels, L), W (in_channels, out_channels / groups, kernel_size), b (out_channels),
    y (N, out_channels, L') with L' = (L − 1)·stride − 2·padding + dilation·(kernel_size − 1) + 1 + output_padding. A
    convolution maps several sizes to one: `output_padding`, or `output_size` in the call, says which it was. It is the
    convolution's adjoint, not its inverse (Zeiler et al. 2010, "Deconvolutional networks"). First values as Conv1d's,
    with the weight's second axis as the inputs.

    Raises ShapeError where groups does not divide the channels or an output_size cannot be.

    >>> import chainrule as cr
    >>> down, up = Conv1d(1, 2, 3, stride=2), ConvTranspose1d(2, 1, 3, stride=2)
    >>> x = cr.zeros(1, 1, 10)
    >>> down(x).shape, up(down(x)).shape, up(down(x), output_size=x.shape).shape
    ((1, 2, 4), (1, 1, 9), (1, 1, 10))
    """

    rank, function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(Transpose):
    """The transpose of Conv2d: as ConvTranspose1d, along two axes.

    x (N, in_channels, H, W) or (in_channels, H, W), W (in_channels, out_channels / groups, *kernel_size) ->
    (N, out_channels, H', W').

    >>> import chainrule as cr
    >>> ConvTranspose2d(8, 4, 4, stride=2, padding=1)(cr.zeros(1, 8, 5, 5)).shape
    (1, 4, 10, 10)
    """

    rank, function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(Transpose):
    """The transpose of Conv3d: as ConvTranspose1d, along three axes.

    x (N, in_channels, D, H, W) or (in_channels, D, H, W) -> (N, out_channels, D', H', W').

    >>> import chainrule as cr
    >>> ConvTranspose3d(2, 1, 2, stride=2)(cr.zeros(1, 2, 2, 3, 4)).shape
    (1, 1, 4, 6, 8)
    """

    rank, function = 3, staticmethod(F.conv_transpose3d)
