"""The affine map of a layer, y = x @ weight.T + bias, and its gradients.

The bias is added to a part of the result while it is in the cache. Backward, both products are one launch, and the task that reads
columns of g for the weight's gradient sums them for the bias.

A kernel that does not do what it is asked (dtypes other than float32 and float64, no BLAS) returns NotImplemented, and
the op's definition is run.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.kernels.cpu.matmul import ADDS, END, SMALLEST, SUMS, A, B, C, declines, job, layout, product, run
from chainrule.kernels.cpu.memory import empty

STRAIGHT = 1 << 18  # elements of a weight from which its gradient is added within the product


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """x (*lead, in) @ weight (out, in).T + bias (out,) or None -> (*lead, out).

    ValueError where x and weight do not fit together.

    >>> linear(np.array([[1., 2.]]), np.array([[1., 0.], [3., 4.], [0., 1.]]), np.array([0., 0., 10.]))
    array([[ 1., 11., 12.]])
    """
    if declines(x, weight, bias):
        return NotImplemented
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x of shape {x.shape} has {x.shape[-1]} features, but the weight of shape "
                         f"{weight.shape} (out, in) takes {weight.shape[1]}")
    out = product(rows_of(x), weight.T, bias)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], weight.shape[0])


def linear_grad(g: Any, x: Any, weight: Any, bias: Any, wanted: tuple[bool, bool, bool]) -> Any:
    """The gradients (x, weight, bias) of <g, linear(x, weight, bias)>, g (*lead, out); None where not wanted.

    >>> x, weight = np.array([[1., 2.]]), np.array([[1., 0.], [3., 4.]])
    >>> linear_grad(np.array([[1., 1.]]), x, weight, None, (True, True, False))
    (array([[4., 4.]]), array([[1., 2.],
           [1., 2.]]), None)
    """
    if declines(g, x, weight):
        return NotImplemented
    (outputs, inputs), shape, dtype = weight.shape, x.shape, x.dtype
    biased = wanted[2] and bias is not None
    rows, x = rows_of(g), rows_of(x)
    count = len(x)
    if count * outputs * inputs < SMALLEST:
        return (np.matmul(rows, weight).reshape(shape) if wanted[0] else None,
                np.matmul(rows.T, x) if wanted[1] else None, np.add.reduce(rows, 0) if biased else None)
    (rows, ldg, turned_g), (x, ldx, turned_x), (weight, ldw, turned_w) = layout(rows), layout(x), layout(weight)
    if turned_g:
        rows, ldg = np.ascontiguousarray(rows), outputs
    jobs = _backward(count, inputs, outputs, ldg, ldx, turned_x, ldw, turned_w, wanted[0], wanted[1]).copy()
    for_x, for_weight, for_bias = None, None, None
    if wanted[0]:
        for_x = empty((count, inputs), dtype)
        jobs[0, A], jobs[0, B], jobs[0, C] = id(rows), id(weight), id(for_x)
    if wanted[1]:
        # a weight that lies transposed has a gradient that lies transposed
        for_weight = empty((inputs, outputs) if turned_w else (outputs, inputs), dtype)
        jobs[-1, A], jobs[-1, B], jobs[-1, C] = (id(x), id(rows), id(for_weight)) if turned_w else \
            (id(rows), id(x), id(for_weight))
        if biased and not turned_w:
            for_bias = empty(outputs, dtype)
            jobs[-1, SUMS] = id(for_bias)
    if len(jobs):
        run(jobs, dtype)
    if biased and for_bias is None:
        for_bias = rows.sum(0)
    return (for_x if for_x is None or len(shape) == 2 else for_x.reshape(shape),
            for_weight.T if for_weight is not None and turned_w else for_weight, for_bias)


def linear_accumulate(total: Any, g: Any, x: Any) -> bool:
    """total (out, in) += the gradient of the weight, g (*lead, out) transposed @ x (*lead, in), which BLAS does as it multiplies.
    False, and nothing is done, for small weights and for arrays that it cannot take.

    >>> linear_accumulate(np.zeros((1, 2)), np.ones((3, 1)), np.ones((3, 2)))
    False
    """
    if total.size < STRAIGHT or not x.size or not total.flags.carray or declines(total, g, x) \
            or np.may_share_memory(total, g) or np.may_share_memory(total, x):
        return False
    (rows, ldg, turned_g), (x, ldx, turned_x) = layout(rows_of(g)), layout(rows_of(x))
    if turned_g:
        rows, ldg = np.ascontiguousarray(rows), len(total)
    jobs = job(*total.shape, len(x), ldg, True, ldx, turned_x).copy()
    jobs[0, A], jobs[0, B], jobs[0, C], jobs[0, ADDS] = id(rows), id(x), id(total), 1
    run(jobs, total.dtype)
    return True


@lru_cache(4096)
def _backward(count: int, inputs: int, outputs: int, ldg: int, ldx: int, turned_x: bool, ldw: int, turned_w: bool,
              for_x: bool, for_weight: bool) -> Any:
    """The jobs of the backward pass: g @ weight, and g.T @ x or, for a weight that lies transposed, x.T @ g."""
    jobs = []
    if for_x:
        jobs.append(job(count, inputs, outputs, ldg, False, ldw, turned_w).copy())
    if for_weight and turned_w:
        jobs.append(job(inputs, outputs, count, ldx, not turned_x, ldg, False).copy())
    elif for_weight:
        jobs.append(job(outputs, inputs, count, ldg, True, ldx, turned_x).copy())
    if len(jobs) == 2:
        jobs[1][0, END] += jobs[0][0, END]
    return np.concatenate(jobs) if jobs else np.empty((0, 1), np.int64)


def rows_of(array: Any) -> Any:
    """(*lead, features) -> (prod(lead), features), also where an extent is zero."""
    if array.ndim == 2:
        return array
    count = 1
    for size in array.shape[:-1]:
        count *= size
    return array.reshape(count, array.shape[-1])
