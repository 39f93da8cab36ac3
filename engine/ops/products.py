"""Products of many elements, as definitions without a division: their derivatives are exact where elements are 0."""

import math
from typing import Any

from chainrule.fused import fused, register


def count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements each result of a reduction is made of."""
    return math.prod(shape if axis is None else [shape[a] for a in axis])


@register
@fused
def prod(xp: Any, input: Any, *, axis: Any, keepdims: bool) -> Any:
    """The product of the elements over `axis`, by halves: a b for the two halves of the elements, until one is left.

    So the derivative is a product of the others, without a division: it is exact at zeros.
    """
    axes = tuple(range(len(input.shape))) if axis is None else axis
    others = tuple(a for a in range(len(input.shape)) if a not in axes)
    shape = tuple(1 if a in axes else n for a, n in enumerate(input.shape)) if keepdims else tuple(
        input.shape[a] for a in others)
    size = count(input.shape, axes)
    if not size:
        return xp.reshape(xp.sum(input, axis=axis, keepdims=keepdims), shape) + 1
    x = xp.reshape(xp.permute_dims(input, axes=others + axes), (*(input.shape[a] for a in others), size))
    rest = None  # the product of those left over where the number was odd
    while size > 1:
        half = size // 2
        if size % 2:
            last = xp.getitem(x, index=(Ellipsis, slice(size - 1, size)))
            rest = last if rest is None else rest * last
        x = xp.getitem(x, index=(Ellipsis, slice(0, half))) * xp.getitem(x, index=(Ellipsis, slice(half, 2 * half)))
        size = half
    return xp.reshape(x if rest is None else x * rest, shape)


@register
@fused
def cumprod(xp: Any, input: Any, *, axis: int) -> Any:
    """Running products along `axis`, by doubling: after steps of 1, 2, 4 … each element is the product of the 2, 4, 8 …
    elements up to it.
    """
    x, size, step = input, input.shape[axis], 1
    whole = (slice(None),) * axis
    while step < size:
        # what stands `step` places before each element, and 1 where there is nothing
        front = xp.getitem(x, index=(*whole, slice(0, step)))
        before = xp.getitem(x, index=(*whole, slice(0, size - step)))
        x = x * (xp.getitem_adjoint(before, index=(*whole, slice(step, None)), shape=x.shape)
                 + xp.getitem_adjoint(xp.ones_like(front), index=(*whole, slice(0, step)), shape=x.shape))
        step *= 2
    return x
