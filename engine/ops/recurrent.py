"""Recurrent networks over whole sequences: lstm, gru and the plain rnn, each one layer in one direction.

Each is a fused op. Its definition below is a loop over time with the equations of its paper; the compiled kernels of
the cpu backend compute the same with one matrix product for the inputs of all steps.

Shapes: T steps, N sequences, I input features, H hidden features. `lengths` (N,) integers or None: of sequence n only
the steps before lengths[n] count. Past them the output is zero, the state stays as it was, and the input's gradient is
zero, whatever is in it (NaN too). `reverse` reads each sequence from its last valid step to its first.

`state_mask` (N, H) or None: the state is multiplied by it wherever w_hh is about to see it, by the same mask at every
step. That is variational dropout of the state (Gal & Ghahramani, "A theoretically grounded application of dropout in
recurrent neural networks", 2016): one mask per sequence. What a cell hands on without a weight, such as z * h of the
gru, is not masked.
"""

from collections.abc import Callable
from typing import Any

from chainrule.fused import Fused, register

__all__: list[str] = []  # users call chainrule.functional.lstm, gru, rnn


def row(outputs: int) -> Callable[[Any], Fused]:
    """Decorator: the definition becomes the fused op of its name."""
    return lambda definition: register(Fused(definition, outputs=outputs))


def gates_of(values: Any, size: int) -> list[Any]:
    """(N, k * size) -> k parts (N, size)."""
    return [values[:, start : start + size] for start in range(0, values.shape[1], size)]


def project(xp: Any, values: Any, weight: Any, bias: Any) -> Any:
    """values (..., K) @ weight (G, K) transposed + bias (G,) or None -> (..., G)."""
    out = xp.matmul(values, weight.mT)
    return out if bias is None else out + bias


def recur(xp: Any, h: Any, state_mask: Any, weight: Any, bias: Any) -> Any:
    """The recurrent product: (h * state_mask) @ weight transposed + bias."""
    return project(xp, h if state_mask is None else h * state_mask, weight, bias)


def begin(xp: Any, input: Any, state: Any, size: int) -> Any:
    """The first state (N, size): zeros unless given."""
    return xp.zeros_like(input, shape=(input.shape[1], size)) if state is None else state


def unroll(xp: Any, step: Any, input: Any, states: Any, w_ih: Any, b_ih: Any, lengths: Any, reverse: bool) -> Any:
    """Run `states = step(input[t] @ w_ih.T + b_ih, *states)` over time.

    Returns the first state after every step, (T, N, H), and then the last of each state, (N, H).
    """
    count, batch = input.shape[:2]
    valid: list[Any] = []
    if lengths is not None and count:
        valid = [xp.reshape(lengths > t, (batch, 1)) for t in range(count)]
        input = xp.where(xp.stack(valid, axis=0), input, 0)
    projected = project(xp, input, w_ih, b_ih)  # (T, N, I) -> (T, N, G), all steps in one product
    if not count:
        return projected[:, :, : states[0].shape[1]], *[1 * s for s in states]
    outputs: list[Any] = [None] * count
    for t in reversed(range(count)) if reverse else range(count):
        new = step(projected[t], *states)
        if lengths is None:
            outputs[t], states = new[0], new
        else:
            outputs[t] = xp.where(valid[t], new[0], 0)
            states = [xp.where(valid[t], after, before) for after, before in zip(new, states, strict=True)]
    return xp.stack(outputs, axis=0), *states


@row(outputs=3)
def lstm(xp: Any, input: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None,
         lengths: Any = None, state_mask: Any = None, w_hr: Any = None, *, reverse: bool = False) -> Any:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; the forget gate: Gers, Schmidhuber & Cummins 2000).

    With a = x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh, cut into four parts a_i, a_f, a_g, a_o,

        i = sigmoid(a_i)      how much of the new is let in
        f = sigmoid(a_f)      how much of the old is kept
        g = tanh(a_g)         what is new
        o = sigmoid(a_o)      how much of the cell is shown
        c = f * c + i * g
        h = o * tanh(c)

    Along the cell c the derivative of a step is f alone: nothing squashes it, so it lasts over many steps.

    With `w_hr` (P, H) the state is a projection of what the cell shows, h = (o * tanh(c)) @ w_hr.T (Sak, Senior &
    Beaufays 2014), so that a large cell does not need a w_hh that grows with its square.

    input (T, N, I), h0 (N, P) and c0 (N, H) or None, w_ih (4H, I), w_hh (4H, P), b_ih and b_hh (4H,) or None, lengths
    (N,) or None -> output (T, N, P), h_n (N, P), c_n (N, H), where P = H without w_hr.
    """
    shown, size = w_hh.shape[1], w_hh.shape[0] // 4

    def step(projected: Any, h: Any, c: Any) -> Any:
        i, f, g, o = gates_of(projected + recur(xp, h, state_mask, w_hh, b_hh), size)
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        h = xp.sigmoid(o) * xp.tanh(c)
        return h if w_hr is None else project(xp, h, w_hr, None), c

    states = [begin(xp, input, h0, shown), begin(xp, input, c0, size)]
    return unroll(xp, step, input, states, w_ih, b_ih, lengths, reverse)


@row(outputs=2)
def gru(xp: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, lengths: Any = None,
        state_mask: Any = None, *, reverse: bool = False) -> Any:
    """The gated recurrent unit (Cho et al. 2014), with the reset applied after the product, as torch and cuDNN do.

    With x_t @ w_ih.T + b_ih cut into x_r, x_z, x_n and h @ w_hh.T + b_hh into h_r, h_z, h_n,

        r = sigmoid(x_r + h_r)        reset: how much of the past the candidate sees
        z = sigmoid(x_z + h_z)        update: how much of the past is kept
        n = tanh(x_n + r * h_n)       the candidate
        h = (1 - z) * n + z * h

    input (T, N, I), h0 (N, H) or None, w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H,) or None, lengths (N,) or None
    -> output (T, N, H), h_n (N, H).
    """
    size = w_hh.shape[1]

    def step(projected: Any, h: Any) -> Any:
        x_r, x_z, x_n = gates_of(projected, size)
        h_r, h_z, h_n = gates_of(recur(xp, h, state_mask, w_hh, b_hh), size)
        r, z = xp.sigmoid(x_r + h_r), xp.sigmoid(x_z + h_z)
        n = xp.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,)

    return unroll(xp, step, input, [begin(xp, input, h0, size)], w_ih, b_ih, lengths, reverse)


@row(outputs=2)
def rnn(xp: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, lengths: Any = None,
        state_mask: Any = None, *, nonlinearity: str = "tanh", reverse: bool = False) -> Any:
    """The plain recurrent network (Elman 1990): h = f(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh), f = tanh or relu.

    input (T, N, I), h0 (N, H) or None, w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) or None, lengths (N,) or None
    -> output (T, N, H), h_n (N, H).
    """

    def step(projected: Any, h: Any) -> Any:
        a = projected + recur(xp, h, state_mask, w_hh, b_hh)
        return (xp.tanh(a) if nonlinearity == "tanh" else xp.where(a <= 0, 0, a),)

    return unroll(xp, step, input, [begin(xp, input, h0, w_hh.shape[1])], w_ih, b_ih, lengths, reverse)
