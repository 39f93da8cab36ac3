"""The affine map of a layer."""

from typing import Any

from chainrule.fused import fused, register

__all__ = ["linear"]


@register
@fused
def linear(xp: Any, input: Any, weight: Any, bias: Any) -> Any:
    """input (..., in) @ weight (out, in).mT + bias (out,) or None -> (..., out)."""
    out = xp.matmul(input, weight.mT)
    return out if bias is None else out + bias
