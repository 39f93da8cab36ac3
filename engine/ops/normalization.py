"""Normalization: definitions of the fused ops. All subtract a mean, divide by a standard deviation, and map affinely.

With mean and variance (the biased one, dividing by the number of elements) taken over some axes,

    x̂ = (x - mean) / √(variance + eps),     out = x̂ · weight + bias.

The methods differ in the axes: batch norm takes the batch and the positions, layer norm the features, group norm a
group of channels and the positions. weight and bias may be None.
"""

import math
from typing import Any

from chainrule.fused import fused, register
from chainrule.ops.half import narrow, widen

__all__: list[str] = []


def standardised(xp: Any, x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """(x - mean) / sqrt(variance + eps) over the axes, and the mean and variance, with those axes of size 1."""
    mean = xp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = xp.mean(xp.square(centred), axis=axes, keepdims=True)
    return centred / xp.sqrt(variance + eps), mean, variance


def affine(xp: Any, x: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    """x * weight + bias, both seen in `shape`, either None."""
    if weight is not None:
        x = x * xp.reshape(weight, shape)
    return x if bias is None else x + xp.reshape(bias, shape)


@register
@fused
def layer_norm(xp: Any, input: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """Each sample by itself, over the last axes, whose sizes are `normalized_shape`; weight and bias have that shape.

    Ba, Kiros & Hinton (2016), "Layer normalization".
    """
    axes = tuple(range(len(input.shape) - len(normalized_shape), len(input.shape)))
    out, _, _ = standardised(xp, widen(xp, input), axes, eps)
    return narrow(xp, affine(xp, out, weight, bias, normalized_shape), input.dtype)


@register
@fused
def rms_norm(xp: Any, input: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """input / √(mean(input²) + eps) · weight over the last axes: a layer norm without the mean.

    Zhang & Sennrich (2019), "Root mean square layer normalization".
    """
    axes = tuple(range(len(input.shape) - len(normalized_shape), len(input.shape)))
    x = widen(xp, input)
    out = x / xp.sqrt(xp.mean(xp.square(x), axis=axes, keepdims=True) + eps)
    return narrow(xp, affine(xp, out, weight, None, normalized_shape), input.dtype)


@register
@fused
def group_norm(xp: Any, input: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    """Each sample by itself, over a group of channels and all positions; input (N, C, ...), weight and bias (C,).

    Wu & He (2018), "Group normalization".
    """
    n, channels, *positions = input.shape
    size = channels // num_groups * math.prod(positions)
    grouped = xp.reshape(widen(xp, input), (n, num_groups, size))
    out, _, _ = standardised(xp, grouped, (2,), eps)
    out = xp.reshape(out, input.shape)
    return narrow(xp, affine(xp, out, weight, bias, (channels,) + (1,) * len(positions)), input.dtype)


@register
@fused(outputs=3)  # type: ignore[untyped-decorator]
def batch_norm(xp: Any, input: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Each channel by itself, over the batch and all positions; input (N, C, ...), weight and bias (C,).

    Returns the result, and the mean and the (biased) variance of every channel, (C,), for running statistics.
    Ioffe & Szegedy (2015), "Batch normalization".
    """
    axes = (0, *range(2, len(input.shape)))
    channels = input.shape[1]
    out, mean, variance = standardised(xp, widen(xp, input), axes, eps)
    out = affine(xp, out, weight, bias, (channels,) + (1,) * (len(input.shape) - 2))
    return narrow(xp, out, input.dtype), xp.reshape(mean, (channels,)), xp.reshape(variance, (channels,))


@register
@fused
def batch_norm_by_running(xp: Any, input: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Batch norm with given statistics, as evaluation does: input (N, C, ...), the rest (C,), weight and bias maybe None.

    One multiplication and one addition: the factors are made of the statistics first.
    """
    scale = 1 / xp.sqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (input.shape[1],) + (1,) * (len(input.shape) - 2)
    return narrow(xp, input * xp.reshape(scale, shape) + xp.reshape(shift, shape), input.dtype)
