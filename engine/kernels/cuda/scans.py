"""Scans that CuPy has not."""

from typing import Any

import cupy
import numpy as np


def cummax_indices(x: Any, *, axis: int, smallest: bool = False) -> Any:
    """For each position along axis, where the largest (smallest) element so far stands: the latest of equal ones.

    By doubling: what is known of the 1, 2, 4, … elements up to a position is joined with what is known of as many before them.
    """
    if not x.ndim:
        return cupy.zeros((), np.int64)
    values = cupy.moveaxis(x, axis, -1)
    n, step = values.shape[-1], 1
    best = cupy.broadcast_to(cupy.arange(n), values.shape)
    while step < n:
        earlier, later = best[..., :-step], best[..., step:]
        before, here = cupy.take_along_axis(values, earlier, -1), cupy.take_along_axis(values, later, -1)
        stays = (before < here if smallest else before > here) | ((before != before) & (here == here))  # NaN stays
        best = cupy.concatenate([best[..., :step], cupy.where(stays, earlier, later)], -1)
        step *= 2
    return cupy.ascontiguousarray(cupy.moveaxis(best, -1, axis))
