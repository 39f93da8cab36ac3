"""DeepFM: will this user click on this item? Pairs of features in closed form, the rest by a network."""

from collections.abc import Sequence
from typing import Any

from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.activations import ReLU
from chainrule.layers.containers import ModuleList, Sequential
from chainrule.layers.dropout import Dropout
from chainrule.layers.embedding import EmbeddingBag
from chainrule.layers.linear import Linear, empty
from chainrule.layers.module import Module
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["DeepFM", "factorization_machine"]


def factorization_machine(vectors: Tensor) -> Tensor:
    """Σ_{i<j} ⟨v_i, v_j⟩ over all pairs of the F vectors of each sample: (N, F, K) -> (N,).

    Computed as ½ Σ_k ((Σ_i v_ik)² − Σ_i v_ik²), in time that grows with F rather than F². Rendle 2010, "Factorization
    machines".

    >>> import chainrule as cr
    >>> factorization_machine(cr.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))  # 11 + 17 + 39
    tensor([67.])
    """
    found: Tensor = 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(1)
    return found


class DeepFM(Module):
    """The logit of a click from F categorical fields, such as user, item, hour, and the item's tags.

    Guo, Tang, Ye, Li & He 2017, "DeepFM: a factorization-machine based neural network for CTR prediction". Each value of
    each field has a weight and a vector. The logit is the sum of a bias, the fields' weights, the inner products of the
    vectors of all pairs of fields (`factorization_machine`), and a network of fully connected layers that reads the same
    vectors side by side.

    `sizes`: how many values each field has. `model(*fields)` takes for each field either one value per sample, integers
    (N,), or several: a pair (indices (L,), offsets (N,)) as `EmbeddingBag` takes it, whose average then stands for them.
    Raises ShapeError for another number of fields or samples, IndexError for a value that a field has not.

    >>> import chainrule as cr
    >>> model = DeepFM([100, 50, 30])
    >>> user, item = cr.tensor([7, 99]), cr.tensor([0, 12])
    >>> tags = cr.tensor([3, 4, 5, 29]), cr.tensor([0, 3])  # three tags for the first sample, one for the second
    >>> model(user, item, tags).shape
    (2,)
    """

    def __init__(self, sizes: Sequence[int], embedding_dim: int = 8, hidden_sizes: Sequence[int] = (64, 64),
                 dropout: float = 0.0) -> None:
        self.vectors = ModuleList([EmbeddingBag(size, embedding_dim) for size in sizes])
        self.weights = ModuleList([EmbeddingBag(size, 1) for size in sizes])
        self.bias = empty(1, device=None, dtype=None)
        widths = [len(sizes) * embedding_dim, *hidden_sizes]
        hidden = [layer for a, b in zip(widths, widths[1:], strict=False) for layer in (Linear(a, b), ReLU(), Dropout(dropout))]
        self.deep = Sequential(*hidden, Linear(widths[-1], 1))
        for table in (*self.vectors, *self.weights):  # small: at first all clicks are equally likely
            for parameter in table.parameters():
                init.normal_(parameter, std=0.01)

    def forward(self, *fields: Any) -> Tensor:
        """F fields, each (N,) or a pair of (L,) and (N,) -> logits (N,)."""
        if len(fields) != len(self.vectors):
            raise ShapeError(f"DeepFM: got {len(fields)} fields, the model was made for {len(self.vectors)}")
        bags = [field if isinstance(field, tuple) else (ops.unsqueeze(ops.as_tensor(field), 1),) for field in fields]
        counts = [len(bag[-1]) for bag in bags]
        if len(set(counts)) > 1:
            raise ShapeError(f"DeepFM: the fields have {counts} samples; they need one number")
        weights = ops.cat([table(*bag) for table, bag in zip(self.weights, bags, strict=True)], dim=1)  # (N, F)
        vectors = ops.stack([table(*bag) for table, bag in zip(self.vectors, bags, strict=True)], dim=1)  # (N, F, K)
        deep = self.deep(vectors.flatten(1)).squeeze(1)  # (N, F·K) -> (N,)
        found: Tensor = self.bias + weights.sum(1) + factorization_machine(vectors) + deep
        return found
