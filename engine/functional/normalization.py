"""Normalization, with torch.nn.functional's signatures. The mathematics stands in `ops/normalization.py`."""

from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functional.activations import floating
from chainrule.graph import no_grad
from chainrule.names import ops
from chainrule.ops import normalization as rows
from chainrule.ops.devices import constant
from chainrule.ops.half import narrow
from chainrule.state import state
from chainrule.tensor import Tensor

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


def _channels(op: str, given: Any, **arguments: Any) -> Tensor:
    """The input (N, C, ...), once each argument that is not None has shape (C,)."""
    input = floating(op, given)
    if input.ndim < 2:
        raise ShapeError(f"{op}: the input has shape {input.shape}, it needs at least two axes, (N, C, ...)")
    for name, value in arguments.items():
        if value is not None and tuple(value.shape) != (input.shape[1],):
            raise ShapeError(f"{op}: {name} has shape {tuple(value.shape)}, the input of shape {input.shape} has "
                             f"{input.shape[1]} channels (axis 1), so it needs ({input.shape[1]},)")
    return input


def _follow(running: Tensor | None, value: Tensor, momentum: float, scale: float = 1.0) -> None:
    """running = (1 - momentum) running + momentum scale value, in place; not while a checkpoint computes a second time."""
    if running is not None and not state.recomputing:
        with no_grad():
            value = value if scale == 1 else value * scale
            ops.write_into(running, (running * (1 - momentum) + value * momentum).to(running.dtype))


def _statistics(op: str, running_mean: Any, running_var: Any) -> None:
    if running_mean is None or running_var is None:
        raise ValueError(f"{op}: running_mean and running_var are needed where the input's own statistics are not used")


def _by_running(input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None,
                eps: float) -> Tensor:
    """(input - mean) / sqrt(var + eps) * weight + bias with given statistics."""
    found: Tensor = rows.batch_norm_by_running(input, mean, var, weight, bias, eps=float(eps))
    return found


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor:
    """Normalise each channel: out = (input - mean) / √(var + eps) · weight + bias.

    input (N, C, ...); the rest (C,) or None. In training, mean and (biased) variance are the batch's, over N and all
    positions, and the running statistics, unless None, move towards them in place: running = (1 - momentum) running +
    momentum · batch's, the variance the unbiased one. Otherwise the running statistics are used.

    Raises ShapeError for shapes that do not fit, ValueError for a single value per channel in training, or where
    running statistics are needed and None. Ioffe & Szegedy (2015), "Batch normalization: accelerating deep network
    training by reducing internal covariate shift".

    >>> import chainrule as cr
    >>> batch_norm(cr.tensor([[1.0, 10.0], [3.0, 30.0]]), None, None, training=True)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    input = _channels("batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training:
        _statistics("batch_norm", running_mean, running_var)
        assert running_mean is not None and running_var is not None
        return _by_running(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // max(input.shape[1], 1)
    if count == 1:
        raise ValueError(f"batch_norm: an input of shape {input.shape} has a single value per channel, whose variance "
                         "is 0; "
                         "train with larger batches, or pass training=False")
    out: Tensor
    out, mean, variance = rows.batch_norm(input, weight, bias, eps=float(eps))
    _follow(running_mean, mean, momentum)
    _follow(running_var, variance, momentum, count / max(count - 1, 1))
    return out


def instance_norm(input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
                  weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-05) -> Tensor:
    """Normalise each channel of each sample over its positions; input (N, C, positions...), the rest (C,) or None.

    With `use_input_stats` False the running statistics are used; else those given move towards the samples' average in
    place. Raises ShapeError for shapes that do not fit, ValueError for a single position. Ulyanov, Vedaldi & Lempitsky
    (2016), "Instance normalization: the missing ingredient for fast stylization".

    >>> import chainrule as cr
    >>> instance_norm(cr.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    input = _channels("instance_norm", input, running_mean=running_mean, running_var=running_var, weight=weight,
                      bias=bias)
    if not use_input_stats:
        _statistics("instance_norm", running_mean, running_var)
        assert running_mean is not None and running_var is not None
        return _by_running(input, running_mean, running_var, weight, bias, eps)
    n, channels, *positions = input.shape
    size = input.numel() // max(n * channels, 1)
    if size == 1:
        raise ValueError(f"instance_norm: an input of shape {input.shape} has a single position per channel, whose "
                         "variance "
                         "is 0; it needs more")
    if running_mean is None and running_var is None:
        found: Tensor = rows.group_norm(input, weight, bias, num_groups=channels, eps=float(eps))
        return found
    # every channel of every sample is a channel of one batch norm
    out, mean, variance = rows.batch_norm(ops.reshape(input, (1, n * channels, *positions)), None, None, eps=float(eps))
    with no_grad():
        mean, variance = (ops.mean(ops.reshape(t, (n, channels)), 0) for t in (mean, variance))
    _follow(running_mean, mean, momentum)
    _follow(running_var, variance, momentum, size / max(size - 1, 1))
    out = rows.affine(ops, ops.reshape(out, input.shape), weight, bias, (channels,) + (1,) * len(positions))
    result: Tensor = narrow(ops, out, input.dtype)
    return result


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-05) -> Tensor:
    """Normalise each group of channels of each sample, over its channels and positions; input (N, C, ...), weight (C,).

    Raises ShapeError for shapes that do not fit, ValueError where num_groups does not divide the channels. Wu & He
    (2018), "Group normalization".

    >>> import chainrule as cr
    >>> group_norm(cr.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    input = _channels("group_norm", input, weight=weight, bias=bias)
    if num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(f"group_norm: {input.shape[1]} channels (axis 1 of {input.shape}) cannot be cut into "
                         f"{num_groups} "
                         "groups of one size")
    found: Tensor = rows.group_norm(input, weight, bias, num_groups=num_groups, eps=float(eps))
    return found


def _features(op: str, input: Any, normalized_shape: Any, **arguments: Any) -> tuple[Tensor, tuple[int, ...]]:
    """The input and normalized_shape as a tuple, once the input, weight and bias fit to it."""
    input = floating(op, input)
    shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    if not shape or input.shape[-len(shape):] != shape:
        raise ShapeError(f"{op}: the input of shape {input.shape} does not end in normalized_shape={shape}")
    for name, value in arguments.items():
        if value is not None and tuple(value.shape) != shape:
            raise ShapeError(f"{op}: {name} has shape {tuple(value.shape)}, it needs normalized_shape={shape}")
    return input, shape


def layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-05) -> Tensor:
    """Normalise over the last axes, whose sizes are `normalized_shape` (a tuple or one number); weight and bias of that
    shape, or None.

    Raises ShapeError for shapes that do not fit. Ba, Kiros & Hinton (2016), "Layer normalization".

    >>> import chainrule as cr
    >>> layer_norm(cr.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,))
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    input, shape = _features("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    found: Tensor = rows.layer_norm(input, weight, bias, normalized_shape=shape, eps=float(eps))
    return found


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """input / √(mean(input²) + eps) · weight over the last axes, whose sizes are `normalized_shape`.

    eps None is the dtype's machine epsilon. Raises ShapeError for shapes that do not fit. Zhang & Sennrich (2019),
    "Root mean square layer normalization".

    >>> import chainrule as cr
    >>> rms_norm(cr.tensor([3.0, -3.0]), 2)
    tensor([ 1., -1.])
    """
    input, shape = _features("rms_norm", input, normalized_shape, weight=weight)
    small = float(np.finfo(input.dtype).eps) if eps is None else float(eps)
    found: Tensor = rows.rms_norm(input, weight, normalized_shape=shape, eps=small)
    return found


def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """out_c = input_c / (k + alpha · mean of input² over the `size` channels around c)^beta; missing channels count as
    0.

    input (N, C, ...). Raises ShapeError for fewer axes, ValueError for size < 1. Krizhevsky, Sutskever & Hinton (2012),
    "ImageNet classification with deep convolutional neural networks".

    >>> import chainrule as cr
    >>> local_response_norm(cr.tensor([[[2.0], [4.0]]]), 1, alpha=1.0, beta=0.5, k=0.0)
    tensor([[[1.],
             [1.]]])
    """
    input = floating("local_response_norm", input)
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: the input has shape {input.shape}, it needs (N, C, positions...)")
    if size < 1:
        raise ValueError(f"local_response_norm: size={size} must be at least 1")
    n, channels = input.shape[:2]
    # sums over neighbours as a product with a band of ones: channel c sees c - size//2 … c + (size-1)//2
    offset = np.arange(channels) - np.arange(channels)[:, None]
    near = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
    band = constant(near.astype(input.dtype) * (alpha / size), input)
    squares = ops.reshape(ops.square(input), (n, channels, int(np.prod(input.shape[2:]))))
    found: Tensor = input / (ops.reshape(ops.matmul(band, squares), input.shape) + k) ** beta
    return found
