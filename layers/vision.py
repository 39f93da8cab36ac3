"""Images and their parts: resizing, pixels from channels, windows as columns."""

from typing import Any

from chainrule import functional as F
from chainrule.errors import ShapeError
from chainrule.layers.configured import Configured
from chainrule.tensor import Tensor

__all__ = ["ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample", "UpsamplingBilinear2d",
           "UpsamplingNearest2d"]


class Upsample(Configured):
    """Resizes the spatial axes of (N, C, L), (N, C, H, W) or (N, C, D, H, W) to `size`, or by `scale_factor`.

    Modes: "nearest", "linear" (one axis), "bilinear", "bicubic" (two), "trilinear" (three). `align_corners`: the corner
    elements' centres map onto each other, else the corners' outer edges do. `recompute_scale_factor`: positions follow
    from the sizes, not from the given factor. The call raises ValueError or ShapeError for options that do not fit.

    >>> import chainrule as cr
    >>> Upsample(scale_factor=2)(cr.tensor([[[1.0, 3.0]]]))
    tensor([[[1., 1., 3., 3.]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
                 recompute_scale_factor: bool | None = None) -> None:
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) -> (N, C, *S')."""
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) resized by repeating the nearest element.

    >>> import chainrule as cr
    >>> UpsamplingNearest2d(scale_factor=2)(cr.tensor([[[[1.0, 3.0]]]])).tolist()
    [[[[1.0, 1.0, 3.0, 3.0], [1.0, 1.0, 3.0, 3.0]]]]
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) resized bilinearly, with corners aligned.

    >>> import chainrule as cr
    >>> UpsamplingBilinear2d((1, 3))(cr.tensor([[[[1.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Configured):
    """Every r² channels become r × r pixels: (…, C r², H, W) -> (…, C, H r, W r), for r = upscale_factor.

    Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", arXiv 1609.05158. The call raises ShapeError where r² does not divide the channels.

    >>> import chainrule as cr
    >>> PixelShuffle(2)(cr.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]])).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """x (…, C r², H, W) -> (…, C, H r, W r)."""
        return F.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Configured):
    """The inverse of PixelShuffle: (…, C, H r, W r) -> (…, C r², H, W), for r = downscale_factor.

    The call raises ShapeError where r does not divide height and width.

    >>> import chainrule as cr
    >>> PixelUnshuffle(2)(cr.zeros(1, 4, 6)).shape
    (4, 2, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """x (…, C, H r, W r) -> (…, C r², H, W)."""
        return F.pixel_unshuffle(input, self.downscale_factor)


class ChannelShuffle(Configured):
    """Channels dealt out anew: those of `groups` groups in turn, so that grouped convolutions mix. x (N, C, *S) -> same.

    Zhang et al. 2018, "ShuffleNet", arXiv 1707.01083. Raises ShapeError where groups does not divide the channels.

    >>> import chainrule as cr
    >>> ChannelShuffle(2)(cr.arange(4.0).reshape(1, 4, 1)).tolist()
    [[[0.0], [2.0], [1.0], [3.0]]]
    """

    def __init__(self, groups: int) -> None:
        if groups < 1:
            raise ValueError(f"ChannelShuffle: groups={groups} must be at least 1")
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) -> (N, C, *S)."""
        if input.ndim < 3 or input.shape[1] % self.groups:
            raise ShapeError(f"ChannelShuffle: the input has shape {input.shape}, it must be (batch, channels, *sizes) with "
                             f"channels that groups={self.groups} divides")
        batch, channels, *sizes = input.shape
        return input.reshape(batch, self.groups, channels // self.groups, *sizes).swapaxes(1, 2).reshape(input.shape)


class Unfold(Configured):
    """The windows of an image as columns ("im2col"): (N, C, H, W) or (C, H, W) -> (N, C · KH · KW, L) for L windows.

    The call raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> Unfold((1, 2))(cr.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[1., 2.],
            [2., 3.]])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C · KH · KW, L)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Configured):
    """Columns added up where their windows lay ("col2im"), the adjoint of Unfold: (N, C · KH · KW, L) -> (N, C, *output_size).

    The call raises ShapeError where the columns are not those of an image of that size.

    >>> import chainrule as cr
    >>> Fold((1, 3), (1, 2))(cr.tensor([[1.0, 2.0], [20.0, 30.0]]))
    tensor([[[ 1., 22., 30.]]])
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C · KH · KW, L) -> (N, C, *output_size)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
