"""The gated recurrent unit over whole sequences: see recurrent.py for what it shares with the other recurrent networks.

What is kept for the backward pass: the gates after their activation, (3, T, N, H), and of h @ w_hh.T + b_hh the candidate's part,
(T, N, H), which the reset gate multiplies.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu import recurrent as shared
from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.exponential import sigmoid, tanh
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.matmul import declines
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.cpu.tile import HEIGHT, add_product, width_in


@jit
def _activate(r: Any, z: Any, n: Any, candidate: Any, h: Any) -> None:
    """The gates in place, and the new state."""
    one = h.dtype.type(1)
    for j in range(np.uint64(r.size)):
        r[j] = sigmoid(r[j])
    for j in range(np.uint64(z.size)):
        z[j] = sigmoid(z[j])
    for j in range(np.uint64(n.size)):
        n[j] = tanh(n[j] + r[j] * candidate[j])
    for j in range(np.uint64(h.size)):
        h[j] = (one - z[j]) * n[j] + z[j] * h[j]


@tasks
def _forward(task: int, x: Any, step_x: int, row_x: int, w_ih: Any, w_hh: Any, bias: Any, h: Any, mask: Any, counts: Any,
             reverse: bool, block: int, gates: Any, output: Any, candidates: Any) -> None:
    """h (N * H) is the first state and becomes the last. Written: gates (3, T, N * H), output and candidates (T, N * H).

    bias (4H,): of r, z, the candidate's input and the candidate's state."""
    batch, steps, zero = counts.size, gates.shape[1], h.dtype.type(0)
    size = h.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    rows, flat, all_candidates = end - begin, gates.reshape(-1), candidates.reshape(-1)
    seen, spare = np.empty(rows * size, h.dtype), np.empty(HEIGHT * width_in(h), h.dtype)
    shared.see(h, mask, begin * size, end * size, seen)
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        at_x, at = t * step_x + begin * row_x, t * h.size + begin * size
        for gate in range(2):
            shared.project(x, at_x, row_x, seen, rows, w_ih[gate], w_hh[gate], bias, gate * size, flat,
                           at + gate * steps * h.size, spare)
        add_product(x, at_x, row_x, rows, w_ih[2], bias, 2 * size, 0, flat, at + 2 * steps * h.size, size, size, spare)
        add_product(seen, 0, size, rows, w_hh[2], bias, 3 * size, 0, all_candidates, at, size, size, spare)
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            _activate(gates[0, t, low:high], gates[1, t, low:high], gates[2, t, low:high], candidates[t, low:high], h[low:high])
            shared.copy(h[low:high], output[t, low:high])
            first, past = shared.next_run(t, past, end, counts)
        shared.blank(t, begin, end, size, counts, output[t], zero)
        shared.see(h, mask, begin * size, end * size, seen)


@jit
def _activate_backward(r: Any, z: Any, n: Any, candidate: Any, before: Any, dh: Any, dr: Any, dz: Any, dn: Any,
                       d_candidate: Any) -> None:
    """One step backward: dr … d_candidate, the gradients before the activations; dh becomes what goes around the gates."""
    one = dh.dtype.type(1)
    for j in range(np.uint64(dn.size)):
        dn[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])
    for j in range(np.uint64(dz.size)):
        dz[j] = dh[j] * (before[j] - n[j]) * z[j] * (one - z[j])
    for j in range(np.uint64(dr.size)):
        dr[j] = dn[j] * candidate[j] * r[j] * (one - r[j])
    for j in range(np.uint64(d_candidate.size)):
        d_candidate[j] = dn[j] * r[j]
    for j in range(np.uint64(dh.size)):
        dh[j] *= z[j]


@tasks
def _backward(task: int, g: Any, gates: Any, candidates: Any, output: Any, h0: Any, dh: Any, w_ih: Any, w_hh: Any, mask: Any,
              counts: Any, reverse: bool, block: int, d: Any, db: Any, dx: Any) -> None:
    """dh (N * H) is the gradient of the last state and becomes that of the first, from g (T, N * H), that of the output.

    Written: d (4, T, N * H), the gradients of r, z, n and the candidate's state before the activations; db (pieces, 4, H), their
    sums; dx (T * N * I), empty if not wanted.
    """
    batch, steps, zero = counts.size, gates.shape[1], dh.dtype.type(0)
    size = dh.size // batch
    begin, end = task * block, min(batch, (task + 1) * block)
    before, product = np.empty((end - begin) * size, d.dtype), np.empty((end - begin) * size, d.dtype)
    spare = np.empty(HEIGHT * width_in(d), d.dtype)
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        first, past = shared.next_run(t, begin, end, counts)
        while first < end:
            low, high = first * size, past * size
            if g.size:
                shared.add(g[t, low:high], dh[low:high])
            shared.state_before(t, first, past, size, counts, reverse, h0, output, before)
            _activate_backward(gates[0, t, low:high], gates[1, t, low:high], gates[2, t, low:high], candidates[t, low:high],
                               before, dh[low:high], d[0, t, low:high], d[1, t, low:high], d[2, t, low:high],
                               d[3, t, low:high])
            first, past = shared.next_run(t, past, end, counts)
        for slab in range(4):
            shared.blank(t, begin, end, size, counts, d[slab, t], zero)
        shared.step_back(d, t, begin, end, 3, w_ih, w_hh, mask, dh, db[task], dx, product, spare)


def gru(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, state_mask: Any, *,
        reverse: bool) -> Any:
    """See `chainrule.ops.recurrent.gru`. Keeps the gates, and the candidate's part of h @ w_hh.T + b_hh."""
    size = w_hh.shape[1]
    if not input.size or not size or declines(input, h0, w_ih, w_hh, b_ih, b_hh, state_mask):
        return NotImplemented
    (steps, batch, _), dtype, work = input.shape, input.dtype, input.shape[0] * input.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    bias = shared.bias_of(4 * size, dtype, None if b_ih is None else np.concatenate([b_ih, np.zeros(size, dtype)]),
                          None if b_hh is None else np.concatenate([b_hh[: 2 * size], np.zeros(size, dtype), b_hh[2 * size :]]))
    h, gates = shared.begin_state(h0, batch, size, dtype), empty((3, steps, batch, size), dtype)
    output, candidates = (empty((steps, batch, size), dtype) for _ in range(2))
    shared.run(_forward, pieces, work, *shared.laid_out(input), *shared.packed(w_ih, w_hh, 3, True, work), bias, h.reshape(-1),
               *way, gates.reshape(3, steps, -1), output.reshape(steps, -1), candidates.reshape(steps, -1))
    return (output, h), {"gates": gates, "candidates": candidates}


def gru_grad(g: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, lengths: Any, state_mask: Any, out: Any, gates: Any,
             candidates: Any, reverse: bool, wanted: Any) -> Any:
    """The gradients of all inputs of `gru`, from those of its two outputs."""
    if wanted[7]:  # that of the mask
        return NotImplemented
    (steps, batch, size), dtype, work = out.shape, out.dtype, out.shape[0] * out.shape[1] * w_ih.size
    pieces, *way = shared.way(lengths, state_mask, steps, batch, reverse, dtype)
    dx = empty(input.shape, dtype) if wanted[0] else np.empty(0, dtype)
    d, db = np.empty((4, steps, batch, size), dtype), np.zeros((pieces, 4, size), dtype)
    dh = shared.begin_state(g[1], batch, size, dtype)
    shared.run(_backward, pieces, work, shared.of_output(g[0], out), gates.reshape(3, steps, -1), candidates.reshape(steps, -1),
               plain(out).reshape(steps, -1), shared.first_state(h0, batch, size, dtype), dh.reshape(-1),
               *shared.packed(w_ih, w_hh, 3, False, work), *way, d.reshape(4, steps, -1), db, dx.reshape(-1))
    of_weights = shared.weights_gradients(d, db, 3, input, h0, out, way, wanted[2:6], work)
    return dx if wanted[0] else None, dh, *of_weights, None, None
