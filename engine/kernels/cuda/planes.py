"""One and two spatial dimensions as one case: a row of length W is a plane of height 1."""

from functools import lru_cache

from chainrule.kernels.reference.windows import Sizes


@lru_cache(1024)
def extents(x: Sizes, y: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> tuple[int, ...]:
    """What windows are along two axes, as kernels take it (convolution.cuh): six sizes for each. All are tuples.

    >>> extents((7,), (3,), (3,), (2,), (0,), (1,))
    (1, 1, 1, 1, 0, 1, 7, 3, 3, 2, 0, 1)
    """
    axes = list(zip(x, y, kernel, stride, padding, dilation, strict=True))
    return tuple(int(size) for axis in [(1, 1, 1, 1, 0, 1)] * (2 - len(axes)) + axes for size in axis)
