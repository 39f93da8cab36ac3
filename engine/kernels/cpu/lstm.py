"""The LSTM over whole sequences: see recurrent.py for what it shares with the other recurrent networks.

What is kept for the backward pass: the gates after their activation, (4, T, N, H), and the cells, (T, N, H).
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import recurrent as shared
from chainrule.kernels.cpu.exponential import sigmoid, tanh
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import declines
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.tile import HEIGHT, width_in


@jit
def _activate(i: Any, f: Any, g: Any, o: Any, c: Any, h: Any) -> None:
    """The gates in place, and the new states."""
    for j in range(np.uint64(i.size)):
        i[j] = sigmoid(i[j])
    for j in range(np.uint64(f.size)):
        f[j] = sigmoid(f[j])
    for j in range(np.uint64(g.size)):
        g[j] = tanh(g[j])
    for j in range(np.uint64(o.size)):
        o[j] = sigmoid(o[j])
    for j in range(np.uint64(c.size)):
        c[j] = f[j] * c[j] + i[j] * g[j]
    for j in range(np.uint64(h.size)):
        h[j] = o[j] * tanh(c[j])


@tasks
def _forward(task: int, x: Any, step_x: int, row_x: int, w_ih: Any, w_hh: Any, bias: Any, h: Any, c: Any, mask: Any,
             counts: Any, reverse: bool, block: int, gates: Any, output: Any, cells: Any) -> None:
    """h, c (N * H) are the first states and become the last. Written: gates (4, T, N * H), output and cells (T, N * H)."""
    batch, steps, zero = counts.size, gates.shape[1], h.dtype.type(0)
    size = h.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    flat, seen, spare = gates.reshape(-1), np.empty((end - begin) * size, h.dtype), np.empty(HEIGHT * width_in(h), h.dtype)
    shared.see(h, mask, begin * size, end * size, seen)
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        for gate in range(4):
            shared.project(x, t * step_x + begin * row_x, row_x, seen, end - begin, w_ih[gate], w_hh[gate], bias, gate * size, flat,
                    (gate * steps + t) * h.size + begin * size, spare)
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            _activate(gates[0, t, low:high], gates[1, t, low:high], gates[2, t, low:high], gates[3, t, low:high], c[low:high],
                      h[low:high])
            shared.copy(c[low:high], cells[t, low:high])
            shared.copy(h[low:high], output[t, low:high])
            first, past = shared.next_run(t, past, end, counts)
        shared.blank(t, begin, end, size, counts, output[t], zero)
        shared.see(h, mask, begin * size, end * size, seen)


@jit
def _activate_backward(i: Any, f: Any, g: Any, o: Any, cell: Any, before: Any, dh: Any, dc: Any, di: Any, df: Any, dg: Any,
                       do: Any) -> None:
    """One step backward: di … do, the gradients before the activations; dc becomes that of the cell before."""
    one = cell.dtype.type(1)
    for j in range(np.uint64(do.size)):
        do[j] = tanh(cell[j])
    for j in range(np.uint64(dc.size)):
        dc[j] += dh[j] * o[j] * (one - do[j] * do[j])
    for j in range(np.uint64(do.size)):
        do[j] *= dh[j] * o[j] * (one - o[j])
    for j in range(np.uint64(di.size)):
        di[j] = dc[j] * g[j] * i[j] * (one - i[j])
    for j in range(np.uint64(df.size)):
        df[j] = dc[j] * before[j] * f[j] * (one - f[j])
    for j in range(np.uint64(dg.size)):
        dg[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(np.uint64(dc.size)):
        dc[j] *= f[j]


@tasks
def _backward(task: int, g: Any, gates: Any, cells: Any, c0: Any, dh: Any, dc: Any, w_ih: Any, w_hh: Any, mask: Any,
              counts: Any, reverse: bool, block: int, d: Any, db: Any, dx: Any) -> None:
    """dh, dc (N * H) are the gradients of the last states and become those of the first, from g (T, N * H), that of the output.

    Written: d (4, T, N * H), the gradients before the activations; db (pieces, 4, H), their sums; dx (T, N * I), empty if not
    wanted.
    """
    batch, steps, zero = counts.size, gates.shape[1], dh.dtype.type(0)
    size = dh.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    spare = np.empty(HEIGHT * width_in(d), d.dtype)
    before, product = np.empty((end - begin) * size, d.dtype), np.empty((end - begin) * size, d.dtype)
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            if g.size:
                shared.add(g[t, low:high], dh[low:high])
            shared.state_before(t, first, past, size, counts, reverse, c0, cells, before)
            _activate_backward(gates[0, t, low:high], gates[1, t, low:high], gates[2, t, low:high], gates[3, t, low:high],
                               cells[t, low:high], before, dh[low:high], dc[low:high], d[0, t, low:high], d[1, t, low:high],
                               d[2, t, low:high], d[3, t, low:high])
            shared.fill(dh[low:high], zero)  # it went into the gates; hand_back adds what they hand on
            first, past = shared.next_run(t, past, end, counts)
        for gate in range(4):
            shared.blank(t, begin, end, size, counts, d[gate, t], zero)
        shared.step_back(d, t, begin, end, 3, w_ih, w_hh, mask, dh, db[task], dx, product, spare)


def lstm(input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any,
         w_hr: Any, *, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.lstm`. Keeps the gates and cells; declines projections (w_hr)."""
    size = w_hh.shape[1]
    if w_hr is not None or not input.size or not size or declines(input, h0, c0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    (steps, batch, _), dtype, work = input.shape, input.dtype, input.shape[0] * input.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    h, c = (shared.begin_state(state, batch, size, dtype) for state in (h0, c0))
    gates = empty((4, steps, batch, size), dtype)
    output, cells = (empty((steps, batch, size), dtype) for _ in range(2))
    shared.run(_forward, pieces, work, *shared.laid_out(input), *shared.packed(w_ih, w_hh, 4, True, work),
               shared.bias_of(4 * size, dtype, b_ih, b_hh), h.reshape(-1), c.reshape(-1), *way, gates.reshape(4, steps, -1),
               output.reshape(steps, -1), cells.reshape(steps, -1))
    return (output, h, c), {"gates": gates, "cells": cells}


def lstm_grad(g: Any, input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
              gates: Any, cells: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `lstm`, from those of its three outputs."""
    if wanted[8]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype, work = out.shape, out.dtype, out.shape[0] * out.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    dx = empty(input.shape, dtype) if wanted[0] else np.empty(0, dtype)
    d, db = np.empty((4, steps, batch, size), dtype), np.zeros((pieces, 4, size), dtype)
    dh, dc = (shared.begin_state(state, batch, size, dtype) for state in g[1:])
    shared.run(_backward, pieces, work, shared.of_output(g[0], out), gates.reshape(4, steps, -1), cells.reshape(steps, -1),
               shared.first_state(c0, batch, size, dtype), dh.reshape(-1), dc.reshape(-1),
               *shared.packed(w_ih, w_hh, 4, False, work), *way, d.reshape(4, steps, -1), db, dx.reshape(-1))
    of_weights = shared.weights_gradients(d, db, 4, input, h0, out, way, wanted[3:7], work)
    return dx if wanted[0] else None, dh, dc, *of_weights, None, None, None
