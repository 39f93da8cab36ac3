"""Tensor's methods that gather and scatter."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Indexing:
    """Each calls the op of its name."""

    __slots__ = ()

    def gather(self, dim: int, index: Any) -> "Tensor":
        """See `chainrule.gather`."""
        return ops.gather(self, dim, index)

    def scatter(self, dim: int, index: Any, src: Any) -> "Tensor":
        """See `chainrule.scatter`."""
        return ops.scatter(self, dim, index, src)

    def scatter_add(self, dim: int, index: Any, src: Any) -> "Tensor":
        """See `chainrule.scatter_add`."""
        return ops.scatter_add(self, dim, index, src)

    def index_select(self, dim: int, index: Any) -> "Tensor":
        """See `chainrule.index_select`."""
        return ops.index_select(self, dim, index)

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> "Tensor":
        """See `chainrule.index_add`."""
        return ops.index_add(self, dim, index, source, alpha=alpha)

    def index_copy(self, dim: int, index: Any, source: Any) -> "Tensor":
        """See `chainrule.index_copy`."""
        return ops.index_copy(self, dim, index, source)

    def index_fill(self, dim: int, index: Any, value: Any) -> "Tensor":
        """See `chainrule.index_fill`."""
        return ops.index_fill(self, dim, index, value)

    def take_along_dim(self, indices: Any, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.take_along_dim`."""
        return ops.take_along_dim(self, indices, dim, **named)

    def masked_fill(self, mask: Any, value: Any) -> "Tensor":
        """See `chainrule.masked_fill`."""
        return ops.masked_fill(self, mask, value)

    def masked_select(self, mask: Any) -> "Tensor":
        """See `chainrule.masked_select`."""
        return ops.masked_select(self, mask)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """See `chainrule.nonzero`."""
        return ops.nonzero(self, as_tuple=as_tuple)

    def argwhere(self) -> "Tensor":
        """See `chainrule.argwhere`."""
        return ops.argwhere(self)

    def take(self, index: Any) -> "Tensor":
        """The elements at these positions of all elements in C order: of the shape of `index`.

        >>> import chainrule as cr
        >>> cr.tensor([[1, 2], [3, 4]]).take(cr.tensor([0, -1]))
        tensor([1, 4])
        """
        return ops.getitem(ops.reshape(self, (-1,)), ops.as_tensor(index))

    def bincount(self, weights: Any = None, minlength: int = 0) -> "Tensor":
        """See `chainrule.bincount`."""
        return ops.bincount(self, weights, minlength)

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Any = None) -> "Tensor":
        """See `chainrule.multinomial`."""
        return ops.multinomial(self, num_samples, replacement, generator=generator)

    def unique(self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
               dim: int | None = None) -> Any:
        """See `chainrule.unique`."""
        return ops.unique(self, sorted, return_inverse, return_counts, dim)
