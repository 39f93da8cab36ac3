"""Mistakes with convolution, pooling and images: the message names the function, the shapes and the likely fix."""

import re
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import DtypeError, ShapeError
from chainrule import functional as F
from chainrule.tensor import Tensor


def ones(*shape: int, dtype: Any = np.float32) -> Tensor:
    return Tensor(np.ones(shape, dtype))


MISTAKES = [
    # convolution
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 2, 3, 3)), ShapeError,
     r"conv2d: the input of shape \(1, 3, 5, 5\) has 3 channels, but a weight of shape \(4, 2, 3, 3\) with "
     r"groups=1 takes 2"),
    (lambda: F.conv2d(ones(1, 5, 5, 3), ones(4, 3, 3, 3)), ShapeError,
     r"the input's axes are \(batch, channels, ...\)"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3)), ShapeError,
     r"conv2d: the weight has shape \(4, 3, 3\), it must be \(output channels, input channels / groups, \*kernel\)"),
    (lambda: F.conv2d(ones(5, 5), ones(4, 3, 3, 3)), ShapeError,
     r"conv2d: the input has shape \(5, 5\), it must be \(batch, channels, height, width\) or .*unsqueeze"),
    (lambda: F.conv1d(ones(1, 3, 2), ones(4, 3, 3)), ShapeError,
     r"conv1d: a kernel of size \(3,\) .* does not fit into an input of spatial size \(2,\) .* smaller kernel "
     r"or more padding"),
    (lambda: F.conv2d(ones(1, 4, 5, 5), ones(4, 1, 3, 3), groups=3), ShapeError,
     "conv2d: groups=3 must be at least 1 and divide the 4 output channels"),
    (lambda: F.conv2d(ones(1, 4, 5, 5), ones(4, 1, 3, 3), groups=0), ShapeError, "groups=0 must be at least 1"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), ones(3)), ShapeError,
     r"conv2d: the bias has shape \(3,\), it must have one number for each of the 4 output channels"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), stride=0), ShapeError, "conv2d: stride=0 must be at least 1"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), padding=-1), ShapeError, "padding=-1 must be at least 0"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), stride=(1, 2, 3)), ShapeError,
     r"conv2d: stride=\(1, 2, 3\) has 3 entries, it needs one number or 2"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), stride=1.5), TypeError,
     "stride=1.5 must be an integer or a tuple of 2"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), stride=2, padding="same"), ValueError,
     r"conv2d: padding='same' keeps the size only at stride 1, not \(2, 2\)"),
    (lambda: F.conv2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3), padding="full"), ValueError,
     "padding='full' must be 'same', 'valid', an integer or a tuple of 2"),
    # transposed convolution
    (lambda: F.conv_transpose2d(ones(1, 3, 5, 5), ones(4, 3, 3, 3)), ShapeError,
     r"conv_transpose2d: .* has 3 channels, but a weight of shape \(4, 3, 3, 3\) takes 4: its first axis is "
     r"input channels"),
    (lambda: F.conv_transpose2d(ones(1, 4, 5, 5), ones(4, 3, 3, 3), stride=2, output_padding=2), ShapeError,
     r"conv_transpose2d: output_padding=2 must be smaller than the stride \(2, 2\) or the dilation"),
    (lambda: F.conv_transpose2d(ones(1, 4, 5, 5), ones(4, 3, 3, 3), groups=3), ShapeError,
     "divide the 4 input channels"),
    (lambda: F.conv_transpose1d(ones(1, 4, 1), ones(4, 3, 3), padding=2), ShapeError,
     r"conv_transpose1d: the output would have spatial size \(-1,\): padding=2 removes more than there is"),
    (lambda: F.conv_transpose1d(ones(1, 4, 0), ones(4, 3, 3)), ShapeError, "has a spatial axis without elements"),
    # pooling
    (lambda: F.max_pool2d(ones(1, 3, 5, 5), 2, padding=2), ShapeError,
     r"max_pool2d: padding=\(2, 2\) must be at most half of the kernel \(2, 2\)"),
    (lambda: F.max_pool2d(ones(1, 3, 5, 5), 6), ShapeError, r"max_pool2d: a kernel of size \(6, 6\) .* does not fit"),
    (lambda: F.max_pool1d(ones(1, 1, 1, 5), 2), ShapeError,
     r"max_pool1d: the input has shape \(1, 1, 1, 5\), it must be"),
    (lambda: F.max_pool1d(ones(1, 1, 1), 2, 1, 1, 2), ShapeError, r"sees nothing of an input of spatial size \(1,\)"),
    (lambda: F.avg_pool2d(ones(1, 3, 5, 5), 2, padding=2), ShapeError, "avg_pool2d: padding=.* at most half"),
    (lambda: F.avg_pool2d(ones(1, 3, 5, 5), 2, divisor_override=0), ValueError, "divisor_override must not be 0"),
    (lambda: F.avg_pool2d(ones(1, 3, 5, 5, dtype=np.int64), 2), DtypeError,
     r"avg_pool2d: the input is int64, .*\.float\(\)"),
    (lambda: F.adaptive_avg_pool2d(ones(1, 3, 5, 5), (2, 2, 2)), ShapeError, "output_size=.* has 3 entries"),
    (lambda: F.adaptive_avg_pool1d(ones(1, 3, 5, dtype=np.int64), 2), DtypeError, "the input is int64"),
    (lambda: F.adaptive_max_pool2d(ones(1, 3, 0, 5), 2), ShapeError, "has a spatial axis without elements"),
    (lambda: F.lp_pool2d(ones(1, 3, 5, 5), 0, 2), ValueError, "lp_pool2d: norm_type must not be 0"),
    (lambda: F.max_unpool2d(ones(1, 1, 2, 2), ones(1, 1, 2, 2), 2), DtypeError, "the indices are float32"),
    (lambda: F.max_unpool2d(ones(1, 1, 2, 2), ones(1, 1, 2, 1, dtype=np.int64), 2), ShapeError,
     r"the input has shape \(1, 1, 2, 2\) and the indices \(1, 1, 2, 1\), they must be equal"),
    (lambda: F.max_unpool1d(ones(1, 1, 2), ones(1, 1, 2, dtype=np.int64) * 4, 2), IndexError,
     r"max_unpool1d: index 4 is not in an output of spatial size \(4,\)"),
    (lambda: F.max_unpool1d(ones(1, 1, 2), ones(1, 1, 2, dtype=np.int64), 2, output_size=(7,)), ShapeError,
     r"output_size=\(7,\) is not one that pools to \(2,\)"),
    # images
    (lambda: F.unfold(ones(1, 1, 2, 2), 3), ShapeError, r"unfold: a kernel of size \(3, 3\) .* does not fit"),
    (lambda: F.fold(ones(1, 4, 3), (3, 3), 2), ShapeError,
     r"fold: the input has shape \(1, 4, 3\); .* must be \(batch, channels \* 4, 4\)"),
    (lambda: F.interpolate(ones(1, 1, 2, 2)), ValueError, "interpolate: pass either size or scale_factor"),
    (lambda: F.interpolate(ones(1, 1, 2), 4, mode="bilinear"), ShapeError,
     r"the input has shape \(1, 1, 2\); mode='bilinear' takes \(batch, channels\) and 2 spatial axes"),
    (lambda: F.interpolate(ones(1, 1, 2), 4, mode="lanczos"), ValueError, "mode='lanczos' must be one of nearest"),
    (lambda: F.interpolate(ones(1, 1, 2), 4, align_corners=True), ValueError,
     "align_corners is an option of the linear"),
    (lambda: F.interpolate(ones(1, 1, 2), scale_factor=0.4), ShapeError,
     r"leaves nothing of an input of spatial size \(2,\)"),
    (lambda: F.interpolate(ones(1, 1, 2), scale_factor=(1, 2)), ShapeError, "must be a positive number, or 1 of them"),
    (lambda: F.interpolate(ones(1, 1, 2), 4, recompute_scale_factor=True), ValueError, "needs a scale_factor"),
    (lambda: F.interpolate(ones(1, 1, 2, 2), 4, mode="bilinear", antialias=True), ValueError,
     "antialias=True is not offered"),
    (lambda: F.interpolate(ones(1, 1, 2, dtype=np.int64), 4), DtypeError, r"the input is int64, .*\.float\(\)"),
    (lambda: F.pixel_shuffle(ones(1, 3, 2, 2), 2), ShapeError, "has 3 channels, which must be a multiple of .* = 4"),
    (lambda: F.pixel_shuffle(ones(2, 2), 2), ShapeError, r"must end in \(channels, height, width\)"),
    (lambda: F.pixel_unshuffle(ones(1, 3, 3, 2), 2), ShapeError, "must be multiples of downscale_factor=2"),
    (lambda: F.pixel_unshuffle(ones(1, 3, 3, 2), 0), ValueError, "downscale_factor=0 must be an integer of at least 1"),
]


@pytest.mark.parametrize("mistake, kind, message", MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_message(mistake: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    assert re.search(message, str(caught.value)), caught.value


def test_indices_changed_before_backward_are_noticed() -> None:
    x = Tensor(np.arange(4.0).reshape(1, 1, 4), requires_grad=True)
    values, indices = F.max_pool1d(x, 2, return_indices=True)
    indices.zero_()
    with pytest.raises(cr.AutogradError, match="take_from_planes"):
        values.sum().backward()


def test_ties_and_nan_in_maxima() -> None:
    x = Tensor(np.array([[1.0, 1.0, np.nan, 2.0]]), requires_grad=True)
    out = F.max_pool1d(x, 2)
    out.backward(Tensor(np.array([[1.0, 10.0]])))
    np.testing.assert_array_equal(out.detach().numpy(), [[1.0, np.nan]])
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 0.0, 10.0, 0.0]])  # the first of equals; NaN is the largest


def test_overlapping_maxima_are_unpooled_once() -> None:
    x = Tensor(np.array([[0.0, 5.0, 0.0]]), requires_grad=True)
    pooled, indices = F.max_pool1d(x, 2, 1, return_indices=True)  # both windows find the 5
    out = F.max_unpool1d(pooled, indices, 2, 1)
    np.testing.assert_array_equal(out.detach().numpy(), [[0.0, 5.0, 0.0]])
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0.0, 1.0, 0.0]])


def test_resampling_keeps_infinity_where_it_is_seen() -> None:
    x = np.zeros((1, 1, 8))
    x[0, 0, 2] = np.inf
    for mode, expected in (("nearest", [4, 5]), ("linear", [3, 4, 5, 6])):
        out = F.interpolate(Tensor(x), scale_factor=2, mode=mode).numpy()
        assert np.flatnonzero(out[0, 0]).tolist() == expected and not np.isnan(out).any()
