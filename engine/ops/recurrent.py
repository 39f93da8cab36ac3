"""Recurrent networks over whole sequences: lstm, gru and the plain rnn, each one layer in one direction.

Each is a fused op. Its definition below is a loop over time with the equations of its paper; the compiled kernels of
the cpu backend compute the same with one matrix product for the inputs of all steps.

Shapes: T steps, N sequences, I input features, H hidden features. `lengths` (N,) integers or None: of sequence n only
the steps before lengths[n] count. Past them the output is zero, the state stays as it was, and the input's gradient is
zero, whatever is in it (NaN too). `reverse` reads each sequence from its last valid step to its first.

Further optional inputs, such as one dropout mask per sequence on the input and on the state, belong after `lengths`.
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


def unroll(xp: Any, step: Any, input: Any, states: Any, w_ih: Any, w_hh: Any, b_ih: Any, lengths: Any,
           reverse: bool) -> Any:
    """Run `states = step(input[t] @ w_ih.T + b_ih, *states)` over time.

    Returns the first state after every step, (T, N, H), and then the last of each state, (N, H). A state given as None
    begins with zeros.
    """
    count, batch, size = input.shape[0], input.shape[1], w_hh.shape[1]
    zeros = xp.zeros_like(input, shape=(batch, size))
    states = [zeros if s is None else s for s in states]
    valid: list[Any] = []
    if lengths is not None and count:
        valid = [xp.reshape(lengths > t, (batch, 1)) for t in range(count)]
        input = xp.where(xp.stack(valid, axis=0), input, 0)
    projected = project(xp, input, w_ih, b_ih)  # (T, N, I) -> (T, N, G), all steps in one product
    if not count:
        return projected[:, :, :size], *[1 * s for s in states]
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
         lengths: Any = None, *, reverse: bool = False) -> Any:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; the forget gate: Gers, Schmidhuber & Cummins 2000).

    With a = x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh, cut into four parts a_i, a_f, a_g, a_o,

        i = sigmoid(a_i)      how much of the new is let in
        f = sigmoid(a_f)      how much of the old is kept
        g = tanh(a_g)         what is new
        o = sigmoid(a_o)      how much of the cell is shown
        c = f * c + i * g
        h = o * tanh(c)

    Along the cell c the derivative of a step is f alone: nothing squashes it, so it lasts over many steps.

    input (T, N, I), h0 and c0 (N, H) or None, w_ih (4H, I), w_hh (4H, H), b_ih and b_hh (4H,) or None, lengths (N,) or
    None -> output (T, N, H), h_n (N, H), c_n (N, H).
    """
    size = w_hh.shape[1]

    def step(projected: Any, h: Any, c: Any) -> Any:
        i, f, g, o = gates_of(projected + project(xp, h, w_hh, b_hh), size)
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        return xp.sigmoid(o) * xp.tanh(c), c

    return unroll(xp, step, input, (h0, c0), w_ih, w_hh, b_ih, lengths, reverse)


@row(outputs=2)
def gru(xp: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, lengths: Any = None, *,
        reverse: bool = False) -> Any:
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
        h_r, h_z, h_n = gates_of(project(xp, h, w_hh, b_hh), size)
        r, z = xp.sigmoid(x_r + h_r), xp.sigmoid(x_z + h_z)
        n = xp.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,)

    return unroll(xp, step, input, (h0,), w_ih, w_hh, b_ih, lengths, reverse)


@row(outputs=2)
def rnn(xp: Any, input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, lengths: Any = None, *,
        nonlinearity: str = "tanh", reverse: bool = False) -> Any:
    """The plain recurrent network (Elman 1990): h = f(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh), f = tanh or relu.

    input (T, N, I), h0 (N, H) or None, w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) or None, lengths (N,) or None
    -> output (T, N, H), h_n (N, H).
    """

    def step(projected: Any, h: Any) -> Any:
        a = projected + project(xp, h, w_hh, b_hh)
        return (xp.tanh(a) if nonlinearity == "tanh" else xp.where(a <= 0, 0, a),)

    return unroll(xp, step, input, (h0,), w_ih, w_hh, b_ih, lengths, reverse)
