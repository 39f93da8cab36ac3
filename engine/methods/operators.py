"""Tensor's operators: `a + b`, `a[i]`, `a += b` and their kin."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Operators:
    """The operators."""

    __slots__ = ()

    def __add__(self, other: Any) -> "Tensor":
        return ops.add(self, other, 2)

    def __radd__(self, other: Any) -> "Tensor":
        return ops.add(other, self, 2)

    def __sub__(self, other: Any) -> "Tensor":
        return ops.subtract(self, other, 2)

    def __rsub__(self, other: Any) -> "Tensor":
        return ops.subtract(other, self, 2)

    def __mul__(self, other: Any) -> "Tensor":
        return ops.multiply(self, other, 2)

    def __rmul__(self, other: Any) -> "Tensor":
        return ops.multiply(other, self, 2)

    def __truediv__(self, other: Any) -> "Tensor":
        return ops.divide(self, other, 2)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return ops.divide(other, self, 2)

    def __floordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> "Tensor":
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> "Tensor":
        return ops.remainder(other, self)

    def __pow__(self, other: Any) -> "Tensor":
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> "Tensor":
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> "Tensor":
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> "Tensor":
        return ops.matmul(other, self)

    def __and__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(other, self)

    def __or__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(other, self)

    def __xor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> "Tensor":
        return ops.left_shift(self, other)

    def __rlshift__(self, other: Any) -> "Tensor":
        return ops.left_shift(other, self)

    def __rshift__(self, other: Any) -> "Tensor":
        return ops.right_shift(self, other)

    def __rrshift__(self, other: Any) -> "Tensor":
        return ops.right_shift(other, self)

    def __lt__(self, other: Any) -> "Tensor":
        return ops.less(self, other)

    def __le__(self, other: Any) -> "Tensor":
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> "Tensor":
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> "Tensor":
        return ops.greater_equal(self, other)

    def __eq__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return ops.eq(self, other)

    def __ne__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return ops.not_equal(self, other)

    __hash__ = object.__hash__

    def __neg__(self) -> "Tensor":
        return ops.negative(self)

    def __pos__(self) -> "Tensor":
        return ops.positive(self)

    def __abs__(self) -> "Tensor":
        return ops.abs(self)

    def __invert__(self) -> "Tensor":
        return ops.bitwise_not(self)

    def __getitem__(self, index: Any) -> "Tensor":
        return ops.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        ops.setitem(self, index, value)

    def __iadd__(self, other: Any) -> "Tensor":
        return ops.in_place(ops.add, self, other)

    def __isub__(self, other: Any) -> "Tensor":
        return ops.in_place(ops.sub, self, other)

    def __imul__(self, other: Any) -> "Tensor":
        return ops.in_place(ops.mul, self, other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return ops.in_place(ops.div, self, other)

    def __ipow__(self, other: Any) -> "Tensor":
        return ops.in_place(ops.pow, self, other)
