"""Tensor's methods and operators: each calls the op of its name, whose documentation says what it computes.

They stand apart from `tensor.py` so that what a tensor *is* can be read without what can be done with it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.names import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Axis = int | tuple[int, ...] | list[int] | None


class Conversions:
    """Other dtypes and devices. A class of its own, since `float`, `int` and `bool` here shadow the types."""

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


class TensorMethods(Conversions):
    """The operations as methods and operators."""

    __slots__ = ()

    if TYPE_CHECKING:
        # what tensor.py adds and these methods read
        _data: Any

    # ---- operators

    def __add__(self, other: Any) -> "Tensor":
        return ops.add(self, other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> "Tensor":
        return ops.add(other, self)  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> "Tensor":
        return ops.subtract(self, other)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> "Tensor":
        return ops.subtract(other, self)  # type: ignore[no-any-return]

    def __mul__(self, other: Any) -> "Tensor":
        return ops.multiply(self, other)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> "Tensor":
        return ops.multiply(other, self)  # type: ignore[no-any-return]

    def __truediv__(self, other: Any) -> "Tensor":
        return ops.divide(self, other)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> "Tensor":
        return ops.divide(other, self)  # type: ignore[no-any-return]

    def __floordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(self, other)  # type: ignore[no-any-return]

    def __rfloordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(other, self)  # type: ignore[no-any-return]

    def __mod__(self, other: Any) -> "Tensor":
        return ops.remainder(self, other)  # type: ignore[no-any-return]

    def __rmod__(self, other: Any) -> "Tensor":
        return ops.remainder(other, self)  # type: ignore[no-any-return]

    def __pow__(self, other: Any) -> "Tensor":
        return ops.power(self, other)  # type: ignore[no-any-return]

    def __rpow__(self, other: Any) -> "Tensor":
        return ops.power(other, self)  # type: ignore[no-any-return]

    def __matmul__(self, other: Any) -> "Tensor":
        return ops.matmul(self, other)  # type: ignore[no-any-return]

    def __rmatmul__(self, other: Any) -> "Tensor":
        return ops.matmul(other, self)  # type: ignore[no-any-return]

    def __and__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(self, other)  # type: ignore[no-any-return]

    def __rand__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(other, self)  # type: ignore[no-any-return]

    def __or__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(self, other)  # type: ignore[no-any-return]

    def __ror__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(other, self)  # type: ignore[no-any-return]

    def __xor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(self, other)  # type: ignore[no-any-return]

    def __rxor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(other, self)  # type: ignore[no-any-return]

    def __lshift__(self, other: Any) -> "Tensor":
        return ops.left_shift(self, other)  # type: ignore[no-any-return]

    def __rlshift__(self, other: Any) -> "Tensor":
        return ops.left_shift(other, self)  # type: ignore[no-any-return]

    def __rshift__(self, other: Any) -> "Tensor":
        return ops.right_shift(self, other)  # type: ignore[no-any-return]

    def __rrshift__(self, other: Any) -> "Tensor":
        return ops.right_shift(other, self)  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> "Tensor":
        return ops.less(self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> "Tensor":
        return ops.less_equal(self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> "Tensor":
        return ops.greater(self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> "Tensor":
        return ops.greater_equal(self, other)  # type: ignore[no-any-return]

    def __eq__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return ops.equal(self, other)  # type: ignore[no-any-return]

    def __ne__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return ops.not_equal(self, other)  # type: ignore[no-any-return]

    __hash__ = object.__hash__

    def __neg__(self) -> "Tensor":
        return ops.negative(self)  # type: ignore[no-any-return]

    def __pos__(self) -> "Tensor":
        return ops.positive(self)  # type: ignore[no-any-return]

    def __abs__(self) -> "Tensor":
        return ops.abs(self)  # type: ignore[no-any-return]

    def __invert__(self) -> "Tensor":
        return ops.bitwise_not(self)  # type: ignore[no-any-return]

    def __getitem__(self, index: Any) -> "Tensor":
        return ops.getitem(self, index)  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        ops.setitem(self, index, value)

    def __iadd__(self, other: Any) -> "Tensor":
        return self.add_(other)

    def __isub__(self, other: Any) -> "Tensor":
        return self.sub_(other)

    def __imul__(self, other: Any) -> "Tensor":
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return self.div_(other)

    def __ipow__(self, other: Any) -> "Tensor":
        return self.pow_(other)

    # ---- in-place writes, recorded

    def add_(self, other: Any) -> "Tensor":
        """`add` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.add, self, other)  # type: ignore[no-any-return]

    def sub_(self, other: Any) -> "Tensor":
        """`sub` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.sub, self, other)  # type: ignore[no-any-return]

    def mul_(self, other: Any) -> "Tensor":
        """`mul` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.mul, self, other)  # type: ignore[no-any-return]

    def div_(self, other: Any) -> "Tensor":
        """`div` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.div, self, other)  # type: ignore[no-any-return]

    def pow_(self, exponent: Any) -> "Tensor":
        """`pow` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.pow, self, exponent)  # type: ignore[no-any-return]

    def exp_(self) -> "Tensor":
        """`exp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.exp, self)  # type: ignore[no-any-return]

    def log_(self) -> "Tensor":
        """`log` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.log, self)  # type: ignore[no-any-return]

    def sqrt_(self) -> "Tensor":
        """`sqrt` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.sqrt, self)  # type: ignore[no-any-return]

    def neg_(self) -> "Tensor":
        """`neg` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.neg, self)  # type: ignore[no-any-return]

    def abs_(self) -> "Tensor":
        """`abs` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.abs, self)  # type: ignore[no-any-return]

    def relu_(self) -> "Tensor":
        """`relu` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.relu, self)  # type: ignore[no-any-return]

    def sigmoid_(self) -> "Tensor":
        """`sigmoid` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.sigmoid, self)  # type: ignore[no-any-return]

    def tanh_(self) -> "Tensor":
        """`tanh` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.tanh, self)  # type: ignore[no-any-return]

    def clamp_(self, min: Any = None, max: Any = None) -> "Tensor":
        """`clamp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.clamp, self, min, max)  # type: ignore[no-any-return]

    def masked_fill_(self, mask: Any, value: Any) -> "Tensor":
        """`masked_fill` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.masked_fill, self, mask, value)  # type: ignore[no-any-return]

    def index_add_(self, dim: int, index: Any, source: Any) -> "Tensor":
        """`index_add` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.index_add, self, dim, index, source)  # type: ignore[no-any-return]

    def scatter_(self, dim: int, index: Any, src: Any) -> "Tensor":
        """`scatter` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.scatter, self, dim, index, src)  # type: ignore[no-any-return]

    def scatter_add_(self, dim: int, index: Any, src: Any) -> "Tensor":
        """`scatter_add` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.scatter_add, self, dim, index, src)  # type: ignore[no-any-return]

    def lerp_(self, end: Any, weight: Any) -> "Tensor":
        """`lerp` written into this tensor's memory and recorded; returns the tensor."""
        return ops.in_place(ops.lerp, self, end, weight)  # type: ignore[no-any-return]

    def copy_(self, source: Any) -> "Tensor":
        """Write the elements of `source`, broadcast and cast to this dtype; recorded."""
        return ops.write_into(self, source)  # type: ignore[no-any-return]

    def fill_(self, value: Any) -> "Tensor":
        """Write `value` everywhere; recorded."""
        return ops.write_into(self, value)  # type: ignore[no-any-return]

    def zero_(self) -> "Tensor":
        """Write zeros everywhere; recorded."""
        return ops.write_into(self, 0)  # type: ignore[no-any-return]

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> "Tensor":
        """Fill with draws from the normal distribution N(mean, std**2)."""
        return ops.normal_(self, mean, std, generator=generator)  # type: ignore[no-any-return]

    def uniform_(self, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> "Tensor":
        """Fill with draws from the uniform distribution on [low, high)."""
        return ops.uniform_(self, low, high, generator=generator)  # type: ignore[no-any-return]

    def bernoulli_(self, p: float = 0.5, *, generator: Any = None) -> "Tensor":
        """Fill with 1 with probability p, else 0."""
        return ops.bernoulli_(self, p, generator=generator)  # type: ignore[no-any-return]

    # ---- elementwise

    def exp(self) -> "Tensor":
        """See `chainrule.exp`."""
        return ops.exp(self)  # type: ignore[no-any-return]

    def exp2(self) -> "Tensor":
        """See `chainrule.exp2`."""
        return ops.exp2(self)  # type: ignore[no-any-return]

    def expm1(self) -> "Tensor":
        """See `chainrule.expm1`."""
        return ops.expm1(self)  # type: ignore[no-any-return]

    def log(self) -> "Tensor":
        """See `chainrule.log`."""
        return ops.log(self)  # type: ignore[no-any-return]

    def log2(self) -> "Tensor":
        """See `chainrule.log2`."""
        return ops.log2(self)  # type: ignore[no-any-return]

    def log10(self) -> "Tensor":
        """See `chainrule.log10`."""
        return ops.log10(self)  # type: ignore[no-any-return]

    def log1p(self) -> "Tensor":
        """See `chainrule.log1p`."""
        return ops.log1p(self)  # type: ignore[no-any-return]

    def sqrt(self) -> "Tensor":
        """See `chainrule.sqrt`."""
        return ops.sqrt(self)  # type: ignore[no-any-return]

    def rsqrt(self) -> "Tensor":
        """See `chainrule.rsqrt`."""
        return ops.rsqrt(self)  # type: ignore[no-any-return]

    def square(self) -> "Tensor":
        """See `chainrule.square`."""
        return ops.square(self)  # type: ignore[no-any-return]

    def reciprocal(self) -> "Tensor":
        """See `chainrule.reciprocal`."""
        return ops.reciprocal(self)  # type: ignore[no-any-return]

    def neg(self) -> "Tensor":
        """See `chainrule.neg`."""
        return ops.neg(self)  # type: ignore[no-any-return]

    def abs(self) -> "Tensor":
        """See `chainrule.abs`."""
        return ops.abs(self)  # type: ignore[no-any-return]

    def sign(self) -> "Tensor":
        """See `chainrule.sign`."""
        return ops.sign(self)  # type: ignore[no-any-return]

    def sin(self) -> "Tensor":
        """See `chainrule.sin`."""
        return ops.sin(self)  # type: ignore[no-any-return]

    def cos(self) -> "Tensor":
        """See `chainrule.cos`."""
        return ops.cos(self)  # type: ignore[no-any-return]

    def tan(self) -> "Tensor":
        """See `chainrule.tan`."""
        return ops.tan(self)  # type: ignore[no-any-return]

    def asin(self) -> "Tensor":
        """See `chainrule.asin`."""
        return ops.asin(self)  # type: ignore[no-any-return]

    def acos(self) -> "Tensor":
        """See `chainrule.acos`."""
        return ops.acos(self)  # type: ignore[no-any-return]

    def atan(self) -> "Tensor":
        """See `chainrule.atan`."""
        return ops.atan(self)  # type: ignore[no-any-return]

    def sinh(self) -> "Tensor":
        """See `chainrule.sinh`."""
        return ops.sinh(self)  # type: ignore[no-any-return]

    def cosh(self) -> "Tensor":
        """See `chainrule.cosh`."""
        return ops.cosh(self)  # type: ignore[no-any-return]

    def tanh(self) -> "Tensor":
        """See `chainrule.tanh`."""
        return ops.tanh(self)  # type: ignore[no-any-return]

    def asinh(self) -> "Tensor":
        """See `chainrule.asinh`."""
        return ops.asinh(self)  # type: ignore[no-any-return]

    def acosh(self) -> "Tensor":
        """See `chainrule.acosh`."""
        return ops.acosh(self)  # type: ignore[no-any-return]

    def atanh(self) -> "Tensor":
        """See `chainrule.atanh`."""
        return ops.atanh(self)  # type: ignore[no-any-return]

    def sigmoid(self) -> "Tensor":
        """See `chainrule.sigmoid`."""
        return ops.sigmoid(self)  # type: ignore[no-any-return]

    def erf(self) -> "Tensor":
        """See `chainrule.erf`."""
        return ops.erf(self)  # type: ignore[no-any-return]

    def erfc(self) -> "Tensor":
        """See `chainrule.erfc`."""
        return ops.erfc(self)  # type: ignore[no-any-return]

    def floor(self) -> "Tensor":
        """See `chainrule.floor`."""
        return ops.floor(self)  # type: ignore[no-any-return]

    def ceil(self) -> "Tensor":
        """See `chainrule.ceil`."""
        return ops.ceil(self)  # type: ignore[no-any-return]

    def round(self) -> "Tensor":
        """See `chainrule.round`."""
        return ops.round(self)  # type: ignore[no-any-return]

    def trunc(self) -> "Tensor":
        """See `chainrule.trunc`."""
        return ops.trunc(self)  # type: ignore[no-any-return]

    def frac(self) -> "Tensor":
        """See `chainrule.frac`."""
        return ops.frac(self)  # type: ignore[no-any-return]

    def relu(self) -> "Tensor":
        """See `chainrule.relu`."""
        return ops.relu(self)  # type: ignore[no-any-return]

    def isnan(self) -> "Tensor":
        """See `chainrule.isnan`."""
        return ops.isnan(self)  # type: ignore[no-any-return]

    def isinf(self) -> "Tensor":
        """See `chainrule.isinf`."""
        return ops.isinf(self)  # type: ignore[no-any-return]

    def isfinite(self) -> "Tensor":
        """See `chainrule.isfinite`."""
        return ops.isfinite(self)  # type: ignore[no-any-return]

    def logical_not(self) -> "Tensor":
        """See `chainrule.logical_not`."""
        return ops.logical_not(self)  # type: ignore[no-any-return]

    def bitwise_not(self) -> "Tensor":
        """See `chainrule.bitwise_not`."""
        return ops.bitwise_not(self)  # type: ignore[no-any-return]

    def add(self, other: Any) -> "Tensor":
        """See `chainrule.add`."""
        return ops.add(self, other)  # type: ignore[no-any-return]

    def sub(self, other: Any) -> "Tensor":
        """See `chainrule.sub`."""
        return ops.sub(self, other)  # type: ignore[no-any-return]

    def mul(self, other: Any) -> "Tensor":
        """See `chainrule.mul`."""
        return ops.mul(self, other)  # type: ignore[no-any-return]

    def div(self, other: Any) -> "Tensor":
        """See `chainrule.div`."""
        return ops.div(self, other)  # type: ignore[no-any-return]

    def pow(self, other: Any) -> "Tensor":
        """See `chainrule.pow`."""
        return ops.pow(self, other)  # type: ignore[no-any-return]

    def atan2(self, other: Any) -> "Tensor":
        """See `chainrule.atan2`."""
        return ops.atan2(self, other)  # type: ignore[no-any-return]

    def maximum(self, other: Any) -> "Tensor":
        """See `chainrule.maximum`."""
        return ops.maximum(self, other)  # type: ignore[no-any-return]

    def minimum(self, other: Any) -> "Tensor":
        """See `chainrule.minimum`."""
        return ops.minimum(self, other)  # type: ignore[no-any-return]

    def fmod(self, other: Any) -> "Tensor":
        """See `chainrule.fmod`."""
        return ops.fmod(self, other)  # type: ignore[no-any-return]

    def remainder(self, other: Any) -> "Tensor":
        """See `chainrule.remainder`."""
        return ops.remainder(self, other)  # type: ignore[no-any-return]

    def logaddexp(self, other: Any) -> "Tensor":
        """See `chainrule.logaddexp`."""
        return ops.logaddexp(self, other)  # type: ignore[no-any-return]

    def eq(self, other: Any) -> "Tensor":
        """See `chainrule.eq`."""
        return ops.eq(self, other)  # type: ignore[no-any-return]

    def ne(self, other: Any) -> "Tensor":
        """See `chainrule.ne`."""
        return ops.ne(self, other)  # type: ignore[no-any-return]

    def lt(self, other: Any) -> "Tensor":
        """See `chainrule.lt`."""
        return ops.lt(self, other)  # type: ignore[no-any-return]

    def le(self, other: Any) -> "Tensor":
        """See `chainrule.le`."""
        return ops.le(self, other)  # type: ignore[no-any-return]

    def gt(self, other: Any) -> "Tensor":
        """See `chainrule.gt`."""
        return ops.gt(self, other)  # type: ignore[no-any-return]

    def ge(self, other: Any) -> "Tensor":
        """See `chainrule.ge`."""
        return ops.ge(self, other)  # type: ignore[no-any-return]

    def logical_and(self, other: Any) -> "Tensor":
        """See `chainrule.logical_and`."""
        return ops.logical_and(self, other)  # type: ignore[no-any-return]

    def logical_or(self, other: Any) -> "Tensor":
        """See `chainrule.logical_or`."""
        return ops.logical_or(self, other)  # type: ignore[no-any-return]

    def logical_xor(self, other: Any) -> "Tensor":
        """See `chainrule.logical_xor`."""
        return ops.logical_xor(self, other)  # type: ignore[no-any-return]

    def bitwise_and(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_and`."""
        return ops.bitwise_and(self, other)  # type: ignore[no-any-return]

    def bitwise_or(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_or`."""
        return ops.bitwise_or(self, other)  # type: ignore[no-any-return]

    def bitwise_xor(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_xor`."""
        return ops.bitwise_xor(self, other)  # type: ignore[no-any-return]

    def clamp(self, min: Any = None, max: Any = None) -> "Tensor":
        """See `chainrule.clamp`."""
        return ops.clamp(self, min, max)  # type: ignore[no-any-return]

    def clip(self, min: Any = None, max: Any = None) -> "Tensor":
        """See `chainrule.clamp`."""
        return ops.clamp(self, min, max)  # type: ignore[no-any-return]

    def lerp(self, end: Any, weight: Any) -> "Tensor":
        """See `chainrule.lerp`."""
        return ops.lerp(self, end, weight)  # type: ignore[no-any-return]

    def where(self, condition: Any, other: Any) -> "Tensor":
        """These elements where `condition` holds, those of `other` elsewhere."""
        return ops.where(condition, self, other)  # type: ignore[no-any-return]

    def nan_to_num(self, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> "Tensor":
        """See `chainrule.nan_to_num`."""
        return ops.nan_to_num(self, nan, posinf, neginf)  # type: ignore[no-any-return]

    def isclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> "Tensor":
        """See `chainrule.isclose`."""
        return ops.isclose(self, other, rtol, atol, equal_nan)  # type: ignore[no-any-return]

    def allclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """See `chainrule.allclose`."""
        return ops.allclose(self, other, rtol, atol, equal_nan)  # type: ignore[no-any-return]

    # ---- reductions

    def sum(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.sum`."""
        return ops.sum(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def mean(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.mean`."""
        return ops.mean(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def prod(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.prod`."""
        return ops.prod(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def amax(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.amax`."""
        return ops.amax(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def amin(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.amin`."""
        return ops.amin(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def var(self, dim: Axis = None, correction: Any = 1, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.var`."""
        return ops.var(self, dim, correction=correction, keepdim=keepdim, **named)  # type: ignore[no-any-return]

    def std(self, dim: Axis = None, correction: Any = 1, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.std`."""
        return ops.std(self, dim, correction=correction, keepdim=keepdim, **named)  # type: ignore[no-any-return]

    def logsumexp(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.logsumexp`."""
        return ops.logsumexp(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def all(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.all`."""
        return ops.all(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def any(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.any`."""
        return ops.any(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def nansum(self, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.nansum`."""
        return ops.nansum(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def count_nonzero(self, dim: Axis = None, **named: Any) -> "Tensor":
        """See `chainrule.count_nonzero`."""
        return ops.count_nonzero(self, dim, **named)  # type: ignore[no-any-return]

    def max(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.max`."""
        return ops.max(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def min(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.min`."""
        return ops.min(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def median(self, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        """See `chainrule.median`."""
        return ops.median(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def argmax(self, dim: int | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argmax`."""
        return ops.argmax(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def argmin(self, dim: int | None = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argmin`."""
        return ops.argmin(self, dim, keepdim, **named)  # type: ignore[no-any-return]

    def norm(self, p: Any = 2, dim: Axis = None, keepdim: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.norm`."""
        return ops.norm(self, p, dim, keepdim, **named)  # type: ignore[no-any-return]

    def cumsum(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.cumsum`."""
        return ops.cumsum(self, dim, **named)  # type: ignore[no-any-return]

    def cumprod(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.cumprod`."""
        return ops.cumprod(self, dim, **named)  # type: ignore[no-any-return]

    def sort(self, dim: int = -1, descending: bool = False, **named: Any) -> Any:
        """See `chainrule.sort`."""
        return ops.sort(self, dim, descending, **named)  # type: ignore[no-any-return]

    def argsort(self, dim: int = -1, descending: bool = False, **named: Any) -> "Tensor":
        """See `chainrule.argsort`."""
        return ops.argsort(self, dim, descending, **named)  # type: ignore[no-any-return]

    def topk(self, k: int, dim: int = -1, largest: bool = True, **named: Any) -> Any:
        """See `chainrule.topk`."""
        return ops.topk(self, k, dim, largest, **named)  # type: ignore[no-any-return]

    def softmax(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.softmax`."""
        return ops.softmax(self, dim, **named)  # type: ignore[no-any-return]

    def log_softmax(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.log_softmax`."""
        return ops.log_softmax(self, dim, **named)  # type: ignore[no-any-return]

    # ---- shapes

    def reshape(self, *shape: Any) -> "Tensor":
        """See `chainrule.reshape`."""
        return ops.reshape(self, *shape)  # type: ignore[no-any-return]

    def view(self, *shape: Any) -> "Tensor":
        """See `chainrule.view`."""
        return ops.view(self, *shape)  # type: ignore[no-any-return]

    def view_as(self, other: Any) -> "Tensor":
        """See `chainrule.view_as`."""
        return ops.view_as(self, other)  # type: ignore[no-any-return]

    def reshape_as(self, other: Any) -> "Tensor":
        """See `chainrule.reshape_as`."""
        return ops.reshape_as(self, other)  # type: ignore[no-any-return]

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        """See `chainrule.flatten`."""
        return ops.flatten(self, start_dim, end_dim)  # type: ignore[no-any-return]

    def unflatten(self, dim: int, sizes: Any) -> "Tensor":
        """See `chainrule.unflatten`."""
        return ops.unflatten(self, dim, sizes)  # type: ignore[no-any-return]

    def ravel(self) -> "Tensor":
        """See `chainrule.ravel`."""
        return ops.ravel(self)  # type: ignore[no-any-return]

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, dim0, dim1)  # type: ignore[no-any-return]

    def swapaxes(self, axis0: int, axis1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, axis0, axis1)  # type: ignore[no-any-return]

    def swapdims(self, dim0: int, dim1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, dim0, dim1)  # type: ignore[no-any-return]

    def permute(self, *dims: Any) -> "Tensor":
        """See `chainrule.permute`."""
        return ops.permute(self, *dims)  # type: ignore[no-any-return]

    def movedim(self, source: Any, destination: Any) -> "Tensor":
        """See `chainrule.movedim`."""
        return ops.movedim(self, source, destination)  # type: ignore[no-any-return]

    def moveaxis(self, source: Any, destination: Any) -> "Tensor":
        """See `chainrule.movedim`."""
        return ops.movedim(self, source, destination)  # type: ignore[no-any-return]

    def t(self) -> "Tensor":
        """See `chainrule.t`."""
        return ops.t(self)  # type: ignore[no-any-return]

    def squeeze(self, dim: Axis = None, **named: Any) -> "Tensor":
        """See `chainrule.squeeze`."""
        return ops.squeeze(self, dim, **named)  # type: ignore[no-any-return]

    def unsqueeze(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.unsqueeze`."""
        return ops.unsqueeze(self, dim, **named)  # type: ignore[no-any-return]

    def expand(self, *shape: Any) -> "Tensor":
        """See `chainrule.expand`."""
        return ops.expand(self, *shape)  # type: ignore[no-any-return]

    def expand_as(self, other: Any) -> "Tensor":
        """See `chainrule.expand_as`."""
        return ops.expand_as(self, other)  # type: ignore[no-any-return]

    def broadcast_to(self, shape: Any) -> "Tensor":
        """See `chainrule.broadcast_to`."""
        return ops.broadcast_to(self, shape)  # type: ignore[no-any-return]

    def split(self, split_size: Any, dim: int = 0, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.split`."""
        return ops.split(self, split_size, dim, **named)  # type: ignore[no-any-return]

    def chunk(self, chunks: int, dim: int = 0, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.chunk`."""
        return ops.chunk(self, chunks, dim, **named)  # type: ignore[no-any-return]

    def unbind(self, dim: int = 0, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.unbind`."""
        return ops.unbind(self, dim, **named)  # type: ignore[no-any-return]

    def repeat(self, *sizes: Any) -> "Tensor":
        """See `chainrule.repeat`."""
        return ops.repeat(self, *sizes)  # type: ignore[no-any-return]

    def tile(self, *sizes: Any) -> "Tensor":
        """See `chainrule.tile`."""
        return ops.tile(self, *sizes)  # type: ignore[no-any-return]

    def repeat_interleave(self, repeats: Any, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.repeat_interleave`."""
        return ops.repeat_interleave(self, repeats, dim, **named)  # type: ignore[no-any-return]

    def flip(self, *dims: Any) -> "Tensor":
        """See `chainrule.flip`."""
        return ops.flip(self, *dims)  # type: ignore[no-any-return]

    def roll(self, shifts: Any, dims: Any = None) -> "Tensor":
        """See `chainrule.roll`."""
        return ops.roll(self, shifts, dims)  # type: ignore[no-any-return]

    def narrow(self, dim: int, start: int, length: int) -> "Tensor":
        """See `chainrule.narrow`."""
        return ops.narrow(self, dim, start, length)  # type: ignore[no-any-return]

    def select(self, dim: int, index: int) -> "Tensor":
        """See `chainrule.select`."""
        return ops.select(self, dim, index)  # type: ignore[no-any-return]

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> "Tensor":
        """See `chainrule.diagonal`."""
        return ops.diagonal(self, offset, dim1, dim2)  # type: ignore[no-any-return]

    def diag(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.diag`."""
        return ops.diag(self, diagonal)  # type: ignore[no-any-return]

    def tril(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.tril`."""
        return ops.tril(self, diagonal)  # type: ignore[no-any-return]

    def triu(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.triu`."""
        return ops.triu(self, diagonal)  # type: ignore[no-any-return]

    def contiguous(self) -> "Tensor":
        """See `chainrule.contiguous`."""
        return ops.contiguous(self)  # type: ignore[no-any-return]

    def clone(self) -> "Tensor":
        """See `chainrule.clone`."""
        return ops.clone(self)  # type: ignore[no-any-return]

    def unfold(self, dimension: int, size: int, step: int) -> "Tensor":
        """See `chainrule.unfold_windows`."""
        return ops.unfold_windows(self, dimension, size, step)  # type: ignore[no-any-return]

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return ops.reverse_axes(self)  # type: ignore[no-any-return]

    @property
    def mT(self) -> "Tensor":
        """The last two axes swapped."""
        return ops.matrix_transpose(self)  # type: ignore[no-any-return]

    # ---- indexing

    def gather(self, dim: int, index: Any) -> "Tensor":
        """See `chainrule.gather`."""
        return ops.gather(self, dim, index)  # type: ignore[no-any-return]

    def scatter(self, dim: int, index: Any, src: Any) -> "Tensor":
        """See `chainrule.scatter`."""
        return ops.scatter(self, dim, index, src)  # type: ignore[no-any-return]

    def scatter_add(self, dim: int, index: Any, src: Any) -> "Tensor":
        """See `chainrule.scatter_add`."""
        return ops.scatter_add(self, dim, index, src)  # type: ignore[no-any-return]

    def index_select(self, dim: int, index: Any) -> "Tensor":
        """See `chainrule.index_select`."""
        return ops.index_select(self, dim, index)  # type: ignore[no-any-return]

    def index_add(self, dim: int, index: Any, source: Any) -> "Tensor":
        """See `chainrule.index_add`."""
        return ops.index_add(self, dim, index, source)  # type: ignore[no-any-return]

    def take_along_dim(self, indices: Any, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.take_along_dim`."""
        return ops.take_along_dim(self, indices, dim, **named)  # type: ignore[no-any-return]

    def masked_fill(self, mask: Any, value: Any) -> "Tensor":
        """See `chainrule.masked_fill`."""
        return ops.masked_fill(self, mask, value)  # type: ignore[no-any-return]

    def masked_select(self, mask: Any) -> "Tensor":
        """See `chainrule.masked_select`."""
        return ops.masked_select(self, mask)  # type: ignore[no-any-return]

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """See `chainrule.nonzero`."""
        return ops.nonzero(self, as_tuple=as_tuple)  # type: ignore[no-any-return]

    def unique(self) -> Any:
        """See `chainrule.unique`."""
        return ops.unique(self)  # type: ignore[no-any-return]

    # ---- products

    def matmul(self, other: Any) -> "Tensor":
        """See `chainrule.matmul`."""
        return ops.matmul(self, other)  # type: ignore[no-any-return]

    def mm(self, mat2: Any) -> "Tensor":
        """See `chainrule.mm`."""
        return ops.mm(self, mat2)  # type: ignore[no-any-return]

    def bmm(self, mat2: Any) -> "Tensor":
        """See `chainrule.bmm`."""
        return ops.bmm(self, mat2)  # type: ignore[no-any-return]

    def mv(self, vec: Any) -> "Tensor":
        """See `chainrule.mv`."""
        return ops.mv(self, vec)  # type: ignore[no-any-return]

    def dot(self, other: Any) -> "Tensor":
        """See `chainrule.dot`."""
        return ops.dot(self, other)  # type: ignore[no-any-return]

    def outer(self, vec2: Any) -> "Tensor":
        """See `chainrule.outer`."""
        return ops.outer(self, vec2)  # type: ignore[no-any-return]

    def trace(self) -> "Tensor":
        """See `chainrule.trace`."""
        return ops.trace(self)  # type: ignore[no-any-return]

    def inverse(self) -> "Tensor":
        """See `chainrule.inverse`."""
        return ops.inverse(self)  # type: ignore[no-any-return]

    def det(self) -> "Tensor":
        """See `chainrule.det`."""
        return ops.det(self)  # type: ignore[no-any-return]

    def cholesky(self) -> "Tensor":
        """See `chainrule.cholesky`."""
        return ops.cholesky(self)  # type: ignore[no-any-return]
