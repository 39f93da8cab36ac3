"""Tensor's methods that write into its own memory, recorded."""

from typing import TYPE_CHECKING, Any

from chainrule.arguments import scaled
from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class InPlace:
    """In-place writes: the op's result goes into this tensor's memory."""

    __slots__ = ()

    def add_(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """`add` written into this tensor's memory and recorded; returns the tensor. self + alpha · other."""
        return ops.in_place(ops.add, self, scaled(other, alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """`sub` written into this tensor's memory and recorded; returns the tensor. self - alpha · other."""
        return ops.in_place(ops.sub, self, scaled(other, alpha))

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """`addcmul` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.addcmul, self, tensor1, tensor2, value=value)

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """`addcdiv` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.addcdiv, self, tensor1, tensor2, value=value)

    def mul_(self, other: Any) -> "Tensor":
        """`mul` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.mul, self, other)

    def div_(self, other: Any) -> "Tensor":
        """`div` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.div, self, other)

    def pow_(self, exponent: Any) -> "Tensor":
        """`pow` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.pow, self, exponent)

    def exp_(self) -> "Tensor":
        """`exp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.exp, self)

    def log_(self) -> "Tensor":
        """`log` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.log, self)

    def sqrt_(self) -> "Tensor":
        """`sqrt` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.sqrt, self)

    def neg_(self) -> "Tensor":
        """`neg` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.neg, self)

    def abs_(self) -> "Tensor":
        """`abs` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.abs, self)

    def relu_(self) -> "Tensor":
        """`relu` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.relu, self)

    def sigmoid_(self) -> "Tensor":
        """`sigmoid` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.sigmoid, self)

    def tanh_(self) -> "Tensor":
        """`tanh` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.tanh, self)

    def clamp_(self, min: Any = None, max: Any = None) -> "Tensor":
        """`clamp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.clamp, self, min, max)

    def masked_fill_(self, mask: Any, value: Any) -> "Tensor":
        """`masked_fill` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.masked_fill, self, mask, value)

    def index_add_(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> "Tensor":
        """`index_add` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.index_add, self, dim, index, source, alpha=alpha)

    def index_copy_(self, dim: int, index: Any, source: Any) -> "Tensor":
        """`index_copy` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.index_copy, self, dim, index, source)

    def index_fill_(self, dim: int, index: Any, value: Any) -> "Tensor":
        """`index_fill` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.index_fill, self, dim, index, value)

    def scatter_(self, dim: int, index: Any, src: Any) -> "Tensor":
        """`scatter` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.scatter, self, dim, index, src)

    def scatter_add_(self, dim: int, index: Any, src: Any) -> "Tensor":
        """`scatter_add` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.scatter_add, self, dim, index, src)

    def lerp_(self, end: Any, weight: Any) -> "Tensor":
        """`lerp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.lerp, self, end, weight)

    def copy_(self, source: Any) -> "Tensor":
        """Write the elements of `source`, broadcast and cast to this dtype; recorded."""
        return ops.write_into(self, source)

    def fill_(self, value: Any) -> "Tensor":
        """Write `value` everywhere; recorded."""
        return ops.write_into(self, value, by="fill_")

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> "Tensor":
        """Write a value where all indices are equal; recorded. `wrap`: a matrix with more rows than columns gets a second
        diagonal below the first, after an empty row, and so on. Raises ShapeError for fewer than two axes, and for
        more whose sizes differ."""
        return ops.in_place(ops.masked_fill, self, ops.diagonal_mask(self, wrap), fill_value)

    def zero_(self) -> "Tensor":
        """Write zeros everywhere; recorded."""
        return ops.write_into(self, 0, by="zero_")

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> "Tensor":
        """Fill with draws from the normal distribution N(mean, std**2)."""
        return ops.normal_(self, mean, std, generator=generator)

    def uniform_(self, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> "Tensor":
        """Fill with draws from the uniform distribution on [low, high)."""
        return ops.uniform_(self, low, high, generator=generator)

    def bernoulli_(self, p: float = 0.5, *, generator: Any = None) -> "Tensor":
        """Fill with 1 with probability p, else 0."""
        return ops.bernoulli_(self, p, generator=generator)
