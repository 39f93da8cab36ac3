"""x @ weight.T for a batch of few rows, by tiles of sums in registers.

BLAS packs both operands; for 64 rows that costs a fifth of the time, for the sake of a weight that is read once. Here only x is
packed, as panels (depth, rows of one tile), and the weight is read where it lies: the product is computed transposed, HEIGHT rows
of the weight at a time against all panels, and a tile is turned around as it is written to its place, with the bias.

One thread of a Zen 5 in GF/s, BLAS and this: 32 rows of 1000 -> 500 134 and 230, 64 rows 183 and 236, 256 rows of 1024 -> 1024
216 and 238; in float64 64 rows 88 and 124.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import memory
from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.tile import HEIGHT, tile, width_of
from chainrule.kernels.cpu.vectors import VECTOR

NEAR = 1 << 20  # bytes of x that stay in the second cache while the weight passes by
DEEPEST = 1 << 12  # a sum is one register from beginning to end: rounding errors grow with its length
PIECE = 16  # elements of a row that are packed at once: a cache line of float32
TASK = 1 << 22  # multiplications of a pair of tasks


def takes(rows: int, columns: int, depth: int, size: int) -> bool:
    """Whether this is quicker than BLAS for x (rows, depth) and weight (columns, depth) of `size` bytes an element (measured
    with AVX-512): the panels stay in the second cache, are three quarters full, and serve many columns.

    >>> takes(64, 64, 1000, 4), takes(1000, 500, 1000, 4)
    (False, False)
    """
    width = VECTOR * 2 // size
    return (VECTOR == 64 and rows >= 16 and columns >= max(128, 2 * rows) and 128 <= depth <= DEEPEST
            and rows * depth * size <= NEAR and 4 * rows >= 3 * width * -(-rows // width))


@tasks
def _pack(task: int, x: Any, rows: int, panels: Any) -> None:
    """Panel number `task` of x (rows · depth), (depth · width); zeros in the place of rows that are not there."""
    _, depth, width = panels.shape
    panel, first = panels[task].reshape(-1), task * width
    many, step = min(width, rows - first), np.uint64(width)
    if many < width:
        panel[:] = 0
    for begin in range(0, depth, PIECE):
        count = np.uint64(min(PIECE, depth - begin))
        for r in range(many):
            source, target = np.uint64((first + r) * depth + begin), np.uint64(begin * width + r)
            for k in range(count):
                panel[target + k * step] = x[source + k]


@tasks
def _multiply(task: int, weight: Any, panels: Any, bias: Any, out: Any, columns: int, count: int) -> None:
    """Columns of out (rows · columns) = x @ weight (columns · depth).T + bias (columns, or none)."""
    parts, depth, width = panels.shape
    rows, blocks = out.size // columns, -(-columns // HEIGHT)
    turned, start = np.empty(HEIGHT * width, out.dtype), np.zeros(width, out.dtype)
    for block in range(task * blocks // count, (task + 1) * blocks // count):
        left = block * HEIGHT
        high = min(HEIGHT, columns - left)
        for part in range(parts):
            tile(weight, left * depth, depth, 1, panels, part * depth * width, width, depth, start, 0, 0, turned, 0, width, high)
            if bias.size:
                for i in range(high):
                    at, addend = np.uint64(i * width), bias[left + i]
                    for j in range(np.uint64(width)):
                        turned[at + j] += addend
            for j in range(min(width, rows - part * width)):
                target, at, step = np.uint64((part * width + j) * columns + left), np.uint64(j), np.uint64(width)
                for i in range(np.uint64(high)):
                    out[target + i] = turned[at + i * step]


def product(x: Any, weight: Any, bias: Any) -> Any:
    """x (rows, depth) @ weight (columns, depth).T + bias (columns) or None, all C-contiguous and of one dtype."""
    (rows, depth), columns, dtype = x.shape, len(weight), x.dtype
    width = width_of(dtype)
    parts = -(-rows // width)
    panels, out = memory.empty((parts, depth, width), dtype), memory.empty((rows, columns), dtype)
    _pack(parts, x.reshape(-1), rows, panels)
    count = min(16, 2 * -(-rows * columns * depth // TASK))
    _multiply(count, weight.reshape(-1), panels, np.empty(0, dtype) if bias is None else bias, out.reshape(-1), columns, count)
    return out
