"""Determinants. (ONNX has no inverse, no factorisation and no solver.)"""

from typing import Any

from chainrule.onnx.table import converter


@converter("det")
def det(g: Any, use: Any, x: str) -> Any:
    """Det."""
    return g.op("Det", x)


@converter("logabsdet")
def logabsdet(g: Any, use: Any, x: str) -> Any:
    """Log |Det|."""
    return g.op("Log", g.op("Abs", g.op("Det", x)))


@converter("signdet")
def signdet(g: Any, use: Any, x: str) -> Any:
    """Sign of Det."""
    return g.op("Sign", g.op("Det", x))
