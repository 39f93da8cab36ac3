"""The Transformer: layers of attention and feed-forward networks, stacks of them, and encoder and decoder together."""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule import dtypes
from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.attention import KeyValueCache, MultiheadAttention
from chainrule.layers.configured import Configured
from chainrule.layers.containers import ModuleList
from chainrule.layers.dropout import Dropout
from chainrule.layers.linear import Linear
from chainrule.layers.module import Module
from chainrule.layers.normalization import LayerNorm
from chainrule.tensor import Tensor

__all__ = ["DecoderLayerCache", "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder",
           "TransformerEncoderLayer"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class DecoderLayerCache(NamedTuple):
    """What a decoder layer keeps while it generates: keys and values of its own positions, and those of the memory."""

    own: KeyValueCache
    memory: KeyValueCache


class Block(Configured):
    """What encoder and decoder layers share: a feed-forward network, and around each part a residual connection with a
    layer norm, behind the sum or, with norm_first, in front of the part."""

    linear1: Linear
    linear2: Linear

    def __init__(self, attentions: tuple[str, ...], d_model: int, nhead: int, dim_feedforward: int, dropout: float,
                 activation: Any, layer_norm_eps: float, batch_first: bool, norm_first: bool, bias: bool,
                 device: Any, dtype: Any) -> None:
        if not callable(activation) and activation not in ACTIVATIONS:
            raise ValueError(f"{type(self).__name__}: activation={activation!r} must be 'relu', 'gelu' or a function")
        for name in attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, device=device,
                                           dtype=dtype)
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for number in range(1, len(attentions) + 2):
            setattr(self, f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for number in range(1, len(attentions) + 2):
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = activation if callable(activation) else ACTIVATIONS[activation]

    def _feed_forward(self, x: Tensor) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _residual(self, number: int, x: Tensor, part: Callable[[Tensor], Any]) -> Tensor:
        """norm(x + part(x)), or x + part(norm(x)) with norm_first; the part's result is dropped out."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        total: Tensor = x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))
        return total

    def goes_without_saying(self, name: str, value: object) -> bool:
        """What the modules inside show, and the activation, a function."""
        return name != "norm_first"


class TransformerEncoderLayer(Block):
    """Self-attention, then a feed-forward network of two linear layers, each with a residual connection:

        x ← norm1(x + attention(x))               norm_first:  x ← x + attention(norm1(x))
        x ← norm2(x + linear2(f(linear1(x))))                  x ← x + linear2(f(linear1(norm2(x))))

    Vaswani et al. 2017, "Attention is all you need". x (L, N, d_model), with `batch_first` (N, L, d_model), or
    (L, d_model) for a single sequence. `dim_feedforward`: the width between the linear layers. `activation` f: "relu",
    "gelu" or a function of a tensor. `dropout` is on the attention weights, behind f, and on what is added to x. `bias`
    is that of linear layers and norms alike. Raises ValueError for another activation.

    >>> import chainrule as cr
    >>> layer = TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(cr.randn(4, 5, 8)).shape
    (4, 5, 8)
    """

    self_attn: MultiheadAttention

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: Any = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
                 norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(("self_attn",), d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                         batch_first, norm_first, bias, device, dtype)

    def forward(self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False,
                cache: KeyValueCache | None = None) -> Tensor:
        """src of one shape, through the layer. The masks, is_causal and the cache are MultiheadAttention's, True where
        a position may NOT be attended."""
        def attend(x: Tensor) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal, cache=cache)[0]

        return self._residual(2, self._residual(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(Block):
    """Self-attention, attention to the encoder's output ("memory"), then a feed-forward network, each with a residual
    connection; see TransformerEncoderLayer for formula and arguments.

    >>> import chainrule as cr
    >>> layer = TransformerDecoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(cr.randn(4, 5, 8), cr.randn(4, 7, 8), tgt_is_causal=True).shape
    (4, 5, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: Any = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
                 norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(("self_attn", "multihead_attn"), d_model, nhead, dim_feedforward, dropout, activation,
                         layer_norm_eps, batch_first, norm_first, bias, device, dtype)

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Any = None, memory_mask: Any = None,
                tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool = False,
                memory_is_causal: bool = False, cache: DecoderLayerCache | None = None) -> Tensor:
        """tgt (T, N, d_model) with memory (S, N, d_model), N first with batch_first -> the shape of tgt.

        `tgt_…` are the arguments of the self-attention, `memory_…` those of the attention to memory, as in
        MultiheadAttention. `cache`: the positions before those of tgt, see TransformerDecoder.new_cache.
        """
        def attend(x: Tensor) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal,
                                  cache=None if cache is None else cache.own)[0]

        def attend_to_memory(x: Tensor) -> Any:
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask,
                                       is_causal=memory_is_causal, cache=None if cache is None else cache.memory)[0]

        x = self._residual(2, self._residual(1, tgt, attend), attend_to_memory)
        return self._residual(3, x, self._feed_forward)


class Stack(Module):
    """What encoder and decoder share: `layers`, copies of one layer, and a norm behind them."""

    layers: ModuleList

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        if num_layers < 0:
            raise ValueError(f"{type(self).__name__}: num_layers={num_layers} must not be negative")
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def _through(self, x: Tensor, cache: list[Any] | None, *args: Any, **options: Any) -> Tensor:
        """x through all layers, each with its entry of the cache, and the norm."""
        if cache is not None and len(cache) != len(self.layers):
            raise ValueError(f"{type(self).__name__}: the cache has {len(cache)} entries for {len(self.layers)} "
                             "layers; make it with new_cache()")
        for number, layer in enumerate(self.layers):
            # a layer of one's own need not know of caches
            extra = {} if cache is None else {"cache": cache[number]}
            x = layer(x, *args, **options, **extra)
        if self.norm is not None:
            x = self.norm(x)
        return x


class TransformerEncoder(Stack):
    """`num_layers` copies of an encoder layer, one after the other, and behind them `norm` where given.

    The copies start with the same values, as in torch; draw them anew where that matters (Transformer does).
    `enable_nested_tensor` and `mask_check` change nothing.

    >>> import chainrule as cr
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, nhead=2, batch_first=True), num_layers=2).eval()
    >>> x, cache = cr.randn(1, 6, 8), encoder.new_cache()
    >>> steps = [encoder(x[:, i: i + 1], is_causal=True, cache=cache) for i in range(6)]  # token by token, with a cache
    >>> cr.allclose(cr.cat(steps, dim=1), encoder(x, is_causal=True), atol=1e-5)
    True
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
                 enable_nested_tensor: bool = True, mask_check: bool = True) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def new_cache(self) -> list[KeyValueCache]:
        """An empty cache for every layer: for a causal encoder, that is a language model, that generates."""
        return [KeyValueCache() for _ in self.layers]

    def forward(self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None,
                cache: list[KeyValueCache] | None = None) -> Tensor:
        """src through all layers, with the same masks; see TransformerEncoderLayer."""
        return self._through(src, cache, src_mask=mask, src_key_padding_mask=src_key_padding_mask,
                             is_causal=bool(is_causal))


class TransformerDecoder(Stack):
    """`num_layers` copies of a decoder layer, one after the other, and behind them `norm` where given; see
    TransformerEncoder.

    >>> import chainrule as cr
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, nhead=2, batch_first=True), num_layers=2)
    >>> decoder(cr.randn(4, 5, 8), cr.randn(4, 7, 8), tgt_is_causal=True).shape
    (4, 5, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def new_cache(self) -> list[DecoderLayerCache]:
        """An empty cache for every layer, to generate with: pass it to each call, and to each only the new positions.
        The memory's keys and values are computed in the first."""
        return [DecoderLayerCache(KeyValueCache(), KeyValueCache(grows=False)) for _ in self.layers]

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Any = None, memory_mask: Any = None,
                tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
                cache: list[DecoderLayerCache] | None = None) -> Tensor:
        """tgt through all layers, with the same memory and masks; see TransformerDecoderLayer."""
        return self._through(tgt, cache, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                             tgt_key_padding_mask=tgt_key_padding_mask,
                             memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=bool(tgt_is_causal),
                             memory_is_causal=memory_is_causal)


class Transformer(Module):
    """An encoder reads the source, a decoder the target so far and the encoder's output: sequence to sequence.

    Vaswani et al. 2017, "Attention is all you need". Embeddings, positions and the projection onto words are not part
    of it: `layers.models.OriginalTransformer` has them. The arguments are TransformerEncoderLayer's and the numbers of
    layers; `custom_encoder` and `custom_decoder` take the place of those made here. All weights start Xavier-uniform.

    >>> import chainrule as cr
    >>> model = Transformer(8, 2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16, batch_first=True)
    >>> model(cr.randn(4, 7, 8), cr.randn(4, 5, 8), tgt_is_causal=True).shape
    (4, 5, 8)
    """

    def __init__(self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
                 dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = F.relu,
                 custom_encoder: Any = None, custom_decoder: Any = None, layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
                   device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder if custom_encoder is not None else TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norm())
        self.decoder = custom_decoder if custom_decoder is not None else TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norm())
        self.reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def reset_parameters(self) -> None:
        """Draw the weights of two or more axes anew, Xavier-uniform; the others stay."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(self, src: Tensor, tgt: Tensor, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
                src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None,
                memory_key_padding_mask: Any = None, src_is_causal: bool | None = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False) -> Tensor:
        """src (S, N, d_model) and tgt (T, N, d_model) -> (T, N, d_model); N first with batch_first, or no N at all.

        The masks are those of encoder and decoder. Raises ShapeError where batch or features do not fit.
        """
        batch_axis = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or src.ndim == 3 and src.shape[batch_axis] != tgt.shape[batch_axis]:
            raise ShapeError(f"Transformer: src {describe(src)} and tgt {describe(tgt)} must agree in the batch, axis "
                             f"{batch_axis}; batch_first={not self.batch_first} swaps the first two axes")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(f"Transformer: src {describe(src)} and tgt {describe(tgt)} must have d_model="
                             f"{self.d_model} features")
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        found: Tensor = self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                                     tgt_is_causal, memory_is_causal)
        return found

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz) as floats: 0 where a position may be attended, -inf where it comes later.

        >>> Transformer.generate_square_subsequent_mask(3)
        tensor([[  0., -inf, -inf],
                [  0.,   0., -inf],
                [  0.,   0.,   0.]])
        """
        mask = np.triu(np.full((sz, sz), -math.inf), 1)
        found = Tensor(mask.astype(dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)))
        return found if device is None else found.to(device)
