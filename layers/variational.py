"""Variational dropout: masks that are drawn once for each sequence and stay the same at all its steps.

Gal & Ghahramani (2016), "A theoretically grounded application of dropout in recurrent neural networks". Fresh noise at
every step would add up along a recurrent state; one mask per sequence is a sample of one smaller network that reads all
of it. The masks of the state itself are drawn inside RNN, LSTM and GRU, by their argument `variational_dropout`; here
are those of inputs and outputs, and of the rows of an embedding.
"""

from typing import Any

from chainrule import functional as F
from chainrule.errors import ShapeError
from chainrule.layers.configured import Configured
from chainrule.layers.dropout import check_probability
from chainrule.layers.embedding import Embedding
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["VariationalDropout", "VariationalEmbedding"]


class VariationalDropout(Configured):
    """In training, drops features with probability p, the same ones at all steps of a sequence; others grow by 1/(1 − p).

    input (T, N, F), or (N, T, F) with `batch_first`, or (T, F) for one sequence: the mask is (1, N, F), (N, 1, F),
    (1, F). In evaluation nothing changes. Raises ValueError for p outside 0 to 1, ShapeError for other shapes.

    >>> import chainrule as cr
    >>> out = VariationalDropout(0.5)(cr.ones(4, 2, 3))
    >>> bool((out == out[0]).all())
    True
    """

    def __init__(self, p: float = 0.5, batch_first: bool = False) -> None:
        check_probability("VariationalDropout", p=p)
        self.p, self.batch_first = p, batch_first

    def forward(self, input: Tensor) -> Tensor:
        """input with features dropped from whole sequences, in training mode."""
        if input.ndim not in (2, 3):
            layout = "(N, T, F)" if self.batch_first else "(T, N, F)"
            raise ShapeError(f"VariationalDropout: the input has shape {input.shape}; it takes {layout}, or (T, F) for one "
                             "sequence")
        if not self.training or self.p == 0:
            return input
        steps = 1 if self.batch_first and input.ndim == 3 else 0
        shape = tuple(1 if axis == steps else size for axis, size in enumerate(input.shape))
        return input * F.dropout(ops.ones_like(input, shape=shape), self.p)


class VariationalEmbedding(Embedding):
    """An `Embedding` that in training drops whole rows with probability p: a word that is dropped is so at all places of
    its sequence. Rows that are kept grow by 1/(1 − p).

    input: integers (T, N), or (N, T) with `batch_first`, or (T,) for one sequence; each of the N sequences drops rows of
    its own. The other arguments, and the names in its state, are `Embedding`'s. Raises ValueError for p outside 0 to 1,
    ShapeError for other shapes.

    >>> import chainrule as cr
    >>> layer = VariationalEmbedding(5, 3, p=0.5)
    >>> out = layer(cr.tensor([2, 4, 2]))  # the word 2 twice in one sequence
    >>> out.shape, bool((out[0] == out[2]).all())
    ((3, 3), True)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = False, _weight: Any = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None, *, p: float = 0.5, batch_first: bool = False) -> None:
        check_probability("VariationalEmbedding", p=p)
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
                         _weight, _freeze, device, dtype)
        self.p, self.batch_first = p, batch_first

    def forward(self, input: Tensor) -> Tensor:
        """Integers (T, N) -> (T, N, embedding_dim)."""
        found = super().forward(input)
        indices = ops.as_tensor(input)
        if indices.ndim not in (1, 2):
            raise ShapeError(f"VariationalEmbedding: the input has shape {indices.shape}; it takes "
                             f"{'(N, T)' if self.batch_first else '(T, N)'}, or (T,) for one sequence")
        if not self.training or self.p == 0:
            return found
        sequences = 1 if indices.ndim == 1 else indices.shape[0 if self.batch_first else 1]
        mask = F.dropout(ops.ones_like(self.weight.detach(), shape=(sequences, self.num_embeddings)), self.p)
        which = ops.arange(sequences, device=indices.device)
        if self.batch_first and indices.ndim == 2:
            which = ops.reshape(which, (-1, 1))
        dropped: Tensor = found * ops.unsqueeze(mask[which, indices], -1)  # (T, N, embedding_dim) * (T, N, 1)
        return dropped
