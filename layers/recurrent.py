"""Recurrent networks: RNN, LSTM and GRU over whole sequences, with several layers, in one or both directions."""

import math
from collections.abc import Iterator
from typing import Any

from chainrule import functional as F
from chainrule.arguments import check_sizes
from chainrule.errors import ShapeError, describe, warn
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.dropout import check_probability
from chainrule.layers.linear import empty
from chainrule.layers.module import Module, Parameter
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN"]

# a parameter's name, before _l0, and what the functions of chainrule.functional call it
WEIGHTS = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh", "weight_hr": "w_hr"}


def draw_uniform(module: Module, hidden_size: int) -> None:
    """All parameters of the module uniform on ±1/√hidden_size."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def check_input(name: str, input: Tensor, input_size: int, ranks: dict[int, str]) -> None:
    """ShapeError for an input whose number of axes is none of `ranks`, or whose features are not input_size."""
    if input.ndim not in ranks:
        raise ShapeError(f"{name}: the input is {' or '.join(ranks.values())}, this one is {describe(input)}")
    if input.shape[-1] != input_size:
        raise ShapeError(f"{name}: the input {describe(input)} has {input.shape[-1]} features in its last axis, "
                         f"input_size is {input_size}")


def as_states(name: str, hx: Any, shapes: dict[str, tuple[int, ...]]) -> list[Any]:
    """The given first states as a list of tensors, or of None; TypeError or ShapeError for what does not fit."""
    if hx is None:
        return [None] * len(shapes)
    pair = isinstance(hx, tuple | list)
    if len(shapes) == 1:
        if pair:
            raise TypeError(f"{name}: hx is one tensor, got a {type(hx).__name__} of {len(hx)}; only the LSTM has two")
        hx = (hx,)
    elif not pair or len(hx) != len(shapes):
        raise TypeError(f"{name}: hx is the pair ({', '.join(shapes)}), got {describe(hx)}")
    found = [ops.as_tensor(state) for state in hx]
    for (what, shape), state in zip(shapes.items(), found, strict=True):
        if state.shape != shape:
            raise ShapeError(f"{name}: {what} must be of shape {shape} for this input, not {state.shape}")
    return found


class Recurrent(Configured):
    """What RNN, LSTM and GRU share: their weights, and the way through layers and directions.

    A subclass says how many `gates` it has, which `states` it carries, and in `_run` what one layer computes in one
    direction.
    """

    gates = 1
    states: tuple[str, ...] = ("h0",)
    weight_ih_l0: Parameter  # and so on, for each layer and direction: see `_names`
    weight_hh_l0: Parameter

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool,
                 dropout: float, bidirectional: bool, proj_size: int, device: Any, dtype: Any,
                 variational_dropout: float) -> None:
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_probability(name, dropout=dropout, variational_dropout=variational_dropout)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size={proj_size} must lie between 0 (none) and hidden_size={hidden_size}")
        if dropout and num_layers == 1:
            warn(f"{name}: dropout={dropout} acts between layers, and there is one layer only")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self.proj_size, self.variational_dropout = proj_size, float(variational_dropout)
        width, shown = self.gates * hidden_size, proj_size or hidden_size
        for layer, _, names in self._names():
            features = input_size if layer == 0 else shown * (2 if bidirectional else 1)
            shapes = {"w_ih": (width, features), "w_hh": (width, shown), "b_ih": (width,), "b_hh": (width,),
                      "w_hr": (shown, hidden_size)}
            for short, full in names.items():
                setattr(self, full, empty(*shapes[short], device=device, dtype=dtype))
        self.reset_parameters()

    def _names(self) -> Iterator[tuple[int, bool, dict[str, str]]]:
        """(layer, whether it reads in reverse, {"w_ih": "weight_ih_l0", …}) of each layer and direction."""
        kinds = [kind for kind in WEIGHTS if (self.bias or not kind.startswith("bias"))
                 and (self.proj_size or kind != "weight_hr")]
        for layer in range(self.num_layers):
            for reverse in (False, True)[: 2 if self.bidirectional else 1]:
                end = f"_l{layer}" + ("_reverse" if reverse else "")
                yield layer, reverse, {WEIGHTS[kind]: kind + end for kind in kinds}

    def reset_parameters(self) -> None:
        """Draw the first values anew: all uniform on ±1/√hidden_size."""
        draw_uniform(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Does nothing: the kernels take weights wherever they lie. Programs written for a GPU call it."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, full) for full in names.values()] for _, _, names in self._names()]

    def _run(self, input: Tensor, states: list[Any], **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer in one direction: input (T, N, features) -> output (T, N, H) and the last states (N, H)."""
        raise NotImplementedError

    def _mask(self, like: Tensor, *shape: int) -> Any:
        """A mask of variational dropout, zeros and 1 / (1 − p); None where there is none."""
        if not (self.training and self.variational_dropout):
            return None
        return F.dropout(ops.ones_like(like, shape=shape), self.variational_dropout)

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> Any:
        """input (T, N, I) -> output (T, N, D·H) and the last states (layers·D, N, H); see the class."""
        name, input = type(self).__name__, ops.as_tensor(input)
        check_input(name, input, self.input_size, {3: "(N, T, I)" if self.batch_first else "(T, N, I)",
                                                   2: "(T, I) for a single sequence"})
        batched = input.ndim == 3
        if not batched and lengths is not None:
            raise ShapeError(f"{name}: lengths belong to a batch, and the input {describe(input)} is a single sequence")
        x = input.unsqueeze(1) if not batched else input.transpose(0, 1) if self.batch_first else input  # (T, N, I)
        batch, shown = x.shape[1], self.proj_size or self.hidden_size
        rows = self.num_layers * (2 if self.bidirectional else 1)
        sizes = {state: self.hidden_size if state == "c0" else shown for state in self.states}
        first = as_states(name, hx, {s: (rows, batch, size) if batched else (rows, size) for s, size in sizes.items()})
        if not batched:
            first = [None if s is None else s.unsqueeze(1) for s in first]
        outputs: list[Tensor] = []  # of the layer so far, one for each direction
        last: list[tuple[Tensor, ...]] = []  # the states after each layer and direction
        for layer, reverse, names in self._names():
            if not reverse:
                if layer:
                    x = outputs[0] if len(outputs) == 1 else ops.cat(outputs, dim=-1)
                    x = F.dropout(x, self.dropout, self.training)
                mask = self._mask(x, 1, batch, x.shape[-1])
                x, outputs = x if mask is None else x * mask, []
            weights = {short: getattr(self, full) for short, full in names.items()}
            begin = [None if s is None else s[len(last)] for s in first]
            output, end = self._run(x, begin, lengths=lengths, reverse=reverse, state_mask=self._mask(x, batch, shown),
                                    **weights)
            outputs.append(output)
            last.append(end)
        output = outputs[0] if len(outputs) == 1 else ops.cat(outputs, dim=-1)  # (T, N, D·H)
        ends = [ops.stack(each, dim=0) for each in zip(*last, strict=True)]
        if not batched:
            output, ends = output.squeeze(1), [e.squeeze(1) for e in ends]
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, ends[0] if len(ends) == 1 else tuple(ends)


class RNN(Recurrent):
    """The plain recurrent network: h_t = f(x_t Wᵢₕᵀ + bᵢₕ + h_{t-1} Wₕₕᵀ + bₕₕ), f the `nonlinearity`, tanh or relu.

    Elman 1990, "Finding structure in time".

    `layer(input, hx=None, lengths=None)` returns `output, h_n`. With T steps, N sequences, I = input_size, H =
    hidden_size, D = 2 directions where `bidirectional`, else 1, and L = num_layers:

    - input (T, N, I), or (N, T, I) where `batch_first`, or (T, I) for a single sequence;
    - hx (L·D, N, H), the first state of each layer and direction, zeros unless given;
    - lengths (N) integers from 0 to T: past its length a sequence does not exist. There its output is zero, h_n is that
      of its last valid step, and the reverse direction starts at that step;
    - output (T, N, D·H), the last layer's state after each step (N first where `batch_first`);
    - h_n (L·D, N, H), the last states, in the order layer 0, layer 0 reverse, layer 1 …

    For a single sequence all go without N. `dropout`: the probability to drop each element between layers, in training.
    `variational_dropout` (Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural
    networks"), in training: of each layer the inputs, and in each direction the state that the recurrent weight sees,
    are dropped with this probability by masks that are drawn once per call and sequence and stay the same from step to
    step.

    Parameters `weight_ih_l0` (H, I), `weight_hh_l0` (H, H), `bias_ih_l0` and `bias_hh_l0` (H), then those of
    `_l0_reverse`, `_l1` …, all starting uniform on ±1/√H. Raises ValueError for sizes below 1, probabilities outside 0 to
    1 and another nonlinearity, ShapeError where inputs or states do not fit.

    >>> import chainrule as cr
    >>> output, h_n = RNN(3, 4, num_layers=2, bidirectional=True)(cr.zeros(5, 2, 3), lengths=[5, 1])
    >>> output.shape, h_n.shape, output[1:, 1].abs().sum().item()
    ((5, 2, 8), (4, 2, 4), 0.0)
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: Any = None, *, variational_dropout: float = 0.0) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity={nonlinearity!r}; choose 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device,
                         dtype, variational_dropout)

    def _run(self, input: Tensor, states: list[Any], **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, h = F.rnn(input, states[0], nonlinearity=self.nonlinearity, **options)
        return output, (h,)


class LSTM(Recurrent):
    """Long short-term memory: gates decide what the cell c takes in, keeps and shows.

    With a = x_t Wᵢₕᵀ + bᵢₕ + h_{t-1} Wₕₕᵀ + bₕₕ in four parts: i = σ(a_i), f = σ(a_f), g = tanh(a_g), o = σ(a_o),
    c_t = f c_{t-1} + i g, h_t = o tanh(c_t). Hochreiter & Schmidhuber 1997, "Long short-term memory".

    `layer(input, (h_0, c_0)=None, lengths=None)` returns `output, (h_n, c_n)`; shapes, lengths and the two kinds of
    dropout are those of `RNN`, and each weight has 4H rows, for the gates i, f, g, o. With `proj_size` P > 0 each state
    is a projection of what the cell shows, h_t = (o tanh(c_t)) Wₕᵣᵀ with `weight_hr_l0` (P, H), and h_0, h_n, the output
    and the columns of `weight_hh_l0` have P where they had H; c_0 and c_n stay (L·D, N, H). Sak, Senior & Beaufays 2014,
    "Long short-term memory recurrent neural network architectures for large scale acoustic modeling".

    All parameters start uniform on ±1/√H. Errors as for `RNN`; ValueError for a projection as large as the cell.

    >>> import chainrule as cr
    >>> lstm = LSTM(28, 64, batch_first=True)
    >>> output, (h_n, c_n) = lstm(cr.zeros(10, 28, 28))  # ten pictures, row by row
    >>> output.shape, h_n.shape, bool((output[:, -1] == h_n[0]).all())
    ((10, 28, 64), (1, 10, 64), True)
    """

    gates, states = 4, ("h0", "c0")

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None, *, variational_dropout: float = 0.0) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         device, dtype, variational_dropout)

    def _run(self, input: Tensor, states: list[Any], **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        return F.lstm(input, tuple(states), **options)


class GRU(Recurrent):
    """The gated recurrent unit: r decides how much of the past the candidate n sees, z how much of it is kept.

    With x_t Wᵢₕᵀ + bᵢₕ in three parts x_r, x_z, x_n and h_{t-1} Wₕₕᵀ + bₕₕ in h_r, h_z, h_n: r = σ(x_r + h_r),
    z = σ(x_z + h_z), n = tanh(x_n + r h_n), h_t = (1 - z) n + z h_{t-1}. Cho et al. 2014, "Learning phrase
    representations using RNN encoder-decoder for statistical machine translation"; as in torch, the reset r acts after
    the product.

    `layer(input, hx=None, lengths=None)` returns `output, h_n`; shapes, lengths, the two kinds of dropout and errors are
    those of `RNN`, and each weight has 3H rows, for the gates r, z, n. Variational dropout of the state masks what Wₕₕ
    sees, not the z h_{t-1} that is handed on.

    >>> import chainrule as cr
    >>> output, h_n = GRU(5, 4)(cr.zeros(6, 5))  # a single sequence
    >>> output.shape, h_n.shape
    ((6, 4), (1, 4))
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None, *, variational_dropout: float = 0.0) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device,
                         dtype, variational_dropout)

    def _run(self, input: Tensor, states: list[Any], **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, h = F.gru(input, states[0], **options)
        return output, (h,)
