"""Sums, means, norms and other reductions, and running sums."""

import math
from typing import Any

import numpy as np

from chainrule.onnx.sizes import Size
from chainrule.onnx.table import converter, converters


def reduce(g: Any, kind: str, x: str, axis: Any, keepdims: Any) -> Any:
    """A Reduce… node; axis None is all, () is none."""
    if isinstance(axis, int):
        axis = (axis,)
    return g.op(kind, x, None if axis is None else g.ints(*axis), keepdims=int(keepdims), noop_with_empty_axes=int(axis == ()))


def reduction(kind: str) -> Any:
    """A converter for a reduction that ONNX has."""
    return lambda g, use, x: reduce(g, kind, g.cast(x, use.dtypes[0], use.dtype), use["axis"], use["keepdims"])


converters.update({"sum": reduction("ReduceSum"), "mean": reduction("ReduceMean"), "prod": reduction("ReduceProd"),
                   "logsumexp": reduction("ReduceLogSumExp")})


@converter("amax", "amin")
def extreme(g: Any, use: Any, x: str) -> Any:
    """ReduceMax or ReduceMin; bools as numbers."""
    kind = "ReduceMax" if use.name == "amax" else "ReduceMin"
    if use.dtype == np.bool_:
        return g.cast(reduce(g, kind, g.cast(x, np.bool_, np.int32), use["axis"], use["keepdims"]), np.int32, np.bool_)
    return reduce(g, kind, x, use["axis"], use["keepdims"])


@converter("any", "all")
def whether(g: Any, use: Any, x: str) -> Any:
    """The largest (any) or smallest (all) of 0 and 1."""
    marks = g.cast(g.cast(x, use.dtypes[0], np.bool_), np.bool_, np.int32)
    kind = "ReduceMax" if use.name == "any" else "ReduceMin"
    return g.cast(reduce(g, kind, marks, use["axis"], use["keepdims"]), np.int32, np.bool_)


@converter("count_nonzero")
def count_nonzero(g: Any, use: Any, x: str) -> Any:
    """The sum of 0 and 1."""
    return reduce(g, "ReduceSum", g.cast(g.cast(x, use.dtypes[0], np.bool_), np.bool_, np.int64), use["axis"], use["keepdims"])


def count(shape: Any, axis: Any) -> Any:
    """How many elements each result is made of, a number or a Size."""
    total: Any = 1
    for i, n in enumerate(shape):
        if axis is None or i in (axis if isinstance(axis, tuple) else (axis,)):
            total = n * total
    return total


@converter("var", "std")
def spread(g: Any, use: Any, x: str) -> Any:
    """The sum of squared deviations over the degrees of freedom, and its root."""
    axis, keepdims = use["axis"], use["keepdims"]
    freedom = count(use.shapes[0], axis) - use["correction"]
    freedom = freedom if isinstance(freedom, Size) else max(freedom, 0)
    apart = g.op("Sub", x, reduce(g, "ReduceMean", x, axis, True))
    out = g.op("Div", reduce(g, "ReduceSumSquare", apart, axis, keepdims), g.constant(freedom, use.dtype))
    return g.op("Sqrt", out) if use.name == "std" else out


@converter("vector_norm")
def vector_norm(g: Any, use: Any, x: str) -> Any:
    """ReduceL1, ReduceL2, the largest of |x|, or powers."""
    p, axis, keepdims = use["p"], use["axis"], use["keepdims"]
    if p in (1, 2):
        return reduce(g, f"ReduceL{int(p)}", x, axis, keepdims)
    if p == 0:
        return reduce(g, "ReduceSum", g.cast(g.cast(x, use.dtype, np.bool_), np.bool_, use.dtype), axis, keepdims)
    size = g.op("Abs", x)
    if math.isinf(p):
        return reduce(g, "ReduceMax" if p > 0 else "ReduceMin", size, axis, keepdims)
    total = reduce(g, "ReduceSum", g.op("Pow", size, g.constant(p, use.dtype)), axis, keepdims)
    return g.op("Pow", total, g.constant(1 / p, use.dtype))


@converter("cumsum")
def cumsum(g: Any, use: Any, x: str) -> Any:
    """CumSum."""
    return g.op("CumSum", g.cast(x, use.dtypes[0], use.dtype), g.constant(np.int64(use["axis"])))
