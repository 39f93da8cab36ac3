"""Multi-head attention, and the cache of keys and values that makes generation quick."""

import math
import operator
from functools import reduce
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.dtypes import REAL
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.linear import Linear, empty
from chainrule.layers.module import Parameter
from chainrule.names import ops
from chainrule.state import look, noting, special, state
from chainrule.tensor import Tensor

__all__ = ["KeyValueCache", "MultiheadAttention"]


class KeyValueCache:
    """The keys and values that one attention layer has computed so far, so that generating a token costs one token.

    A causal layer's keys and values at a position depend only on what stands up to there: they never change again. A
    layer that is given a cache therefore computes those of the new positions only, appends them, and lets the new
    queries look at all. Start with an empty cache; each call continues the sequence of the calls before it.

    With `grows=False` the first call fills the cache and later ones use what is there: for the attention of a decoder
    to the output of its encoder, which stays the same. `held` is None or the pair (keys, values), (N, heads, S,
    features) each; `len(cache)` is S.

    >>> import chainrule as cr
    >>> cache = KeyValueCache()
    >>> _ = cache.extend(cr.zeros(1, 2, 5, 4), cr.zeros(1, 2, 5, 4))
    >>> keys, values = cache.extend(cr.zeros(1, 2, 1, 4), cr.zeros(1, 2, 1, 4))
    >>> len(cache), keys.shape
    (6, (1, 2, 6, 4))
    """

    def __init__(self, grows: bool = True) -> None:
        self.grows = grows
        self.held: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return 0 if self.held is None else self.held[0].shape[-2]

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append those of new positions, (N, heads, L, features) each; returns all so far. Raises ShapeError where the
        batch or the heads are others than before."""
        if self.held is not None:
            if keys.shape[:2] != self.held[0].shape[:2]:
                raise ShapeError(f"KeyValueCache: it holds keys {describe(self.held[0])}, those to append are "
                                 f"{describe(keys)}; (N, heads) must agree. A new batch needs a new cache")
            # copying what is there costs about as much as the attention that reads it
            keys, values = ops.cat((self.held[0], keys), dim=-2), ops.cat((self.held[1], values), dim=-2)
        self.held = keys, values
        return self.held

    def select(self, rows: Any) -> None:
        """Keep these rows of the batch, in this order and as often as they occur: beam search goes on from its best
        hypotheses. `rows`: integers (M,); N becomes M."""
        if self.held is not None:
            self.held = self.held[0][rows], self.held[1][rows]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, heads · D) -> (N, heads, L, D)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(N, heads, L, D) -> (N, L, heads · D)."""
    batch, heads, length, size = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * size)


def hidden_by_order(length: int, keys: int, offset: int = 0) -> Any:
    """A bool array (length, keys), True where causality hides the key: query l sees the keys 0 to offset + l."""
    return ~np.tri(length, keys, offset, dtype=np.bool_)


def hides_what_comes_later(mask: Tensor, said: bool) -> bool:
    """Whether a mask (L, L) is the causal one: bools, or 0 and -inf; `said`: what the caller says of it."""
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or mask.requires_grad:
        return False
    if special.count and state.tracer is not None and noting() is None and state.tracer.open(mask):
        return said  # an exported file is for other masks too, about which nothing else is known
    if mask.is_cuda:
        return said  # to look would be to wait for the GPU
    return bool(look(_is_causal, mask))


def _is_causal(values: Any) -> bool:
    hidden = hidden_by_order(*values.shape)
    expected = hidden if values.dtype.kind == "b" else np.where(hidden, -np.inf, 0)
    return bool((values == expected).all())


def additive(mask: Tensor, dtype: Any) -> Tensor:
    """A mask in torch's form as floats to add to the scores: bools become -inf where they hide."""
    if mask.dtype.kind == "b":
        nothing: Tensor = ops.zeros((), dtype=dtype, device=mask.device)
        return nothing.masked_fill(mask, -math.inf)
    return mask.to(dtype)


def check_mask(name: str, mask: Any, *shapes: tuple[int, ...]) -> Tensor:
    """The mask as a tensor; ShapeError unless it has one of these shapes, DtypeError for integers."""
    found: Tensor = ops.as_tensor(mask)
    if found.shape not in shapes:
        raise ShapeError(f"MultiheadAttention: {name} is {describe(found)}, it must have the shape "
                         f"{' or '.join(map(str, shapes))}")
    if found.dtype.kind not in REAL + "b":
        raise DtypeError(f"MultiheadAttention: {name} is {found.dtype}; it must be bools (True: may not attend) or "
                         "floats to add")
    return found


def merge(masks: list[Tensor], dtype: Any) -> Tensor | None:
    """One mask that hides what any of these hides, in the form of functional.scaled_dot_product_attention: bools, True
    where the key takes part, or floats to add. The masks are in torch's form for modules: True where it may not."""
    if all(mask.dtype.kind == "b" for mask in masks):
        hidden = reduce(operator.or_, masks) if masks else None
        return None if hidden is None else ~hidden
    return reduce(operator.add, [additive(mask, dtype) for mask in masks])


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(query @ key.T / √E + mask): (..., L, E), (..., S, E) -> (..., L, S). A query that sees no key has zeros.

    `mask` as in functional.scaled_dot_product_attention, which does the same without making the weights.
    """
    scores = (query / math.sqrt(query.shape[-1])) @ key.mT  # (..., L, E) @ (..., E, S) -> (..., L, S)
    if mask is None:
        return F.softmax(scores, dim=-1)
    scores = scores.masked_fill(~mask, -math.inf) if mask.dtype.kind == "b" else scores + mask
    blind = ops.all(scores == -math.inf, -1, keepdim=True)  # (..., L, 1): 0 / 0 in the softmax
    return F.softmax(scores.masked_fill(blind, 0.0), dim=-1).masked_fill(blind, 0.0)


class MultiheadAttention(Configured):
    """Several attentions side by side, each on its own projection of the inputs; their results, joined, are projected.

        head_i = softmax(Q_i K_iᵀ / √E_i + mask) V_i    with Q_i, K_i, V_i = query W_iᑫᵀ, key W_iᵏᵀ, value W_iᵛᵀ
        output = [head_1 … head_H] W_outᵀ + b_out

    Vaswani et al. 2017, "Attention is all you need". `embed_dim` E is split among `num_heads` H, so each head has
    E_i = E / H. Weights: in_proj_weight (3E, E), which is W^q, W^k, W^v one below the other, or, where `kdim` or `vdim`
    differ from E, q_proj_weight (E, E), k_proj_weight (E, kdim), v_proj_weight (E, vdim); in_proj_bias (3E);
    out_proj.weight (E, E), out_proj.bias (E). `add_bias_kv` appends a learned key and value, `add_zero_attn` a key and
    value of zeros, which every query sees. `dropout` is on the attention weights, in training.

    Weights start Xavier-uniform (out_proj as Linear's), biases at 0, the learned key and value Xavier-normal. Raises
    ValueError where num_heads does not divide embed_dim.

    >>> import chainrule as cr
    >>> attention = MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = cr.randn(4, 5, 8)  # (N, L, E)
    >>> output, weights = attention(x, x, x, is_causal=True)
    >>> output.shape, weights.shape, weights[0, 0, 1:].tolist()
    ((4, 5, 8), (4, 5, 5), [0.0, 0.0, 0.0, 0.0])
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None) -> None:
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim={embed_dim} must be a positive multiple of "
                             f"num_heads={num_heads}: each head has embed_dim / num_heads features")
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout={dropout} is a probability, from 0 to 1")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.head_dim = embed_dim // num_heads
        self.add_bias_kv, self.add_zero_attn = add_bias_kv, add_zero_attn

        def make(*shape: int) -> Parameter:
            return empty(*shape, device=device, dtype=dtype)

        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = make(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = make(embed_dim, embed_dim)
            self.k_proj_weight = make(embed_dim, self.kdim)
            self.v_proj_weight = make(embed_dim, self.vdim)
        self.in_proj_bias = make(3 * embed_dim) if bias else None
        self.bias_k = make(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = make(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew."""
        self.out_proj.reset_parameters()
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for learned in (self.bias_k, self.bias_v):
            if learned is not None:
                init.xavier_normal_(learned)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any = None,
                need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
                is_causal: bool = False, cache: KeyValueCache | None = None) -> tuple[Tensor, Tensor | None]:
        """(output, weights): what each query takes from the values, and how it weighs them.

        query (L, N, E), key (S, N, kdim), value (S, N, vdim) -> output (L, N, E), or with batch_first (N, L, E) and so
        on; all without N for a single sequence. `key_padding_mask` (N, S) hides keys from all queries, `attn_mask`
        (L, S) or (N·num_heads, L, S) keys from some. In both, True says that the key may NOT be attended (in
        functional.scaled_dot_product_attention it is the other way round), and floats are added to the scores.
        `is_causal`: query l sees the keys 0 to l; a square attn_mask beside it must be that very mask. `cache`: the
        keys and values of earlier calls come before those of this one, and the masks are of all of them.

        Weights: (N, L, S), the mean over the heads, or (N, num_heads, L, S) unless average_attn_weights. Without
        `need_weights` they are None, and never made, which is quicker. A query that sees no key gets zeros from every
        head, hence the output's bias. Raises ShapeError where shapes do not fit, DtypeError for a mask of integers,
        ValueError for is_causal beside another mask.
        """
        single = query.ndim == 2
        self._check(query, key, value)
        fixed = None if cache is None or cache.grows else cache.held  # keys and values that are there already
        offset = len(cache) if cache is not None and cache.grows else 0
        query_, *new = self._project(query, key, value, fixed is not None)
        if fixed is not None:
            key_, value_ = fixed
        else:
            key_, value_ = new if cache is None else cache.extend(*new)
        seen, causal = self._masks(query_, key_, key_padding_mask, attn_mask, is_causal, offset, single, need_weights)
        key_, value_, seen = self._with_extra_keys(key_, value_, seen)

        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = attention_weights(query_, key_, seen)  # (N, H, L, S)
            if dropout:
                weights = F.dropout(weights, dropout)
            heads = weights @ value_  # (N, H, L, S) @ (N, H, S, D) -> (N, H, L, D)
            if average_attn_weights:
                weights = weights.mean(dim=1)
            if single:
                weights = weights.squeeze(0)
        else:
            heads = F.scaled_dot_product_attention(query_, key_, value_, seen, dropout, is_causal=causal)
        output = self.out_proj(join_heads(heads))  # (N, L, E)
        if single:
            return output.squeeze(0), weights
        return output if self.batch_first else output.transpose(0, 1), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """ShapeError where the inputs do not fit the layer or each other."""
        shapes = f"query {describe(query)}, key {describe(key)}, value {describe(value)}"
        layout = "(N, length, features)" if self.batch_first else "(length, N, features)"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ShapeError(f"MultiheadAttention: {shapes}: all three must have the axes {layout}, or (length, "
                             "features) for a single sequence")
        wanted = (self.embed_dim, self.kdim, self.vdim)
        if (query.shape[-1], key.shape[-1], value.shape[-1]) != wanted:
            raise ShapeError(f"MultiheadAttention: {shapes}: their last axes must be {wanted}, which are embed_dim, "
                             "kdim, vdim")
        batch_axis = 0 if self.batch_first else 1
        if query.ndim == 3 and not query.shape[batch_axis] == key.shape[batch_axis] == value.shape[batch_axis]:
            raise ShapeError(f"MultiheadAttention: {shapes}: they must agree in the batch, axis {batch_axis} of "
                             f"{layout}; batch_first={not self.batch_first} swaps the first two axes")
        if key.shape[:-1] != value.shape[:-1]:
            raise ShapeError(f"MultiheadAttention: {shapes}: each key has one value, so all but their last axes agree")

    def _project(self, query: Tensor, key: Tensor, value: Tensor, only_query: bool) -> list[Tensor]:
        """The inputs' projections, split into heads: (N, num_heads, length, head_dim) each."""
        width, bias, weight = self.embed_dim, self.in_proj_bias, self.in_proj_weight
        if weight is not None and query is key is value:  # self-attention: one product instead of three
            projected = F.linear(query, weight, bias).split(width, dim=-1)
        else:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight) if weight is None \
                else weight.split(width, dim=0)
            biases: Any = (None,) * 3 if bias is None else bias.split(width)
            inputs = [query] if only_query else [query, key, value]
            projected = tuple(F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=False))

        def split(x: Tensor) -> Tensor:
            x = x.unsqueeze(0) if x.ndim == 2 else x if self.batch_first else x.transpose(0, 1)  # (N, length, E)
            return split_heads(x, self.num_heads)

        return [split(x) for x in projected]

    def _masks(self, query: Tensor, key: Tensor, key_padding_mask: Any, attn_mask: Any, is_causal: bool,
               offset: int, single: bool, explicit: bool) -> tuple[Tensor | None, bool]:
        """The masks as one that broadcasts to (N, num_heads, L, S), or None and whether causality is all there is
        (never where it must be `explicit`). The first query stands at the position `offset`."""
        batch, heads, length, _ = query.shape
        keys = key.shape[-2]
        masks: list[Tensor] = []
        if attn_mask is not None:
            attn_mask = check_mask("attn_mask", attn_mask, (length, keys), (batch * heads, length, keys))
            causal_mask = hides_what_comes_later(attn_mask, is_causal)
            if is_causal and length == keys and not causal_mask:
                raise ValueError("MultiheadAttention: is_causal=True says that attn_mask hides from each query the "
                                 "keys after it and nothing else, which it does not; leave is_causal out")
            if causal_mask:
                attn_mask, is_causal = None, True
            elif attn_mask.ndim == 3:
                masks.append(attn_mask.reshape(batch, heads, length, keys))
            else:
                masks.append(attn_mask)
        causal = is_causal and attn_mask is None
        if causal and (explicit or offset or key_padding_mask is not None or self.bias_k is not None
                       or self.add_zero_attn):
            if length > 1 or not offset:  # a single new query sees all there is
                masks.append(ops.constant(hidden_by_order(length, keys, offset), query))
            causal = False
        if key_padding_mask is not None:
            wanted = (keys,) if single else (batch, keys)
            padding = check_mask("key_padding_mask", key_padding_mask, wanted)
            masks.append(padding.reshape(batch, 1, 1, keys))
        return merge(masks, query.dtype), causal

    def _with_extra_keys(self, key: Tensor, value: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys, values and mask with the learned pair and the pair of zeros at their end."""
        def append(heads: Tensor, extra: Tensor) -> Tensor:  # extra broadcasts to (N, H, 1, D)
            batch, count, _, size = heads.shape
            longer: Tensor = ops.cat((heads, extra.expand(batch, count, 1, size)), dim=-2)
            return longer

        extras = 0
        if self.bias_k is not None and self.bias_v is not None:
            split = (1, self.num_heads, 1, self.head_dim)
            key, value = append(key, self.bias_k.reshape(split)), append(value, self.bias_v.reshape(split))
            extras += 1
        if self.add_zero_attn:
            zero = ops.zeros((), dtype=key.dtype, device=key.device)
            key, value = append(key, zero), append(value, zero)
            extras += 1
        if seen is not None and extras:
            visible = np.full((*seen.shape[:-1], extras), seen.dtype.kind == "b", seen.dtype)  # True, or 0 to add
            seen = ops.cat((seen, ops.constant(visible, seen)), dim=-1)
        return key, value, seen

    def goes_without_saying(self, name: str, value: object) -> bool:
        """Keys and values as wide as the queries."""
        return name in ("kdim", "vdim") and value == self.embed_dim
