"""Batch and group norm: the input is (N, C, P) in memory, so a channel of a sample is a run of P elements.

A channel (batch norm) or a group of channels of one sample (group norm) is swept for its mean, its variance and its result
while it is in the cache. With x̂ = (x - mean) · scale, scale = 1 / √(variance + eps), and v = g · weight, both have

    dx = scale · (v - mean(v) - x̂ · mean(v · x̂)),     dweight = Σ g · x̂,     dbias = Σ g,

of which the sums are taken run by run, in float64 beyond a run's blocks (sums.py). Kept are mean and scale. Declined:
dtypes other than float32 and float64, and gradients of batch norm's statistics, which only leave for running averages.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import flat, pieces, plain, served
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.sums import BLOCK, DEPTH, empty_into, total, total_of_squares

WIDTH = 128  # columns that a task takes side by side


@jit.jit
def _run(x: Any, begin: int, count: int, mean: Any, factor: Any, shift: Any, out: Any) -> None:
    """out = (x - mean) · factor + shift, over `count` elements."""
    first = np.uint64(begin)
    for j in range(np.uint64(count)):
        out[first + j] = (x[first + j] - mean) * factor + shift


@jit.jit
def _run_grad(g: Any, x: Any, begin: int, count: int, mean: Any, factor: Any, shift: Any, slope: Any, dx: Any) -> None:
    """dx = g · factor - shift - (x - mean) · slope, over `count` elements."""
    first = np.uint64(begin)
    for j in range(np.uint64(count)):
        dx[first + j] = g[first + j] * factor - shift - (x[first + j] - mean) * slope


@jit.jit
def _run_sums(g: Any, x: Any, begin: int, count: int, mean: Any) -> Any:
    """Σ g and Σ g · (x - mean), over `count` elements."""
    sum_g, sum_gx = 0.0, 0.0
    for left in range(0, count, BLOCK):
        first, a, b = np.uint64(begin + left), x.dtype.type(0), x.dtype.type(0)
        for j in range(np.uint64(min(BLOCK, count - left))):
            a += g[first + j]
            b += g[first + j] * (x[first + j] - mean)
        sum_g += a
        sum_gx += b
    return sum_g, sum_gx


# ---- group norm: a row is a group of one sample, `inner` runs one after the other

@jit.tasks
def _groups(task: int, x: Any, weight: Any, bias: Any, out: Any, means: Any, scales: Any, eps: float, tasks: int) -> None:
    """x and out (N · G · inner · P), weight and bias (G, inner), means and scales (N · G)."""
    rows, real, (groups, inner) = means.size, x.dtype.type, weight.shape
    size = x.size // max(rows, 1)
    count = size // inner
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        begin, group = row * size, row % groups
        mean = real(total(x, begin, size) / size)
        scale = real(1 / np.sqrt(total_of_squares(x, begin, size, mean) / size + eps))
        means[row], scales[row] = mean, scale
        for i in range(inner):
            _run(x, begin + i * count, count, mean, scale * weight[group, i], bias[group, i], out)


@jit.tasks
def _groups_grad(task: int, g: Any, x: Any, weight: Any, means: Any, scales: Any, dx: Any, dweight: Any, dbias: Any,
                 tasks: int) -> None:
    """dx like x; dweight and dbias (N · G, inner): the sums over one sample's positions."""
    rows, real, (groups, inner) = means.size, x.dtype.type, weight.shape
    size = x.size // max(rows, 1)
    count = size // inner
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        begin, group, mean, scale = row * size, row % groups, means[row], scales[row]
        sum_v, sum_vx = 0.0, 0.0
        for i in range(inner):
            sum_g, sum_gx = _run_sums(g, x, begin + i * count, count, mean)
            dweight[row, i], dbias[row, i] = sum_gx * scale, sum_g
            sum_v += sum_g * weight[group, i]
            sum_vx += sum_gx * weight[group, i]
        shift, slope = real(scale * (sum_v / size)), real(scale * scale * scale * (sum_vx / size))
        for i in range(inner):
            _run_grad(g, x, begin + i * count, count, mean, scale * weight[group, i], shift, slope, dx)


def _per_channel(value: Any, other: float, shape: tuple[int, ...], dtype: Any) -> Any:
    """weight or bias in this shape; in place of None an array of `other`."""
    return np.full(shape, other, dtype) if value is None else flat(value).reshape(shape)


def group_norm(input: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    """Each group of channels of each sample by itself; keeps its mean and scale."""
    if not served(input, weight, bias) or not input.size:
        return NotImplemented
    x, dtype, shape = flat(input), input.dtype, (num_groups, input.shape[1] // num_groups)
    rows = len(input) * num_groups
    out, means, scales = empty(input.shape, dtype), empty(rows, dtype), empty(rows, dtype)
    count = pieces(x.size, rows)
    _groups(count, x, _per_channel(weight, 1, shape, dtype), _per_channel(bias, 0, shape, dtype), out.reshape(-1), means, scales,
            eps, count)
    return out, {"means": means, "scales": scales}


def group_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any, num_groups: int) -> Any:
    """The gradients (input, weight, bias) of <g, group_norm(input, weight, bias)>."""
    if not served(g, input):
        return NotImplemented
    dtype, shape = input.dtype, (num_groups, input.shape[1] // num_groups)
    factors, sums = _per_channel(weight, 1, shape, dtype), np.empty((2, len(means), shape[1]))
    dx, count = empty(input.shape, dtype), pieces(input.size, len(means))
    _groups_grad(count, flat(g), flat(input), factors, means, scales, dx.reshape(-1), sums[0], sums[1], count)
    dweight, dbias = sums.reshape(2, len(input), -1).sum(1).astype(dtype)
    return dx, dweight, dbias


# ---- batch norm: a channel is one run of each sample

@jit.tasks
def _channels(task: int, x: Any, weight: Any, bias: Any, out: Any, means: Any, variances: Any, scales: Any, samples: int,
              positions: int, eps: float, tasks: int) -> None:
    """x and out (N · C · P), the others (C)."""
    channels, real = means.size, x.dtype.type
    for c in range(task * channels // tasks, (task + 1) * channels // tasks):
        found = 0.0
        for n in range(samples):
            found += total(x, (n * channels + c) * positions, positions)
        mean = real(found / (samples * positions))
        found = 0.0
        for n in range(samples):
            found += total_of_squares(x, (n * channels + c) * positions, positions, mean)
        variance = found / (samples * positions)
        scale = real(1 / np.sqrt(variance + eps))
        means[c], variances[c], scales[c] = mean, variance, scale
        for n in range(samples):
            _run(x, (n * channels + c) * positions, positions, mean, scale * weight[c], bias[c], out)


@jit.tasks
def _channels_grad(task: int, g: Any, x: Any, weight: Any, means: Any, scales: Any, dx: Any, dweight: Any, dbias: Any,
                   samples: int, positions: int, tasks: int) -> None:
    """g, x and dx (N · C · P), the others (C)."""
    channels, real = means.size, x.dtype.type
    for c in range(task * channels // tasks, (task + 1) * channels // tasks):
        mean, scale, sum_g, sum_gx = means[c], scales[c], 0.0, 0.0
        for n in range(samples):
            one, other = _run_sums(g, x, (n * channels + c) * positions, positions, mean)
            sum_g += one
            sum_gx += other
        dweight[c], dbias[c] = sum_gx * scale, sum_g
        factor, size = scale * weight[c], samples * positions
        shift, slope = real(factor * (sum_g / size)), real(factor * scale * scale * (sum_gx / size))
        for n in range(samples):
            _run_grad(g, x, (n * channels + c) * positions, positions, mean, factor, shift, slope, dx)


# Of a matrix (N, C) a channel is a column: a task takes WIDTH columns side by side and goes down the rows. Sums are as accurate
# as those of runs: at most DEPTH rows are added up before they go into float64.

@jit.tasks
def _columns(task: int, x: Any, weight: Any, bias: Any, out: Any, means: Any, variances: Any, scales: Any, eps: float) -> None:
    """x and out (N · C), the others (C)."""
    channels, left, real = means.size, task * WIDTH, x.dtype.type
    rows, right = x.size // channels, min(task * WIDTH + WIDTH, channels)
    mean, scale, factor, shift = means[left:right], scales[left:right], weight[left:right], bias[left:right]
    near, far = np.zeros(right - left, x.dtype), np.zeros(right - left)
    for row in range(rows):
        first = np.uint64(row * channels + left)
        for j in range(np.uint64(near.size)):
            near[j] += x[first + j]
        if row % DEPTH == DEPTH - 1:
            empty_into(near, far)
    empty_into(near, far)
    for j in range(near.size):
        mean[j] = far[j] / rows
        far[j] = 0
    for row in range(rows):
        first = np.uint64(row * channels + left)
        for j in range(np.uint64(near.size)):
            near[j] += (x[first + j] - mean[j]) * (x[first + j] - mean[j])
        if row % DEPTH == DEPTH - 1:
            empty_into(near, far)
    empty_into(near, far)
    for j in range(near.size):
        variances[left + j] = far[j] / rows
        scale[j] = real(1 / np.sqrt(far[j] / rows + eps))
        near[j] = scale[j] * factor[j]
    for row in range(rows):
        first = np.uint64(row * channels + left)
        for j in range(np.uint64(near.size)):
            out[first + j] = (x[first + j] - mean[j]) * near[j] + shift[j]


@jit.tasks
def _columns_grad(task: int, g: Any, x: Any, weight: Any, means: Any, scales: Any, dx: Any, dweight: Any, dbias: Any) -> None:
    """g, x and dx (N · C), the others (C)."""
    channels, left = means.size, task * WIDTH
    rows, right = x.size // channels, min(task * WIDTH + WIDTH, channels)
    mean, scale, factor = means[left:right], scales[left:right], weight[left:right]
    near_g, near_gx = np.zeros(right - left, x.dtype), np.zeros(right - left, x.dtype)
    far_g, far_gx = np.zeros(right - left), np.zeros(right - left)
    for row in range(rows):
        first = np.uint64(row * channels + left)
        for j in range(np.uint64(near_g.size)):
            near_g[j] += g[first + j]
            near_gx[j] += g[first + j] * (x[first + j] - mean[j])
        if row % DEPTH == DEPTH - 1:
            empty_into(near_g, far_g)
            empty_into(near_gx, far_gx)
    empty_into(near_g, far_g)
    empty_into(near_gx, far_gx)
    for j in range(near_g.size):
        dweight[left + j], dbias[left + j] = far_gx[j] * scale[j], far_g[j]
        near_g[j] = far_g[j] / rows
        near_gx[j] = far_gx[j] / rows * scale[j] * scale[j]
    for row in range(rows):
        first = np.uint64(row * channels + left)
        for j in range(np.uint64(near_g.size)):
            dx[first + j] = (g[first + j] - near_g[j] - (x[first + j] - mean[j]) * near_gx[j]) * (scale[j] * factor[j])


def batch_norm(input: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Each channel by itself: the result, and the channels' means and variances; keeps means and scales."""
    if not served(input, weight, bias) or not input.size:
        return NotImplemented
    samples, channels, dtype = len(input), input.shape[1], input.dtype
    out, means, variances, scales = (empty(s, dtype) for s in (input.shape, channels, channels, channels))
    weight, bias = _per_channel(weight, 1, (channels,), dtype), _per_channel(bias, 0, (channels,), dtype)
    if input.ndim == 2:
        _columns(-(-channels // WIDTH), flat(input), weight, bias, out.reshape(-1), means, variances, scales, eps)
    else:
        count = pieces(input.size, channels)
        _channels(count, flat(input), weight, bias, out.reshape(-1), means, variances, scales, samples,
                  input.size // (samples * channels), eps, count)
    return (out, means, variances), {"means": means, "scales": scales}


def batch_norm_grad(g: Any, input: Any, weight: Any, bias: Any, means: Any, scales: Any) -> Any:
    """The gradients (input, weight, bias) of <g[0], the result of batch_norm(input, weight, bias)>."""
    g, *statistics = g
    if g is None or any(d is not None for d in statistics) or not served(g, input):
        return NotImplemented
    samples, channels, dtype = len(input), input.shape[1], input.dtype
    dx, dweight, dbias = (empty(s, dtype) for s in (input.shape, channels, channels))
    factor = _per_channel(weight, 1, (channels,), dtype)
    if input.ndim == 2:
        _columns_grad(-(-channels // WIDTH), flat(g), flat(input), factor, means, scales, dx.reshape(-1), dweight, dbias)
    else:
        count = pieces(input.size, channels)
        _channels_grad(count, flat(g), flat(input), factor, means, scales, dx.reshape(-1), dweight, dbias, samples,
                       input.size // (samples * channels), count)
    return dx, dweight, dbias


# ---- batch norm with given statistics

@jit.tasks
def _scaled(task: int, x: Any, factor: Any, shift: Any, out: Any, tasks: int) -> None:
    """out = x · factor + shift with factor and shift (C), of x and out (N · C · P) for N · C runs."""
    positions = out.shape[1]
    flat_out, zero = out.reshape(-1), x.dtype.type(0)
    for run in range(task * len(out) // tasks, (task + 1) * len(out) // tasks):
        c = run % factor.size
        _run(x, run * positions, positions, zero, factor[c], shift[c], flat_out)


def _affine(x: Any, factor: Any, shift: Any) -> Any:
    out = empty(x.shape, x.dtype)
    runs = len(x) * x.shape[1]
    count = pieces(x.size, runs)
    _scaled(count, flat(x), factor, shift, out.reshape(runs, -1), count)
    return out


def batch_norm_by_running(input: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """input · factor + shift for each channel, factor = weight / √(var + eps), shift = bias - mean · factor."""
    if not served(input, mean, var, weight, bias) or not input.size or input.ndim < 3:
        return NotImplemented
    factor = 1 / np.sqrt(var + eps) if weight is None else weight / np.sqrt(var + eps)
    shift = -mean * factor if bias is None else bias - mean * factor
    return _affine(input, plain(factor), plain(shift))


def batch_norm_by_running_grad(g: Any, input: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, wanted: Any) -> Any:
    """The gradient of <g, batch_norm_by_running(input, …)> by the input; where others are wanted the definition gives them."""
    if any(wanted[1:]) or not served(g, input):
        return NotImplemented
    factor = 1 / np.sqrt(var + eps) if weight is None else weight / np.sqrt(var + eps)
    return _affine(g, plain(factor), np.zeros(factor.shape, factor.dtype)), None, None, None, None
