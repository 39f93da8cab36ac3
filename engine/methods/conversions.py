"""Tensor's methods for other dtypes and devices."""

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Conversions:
    """Other dtypes and devices. `float`, `int` and `bool` here shadow the types."""

    __slots__ = ()

    def to(self, *where: Any, **options: Any) -> "Tensor":
        """This tensor in another dtype or on another device (or as `other` tensor is); itself where nothing changes.

        >>> import chainrule as cr
        >>> cr.tensor([1.5]).to(cr.float64).dtype
        dtype('float64')
        """
        found: Tensor = ops.to(self, *where, **options)
        return found

    def astype(self, dtype: Any) -> "Tensor":
        """This tensor with elements of `dtype`."""
        return self.to(dtype=dtype)

    def type(self, dtype: Any) -> "Tensor":
        """This tensor with elements of `dtype`."""
        return self.to(dtype=dtype)

    def type_as(self, other: "Tensor") -> "Tensor":
        """This tensor with elements of the other's dtype."""
        return self.to(dtype=other.dtype)

    def double(self) -> "Tensor":
        """In float64."""
        return self.to(np.float64)

    def float(self) -> "Tensor":
        """In float32."""
        return self.to(np.float32)

    def half(self) -> "Tensor":
        """In float16."""
        return self.to(np.float16)

    def long(self) -> "Tensor":
        """In int64."""
        return self.to(np.int64)

    def int(self) -> "Tensor":
        """In int32."""
        return self.to(np.int32)

    def bool(self) -> "Tensor":
        """As bools: nonzero is True."""
        return self.to(np.bool_)

    def cpu(self) -> "Tensor":
        """On the CPU."""
        return self.to("cpu")

    def cuda(self) -> "Tensor":
        """On the first GPU."""
        return self.to("cuda")
