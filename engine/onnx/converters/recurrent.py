"""Recurrent layers: ONNX has them as single operators, with the gates in another order."""

from typing import Any

import numpy as np

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.table import converter

ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}  # i f g o as i o f c; r z n as z r h


def recurrent(g: Any, use: Any, x: str, states: list[str | None], w_ih: str, w_hh: str, b_ih: str | None, b_hh: str | None,
              lengths: str | None, *others: str | None, **options: Any) -> tuple[str, ...]:
    """The node, its inputs brought into ONNX's order, and its results without the axis of directions."""
    if not use.shapes[0][0] or any(t is not None for t in others):
        raise Unsupported("there are no steps, or a mask of the state or a projection")
    hidden, order = use.shapes[len(states) + 2][1], ORDER[use.name]
    rows = np.concatenate([np.arange(hidden) + part * hidden for part in order]).astype(np.int64)

    def arranged(t: str | None) -> str | None:
        return t if t is None or len(order) == 1 else g.op("Gather", t, g.constant(rows), axis=0)

    def directed(t: str | None) -> str | None:
        return None if t is None else g.op("Unsqueeze", t, g.ints(0))

    bias = None
    if b_ih is not None or b_hh is not None:
        zeros = g.constant(np.zeros(len(rows), use.dtype))
        bias = directed(g.op("Concat", arranged(b_ih) or zeros, arranged(b_hh) or zeros, axis=0))
    if lengths is not None:
        lengths = g.cast(lengths, use.dtypes[len(states) + 5], np.int32)
    out = g.op(use.name.upper(), x, directed(arranged(w_ih)), directed(arranged(w_hh)), bias, lengths,
               *map(directed, states), outputs=1 + len(states), hidden_size=hidden,
               direction="reverse" if use["reverse"] else "forward", **options)
    return g.op("Squeeze", out[0], g.ints(1)), *(g.op("Squeeze", s, g.ints(0)) for s in out[1:])


@converter("lstm")
def lstm(g: Any, use: Any, x: str, h: str | None, c: str | None, *rest: Any) -> Any:
    """LSTM; with projections or a mask of the state the ops of the definition."""
    if (h is None) != (c is None):  # both or none
        zeros = g.op("Expand", g.constant(0, use.dtype), g.ints(*use.shape_of(1)))
        h, c = h or zeros, c or zeros
    return recurrent(g, use, x, [h, c], *rest)


@converter("gru")
def gru(g: Any, use: Any, x: str, h: str | None, *rest: Any) -> Any:
    """GRU with linear_before_reset."""
    return recurrent(g, use, x, [h], *rest, linear_before_reset=1)


@converter("rnn")
def rnn(g: Any, use: Any, x: str, h: str | None, *rest: Any) -> Any:
    """RNN."""
    return recurrent(g, use, x, [h], *rest, activations=[use["nonlinearity"].capitalize()])
