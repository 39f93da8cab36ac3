"""Samples of chainrule.functional.recurrent."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.samples.table import Sample, normal, sample

STEPS, BATCH, FEATURES, HIDDEN = 3, 2, 3, 2
LENGTHS = np.array([2, 3])


def counterpart(layer: str) -> Callable[..., Any]:
    """torch's answer by its module `layer`, one sequence at a time: only its valid steps, flipped where reversed; a mask
    of its state scales the columns of its w_hh."""

    def answer(torch: Any, input: Any, states: Any, *weights: Any, lengths: Any = None, reverse: bool = False,
               state_mask: Any = None, w_hr: Any = None, **options: Any) -> Any:
        count, batch, hidden = input.shape[0], input.shape[1], weights[1].shape[1]
        names = [f"{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")][: len(weights)]
        given = dict(zip(names, weights, strict=True))
        if w_hr is not None:
            given["weight_hr_l0"], hidden, options["proj_size"] = w_hr, w_hr.shape[1], len(w_hr)
        module = getattr(torch.nn, layer)(input.shape[2], hidden, bias=len(weights) == 4, dtype=input.dtype, **options)
        pair = states if isinstance(states, tuple) else (states,) * (2 if layer == "LSTM" else 1)
        pair = [torch.zeros(batch, hidden, dtype=input.dtype) if s is None else s for s in pair]
        outputs, ends = [], []
        for n in range(batch):
            valid = count if lengths is None else int(lengths[n])
            sequence = input[:valid, n : n + 1]
            start = tuple(s[None, n : n + 1].contiguous() for s in pair)
            if state_mask is not None:
                given["weight_hh_l0"] = weights[1] * state_mask[n]
            arguments = sequence.flip(0) if reverse else sequence, start if len(start) > 1 else start[0]
            output, end = torch.func.functional_call(module, given, arguments)
            output = output.flip(0) if reverse else output
            outputs.append(torch.cat([output, output.new_zeros(count - valid, *output.shape[1:])]))
            ends.append(end if isinstance(end, tuple) else (end,))
        last = tuple(torch.cat([e[0] for e in each]) for each in zip(*ends, strict=True))
        return torch.cat(outputs, 1), last if len(last) > 1 else last[0]

    return answer


def rows(name: str, layer: str, gates: int, **options: Any) -> list[Sample]:
    """The same samples for each kind of network."""
    def weights(features: int = FEATURES) -> list[np.ndarray]:
        return [normal(gates * HIDDEN, features), normal(gates * HIDDEN, HIDDEN)]

    def biases() -> list[np.ndarray]:
        return [normal(gates * HIDDEN), normal(gates * HIDDEN)]

    def states(batch: int = BATCH) -> Any:
        pair = normal(batch, HIDDEN), normal(batch, HIDDEN)
        return pair if name == "lstm" else pair[0]

    def row(label: str, *args: Any, **more: Any) -> Sample:
        kind = "".join(f"{v}-" for v in options.values())
        return sample(f"functional.{name}", *args, torch=counterpart(layer), label=kind + label,
                      analytic=options.get("nonlinearity") != "relu", **options, **more)

    x = STEPS, BATCH, FEATURES
    return [
        row("all", normal(*x), states(), *weights(), *biases()),
        row("no-bias", normal(*x), states(), *weights()),
        row("no-state", normal(*x), None, *weights(), *biases()),
        row("reverse", normal(*x), states(), *weights(), *biases(), reverse=True),
        row("lengths", normal(*x), states(), *weights(), *biases(), lengths=LENGTHS),
        row("lengths-reverse", normal(*x), states(), *weights(), *biases(), lengths=LENGTHS, reverse=True),
        row("state-mask", normal(*x), states(), *weights(), *biases(), state_mask=normal(BATCH, HIDDEN)),
        row("one-step", normal(1, 1, FEATURES), states(1), *weights(), *biases()),
        row("one-feature", normal(STEPS, BATCH, 1), states(), *weights(1), *biases()),
    ]


def projected() -> list[Sample]:
    """lstm with the state as a projection of the cell, two numbers of three."""
    cell = 3

    def row(label: str, *weights: Any, **more: Any) -> Sample:
        states = normal(BATCH, HIDDEN), normal(BATCH, cell)
        return sample("functional.lstm", normal(STEPS, BATCH, FEATURES), states, normal(4 * cell, FEATURES),
                      normal(4 * cell, HIDDEN), *weights, w_hr=normal(HIDDEN, cell), torch=counterpart("LSTM"),
                      label=f"projected-{label}", **more)

    return [row("all", normal(4 * cell), normal(4 * cell)),
            row("no-bias", lengths=LENGTHS, reverse=True, state_mask=normal(BATCH, HIDDEN))]


SAMPLES = [*rows("lstm", "LSTM", 4), *rows("gru", "GRU", 3), *rows("rnn", "RNN", 1),
           *rows("rnn", "RNN", 1, nonlinearity="relu"), *projected()]
