"""The adjoints of indexing, which add up what was picked more than once: each is a sum of rows by index (`embedding.add_rows`), in
a fixed order. Where an index names no element twice, and for dtypes that kernels do not take, the definitions serve."""

from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.embedding import add_rows, added
from chainrule.kernels.cuda.launch import contiguous
from chainrule.kernels.reference.indexing import picks_once


def getitem_adjoint(g: Any, *, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with g added at `index`; an element picked twice receives both gradients."""
    if picks_once(index) or not added(g):
        return definitions.find("getitem_adjoint")(g, index=index, shape=shape)
    out = cupy.zeros(shape, g.dtype)
    _add(out, g, index)
    return out


def add_at(out: Any, g: Any, *, index: Any) -> None:
    """Add g to out[index], in place; an element picked twice receives both gradients."""
    if picks_once(index) or not added(out) or g.dtype != out.dtype:
        definitions.find("add_at")(out, g, index=index)
    elif out.flags.c_contiguous:
        _add(out, g, index)
    else:
        out += getitem_adjoint(g, index=index, shape=out.shape)


def _add(out: Any, g: Any, index: Any) -> None:
    """Add g at `index` to an array in one piece."""
    first = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(first, cupy.ndarray) and first.dtype.kind in "iu":  # whole rows
        add_rows(out, _from_0(first, len(out)), g)
    elif out.size:
        places = cupy.arange(out.size).reshape(out.shape)[index]
        add_rows(out.reshape(-1), places, cupy.broadcast_to(g, places.shape))


def _from_0(indices: Any, size: int) -> Any:
    """Indices of which negative ones count from the end, as they are from the beginning."""
    return cupy.where(indices < 0, indices + size, indices)


def take_adjoint(g: Any, indices: Any, *, axis: int, shape: Any) -> Any:
    """Zeros of `shape` with the slices of g added at `indices` along `axis`."""
    if not added(g):
        return definitions.find("take_adjoint")(g, indices, axis=axis, shape=shape)
    moved = tuple([shape[axis], *shape[:axis], *shape[axis + 1:]])
    out = cupy.zeros(moved, g.dtype)
    slices = cupy.moveaxis(g.reshape(*shape[:axis], indices.size, *shape[axis + 1:]), axis, 0)
    add_rows(out, _from_0(indices, shape[axis]), slices)
    return contiguous(cupy.moveaxis(out, 0, axis))


def add_along_axis(g: Any, indices: Any, *, axis: int, shape: Any) -> Any:
    """Zeros of `shape` with g added at `indices` along `axis`; an element named twice receives both."""
    if not added(g):
        return definitions.find("add_along_axis")(g, indices, axis=axis, shape=shape)
    out, steps = cupy.zeros(shape, g.dtype), [prod(shape[a + 1:]) for a in range(len(shape))]
    places = _from_0(indices, shape[axis]) * steps[axis]
    for a, n in enumerate(indices.shape):
        if a != axis % len(shape):
            places = places + (cupy.arange(n) * steps[a]).reshape([-1 if b == a else 1 for b in range(len(shape))])
    add_rows(out.reshape(-1), places, g)
    return out


def add_to_planes(g: Any, indices: Any, *, size: tuple[int, ...]) -> Any:
    """g (N, C, *out) -> zeros (N, C, *size) with every g added at its flat position in its plane."""
    if not added(g):
        return definitions.find("add_to_planes")(g, indices, size=size)
    out = cupy.zeros((*g.shape[:2], *size), g.dtype)
    planes, positions = prod(g.shape[:2]), prod(size)
    first = (cupy.arange(planes) * positions).reshape(*g.shape[:2], *(1,) * len(size))
    add_rows(out.reshape(-1), indices + first.astype(np.int64, copy=False), g)
    return out
