"""A sequence-to-sequence model with attention: a GRU reads, another writes and looks back at what was read.

Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and translate"
(https://arxiv.org/abs/1409.0473).
"""

from typing import Any

from chainrule.errors import ShapeError, describe
from chainrule.graph import no_grad
from chainrule.layers.attention_additive import AdditiveAttention
from chainrule.layers.dropout import Dropout
from chainrule.layers.embedding import Embedding
from chainrule.layers.linear import Linear
from chainrule.layers.module import Module
from chainrule.layers.recurrent import GRU
from chainrule.layers.recurrent_cells import GRUCell
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["Seq2Seq", "Seq2SeqDecoder", "Seq2SeqEncoder"]


class Seq2SeqEncoder(Module):
    """Reads the source in both directions: tokens (N, T), lengths (N) -> keys (N, T, 2H), first state (N, H).

    A key is what both directions know at a place. The decoder's first state is made of the last state of the reverse
    direction, which ends at the first word.

    >>> import chainrule as cr
    >>> keys, state = Seq2SeqEncoder(10, 4, 8)(cr.tensor([[3, 4, 5], [6, 0, 0]]), [3, 1])
    >>> keys.shape, state.shape
    ((2, 3, 16), (2, 8))
    """

    def __init__(self, source_size: int, embedding_size: int, hidden_size: int, dropout: float = 0.0,
                 padding_idx: int | None = None) -> None:
        self.embedding = Embedding(source_size, embedding_size, padding_idx)
        self.dropout = Dropout(dropout)
        self.gru = GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = Linear(hidden_size, hidden_size)

    def forward(self, source: Any, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """source (N, T) integers, lengths (N) or None -> keys (N, T, 2H), state (N, H)."""
        keys, last = self.gru(self.dropout(self.embedding(source)), None, lengths)
        return keys, ops.tanh(self.bridge(last[1]))


class Seq2SeqDecoder(Module):
    """Writes one token at a time: looks at the keys, moves its state on, scores the next token.

    `decoder(token, state, keys, lengths=None, projected=None)` with token (N) integers, state (N, H), keys (N, T, 2H),
    `lengths` and `projected` as for `AdditiveAttention` -> logits (N, target_size), state (N, H), weights (N, T). The
    scores are a linear layer on the state, the context and the token.

    >>> import chainrule as cr
    >>> logits, state, weights = Seq2SeqDecoder(12, 4, 8)(cr.tensor([1, 2]), cr.zeros(2, 8), cr.zeros(2, 3, 16))
    >>> logits.shape, state.shape, weights.shape
    ((2, 12), (2, 8), (2, 3))
    """

    def __init__(self, target_size: int, embedding_size: int, hidden_size: int, dropout: float = 0.0,
                 padding_idx: int | None = None) -> None:
        self.embedding = Embedding(target_size, embedding_size, padding_idx)
        self.dropout = Dropout(dropout)
        self.attention = AdditiveAttention(hidden_size, 2 * hidden_size, hidden_size)
        self.cell = GRUCell(embedding_size + 2 * hidden_size, hidden_size)
        self.output = Linear(hidden_size + 2 * hidden_size + embedding_size, target_size)

    def forward(self, token: Any, state: Tensor, keys: Tensor, lengths: Any = None,
                projected: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """token (N), state (N, H), keys (N, T, 2H) -> logits (N, target_size), state (N, H), weights (N, T)."""
        read = self.dropout(self.embedding(token))  # (N, embedding_size)
        context, weights = self.attention(state, keys, lengths, projected)
        state = self.cell(ops.cat([read, context], dim=-1), state)
        return self.output(self.dropout(ops.cat([state, context, read], dim=-1))), state, weights


class Seq2Seq(Module):
    """Encoder and decoder with additive attention, trained with given tokens, or in part with its own guesses.

    `source_size` and `target_size` count the tokens of both languages; `pad`, `start` and `end` are the tokens that fill
    up, begin and end a target, and `pad` also fills up a source.

    `model(source, lengths, target, teacher_forcing=1.0)`: source (N, T) and target (N, S) integers, where a target is
    start, words …, end, pad …; lengths (N) of the sources, or None. Returns logits (N, S − 1, target_size) for
    `target[:, 1:]`: give cross_entropy `ignore_index=pad`. At each step the decoder reads the given token with the
    probability `teacher_forcing`, drawn for each sequence, and else its own best guess for it: scheduled sampling, Bengio
    et al. 2015 (https://arxiv.org/abs/1506.03099), which accustoms it to its own mistakes. Raises ShapeError for a target
    without two axes, or of one token, ValueError for a probability outside 0 to 1.

    >>> import chainrule as cr
    >>> model = Seq2Seq(source_size=10, target_size=12, embedding_size=4, hidden_size=8)
    >>> source, target = cr.tensor([[3, 4, 5], [6, 0, 0]]), cr.tensor([[1, 7, 8, 2], [1, 9, 2, 0]])
    >>> model(source, [3, 1], target).shape
    (2, 3, 12)
    >>> tokens, weights = model.generate(source, [3, 1], max_length=5)
    >>> tokens.shape[1] <= 5, weights.shape[2]
    (True, 3)
    """

    def __init__(self, source_size: int, target_size: int, embedding_size: int = 64, hidden_size: int = 128,
                 dropout: float = 0.0, pad: int = 0, start: int = 1, end: int = 2) -> None:
        self.pad, self.start, self.end = pad, start, end
        self.encoder = Seq2SeqEncoder(source_size, embedding_size, hidden_size, dropout, pad)
        self.decoder = Seq2SeqDecoder(target_size, embedding_size, hidden_size, dropout, pad)

    def forward(self, source: Any, lengths: Any, target: Any, teacher_forcing: float = 1.0) -> Tensor:
        """source (N, T), lengths (N) or None, target (N, S) -> logits (N, S − 1, target_size)."""
        target = ops.as_tensor(target)
        if target.ndim != 2 or target.shape[1] < 2:
            raise ShapeError(f"Seq2Seq: the target is (N, S), beginning with the start token {self.start}, and S is at "
                             f"least 2; this one is {describe(target)}")
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"Seq2Seq: teacher_forcing={teacher_forcing} is a probability, between 0 and 1")
        keys, state = self.encoder(source, lengths)
        projected = self.decoder.attention.key(keys)
        scores: list[Tensor] = []
        for step in range(target.shape[1] - 1):
            token = target[:, step]
            if step and teacher_forcing < 1:
                given = ops.rand(len(target), device=target.device) < teacher_forcing
                token = ops.where(given, token, scores[-1].detach().argmax(-1))
            logits, state, _ = self.decoder(token, state, keys, lengths, projected)
            scores.append(logits)
        found: Tensor = ops.stack(scores, dim=1)
        return found

    @no_grad()
    def generate(self, source: Any, lengths: Any = None, max_length: int = 50) -> tuple[Tensor, Tensor]:
        """The likeliest token at each step, until all sequences have ended or have `max_length` tokens.

        source (N, T), lengths (N) or None -> tokens (N, S), end included and `pad` after it, and the attention's weights
        (N, S, T): how much writing token s looked at source token t. In training mode dropout is on; call eval() first.
        Raises ValueError for a max_length below 1.
        """
        if max_length < 1:
            raise ValueError(f"Seq2Seq.generate: max_length={max_length} must be at least 1")
        keys, state = self.encoder(source, lengths)
        projected = self.decoder.attention.key(keys)
        token = ops.full((len(keys),), self.start, device=keys.device)
        ended = ops.zeros(len(keys), dtype=bool, device=keys.device)
        tokens: list[Tensor] = []
        looks: list[Tensor] = []
        while len(tokens) < max_length and not (tokens and bool(ended.all())):
            logits, state, weights = self.decoder(token, state, keys, lengths, projected)
            token = ops.where(ended, self.pad, logits.argmax(-1))
            ended = ended | (token == self.end)
            tokens.append(token)
            looks.append(weights)
        return ops.stack(tokens, dim=1), ops.stack(looks, dim=1)
