"""Order: places of the largest, sorting, medians."""

from typing import Any

import numpy as np

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.table import converter


@converter("argmax", "argmin")
def place(g: Any, use: Any, x: str) -> Any:
    """ArgMax or ArgMin, of all elements as a vector."""
    kind, axis, keep = "ArgMax" if use.name == "argmax" else "ArgMin", use["axis"], int(use["keepdims"])
    if use.dtypes[0] == np.bool_:
        x = g.cast(x, np.bool_, np.int32)
    if axis is not None and use.rank():
        return g.op(kind, x, axis=axis, keepdims=keep)
    flat = g.op(kind, g.reshape(x, (-1,)), axis=0, keepdims=0)
    return g.reshape(flat, (1,) * use.rank()) if keep and use.rank() else flat


def ordered(g: Any, x: str, size: Any, axis: int, descending: bool) -> Any:
    """All elements in order along an axis, and where they were; equal ones in their order."""
    return g.op("TopK", x, g.ints(size), axis=axis, largest=int(descending), sorted=1, outputs=2)


@converter("argsort")
def argsort(g: Any, use: Any, x: str) -> Any:
    """TopK of all elements: the second output."""
    axis = use["axis"]
    if use.dtypes[0] == np.bool_:
        x = g.cast(x, np.bool_, np.int32)
    return ordered(g, x, use.shapes[0][axis], axis, use["descending"])[1]


@converter("median")
def median(g: Any, use: Any, x: str) -> Any:
    """TopK of all elements, and the middle one."""
    total: Any = 1
    for n in use.shapes[0]:
        total = n * total
    if not isinstance(total, int) or not total:
        raise Unsupported("the median of all elements needs a fixed number of them; take it along an axis, or fix the axes by "
                          "dynamic_axes={}")
    values, _ = ordered(g, g.reshape(x, (-1,)), total, 0, False)
    return g.op("Gather", values, g.constant(np.int64((total - 1) // 2)))
