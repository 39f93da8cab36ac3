"""Convolutions in one to three spatial dimensions, and their transposes, with torch.nn.functional's signatures.

What is called convolution is, as everywhere in deep learning, cross-correlation: the kernel is not mirrored. Dumoulin
and Visin, "A guide to convolution arithmetic for deep learning" (2016), draw every option.
"""

from typing import Any

from chainrule.errors import ShapeError
from chainrule.functional.windows import Sizes, batched, sizes_of, unbatched, windows
from chainrule.names import ops
from chainrule.ops.convolution import affine_convolution, convolution, convolution_transpose
from chainrule.tensor import Tensor

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _weight(op: str, weight: Any, rank: int, layout: str) -> Tensor:
    """The weight as a tensor; ShapeError where it has not `rank` + 2 axes, or a kernel without elements."""
    found: Tensor = ops.as_tensor(weight)
    if found.ndim != rank + 2 or 0 in found.shape[2:]:
        raise ShapeError(f"{op}: the weight has shape {found.shape}, it must be {layout} with {rank} kernel sizes "
                         "of at least 1")
    return found


def _groups(op: str, groups: int, name: str, channels: int) -> None:
    if groups < 1 or channels % groups:
        raise ShapeError(f"{op}: groups={groups} must be at least 1 and divide the {channels} {name} channels")


def _biased(op: str, output: Tensor, bias: Any, rank: int) -> Tensor:
    """output (N, O, *S) + bias (O,) over the channel axis."""
    if bias is None:
        return output
    found: Tensor = output + ops.reshape(_bias(op, bias, output.shape[1]), (-1, *(1,) * rank))
    return found


def _bias(op: str, bias: Any, channels: int) -> Tensor:
    """The bias as a tensor; ShapeError where it is not of shape (channels,)."""
    found: Tensor = ops.as_tensor(bias)
    if found.shape != (channels,):
        raise ShapeError(f"{op}: the bias has shape {found.shape}, it must have one number for each of the {channels} output "
                         f"channels: ({channels},)")
    return found


def _padding(op: str, padding: Any, rank: int, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Sizes, Sizes]:
    """The padding of both sides, and how much less than that it is at each axis' start ("same" with an even kernel)."""
    if not isinstance(padding, str):
        return sizes_of(op, "padding", padding, rank, 0), (0,) * rank
    if padding == "valid":
        return (0,) * rank, (0,) * rank
    if padding != "same":
        raise ValueError(f"{op}: padding={padding!r} must be 'same', 'valid', an integer or a tuple of {rank} integers")
    if any(s != 1 for s in stride):
        raise ValueError(f"{op}: padding='same' keeps the size only at stride 1, not {stride}; pass the padding in "
                         "numbers")
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel))
    return tuple(-(-t // 2) for t in total), tuple(t % 2 for t in total)


def _convolve(op: str, rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
              groups: int) -> Tensor:
    """The convolution of all ranks."""
    input, keep = batched(op, input, rank)
    weight = _weight(op, weight, rank, "(output channels, input channels / groups, *kernel)")
    stride, dilation = sizes_of(op, "stride", stride, rank, 1), sizes_of(op, "dilation", dilation, rank, 1)
    kernel = weight.shape[2:]
    pads, skipped = _padding(op, padding, rank, kernel, stride, dilation)
    _groups(op, groups, "output", weight.shape[0])
    if input.shape[1] != weight.shape[1] * groups:
        raise ShapeError(f"{op}: the input of shape {input.shape} has {input.shape[1]} channels, but a weight of shape "
                         f"{weight.shape} with groups={groups} takes {weight.shape[1] * groups}; the input's axes are "
                         "(batch, channels, ...), and the weight's second is input channels / groups")
    windows(op, input.shape[2:], kernel, stride, pads, dilation)
    if bias is not None and not any(skipped):
        output = affine_convolution(input, weight, _bias(op, bias, weight.shape[0]), stride=stride, padding=pads,
                                    dilation=dilation, groups=groups)
        return unbatched(output, keep)
    output = convolution(input, weight, stride=stride, padding=pads, dilation=dilation, groups=groups)
    if any(skipped):  # padded alike on both sides, the first window is one too many: it starts before the asked padding
        output = ops.getitem(output, (..., *(slice(n, None) for n in skipped)))
    return unbatched(_biased(op, output, bias, rank), keep)


def _transpose(op: str, rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
               groups: int, dilation: Any) -> Tensor:
    """The transposed convolution of all ranks."""
    input, keep = batched(op, input, rank)
    weight = _weight(op, weight, rank, "(input channels, output channels / groups, *kernel)")
    stride, dilation = sizes_of(op, "stride", stride, rank, 1), sizes_of(op, "dilation", dilation, rank, 1)
    pads, extra = sizes_of(op, "padding", padding, rank, 0), sizes_of(op, "output_padding", output_padding, rank, 0)
    _groups(op, groups, "input", weight.shape[0])
    if input.shape[1] != weight.shape[0]:
        raise ShapeError(f"{op}: the input of shape {input.shape} has {input.shape[1]} channels, but a weight of shape "
                         f"{weight.shape} takes {weight.shape[0]}: its first axis is input channels, its second output "
                         "channels / groups (the reverse of a convolution's)")
    for e, s, d in zip(extra, stride, dilation):
        if e >= max(s, d):
            raise ShapeError(f"{op}: output_padding={output_padding} must be smaller than the stride {stride} or "
                             f"the dilation {dilation} along every axis; it chooses among the sizes that a convolution "
                             "maps to the input's")
    spatial = input.shape[2:]
    if 0 in spatial:
        raise ShapeError(f"{op}: the input of shape {input.shape} has a spatial axis without elements")
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e
                 for n, s, p, d, k, e in zip(spatial, stride, pads, dilation, weight.shape[2:], extra))
    if any(n < 1 for n in size):
        raise ShapeError(f"{op}: the output would have spatial size {size}: padding={padding} removes more than there "
                         f"is for an input of shape {input.shape} and a weight of shape {weight.shape}")
    full = tuple(n + e // s for n, s, e in zip(spatial, stride, extra))
    if full != spatial:  # as many windows as there are at that size; the further ones add nothing
        input = ops.getitem_adjoint(input, index=(..., *(slice(n) for n in spatial)), shape=(*input.shape[:2], *full))
    output = convolution_transpose(input, weight, stride=stride, padding=pads, dilation=dilation, groups=groups,
                                   size=size)
    return unbatched(_biased(op, output, bias, rank), keep)


def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Tensor:
    """Convolution along one axis:

        out[n, o, i] = bias[o] + Σ_{c, k} weight[o, c, k] input[n, c, i · stride - padding + k · dilation]

    input (N, C, L) or (C, L), zero outside; weight (O, C / groups, K); bias (O,) or None. `padding` is a number, or
    "valid" (none), or "same" (the output is as long as the input, with stride 1). With groups, output channel o sees
    the input channels of its own group only. Returns (N, O, (L + 2 padding - dilation (K - 1) - 1) // stride + 1).
    Raises ShapeError where channels, groups or sizes do not fit.

    >>> import chainrule as cr
    >>> conv1d(cr.tensor([[1.0, 2.0, 3.0, 4.0]]), cr.tensor([[[1.0, 10.0]]]))
    tensor([[21., 32., 43.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Tensor:
    """Convolution of images: as `conv1d`, along two axes.

    input (N, C, H, W) or (C, H, W); weight (O, C / groups, KH, KW); bias (O,) or None. stride, padding and dilation are
    one number, or one for each of height and width. Returns (N, O, OH, OW). Raises ShapeError where channels, groups or
    sizes do not fit.

    >>> import chainrule as cr
    >>> conv2d(cr.ones(1, 1, 3, 3), cr.ones(1, 1, 2, 2), bias=cr.tensor([0.5]))
    tensor([[[[4.5, 4.5],
              [4.5, 4.5]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Tensor:
    """Convolution of volumes: as `conv1d`, along three axes.

    input (N, C, D, H, W) or (C, D, H, W); weight (O, C / groups, KD, KH, KW); bias (O,) or None. Returns
    (N, O, OD, OH, OW). Raises ShapeError where channels, groups or sizes do not fit.

    >>> import chainrule as cr
    >>> conv3d(cr.ones(1, 2, 2, 2), cr.ones(1, 1, 2, 2, 2))
    tensor([[[[8.]]]])
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Tensor:
    """The transpose of `conv1d`: each input element adds its multiple of the kernel, every `stride` places.

    input (N, C, L) or (C, L); weight (C, O / groups, K), the axes of the convolution that it transposes; bias (O,) or
    None. Returns (N, O, (L - 1) stride - 2 padding + dilation (K - 1) + 1 + output_padding): `output_padding` chooses
    among the sizes that the convolution maps to L. It is the adjoint, not the inverse (Zeiler et al., "Deconvolutional
    networks", 2010). Raises ShapeError where channels, groups or sizes do not fit.

    >>> import chainrule as cr
    >>> conv_transpose1d(cr.tensor([[1.0, 2.0]]), cr.tensor([[[1.0, 10.0]]]), stride=2, output_padding=1)
    tensor([[ 1., 10.,  2., 20.,  0.]])
    """
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Tensor:
    """The transpose of `conv2d`: as `conv_transpose1d`, along two axes.

    input (N, C, H, W) or (C, H, W); weight (C, O / groups, KH, KW); bias (O,) or None. Returns (N, O, OH, OW).
    Raises ShapeError where channels, groups or sizes do not fit.

    >>> import chainrule as cr
    >>> conv_transpose2d(cr.ones(1, 1, 2), cr.ones(1, 1, 2, 2))
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Tensor:
    """The transpose of `conv3d`: as `conv_transpose1d`, along three axes.

    input (N, C, D, H, W) or (C, D, H, W); weight (C, O / groups, KD, KH, KW); bias (O,) or None. Returns
    (N, O, OD, OH, OW). Raises ShapeError where channels, groups or sizes do not fit.

    >>> import chainrule as cr
    >>> conv_transpose3d(cr.ones(1, 1, 1, 2), cr.ones(1, 1, 1, 1, 2))
    tensor([[[[1., 2., 1.]]]])
    """
    return _transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)
