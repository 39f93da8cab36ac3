"""Generating sequences: greedily, by drawing, or by beam search.

All of them need one function: `logits(tokens)`, which for sequences (N, T) gives (N, V), how likely each of V tokens
comes next. `Incremental` is such a function that reads only what is new, with the help of key-value caches.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.graph import no_grad
from chainrule.layers.attention import KeyValueCache
from chainrule.layers.module import Module
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["Incremental", "beam_search", "filter_logits", "greedy", "sample"]

Logits = Callable[[Tensor], Tensor]


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """In evaluation mode and unrecorded; afterwards every module is in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Incremental:
    """`logits(tokens)` for generation: reads of the sequences (N, T) what it has not read yet.

    `forward(tokens, cache)` is the model: from tokens (N, L), which continue what the caches hold, it gives logits
    (N, L, V). `new_cache()` makes the list of empty caches, one or a tuple of them for each layer. `window`: the
    longest sequence that the model takes, where there is one; a sequence that grows beyond is read anew from its last
    half window.
    """

    def __init__(self, forward: Callable[[Tensor, list[Any]], Tensor], new_cache: Callable[[], list[Any]],
                 window: int | None = None) -> None:
        self.forward, self.new_cache, self.window = forward, new_cache, window
        self.cache, self.read, self.begin = new_cache(), 0, 0  # read: up to where; begin: from where on

    def __call__(self, tokens: Tensor) -> Tensor:
        """The logits (N, V) of what follows tokens (N, T), which begin with those of the call before."""
        length = tokens.shape[1]
        if self.window is not None and length - self.begin > self.window:
            self.begin = length - max(self.window // 2, 1)
            self.cache, self.read = self.new_cache(), self.begin
        logits = self.forward(tokens[:, self.read:], self.cache)
        self.read = length
        last: Tensor = logits[:, -1]
        return last

    def select(self, rows: Any) -> None:
        """Go on with these rows of the batch; see KeyValueCache.select."""
        for entry in self.cache:
            for cache in (entry,) if isinstance(entry, KeyValueCache) else entry:
                cache.select(rows)


def check_start(name: str, tokens: Any) -> Tensor:
    """Sequences to continue, as a tensor; ShapeError unless they are (N, T) with T at least 1."""
    found: Tensor = ops.as_tensor(tokens)
    if found.ndim != 2 or not found.shape[1] or found.dtype.kind not in "iu":
        raise ShapeError(f"{name}: the tokens to continue are {describe(found)}, they must be integers (N, T), at least "
                         "one for each sequence; begin with a token that says so")
    return found


def append(tokens: Tensor, new: Any) -> Tensor:
    """tokens (N, T) and an array of new ones (N,) -> (N, T + 1)."""
    longer: Tensor = ops.cat((tokens, ops.constant(new[:, None].astype(tokens.dtype), tokens)), dim=1)
    return longer


def extend(name: str, logits: Logits, start: Any, max_new_tokens: int, choose: Callable[[Tensor], Tensor],
           end: int | None) -> Tensor:
    """start (N, T) with what `choose` picks from the logits (N, V), token by token. Behind `end` comes `end`."""
    tokens = check_start(name, start)
    ended = np.zeros(tokens.shape[0], np.bool_)
    with no_grad():
        for _ in range(max_new_tokens):
            chosen = choose(logits(tokens)).cpu().data  # (N,)
            if end is not None:
                chosen = np.where(ended, end, chosen)
                ended |= chosen == end
            tokens = append(tokens, chosen)
            if ended.all():
                break
    return tokens


def greedy(logits: Logits, tokens: Any, max_new_tokens: int, end: int | None = None) -> Tensor:
    """Appends the likeliest token again and again: tokens (N, T) -> (N, T + new), at most max_new_tokens new ones.

    `logits`: see the module. `end`: the token that ends a sequence; when all have ended it stops, and shorter ones are
    filled with it.

    >>> import chainrule as cr
    >>> counting = lambda tokens: F.one_hot((tokens[:, -1] + 1) % 5, 5)  # 4 is followed by 0
    >>> greedy(counting, cr.tensor([[2], [0]]), 4, end=4)
    tensor([[2, 3, 4, 4, 4],
            [0, 1, 2, 3, 4]])
    """
    return extend("greedy", logits, tokens, max_new_tokens, lambda scores: scores.argmax(-1), end)


def filter_logits(logits: Tensor, temperature: float = 1.0, top_k: int | None = None,
                  top_p: float | None = None) -> Tensor:
    """logits / temperature, with -inf for tokens that shall not be drawn: logits (…, V) -> (…, V).

    A temperature below 1 favours the likely ones. `top_k`: only the k likeliest stay (Fan et al. 2018); `top_p`: the
    likeliest whose probabilities add up to p, the one that reaches it included (Holtzman et al. 2020, "The curious case
    of neural text degeneration"). Raises ValueError for values out of range.

    >>> import chainrule as cr
    >>> logits = cr.log(cr.tensor([0.5, 0.3, 0.2]))
    >>> F.softmax(filter_logits(logits, top_k=2), dim=-1), F.softmax(filter_logits(logits, top_p=0.5), dim=-1)
    (tensor([0.625, 0.375, 0.   ]), tensor([1., 0., 0.]))
    """
    if not temperature > 0:
        raise ValueError(f"filter_logits: temperature={temperature} must be above 0; for the likeliest token use greedy")
    if top_k is not None and top_k < 1:
        raise ValueError(f"filter_logits: top_k={top_k} must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"filter_logits: top_p={top_p} is a probability above 0, up to 1")
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1)[0][..., -1:]
        logits = logits.masked_fill(logits < least, -np.inf)
    if top_p is not None:
        ordered, order = logits.sort(dim=-1, descending=True)
        chances = F.softmax(ordered, dim=-1)
        before = chances.cumsum(-1) - chances  # of the likelier ones
        kept = ops.zeros_like(logits, dtype=bool).scatter(-1, order, before < top_p)
        logits = logits.masked_fill(~kept, -np.inf)
    return logits


def sample(logits: Logits, tokens: Any, max_new_tokens: int, temperature: float = 1.0, top_k: int | None = None,
           top_p: float | None = None, end: int | None = None, generator: Any = None) -> Tensor:
    """Draws each new token with its probability: tokens (N, T) -> (N, T + new). See `greedy` for `logits` and `end`,
    `filter_logits` for temperature, top_k and top_p.

    >>> import chainrule as cr
    >>> fair = lambda tokens: cr.zeros(tokens.shape[0], 2)  # heads and tails
    >>> sample(fair, cr.tensor([[0]]), 50, generator=cr.random.Generator(0))[0].float().mean().item()
    0.5...
    """
    def draw(scores: Tensor) -> Tensor:
        chances = F.softmax(filter_logits(scores, temperature, top_k, top_p), dim=-1)
        drawn: Tensor = ops.multinomial(chances, 1, generator=generator)
        return drawn[:, 0]

    return extend("sample", logits, tokens, max_new_tokens, draw, end)


def beam_search(logits: Logits, tokens: Any, max_new_tokens: int, beams: int, end: int | None = None,
                length_penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    """The likeliest continuations, as far as a search finds them that keeps the best `beams` of each step.

    From tokens (N, T): (continued (N, beams, T + new), scores (N, beams)), best first. A score is the log-probability of
    the new tokens up to `end`, divided by ((5 + their number) / 6)^length_penalty, which makes up for longer ones being
    less likely (Wu et al. 2016, "Google's neural machine translation system", equation 14). `logits` is called with
    N · beams sequences, those of the first one first, from the beginning on. Raises ValueError for fewer than one beam.

    >>> import chainrule as cr
    >>> table = cr.log(cr.tensor([[0.5, 0.4, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]))  # what follows 0, 1, 2
    >>> found, scores = beam_search(lambda tokens: table[tokens[:, -1]], cr.tensor([[0]]), 2, beams=2)
    >>> found[0, 0].tolist(), cr.exp(scores[0, 0])  # greedily 0 0 0, with the probability 0.25
    ([0, 1, 2], tensor(0.32))
    """
    if beams < 1:
        raise ValueError(f"beam_search: beams={beams} must be at least 1")
    start = check_start("beam_search", tokens)
    count = start.shape[0]
    tokens = start.repeat_interleave(beams, 0)  # (N · beams, T)
    scores = np.full((count, beams), -np.inf)
    scores[:, 0] = 0.0  # all beams are the same at first: go on from one of them
    ended, lengths = np.zeros((count, beams), np.bool_), np.zeros((count, beams))
    dtype: Any = None

    def ranked(scores: Any, lengths: Any) -> Any:
        return scores / ((5 + lengths) / 6) ** length_penalty

    with no_grad():
        for _ in range(max_new_tokens):
            chances = F.log_softmax(logits(tokens), dim=-1).cpu().data  # (N · beams, V)
            dtype, vocabulary = chances.dtype, chances.shape[-1]
            chances = chances.reshape(count, beams, vocabulary).astype(np.float64)
            if end is not None:  # what has ended goes on with `end`, at no cost
                chances[ended] = -np.inf
                chances[ended, end] = 0.0
            lengths += ~ended
            candidates = scores[:, :, None] + chances  # (N, beams, V)
            worth = ranked(candidates, lengths[:, :, None]).reshape(count, -1)
            best = np.argsort(-worth, axis=-1, kind="stable")[:, :beams]  # (N, beams)
            beam, token = np.divmod(best, vocabulary)
            scores, lengths, ended = (np.take_along_axis(a, i, axis=1) for a, i in (
                (candidates.reshape(count, -1), best), (lengths, beam), (ended, beam)))
            rows = (np.arange(count)[:, None] * beams + beam).reshape(-1)
            if isinstance(logits, Incremental):
                logits.select(rows)
            tokens = append(tokens[rows], token.reshape(-1))
            if end is not None:
                ended = ended | (token == end)
                if ended.all():
                    break
    return tokens.reshape(count, beams, -1), Tensor(ranked(scores, lengths).astype(dtype or np.float64))
