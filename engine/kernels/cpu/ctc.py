"""The loss of connectionist temporal classification: α forward, β and the gradient backward, one task per sequence.

α_t(s) is the log of the summed probability of all beginnings of t steps that end in state s, that of step t among them;
β_t(s) that of all ends that follow upon state s at step t, without step t. Then e^(α_t(s) + β_t(s)) / P is the share of
walks that are in s at t, and minus the sum of the shares of a class is the derivative by its log probability.

All of it is computed in float64, whatever the input: over a thousand steps the logarithms are numbers around -1000,
whose differences float32 would know to three digits. Kept for the backward pass: α, (T, N, 2S + 1).
"""

import math
from typing import Any

import numpy as np

from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import declines


@jit
def _log_sum(a: float, b: float, c: float) -> float:
    """log(e^a + e^b + e^c); -inf where all are, NaN where one is."""
    top = max(a, b, c)
    if top == -math.inf:
        return a + b + c
    return top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))


@tasks
def _alphas(n: int, log_probs: Any, states: Any, steps: Any, ends: Any, alphas: Any, losses: Any) -> None:
    """alphas (T, N, 2S + 1) and losses (N,) of log_probs (T, N, C) and states (N, 2S + 1)."""
    never = -math.inf
    last = 2 * ends[n]
    before = np.full(last + 1, never)
    before[0] = 0.0
    for t in range(steps[n]):
        after = alphas[t, n]
        for s in range(last + 1):
            one = before[s - 1] if s > 0 else never
            two = before[s - 2] if s > 1 and states[n, s] != states[n, s - 2] else never
            after[s] = log_probs[t, n, states[n, s]] + _log_sum(before[s], one, two)
        before = after
    losses[n] = -_log_sum(before[last], before[last - 1] if last > 0 else never, never)


@tasks
def _gradient(n: int, g: Any, log_probs: Any, states: Any, steps: Any, ends: Any, alphas: Any, losses: Any, d: Any) -> None:
    """d (T, N, C), given as zeros; a sequence that no walk spells keeps them."""
    never = -math.inf
    if losses[n] == math.inf:
        return
    last = 2 * ends[n]
    ahead, beta = np.full(last + 3, never), np.full(last + 1, never)  # ahead: β and the step's own probability
    beta[last] = 0.0
    if last > 0:
        beta[last - 1] = 0.0
    for t in range(steps[n] - 1, -1, -1):
        for s in range(last + 1):
            d[t, n, states[n, s]] -= g[n] * math.exp(alphas[t, n, s] + beta[s] + losses[n])
            ahead[s] = beta[s] + log_probs[t, n, states[n, s]]
        for s in range(last + 1):
            two = ahead[s + 2] if s + 2 <= last and states[n, s + 2] != states[n, s] else never
            beta[s] = _log_sum(ahead[s], ahead[s + 1], two)


def ctc_loss(log_probs: Any, states: Any, input_lengths: Any, target_lengths: Any) -> Any:
    """See `chainrule.ops.losses.ctc_loss`. Keeps the αs, and the losses in float64."""
    if not log_probs.size or declines(log_probs):
        return NotImplemented
    steps, count, _ = log_probs.shape
    alphas, losses = np.empty((steps, count, states.shape[1])), np.empty(count)
    _alphas(count, plain(log_probs), plain(states), plain(input_lengths), plain(target_lengths), alphas, losses)
    return losses.astype(log_probs.dtype), {"alphas": alphas, "losses": losses}


def ctc_loss_grad(g: Any, log_probs: Any, states: Any, input_lengths: Any, target_lengths: Any, alphas: Any,
                  losses: Any) -> Any:
    """The gradient of `ctc_loss` by log_probs; the other inputs are integers."""
    d = np.zeros(log_probs.shape, log_probs.dtype)
    _gradient(len(losses), plain(g), plain(log_probs), plain(states), plain(input_lengths), plain(target_lengths), alphas,
              losses, d)
    return d, None, None, None
