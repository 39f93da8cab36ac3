"""Looking up rows of a table, and adding rows up by their index, over the threads.

When rows are added up the tasks share the features, not the positions: each goes through all positions in their order, so
that equal indices are added in a fixed order without being sorted, and no two tasks write to one place. An index that is no
row raises IndexError here too. Below SHARED elements, and for other dtypes than float32 and float64, NumPy serves.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels import reference
from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import FLOATS, pieces, plain
from chainrule.kernels.cpu.memory import empty, zeros

# From this many elements on compiled code is quicker than NumPy.
SHARED = 1 << 11
FEATURES = 32  # of a task, at least: two cache lines of float32


@jit.tasks
def _look_up(task: int, indices: Any, weight: Any, out: Any, wrong: Any, tasks: int) -> None:
    """out (B, E) = weight (V, E) at indices (B); wrong[0] = 1 where one is no row."""
    count, (rows, features) = indices.size, weight.shape
    for b in range(task * count // tasks, (task + 1) * count // tasks):
        row = indices[b]
        if row < 0 or row >= rows:
            wrong[0] = 1
            continue
        source, target = weight[row], out[b]
        for j in range(np.uint64(features)):
            target[j] = source[j]


@jit.tasks
def _add_up(task: int, indices: Any, g: Any, out: Any, wrong: Any, tasks: int) -> None:
    """out (V, E) += g (B, E) at indices (B), a share of the features; wrong[0] = 1 where one is no row."""
    rows, features = out.shape
    left, right = task * features // tasks, (task + 1) * features // tasks
    for b in range(indices.size):
        row = indices[b]
        if row < 0 or row >= rows:
            wrong[0] = 1
            continue
        source, target = g[b, left:right], out[row, left:right]
        for j in range(np.uint64(right - left)):
            target[j] += source[j]


def _check(wrong: Any, rows: int) -> None:
    if wrong[0]:
        raise IndexError(f"embedding: an index is out of range for a table of {rows} rows (valid: 0 to {rows - 1})")


def embedding(indices: Any, weight: Any, *, scale: Any = None) -> Any:
    """weight (V, *E) at indices (*B) -> (*B, *E). `scale` only concerns the gradient."""
    shape = (*indices.shape, *weight.shape[1:])
    size = prod(shape)
    if size < SHARED or weight.dtype not in FLOATS or not weight.flags.carray:
        return reference.embedding(indices, weight, scale=scale)
    out, count, wrong = empty(shape, weight.dtype), pieces(size, indices.size), np.zeros(1, np.int64)
    _look_up(count, _flat(indices), weight.reshape(len(weight), -1), out.reshape(indices.size, -1), wrong, count)
    _check(wrong, len(weight))
    return out


def embedding_adjoint(indices: Any, g: Any, *, rows: int) -> Any:
    """The sum over all positions b of g[b] (*B, *E) into row indices[b] of a table of zeros (rows, *E)."""
    if g.size < SHARED or g.dtype not in FLOATS or not rows:
        return reference.embedding_adjoint(indices, g, rows=rows)
    features = g.shape[indices.ndim :]
    out, width, wrong = zeros((rows, *features), g.dtype), prod(features), np.zeros(1, np.int64)
    count = pieces(g.size, width // FEATURES)
    _add_up(count, _flat(indices), plain(g).reshape(indices.size, width), out.reshape(rows, width), wrong, count)
    _check(wrong, rows)
    return out


def _flat(indices: Any) -> Any:
    """(*B) -> (prod(B),) of int64."""
    return plain(np.asarray(indices, np.int64)).reshape(-1)
