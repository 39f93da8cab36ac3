"""Reading and writing parts of arrays, and the adjoints of both.

A *path* is a tuple of steps `(name, options)`, each a function of NumPy's or this backend's that gives a view:
`(("getitem", {"index": 2}), ("swapaxes", {"axis1": 0, "axis2": 1}))`. It says which part of a base a view shows.
"""

from typing import Any

import numpy as np

__all__ = ["getitem", "getitem_adjoint", "read", "write"]


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


def getitem_adjoint(g: Any, *, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with g added at `index`; an element picked twice receives both gradients."""
    out = np.zeros(shape, g.dtype)
    if is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


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
    out = np.array(x, order="C")  # in C order every step of the path gives a view
    write_into(out, value, path)
    return out


def write_into(x: Any, value: Any, path: Any) -> None:
    """Set the part of x that the path shows to `value`, in place. The last step may be an index array or a mask."""
    if path and path[-1][0] == "getitem":
        read(x, path=path[:-1])[path[-1][1]["index"]] = value
    else:
        read(x, path=path)[...] = value
