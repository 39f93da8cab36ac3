"""A plane cut into phases, in a buffer: what a kernel element sees, for all outputs, is then one contiguous piece.

Phase (r, s) of the padded plane has the rows r, r + stride, r + 2 stride … and the columns s, s + stride …. Output (i, j)
of a convolution is at i * columns + j, and the input that kernel element (kh, kw) multiplies with lies a constant
further on, whatever the stride. Each row of the pieces is as long as a phase's; what lies between the outputs' end and the
row's end counts for nothing.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.jit import jit
from chainrule.kernels.cpu.vectors import move_row

__all__ = ["move"]


@jit
def _inside(phase: int, stride: int, padding: int, size: int, length: int) -> tuple[int, int]:
    """Along one axis: the part of a phase (first, end) that is of the input and not of the padding."""
    shift = phase - padding
    first = min(length, max(0, (stride - 1 - shift) // stride))
    return first, max(first, min(length, (size - 1 - shift) // stride + 1))


@jit
def move(buffer: Any, start: int, pitch: int, shape: Any, x: Any, stride: Any, padding: Any) -> None:
    """The flat buffer's part from `start` on = the phases of x (H, W).

    `shape` is (phases above, phases beside, rows, columns), and a phase begins `pitch` after the one before.
    """
    height, width = x.shape
    above, beside, rows, columns = shape
    plane, step = x.reshape(-1), np.uint64(stride[1])
    for r in range(above):
        top, bottom = _inside(r, stride[0], padding[0], height, rows)
        for s in range(beside):
            left, right = _inside(s, stride[1], padding[1], width, columns)
            for i in range(top, bottom):
                at = (i * stride[0] + r - padding[0]) * width + left * stride[1] + s - padding[1]
                to = start + (r * beside + s) * pitch + i * columns + left
                if stride[1] == 1:
                    move_row(buffer, to, plane, at, right - left, x.dtype.type(0))
                else:
                    first, place = np.uint64(at), np.uint64(to)
                    for j in range(np.uint64(right - left)):
                        buffer[place + j] = plane[first + j * step]
