"""The original Transformer: an encoder-decoder for translation and other tasks from sequence to sequence."""

import math
from typing import Any

from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.dropout import Dropout
from chainrule.layers.embedding import Embedding
from chainrule.layers.linear import Linear
from chainrule.layers.models.decoding import Incremental, beam_search, evaluating, greedy
from chainrule.layers.module import Module
from chainrule.layers.positions import SinusoidalPositions
from chainrule.layers.transformer import DecoderLayerCache, Transformer
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["OriginalTransformer"]


class OriginalTransformer(Module):
    """Source (N, S) and target so far (N, T), tokens both -> logits (N, T, vocabulary) of the token that follows each.

    Vaswani et al. 2017, "Attention is all you need". Tokens become vectors, times √d_model, plus sinusoidal positions;
    the encoder reads the source, the decoder the target and the encoder's output; one table serves as the embedding of
    both and as the output matrix (tied, section 3.4 of the paper). Tokens equal to `padding` are not attended.
    Positions go up to `max_length`. Behind encoder and decoder stands a norm, as in torch's Transformer; the remaining
    arguments are those of `layers.Transformer`, and the defaults the paper's base model.

    Trained with the target shifted by one: it begins with a token that says so, and each position guesses the next.

    >>> import chainrule as cr
    >>> model = OriginalTransformer(20, d_model=8, nhead=2, num_encoder_layers=1, num_decoder_layers=1)
    >>> source, target = cr.tensor([[5, 6, 7]]), cr.tensor([[1, 7, 6, 5, 2]])  # 1 begins, 2 ends
    >>> logits = model(source, target[:, :-1])
    >>> loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), label_smoothing=0.1)
    >>> logits.shape, model.translate(source, start=1, end=2, max_length=4).shape[0]
    ((1, 4, 20), 1)
    """

    def __init__(self, vocabulary: int, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6,
                 num_decoder_layers: int = 6, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: Any = F.relu, layer_norm_eps: float = 1e-5, norm_first: bool = False, padding: int = 0,
                 max_length: int = 5000) -> None:
        self.padding, self.scale = padding, math.sqrt(d_model)
        self.embedding = Embedding(vocabulary, d_model)
        self.positions = SinusoidalPositions(d_model, max_length, batch_first=True)
        self.dropout = Dropout(dropout)
        self.transformer = Transformer(d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout,
                                       activation, layer_norm_eps=layer_norm_eps, batch_first=True, norm_first=norm_first)
        self.output = Linear(d_model, vocabulary, bias=False)
        self.output.weight = self.embedding.weight
        # times √d_model as an embedding this has unit variance, and as the output matrix it keeps that of the states
        init.normal_(self.embedding.weight, std=1 / self.scale)

    def embed(self, tokens: Tensor, offset: int = 0) -> Any:
        """tokens (N, L), the first at position `offset` -> (N, L, d_model)."""
        if tokens.ndim != 2:
            raise ShapeError(f"OriginalTransformer: the tokens are {describe(tokens)}, they must be (N, length)")
        return self.dropout(self.positions(self.embedding(tokens) * self.scale, offset))

    def encode(self, source: Tensor) -> Any:
        """The encoder's output (N, S, d_model) for source (N, S)."""
        return self.transformer.encoder(self.embed(source), src_key_padding_mask=source == self.padding)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor, cache: list[DecoderLayerCache] | None = None) -> Any:
        """Logits (N, T, vocabulary) of what follows each of target (N, T), given what `encode` made of source (N, S).

        `cache`, from `transformer.decoder.new_cache()`: the target continues that of earlier calls.
        """
        offset = len(cache[0].own) if cache else 0
        # a causal decoder need not be told of padding behind the target: nothing before it looks there
        states = self.transformer.decoder(self.embed(target, offset), memory, tgt_is_causal=True,
                                          memory_key_padding_mask=source == self.padding, cache=cache)
        return self.output(states)

    def forward(self, source: Tensor, target: Tensor) -> Any:
        """Logits (N, T, vocabulary): source (N, S), target (N, T)."""
        return self.decode(target, self.encode(source), source)

    def continuation(self, source: Any, beams: int = 1) -> Incremental:
        """For the functions of `decoding`: the logits of what follows a target, given source (N, S); with `beams`
        targets for each source, one behind the other."""
        source = ops.as_tensor(source)
        memory = self.encode(source)
        source, memory = source.repeat_interleave(beams, 0), memory.repeat_interleave(beams, 0)
        return Incremental(lambda tokens, cache: self.decode(tokens, memory, source, cache),
                           self.transformer.decoder.new_cache)

    def translate(self, source: Any, start: int, end: int, max_length: int, beams: int = 1,
                  length_penalty: float = 0.6) -> Tensor:
        """The target of each source (N, S): tokens (N, at most max_length) up to `end`, with which shorter ones are
        filled. Greedily, or the best that a search with several `beams` finds; see `decoding`."""
        source = ops.as_tensor(source)
        begin = Tensor(source.data[:, :1] * 0 + start)
        with evaluating(self):
            logits = self.continuation(source, beams)
            if beams == 1:
                found = greedy(logits, begin, max_length, end)
            else:
                found = beam_search(logits, begin, max_length, beams, end, length_penalty)[0][:, 0]
        return found[:, 1:]
