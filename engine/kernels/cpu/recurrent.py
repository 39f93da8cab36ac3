"""Recurrent networks: the input's product for all steps at once, then per step one small product and one pass of gates.

The sequences of a batch do not know of each other, so the threads share them out and each runs all steps of its own:
nothing waits between steps. A task is a number of sequences that depends on the batch alone, not on the threads, and so
do the bits of the result.

The loops over gates write one array each: a loop that writes several of them must first find at run time that they do
not overlap, and is not vectorised where there are too many to ask about.

What is kept for the backward pass: the gates after their activation, (T, N, gates * H), written over the projected
inputs, and the LSTM's cells (T, N, H). Declined, and left to the definition: dtypes other than float32 and float64,
sizes of zero, an LSTM with a projection, and the gradient of a state mask.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.blas import gemm
from chainrule.kernels.cpu.exponential import sigmoid, tanh
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.linear import linear, linear_grad
from chainrule.kernels.cpu.matmul import declines

# A task has at least this many sequences, and a call at most this many tasks.
SEQUENCES, TASKS = 32, 16


def _tasks(batch: int) -> int:
    return max(1, min(TASKS, batch // SEQUENCES))


def _counts(lengths: Any, steps: int, batch: int) -> Any:
    return np.full(batch, steps, np.int64) if lengths is None else np.array(lengths, np.int64, order="C")


def _plain(array: Any) -> Any:
    """The array in C order and writable: numba compiles anew for any other kind."""
    return np.require(array, requirements=["C", "W"])


def _visible(input: Any, lengths: Any) -> Any:
    """input (T, N, I) with zeros past the lengths: what is there may be anything, and 0 * NaN is NaN."""
    if lengths is None:
        return input
    steps = np.arange(input.shape[0])
    return np.where((steps[:, None] < lengths)[:, :, None], input, input.dtype.type(0))


def _state(state: Any, batch: int, size: int, dtype: Any) -> Any:
    """A state (N, H) or None as an array of our own."""
    return np.zeros((batch, size), dtype) if state is None else np.array(state, order="C")


def _mask(state_mask: Any, dtype: Any) -> Any:
    """The mask (N, H) of the state, without elements for none."""
    return np.empty((0, 0), dtype) if state_mask is None else _plain(state_mask)


def _seen(h: Any, state_mask: Any) -> Any:
    """What the weight sees of the state h: the same array where there is no mask."""
    return h if state_mask is None else h * state_mask


def _total(first: Any, second: Any) -> Any:
    """The sum of two biases, either of which may be None."""
    return second if first is None else first if second is None else first + second


def _before(output: Any, h0: Any, counts: Any, reverse: bool) -> Any:
    """The state before each step, (T, N, H): the output one step earlier, h0 at a sequence's first."""
    found = np.empty_like(output)
    if reverse:
        found[:-1], found[-1] = output[1:], 0
        some = np.flatnonzero(counts)
        found[counts[some] - 1, some] = 0 if h0 is None else h0[some]
    else:
        found[1:], found[0] = output[:-1], 0 if h0 is None else h0
    return found


def _gradient(g: Any, like: Any) -> Any:
    """The gradient of an output as an array of our own, to be added to; zeros for one that was not used."""
    return np.zeros_like(like) if g is None else np.array(g, order="C")


def _of_output(g: Any, dtype: Any) -> Any:
    """The gradient (T, N, H) of the output, without elements where it was not used."""
    return np.empty((0, 0, 0), dtype) if g is None else _plain(g)


@jit
def _add(source: Any, target: Any) -> None:
    for j in range(np.uint64(target.size)):
        target[j] += source[j]


@jit
def _copy(source: Any, target: Any) -> None:
    for j in range(np.uint64(target.size)):
        target[j] = source[j]


@jit
def _fill(target: Any, value: Any) -> None:
    for j in range(np.uint64(target.size)):
        target[j] = value


@jit
def _show(h: Any, mask: Any, seen: Any, n: int) -> None:
    """Sequence n has a new state: seen = h * mask. Without a mask, `seen` is h."""
    if mask.size:
        state, factors, target = h[n], mask[n], seen[n]
        for j in range(np.uint64(target.size)):
            target[j] = state[j] * factors[j]


@jit
def _hand_back(d: Any, weight: Any, mask: Any, dh: Any) -> None:
    """dh (N, H) += mask * (d (N, G) @ weight (G, H)): the gradient of the state that a step began with."""
    batch, width = d.shape
    size = weight.shape[1]
    if not mask.size:
        gemm(False, False, batch, size, width, 1.0, d, width, weight, size, 1.0, dh, size)
        return
    product = np.empty((batch, size), d.dtype)
    gemm(False, False, batch, size, width, 1.0, d, width, weight, size, 0.0, product, size)
    for n in range(batch):
        source, factors, target = product[n], mask[n], dh[n]
        for j in range(np.uint64(size)):
            target[j] += source[j] * factors[j]


@jit
def _sigmoid(line: Any) -> None:
    for j in range(np.uint64(line.size)):
        line[j] = sigmoid(line[j])


@jit
def _tanh(source: Any, target: Any) -> None:
    for j in range(np.uint64(target.size)):
        target[j] = tanh(source[j])


@jit
def _through_sigmoid(line: Any, value: Any) -> None:
    """line *= value * (1 - value), the derivative of the sigmoid by its value."""
    one = value.dtype.type(1)
    for j in range(np.uint64(line.size)):
        line[j] *= value[j] * (one - value[j])


# LSTM

@jit
def _lstm_row(gates: Any, h: Any, c: Any) -> None:
    """One step of one sequence: gates (4H,) are activated in place, h and c (H,) become the new state."""
    size = c.size
    i, f, g, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    _sigmoid(gates[: 2 * size])
    _tanh(g, g)
    _sigmoid(o)
    for j in range(np.uint64(size)):
        c[j] = f[j] * c[j] + i[j] * g[j]
    for j in range(np.uint64(size)):
        h[j] = o[j] * tanh(c[j])


@tasks
def _lstm_forward(task: int, gates: Any, h: Any, c: Any, weight: Any, mask: Any, seen: Any, counts: Any, reverse: bool, tasks: int,
                  output: Any, cells: Any) -> None:
    """gates (T, N, 4H): the projected inputs, then the gates. h, c (N, H): the first states, then the last."""
    steps, batch, width = gates.shape
    size, zero = width // 4, gates.dtype.type(0)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        gemm(False, True, end - begin, width, size, 1.0, seen[begin:], size, weight, size, 1.0, gates[t, begin:],
             width)
        for n in range(begin, end):
            if t < counts[n]:
                _lstm_row(gates[t, n], h[n], c[n])
                _show(h, mask, seen, n)
                _copy(h[n], output[t, n])
                _copy(c[n], cells[t, n])
            else:
                _fill(output[t, n], zero)


@jit
def _lstm_row_backward(gates: Any, cell: Any, before: Any, dh: Any, dc: Any, d: Any) -> None:
    """One step of one sequence backward: d (4H,), the gradient before the activations; dc becomes that of c before."""
    size, one = cell.size, cell.dtype.type(1)
    i, f, g, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
    di, df, dg, do = d[:size], d[size : 2 * size], d[2 * size : 3 * size], d[3 * size :]
    _tanh(cell, do)
    for j in range(np.uint64(size)):
        dc[j] += dh[j] * o[j] * (one - do[j] * do[j])
    for j in range(np.uint64(size)):
        do[j] *= dh[j]
    for j in range(np.uint64(size)):
        di[j] = dc[j] * g[j]
    for j in range(np.uint64(size)):
        df[j] = dc[j] * before[j]
    for j in range(np.uint64(size)):
        dg[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(np.uint64(size)):
        dc[j] *= f[j]
    _through_sigmoid(d[: 2 * size], gates[: 2 * size])
    _through_sigmoid(do, o)


@tasks
def _lstm_backward(task: int, g: Any, gates: Any, cells: Any, c0: Any, dh: Any, dc: Any, weight: Any, mask: Any, counts: Any,
                   reverse: bool, tasks: int, d: Any) -> None:
    """d (T, N, 4H) from g, that of the output. dh, dc (N, H): the gradients of the last states, then of the first."""
    steps, batch, _ = gates.shape
    zero = gates.dtype.type(0)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        for n in range(begin, end):
            if t < counts[n]:
                if g.size:
                    _add(g[t, n], dh[n])
                if reverse:
                    before = c0[n] if t == counts[n] - 1 else cells[t + 1, n]
                else:
                    before = c0[n] if t == 0 else cells[t - 1, n]
                _lstm_row_backward(gates[t, n], cells[t, n], before, dh[n], dc[n], d[t, n])
                _fill(dh[n], zero)  # it went into the gates; the product adds what they hand on
            else:
                _fill(d[t, n], zero)
        _hand_back(d[t, begin:end], weight, mask[begin:end], dh[begin:end])


def lstm(input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any,
         w_hr: Any, *, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.lstm`. Keeps the gates and cells."""
    size = w_hh.shape[1]
    if w_hr is not None or not input.size or not size or declines(input, h0, c0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    steps, batch, _ = input.shape
    gates = linear(_visible(input, lengths), w_ih, _total(b_ih, b_hh))
    h, c = _state(h0, batch, size, input.dtype), _state(c0, batch, size, input.dtype)
    output, cells = (np.empty((steps, batch, size), input.dtype) for _ in range(2))
    tasks = _tasks(batch)
    _lstm_forward(tasks, gates, h, c, _plain(w_hh), _mask(state_mask, h.dtype), _seen(h, state_mask),
                               _counts(lengths, steps, batch), reverse, tasks, output, cells)
    return (output, h, c), {"gates": gates, "cells": cells}


def lstm_grad(g: Any, input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
              gates: Any, cells: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `lstm`, from those of its three outputs."""
    if wanted[8]:  # that of the mask
        return NotImplemented
    steps, batch, size = out.shape
    counts, tasks = _counts(lengths, steps, batch), _tasks(batch)
    dh, dc = _gradient(g[1], out[0]), _gradient(g[2], out[0])
    d = np.empty_like(gates)
    _lstm_backward(tasks, _of_output(g[0], out.dtype), gates, cells, _state(c0, batch, size, out.dtype), dh, dc,
                                _plain(w_hh), _mask(state_mask, d.dtype), counts, reverse, tasks, d)
    return *_collect(d, d, dh, (dc,), input, h0, w_ih, w_hh, lengths, state_mask, out, counts, reverse, wanted), None


def _collect(d: Any, d_recurrent: Any, dh: Any, more: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any,
             state_mask: Any, out: Any, counts: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs, in their order, from those of the gates' input products and recurrent products."""
    states = 1 + len(more)
    of_w_ih, of_w_hh, of_b_ih, of_b_hh = wanted[1 + states : 5 + states]
    one = np.empty(0, d.dtype)  # stands for a bias, so that its gradient is computed
    dx, dw_ih, db_ih = linear_grad(d, _visible(input, lengths), w_ih, one, (wanted[0], of_w_ih, of_b_ih))
    before = _seen(_before(out, h0, counts, reverse), state_mask) if of_w_hh else out
    _, dw_hh, db_hh = linear_grad(d_recurrent, before, w_hh, one, (False, of_w_hh, of_b_hh))
    return dx, dh, *more, dw_ih, dw_hh, db_ih, db_hh, None, None


# GRU

@jit
def _gru_row(gates: Any, product: Any, h: Any, candidate: Any) -> None:
    """One step: gates (3H,) become r, z, n; of product (3H,) = h @ w_hh.T + b_hh, `candidate` keeps the third part."""
    size, one = h.size, h.dtype.type(1)
    r, z, n = gates[:size], gates[size : 2 * size], gates[2 * size :]
    for j in range(np.uint64(2 * size)):
        gates[j] = sigmoid(gates[j] + product[j])
    _copy(product[2 * size :], candidate)
    for j in range(np.uint64(size)):
        n[j] = tanh(n[j] + r[j] * candidate[j])
    for j in range(np.uint64(size)):
        h[j] = (one - z[j]) * n[j] + z[j] * h[j]


@tasks
def _gru_forward(task: int, gates: Any, h: Any, weight: Any, bias: Any, mask: Any, seen: Any, counts: Any, reverse: bool,
                 tasks: int, output: Any, candidates: Any) -> None:
    """gates (T, N, 3H): the projected inputs, then the gates. h (N, H): the first state, then the last."""
    steps, batch, width = gates.shape
    size, zero = width // 3, gates.dtype.type(0)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    product = np.empty((end - begin, width), gates.dtype)
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        for n in range(end - begin):
            _copy(bias, product[n])
        gemm(False, True, end - begin, width, size, 1.0, seen[begin:], size, weight, size, 1.0, product, width)
        for n in range(begin, end):
            if t < counts[n]:
                _gru_row(gates[t, n], product[n - begin], h[n], candidates[t, n])
                _show(h, mask, seen, n)
                _copy(h[n], output[t, n])
            else:
                _fill(output[t, n], zero)


@jit
def _gru_row_backward(gates: Any, before: Any, candidate: Any, dh: Any, d: Any, d_recurrent: Any) -> None:
    """d (3H,) of the input's products, d_recurrent (3H,) of the state's; dh becomes what goes around the gates."""
    size, one = dh.size, dh.dtype.type(1)
    r, z, n = gates[:size], gates[size : 2 * size], gates[2 * size :]
    dr, dz, dn, reset = d[:size], d[size : 2 * size], d[2 * size :], d_recurrent[2 * size :]
    for j in range(np.uint64(size)):
        dn[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])
    for j in range(np.uint64(size)):
        dz[j] = dh[j] * (before[j] - n[j])
    for j in range(np.uint64(size)):
        dr[j] = dn[j] * candidate[j]
    _through_sigmoid(d[: 2 * size], gates[: 2 * size])
    _copy(d[: 2 * size], d_recurrent[: 2 * size])
    for j in range(np.uint64(size)):
        reset[j] = dn[j] * r[j]
    for j in range(np.uint64(size)):
        dh[j] *= z[j]


@tasks
def _gru_backward(task: int, g: Any, gates: Any, candidates: Any, before: Any, dh: Any, weight: Any, mask: Any, counts: Any,
                  reverse: bool, tasks: int, d: Any, d_recurrent: Any) -> None:
    """d and d_recurrent (T, N, 3H). dh (N, H): the gradient of the last state, then of the first."""
    steps, batch, _ = gates.shape
    zero = gates.dtype.type(0)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        for n in range(begin, end):
            if t < counts[n]:
                if g.size:
                    _add(g[t, n], dh[n])
                _gru_row_backward(gates[t, n], before[t, n], candidates[t, n], dh[n], d[t, n], d_recurrent[t, n])
            else:
                _fill(d[t, n], zero)
                _fill(d_recurrent[t, n], zero)
        _hand_back(d_recurrent[t, begin:end], weight, mask[begin:end], dh[begin:end])


def gru(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.gru`. Keeps the gates, and the candidate's part of h @ w_hh.T + b_hh."""
    size = w_hh.shape[1]
    if not input.size or not size or declines(input, h0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    steps, batch, _ = input.shape
    gates = linear(_visible(input, lengths), w_ih, b_ih)
    h = _state(h0, batch, size, input.dtype)
    output, candidates = (np.empty((steps, batch, size), input.dtype) for _ in range(2))
    bias = np.zeros(3 * size, input.dtype) if b_hh is None else _plain(b_hh)
    tasks = _tasks(batch)
    _gru_forward(tasks, gates, h, _plain(w_hh), bias, _mask(state_mask, h.dtype), _seen(h, state_mask),
                              _counts(lengths, steps, batch), reverse, tasks, output, candidates)
    return (output, h), {"gates": gates, "candidates": candidates}


def gru_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any, gates: Any,
             candidates: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `gru`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    steps, batch, _ = out.shape
    counts, tasks = _counts(lengths, steps, batch), _tasks(batch)
    dh, d, d_recurrent = _gradient(g[1], out[0]), np.empty_like(gates), np.empty_like(gates)
    _gru_backward(tasks, _of_output(g[0], out.dtype), gates, candidates, _before(out, h0, counts, reverse), dh,
                               _plain(w_hh), _mask(state_mask, d.dtype), counts, reverse, tasks, d, d_recurrent)
    return _collect(d, d_recurrent, dh, (), input, h0, w_ih, w_hh, lengths, state_mask, out, counts, reverse, wanted)


# The plain network

@tasks
def _rnn_forward(task: int, output: Any, h: Any, weight: Any, mask: Any, seen: Any, counts: Any, relu: bool, reverse: bool,
                 tasks: int) -> None:
    """output (T, N, H): the projected inputs, then the output. h (N, H): the first state, then the last."""
    steps, batch, size = output.shape
    zero = output.dtype.type(0)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        gemm(False, True, end - begin, size, size, 1.0, seen[begin:], size, weight, size, 1.0, output[t, begin:],
             size)
        for n in range(begin, end):
            line = output[t, n]
            if t >= counts[n]:
                _fill(line, zero)
                continue
            if relu:
                for j in range(np.uint64(size)):
                    line[j] = zero if line[j] <= zero else line[j]
            else:
                _tanh(line, line)
            _copy(line, h[n])
            _show(h, mask, seen, n)


@tasks
def _rnn_backward(task: int, g: Any, output: Any, dh: Any, weight: Any, mask: Any, counts: Any, relu: bool, reverse: bool,
                  tasks: int, d: Any) -> None:
    """d (T, N, H) from g, that of the output. dh (N, H): the gradient of the last state, then of the first."""
    steps, batch, size = output.shape
    zero, one = output.dtype.type(0), output.dtype.type(1)
    begin, end = task * batch // tasks, (task + 1) * batch // tasks
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        for n in range(begin, end):
            line, value, state = d[t, n], output[t, n], dh[n]
            if t >= counts[n]:
                _fill(line, zero)
                continue
            if g.size:
                _add(g[t, n], state)
            if relu:
                for j in range(np.uint64(size)):
                    line[j] = zero if value[j] <= zero else state[j]
            else:
                for j in range(np.uint64(size)):
                    line[j] = state[j] * (one - value[j] * value[j])
            _fill(state, zero)
        _hand_back(d[t, begin:end], weight, mask[begin:end], dh[begin:end])


def rnn(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        nonlinearity: str, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.rnn`. Keeps only the output."""
    size = w_hh.shape[1]
    if not input.size or not size or declines(input, h0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    steps, batch, _ = input.shape
    output = linear(_visible(input, lengths), w_ih, _total(b_ih, b_hh))
    h, tasks = _state(h0, batch, size, input.dtype), _tasks(batch)
    _rnn_forward(tasks, output, h, _plain(w_hh), _mask(state_mask, h.dtype), _seen(h, state_mask),
                              _counts(lengths, steps, batch), nonlinearity == "relu", reverse, tasks)
    return output, h


def rnn_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
             nonlinearity: str, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `rnn`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    steps, batch, _ = out.shape
    counts, tasks = _counts(lengths, steps, batch), _tasks(batch)
    dh, d = _gradient(g[1], out[0]), np.empty_like(out)
    _rnn_backward(tasks, _of_output(g[0], out.dtype), out, dh, _plain(w_hh), _mask(state_mask, d.dtype), counts,
                               nonlinearity == "relu", reverse, tasks, d)
    return _collect(d, d, dh, (), input, h0, w_ih, w_hh, lengths, state_mask, out, counts, reverse, wanted)
