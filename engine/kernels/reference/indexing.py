"""Reading and writing parts of arrays, and the adjoints of both.

A *path* is a tuple of steps `(name, options)`, each a function of NumPy's or this backend's that gives a view:
`(("getitem", {"index": 2}), ("swapaxes", {"axis1": 0, "axis2": 1}))`. It says which part of a base a view shows.
"""

from typing import Any

import numpy as np

__all__ = ["add_at", "getitem", "getitem_adjoint", "put_along", "read", "take", "take_adjoint", "take_along_axis", "add_along_axis",
           "write"]


def getitem(x: Any, *, index: Any) -> Any:
    """x[index]: a view for slices and integers (0-d for a single element), a copy for index arrays and masks."""
    out = x[index]
    if isinstance(out, np.generic):
        parts = index if isinstance(index, tuple) else (index,)
        return x[(*parts, Ellipsis)] if is_basic(index) and Ellipsis not in parts else np.asarray(out)
    return out


def is_basic(index: Any) -> bool:
    """Whether an index selects a view: integers, slices, None and Ellipsis, no arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, (slice, int, np.integer)) and not isinstance(p, bool)
               for p in parts)


def picks_once(index: Any) -> bool:
    """Whether an index surely names no element twice: no integer arrays in it (masks name each element once)."""
    parts = index if isinstance(index, tuple) else (index,)
    return is_basic(tuple(p for p in parts if not (isinstance(p, bool) or getattr(p, "dtype", None) == np.bool_)))


def add_at(out: Any, g: Any, *, index: Any) -> None:
    """Add g to out[index], in place; an element picked twice receives both gradients."""
    if picks_once(index):
        out[index] += g
    else:
        np.add.at(out, index, g)


def getitem_adjoint(g: Any, *, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with g added at `index`; an element picked twice receives both gradients."""
    out = np.zeros(shape, g.dtype)
    if picks_once(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


# ---- along one axis


def take(x: Any, indices: Any, *, axis: int) -> Any:
    """The slices of x at `indices` along `axis`, whose place the shape of `indices` takes; a copy."""
    return np.take(x, indices, axis=axis)


def take_adjoint(g: Any, indices: Any, *, axis: int, shape: Any) -> Any:
    """Zeros of `shape` with the slices of g added at `indices` along `axis`. Equal indices are brought together by a
    stable sort and summed run by run: the same order, and so the same bits, every time."""
    out = np.zeros(shape, g.dtype)
    n = np.size(indices)
    if not n or not g.size:
        return out
    slices = np.moveaxis(g.reshape(shape[:axis] + (n,) + tuple(shape[axis + 1:])), axis, 0)  # (n, ...)
    flat = np.where(indices < 0, indices + shape[axis], indices).reshape(-1)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    runs = slices[order]
    if len(starts) < n:
        runs = np.add.reduceat(runs, starts, axis=0, dtype=np.float32 if g.dtype == np.float16 else None)
    np.moveaxis(out, axis, 0)[ordered[starts]] = runs
    return out


def along(indices: Any, axis: int) -> Any:
    """The index arrays that pick, for each position of `indices`, its value along `axis` and the position's own
    coordinate along the others."""
    grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    grid[axis] = indices
    return tuple(grid)


def take_along_axis(x: Any, indices: Any, *, axis: int) -> Any:
    """x at `indices` along `axis`, at the position's own coordinates along the others (where `indices` may be shorter):
    out[i][j][k] = x[i][indices[i][j][k]][k] for axis 1."""
    return x[along(indices, axis)]


def add_along_axis(g: Any, indices: Any, *, axis: int, shape: Any) -> Any:
    """Zeros of `shape` with g added at `indices` along `axis`; an element named twice receives both."""
    out = np.zeros(shape, g.dtype)
    if g.size:
        flat = np.ravel_multi_index(along(np.where(indices < 0, indices + shape[axis], indices), axis), shape)
        np.add.at(out.reshape(-1), flat.reshape(-1), g.reshape(-1))
    return out


def put_along(x: Any, indices: Any, values: Any, *, axis: int) -> Any:
    """A copy of x with `values` at `indices` along `axis`."""
    out = x.copy()
    out[along(indices, axis)] = values
    return out


# ---- views and writes through them


def _step(x: Any, step: Any) -> Any:
    name, options = step
    from chainrule.kernels import reference

    return getattr(reference, name)(x, **options)


def read(x: Any, *, path: Any) -> Any:
    """What the path shows of x."""
    for step in path:
        x = _step(x, step)
    return x


def write(x: Any, value: Any, *, path: Any) -> Any:
    """A copy of x in which the part that the path shows is `value`."""
    out = np.array(x, order="C", dtype=np.complex128 if np.iscomplexobj(value) else None)
    part = read(out, path=path[:-1])
    if not path or np.may_share_memory(_step(part, path[-1]), out):
        write_into(out, value, path)
    elif path[-1][0] == "getitem" and (len(path) == 1 or np.may_share_memory(part, out)):
        part[path[-1][1]["index"]] = value
    else:  # a step that showed a view of the base, which lay in another order in memory, copies here: find positions
        out.reshape(-1)[read(np.arange(out.size).reshape(out.shape), path=path)] = value
    return out


def write_into(x: Any, value: Any, path: Any) -> None:
    """Set the part of x that the path shows to `value`, in place. The last step may be an index array or a mask."""
    if path and path[-1][0] == "getitem":
        read(x, path=path[:-1])[path[-1][1]["index"]] = value
    else:
        read(x, path=path)[...] = value
