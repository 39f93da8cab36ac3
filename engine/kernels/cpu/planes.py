"""One and two spatial dimensions as one case: a row of length W is a plane of height 1."""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.reference.windows import Sizes


def plane(array: Any) -> Any:
    """(N, C, W) or (N, C, H, W) -> a C-contiguous, writable (N, C, H, W)."""
    array = plain(array)
    return array.reshape(*array.shape[:2], 1, array.shape[2]) if array.ndim == 3 else array


def pair(one: int, sizes: Sizes) -> tuple[int, int]:
    """Two sizes as plain integers, the first of them `one` where only one is given."""
    first, second = sizes if len(sizes) == 2 else (one, *sizes)
    return int(first), int(second)


def is_plane(array: Any) -> bool:
    """Whether compiled kernels take it: one or two spatial dimensions, native float32 or float64."""
    return array.ndim in (3, 4) and array.dtype in (np.float32, np.float64) and array.dtype.isnative
