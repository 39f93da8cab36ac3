"""Layer norm and rms norm by rows (normalization.cu). Kept are mean and scale of each row, in float32 for 16-bit rows.

The gradients of weight and bias are sums down columns, in two stages whose order depends on the shape alone. Declined: what is
no float, and weights of another dtype than the input's.
"""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda.arrays import PACKS, like, number, row_blocks, served, wide, width
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.cuda.sums import add_parts

_rows = Kernel("normalization.cu", "normalize_rows", PACKS)
_rows_grad = Kernel("normalization.cu", "normalize_rows_grad", PACKS)
_columns = Kernel("normalization.cu", "sum_columns", instances(FLOATS + HALVES))

ROWS_OF_A_SLAB = 64  # at least; and at most SLABS slabs
SLABS = 128


def _forward(x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float, centred: bool) -> Any:
    x, weight, bias, n = contiguous(x), contiguous(weight), contiguous(bias), prod(shape)
    rows, out = x.size // n if n else 0, like(x)
    means, scales = (cupy.empty(rows, wide(x.dtype)) for _ in range(2))
    pack = width(n, x, weight, bias)
    grid, block = row_blocks(rows, n, pack)
    _rows(x.dtype, pack, grid=grid, block=block,
          arguments=(x, weight, bias, out, means, scales, rows, n, number(eps, x.dtype), centred))
    return out, {"means": means, "scales": scales}


def _backward(g: Any, x: Any, weight: Any, means: Any, scales: Any, shape: tuple[int, ...], centred: bool, sums: bool) -> Any:
    g, x, weight, rows, n = contiguous(g), contiguous(x), contiguous(weight), means.size, prod(shape)
    dx, pack = like(x), width(n, g, x, weight)
    grid, block = row_blocks(rows, n, pack)
    _rows_grad(x.dtype, pack, grid=grid, block=block, arguments=(g, x, weight, means, scales, dx, rows, n, centred))
    if not sums:
        return dx, None, None
    slabs = max(1, min(SLABS, rows // ROWS_OF_A_SLAB))
    parts = cupy.empty((slabs, 2, n), means.dtype)
    _columns(x.dtype, grid=(-(-n // 32), slabs), block=(32, 8), arguments=(g, x, means, scales, parts, rows, n))
    return dx, *add_parts(parts, cupy.empty((2, *shape), x.dtype))


def layer_norm(input: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """(input - mean) · scale · weight + bias, row by row; keeps mean and scale of each."""
    if not served(input, weight, bias):
        return NotImplemented
    return _forward(input, weight, bias, normalized_shape, eps, True)


def layer_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any, normalized_shape: tuple[int, ...],
                    wanted: Any) -> Any:
    """The gradients (input, weight, bias) of <g, layer_norm(input, weight, bias)>."""
    if not served(g, input):
        return NotImplemented
    return _backward(g, input, weight, means, scales, normalized_shape, True, any(wanted[1:]))


def rms_norm(input: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """input · scale · weight, row by row, scale = 1 / √(mean(input²) + eps); keeps the scales (and means of 0)."""
    if not served(input, weight):
        return NotImplemented
    return _forward(input, weight, None, normalized_shape, eps, False)


def rms_norm_grad(g: Any, input: Any, weight: Any, means: Any, scales: Any, normalized_shape: tuple[int, ...], wanted: Any) -> Any:
    """The gradients (input, weight) of <g, rms_norm(input, weight)>."""
    if not served(g, input):
        return NotImplemented
    return _backward(g, input, weight, means, scales, normalized_shape, False, wanted[1])[:2]
