"""Where kernels get the arrays from that they return: new memory, or what a compiled step has planned for the call.

`empty` is np.empty. A compiled step (`chainrule.replay`) notes, while it is recorded, which arrays each kernel asked for, and
when it is replayed hands out the memory that it set aside for them, in the same order.
"""

import threading
from typing import Any

import numpy as np

__all__ = ["empty", "zeros"]


class Plan(threading.local):
    """What arrays are handed out in this thread: None for new ones, else an object with `next(shape, dtype)`."""

    source: Any = None


plan = Plan()


def empty(shape: Any, dtype: Any) -> Any:
    """An array that the caller fills, C-contiguous.

    >>> empty((2, 3), np.float32).shape
    (2, 3)
    """
    source = plan.source
    return np.empty(shape, dtype) if source is None else source.next(shape, dtype)


def zeros(shape: Any, dtype: Any) -> Any:
    """An array of zeros, C-contiguous.

    >>> zeros(2, np.float32)
    array([0., 0.], dtype=float32)
    """
    source = plan.source
    if source is None:
        return np.zeros(shape, dtype)
    out = source.next(shape, dtype)
    out.fill(0)
    return out
