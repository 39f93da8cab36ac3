"""Tensor's methods for products of matrices and vectors."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Products:
    """Each calls the op of its name."""

    __slots__ = ()

    def matmul(self, other: Any) -> "Tensor":
        """See `chainrule.matmul`."""
        return ops.matmul(self, other)

    def mm(self, mat2: Any) -> "Tensor":
        """See `chainrule.mm`."""
        return ops.mm(self, mat2)

    def bmm(self, mat2: Any) -> "Tensor":
        """See `chainrule.bmm`."""
        return ops.bmm(self, mat2)

    def mv(self, vec: Any) -> "Tensor":
        """See `chainrule.mv`."""
        return ops.mv(self, vec)

    def dot(self, other: Any) -> "Tensor":
        """See `chainrule.dot`."""
        return ops.dot(self, other)

    def outer(self, vec2: Any) -> "Tensor":
        """See `chainrule.outer`."""
        return ops.outer(self, vec2)

    def cross(self, other: Any, dim: int | None = None) -> "Tensor":
        """See `chainrule.cross`."""
        return ops.cross(self, other, dim)

    def trace(self) -> "Tensor":
        """See `chainrule.trace`."""
        return ops.trace(self)

    def inverse(self) -> "Tensor":
        """See `chainrule.inverse`."""
        return ops.inverse(self)

    def det(self) -> "Tensor":
        """See `chainrule.det`."""
        return ops.det(self)

    def cholesky(self) -> "Tensor":
        """See `chainrule.cholesky`."""
        return ops.cholesky(self)
