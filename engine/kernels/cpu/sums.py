"""Sums and maxima inside compiled kernels, accurate and fast: sums are added up in blocks, and the blocks in float64.

Within a block of BLOCK elements the compiler keeps tens of partial sums side by side, so a float32 is added to some thirty
others before it goes into a float64. The error is below 40 units in the last place of Σ|x|, whatever the length, and
typically below one.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from chainrule.kernels.cpu.jit import jit

BLOCK = 1024
# Elements of the rows that a kernel sweeps together: they stay in the first cache. A row's maximum, sum and scale wait for one
# another; those of several rows do not.
NEAR = 1 << 12
# Rows that are added to one another in the arrays' own type before they go into float64, where a sum runs down columns.
DEPTH = 32


def _larger(context: Any, a: Any, b: Any) -> Any:
    """The larger of two floats of one type, NaN where one is that: unlike an `if`, a maximum over a loop is vectorised."""

    def build(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        real = args[0].type
        maximum = builder.module.declare_intrinsic("llvm.maximum", [real], ir.FunctionType(real, [real, real]))
        return builder.call(maximum, args, fastmath=("nsz",))

    return a(a, a), build


larger: Any = intrinsic(_larger)


@jit
def largest(x: Any, begin: int, count: int) -> Any:
    """max of x[begin], …, x[begin + count - 1], of a flat x; NaN where one is NaN, -inf for none."""
    found, first = x.dtype.type(-np.inf), np.uint64(begin)
    for j in range(np.uint64(count)):
        found = larger(found, x[first + j])
    return found


@jit
def total(x: Any, begin: int, count: int) -> float:
    """Σ x[begin], …, x[begin + count - 1], of a flat x."""
    found = 0.0
    for left in range(0, count, BLOCK):
        first, part = np.uint64(begin + left), x.dtype.type(0)
        for j in range(np.uint64(min(BLOCK, count - left))):
            part += x[first + j]
        found += part
    return found


@jit
def total_of_squares(x: Any, begin: int, count: int, mean: Any) -> float:
    """Σ (x - mean)², of the same elements."""
    found = 0.0
    for left in range(0, count, BLOCK):
        first, part = np.uint64(begin + left), x.dtype.type(0)
        for j in range(np.uint64(min(BLOCK, count - left))):
            part += (x[first + j] - mean) * (x[first + j] - mean)
        found += part
    return found


@jit
def empty_into(near: Any, far: Any) -> None:
    """far += near, near = 0: what was added up row by row goes into float64."""
    for j in range(np.uint64(near.size)):
        far[j] += near[j]
    for j in range(np.uint64(near.size)):
        near[j] = near.dtype.type(0)
