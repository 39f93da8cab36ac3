"""Losses of single elements."""

from typing import Any

import numpy as np

__all__ = ["binary_cross_entropy"]


def binary_cross_entropy(x: Any, target: Any) -> Any:
    """-(target log x + (1 - target) log(1 - x)), each logarithm at least -100."""
    with np.errstate(divide="ignore"):
        log, log1m = np.log(x), np.log1p(-x)
    return -(target * np.maximum(log, -100) + (1 - target) * np.maximum(log1m, -100))
