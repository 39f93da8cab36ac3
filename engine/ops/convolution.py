"""Convolution: a closed family of three bilinear rows, each one's derivatives being the other two.

    <convolution(x, weight), y>  ==  <x, convolution_transpose(y, weight)>  ==  <weight, convolution_weight(x, y)>

so that derivatives of any order never leave the family. The rows take normalised arguments, a tuple with a number for
each spatial axis; `chainrule.functional` has the functions for users. chainrule.kernels.reference.convolution states
what the three maps compute.

>>> import chainrule as cr
>>> x, weight = cr.tensor([[[1.0, 2.0, 3.0]]]), cr.tensor([[[1.0, 10.0]]])
>>> convolution(x, weight, stride=(1,), padding=(0,), dilation=(1,), groups=1)
tensor([[[21., 32.]]])
"""

from typing import Any

from chainrule.fused import fused, register
from chainrule.graph import Op

__all__: list[str] = []

# input (N, C, *S), weight (O, C / groups, *K) -> (N, O, *out)
convolution = Op(
    "convolution", "Cross-correlation of the input with the weight, in any number of spatial axes.", word="bilinear",
    input=lambda xp, g, weight, input_shape, stride, padding, dilation, groups: xp.convolution_transpose(
        g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups, size=input_shape[2:]),
    weight=lambda xp, g, input, weight_shape, stride, padding, dilation, groups: xp.convolution_weight(
        input, g, stride=stride, padding=padding, dilation=dilation, groups=groups, size=weight_shape[2:]))

# input (N, O, *out), weight (O, C / groups, *K) -> (N, C, *size)
convolution_transpose = Op(
    "convolution_transpose", "The adjoint of convolution in its input: every input element adds a weighted kernel.",
    word="bilinear",
    input=lambda xp, g, weight, stride, padding, dilation, groups: xp.convolution(
        g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups),
    weight=lambda xp, g, input, weight_shape, stride, padding, dilation, groups: xp.convolution_weight(
        g, input, stride=stride, padding=padding, dilation=dilation, groups=groups, size=weight_shape[2:]))

# input (N, C, *S), output (N, O, *out) -> (O, C / groups, *size)
convolution_weight = Op(
    "convolution_weight", "The adjoint of convolution in its weight: how each kernel element pairs input and output.",
    word="bilinear",
    input=lambda xp, g, output, input_shape, stride, padding, dilation, groups: xp.convolution_transpose(
        output, g, stride=stride, padding=padding, dilation=dilation, groups=groups, size=input_shape[2:]),
    output=lambda xp, g, input, stride, padding, dilation, groups: xp.convolution(
        input, g, stride=stride, padding=padding, dilation=dilation, groups=groups))


@register
@fused
def affine_convolution(xp: Any, x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """convolution of x (N, C, *S) with weight (O, C / groups, *K), + bias (O,) over the channel axis."""
    out = xp.convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return out + xp.reshape(bias, (-1, *(1,) * len(stride)))
