"""The plain recurrent network over whole sequences: see recurrent.py for what it shares with the others.

What is kept for the backward pass: the output.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import recurrent as shared
from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.exponential import tanh
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import declines
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.tile import HEIGHT, width_in


@jit
def _activate(values: Any, relu: bool) -> None:
    """tanh or relu, in place."""
    zero = values.dtype.type(0)
    if relu:
        for j in range(np.uint64(values.size)):
            values[j] = zero if values[j] <= zero else values[j]
    else:
        for j in range(np.uint64(values.size)):
            values[j] = tanh(values[j])


@tasks
def _forward(task: int, x: Any, step_x: int, row_x: int, w_ih: Any, w_hh: Any, bias: Any, h: Any, mask: Any, counts: Any,
             reverse: bool, block: int, relu: bool, output: Any) -> None:
    """h (N * H) is the first state and becomes the last; output (T, N * H) is written."""
    batch, steps, zero = counts.size, output.shape[0], h.dtype.type(0)
    size = h.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    flat, seen, spare = output.reshape(-1), np.empty((end - begin) * size, h.dtype), np.empty(HEIGHT * width_in(h), h.dtype)
    shared.see(h, mask, begin * size, end * size, seen)
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        shared.project(x, t * step_x + begin * row_x, row_x, seen, end - begin, w_ih[0], w_hh[0], bias, 0, flat,
                t * h.size + begin * size, spare)
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            _activate(output[t, low:high], relu)
            shared.copy(output[t, low:high], h[low:high])
            first, past = shared.next_run(t, past, end, counts)
        shared.blank(t, begin, end, size, counts, output[t], zero)
        shared.see(h, mask, begin * size, end * size, seen)


@jit
def _activate_backward(value: Any, dh: Any, d: Any, relu: bool) -> None:
    """d = dh times the derivative of the activation, by its value."""
    zero, one = d.dtype.type(0), d.dtype.type(1)
    if relu:
        for j in range(np.uint64(d.size)):
            d[j] = zero if value[j] <= zero else dh[j]
    else:
        for j in range(np.uint64(d.size)):
            d[j] = dh[j] * (one - value[j] * value[j])


@tasks
def _backward(task: int, g: Any, output: Any, dh: Any, w_ih: Any, w_hh: Any, mask: Any, counts: Any, reverse: bool, block: int,
              relu: bool, d: Any, db: Any, dx: Any) -> None:
    """dh (N * H) is the gradient of the last state and becomes that of the first, from g (T, N * H), that of the output.

    Written: d (1, T, N * H), the gradient before the activation; db (pieces, 1, H), its sums; dx (T * N * I), empty if not wanted.
    """
    batch, steps, zero = counts.size, output.shape[0], dh.dtype.type(0)
    size = dh.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    product, spare = np.empty((end - begin) * size, d.dtype), np.empty(HEIGHT * width_in(d), d.dtype)
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            if g.size:
                shared.add(g[t, low:high], dh[low:high])
            _activate_backward(output[t, low:high], dh[low:high], d[0, t, low:high], relu)
            shared.fill(dh[low:high], zero)  # it went into d; step_back adds what d hands on
            first, past = shared.next_run(t, past, end, counts)
        shared.blank(t, begin, end, size, counts, d[0, t], zero)
        shared.step_back(d, t, begin, end, 0, w_ih, w_hh, mask, dh, db[task], dx, product, spare)


def rnn(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        nonlinearity: str, reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.rnn`. Keeps only the output."""
    size = w_hh.shape[1]
    if not input.size or not size or declines(input, h0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    (steps, batch, _), dtype, work = input.shape, input.dtype, input.shape[0] * input.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    h, output = shared.begin_state(h0, batch, size, dtype), empty((steps, batch, size), dtype)
    shared.run(_forward, pieces, work, *shared.laid_out(input), *shared.packed(w_ih, w_hh, 1, True, work),
               shared.bias_of(size, dtype, b_ih, b_hh), h.reshape(-1), *way, nonlinearity == "relu", output.reshape(steps, -1))
    return output, h


def rnn_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any,
             nonlinearity: str, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `rnn`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype, work = out.shape, out.dtype, out.shape[0] * out.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    dx = empty(input.shape, dtype) if wanted[0] else np.empty(0, dtype)
    d, db = np.empty((1, steps, batch, size), dtype), np.zeros((pieces, 1, size), dtype)
    dh = shared.begin_state(g[1], batch, size, dtype)
    shared.run(_backward, pieces, work, shared.of_output(g[0], out), plain(out).reshape(steps, -1), dh.reshape(-1),
               *shared.packed(w_ih, w_hh, 1, False, work), *way, nonlinearity == "relu", d.reshape(1, steps, -1), db,
               dx.reshape(-1))
    of_weights = shared.weights_gradients(d, db, 1, input, h0, out, way, wanted[2:6], work)
    return dx if wanted[0] else None, dh, *of_weights, None, None
