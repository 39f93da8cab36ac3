"""GPT-2: a Transformer that continues text."""

import math
from typing import Any

from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.attention import KeyValueCache, hidden_by_order, join_heads, split_heads
from chainrule.layers.containers import ModuleList
from chainrule.layers.dropout import Dropout
from chainrule.layers.embedding import Embedding
from chainrule.layers.linear import Linear, empty
from chainrule.layers.models.decoding import Incremental, evaluating, greedy, sample
from chainrule.layers.module import Module, Parameter
from chainrule.layers.normalization import LayerNorm
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["GPT2"]

STD = 0.02  # of first values


class Projection(Module):
    """y = x W + b with W stored (in, out), as GPT-2 stores it: the transpose of Linear's weight."""

    weight: Parameter
    bias: Parameter

    def __init__(self, inputs: int, outputs: int, std: float = STD) -> None:
        self.weight, self.bias = empty(inputs, outputs, device=None, dtype=None), empty(outputs, device=None, dtype=None)
        init.normal_(self.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in) -> (…, out)."""
        return F.linear(x, self.weight.mT, self.bias)

    def extra_repr(self) -> str:
        """in, out."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class Attention(Module):
    """Causal self-attention; one projection gives queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float, residual_std: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.c_attn = Projection(width, 3 * width)
        self.c_proj = Projection(width, width, residual_std)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Any:
        """x (N, L, E) -> (N, L, E)."""
        width = x.shape[-1]
        query, key, value = (split_heads(part, self.heads) for part in self.c_attn(x).split(width, dim=-1))
        before = 0 if cache is None else len(cache)
        if cache is not None:
            key, value = cache.extend(key, value)
        length, keys = query.shape[-2], key.shape[-2]
        # new queries behind old keys: the causal triangle begins further right; a single one sees everything
        seen = ops.constant(~hidden_by_order(length, keys, before), x) if before and length > 1 else None
        found = F.scaled_dot_product_attention(query, key, value, seen, self.dropout if self.training else 0.0,
                                               is_causal=not before)
        return self.c_proj(join_heads(found))


class FeedForward(Module):
    """Two projections with the tanh form of gelu between them, four times as wide inside."""

    def __init__(self, width: int, residual_std: float) -> None:
        self.c_fc = Projection(width, 4 * width)
        self.c_proj = Projection(4 * width, width, residual_std)

    def forward(self, x: Tensor) -> Any:
        """x (N, L, E) -> (N, L, E)."""
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(Module):
    """x ← x + attention(ln_1(x)), then x ← x + mlp(ln_2(x)): the norms stand in front of the parts."""

    def __init__(self, width: int, heads: int, dropout: float, eps: float, residual_std: float) -> None:
        self.ln_1 = LayerNorm(width, eps)
        self.attn = Attention(width, heads, dropout, residual_std)
        self.ln_2 = LayerNorm(width, eps)
        self.mlp = FeedForward(width, residual_std)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """x (N, L, E) -> (N, L, E)."""
        x = x + self.dropout(self.attn(self.ln_1(x), cache))
        x = x + self.dropout(self.mlp(self.ln_2(x)))
        return x


class Body(Module):
    """GPT-2 without its head: embeddings of tokens (wte) and positions (wpe), the blocks, a last norm."""

    def __init__(self, vocab_size: int, n_positions: int, n_embd: int, n_layer: int, n_head: int, dropout: float,
                 eps: float) -> None:
        self.wte = Embedding(vocab_size, n_embd)
        self.wpe = Embedding(n_positions, n_embd)
        for table in (self.wte, self.wpe):
            init.normal_(table.weight, std=STD)
        self.drop = Dropout(dropout)
        # the blocks add 2 n_layer terms to x; made smaller, their sum keeps its size
        residual_std = STD / math.sqrt(2 * n_layer)
        self.h = ModuleList(Block(n_embd, n_head, dropout, eps, residual_std) for _ in range(n_layer))
        self.ln_f = LayerNorm(n_embd, eps)

    def forward(self, tokens: Tensor, cache: list[KeyValueCache] | None = None) -> Any:
        """tokens (N, L) -> (N, L, E)."""
        before = len(cache[0]) if cache else 0
        positions = ops.arange(before, before + tokens.shape[1], device=tokens.device)
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for i, block in enumerate(self.h):
            x = block(x, cache[i] if cache else None)
        return self.ln_f(x)


class GPT2(Module):
    """GPT-2: tokens (N, L) -> logits (N, L, vocab_size) of the token that follows each.

    Radford et al. 2019, "Language models are unsupervised multitask learners". A stack of `n_layer` blocks of `n_head`
    heads and width `n_embd`, with the norms in front (pre-norm), the tanh form of gelu, learned positions up to
    `n_positions`, and an output matrix that is the embedding table (tied). Defaults are the smallest GPT-2, of 124
    million parameters. Weights start N(0, 0.02²), those of the last projection of each part smaller by √(2 n_layer),
    biases 0.

    Names and shapes are those of Hugging Face's GPT2LMHeadModel; see `load_hugging_face`. Raises ValueError where
    n_head does not divide n_embd.

    >>> import chainrule as cr
    >>> model = GPT2(vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2)
    >>> tokens = cr.tensor([[3, 1, 4, 1, 5]])
    >>> logits = model(tokens)
    >>> loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())  # each token from those before
    >>> logits.shape, model.generate(tokens, 30).shape
    ((1, 5, 50), (1, 35))
    """

    def __init__(self, vocab_size: int = 50257, n_positions: int = 1024, n_embd: int = 768, n_layer: int = 12,
                 n_head: int = 12, dropout: float = 0.1, layer_norm_epsilon: float = 1e-5) -> None:
        if n_embd % n_head:
            raise ValueError(f"GPT2: n_embd={n_embd} must be a multiple of n_head={n_head}")
        self.n_positions = n_positions
        self.transformer = Body(vocab_size, n_positions, n_embd, n_layer, n_head, dropout, layer_norm_epsilon)
        self.lm_head = Linear(n_embd, vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def new_cache(self) -> list[KeyValueCache]:
        """An empty cache for each block."""
        return [KeyValueCache() for _ in self.transformer.h]

    def forward(self, tokens: Tensor, cache: list[KeyValueCache] | None = None) -> Any:
        """The logits (N, L, vocab_size) of what follows each of tokens (N, L).

        `cache`, from new_cache: the tokens continue those of earlier calls with it. Raises ShapeError for tokens that
        are not (N, L), or for more of them than n_positions.
        """
        before = len(cache[0]) if cache else 0
        if tokens.ndim != 2 or before + tokens.shape[1] > self.n_positions:
            raise ShapeError(f"GPT2: the tokens are {describe(tokens)}"
                             + (f", behind {before} in the cache" if before else "")
                             + f"; they must be (N, L) with at most n_positions={self.n_positions} in all")
        return self.lm_head(self.transformer(tokens, cache))

    def continuation(self) -> Incremental:
        """The logits of what follows, for the functions of `decoding`; it reads every token once while they fit into
        n_positions, and goes on from the last half when they do not."""
        return Incremental(self, self.new_cache, self.n_positions)

    def generate(self, tokens: Any, max_new_tokens: int, temperature: float = 1.0, top_k: int | None = None,
                 top_p: float | None = None, end: int | None = None, generator: Any = None) -> Tensor:
        """tokens (N, T), continued: (N, T + max_new_tokens), or shorter where all reach the token `end`.

        Drawn as `decoding.sample` does, in evaluation mode; the likeliest with temperature=0. Prompts of one batch have
        the same length.
        """
        with evaluating(self):
            if temperature == 0:
                return greedy(self.continuation(), tokens, max_new_tokens, end)
            return sample(self.continuation(), tokens, max_new_tokens, temperature, top_k, top_p, end, generator)
