"""Padding, and one-hot vectors: ops that torch also offers under functional."""

from chainrule.ops.creation import one_hot
from chainrule.ops.padding import pad

__all__ = ["one_hot", "pad"]
