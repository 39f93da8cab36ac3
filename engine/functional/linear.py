"""Linear and bilinear maps, with torch.nn.functional's signatures."""

from chainrule.errors import ShapeError
from chainrule.functional.activations import floating
from chainrule.names import ops
from chainrule.ops import linear as rows
from chainrule.tensor import Tensor

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.mT + bias: input (..., in), weight (out, in), bias (out,) give (..., out).

    A weight of shape (in,) gives (...,) (then the bias is a single number). Raises ShapeError where the sizes differ.

    >>> import chainrule as cr
    >>> linear(cr.tensor([[1.0, 2.0]]), cr.tensor([[1.0, 0.0], [3.0, 4.0]]), cr.tensor([0.0, 10.0]))
    tensor([[ 1., 21.]])
    """
    input, weight = floating("linear", input), floating("linear", weight)
    wanted = weight._data.shape
    if len(wanted) not in (1, 2):
        raise ShapeError(f"linear: the weight has shape {weight.shape}, it needs two axes, (out, in)")
    if input._data.shape[-1:] != wanted[-1:]:
        advice = "; transpose the weight?" if input.ndim and input.shape[-1] == weight.shape[0] else ""
        raise ShapeError(f"linear: the input of shape {input.shape} ends in {input.shape[-1] if input.ndim else 'no'} "
                         "features, "
                         f"the weight of shape {weight.shape}, (out, in), takes {weight.shape[-1]}{advice}")
    if bias is not None:
        bias = floating("linear", bias)
        if bias._data.shape != wanted[:-1] and bias.numel() != 1:
            raise ShapeError(f"linear: the bias has shape {bias.shape}, the weight of shape {weight.shape} needs "
                             f"{wanted[:-1]}")
    if len(wanted) == 1:
        out: Tensor = ops.matmul(input, weight)
        return out if bias is None else out + ops.reshape(bias, ())
    found: Tensor = rows.linear(input, weight, bias)
    return found


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """out_k = Σ_ij input1_i weight_kij input2_j + bias_k.

    input1 (..., in1), input2 (..., in2), weight (out, in1, in2), bias (out,) give (..., out). Raises ShapeError where
    the sizes differ.

    >>> import chainrule as cr
    >>> bilinear(cr.tensor([1.0, 2.0]), cr.tensor([3.0]), cr.tensor([[[1.0], [10.0]]]))
    tensor([63.])
    """
    input1, input2, weight = floating("bilinear", input1), floating("bilinear", input2), floating("bilinear", weight)
    if weight.ndim != 3 or not input1.ndim or input1.shape[:-1] != input2.shape[:-1] \
            or (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]:
        raise ShapeError(f"bilinear: inputs of shapes {input1.shape} and {input2.shape} with a weight of shape "
                         f"{weight.shape}; "
                         "they need (..., in1), (..., in2) with equal leading axes, and (out, in1, in2)")
    outputs, left, right = weight.shape
    # (..., 1, in1) @ (in1, out * in2) -> (..., out, in2) @ (..., in2, 1) -> (..., out, 1)
    spread = ops.reshape(ops.permute_dims(weight, (1, 0, 2)), (left, outputs * right))
    half = ops.reshape(ops.matmul(input1, spread), (*input1.shape[:-1], outputs, right))
    out = ops.matmul(half, ops.reshape(input2, (*input2.shape, 1)))
    found: Tensor = ops.reshape(out, (*input1.shape[:-1], outputs))
    return found if bias is None else found + bias
