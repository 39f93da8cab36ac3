"""Optimizers' rules for all parameters of a group at once, and gradients clipped in one pass.

Each kernel takes a flat list of arrays (for every parameter itself, its gradient, its state), and coefficients: one row, or one
for each parameter where their numbers of steps differ. It returns False, and has written nothing, where it cannot do what
it is asked (see `addresses.table`); the rule in plain NumPy, which stands beside each optimizer, is its definition.

The kernels read and write each array once. All elements together are cut into pieces of equal size, whatever arrays they lie
in; where, depends on the sizes alone.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.addresses import part, span, table
from chainrule.kernels.cpu.arrays import pieces
from chainrule.kernels.cpu.jit import jit, tasks

PIECE = 1 << 14  # elements of a task, at least
BLOCK = 1 << 10


def _run(kernel: Any, arrays: list[Any], columns: int, numbers: Any, *switches: bool) -> bool:
    """Call a kernel on the table of the arrays, `columns` of them a row, with the numbers in their dtype; False where it cannot
    take them."""
    rows, total = table(arrays, columns)
    if total > 0:
        count = pieces(total, total, PIECE)
        kernel(count, rows, np.array(numbers, arrays[0].dtype), count, *switches)
    return total >= 0


@jit
def _uphill(g: float, p: float, sign: float, decay: float) -> float:
    """±g + decay · p."""
    return sign * g + decay * p if decay != 0 else sign * g


@tasks
def _sgd(task: int, rows: Any, coefficients: Any, pieces: int, momentum: bool, nesterov: bool) -> None:
    for row in range(rows.shape[0] - 1):
        low, high = span(rows, row, task, pieces)
        sign, decay, keep, add, rate = coefficients[min(row, coefficients.shape[0] - 1)]
        p = part(rows[row, 1], low, high, coefficients)
        g = part(rows[row, 2], low, high, coefficients)
        if momentum:
            b = part(rows[row, 3], low, high, coefficients)
            for i in range(np.uint64(p.size)):
                d = _uphill(g[i], p[i], sign, decay)
                b[i] = keep * b[i] + add * d
                p[i] -= rate * (d + keep * b[i] if nesterov else b[i])
        else:
            for i in range(np.uint64(p.size)):
                p[i] -= rate * _uphill(g[i], p[i], sign, decay)


def sgd_step(arrays: list[Any], coefficients: Any, *, momentum: bool, nesterov: bool) -> bool:
    """`optim.sgd.sgd` for arrays p, g and, with momentum, its buffer. Coefficients: ±1, weight_decay, momentum,
    1 − dampening, lr."""
    return _run(_sgd, arrays, 3 if momentum else 2, coefficients, momentum, nesterov)


@tasks
def _adam(task: int, rows: Any, coefficients: Any, pieces: int, amsgrad: bool) -> None:
    for row in range(rows.shape[0] - 1):
        low, high = span(rows, row, task, pieces)
        sign, decay, shrink, add, keep2, add2, root, eps, rate = coefficients[min(row, coefficients.shape[0] - 1)]
        p = part(rows[row, 1], low, high, coefficients)
        g = part(rows[row, 2], low, high, coefficients)
        m = part(rows[row, 3], low, high, coefficients)
        v = part(rows[row, 4], low, high, coefficients)
        if amsgrad:
            largest = part(rows[row, 5], low, high, coefficients)
            for i in range(np.uint64(p.size)):
                d = _uphill(g[i], p[i], sign, decay)
                m[i] += add * (d - m[i])
                v[i] = keep2 * v[i] + add2 * d * d
                if v[i] > largest[i] or v[i] != v[i]:
                    largest[i] = v[i]
                p[i] = shrink * p[i] - rate * (m[i] / (np.sqrt(largest[i]) * root + eps))
        else:
            for i in range(np.uint64(p.size)):
                d = _uphill(g[i], p[i], sign, decay)
                m[i] += add * (d - m[i])
                v[i] = keep2 * v[i] + add2 * d * d
                p[i] = shrink * p[i] - rate * (m[i] / (np.sqrt(v[i]) * root + eps))


def adam_step(arrays: list[Any], coefficients: Any, *, amsgrad: bool) -> bool:
    """`optim.adam.adam` for arrays p, g, m, v and, with amsgrad, the largest v. Coefficients: ±1, the weight decay in the
    gradient, the factor of p before the step, 1 − β₁, β₂, 1 − β₂, 1 / √(1 − β₂ᵗ), ε, lr / (1 − β₁ᵗ)."""
    return _run(_adam, arrays, 5 if amsgrad else 4, coefficients, amsgrad)


@tasks
def _rmsprop(task: int, rows: Any, coefficients: Any, pieces: int, centered: bool, momentum: bool) -> None:
    change = np.empty(min(BLOCK, rows[-1, 0]), coefficients.dtype)  # of so few elements that it stays in the cache
    for row in range(rows.shape[0] - 1):
        low, high = span(rows, row, task, pieces)
        sign, decay, keep, add, eps, keep_buffer, rate = coefficients[min(row, coefficients.shape[0] - 1)]
        for start in range(low, high, BLOCK):
            stop = min(start + BLOCK, high)
            p = part(rows[row, 1], start, stop, coefficients)
            g = part(rows[row, 2], start, stop, coefficients)
            v = part(rows[row, 3], start, stop, coefficients)
            if centered:
                mean = part(rows[row, 4], start, stop, coefficients)
                for i in range(np.uint64(p.size)):
                    d = _uphill(g[i], p[i], sign, decay)
                    v[i] = keep * v[i] + add * d * d
                    mean[i] += add * (d - mean[i])
                    change[i] = d / (np.sqrt(v[i] - mean[i] * mean[i]) + eps)
            else:
                for i in range(np.uint64(p.size)):
                    d = _uphill(g[i], p[i], sign, decay)
                    v[i] = keep * v[i] + add * d * d
                    change[i] = d / (np.sqrt(v[i]) + eps)
            if momentum:
                b = part(rows[row, rows.shape[1] - 1], start, stop, coefficients)
                for i in range(np.uint64(p.size)):
                    b[i] = keep_buffer * b[i] + change[i]
                    p[i] -= rate * b[i]
            else:
                for i in range(np.uint64(p.size)):
                    p[i] -= rate * change[i]


def rmsprop_step(arrays: list[Any], coefficients: Any, *, centered: bool, momentum: bool) -> bool:
    """`optim.rmsprop.rmsprop` for arrays p, g, v, with `centered` the mean, and with `momentum` its buffer. Coefficients: ±1,
    weight_decay, α, 1 − α, ε, momentum, lr."""
    return _run(_rmsprop, arrays, 3 + centered + momentum, coefficients, centered, momentum)


@tasks
def _squares(task: int, rows: Any, sums: Any, like: Any, pieces: int) -> None:
    found = 0.0
    for row in range(rows.shape[0] - 1):
        low, high = span(rows, row, task, pieces)
        x = part(rows[row, 1], low, high, like)
        for i in range(np.uint64(x.size)):
            found += np.float64(x[i]) * np.float64(x[i])
    sums[task] = found


def sum_of_squares(arrays: list[Any]) -> float | None:
    """Σ x² over all elements of the arrays, in float64; None where it cannot take them.

    >>> sum_of_squares([np.full(2, 3.0), np.full((1, 1), 4.0)])
    34.0
    """
    rows, total = table(arrays, 1)
    if total < 0:
        return None
    count = pieces(total, total, PIECE)
    sums = np.zeros(count)
    _squares(count, rows, sums, np.empty(0, arrays[0].dtype), count)
    return float(sums.sum())


@tasks
def _limit(task: int, rows: Any, numbers: Any, pieces: int) -> None:
    factor, lowest, highest = numbers
    for row in range(rows.shape[0] - 1):
        low, high = span(rows, row, task, pieces)
        x = part(rows[row, 1], low, high, numbers)
        for i in range(np.uint64(x.size)):
            y = factor * x[i]
            y = lowest if y < lowest else y  # written so that NaN stays
            x[i] = highest if y > highest else y


def scale_and_clamp(arrays: list[Any], factor: float, limit: float) -> bool:
    """x ← min(max(factor · x, −limit), limit) for all elements of the arrays, in place; False where it cannot take them."""
    return _run(_limit, arrays, 1, (factor, -limit, limit))
