"""Losses, and rows of an embedding."""

from typing import Any

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.table import converter


@converter("cross_entropy")
def cross_entropy(g: Any, use: Any, x: str, target: str, weight: str | None) -> Any:
    """SoftmaxCrossEntropyLoss; with label_smoothing the ops of the definition."""
    if use["label_smoothing"]:
        raise Unsupported("label_smoothing")  # its definition's ops do it
    return g.op("SoftmaxCrossEntropyLoss", x, target, weight, ignore_index=use["ignore_index"], reduction=use["reduction"])


@converter("binary_cross_entropy")
def binary_cross_entropy(g: Any, use: Any, x: str, target: str) -> Any:
    """-(t max(log x, -100) + (1 - t) max(log(1 - x), -100))."""
    one, least = g.constant(1, use.dtype), g.constant(-100, use.dtype)
    yes = g.op("Mul", target, g.op("Max", g.op("Log", x), least))
    no = g.op("Mul", g.op("Sub", one, target), g.op("Max", g.op("Log", g.op("Sub", one, x)), least))
    return g.op("Neg", g.op("Add", yes, no))


@converter("dropout")
def dropout(g: Any, use: Any, x: str) -> Any:
    """None: a file draws no random numbers."""
    raise Unsupported("it draws random numbers; a file computes the same every time. Layers are exported in evaluation mode, "
                      "where dropout does nothing; a call of functional.dropout needs training=self.training")


@converter("embedding")
def embedding(g: Any, use: Any, indices: str, weight: str) -> Any:
    """Gather of rows."""
    return g.op("Gather", weight, indices, axis=0)
