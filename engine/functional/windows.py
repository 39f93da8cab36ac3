"""What convolution, pooling and unfold share: sizes given once or per axis, unbatched inputs, and their checks."""

from typing import Any

from chainrule.arguments import tuple_of
from chainrule.errors import ShapeError
from chainrule.kernels.reference.windows import output_size
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__: list[str] = []

Sizes = tuple[int, ...]


def sizes_of(op: str, name: str, value: Any, rank: int, least: int) -> Sizes:
    """A number for each of `rank` axes, from one number or a sequence; ShapeError where one is below `least`."""
    try:
        found = tuple_of(op, name, value, rank)
    except AttributeError:
        raise TypeError(f"{op}: {name}={value!r} must be an integer or a tuple of {rank} integers") from None
    if any(v < least for v in found):
        raise ShapeError(f"{op}: {name}={value} must be at least {least} along every axis")
    return found


def batched(op: str, input: Any, rank: int) -> tuple[Tensor, bool]:
    """The input as (N, C, *S), and whether the batch axis was there; ShapeError for another number of axes."""
    found: Tensor = ops.as_tensor(input)
    if found.ndim == rank + 1:
        return ops.reshape(found, (1, *found.shape)), False
    if found.ndim != rank + 2:
        names = {1: "length", 2: "height, width", 3: "depth, height, width"}[rank]
        advice = "; insert the missing axes with unsqueeze" if found.ndim < rank + 1 else ""
        raise ShapeError(f"{op}: the input has shape {found.shape}, it must be (batch, channels, {names}) or "
                         f"(channels, {names}){advice}")
    return found, True


def unbatched(output: Tensor, keep: bool) -> Tensor:
    """The output without the batch axis that `batched` inserted."""
    found: Tensor = output if keep else ops.reshape(output, output.shape[1:])
    return found


def windows(op: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
            ceil_mode: bool = False) -> Sizes:
    """How many windows fit along each axis; ShapeError where none does."""
    try:
        return output_size(op, size, kernel, stride, padding, dilation, ceil_mode)
    except ValueError as error:
        raise ShapeError(str(error)) from None
