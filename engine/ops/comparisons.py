"""Comparisons, logic on bools and bits, tests of single values. None is recorded: the results have no derivatives."""

from typing import Any

from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import alias, public
from chainrule.tensor import Tensor

__all__ = ["allclose", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
           "bitwise_right_shift", "bitwise_xor", "eq", "equal", "ge", "greater", "greater_equal", "gt", "heaviside",
           "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "le", "left_shift", "less", "less_equal",
           "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne", "not_equal", "right_shift", "signbit"]


def _pair(name: str, doc: str) -> Op:
    """A row of two inputs without derivatives."""
    return Op(name, doc, word="elementwise", input=None, other=None)


def _single(name: str, doc: str) -> Op:
    """A row of one input without derivative."""
    return Op(name, doc, word="elementwise", input=None)


# The row `equal` is NumPy's, elementwise, as all rows are; users reach it as `eq` and `==`. `equal` is torch's, below.
eq = alias("eq", _pair("equal", "Elementwise input == other."))
not_equal = _pair("not_equal", "Elementwise input != other.")
less = _pair("less", "Elementwise input < other.")
less_equal = _pair("less_equal", "Elementwise input <= other.")
greater = _pair("greater", "Elementwise input > other.")
greater_equal = _pair("greater_equal", "Elementwise input >= other.")
ne, lt, le = alias("ne", not_equal), alias("lt", less), alias("le", less_equal)
gt, ge = alias("gt", greater), alias("ge", greater_equal)

logical_and = _pair("logical_and", "Whether both are nonzero.")
logical_or = _pair("logical_or", "Whether one or both are nonzero.")
logical_xor = _pair("logical_xor", "Whether exactly one is nonzero.")
logical_not = _single("logical_not", "Whether input is zero.")

bitwise_and = _pair("bitwise_and", "The bits set in both; for bools, and. DtypeError for floats.")
bitwise_or = _pair("bitwise_or", "The bits set in one or both; for bools, or. DtypeError for floats.")
bitwise_xor = _pair("bitwise_xor", "The bits set in exactly one; for bools, exclusive or. DtypeError for floats.")
bitwise_not = _single("bitwise_not", "Every bit turned; for bools, not. DtypeError for floats.")
bitwise_invert = alias("bitwise_invert", bitwise_not)
left_shift = _pair("left_shift", "The bits of input moved up by other: input * 2**other. DtypeError for floats.")
right_shift = _pair("right_shift",
                    "The bits of input moved down by other: floor(input / 2**other). DtypeError for floats.")
bitwise_left_shift = alias("bitwise_left_shift", left_shift)
bitwise_right_shift = alias("bitwise_right_shift", right_shift)

isnan = _single("isnan", "Whether input is NaN.")
isinf = _single("isinf", "Whether input is inf or -inf.")
isfinite = _single("isfinite", "Whether input is neither NaN nor infinite.")
isposinf = _single("isposinf", "Whether input is inf.")
isneginf = _single("isneginf", "Whether input is -inf.")
signbit = _single("signbit", "Whether the sign is minus, that of -0.0 too.")
heaviside = _pair("heaviside", "0 for negative input, other for 0, 1 for positive. Not recorded, as in torch.")
_isclose = Op("isclose", word="elementwise", input=None, other=None)


@public
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and equal elements: one Python bool, as in torch.

    Elementwise: `eq`, `==`.

    >>> import chainrule as cr
    >>> cr.equal(cr.tensor([1, 2]), cr.tensor([1, 2])), cr.eq(cr.tensor([1, 2]), cr.tensor([1, 3]))
    (True, tensor([ True, False]))
    """
    one, two = ops.as_tensor(input), ops.as_tensor(other)
    return one.shape == two.shape and bool(eq(one, two).data.all())


@public
def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Elementwise |input - other| <= atol + rtol * |other|; infinities are close to themselves, NaN to nothing (with
    `equal_nan`, to NaN).

    >>> import chainrule as cr
    >>> cr.isclose(cr.tensor([1.0, 2.0]), cr.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    return _isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@public
def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds for every element: one Python bool.

    >>> import chainrule as cr
    >>> cr.allclose(cr.tensor([1.0]), cr.tensor([1.000001]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())
