"""Convolution and its two adjoints in one and two dimensions, each by the method that is quickest for its shape.

The three maps are those of the reference (`chainrule.kernels.reference.convolution` states what they compute).

- **pointwise.py**: matrix products, for 1 × 1 kernels with stride 1.
- **depthwise.py**: a kernel for each channel.
- **winograd.py**: the convolution and both adjoints, for 3 × 3 kernels where `suits_winograd` says so; where its result is not
  finite, the next one decides what it is.
- **direct.py**: all else, among it groups, one dimension, strides and dilations.
- **The reference**: three dimensions, dtypes other than float32 and float64, tiny sizes, and what is not finite.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu import memory
from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.depthwise import depthwise, depthwise_adjoint, depthwise_weight, suits_depthwise
from chainrule.kernels.cpu.direct import correlate, forward, transpose
from chainrule.kernels.cpu.planes import is_plane, pair, plane
from chainrule.kernels.cpu.pointwise import pointwise, pointwise_weight, suits_pointwise
from chainrule.kernels.cpu.winograd import lanes, winograd, winograd_weight
from chainrule.kernels.reference.convolution import check_arguments
from chainrule.kernels.reference.windows import Sizes

# Fewer multiplications than this are left to NumPy, so that tiny arrays (a gradient check's) compile nothing.
SMALLEST = 1 << 14
# From this many on, threads share the work.
SHARED = 1 << 18
# From this many on, a 3 × 3 convolution may go by winograd.py, whose compilation takes seconds.
WIDE = 1 << 25

NO_BIAS = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def _declines(first: Any, second: Any, work: int) -> bool:
    """Whether the reference is to do it, for the arrays' kind or because there are few multiplications."""
    return not is_plane(first) or first.dtype != second.dtype or work < SMALLEST


def suits_winograd(weight: Sizes, stride: Sizes, dilation: Sizes, groups: int, dtype: Any, work: int) -> bool:
    """Whether a convolution by a weight (O, C, KH, KW), and its adjoints, are quicker that way.

    Transforming costs as much as the input and the output have channels, multiplying as much as their product: C O / (C + O) says
    whether it is worth it. Measured with one thread, float32, AVX-512 (16 lanes), (N, C, H, O): milliseconds by winograd.py and
    by direct.py, of the convolution and of the adjoint in the weight.

        (32, 16, 32, 16)    0.53  0.73   0.43  0.75      (64, 8, 32, 32)    1.28  1.45   1.40  1.54
        (32, 32, 16, 32)    0.28  0.77   0.33  0.85      (64, 12, 32, 12)   0.82  1.11   0.83  1.17
        (32, 64, 8, 64)     0.29  1.05   0.29  1.14      (64, 8, 32, 16)    0.82  0.78   0.86  0.79
        (32, 64, 32, 64)    3.58 10.52   4.34 11.25      (64, 3, 32, 64)    2.18  1.63   3.22  1.67
        (1, 64, 112, 64)    1.35  3.72   1.57  8.96      (64, 4, 32, 16)    0.74  0.44   0.80  0.45
    """
    if work < WIDE or weight[2:] != (3, 3) or {*stride, *dilation} != {1} or groups > 1 or lanes(dtype) < 4:
        return False
    outputs, channels = weight[:2]
    return channels * outputs >= 6 * (channels + outputs)


def _convolve(x: Any, weight: Any, bias: Any, out: Sizes, work: int, stride: Sizes, padding: Sizes, dilation: Sizes,
              groups: int) -> Any:
    """The convolution + bias (O,), if that has elements."""
    shape = (x.shape[0], weight.shape[0], *pair(1, out))
    y = memory.empty((*shape[:2], *out), x.dtype)
    x, weight, target, serial = plane(x), plane(weight), y.reshape(shape), work < SHARED
    if suits_pointwise(shape, weight.shape, stride, padding, groups, x.shape[1], shape[1]):
        pointwise(x, weight, bias, target, False, serial)
    elif suits_depthwise(x.shape[1], weight.shape, stride, groups):
        depthwise(x, weight, bias, target, pair(1, stride), pair(0, padding), pair(1, dilation), serial)
    elif not (suits_winograd(weight.shape, stride, dilation, groups, x.dtype, work)
              and winograd(x, weight, bias, target, pair(0, padding), False, serial)):
        forward(x, weight, bias, target, pair(1, stride), pair(0, padding), pair(1, dilation), int(groups), serial)
    return y


def convolution(x: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """x (N, C, *S), weight (O, C / groups, *K) -> (N, O, *out); see the reference.

    >>> convolution(np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1)
    array([[[2., 2.]]])
    """
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    work = x.shape[0] * weight.size * prod(out)
    if _declines(x, weight, work):
        return reference.convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return _convolve(x, weight, NO_BIAS[x.dtype], out, work, stride, padding, dilation, groups)


def convolution_transpose(y: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                          size: Sizes) -> Any:
    """The adjoint in x: y (N, O, *out), weight (O, C / groups, *K) -> (N, C, *size); see the reference.

    >>> convolution_transpose(np.ones((1, 1, 2)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1,
    ...                       size=(5,))
    array([[[1., 1., 1., 1., 0.]]])
    """
    outputs, inner = weight.shape[:2]
    shape = (y.shape[0], inner * groups, *size)
    check_arguments("convolution_transpose", shape, weight.shape, stride, padding, dilation, groups, y.shape)
    work = y.size * prod(weight.shape[1:])
    if not _declines(y, weight, work):
        x = memory.empty(shape, y.dtype)
        g, kernel, target = plane(y), plane(weight), x.reshape(*shape[:2], *pair(1, size))
        bias, before, serial = NO_BIAS[y.dtype], pair(0, padding), work < SHARED
        if suits_pointwise(shape, weight.shape, stride, padding, groups, outputs, inner):
            pointwise(g, kernel, bias, target, True, serial)
            return x
        if (suits_depthwise(shape[1], weight.shape, stride, groups)
                and depthwise_adjoint(g, kernel, bias, target, pair(1, stride), before, pair(1, dilation), serial)):
            return x
        if (max(before) <= 2 and suits_winograd(weight.shape, stride, dilation, groups, y.dtype, work)
                and winograd(g, kernel, bias, target, (2 - before[0], 2 - before[1]), True, serial)):
            return x
        if transpose(g, kernel, bias, target, pair(1, stride), before, pair(1, dilation), int(groups), serial):
            return x
    return reference.convolution_transpose(y, weight, stride=stride, padding=padding, dilation=dilation, groups=groups, size=size)


def convolution_weight(x: Any, y: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                       size: Sizes) -> Any:
    """The adjoint in the weight: x (N, C, *S), y (N, O, *out) -> (O, C / groups, *size); see the reference.

    >>> convolution_weight(np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=(0,), dilation=(1,), groups=1,
    ...                    size=(2,))
    array([[[2., 2.]]])
    """
    return _weight_and_sums(x, y, stride, padding, dilation, groups, size, False)[0]


def _weight_and_sums(x: Any, y: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, size: Sizes,
                     sums: bool) -> tuple[Any, Any]:
    """The adjoint in the weight, and if asked y's sums (O,)."""
    inner = x.shape[1] // max(1, groups)
    shape = (y.shape[1], inner, *size)
    check_arguments("convolution_weight", x.shape, shape, stride, padding, dilation, groups, y.shape)
    work = y.size * prod(shape[1:])
    if not _declines(x, y, work):
        given, g, before, serial = plane(x), plane(y), pair(0, padding), work < SHARED
        if suits_pointwise(x.shape, shape, stride, padding, groups, y.size // y.shape[1], shape[0]):
            weight, total = pointwise_weight(given, g, sums, serial)
            return weight.reshape(shape), total
        if suits_winograd(shape, stride, dilation, groups, x.dtype, work):
            weight, total = winograd_weight(given, g, before, sums, serial)
            if np.isfinite(weight).all():
                return weight, total
        geometry = pair(1, size), pair(1, stride), before, pair(1, dilation)
        if suits_depthwise(x.shape[1], shape, stride, groups):
            weight, total = depthwise_weight(given, g, *geometry, sums, serial)
        else:
            weight, total = correlate(given, g, *geometry, int(groups), sums, serial)
        # positions between the rows, of gradient zero, see elements that no window there covers: an infinity would spread
        if np.isfinite(weight).all():
            return weight.reshape(shape), total
    weight = reference.convolution_weight(x, y, stride=stride, padding=padding, dilation=dilation, groups=groups, size=size)
    return weight, _sums(y) if sums else None


def _sums(y: Any) -> Any:
    """(N, O, *out) -> (O,)."""
    return y.sum((0, *range(2, y.ndim)))


def affine_convolution(x: Any, weight: Any, bias: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """convolution + bias (O,), with the bits of the two one after the other.

    >>> affine_convolution(np.ones((1, 8, 64)), np.ones((32, 8, 1)), np.full(32, 0.5), stride=(1,), padding=(0,),
    ...                    dilation=(1,), groups=1)[0, 0, :2]
    array([8.5, 8.5])
    """
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    work = x.shape[0] * weight.size * prod(out)
    if _declines(x, weight, work):
        return NotImplemented
    return _convolve(x, weight, plain(bias), out, work, stride, padding, dilation, groups)


def affine_convolution_grad(g: Any, x: Any, weight: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                            wanted: tuple[bool, bool, bool]) -> Any:
    """The gradients (x, weight, bias) of <g, affine_convolution(x, weight, bias)>; None where not wanted.

    >>> g, x, weight = np.ones((1, 1, 3)), np.ones((1, 1, 3)), np.ones((1, 1, 1))
    >>> affine_convolution_grad(g, x, weight, (1,), (0,), (1,), 1, (False, True, True))
    (None, array([[[3.]]]), array([3.]))
    """
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    in_x = convolution_transpose(g, weight, **settings, size=x.shape[2:]) if wanted[0] else None
    if wanted[1]:
        return (in_x, *_weight_and_sums(x, g, **settings, size=weight.shape[2:], sums=wanted[2]))
    return in_x, None, _sums(g) if wanted[2] else None
