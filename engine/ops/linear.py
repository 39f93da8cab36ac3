"""The affine map of a layer."""

from typing import Any

from chainrule.fused import fused, register

__all__: list[str] = []


@register
@fused
def linear(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    """x (..., in) @ weight (out, in).mT + bias (out,) or None -> (..., out)."""
    out = xp.matmul(x, weight.mT)
    return out if bias is None else out + bias


linear.accumulates = "linear_accumulate"
