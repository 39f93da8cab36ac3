"""Tensor's elementwise methods."""

from typing import TYPE_CHECKING, Any

from chainrule.arguments import scaled
from chainrule.methods.typed import ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Elementwise:
    """Each calls the elementwise op of its name."""

    __slots__ = ()

    def exp(self) -> "Tensor":
        """See `chainrule.exp`."""
        return ops.exp(self)

    def exp2(self) -> "Tensor":
        """See `chainrule.exp2`."""
        return ops.exp2(self)

    def expm1(self) -> "Tensor":
        """See `chainrule.expm1`."""
        return ops.expm1(self)

    def log(self) -> "Tensor":
        """See `chainrule.log`."""
        return ops.log(self)

    def log2(self) -> "Tensor":
        """See `chainrule.log2`."""
        return ops.log2(self)

    def log10(self) -> "Tensor":
        """See `chainrule.log10`."""
        return ops.log10(self)

    def log1p(self) -> "Tensor":
        """See `chainrule.log1p`."""
        return ops.log1p(self)

    def sqrt(self) -> "Tensor":
        """See `chainrule.sqrt`."""
        return ops.sqrt(self)

    def rsqrt(self) -> "Tensor":
        """See `chainrule.rsqrt`."""
        return ops.rsqrt(self)

    def square(self) -> "Tensor":
        """See `chainrule.square`."""
        return ops.square(self)

    def reciprocal(self) -> "Tensor":
        """See `chainrule.reciprocal`."""
        return ops.reciprocal(self)

    def neg(self) -> "Tensor":
        """See `chainrule.neg`."""
        return ops.neg(self)

    def abs(self) -> "Tensor":
        """See `chainrule.abs`."""
        return ops.abs(self)

    def sign(self) -> "Tensor":
        """See `chainrule.sign`."""
        return ops.sign(self)

    def sin(self) -> "Tensor":
        """See `chainrule.sin`."""
        return ops.sin(self)

    def cos(self) -> "Tensor":
        """See `chainrule.cos`."""
        return ops.cos(self)

    def tan(self) -> "Tensor":
        """See `chainrule.tan`."""
        return ops.tan(self)

    def asin(self) -> "Tensor":
        """See `chainrule.asin`."""
        return ops.asin(self)

    def acos(self) -> "Tensor":
        """See `chainrule.acos`."""
        return ops.acos(self)

    def atan(self) -> "Tensor":
        """See `chainrule.atan`."""
        return ops.atan(self)

    def sinh(self) -> "Tensor":
        """See `chainrule.sinh`."""
        return ops.sinh(self)

    def cosh(self) -> "Tensor":
        """See `chainrule.cosh`."""
        return ops.cosh(self)

    def tanh(self) -> "Tensor":
        """See `chainrule.tanh`."""
        return ops.tanh(self)

    def asinh(self) -> "Tensor":
        """See `chainrule.asinh`."""
        return ops.asinh(self)

    def acosh(self) -> "Tensor":
        """See `chainrule.acosh`."""
        return ops.acosh(self)

    def atanh(self) -> "Tensor":
        """See `chainrule.atanh`."""
        return ops.atanh(self)

    def sigmoid(self) -> "Tensor":
        """See `chainrule.sigmoid`."""
        return ops.sigmoid(self)

    def erf(self) -> "Tensor":
        """See `chainrule.erf`."""
        return ops.erf(self)

    def erfc(self) -> "Tensor":
        """See `chainrule.erfc`."""
        return ops.erfc(self)

    def floor(self) -> "Tensor":
        """See `chainrule.floor`."""
        return ops.floor(self)

    def ceil(self) -> "Tensor":
        """See `chainrule.ceil`."""
        return ops.ceil(self)

    def round(self, decimals: int = 0) -> "Tensor":
        """See `chainrule.round`."""
        return ops.round(self, decimals)

    def trunc(self) -> "Tensor":
        """See `chainrule.trunc`."""
        return ops.trunc(self)

    def frac(self) -> "Tensor":
        """See `chainrule.frac`."""
        return ops.frac(self)

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """See `chainrule.addcmul`."""
        return ops.addcmul(self, tensor1, tensor2, value=value)

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """See `chainrule.addcdiv`."""
        return ops.addcdiv(self, tensor1, tensor2, value=value)

    def relu(self) -> "Tensor":
        """See `chainrule.relu`."""
        return ops.relu(self)

    def isnan(self) -> "Tensor":
        """See `chainrule.isnan`."""
        return ops.isnan(self)

    def isinf(self) -> "Tensor":
        """See `chainrule.isinf`."""
        return ops.isinf(self)

    def isfinite(self) -> "Tensor":
        """See `chainrule.isfinite`."""
        return ops.isfinite(self)

    def logical_not(self) -> "Tensor":
        """See `chainrule.logical_not`."""
        return ops.logical_not(self)

    def bitwise_not(self) -> "Tensor":
        """See `chainrule.bitwise_not`."""
        return ops.bitwise_not(self)

    def add(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """See `chainrule.add`; self + alpha · other."""
        return ops.add(self, scaled(other, alpha))

    def sub(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """See `chainrule.sub`; self - alpha · other."""
        return ops.sub(self, scaled(other, alpha))

    def mul(self, other: Any) -> "Tensor":
        """See `chainrule.mul`."""
        return ops.mul(self, other)

    def div(self, other: Any, rounding_mode: str | None = None) -> "Tensor":
        """See `chainrule.div`."""
        return ops.div(self, other, rounding_mode)

    def pow(self, other: Any) -> "Tensor":
        """See `chainrule.pow`."""
        return ops.pow(self, other)

    def atan2(self, other: Any) -> "Tensor":
        """See `chainrule.atan2`."""
        return ops.atan2(self, other)

    def maximum(self, other: Any) -> "Tensor":
        """See `chainrule.maximum`."""
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> "Tensor":
        """See `chainrule.minimum`."""
        return ops.minimum(self, other)

    def fmod(self, other: Any) -> "Tensor":
        """See `chainrule.fmod`."""
        return ops.fmod(self, other)

    def remainder(self, other: Any) -> "Tensor":
        """See `chainrule.remainder`."""
        return ops.remainder(self, other)

    def logaddexp(self, other: Any) -> "Tensor":
        """See `chainrule.logaddexp`."""
        return ops.logaddexp(self, other)

    def eq(self, other: Any) -> "Tensor":
        """See `chainrule.eq`."""
        return ops.eq(self, other)

    def ne(self, other: Any) -> "Tensor":
        """See `chainrule.ne`."""
        return ops.ne(self, other)

    def lt(self, other: Any) -> "Tensor":
        """See `chainrule.lt`."""
        return ops.lt(self, other)

    def le(self, other: Any) -> "Tensor":
        """See `chainrule.le`."""
        return ops.le(self, other)

    def gt(self, other: Any) -> "Tensor":
        """See `chainrule.gt`."""
        return ops.gt(self, other)

    def ge(self, other: Any) -> "Tensor":
        """See `chainrule.ge`."""
        return ops.ge(self, other)

    def logical_and(self, other: Any) -> "Tensor":
        """See `chainrule.logical_and`."""
        return ops.logical_and(self, other)

    def logical_or(self, other: Any) -> "Tensor":
        """See `chainrule.logical_or`."""
        return ops.logical_or(self, other)

    def logical_xor(self, other: Any) -> "Tensor":
        """See `chainrule.logical_xor`."""
        return ops.logical_xor(self, other)

    def bitwise_and(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_and`."""
        return ops.bitwise_and(self, other)

    def bitwise_or(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_or`."""
        return ops.bitwise_or(self, other)

    def bitwise_xor(self, other: Any) -> "Tensor":
        """See `chainrule.bitwise_xor`."""
        return ops.bitwise_xor(self, other)

    def clamp(self, min: Any = None, max: Any = None) -> "Tensor":
        """See `chainrule.clamp`."""
        return ops.clamp(self, min, max)

    def clip(self, min: Any = None, max: Any = None) -> "Tensor":
        """See `chainrule.clamp`."""
        return ops.clamp(self, min, max)

    def lerp(self, end: Any, weight: Any) -> "Tensor":
        """See `chainrule.lerp`."""
        return ops.lerp(self, end, weight)

    def where(self, condition: Any, other: Any) -> "Tensor":
        """These elements where `condition` holds, those of `other` elsewhere."""
        return ops.where(condition, self, other)

    def nan_to_num(self, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> "Tensor":
        """See `chainrule.nan_to_num`."""
        return ops.nan_to_num(self, nan, posinf, neginf)

    def positive(self) -> "Tensor":
        """See `chainrule.positive`."""
        return ops.positive(self)

    def absolute(self) -> "Tensor":
        """See `chainrule.absolute`."""
        return ops.absolute(self)

    def sinc(self) -> "Tensor":
        """See `chainrule.sinc`."""
        return ops.sinc(self)

    def erfinv(self) -> "Tensor":
        """See `chainrule.erfinv`."""
        return ops.erfinv(self)

    def signbit(self) -> "Tensor":
        """See `chainrule.signbit`."""
        return ops.signbit(self)

    def hypot(self, other: Any) -> "Tensor":
        """See `chainrule.hypot`."""
        return ops.hypot(self, other)

    def floor_divide(self, other: Any) -> "Tensor":
        """See `chainrule.floor_divide`."""
        return ops.floor_divide(self, other)

    def fmax(self, other: Any) -> "Tensor":
        """See `chainrule.fmax`."""
        return ops.fmax(self, other)

    def fmin(self, other: Any) -> "Tensor":
        """See `chainrule.fmin`."""
        return ops.fmin(self, other)

    def clamp_min(self, min: Any) -> "Tensor":
        """See `chainrule.clamp_min`."""
        return ops.clamp_min(self, min)

    def clamp_max(self, max: Any) -> "Tensor":
        """See `chainrule.clamp_max`."""
        return ops.clamp_max(self, max)

    def logit(self, eps: float | None = None) -> "Tensor":
        """See `chainrule.logit`."""
        return ops.logit(self, eps)

    def equal(self, other: Any) -> bool:
        """See `chainrule.equal`."""
        return bool(ops.equal(self, other))

    def isclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> "Tensor":
        """See `chainrule.isclose`."""
        return ops.isclose(self, other, rtol, atol, equal_nan)

    def allclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """See `chainrule.allclose`."""
        return bool(ops.allclose(self, other, rtol, atol, equal_nan))
