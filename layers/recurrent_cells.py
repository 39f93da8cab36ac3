"""One step of a recurrent network, for loops of one's own: RNNCell, LSTMCell, GRUCell."""

from typing import Any

from chainrule import functional as F
from chainrule.arguments import check_sizes
from chainrule.layers.configured import Configured
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.layers.recurrent import as_states, check_input, draw_uniform
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class Cell(Configured):
    """What the cells share: weights of `gates` parts, and a call that is a sequence of one step."""

    gates = 1
    states: tuple[str, ...] = ("h0",)
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any) -> None:
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        width = self.gates * hidden_size
        self.weight_ih = empty(width, input_size, device=device, dtype=dtype)
        self.weight_hh = empty(width, hidden_size, device=device, dtype=dtype)
        self.bias_ih = empty(width, device=device, dtype=dtype) if bias else None
        self.bias_hh = empty(width, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew: all uniform on ±1/√hidden_size."""
        draw_uniform(self, self.hidden_size)

    def _step(self, input: Tensor, states: list[Any], *weights: Any) -> Any:
        """The states (N, H) after one step: input (1, N, I), states (N, H) or None."""
        raise NotImplementedError

    def forward(self, input: Any, hx: Any = None) -> Any:
        """input (N, I) and hx (N, H) -> the next state (N, H); all without N for a single example."""
        name, input = type(self).__name__, ops.as_tensor(input)
        check_input(name, input, self.input_size, {2: "(N, I)", 1: "(I) for a single example"})
        shape = *input.shape[:-1], self.hidden_size
        states = as_states(name, hx, dict.fromkeys(self.states, shape))
        if input.ndim == 1:
            input, states = input.unsqueeze(0), [None if s is None else s.unsqueeze(0) for s in states]
        after = self._step(input.unsqueeze(0), states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        found = tuple(s.reshape(shape) for s in after)
        return found if len(found) > 1 else found[0]


class RNNCell(Cell):
    """One step of the plain recurrent network: h' = f(x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ), f the `nonlinearity`, tanh or relu.

    `cell(input, hx=None)`: input (N, input_size), hx (N, hidden_size) or None for zeros -> h' (N, hidden_size); all
    without N for a single example. Parameters `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih`, `bias_hh` (H), uniform
    on ±1/√H. Raises ValueError for another nonlinearity and sizes below 1, ShapeError where shapes do not fit.

    >>> import chainrule as cr
    >>> cell, h = RNNCell(3, 4), None
    >>> for x in cr.zeros(5, 2, 3):
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: Any = None) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity={nonlinearity!r}; choose 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, input: Tensor, states: list[Any], *weights: Any) -> Any:
        return F.rnn(input, *states, *weights, nonlinearity=self.nonlinearity)[1:]


class LSTMCell(Cell):
    """One step of long short-term memory; see `LSTM`.

    `cell(input, (h, c)=None)`: input (N, input_size), h and c (N, hidden_size), zeros unless given -> (h', c'), each
    (N, hidden_size); all without N for a single example. Parameters as those of `RNNCell` with 4H rows, for the gates
    i, f, g, o; errors too.

    >>> import chainrule as cr
    >>> h, c = LSTMCell(3, 4)(cr.zeros(2, 3))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    gates, states = 4, ("h0", "c0")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, input: Tensor, states: list[Any], *weights: Any) -> Any:
        return F.lstm(input, tuple(states), *weights)[1]


class GRUCell(Cell):
    """One step of the gated recurrent unit; see `GRU`.

    `cell(input, hx=None)`: as `RNNCell`, with 3H rows in each parameter, for the gates r, z, n.

    >>> import chainrule as cr
    >>> GRUCell(3, 4)(cr.zeros(3), cr.ones(4)).shape
    (4,)
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, input: Tensor, states: list[Any], *weights: Any) -> Any:
        return F.gru(input, *states, *weights)[1:]
