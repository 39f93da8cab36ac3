"""Tensor's methods that make new tensors of its dtype."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Creation:
    """New tensors of this one's dtype and on its device unless others are given, constants of the graph."""

    __slots__ = ()
    dtype: Any
    device: Any

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> "Tensor":
        """A tensor with a copy of `data`; see `chainrule.tensor`.

        >>> import chainrule as cr
        >>> cr.zeros(2, dtype=cr.float64).new_tensor([1, 2])
        tensor([1., 2.], dtype=float64)
        """
        return ops.tensor(data, self.dtype if dtype is None else dtype,
                          self.device if device is None else device, requires_grad)

    def new_zeros(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> "Tensor":
        """Zeros of a shape, given as numbers or as one tuple.

        >>> import chainrule as cr
        >>> cr.tensor([1, 2]).new_zeros(3)
        tensor([0, 0, 0])
        """
        return ops.zeros(*size, dtype=self.dtype if dtype is None else dtype,
                         device=self.device if device is None else device, requires_grad=requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> "Tensor":
        """Ones of a shape, given as numbers or as one tuple."""
        return ops.ones(*size, dtype=self.dtype if dtype is None else dtype,
                         device=self.device if device is None else device, requires_grad=requires_grad)

    def new_empty(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> "Tensor":
        """A tensor to be filled, of a shape given as numbers or as one tuple; see `chainrule.empty`."""
        return ops.empty(*size, dtype=self.dtype if dtype is None else dtype,
                         device=self.device if device is None else device, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False) -> "Tensor":
        """A shape filled with one value."""
        return ops.full(size, fill_value, self.dtype if dtype is None else dtype,
                          self.device if device is None else device, requires_grad)
