"""Samples of chainrule.functional.recurrent."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.samples.table import Sample, normal, sample

STEPS, BATCH, FEATURES, HIDDEN = 3, 2, 3, 2
LENGTHS = np.array([2, 3])


def counterpart(layer: str) -> Callable[..., Any]:
    """torch's answer by its module `layer`, one sequence at a time: only its valid steps, flipped where reversed."""

    def answer(torch: Any, input: Any, states: Any, *weights: Any, lengths: Any = None, reverse: bool = False,
               **options: Any) -> Any:
        count, batch, hidden = input.shape[0], input.shape[1], weights[1].shape[1]
        names = [f"{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")][: len(weights)]
        module = getattr(torch.nn, layer)(input.shape[2], hidden, bias=len(weights) == 4, dtype=input.dtype, **options)
        pair = states if isinstance(states, tuple) else (states,) * (2 if layer == "LSTM" else 1)
        pair = [torch.zeros(batch, hidden, dtype=input.dtype) if s is None else s for s in pair]
        outputs, ends = [], []
        for n in range(batch):
            valid = count if lengths is None else int(lengths[n])
            sequence = input[:valid, n : n + 1]
            start = tuple(s[None, n : n + 1].contiguous() for s in pair)
            given = sequence.flip(0) if reverse else sequence, start if len(start) > 1 else start[0]
            output, end = torch.func.functional_call(module, dict(zip(names, weights, strict=True)), given)
            output = output.flip(0) if reverse else output
            outputs.append(torch.cat([output, output.new_zeros(count - valid, 1, hidden)]))
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
        row("one-step", normal(1, 1, FEATURES), states(1), *weights(), *biases()),
        row("one-feature", normal(STEPS, BATCH, 1), states(), *weights(1), *biases()),
    ]


SAMPLES = [*rows("lstm", "LSTM", 4), *rows("gru", "GRU", 3), *rows("rnn", "RNN", 1),
           *rows("rnn", "RNN", 1, nonlinearity="relu")]
