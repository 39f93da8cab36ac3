"""Tensor's methods that reduce, scan and sort along axes."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import Axis, ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Reductions:
    """Each calls the op of its name; `axis` and `keepdims` are taken for `dim` and `keepdim`."""

    __slots__ = ()

    def sum(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.sum`."""
        return ops.sum(self, dim, keepdim, **named)

    def mean(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.mean`."""
        return ops.mean(self, dim, keepdim, **named)

    def prod(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.prod`."""
        return ops.prod(self, dim, keepdim, **named)

    def amax(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.amax`."""
        return ops.amax(self, dim, keepdim, **named)

    def amin(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.amin`."""
        return ops.amin(self, dim, keepdim, **named)

    def var(self, dim: Axis = None, unbiased: bool | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.var`."""
        return ops.var(self, dim, unbiased, keepdim, **named)

    def std(self, dim: Axis = None, unbiased: bool | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.std`."""
        return ops.std(self, dim, unbiased, keepdim, **named)

    def logsumexp(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.logsumexp`."""
        return ops.logsumexp(self, dim, keepdim, **named)

    def all(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.all`."""
        return ops.all(self, dim, keepdim, **named)

    def any(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.any`."""
        return ops.any(self, dim, keepdim, **named)

    def nansum(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.nansum`."""
        return ops.nansum(self, dim, keepdim, **named)

    def count_nonzero(self, dim: Axis = None, **named: Any) -> "Tensor":
        """See `chainrule.count_nonzero`."""
        return ops.count_nonzero(self, dim, **named)

    def max(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.max`."""
        return ops.max(self, dim, keepdim, **named)

    def min(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.min`."""
        return ops.min(self, dim, keepdim, **named)

    def median(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.median`."""
        return ops.median(self, dim, keepdim, **named)

    def argmax(self, dim: int | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argmax`."""
        return ops.argmax(self, dim, keepdim, **named)

    def argmin(self, dim: int | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argmin`."""
        return ops.argmin(self, dim, keepdim, **named)

    def norm(self, p: Any = "fro", dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.norm`."""
        return ops.norm(self, p, dim, keepdim, **named)

    def cumsum(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.cumsum`."""
        return ops.cumsum(self, dim, **named)

    def cumprod(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.cumprod`."""
        return ops.cumprod(self, dim, **named)

    def sort(self, dim: int = -1, descending: bool = False, **named: Any) -> Any:
        """See `chainrule.sort`."""
        return ops.sort(self, dim, descending, **named)

    def argsort(self, dim: int = -1, descending: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argsort`."""
        return ops.argsort(self, dim, descending, **named)

    def topk(self, k: int, dim: int = -1, largest: bool = True, **named: Any) -> Any:
        """See `chainrule.topk`."""
        return ops.topk(self, k, dim, largest, **named)

    def softmax(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.softmax`."""
        return ops.softmax(self, dim, **named)

    def log_softmax(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.log_softmax`."""
        return ops.log_softmax(self, dim, **named)

    def nanmean(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.nanmean`."""
        return ops.nanmean(self, dim, keepdim, **named)

    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Any:
        """See `chainrule.aminmax`."""
        return ops.aminmax(self, dim=dim, keepdim=keepdim)

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.kthvalue`."""
        return ops.kthvalue(self, k, dim, keepdim, **named)

    def quantile(self, q: Any, dim: int | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.quantile`."""
        return ops.quantile(self, q, dim, keepdim, **named)

    def cummax(self, dim: int | None = None, **named: Any) -> Any:
        """See `chainrule.cummax`."""
        return ops.cummax(self, dim, **named)

    def cummin(self, dim: int | None = None, **named: Any) -> Any:
        """See `chainrule.cummin`."""
        return ops.cummin(self, dim, **named)

    def diff(self, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> "Tensor":
        """See `chainrule.diff`."""
        return ops.diff(self, n, dim, prepend, append)
