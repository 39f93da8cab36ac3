"""softmax, log_softmax and their derivatives along the last axis: one block a row (softmax.cu). Other axes and dtypes take
the definition."""

from typing import Any

import cupy

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_rows = Kernel("softmax.cu", "softmax_rows", instances(FLOATS + HALVES, (False, True)))
_rows_grad = Kernel("softmax.cu", "softmax_rows_grad", instances(FLOATS + HALVES, (False, True)))


def threads(n: int) -> int:
    """Threads for a row of n elements: whole warps, at most 1024 and about four elements each."""
    return min(1024, max(32, -(-n // 4) + 31 & ~31))


def _takes(axis: int, x: Any) -> bool:
    return axis in (-1, x.ndim - 1) and str(x.dtype) in FLOATS + HALVES and x.ndim > 0


def _by_rows(kernel: Kernel, log: bool, *arrays: Any) -> Any:
    """The kernel's result over the rows of arrays of one shape."""
    n = arrays[0].shape[-1]
    out = cupy.empty(arrays[0].shape, arrays[0].dtype)
    kernel(out.dtype, log, grid=(out.size // n if n else 0,), block=(threads(n),), arguments=(*map(contiguous, arrays), out, n))
    return out


def softmax(x: Any, *, axis: int) -> Any:
    """exp(x) over its sum along axis; NaN where all are -inf."""
    return _by_rows(_rows, False, x) if _takes(axis, x) else definitions.find("softmax")(x, axis=axis)


def softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """out * (g - Σ g * out)."""
    return (_by_rows(_rows_grad, False, g, out),) if _takes(axis, out) else NotImplemented


def log_softmax(x: Any, *, axis: int) -> Any:
    """x - logsumexp(x) along axis; NaN where all are -inf."""
    return _by_rows(_rows, True, x) if _takes(axis, x) else definitions.find("log_softmax")(x, axis=axis)


def log_softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """g - exp(out) * Σ g."""
    return (_by_rows(_rows_grad, True, g, out),) if _takes(axis, out) else NotImplemented
