"""Embeddings: tables whose rows are looked up by index, singly or in bags."""

from typing import Any, Self

from chainrule import functional as F
from chainrule.arguments import check_sizes
from chainrule.errors import ShapeError
from chainrule.graph import no_grad
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["Embedding", "EmbeddingBag"]


class Table(Configured):
    """What Embedding and EmbeddingBag share: the weight (num_embeddings, embedding_dim) and how it is looked up."""

    weight: Parameter

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
                 norm_type: float, scale_grad_by_freq: bool, sparse: bool, _weight: Any, _freeze: bool,
                 device: Any, dtype: Any) -> None:
        name = type(self).__name__
        if sparse:
            raise ValueError(f"{name}: sparse=True is not supported, gradients are dense arrays; leave it out")
        check_sizes(name, 0, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise IndexError(f"{name}: padding_idx={padding_idx} is out of range for num_embeddings={num_embeddings}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        if _weight is None:
            self.weight = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)
            if self.weight.shape != (num_embeddings, embedding_dim):
                raise ShapeError(f"{name}: the given weight has shape {self.weight.shape}, "
                                 f"num_embeddings and embedding_dim say ({num_embeddings}, {embedding_dim})")
        if _freeze:
            self.weight.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, **options: Any) -> Self:
        """A layer with this table (rows, features), whose memory it shares; not trained unless `freeze` is False.

        `options` are the constructor's, by name. Raises ShapeError for a table that has not two axes.

        >>> import chainrule as cr
        >>> Embedding.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))(cr.tensor([1]))
        tensor([[3., 4.]])
        """
        embeddings = ops.as_tensor(embeddings)
        if embeddings.ndim != 2:
            raise ShapeError(f"{cls.__name__}.from_pretrained: the table has shape {tuple(embeddings.shape)}, it needs "
                             "two axes, (rows, features)")
        rows, features = embeddings.shape
        return cls(rows, features, _weight=embeddings, _freeze=freeze, **options)

    def reset_parameters(self) -> None:
        """Draw the first values anew: N(0, 1), and zeros for the padding."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0


class Embedding(Table):
    """weight[input]: integers (*B) look up rows of a table (num_embeddings, embedding_dim), giving (*B, embedding_dim).

    The rows start as N(0, 1). The row `padding_idx` starts at zero and gets no gradient. `max_norm` scales the rows
    looked up down to that `norm_type`-norm, in the table itself. `scale_grad_by_freq` divides a row's gradient by how
    often it occurs in the input. Raises IndexError for an index that is no row, ValueError for `sparse=True`.

    >>> import chainrule as cr
    >>> layer = Embedding(10, 3, padding_idx=0)
    >>> layer(cr.tensor([[1, 2], [4, 0]])).shape, layer(cr.tensor([0])).tolist()
    ((2, 2, 3), [[0.0, 0.0, 0.0]])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = False, _weight: Any = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
                         _weight, _freeze, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Integers (*B) -> (*B, embedding_dim)."""
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)


class EmbeddingBag(Table):
    """The sum, mean or maximum (`mode`) of the rows of each bag of indices: (B, embedding_dim).

    A 2-D input (B, L) has one bag of L indices per row. In a 1-D input bag i begins at offsets[i] and ends where the
    next begins; with `include_last_offset` the last offset is only the end of the last bag. Indices equal to
    `padding_idx` are left out; an empty bag gives zeros. The other arguments are `Embedding`'s. Raises ValueError for
    another mode and for `sparse=True`, IndexError for an index that is no row.

    >>> import chainrule as cr
    >>> layer = EmbeddingBag.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), mode="sum")
    >>> layer(cr.tensor([0, 2, 1]), cr.tensor([0, 2]))
    tensor([[6., 8.],
            [3., 4.]])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
                 include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None,
                 dtype: Any = None, *, _freeze: bool = False) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode={mode!r}; choose 'sum', 'mean' or 'max'")
        self.mode, self.include_last_offset = mode, include_last_offset
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
                         _weight, _freeze, device, dtype)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Integers (B, L), or (L,) with offsets (B,) -> (B, embedding_dim). `per_sample_weights`, of the input's shape,
        multiplies the rows (mode "sum" only)."""
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq,
                               self.mode, False, per_sample_weights, self.include_last_offset, self.padding_idx)
