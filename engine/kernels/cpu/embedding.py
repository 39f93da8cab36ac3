"""Looking up rows of a table, and adding rows up by their index, over the threads.

When rows are added up the tasks share the features, not the positions: each goes through all positions in their order, so
that equal indices are added in a fixed order without being sorted, and no two tasks write to one place. An index that is no
row raises IndexError here too. Below a measured size, and for other dtypes than float32 and float64, NumPy serves.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import FLOATS, flat, pieces, within
from chainrule.kernels.cpu.memory import empty, zeros

# From this many elements on compiled code is quicker than NumPy: adding up, and looking up, which NumPy does as fast on one core.
SHARED, COPIED = 1 << 8, 1 << 18
FEATURES = 32  # of a task, at least: two cache lines of float32


@jit.tasks
def _look_up(task: int, indices: Any, weight: Any, out: Any, wrong: Any, rows: int, tasks: int) -> None:
    """out (B · E) = weight (V · E) at indices (B); wrong[0] = 1 where one is no row."""
    count, features = indices.size, weight.size // rows
    for b in range(task * count // tasks, (task + 1) * count // tasks):
        row = indices[b]
        if row < 0 or row >= rows:
            wrong[0] = 1
            continue
        source, target = np.uint64(row * features), np.uint64(b * features)
        for j in range(np.uint64(features)):
            out[target + j] = weight[source + j]


@jit.tasks
def _add_up(task: int, indices: Any, g: Any, out: Any, wrong: Any, rows: int, tasks: int) -> None:
    """out (V · E) += g (B · E) at indices (B), a share of the features; wrong[0] = 1 where one is no row."""
    features = out.size // rows
    left, right = task * features // tasks, (task + 1) * features // tasks
    for b in range(indices.size):
        row = indices[b]
        if row < 0 or row >= rows:
            wrong[0] = 1
            continue
        source, target = np.uint64(b * features + left), np.uint64(row * features + left)
        for j in range(np.uint64(right - left)):
            out[target + j] += g[source + j]


def _no_row(rows: int) -> IndexError:
    return IndexError(f"embedding: an index is out of range for a table of {rows} rows (valid: 0 to {rows - 1})")


def embedding(indices: Any, weight: Any, *, scale: Any = None) -> Any:
    """weight (V, *E) at indices (*B) -> (*B, *E). `scale` only concerns the gradient."""
    shape = (*indices.shape, *weight.shape[1:])
    size = prod(shape)
    if size < COPIED and weight.ndim > 1:
        if not within(indices, len(weight)):
            raise _no_row(len(weight))
        return np.take(weight, indices, 0, empty(shape, weight.dtype), "clip")  # the mode that writes straight into the array
    if weight.ndim < 2 or weight.dtype not in FLOATS or not weight.flags.carray or not weight.size:
        return reference.embedding(indices, weight, scale=scale)
    out, count, wrong = empty(shape, weight.dtype), pieces(size, indices.size), np.zeros(1, np.int64)
    _look_up(count, flat(np.asarray(indices, np.int64)), weight.reshape(-1), out.reshape(-1), wrong, len(weight), count)
    if wrong[0]:
        raise _no_row(len(weight))
    return out


def embedding_adjoint(indices: Any, g: Any, *, rows: int) -> Any:
    """The sum over all positions b of g[b] (*B, *E) into row indices[b] of a table of zeros (rows, *E)."""
    if g.size < SHARED or g.dtype not in FLOATS or not rows:
        return reference.embedding_adjoint(indices, g, rows=rows)
    features = g.shape[indices.ndim :]
    out, width, wrong = zeros((rows, *features), g.dtype), prod(features), np.zeros(1, np.int64)
    count = pieces(g.size, width // FEATURES)
    _add_up(count, flat(np.asarray(indices, np.int64)), flat(g), out.reshape(-1), wrong, rows, count)
    if wrong[0]:
        raise _no_row(rows)
    return out
