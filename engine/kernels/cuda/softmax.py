"""softmax, log_softmax and their derivatives along the last axis, row by row (softmax.cu). Other axes and dtypes take the
definition."""

from typing import Any

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import PACKS, like, row_blocks, served, width
from chainrule.kernels.cuda.launch import Kernel, contiguous

_rows = Kernel("softmax.cu", "softmax_rows", [(*p, log) for p in PACKS for log in (False, True)])
_rows_grad = Kernel("softmax.cu", "softmax_rows_grad", [(*p, log) for p in PACKS for log in (False, True)])


def _takes(axis: int, *arrays: Any) -> bool:
    return arrays[0].ndim > 0 and axis in (-1, arrays[0].ndim - 1) and served(*arrays)


def _by_rows(kernel: Kernel, log: bool, *arrays: Any) -> Any:
    """The kernel's result over the rows of arrays of one shape."""
    arrays, out, n = tuple(map(contiguous, arrays)), like(arrays[0]), arrays[0].shape[-1]
    rows, pack = out.size // n if n else 0, width(n, *arrays)
    grid, block = row_blocks(rows, n, pack)
    kernel(out.dtype, pack, log, grid=grid, block=block, arguments=(*arrays, out, rows, n))
    return out


def softmax(x: Any, *, axis: int) -> Any:
    """exp(x) over its sum along axis; NaN where all are -inf."""
    return _by_rows(_rows, False, x) if _takes(axis, x) else definitions.find("softmax")(x, axis=axis)


def softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """out * (g - Σ g * out)."""
    return (_by_rows(_rows_grad, False, g, out),) if _takes(axis, out, g) else NotImplemented


def log_softmax(x: Any, *, axis: int) -> Any:
    """x - logsumexp(x) along axis; NaN where all are -inf."""
    return _by_rows(_rows, True, x) if _takes(axis, x) else definitions.find("log_softmax")(x, axis=axis)


def log_softmax_grad(g: Any, out: Any, axis: int) -> Any:
    """g - exp(out) * Σ g."""
    return (_by_rows(_rows_grad, True, g, out),) if _takes(axis, out, g) else NotImplemented
