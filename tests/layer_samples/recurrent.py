"""Recurrent networks: every option of each kind; lengths against torch's packed sequences."""

from typing import Any

import numpy as np

from tests.layer_samples.table import LayerSample, layer
from tests.samples.table import normal

STEPS, BATCH, INPUT, HIDDEN = 4, 3, 3, 2
LENGTHS = np.array([2, 4, 1])


def packed(kind: str) -> Any:
    """torch's layer of this kind, called with `lengths` as ours is: its input packed, its output padded again."""

    def make(torch: Any, *args: Any, **kwargs: Any) -> Any:
        rnn = torch.nn.utils.rnn

        class Packed(getattr(torch.nn, kind)):  # type: ignore[misc]
            def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> Any:
                steps = input.shape[1 if self.batch_first else 0]
                sequences = rnn.pack_padded_sequence(input, lengths, self.batch_first, enforce_sorted=False)
                output, last = super().forward(sequences, hx)
                return rnn.pad_packed_sequence(output, self.batch_first, total_length=steps)[0], last

        return Packed(*args, **kwargs)

    return make


def additive(torch: Any, query_size: int, key_size: int, hidden_size: int) -> Any:
    """Additive attention, written with torch."""

    class Additive(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query = torch.nn.Linear(query_size, hidden_size)
            self.key = torch.nn.Linear(key_size, hidden_size, bias=False)
            self.score = torch.nn.Linear(hidden_size, 1, bias=False)

        def forward(self, query: Any, keys: Any, lengths: Any = None) -> Any:
            contexts, all_weights = [], []
            for n, (q, k) in enumerate(zip(query, keys, strict=True)):
                valid = k if lengths is None else k[: lengths[n]]
                scores = self.score(torch.tanh(self.query(q)[..., None, :] + self.key(valid)))[..., 0]
                weights = torch.softmax(scores, -1)
                contexts.append(weights @ valid)
                all_weights.append(torch.nn.functional.pad(weights, (0, len(k) - len(valid))))
            return torch.stack(contexts), torch.stack(all_weights)

    return Additive()


def rows(kind: str) -> list[LayerSample]:
    """The same rows for RNN, LSTM and GRU."""
    double = kind == "LSTM"

    def states(*shape: int) -> Any:
        return (normal(*shape, HIDDEN), normal(*shape, HIDDEN)) if double else normal(*shape, HIDDEN)

    x = STEPS, BATCH, INPUT
    both: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    return [
        layer(kind, INPUT, HIDDEN, inputs=[normal(*x)]),
        layer(kind, INPUT, HIDDEN, 2, inputs=[normal(*x)], label="layers"),
        layer(kind, INPUT, HIDDEN, bidirectional=True, inputs=[normal(*x), states(2, BATCH)], label="bidirectional"),
        layer(kind, INPUT, HIDDEN, **both, inputs=[normal(*x), states(4, BATCH)], label="layers-bidirectional"),
        layer(kind, INPUT, HIDDEN, bias=False, inputs=[normal(*x)], label="no-bias"),
        layer(kind, INPUT, HIDDEN, batch_first=True, inputs=[normal(BATCH, STEPS, INPUT)], label="batch-first"),
        layer(kind, INPUT, HIDDEN, bidirectional=True, inputs=[normal(STEPS, INPUT), states(2)], label="unbatched"),
        layer(kind, INPUT, HIDDEN, batch_first=True, inputs=[normal(STEPS, INPUT)], label="unbatched-batch-first"),
        layer(kind, INPUT, HIDDEN, inputs=[normal(*x)], call={"lengths": LENGTHS}, torch=packed(kind), label="lengths"),
        layer(kind, INPUT, HIDDEN, **both, batch_first=True, inputs=[normal(BATCH, STEPS, INPUT), states(4, BATCH)],
              call={"lengths": LENGTHS}, torch=packed(kind), label="lengths-all"),
        layer(kind, INPUT, HIDDEN, 2, dropout=0.4, train=False, inputs=[normal(*x)], label="dropout"),
        layer(kind, INPUT, HIDDEN, 2, dropout=0.4, torch=None, inputs=[normal(*x)], label="dropout-training"),
        layer(kind, INPUT, HIDDEN, **both, variational_dropout=0.4, inputs=[normal(*x), states(4, BATCH)],
              call={"lengths": LENGTHS}, torch=None, label="variational-dropout"),
        layer(kind + "Cell", INPUT, HIDDEN, inputs=[normal(BATCH, INPUT)]),
        layer(kind + "Cell", INPUT, HIDDEN, inputs=[normal(BATCH, INPUT), states(BATCH)], label="given"),
        layer(kind + "Cell", INPUT, HIDDEN, inputs=[normal(INPUT), states()], label="unbatched"),
        layer(kind + "Cell", INPUT, HIDDEN, bias=False, inputs=[normal(BATCH, INPUT)], label="no-bias"),
    ]


LAYERS = [
    *rows("RNN"), *rows("LSTM"), *rows("GRU"),
    layer("RNN", INPUT, HIDDEN, nonlinearity="relu", inputs=[normal(STEPS, BATCH, INPUT)], label="relu"),
    layer("RNNCell", INPUT, HIDDEN, nonlinearity="relu", inputs=[normal(BATCH, INPUT)], label="relu"),
    layer("LSTM", INPUT, 3, proj_size=2, inputs=[normal(STEPS, BATCH, INPUT)], label="projected"),
    layer("LSTM", INPUT, 3, 2, False, True, bidirectional=True, proj_size=2, torch=packed("LSTM"),
          inputs=[normal(BATCH, STEPS, INPUT), (normal(4, BATCH, 2), normal(4, BATCH, 3))],
          call={"lengths": LENGTHS}, label="projected-all"),
    layer("LSTM", INPUT, 3, 2, proj_size=2, variational_dropout=0.4, torch=None, inputs=[normal(STEPS, BATCH, INPUT)],
          label="projected-variational-dropout"),
    layer("AdditiveAttention", 2, 3, 4, inputs=[normal(BATCH, 2), normal(BATCH, STEPS, 3)], torch=additive),
    layer("AdditiveAttention", 2, 3, 4, inputs=[normal(BATCH, 5, 2), normal(BATCH, STEPS, 3)], torch=additive,
          call={"lengths": LENGTHS}, label="queries-lengths"),
]
