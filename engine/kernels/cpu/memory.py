"""Where kernels get the arrays from that they return: new memory, or what a compiled step has planned for the call.

`empty` is np.empty. A compiled step (`chainrule.replay`) notes, while it is recorded, which arrays each kernel asked for, and
when it is replayed hands out the memory that it set aside for them, in the same order.
"""

import ctypes
import threading
from typing import Any

import numpy as np

__all__ = ["empty", "zeros"]


# What the GNU C library's malloc is told (malloc.h): blocks from this size on come from the system, which is where its own rule
# ends up after a large block was freed; and free memory at the heap's end goes back to the system only beyond so much of it.
MMAP_THRESHOLD, TRIM_THRESHOLD = (-3, 1 << 25), (-1, 1 << 30)


def keep_freed_memory() -> bool:
    """Tell malloc to keep what a step frees for the next step; False where it is another malloc, which is left as it is.

    Otherwise the memory goes back to the system when a step ends, and comes again page by page, each filled with zeros first:
    three arrays of 4 MB take 8 ms to fill so, and 0.2 ms where the memory was kept.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not the GNU C library
        return False
    return bool(mallopt(*MMAP_THRESHOLD)) and bool(mallopt(*TRIM_THRESHOLD))


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
