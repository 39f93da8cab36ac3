"""The affine map of a layer, y = x @ weight.T + bias, and its gradients: products by cuBLAS (matmul.py).

The bias is laid into the result before the product, which is then added to it: float16 is rounded once, not twice as by the
definition. The bias's gradient is the sum of g's rows (sums.py).
"""

from math import prod
from typing import Any

import cupy

from chainrule.kernels.cuda.arrays import served
from chainrule.kernels.cuda.matmul import multiply
from chainrule.kernels.cuda.sums import sum_of_rows


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """x (*lead, in) @ weight (out, in).T + bias (out,) or None -> (*lead, out).

    ValueError where x and weight do not fit together.
    """
    if not served(x, weight, bias):
        return NotImplemented
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x of shape {x.shape} has {x.shape[-1]} features, but the weight of shape "
                         f"{weight.shape} (out, in) takes {weight.shape[1]}")
    out = cupy.empty((prod(x.shape[:-1]), weight.shape[0]), x.dtype)
    if bias is not None:
        out[...] = bias
    return multiply(rows_of(x), weight.T, out, add=bias is not None).reshape(*x.shape[:-1], weight.shape[0])


def linear_grad(g: Any, x: Any, weight: Any, bias: Any, wanted: tuple[bool, bool, bool]) -> Any:
    """The gradients (x, weight, bias) of <g, linear(x, weight, bias)>, g (*lead, out); None where not wanted."""
    if not served(g, x, weight):
        return NotImplemented
    rows, flat = rows_of(g), rows_of(x)
    return (multiply(rows, weight, cupy.empty(flat.shape, x.dtype)).reshape(x.shape) if wanted[0] else None,
            multiply(rows.T, flat, cupy.empty(weight.shape, x.dtype)) if wanted[1] else None,
            sum_of_rows(rows) if wanted[2] and bias is not None else None)


def rows_of(array: Any) -> Any:
    """(*lead, features) -> (prod(lead), features), also where an extent is zero."""
    return array if array.ndim == 2 else array.reshape(prod(array.shape[:-1]), array.shape[-1])
