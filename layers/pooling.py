"""Pooling layers, in one to three spatial dimensions."""

from collections.abc import Callable
from typing import Any, ClassVar

from chainrule import functional as F
from chainrule.layers.configured import Configured
from chainrule.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d",
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d",
    "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
]


class Pool(Configured):
    """What all pooling layers share: a function, and a stride that is the kernel's size unless given."""

    function: ClassVar[Callable[..., Any]]
    kernel_size: Any

    def goes_without_saying(self, name: str, value: object) -> bool:
        """A stride of the kernel's size."""
        return name == "stride" and value == self.kernel_size


# ---- the largest of each window


class MaxPool(Pool):
    """Max pooling of all ranks; see MaxPool1d."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """x (N, C, *S) or (C, *S) -> (N, C, *S') or (C, *S'); with `return_indices` a pair, the places second."""
        return type(self).function(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                                   self.return_indices)


class MaxPool1d(MaxPool):
    """The largest element of each window along one axis: x (N, C, L) -> (N, C, L').

    Windows of `kernel_size` elements, `dilation` apart, begin every `stride` (kernel_size unless given); x is lengthened
    by `padding` on both sides, which never wins. `ceil_mode`: windows may reach over the end. `return_indices`: also
    where each was found, which MaxUnpool1d takes. The call raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> MaxPool1d(2)(cr.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[3., 2.]]])
    """

    function = staticmethod(F.max_pool1d)


class MaxPool2d(MaxPool):
    """The largest element of each window: as MaxPool1d, along two axes: x (N, C, H, W) -> (N, C, H', W').

    `return_indices`: also where in its H×W plane each was found.

    >>> import chainrule as cr
    >>> MaxPool2d(2)(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[4.0]]]]
    """

    function = staticmethod(F.max_pool2d)


class MaxPool3d(MaxPool):
    """The largest element of each window: as MaxPool1d, along three axes: x (N, C, D, H, W) -> (N, C, D', H', W').

    >>> import chainrule as cr
    >>> MaxPool3d(2)(cr.arange(8.0).reshape(1, 1, 2, 2, 2)).tolist()
    [[[[[7.0]]]]]
    """

    function = staticmethod(F.max_pool3d)


class MaxUnpool(Pool):
    """Max unpooling of all ranks; see MaxUnpool1d."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        """x (N, C, *S) and the indices of its elements -> (N, C, *output_size)."""
        return type(self).function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(MaxUnpool):
    """The maxima back where MaxPool1d found them, zeros elsewhere. `output_size` in the call chooses among the sizes that
    the pooling maps to the input's.

    >>> import chainrule as cr
    >>> values, places = MaxPool1d(2, return_indices=True)(cr.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    >>> MaxUnpool1d(2)(values, places)
    tensor([[[0., 3., 2., 0.]]])
    """

    function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(MaxUnpool):
    """As MaxUnpool1d, along two axes: x and indices (N, C, H, W).

    >>> import chainrule as cr
    >>> values, places = MaxPool2d(2, return_indices=True)(cr.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    >>> MaxUnpool2d(2)(values, places).tolist()
    [[[0.0, 3.0], [0.0, 0.0]]]
    """

    function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(MaxUnpool):
    """As MaxUnpool1d, along three axes: x and indices (N, C, D, H, W).

    >>> import chainrule as cr
    >>> values, places = MaxPool3d(2, return_indices=True)(cr.arange(8.0).reshape(1, 2, 2, 2))
    >>> MaxUnpool3d(2)(values, places).tolist()
    [[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 7.0]]]]
    """

    function = staticmethod(F.max_unpool3d)


# ---- the mean of each window


class Average(Pool):
    """What average pooling of all ranks shares."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad


class AvgPool1d(Average):
    """The mean of each window along one axis: x (N, C, L) -> (N, C, L').

    Windows as MaxPool1d's. `count_include_pad`: the zeros of the padding count as elements.

    >>> import chainrule as cr
    >>> AvgPool1d(2)(cr.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[2., 1.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, L) -> (N, C, L')."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool(Average):
    """Average pooling along two and three axes, which may have a divisor of its own."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) -> (N, C, *S')."""
        found: Tensor = type(self).function(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                                            self.count_include_pad, self.divisor_override)
        return found


class AvgPool2d(AvgPool):
    """The mean of each window: as AvgPool1d, along two axes; `divisor_override` divides in place of the count.

    >>> import chainrule as cr
    >>> AvgPool2d(2)(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[2.5]]]]
    """

    function = staticmethod(F.avg_pool2d)


class AvgPool3d(AvgPool):
    """The mean of each window: as AvgPool2d, along three axes.

    >>> import chainrule as cr
    >>> AvgPool3d(2)(cr.arange(8.0).reshape(1, 1, 2, 2, 2)).tolist()
    [[[[[3.5]]]]]
    """

    function = staticmethod(F.avg_pool3d)


# ---- a norm of each window


class LPPool(Pool):
    """Norm pooling of all ranks; see LPPool1d."""

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) -> (N, C, *S')."""
        found: Tensor = type(self).function(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        return found


class LPPool1d(LPPool):
    """(Σ x^p)^(1/p) of each window along one axis, with p = norm_type: x (N, C, L) -> (N, C, L').

    >>> import chainrule as cr
    >>> LPPool1d(2, 2)(cr.tensor([[[3.0, 4.0]]]))
    tensor([[[5.]]])
    """

    function = staticmethod(F.lp_pool1d)


class LPPool2d(LPPool):
    """As LPPool1d, along two axes: x (N, C, H, W) -> (N, C, H', W').

    >>> import chainrule as cr
    >>> LPPool2d(1, 2)(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[10.0]]]]
    """

    function = staticmethod(F.lp_pool2d)


class LPPool3d(LPPool):
    """As LPPool1d, along three axes: x (N, C, D, H, W) -> (N, C, D', H', W').

    >>> import chainrule as cr
    >>> LPPool3d(1, 2)(cr.ones(1, 1, 2, 2, 2)).tolist()
    [[[[[8.0]]]]]
    """

    function = staticmethod(F.lp_pool3d)


# ---- an output of a given size


class AdaptiveAvgPool(Pool):
    """Adaptive average pooling of all ranks; see AdaptiveAvgPool1d."""

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) -> (N, C, *output_size)."""
        found: Tensor = type(self).function(input, self.output_size)
        return found


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """The means of `output_size` windows that divide the axis evenly: window i of O is ⌊i L / O⌋ … ⌈(i + 1) L / O⌉.

    x (N, C, L) -> (N, C, output_size).

    >>> import chainrule as cr
    >>> AdaptiveAvgPool1d(2)(cr.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[1.5, 2.5]]])
    """

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """As AdaptiveAvgPool1d, along two axes; None keeps the input's size: x (N, C, H, W) -> (N, C, *output_size).

    >>> import chainrule as cr
    >>> AdaptiveAvgPool2d((1, None))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[[2.0, 3.0]]]
    """

    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """As AdaptiveAvgPool2d, along three axes: x (N, C, D, H, W) -> (N, C, *output_size).

    >>> import chainrule as cr
    >>> AdaptiveAvgPool3d(1)(cr.arange(8.0).reshape(1, 1, 2, 2, 2)).tolist()
    [[[[[3.5]]]]]
    """

    function = staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool(Pool):
    """Adaptive max pooling of all ranks; see AdaptiveMaxPool1d."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        """x (N, C, *S) -> (N, C, *output_size); with `return_indices` a pair, the places second."""
        return type(self).function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """The largest elements of the windows of AdaptiveAvgPool1d, and with `return_indices` where they were found.

    >>> import chainrule as cr
    >>> AdaptiveMaxPool1d(2)(cr.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[2., 3.]]])
    """

    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """As AdaptiveMaxPool1d, along two axes; None keeps the input's size: x (N, C, H, W) -> (N, C, *output_size).

    >>> import chainrule as cr
    >>> AdaptiveMaxPool2d((1, None))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[[3.0, 4.0]]]
    """

    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """As AdaptiveMaxPool2d, along three axes: x (N, C, D, H, W) -> (N, C, *output_size).

    >>> import chainrule as cr
    >>> AdaptiveMaxPool3d(1)(cr.arange(8.0).reshape(1, 1, 2, 2, 2)).tolist()
    [[[[[7.0]]]]]
    """

    function = staticmethod(F.adaptive_max_pool3d)
