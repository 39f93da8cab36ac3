"""Squared errors and cross-entropy in one pass each way.

Cross-entropy goes without the matrix of log probabilities between. Forward sweeps a row of logits for its maximum and for
S = Σ exp(x - maximum), and keeps these two numbers of it:

    -log softmax(x)[t] = (maximum - x_t) + log S,     softmax(x) = exp(x - maximum) / S.

Backward writes (softmax(x) - onehot(t)) times the row's share of g straight away. Losses of rows are summed in float64, in an order
that depends on the shape alone. A target that is no class raises IndexError here too. Declined: the gradient of the class
weights, dtypes other than float32 and float64.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import flat, pieces, served
from chainrule.kernels.cpu.exponential import exp, settled
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.sums import BLOCK, NEAR, largest

# Squared errors of fewer elements than this are left to NumPy.
SMALLEST = 1 << 13


@jit.tasks
def _differences(task: int, a: Any, b: Any, difference: Any, sums: Any, tasks: int) -> None:
    """difference = a - b, and sums (tasks) of its squares, all flat."""
    size, found = a.size, 0.0
    end = (task + 1) * size // tasks
    for left in range(task * size // tasks, end, BLOCK):
        first, count, part = np.uint64(left), np.uint64(min(BLOCK, end - left)), a.dtype.type(0)
        for j in range(count):
            difference[first + j] = a[first + j] - b[first + j]
        for j in range(count):
            part += difference[first + j] * difference[first + j]
        found += part
    sums[task] = found


def squared_error(input: Any, target: Any, *, reduction: str) -> Any:
    """The loss, and the difference, which the gradient is made of; declined are integers, half precision and no elements.

    >>> squared_error(np.array([1., 4.]), np.array([1., 2.]), reduction="mean")
    (array(2.), {'difference': array([0., 2.])})
    """
    if not served(input, target) or input.shape != target.shape or not input.size:
        return NotImplemented
    difference = empty(input.shape, input.dtype)
    if input.size < SMALLEST:
        line = np.subtract(input, target, out=difference).reshape(-1)
        loss = float(np.dot(line, line))
    else:
        count = pieces(input.size, input.size)
        sums = np.zeros(count)
        _differences(count, flat(input), flat(target), difference.reshape(-1), sums, count)
        loss = float(sums.sum())
    return np.array(loss / input.size if reduction == "mean" else loss, input.dtype), {"difference": difference}


def squared_error_grad(g: Any, difference: Any, reduction: str, wanted: tuple[bool, bool]) -> Any:
    """The gradients of <g, loss> by the input and the target: ±2 g · difference, divided by the count for a mean."""
    factor = g * (2 / difference.size if reduction == "mean" else 2)
    return (np.multiply(difference, factor, out=empty(difference.shape, difference.dtype)) if wanted[0] else None,
            np.multiply(difference, -factor, out=empty(difference.shape, difference.dtype)) if wanted[1] else None)


@jit.tasks
def _rows(task: int, x: Any, target: Any, weight: Any, tops: Any, bottoms: Any, losses: Any, sums: Any, ignore_index: int,
          smoothing: float, tasks: int) -> None:
    """x (M · C), target (M) -> tops, bottoms, losses (M); sums (tasks, 3): losses, shares, and how many targets are no class.

    weight (C), or of no elements, which stands for ones.
    """
    rows, real = target.size, x.dtype.type
    classes = x.size // max(rows, 1)
    near, end = max(1, NEAR // classes), (task + 1) * rows // tasks
    exponentials, losses_here, shares, wrong = np.empty(near), 0.0, 0.0, 0
    for begin in range(task * rows // tasks, end, near):
        past = min(begin + near, end)
        for row in range(begin, past):
            tops[row] = largest(x, row * classes, classes)
        for row in range(begin, past):
            found, top = 0.0, tops[row]
            for left in range(0, classes, BLOCK):
                first, part = np.uint64(row * classes + left), real(0)
                for j in range(np.uint64(min(BLOCK, classes - left))):
                    part += exp(x[first + j] - top)
                found += part
            exponentials[row - begin] = found
            bottoms[row] = found
        for row in range(begin, past):
            t, start, top, log = target[row], row * classes, tops[row], np.log(exponentials[row - begin])
            losses[row] = 0
            if t == ignore_index:
                continue
            if t < 0 or t >= classes:
                wrong += 1
                continue
            share = weight[t] if weight.size else real(1)
            loss = share * (settled(top - x[start + t]) + log)
            if smoothing != 0:
                uniform = 0.0  # Σ_c w_c · -log softmax(x)_c
                for c in range(classes):
                    uniform += (settled(top - x[start + c]) + log) * (weight[c] if weight.size else real(1))
                loss = (1 - smoothing) * loss + smoothing / classes * uniform
            losses[row] = loss
            losses_here += loss
            shares += share
    sums[task, 0], sums[task, 1], sums[task, 2] = losses_here, shares, wrong


@jit.tasks
def _rows_grad(task: int, x: Any, target: Any, weight: Any, tops: Any, bottoms: Any, factors: Any, dx: Any, ignore_index: int,
               smoothing: float, tasks: int) -> None:
    """dx (M · C) = factors[m] times the derivative of row m's loss; factors (M), or (1) for all alike."""
    rows, real = target.size, x.dtype.type
    classes = x.size // max(rows, 1)
    weights = real(classes)
    if weight.size:
        weights = real(np.sum(weight))
    for row in range(task * rows // tasks, (task + 1) * rows // tasks):
        first, t, factor = np.uint64(row * classes), target[row], factors[row % factors.size]
        if t == ignore_index:
            for j in range(np.uint64(classes)):
                dx[first + j] = real(0)
            continue
        hit = factor * real(1 - smoothing) * (weight[t] if weight.size else real(1))
        spread = factor * real(smoothing / classes)
        # Settled: else the loop below divides again where it goes number by number, which it does at a row's end, and for the
        # whole row where x begins within a vector before dx: the last digit would hang on where the arrays lie.
        top, scale = tops[row], settled((hit + spread * weights) / bottoms[row])
        for j in range(np.uint64(classes)):
            dx[first + j] = scale * exp(x[first + j] - top)
        dx[row * classes + t] -= hit
        if spread != 0:
            for j in range(np.uint64(classes)):
                dx[first + j] -= spread * (weight[j] if weight.size else real(1))


def cross_entropy(input: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float, reduction: str) -> Any:
    """The loss of logits (M, C) and classes (M,); keeps a row's maximum and the log of its sum of exponentials."""
    if not served(input, weight) or not input.size:
        return NotImplemented
    rows, dtype = len(input), input.dtype
    tops, bottoms, losses = empty(rows, dtype), empty(rows, dtype), empty(rows, dtype)
    count = pieces(input.size, rows)
    sums = np.zeros((count, 3))
    classes = np.ascontiguousarray(target, np.int64)
    _rows(count, flat(input), classes, np.empty(0, dtype) if weight is None else flat(weight), tops, bottoms, losses, sums,
          ignore_index, label_smoothing, count)
    loss, share, wrong = (sums[0] if count == 1 else sums.sum(0)).tolist()
    if wrong:
        raise IndexError(f"cross_entropy: {wrong:.0f} targets are out of range for {input.shape[1]} classes (valid: 0 to "
                         f"{input.shape[1] - 1}, or ignore_index={ignore_index})")
    kept = {"tops": tops, "bottoms": bottoms, "share": np.array([share], dtype)}
    if reduction == "none":
        return losses, kept
    if reduction == "mean" and share:
        loss = loss / share
    elif reduction == "mean":
        with np.errstate(all="ignore"):
            loss = np.float64(loss) / share
    return np.array(loss, dtype), kept


def cross_entropy_grad(g: Any, input: Any, target: Any, weight: Any, tops: Any, bottoms: Any, share: Any, ignore_index: int,
                       label_smoothing: float, reduction: str, wanted: Any) -> Any:
    """The gradient of <g, loss> by the logits."""
    if wanted[2] or g.dtype != input.dtype:
        return NotImplemented
    factors = g.reshape(-1) if reduction != "mean" else g.reshape(1) / share
    dx, count = empty(input.shape, input.dtype), pieces(input.size, len(input))
    _rows_grad(count, flat(input), np.ascontiguousarray(target, np.int64),
               np.empty(0, input.dtype) if weight is None else flat(weight), tops, bottoms, flat(factors), dx.reshape(-1),
               ignore_index, label_smoothing, count)
    return dx, None, None
