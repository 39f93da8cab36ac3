"""Sums over all axes but one, as the gradients of biases need them (sums.cu): partial sums by many blocks, then their sum, always
in the same order."""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda.arrays import THREADS, blocks, wide
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_columns = Kernel("sums.cu", "column_sums", instances(FLOATS + HALVES))
_planes = Kernel("sums.cu", "plane_sums", instances(FLOATS + HALVES))
_parts = Kernel("sums.cu", "add_parts", instances(FLOATS + HALVES))

BLOCKS = 512  # about as many as keep a GPU busy


def add_parts(part: Any, out: Any) -> Any:
    """out (*shape) = the sum of part (splits, *shape) over its first axis."""
    _parts(out.dtype, grid=blocks(out.size), block=(THREADS,), arguments=(part, out, out.size, part.shape[0]))
    return out


def sum_of_rows(x: Any) -> Any:
    """(rows, columns) -> (columns,)."""
    rows, columns = x.shape
    wanted = -(-columns // 32)
    splits = max(1, min(-(-BLOCKS // max(1, wanted)), rows // 64))
    part = cupy.empty((splits, columns), wide(x.dtype))
    _columns(x.dtype, grid=(wanted, splits), block=(THREADS,), arguments=(contiguous(x), part, rows, columns))
    return add_parts(part, cupy.empty((columns,), x.dtype))


def sum_of_channels(x: Any) -> Any:
    """(N, C, *S) -> (C,)."""
    (images, channels), positions = x.shape[:2], prod(x.shape[2:])
    splits = max(1, min(-(-BLOCKS // max(1, channels)), images))
    part = cupy.empty((splits, channels), wide(x.dtype))
    _planes(x.dtype, grid=(channels, splits), block=(THREADS,), arguments=(contiguous(x), part, images, channels, positions))
    return add_parts(part, cupy.empty((channels,), x.dtype))
