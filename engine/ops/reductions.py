"""Reductions: sums, means, extrema, and what is built from them."""

from typing import Any

from chainrule.arguments import axes_of, one_of
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import public
from chainrule.tensor import Tensor


def spread(xp: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Repeat g along the reduced axes, back to `shape`: the adjoint of a sum."""
    if axis is None:
        return xp.broadcast_to(xp.reshape(g, (1,) * len(shape)), shape)
    if not keepdims:
        kept = tuple(1 if i in axis else n for i, n in enumerate(shape))
        g = xp.reshape(g, kept)
    return xp.broadcast_to(g, shape)


_sum = Op("sum", word="linear",
          input=lambda xp, g, input_shape, axis, keepdims: spread(xp, g, input_shape, axis, keepdims))


@public
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
        dtype: Any = None) -> Tensor:
    """The sum of the elements, over all or over the axes `dim` (also `axis`): out = Σ input.

    The reduced axes disappear, or stay with size 1 where `keepdim` (also `keepdims`). Bools and integers sum to int64.
    Raises IndexError for an axis that is not there.

    >>> import chainrule as cr
    >>> cr.sum(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([3., 7.])
    """
    input = ops.as_tensor(input) if dtype is None else ops.as_tensor(input).to(dtype)
    return _sum(input, axis=axes_of("sum", one_of("sum", dim, axis), input), keepdims=keepdim or keepdims)
