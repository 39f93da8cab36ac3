"""Recurrent networks over whole sequences: lstm, gru and rnn (recurrent.cu has what happens in a step).

Forward, one product computes the input's share of all gates for all steps; then each step is a product of the states with w_hh
and one kernel. Backward, each step is one kernel, which gives the gradients before the activations, and their product with w_hh;
the gradients of the input and of the weights are products over all steps at once.

Kept for the backward pass: the gates after their activation (T, N, gates * H), the lstm's cells (T, N, H) and the gru's
candidates (T, N, H). For 16-bit inputs the cells, and the gradients handed from step to step, are float32.

Two launches a step. To capture the loop in a CUDA graph, which would make it one launch in all, is not possible with CuPy: it
raises NotImplementedError for a call of cuBLAS in a stream that is being captured.

Declined, and left to the definition: projections (w_hr), sizes of zero, and the gradient of a state mask.
"""

from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import THREADS, blocks, served, wide
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_lstm_step, _lstm_step_grad, _gru_step, _gru_step_grad, _states_before = (
    Kernel("recurrent.cu", name, instances(FLOATS + HALVES))
    for name in ("lstm_step", "lstm_step_grad", "gru_step", "gru_step_grad", "states_before"))
_rnn_step, _rnn_step_grad = (Kernel("recurrent.cu", name, instances(FLOATS + HALVES, (False, True)))
                             for name in ("rnn_step", "rnn_step_grad"))


def state(given: Any, batch: int, size: int, dtype: Any) -> Any:
    """A new state (N, H): a copy of the given one, or zeros."""
    return cupy.zeros((batch, size), dtype) if given is None else given.astype(dtype, order="C", copy=True)


def product(values: Any, weight: Any) -> Any:
    """values (T, N, K) @ weight (K, G), as one product."""
    steps, batch, width = values.shape
    return cupy.matmul(values.reshape(steps * batch, width), weight).reshape(steps, batch, weight.shape[1])


class Sequences:
    """The sequences of one call, and what every step is given of them."""

    def __init__(self, steps: int, batch: int, size: int, dtype: Any, lengths: Any, state_mask: Any, reverse: bool) -> None:
        self.steps, self.batch, self.size, self.dtype, self.reverse = steps, batch, size, dtype, reverse
        self.lengths = None if lengths is None else contiguous(lengths.astype(np.int64, copy=False))
        self.mask = contiguous(state_mask)
        self.total = batch * size

    def run(self, kernel: Kernel, template: tuple[Any, ...], *arguments: Any, rows: int = 1) -> None:
        """Launch a kernel with a thread for each element of a state, `rows` times."""
        kernel(self.dtype, *template, grid=(*blocks(self.total), rows), block=(THREADS,), arguments=arguments)

    def forward(self, kernel: Kernel, template: tuple[Any, ...], h: Any, w_hh: Any, before: tuple[Any, ...], b_ih: Any, b_hh: Any,
                after: tuple[Any, ...]) -> None:
        """All steps: a product of the states and a kernel. `before` and `after`: its arguments around the shared ones."""
        seen = h if self.mask is None else h * self.mask
        transposed = contiguous(w_hh).T
        share = cupy.empty((self.batch, w_hh.shape[0]), self.dtype)
        shared = contiguous(b_ih), contiguous(b_hh), self.lengths, self.mask, h, seen
        for t in range(self.steps)[::-1 if self.reverse else 1]:
            cupy.matmul(seen, transposed, out=share)
            self.run(kernel, template, *before, share, *shared, *after, t, self.steps, self.total, self.size)

    def backward(self, kernel: Kernel, template: tuple[Any, ...], dh: Any, w_hh: Any, before: tuple[Any, ...], g: Any,
                 after: tuple[Any, ...], d: Any, first: bool, *more: Any) -> Any:
        """All steps from the last: a kernel, which writes d (T, N, gates * H), and a product that takes d through w_hh. Returns
        the gradient of the first state (N, H), if it is asked for."""
        through, weight, g = None, contiguous(w_hh), contiguous(g)
        product = cupy.empty((self.batch, self.size), self.dtype)
        order = range(self.steps)[:: 1 if self.reverse else -1]
        for t in order:
            self.run(kernel, template, *before, self.lengths, self.mask, g, through, dh, *after, t, self.steps, self.total,
                     self.size, *more)
            if first or t != order[-1]:
                through = cupy.matmul(d[t], weight, out=product)
        if not first:
            return None
        return (dh + (through if self.mask is None else through * self.mask)).astype(self.dtype, copy=False)

    def of_input(self, d: Any, w_ih: Any, wanted: bool) -> Any:
        """The gradient of the input (T, N, I), from those before the activations."""
        return product(d, contiguous(w_ih)) if wanted else None

    def of_weights(self, d_input: Any, d_state: Any, input: Any, h0: Any, output: Any, wanted: Any) -> list[Any]:
        """The gradients of w_ih, w_hh, b_ih and b_hh, None where not wanted, from those before the activations (T, N, gates * H)
        of the input's and of the state's share."""
        rows, found = self.steps * self.batch, [None] * 4
        d_input, d_state = d_input.reshape(rows, -1), d_state.reshape(rows, -1)
        if wanted[0]:
            if self.lengths is not None:  # whatever is past the end may be NaN, and 0 * NaN is NaN
                input = cupy.where((cupy.arange(self.steps)[:, None] < self.lengths)[:, :, None], input, input.dtype.type(0))
            found[0] = cupy.matmul(d_input.T, contiguous(input).reshape(rows, -1))
        if wanted[1]:
            seen = cupy.empty((self.steps, self.batch, self.size), self.dtype)
            self.run(_states_before, (), contiguous(output), contiguous(h0), self.lengths, self.mask, seen, self.steps,
                     self.total, self.size, self.reverse, rows=self.steps)
            found[1] = cupy.matmul(d_state.T, seen.reshape(rows, -1))
        for place, d in ((2, d_input), (3, d_state)):
            if wanted[place]:
                found[place] = d.sum(axis=0, dtype=wide(self.dtype)).astype(self.dtype, copy=False)
        return found


def _declines(input: Any, w_hh: Any) -> bool:
    return not input.size or not w_hh.shape[1] or not served(input) or input.shape[0] > 65535


def lstm(input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any,
         w_hr: Any, *, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.lstm`. Keeps the gates and cells; declines projections (w_hr)."""
    if w_hr is not None or _declines(input, w_hh):
        return NotImplemented
    (steps, batch, _), size, dtype = input.shape, w_hh.shape[1], input.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    h, c = state(h0, batch, size, dtype), state(c0, batch, size, wide(dtype))
    gates = product(contiguous(input), contiguous(w_ih).T)
    output, cells = cupy.empty((steps, batch, size), dtype), cupy.empty((steps, batch, size), c.dtype)
    run.forward(_lstm_step, (), h, w_hh, (gates,), b_ih, b_hh, (c, cells, output))
    return (output, h, c.astype(dtype, copy=False)), {"gates": gates, "cells": cells}


def lstm_grad(g: Any, input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
              gates: Any, cells: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `lstm`, from those of its three outputs."""
    if wanted[8]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype = out.shape, out.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    dh, dc = (state(d, batch, size, wide(dtype)) for d in g[1:])
    d = cupy.empty(gates.shape, dtype)
    dh0 = run.backward(_lstm_step_grad, (), dh, w_hh, (gates, cells, contiguous(c0)), g[0], (dc, d), d, wanted[1], reverse)
    return (run.of_input(d, w_ih, wanted[0]), dh0, dc.astype(dtype, copy=False) if wanted[2] else None,
            *run.of_weights(d, d, input, h0, out, wanted[3:7]), None, None, None)


def gru(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.gru`. Keeps the gates, and the candidate's part of h @ w_hh.T + b_hh."""
    if _declines(input, w_hh):
        return NotImplemented
    (steps, batch, _), size, dtype = input.shape, w_hh.shape[1], input.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    h, gates = state(h0, batch, size, dtype), product(contiguous(input), contiguous(w_ih).T)
    output, candidates = (cupy.empty((steps, batch, size), dtype) for _ in range(2))
    run.forward(_gru_step, (), h, w_hh, (gates,), b_ih, b_hh, (candidates, output))
    return (output, h), {"gates": gates, "candidates": candidates}


def gru_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any, gates: Any,
             candidates: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `gru`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype = out.shape, out.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    dh = state(g[1], batch, size, wide(dtype))
    d_input, d_state = (cupy.empty(gates.shape, dtype) for _ in range(2))
    dh0 = run.backward(_gru_step_grad, (), dh, w_hh, (gates, candidates, contiguous(out), contiguous(h0)), g[0],
                       (d_input, d_state), d_state, wanted[1], reverse)
    return (run.of_input(d_input, w_ih, wanted[0]), dh0, *run.of_weights(d_input, d_state, input, h0, out, wanted[2:6]), None, None)


def rnn(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        nonlinearity: str, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.rnn`. Keeps only the output."""
    if _declines(input, w_hh):
        return NotImplemented
    (steps, batch, _), size, dtype = input.shape, w_hh.shape[1], input.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    h, output = state(h0, batch, size, dtype), product(contiguous(input), contiguous(w_ih).T)
    run.forward(_rnn_step, (nonlinearity == "relu",), h, w_hh, (), b_ih, b_hh, (output,))
    return output, h


def rnn_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
             nonlinearity: str, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `rnn`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype = out.shape, out.dtype
    run = Sequences(steps, batch, size, dtype, lengths, state_mask, reverse)
    dh, d = state(g[1], batch, size, wide(dtype)), cupy.empty(out.shape, dtype)
    dh0 = run.backward(_rnn_step_grad, (nonlinearity == "relu",), dh, w_hh, (contiguous(out),), g[0], (d,), d, wanted[1])
    return run.of_input(d, w_ih, wanted[0]), dh0, *run.of_weights(d, d, input, h0, out, wanted[2:6]), None, None
