"""Recurrent networks over whole sequences, one layer in one direction: `lstm`, `gru`, `rnn`."""

from typing import Any

from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.names import ops
from chainrule.ops import recurrent as rows
from chainrule.state import check
from chainrule.tensor import Tensor

__all__ = ["gru", "lstm", "rnn"]


def _checked(op: str, gates: int, input: Any, states: dict[str, Any], weights: tuple[Any, ...], lengths: Any,
             **more: Any) -> list[Any]:
    """All inputs as tensors (None stays), after their shapes were checked; `more` are state_mask and lstm's w_hr."""
    named = {"input": input, **states, **dict(zip(("w_ih", "w_hh", "b_ih", "b_hh"), weights, strict=True)),
             "lengths": lengths, **more}
    named = {name: None if value is None else ops.as_tensor(value) for name, value in named.items()}
    input, w_hh, lengths, w_hr = named["input"], named["w_hh"], named["lengths"], named.get("w_hr")
    if input.ndim != 3:
        raise ShapeError(f"{op}: the input is (T, N, I), steps first, this one is {describe(input)}; for a single "
                         "sequence use unsqueeze(1), for batches first transpose(0, 1)")
    if w_hh.ndim != 2 or w_hh.shape[0] % gates or (w_hr is None and w_hh.shape[0] != gates * w_hh.shape[1]):
        raise ShapeError(f"{op}: w_hh is ({gates} * H, {'H' if w_hr is None else 'P'}), not {describe(w_hh)}")
    count, batch, features = input.shape
    width, shown = w_hh.shape
    state = batch, shown
    shapes = {"h0": state, "c0": (batch, width // gates), "w_ih": (width, features), "b_ih": (width,), "b_hh": (width,),
              "state_mask": state, "w_hr": (shown, width // gates)}
    for name, shape in shapes.items():
        value = named.get(name)
        if value is not None and value.shape != shape:
            raise ShapeError(f"{op}: {name} must be of shape {shape} for the input {describe(input)} and w_hh "
                             f"{describe(w_hh)}, not {value.shape}")
    if lengths is not None:
        if lengths.dtype.kind not in "iu":
            raise DtypeError(f"{op}: lengths are integers, not {lengths.dtype}")
        if lengths.shape != (batch,):
            raise ShapeError(f"{op}: lengths must be of shape ({batch},), one for each sequence, not {lengths.shape}")
        check(_check_lengths, op, lengths, count)
    return list(named.values())


def _check_lengths(op: str, lengths: Any, count: int) -> None:
    """ShapeError where a length is not one of 0 … count."""
    if lengths.size and not (lengths.min() >= 0 and lengths.max() <= count):
        raise ShapeError(f"{op}: lengths must lie from 0 to {count}, the steps of the input; they lie from "
                         f"{lengths.min()} to {lengths.max()}")


def lstm(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, lengths: Any = None,
         reverse: bool = False, state_mask: Any = None, w_hr: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Long short-term memory over a batch of sequences: `output, (h_n, c_n)`.

    With a = x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh, cut into four parts: i = sigmoid(a_i), f = sigmoid(a_f),
    g = tanh(a_g), o = sigmoid(a_o), c = f * c + i * g, h = o * tanh(c). Hochreiter & Schmidhuber, "Long short-term
    memory", 1997.

    `input` (T, N, I); `hx` the pair (h0, c0), each (N, H) or None for zeros, or None for both; `w_ih` (4H, I), `w_hh`
    (4H, H), `b_ih` and `b_hh` (4H,) or None: gates in the order i, f, g, o. `lengths` (N,) integers from 0 to T: past
    its length a sequence's output is zero, and `h_n`, `c_n` are those after its last valid step. `reverse` starts at
    the last valid step and ends at the first. Returns output (T, N, H), and h_n and c_n (N, H). Raises ShapeError where
    shapes do not fit, DtypeError for lengths that are not integers.

    `state_mask` (N, H): what h is multiplied by, at every step, before w_hh sees it; a mask of zeros and 1 / (1 - p) is
    variational dropout, Gal & Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", 2016. `w_hr` (P, H): h = (o * tanh(c)) @ w_hr.T, and H becomes P in the shapes of h0, w_hh's columns,
    output, h_n and state_mask; Sak, Senior & Beaufays, "Long short-term memory recurrent neural network architectures
    for large scale acoustic modeling", 2014.

    >>> import chainrule as cr
    >>> output, (h, c) = lstm(cr.zeros((3, 2, 5)), None, cr.zeros((16, 5)), cr.zeros((16, 4)), cr.ones(16))
    >>> output.shape, h.shape, bool((output[-1] == h).all())
    ((3, 2, 4), (2, 4), True)
    """
    h0, c0 = (None, None) if hx is None else hx
    output, h, c = rows.lstm(*_checked("lstm", 4, input, {"h0": h0, "c0": c0}, (w_ih, w_hh, b_ih, b_hh), lengths,
                                       state_mask=state_mask, w_hr=w_hr), reverse=bool(reverse))
    return output, (h, c)


def gru(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, lengths: Any = None,
        reverse: bool = False, state_mask: Any = None) -> tuple[Tensor, Tensor]:
    """The gated recurrent unit over a batch of sequences: `output, h_n`.

    With x_t @ w_ih.T + b_ih cut into x_r, x_z, x_n and h @ w_hh.T + b_hh into h_r, h_z, h_n: r = sigmoid(x_r + h_r),
    z = sigmoid(x_z + h_z), n = tanh(x_n + r * h_n), h = (1 - z) * n + z * h. Cho et al., "Learning phrase
    representations using RNN encoder-decoder", 2014; like torch, with b_hh inside the reset.

    `input` (T, N, I); `h0` (N, H) or None for zeros; `w_ih` (3H, I), `w_hh` (3H, H), `b_ih` and `b_hh` (3H,) or None:
    gates in the order r, z, n. `lengths`, `reverse` and `state_mask` as for `lstm` (z * h is not masked). Returns
    output (T, N, H) and h_n (N, H). Raises ShapeError where shapes do not fit, DtypeError for lengths that are not
    integers.

    >>> import chainrule as cr
    >>> output, h = gru(cr.zeros((3, 2, 5)), cr.ones((2, 4)), cr.zeros((12, 5)), cr.zeros((12, 4)))
    >>> output[:, 0, 0]
    tensor([0.5  , 0.25 , 0.125])
    """
    output, h = rows.gru(*_checked("gru", 3, input, {"h0": h0}, (w_ih, w_hh, b_ih, b_hh), lengths,
                                   state_mask=state_mask), reverse=bool(reverse))
    return output, h


def rnn(input: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, nonlinearity: str = "tanh",
        lengths: Any = None, reverse: bool = False, state_mask: Any = None) -> tuple[Tensor, Tensor]:
    """The plain recurrent network over a batch of sequences: `output, h_n`.

    h = f(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh), f the `nonlinearity`: "tanh" or "relu". Elman, "Finding structure in
    time", 1990.

    `input` (T, N, I); `h0` (N, H) or None for zeros; `w_ih` (H, I), `w_hh` (H, H), `b_ih` and `b_hh` (H,) or None.
    `lengths`, `reverse` and `state_mask` as for `lstm`. Returns output (T, N, H) and h_n (N, H). Raises ValueError for
    another nonlinearity, ShapeError where shapes do not fit, DtypeError for lengths that are not integers.

    >>> import chainrule as cr
    >>> output, h = rnn(cr.ones((3, 1, 1)), None, cr.ones((1, 1)), cr.ones((1, 1)), nonlinearity="relu")
    >>> output.flatten(), h
    (tensor([1., 2., 3.]), tensor([[3.]]))
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn: nonlinearity={nonlinearity!r}; choose 'tanh' or 'relu'")
    output, h = rows.rnn(*_checked("rnn", 1, input, {"h0": h0}, (w_ih, w_hh, b_ih, b_hh), lengths,
                                   state_mask=state_mask), nonlinearity=nonlinearity, reverse=bool(reverse))
    return output, h
