"""How alike vectors are, as layers."""

from chainrule import functional as F
from chainrule.layers.configured import Configured
from chainrule.tensor import Tensor

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Configured):
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along the axis `dim`: the cosine of the angle. The inputs broadcast.

    >>> import chainrule as cr
    >>> CosineSimilarity()(cr.tensor([[1.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([0.6])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1, x2 with vectors along `dim` -> their cosines, without that axis."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Configured):
    """‖x1 − x2 + eps‖_p over the last axis: (…, D) and (…, D), which broadcast, give (…), or (…, 1) with `keepdim`.

    >>> import chainrule as cr
    >>> PairwiseDistance()(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1, x2 (…, D) -> (…)."""
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
