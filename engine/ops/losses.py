"""Losses that are rows of the table or fused ops; those that are compositions stand in `functional/losses*.py`."""

import math
from typing import Any

import numpy as np

from chainrule.fused import fused, register
from chainrule.graph import Op
from chainrule.ops.half import narrow, widen

__all__: list[str] = []


def _slope(xp: Any, g: Any, input: Any, target: Any) -> Any:
    """(x - t) / (x (1 - x)), the denominator kept from 0 as torch's."""
    least = 1e-12 if input.dtype != np.float16 else 6e-8
    return g * (input - target) / xp.maximum(input * (1 - input), least)


def _target_slope(xp: Any, g: Any, input: Any) -> Any:
    """log(1 - x) - log x, kept finite at 0 and 1."""
    least = float(np.finfo(input.dtype).tiny)
    return g * (xp.log(xp.maximum(1 - input, least)) - xp.log(xp.maximum(input, least)))


binary_cross_entropy = Op("binary_cross_entropy", "-(t log x + (1 - t) log(1 - x)), each logarithm at least -100.",
                          word="elementwise", input=_slope, target=_target_slope)


def reduced(xp: Any, loss: Any, reduction: str) -> Any:
    """The mean of the elements, their sum, or (none) the elements."""
    return xp.mean(loss, axis=None) if reduction == "mean" else xp.sum(loss, axis=None) if reduction == "sum" else loss


@register
@fused
def squared_error(xp: Any, input: Any, target: Any, *, reduction: str) -> Any:
    """(input - target)² of two arrays of one shape: their mean or sum, ()."""
    return reduced(xp, xp.square(input - target), reduction)


def nll(xp: Any, log_probabilities: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float,
        reduction: str) -> Any:
    """Minus the log probability of the target class: (M, C) and (M,) give (M,), or () reduced.

    ℓ_m = -w[t_m] logp[m, t_m], and 0 where t_m is ignore_index; the mean divides by the sum of the w[t_m] that count.
    With smoothing ε: (1 - ε) ℓ_m - ε/C Σ_c w_c logp[m, c].
    """
    rows, classes = log_probabilities.shape
    dtype = log_probabilities.dtype
    counts = target != ignore_index
    index = xp.where(counts, target, 0)
    share = xp.astype(counts, dtype) if weight is None else xp.where(counts, xp.getitem(weight, index=index), 0)  # (M,)
    if rows == 0:
        picked = xp.sum(log_probabilities, axis=1)
    else:
        picked = xp.getitem(log_probabilities, index=(xp.arange(rows), index))
    # `where` rather than a product: an ignored row may be infinite
    loss = -xp.where(counts, picked, 0) * share
    if label_smoothing:
        weighted = log_probabilities if weight is None else log_probabilities * weight
        uniform = -xp.where(counts, xp.sum(weighted, axis=1), 0)
        loss = (1 - label_smoothing) * loss + (label_smoothing / classes) * uniform
    if reduction == "mean":
        return xp.sum(loss, axis=None) / xp.sum(share, axis=None)
    return xp.sum(loss, axis=None) if reduction == "sum" else loss


@register
@fused
def cross_entropy(xp: Any, input: Any, target: Any, weight: Any, *, ignore_index: int, label_smoothing: float,
                  reduction: str) -> Any:
    """-log softmax(input)[target] of logits (M, C) and class indices (M,), reduced as `nll` says; weight (C,) or None.

    The target lies within 0 … C - 1 or is ignore_index (the caller has checked).
    """
    logits = widen(xp, input)
    loss = nll(xp, xp.log_softmax(logits, axis=1), target, widen(xp, weight), ignore_index=ignore_index,
               label_smoothing=label_smoothing, reduction=reduction)
    return narrow(xp, loss, input.dtype)


@register
@fused
def ctc_loss(xp: Any, log_probs: Any, states: Any, input_lengths: Any, target_lengths: Any) -> Any:
    """-log of the probability that the distributions of T steps spell the target, for each of N sequences: (N,).

    Each step emits a class, of which one is the blank; what is read is the emitted string with repetitions merged and
    then blanks removed. So a way to emit the target walks through its labels with a blank before, between and after
    them, the `states`: it may stay, go on to the next, or skip a blank between labels that differ. α_t(s), the log of
    the summed probability of all walks that are in state s after t steps, begins in the first blank with α_0(0) = 0:

        α_t(s) = log_probs[t, state s] + log(e^α_{t-1}(s) + e^α_{t-1}(s - 1) + [may skip] e^α_{t-1}(s - 2)).

    After the last step a walk must be in one of the last two states. Where none is possible the loss is inf and its
    derivative 0.

    log_probs (T, N, C), states (N, 2S + 1) classes, input_lengths and target_lengths (N,). Graves et al. (2006),
    "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural networks".
    """
    x = widen(xp, log_probs)
    (steps, count, _), width = x.shape, states.shape[1]
    place, ends = xp.arange(width, device=states.device), 2 * xp.reshape(target_lengths, (count, 1))
    index = xp.reshape(xp.arange(steps), (steps, 1, 1)), xp.reshape(xp.arange(count), (count, 1)), states
    emitted = xp.getitem(x, index=index)  # (T, N, 2S + 1)
    never = xp.zeros_like(x, shape=(count, 1)) - math.inf
    alpha = xp.where(place == 0, 0, never)  # (N, 2S + 1)
    for t in range(steps):
        skip = xp.where(states[:, 2:] != states[:, :-2], alpha[:, :-2], never)  # two blanks are equal: none is skipped to
        ways = [alpha, xp.concatenate([never, alpha[:, :-1]], axis=1), xp.concatenate([never, never, skip], axis=1)]
        after = emitted[t] + xp.logsumexp(xp.stack([way[:, :width] for way in ways], axis=0), axis=0)
        alpha = xp.where(t < xp.reshape(input_lengths, (count, 1)), after, alpha)
    last = (place == ends) | (place == ends - 1)
    return narrow(xp, -xp.logsumexp(xp.where(last, alpha, never), axis=1), log_probs.dtype)
