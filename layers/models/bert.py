"""BERT: a Transformer encoder that sees both sides of each word, pretrained by guessing hidden ones."""

from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.attention import join_heads, split_heads
from chainrule.layers.containers import ModuleDict, ModuleList
from chainrule.layers.dropout import Dropout
from chainrule.layers.embedding import Embedding
from chainrule.layers.linear import Linear, empty
from chainrule.layers.module import Module, Parameter
from chainrule.layers.normalization import LayerNorm
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["BertForMaskedLM", "BertForSequenceClassification", "BertModel"]

STD = 0.02  # of first values


def start_(module: Module) -> None:
    """First values: weights of linear layers and embeddings N(0, 0.02²), biases 0, the padding's row 0."""
    if isinstance(module, Linear | Embedding):
        init.normal_(module.weight, std=STD)
    if isinstance(module, Linear) and module.bias is not None:
        init.zeros_(module.bias)
    if isinstance(module, Embedding) and module.padding_idx is not None:
        init.zeros_(module.weight[module.padding_idx])


class BertEmbeddings(Module):
    """Word + position + segment, then a norm: tokens (N, L) -> (N, L, E)."""

    def __init__(self, vocab_size: int, hidden_size: int, max_position_embeddings: int, type_vocab_size: int,
                 pad_token_id: int | None, dropout: float, eps: float) -> None:
        self.word_embeddings = Embedding(vocab_size, hidden_size, padding_idx=pad_token_id)
        self.position_embeddings = Embedding(max_position_embeddings, hidden_size)
        self.token_type_embeddings = Embedding(type_vocab_size, hidden_size)
        self.LayerNorm = LayerNorm(hidden_size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Any:
        """tokens and segments (N, L) -> (N, L, E)."""
        positions = ops.arange(input_ids.shape[1], device=input_ids.device)
        x = (self.word_embeddings(input_ids) + self.position_embeddings(positions)
             + self.token_type_embeddings(token_type_ids))
        return self.dropout(self.LayerNorm(x))


class BertSelfAttention(Module):
    """Every position looks at all that are not padding."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = Linear(width, width), Linear(width, width), Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """x (N, L, E), seen (N, 1, 1, L) -> (N, L, E)."""
        query, key, value = (split_heads(layer(x), self.heads) for layer in (self.query, self.key, self.value))
        return join_heads(F.scaled_dot_product_attention(query, key, value, seen, self.dropout if self.training else 0.0))


class BertOutput(Module):
    """What ends both parts of a layer: norm(residual + dense(x))."""

    def __init__(self, inputs: int, width: int, dropout: float, eps: float) -> None:
        self.dense = Linear(inputs, width)
        self.LayerNorm = LayerNorm(width, eps)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Any:
        """x (N, L, inputs), residual (N, L, E) -> (N, L, E)."""
        return self.LayerNorm(residual + self.dropout(self.dense(x)))


class BertAttention(Module):
    """The attention part: `self`, as the published weights call it, and its output."""

    def __init__(self, width: int, heads: int, dropout: float, eps: float) -> None:
        self.self = BertSelfAttention(width, heads, dropout)
        self.output = BertOutput(width, width, dropout, eps)

    def forward(self, x: Tensor, seen: Tensor | None) -> Any:
        """x (N, L, E), seen (N, 1, 1, L) -> (N, L, E)."""
        return self.output(self.self(x, seen), x)


class BertIntermediate(Module):
    """The wider layer in the middle of the feed-forward part, with the exact gelu."""

    def __init__(self, width: int, inner: int) -> None:
        self.dense = Linear(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, E) -> (N, L, inner)."""
        return F.gelu(self.dense(x))


class BertLayer(Module):
    """x ← norm(x + attention(x)), then x ← norm(x + feed-forward(x)): the norms stand behind the sums."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, eps: float) -> None:
        self.attention = BertAttention(width, heads, dropout, eps)
        self.intermediate = BertIntermediate(width, inner)
        self.output = BertOutput(inner, width, dropout, eps)

    def forward(self, x: Tensor, seen: Tensor | None) -> Any:
        """x (N, L, E), seen (N, 1, 1, L) -> (N, L, E)."""
        x = self.attention(x, seen)
        return self.output(self.intermediate(x), x)


class BertEncoder(Module):
    """The layers, one after the other."""

    def __init__(self, count: int, *sizes: Any) -> None:
        self.layer = ModuleList(BertLayer(*sizes) for _ in range(count))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """x (N, L, E), seen (N, 1, 1, L) -> (N, L, E)."""
        for layer in self.layer:
            x = layer(x, seen)
        return x


class BertPooler(Module):
    """tanh(W x + b) of the first position, which stands for the whole sequence: (N, L, E) -> (N, E)."""

    def __init__(self, width: int) -> None:
        self.dense = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, E) -> (N, E)."""
        return F.tanh(self.dense(x[:, 0]))


class BertModel(Module):
    """The body of BERT: tokens (N, L) -> (states (N, L, hidden_size), pooled (N, hidden_size)).

    Devlin et al. 2019, "BERT: pre-training of deep bidirectional transformers for language understanding". Embeddings
    of words, positions and segments (`token_type_ids`: 0 for the first sentence, 1 for the second), then
    `num_hidden_layers` encoder layers with the norms behind the sums, the exact gelu and eps = 1e-12. `pooled` is made
    of the first position, for what concerns the whole sequence, or None without `add_pooling_layer`. Defaults are
    BERT-base, of 110 million parameters. Weights start N(0, 0.02²), biases 0.

    Names and shapes are those of Hugging Face's BertModel; see `load_hugging_face`. Raises ValueError where the heads
    do not divide hidden_size.

    >>> import chainrule as cr
    >>> model = BertModel(vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    >>> states, pooled = model(cr.tensor([[7, 8, 9, 0]]), attention_mask=cr.tensor([[1, 1, 1, 0]]))  # 0 is padding
    >>> states.shape, pooled.shape
    ((1, 4, 8), (1, 8))
    """

    def __init__(self, vocab_size: int = 30522, hidden_size: int = 768, num_hidden_layers: int = 12,
                 num_attention_heads: int = 12, intermediate_size: int = 3072, max_position_embeddings: int = 512,
                 type_vocab_size: int = 2, dropout: float = 0.1, layer_norm_eps: float = 1e-12,
                 pad_token_id: int | None = 0, add_pooling_layer: bool = True) -> None:
        if hidden_size % num_attention_heads:
            raise ValueError(f"BertModel: hidden_size={hidden_size} must be a multiple of num_attention_heads="
                             f"{num_attention_heads}")
        self.max_position_embeddings = max_position_embeddings
        self.embeddings = BertEmbeddings(vocab_size, hidden_size, max_position_embeddings, type_vocab_size, pad_token_id,
                                         dropout, layer_norm_eps)
        self.encoder = BertEncoder(num_hidden_layers, hidden_size, num_attention_heads, intermediate_size, dropout,
                                   layer_norm_eps)
        self.pooler = BertPooler(hidden_size) if add_pooling_layer else None
        self.apply(start_)

    def forward(self, input_ids: Tensor, attention_mask: Any = None,
                token_type_ids: Any = None) -> tuple[Tensor, Tensor | None]:
        """(states, pooled) of tokens (N, L). `attention_mask` (N, L): 1 or True for tokens, 0 or False for padding, all
        tokens unless given. `token_type_ids` (N, L): segments, all 0 unless given. Raises ShapeError for other shapes
        and for more than max_position_embeddings tokens."""
        if input_ids.ndim != 2 or input_ids.shape[1] > self.max_position_embeddings:
            raise ShapeError(f"BertModel: the tokens are {describe(input_ids)}; they must be (N, L) with L at most "
                             f"max_position_embeddings={self.max_position_embeddings}")
        segments = ops.zeros_like(input_ids, np.int64) if token_type_ids is None else ops.as_tensor(token_type_ids)
        seen = None
        for name, given in (("attention_mask", attention_mask), ("token_type_ids", token_type_ids)):
            if given is not None and ops.as_tensor(given).shape != input_ids.shape:
                raise ShapeError(f"BertModel: {name} is {describe(given)}, the tokens are {describe(input_ids)}; their "
                                 "shapes must agree")
        if attention_mask is not None:
            seen = (ops.as_tensor(attention_mask) != 0).unsqueeze(1).unsqueeze(1)  # (N, 1, 1, L), for all heads and queries
        states = self.encoder(self.embeddings(input_ids, segments), seen)
        return states, None if self.pooler is None else self.pooler(states)


class BertTransform(Module):
    """A layer between the states and the guess: norm(gelu(W x + b))."""

    def __init__(self, width: int, eps: float) -> None:
        self.dense = Linear(width, width)
        self.LayerNorm = LayerNorm(width, eps)

    def forward(self, x: Tensor) -> Any:
        """x (N, L, E) -> (N, L, E)."""
        return self.LayerNorm(F.gelu(self.dense(x)))


class BertPredictions(Module):
    """States -> logits of words; the matrix is the table of word embeddings, the bias has two names."""

    bias: Parameter

    def __init__(self, words: Parameter, eps: float) -> None:
        vocab_size, width = words.shape
        self.transform = BertTransform(width, eps)
        self.decoder = Linear(width, vocab_size)
        self.apply(start_)
        self.decoder.weight = words
        self.bias = self.decoder.bias = empty(vocab_size, device=None, dtype=None)

    def forward(self, x: Tensor) -> Any:
        """x (N, L, E) -> (N, L, vocab_size)."""
        return self.decoder(self.transform(x))


class BertForMaskedLM(Module):
    """Guesses hidden words: tokens (N, L) -> logits (N, L, vocab_size) of the word at each position.

    For pretraining replace 15 % of the tokens by the mask (of these, a tenth by another word, a tenth not at all) and
    take the cross-entropy at those positions, with labels of -100 at the others, which it ignores. The arguments are
    BertModel's; names and shapes those of Hugging Face's BertForMaskedLM.

    >>> import chainrule as cr
    >>> model = BertForMaskedLM(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    >>> logits = model(cr.tensor([[7, 8, 1, 9]]))  # 1 stands for the hidden word 5
    >>> loss = F.cross_entropy(logits.flatten(0, 1), cr.tensor([-100, -100, 5, -100]))
    >>> logits.shape
    (1, 4, 50)
    """

    def __init__(self, vocab_size: int = 30522, hidden_size: int = 768, num_hidden_layers: int = 12,
                 num_attention_heads: int = 12, intermediate_size: int = 3072, layer_norm_eps: float = 1e-12,
                 **options: Any) -> None:
        self.bert = BertModel(vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size,
                              layer_norm_eps=layer_norm_eps, add_pooling_layer=False, **options)
        # ModuleDict: a name in front, as the published weights have it
        self.cls = ModuleDict({"predictions": BertPredictions(self.bert.embeddings.word_embeddings.weight, layer_norm_eps)})

    def forward(self, input_ids: Tensor, attention_mask: Any = None, token_type_ids: Any = None) -> Any:
        """The logits (N, L, vocab_size); the arguments are BertModel's."""
        states, _ = self.bert(input_ids, attention_mask, token_type_ids)
        return self.cls["predictions"](states)


class BertForSequenceClassification(Module):
    """Classifies whole sequences: tokens (N, L) -> logits (N, num_labels), from the pooled first position.

    `num_labels`: how many classes; the other arguments are BertModel's. To start from a pretrained model, load its body:
    `classifier.bert.load_state_dict(pretrained.bert.state_dict(), strict=False)`. Names and shapes are those of
    Hugging Face's BertForSequenceClassification.

    >>> import chainrule as cr
    >>> model = BertForSequenceClassification(3, vocab_size=50, hidden_size=8, num_hidden_layers=1,
    ...                                       num_attention_heads=2)
    >>> model(cr.tensor([[7, 8, 1, 9]])).shape
    (1, 3)
    """

    def __init__(self, num_labels: int = 2, vocab_size: int = 30522, hidden_size: int = 768,
                 num_hidden_layers: int = 12, num_attention_heads: int = 12, intermediate_size: int = 3072,
                 dropout: float = 0.1, **options: Any) -> None:
        self.bert = BertModel(vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size,
                              dropout=dropout, **options)
        self.dropout = Dropout(dropout)
        self.classifier = Linear(hidden_size, num_labels)
        start_(self.classifier)

    def forward(self, input_ids: Tensor, attention_mask: Any = None, token_type_ids: Any = None) -> Any:
        """The logits (N, num_labels); the arguments are BertModel's."""
        _, pooled = self.bert(input_ids, attention_mask, token_type_ids)
        return self.classifier(self.dropout(pooled))
