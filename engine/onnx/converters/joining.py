"""Joining."""

from typing import Any

from chainrule.onnx.table import converter


@converter("cat")
def cat(g: Any, use: Any, *parts: str) -> Any:
    """Concat."""
    return parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=use["axis"])
