"""Layer, rms, group and batch norm: mean and variance of a row (or channel) while it is in the cache, then the result.

Where the definition makes a full-size array for every step, a row is swept three times, for its mean, its variance and
its result, and comes from memory once. The backward pass likewise: with x̂ = (x - mean) · scale, scale = 1 / √(variance +
eps) and v = g · weight,

    dx = scale · (v - mean(v) - x̂ · mean(v · x̂)),     dweight = Σ g · x̂,     dbias = Σ g.

Kept are mean and scale, two numbers a row. Sums are those of sums.py; what tasks add up for weight and bias is summed in
the order of the tasks, whose number depends on the shape alone. Declined: dtypes other than float32 and float64.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import flat, pieces, served
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.sums import BLOCK, DEPTH, NEAR, empty_into, total, total_of_squares

# ---- a row at a time: layer norm and, without the mean, rms norm

@jit.tasks
def _rows(task: int, x: Any, weight: Any, bias: Any, out: Any, means: Any, scales: Any, eps: float, centred: bool,
          tasks: int) -> None:
    """x and out (R · n), weight and bias (n), means and scales (R)."""
    rows, n = means.size, weight.size
    near, end = max(1, NEAR // n), (task + 1) * rows // tasks
    for top in range(task * rows // tasks, end, near):
        past = min(top + near, end)
        for row in range(top, past):
            means[row] = x.dtype.type(total(x, row * n, n) / n) if centred else x.dtype.type(0)
        for row in range(top, past):
            scales[row] = x.dtype.type(1 / np.sqrt(total_of_squares(x, row * n, n, means[row]) / n + eps))
        for row in range(top, past):
            first, mean, scale = np.uint64(row * n), means[row], scales[row]
            for j in range(np.uint64(n)):
                out[first + j] = (x[first + j] - mean) * scale * weight[j] + bias[j]


@jit.tasks
def _rows_grad(task: int, g: Any, x: Any, weight: Any, means: Any, scales: Any, dx: Any, dweight: Any, dbias: Any,
               centred: bool, tasks: int) -> None:
    """dx (R · n); dweight and dbias (tasks, n), zeros on entry: each task's sums over its rows."""
    rows, n = means.size, weight.size
    near_weight, near_bias = np.zeros(n, x.dtype), np.zeros(n, x.dtype)
    top = task * rows // tasks
    for row in range(top, (task + 1) * rows // tasks):
        mean, scale = means[row], scales[row]
        sum_v, sum_vx = 0.0, 0.0
        for left in range(0, n, BLOCK):
            first, at, v, vx = np.uint64(row * n + left), np.uint64(left), x.dtype.type(0), x.dtype.type(0)
            for j in range(np.uint64(min(BLOCK, n - left))):
                v += g[first + j] * weight[at + j]
                vx += g[first + j] * weight[at + j] * (x[first + j] - mean)
            sum_v += v
            sum_vx += vx
        shift = x.dtype.type(sum_v / n) if centred else x.dtype.type(0)
        slope = x.dtype.type(sum_vx * scale / n) * scale
        first = np.uint64(row * n)
        for j in range(np.uint64(n)):
            given, centre = g[first + j], x[first + j] - mean
            dx[first + j] = scale * (given * weight[j] - shift - centre * slope)
            near_weight[j] += given * (centre * scale)
            near_bias[j] += given
        if (row - top) % DEPTH == DEPTH - 1:
            empty_into(near_weight, dweight[task])
            empty_into(near_bias, dbias[task])
    empty_into(near_weight, dweight[task])
    empty_into(near_bias, dbias[task])


def _forward_rows(x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float, centred: bool) -> Any:
    n = prod(shape)
    rows = x.size // n if n else 0
    weight = np.ones(n, x.dtype) if weight is None else flat(weight)
    bias = np.zeros(n, x.dtype) if bias is None else flat(bias)
    out, means, scales = empty(x.shape, x.dtype), empty(rows, x.dtype), empty(rows, x.dtype)
    count = pieces(x.size, rows)
    _rows(count, flat(x), weight, bias, out.reshape(-1), means, scales, eps, centred, count)
    return out, {"means": means, "scales": scales}


def _backward_rows(g: Any, x: Any, weight: Any, means: Any, scales: Any, shape: tuple[int, ...], centred: bool) -> Any:
    n = prod(shape)
    dx, count = empty(x.shape, x.dtype), pieces(x.size, means.size)
    factor = np.ones(n, x.dtype) if weight is None else flat(weight)
    sums = np.zeros((2, count, n))
    _rows_grad(count, flat(g), flat(x), factor, means, scales, dx.reshape(-1), sums[0], sums[1], centred, count)
    dweight, dbias = sums.sum(1).astype(x.dtype).reshape(2, *shape)
    return dx, dweight, dbias


def layer_norm(input: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """(input - mean) · scale · weight + bias, row by row; keeps mean and scale of each."""
    if not served(input, weight, bias):
        return NotImplemented
    return _forward_rows(input, weight, bias, normalized_shape, eps, True)


def layer_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any,
                    normalized_shape: tuple[int, ...]) -> Any:
    """The gradients (input, weight, bias) of <g, layer_norm(input, weight, bias)>."""
    if not served(g, input):
        return NotImplemented
    return _backward_rows(g, input, weight, means, scales, normalized_shape, True)


def rms_norm(input: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """input · scale · weight, row by row, scale = 1 / √(mean(input²) + eps); keeps the scales (and means of 0)."""
    if not served(input, weight):
        return NotImplemented
    return _forward_rows(input, weight, None, normalized_shape, eps, False)


def rms_norm_grad(g: Any, input: Any, weight: Any, means: Any, scales: Any, normalized_shape: tuple[int, ...]) -> Any:
    """The gradients (input, weight) of <g, rms_norm(input, weight)>."""
    if not served(g, input):
        return NotImplemented
    return _backward_rows(g, input, weight, means, scales, normalized_shape, False)[:2]

