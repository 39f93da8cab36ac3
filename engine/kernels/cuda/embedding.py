"""Rows of a table by index, and rows added up by index (embedding.cu), the base of every adjoint of an indexing.

Sums have a fixed order unless `Adding.atomic` is set (`chainrule.cuda.atomic_sums`). An index that is no row gives a row of NaN
when it is looked up, and is passed over when rows are added up: the host does not wait to see it.
"""

from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import PACKS, THREADS, blocks, served, wide, width
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_ADDED = (*FLOATS, *HALVES, "int64")
_look_up = Kernel("embedding.cu", "look_up", PACKS)
_count = Kernel("embedding.cu", "count_before")
_place = Kernel("embedding.cu", "place")
_segments = Kernel("embedding.cu", "add_segments", instances(_ADDED))
_across = Kernel("embedding.cu", "add_across", instances(_ADDED))
_atomically = Kernel("embedding.cu", "add_atomically", instances(FLOATS + HALVES))

COUNTED = 1 << 16  # Up to so many positions are sorted by counting, count² comparisons; more by CuPy's sort, which may wait.
LENGTH = 32  # of a segment


class Adding:
    """How rows are added up: in a fixed order, or (`atomic`) in any."""

    atomic = False


def embedding(indices: Any, weight: Any, *, scale: Any = None) -> Any:
    """weight (V, *E) at indices (*B) -> (*B, *E). `scale` only concerns the gradient."""
    if not served(weight) or weight.ndim < 2:
        return definitions.find("embedding")(indices, weight, scale=scale)
    weight, out = contiguous(weight), cupy.empty((*indices.shape, *weight.shape[1:]), weight.dtype)
    features = prod(weight.shape[1:])
    pack = width(features, weight)
    count, packs = out.size // pack, features // pack
    _look_up(weight.dtype, pack, grid=blocks(count), block=(THREADS,),
             arguments=(_whole(indices), weight, out, count, np.int64(len(weight)), packs))
    return out


def embedding_adjoint(indices: Any, g: Any, *, rows: int) -> Any:
    """The sum over all positions b of g[b] (*B, *E) into row indices[b] of a table of zeros (rows, *E)."""
    if not added(g):
        return definitions.find("embedding_adjoint")(indices, g, rows=rows)
    out = cupy.zeros((rows, *g.shape[indices.ndim:]), g.dtype)
    add_rows(out, indices, g)
    return out


def added(g: Any) -> bool:
    """Whether `add_rows` takes arrays of this dtype."""
    return served(g) or g.dtype == np.int64


def _whole(indices: Any) -> Any:
    """The indices as kernels take them: int64, in one piece."""
    return contiguous(indices.astype(np.int64, copy=False))


def add_rows(table: Any, indices: Any, g: Any) -> None:
    """Add g (*B, *E) to the rows of a table (V, *E), C-contiguous, at indices (*B): in the order of the positions."""
    rows, count = len(table), indices.size
    if not count or not table.size:
        return
    indices, g, features = _whole(indices), contiguous(g), table.size // rows
    if Adding.atomic and table.dtype.kind != "i":
        sums = table.astype(wide(table.dtype), copy=False)
        _atomically(g.dtype, grid=blocks(g.size), block=(THREADS,),
                    arguments=(indices, g, sums, np.int64(g.size), np.int64(rows), features))
        if sums is not table:
            table[...] = sums
        return
    ordered, order = _sorted(indices)
    segments = -(-count // LENGTH)
    heads, tails = cupy.empty((2, segments, features), table.dtype if table.dtype.kind == "i" else wide(table.dtype))
    sizes = (np.int64(count), np.int64(rows), features, LENGTH)
    grid = blocks(segments * features)
    _segments(g.dtype, grid=grid, block=(THREADS,), arguments=(ordered, order, g, heads, tails, table, *sizes))
    _across(g.dtype, grid=grid, block=(THREADS,), arguments=(ordered, heads, tails, table, *sizes))


def _sorted(indices: Any) -> tuple[Any, Any]:
    """The indices in order, equal ones in the order of their positions, and the positions."""
    count = indices.size
    if count > COUNTED:
        order = cupy.argsort(indices.reshape(-1))
        return indices.reshape(-1)[order], order.astype(np.int32)
    ranks, order, ordered = cupy.zeros(count, np.int32), cupy.empty(count, np.int32), cupy.empty(count, np.int64)
    height = -(-count // 256)
    _count(grid=(height, max(1, min(height, 512 // height))), block=(256,), arguments=(indices, ranks, count))
    _place(grid=blocks(count), block=(THREADS,), arguments=(indices, ranks, ordered, order, count))
    return ordered, order
