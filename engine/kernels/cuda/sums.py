"""Sums of arrays (samples, channels, positions) over samples and positions (sums.cu): partial sums by many blocks, then their sum,
always in the same order."""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda.arrays import PACKS, THREADS, number, wide, width
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_slabs = Kernel("sums.cu", "sum_slabs", PACKS)
_columns = Kernel("sums.cu", "sum_slabs_of_columns", instances(FLOATS + HALVES))
_parts = Kernel("sums.cu", "add_parts", instances(FLOATS + HALVES))

BLOCKS = 1024  # about as many as keep a GPU busy, and then some
ROWS, PACKS_EACH = 64, 4  # of a slab of columns, and a thread's packs of one of rows, at least


def add_parts(parts: Any, out: Any, divisor: float = 1) -> Any:
    """out (*shape) = the sum of parts (splits, *shape) over its first axis, divided by a number."""
    splits = parts.shape[0]
    block = (THREADS, 1) if splits <= 16 or out.size >= 1 << 16 else (32, 32)
    _parts(out.dtype, grid=(-(-out.size // block[0]),), block=block,
           arguments=(parts, out, out.size, splits, number(divisor, out.dtype)))
    return out


def sum_into(out: Any, x: Any, samples: int, channels: int, positions: int, divisor: float = 1) -> Any:
    """out (of as many elements as there are channels) = the sums of x, C-contiguous and not empty, divided by a number."""
    template: tuple[Any, ...]
    extents: tuple[int, ...]
    if positions == 1:
        stripes = -(-channels // 32)
        length = -(-samples // max(1, min(samples // ROWS, BLOCKS // stripes)))
        slabs = -(-samples // length)
        kernel, template, grid, block, extents = _columns, (x.dtype,), (stripes, slabs), (32, 8), (samples, channels)
    else:
        pack = width(positions, x)
        packs = samples * positions // pack
        length = -(-packs // max(1, min(packs // (THREADS * PACKS_EACH), BLOCKS // channels)))
        slabs = -(-packs // length)
        block = (32, 8) if length <= 128 else (THREADS, 1)
        grid = (-(-channels * slabs // block[1]), 1)
        kernel, template, extents = _slabs, (x.dtype, pack), (samples, channels, positions // pack)
    parts = cupy.empty((slabs, channels), wide(x.dtype)) if slabs > 1 else None
    kernel(*template, grid=grid, block=block, arguments=(x, out, parts, *extents, slabs, length, number(divisor, x.dtype)))
    return out if parts is None else add_parts(parts, out, divisor)


def sum_of_rows(x: Any) -> Any:
    """(rows, columns) -> (columns,)."""
    out = cupy.zeros(x.shape[1], x.dtype)
    return sum_into(out, contiguous(x), x.shape[0], x.shape[1], 1) if x.size else out


def sum_of_channels(x: Any) -> Any:
    """(N, C, *S) -> (C,)."""
    out = cupy.zeros(x.shape[1], x.dtype)
    return sum_into(out, contiguous(x), x.shape[0], x.shape[1], prod(x.shape[2:])) if x.size else out
