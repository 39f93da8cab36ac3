"""Convolution and its two adjoints: a closed family of three bilinear maps, in any number of spatial dimensions.

    y[n, o, i] = sum over c, k of  weight[o, c, k] * x[n, c, i * stride - padding + k * dilation]

(x is zero outside; with groups, output channel o sees the input channels of its own group only). Each of the three maps
is linear in both of its arguments, and each one's derivatives are the other two: for all x, weight, y

    <convolution(x, weight), y>  ==  <x, convolution_transpose(y, weight)>  ==  <weight, convolution_weight(x, y)>

Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016. Here by columns ("im2col"): the windows
become the columns of a matrix, and each map is one matrix product (Chellapilla, Puri and Simard, 2006).
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.reference.windows import Sizes, accumulator, add_windows, gather_windows, output_size

__all__ = ["convolution", "convolution_transpose", "convolution_weight"]


def check_arguments(name: str, x_shape: Sizes, weight_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                    groups: int, y_shape: Sizes | None = None) -> tuple[int, ...]:
    """The spatial size of y; a ValueError where the shapes of x, weight and y (if it is given) do not fit together."""
    channels, outputs = x_shape[1], weight_shape[0]
    if groups < 1 or channels != weight_shape[1] * groups or outputs % groups:
        raise ValueError(f"{name}: {channels} input channels in {groups} groups do not fit a weight of shape "
                         f"{tuple(weight_shape)}, which is (output, input / groups, *kernel), output a multiple of groups")
    out = output_size(name, x_shape[2:], weight_shape[2:], stride, padding, dilation)
    expected = (x_shape[0], outputs, *out)
    if y_shape is not None and tuple(y_shape) != expected:
        raise ValueError(f"{name}: a y of shape {expected} belongs to an x of shape {tuple(x_shape)} and a weight of shape "
                         f"{tuple(weight_shape)}, not one of shape {tuple(y_shape)}")
    return out


def convolution(x: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """x (N, C, *S), weight (O, C / groups, *K) -> y (N, O, *out), out = (S + 2 padding - dilation (K - 1) - 1) // stride + 1.

    The dtype is that of x and weight together; float16 is added up in float32.
    ValueError where the channels do not fit together or the kernel does not fit into the padded input.

    >>> convolution(np.array([[[1., 2, 3, 4]]]), np.array([[[1., 10]]]), stride=(1,), padding=(0,), dilation=(1,), groups=1)
    array([[[21., 32., 43.]]])
    """
    batch = x.shape[0]
    outputs, inner, *kernel = weight.shape
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    dtype = np.result_type(x, weight)
    wide = accumulator(dtype)
    columns = gather_windows(x, kernel, stride, padding, dilation, out)            # (N, C, *K, *out)
    columns = columns.reshape(batch, groups, inner * prod(kernel), prod(out)).astype(wide, copy=False)
    rows = weight.reshape(groups, outputs // groups, inner * prod(kernel)).astype(wide, copy=False)
    y = rows @ columns                          # (G, O/G, C/G K) @ (N, G, C/G K, P) -> (N, G, O/G, P)
    return y.reshape(batch, outputs, *out).astype(dtype, copy=False)


def convolution_transpose(y: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                          size: Sizes) -> Any:
    """The adjoint in x: y (N, O, *out), weight (O, C / groups, *K) -> (N, C, *size), size being the spatial size of x.

    ValueError where y is not of the size that a convolution of an x of that size gives.

    >>> convolution_transpose(np.array([[[1., 0, 2]]]), np.array([[[1., 10]]]),
    ...                       stride=(1,), padding=(0,), dilation=(1,), groups=1, size=(4,))
    array([[[ 1., 10.,  2., 20.]]])
    """
    batch, outputs, *out = y.shape
    _, inner, *kernel = weight.shape
    check_arguments("convolution_transpose", (batch, inner * groups, *size), weight.shape, stride, padding, dilation,
                    groups, y.shape)
    dtype = np.result_type(y, weight)
    wide = accumulator(dtype)
    rows = weight.reshape(groups, outputs // groups, inner * prod(kernel)).astype(wide, copy=False)
    grouped = y.reshape(batch, groups, outputs // groups, prod(out)).astype(wide, copy=False)
    columns = rows.swapaxes(1, 2) @ grouped     # (G, C/G K, O/G) @ (N, G, O/G, P) -> (N, G, C/G K, P)
    x = add_windows(columns.reshape(batch, groups * inner, *kernel, *out), size, kernel, stride, padding, dilation)
    return x.astype(dtype, copy=False)


def convolution_weight(x: Any, y: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                       size: Sizes) -> Any:
    """The adjoint in the weight: x (N, C, *S), y (N, O, *out) -> (O, C / groups, *size), size being the kernel's.

    ValueError where y is not of the size that a convolution of x with a kernel of that size gives.

    >>> convolution_weight(np.array([[[1., 2, 3, 4]]]), np.array([[[1., 0, 2]]]),
    ...                    stride=(1,), padding=(0,), dilation=(1,), groups=1, size=(2,))
    array([[[ 7., 10.]]])
    """
    batch, outputs, *out = y.shape
    inner = x.shape[1] // max(groups, 1)
    check_arguments("convolution_weight", x.shape, (outputs, inner, *size), stride, padding, dilation, groups, y.shape)
    dtype = np.result_type(x, y)
    wide = accumulator(dtype)
    columns = gather_windows(x, size, stride, padding, dilation, out)
    columns = columns.reshape(batch, groups, inner * prod(size), prod(out)).astype(wide, copy=False)
    grouped = y.reshape(batch, groups, outputs // groups, prod(out)).astype(wide, copy=False)
    # (N, G, O/G, P) @ (N, G, P, C/G K) -> (N, G, O/G, C/G K), summed over N
    weight = (grouped @ columns.swapaxes(2, 3)).sum(0)
    return weight.reshape(outputs, inner, *size).astype(dtype, copy=False)
