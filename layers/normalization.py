"""Normalization layers: by the statistics of a batch, of each sample, or of a group of its channels.

All of them compute x̂ = (x − mean) / √(variance + eps) and, where they are affine, x̂ · weight + bias; they differ in the
elements that share one mean and one variance.
"""

from typing import Any

from chainrule import functional as F
from chainrule.arguments import check_sizes
from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.names import ops
from chainrule.state import state
from chainrule.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d",
           "InstanceNorm3d", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class Affine(Configured):
    """What all normalizations share: a weight that starts at one and a bias that starts at zero, either may be None."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = empty(*shape, device=device, dtype=dtype) if weight else None
        self.bias = empty(*shape, device=device, dtype=dtype) if weight and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The first values again: one and zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def goes_without_saying(self, name: str, value: object) -> bool:
        """There is no bias without a weight."""
        return name == "bias" and self.weight is None


class RunningStatistics(Affine):
    """What batch and instance norm share: one number per channel of everything, and averages of past statistics."""

    layouts: dict[int, str] = {}  # number of the input's axes -> the shape in words; subclasses say which they take

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
                 device: Any, dtype: Any, bias: bool) -> None:
        check_sizes(type(self).__name__, 0, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats

        def buffer(*shape: int) -> Tensor | None:
            return empty(*shape, device=device, dtype=dtype).detach() if track_running_stats else None

        self.register_buffer("running_mean", buffer(num_features))
        self.register_buffer("running_var", buffer(num_features))
        count = buffer()
        self.register_buffer("num_batches_tracked", None if count is None else count.long())
        self._make_parameters((num_features,), affine, bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """The first values again, of the statistics too."""
        self.reset_running_stats()
        super().reset_parameters()

    def _channel_axis(self, input: Tensor) -> int:
        """1, or 0 for a single sample; ShapeError for another number of axes or of channels."""
        name, axes = type(self).__name__, " or ".join(self.layouts.values())
        if input.ndim not in self.layouts:
            raise ShapeError(f"{name}: the input has shape {input.shape}, {input.ndim} axes; it takes {axes}")
        axis = 0 if self.layouts[input.ndim].startswith("(C") else 1
        if input.shape[axis] != self.num_features:
            raise ShapeError(f"{name}: the input of shape {input.shape} has {input.shape[axis]} channels (axis {axis}), "
                             f"the layer was made for num_features={self.num_features}")
        return axis


class BatchNorm(RunningStatistics):
    """What BatchNorm1d, 2d and 3d share; they differ in the shapes they take. See `BatchNorm1d`."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """The input, each channel normalised over the batch and its positions."""
        self._channel_axis(input)
        count, mean, variance = self.num_batches_tracked, self.running_mean, self.running_var
        momentum = self.momentum or 0.0
        if self.training:
            if not self.track_running_stats:
                mean = variance = None
            elif count is not None:
                if not state.recomputing:  # a checkpoint that computes again has seen no new batch
                    ops.write_into(count, count + 1)
                if self.momentum is None:
                    momentum = 1 / max(int(count), 1)
        own = self.training or (mean is None and variance is None)
        return F.batch_norm(input, mean, variance, self.weight, self.bias, own, momentum, self.eps)


class BatchNorm1d(BatchNorm):
    """Each channel of (N, C) or (N, C, L) normalised over the batch and its positions.

    In training, mean and (biased) variance of each channel are those of the batch, and the running statistics follow:
    running = (1 − momentum) running + momentum · batch's (the variance the unbiased one). With `momentum` None they are
    the plain average over all batches so far. In evaluation the running statistics are used; with
    `track_running_stats` False there are none, and the batch's are used always. The buffers `running_mean`,
    `running_var` (num_features) and the count `num_batches_tracked` () are saved with the parameters `weight` and
    `bias` (num_features), which `affine=False` leaves out.

    Raises ShapeError for other shapes, ValueError in training for a single value per channel. Ioffe & Szegedy (2015),
    "Batch normalization: accelerating deep network training by reducing internal covariate shift".

    >>> import chainrule as cr
    >>> layer = BatchNorm1d(2)
    >>> layer(cr.tensor([[1.0, 10.0], [3.0, 30.0]])).round().tolist(), layer.running_mean
    ([[-1.0, -1.0], [1.0, 1.0]], tensor([0.2, 2. ]))
    """

    layouts = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Each channel of (N, C, H, W) normalised over the batch and its positions; see `BatchNorm1d`.

    >>> import chainrule as cr
    >>> BatchNorm2d(3)(cr.randn(2, 3, 4, 4)).mean((0, 2, 3)).abs().max().item() < 1e-6
    True
    """

    layouts = {4: "(N, C, H, W)"}


class BatchNorm3d(BatchNorm):
    """Each channel of (N, C, D, H, W) normalised over the batch and its positions; see `BatchNorm1d`.

    >>> import chainrule as cr
    >>> BatchNorm3d(3, affine=False).eval()(cr.zeros(2, 3, 1, 2, 2)).abs().max().item()
    0.0
    """

    layouts = {5: "(N, C, D, H, W)"}


class InstanceNorm(RunningStatistics):
    """What InstanceNorm1d, 2d and 3d share; they differ in the shapes they take. See `InstanceNorm1d`."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """The input, each channel of each sample normalised over its positions."""
        single = self._channel_axis(input) == 0
        out = F.instance_norm(input.unsqueeze(0) if single else input, self.running_mean, self.running_var, self.weight,
                              self.bias, self.training or not self.track_running_stats, self.momentum or 0.0, self.eps)
        return out.squeeze(0) if single else out


class InstanceNorm1d(InstanceNorm):
    """Each channel of each sample of (N, C, L) or (C, L) normalised over its positions.

    Neither affine nor with running statistics unless asked for; with `track_running_stats` the samples' average is
    followed in training and used in evaluation. Raises ShapeError for other shapes, ValueError for a single position.
    Ulyanov, Vedaldi & Lempitsky (2016), "Instance normalization: the missing ingredient for fast stylization".

    >>> import chainrule as cr
    >>> InstanceNorm1d(2)(cr.tensor([[[1.0, 3.0], [10.0, 30.0]]])).round().tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    layouts = {2: "(C, L)", 3: "(N, C, L)"}


class InstanceNorm2d(InstanceNorm):
    """Each channel of each sample of (N, C, H, W) or (C, H, W) normalised over its positions; see `InstanceNorm1d`.

    >>> import chainrule as cr
    >>> InstanceNorm2d(3, affine=True)(cr.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    layouts = {3: "(C, H, W)", 4: "(N, C, H, W)"}


class InstanceNorm3d(InstanceNorm):
    """Each channel of each sample of (N, C, D, H, W) or (C, D, H, W) normalised over its positions; see
    `InstanceNorm1d`.

    >>> import chainrule as cr
    >>> InstanceNorm3d(2)(cr.randn(2, 2, 2, 2)).shape
    (2, 2, 2, 2)
    """

    layouts = {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}


class LayerNorm(Affine):
    """Each sample by itself, over its last axes, whose sizes are `normalized_shape` (a number or a tuple).

    x (…, *normalized_shape); weight and bias (*normalized_shape), left out by `elementwise_affine=False`, the bias
    alone by `bias=False`. Raises ShapeError where the input does not end in that shape. Ba, Kiros & Hinton (2016),
    "Layer normalization".

    >>> import chainrule as cr
    >>> LayerNorm(2)(cr.tensor([[1.0, 3.0], [10.0, 30.0]])).round().tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        self.normalized_shape = sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """x (…, *normalized_shape), normalised over the last axes."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Affine):
    """x / √(mean(x²) + eps) · weight over the last axes, whose sizes are `normalized_shape`.

    `eps` None is the dtype's machine epsilon. x (…, *normalized_shape); weight (*normalized_shape), left out by
    `elementwise_affine=False`. Raises ShapeError where the input does not end in that shape. Zhang & Sennrich (2019),
    "Root mean square layer normalization".

    >>> import chainrule as cr
    >>> RMSNorm(2)(cr.tensor([3.0, -3.0]))
    tensor([ 1., -1.], grad_fn=<...>)
    """

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        self.normalized_shape = sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, False, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """x (…, *normalized_shape), divided by its root mean square."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Affine):
    """Each sample by itself, over groups of channels and all positions: x (N, num_channels, …).

    One group is a layer norm over channels and positions, as many groups as channels an instance norm. weight and bias
    (num_channels). Raises ValueError where num_groups does not divide num_channels, ShapeError for another number of
    channels. Wu & He (2018), "Group normalization".

    >>> import chainrule as cr
    >>> GroupNorm(2, 4)(cr.tensor([[1.0, 3.0, 10.0, 30.0]])).round().tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_parameters((num_channels,), affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, num_channels, …), each group normalised."""
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: the input has shape {input.shape}, it takes (N, C, …) with "
                             f"C = num_channels={self.num_channels}")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class LocalResponseNorm(Configured):
    """x_c / (k + alpha · mean of x² over the `size` channels around c)^beta; x (N, C, …), missing channels count as 0.

    Raises ShapeError for fewer than three axes, ValueError for size < 1. Krizhevsky, Sutskever & Hinton (2012),
    "ImageNet classification with deep convolutional neural networks".

    >>> import chainrule as cr
    >>> LocalResponseNorm(1, alpha=1.0, beta=0.5, k=0.0)(cr.tensor([[[2.0], [4.0]]])).tolist()
    [[[1.0], [1.0]]]
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, …), each element damped by its neighbours in other channels."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)


def sizes(normalized_shape: Any) -> tuple[int, ...]:
    """A number or a sequence of numbers as a tuple."""
    return tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
