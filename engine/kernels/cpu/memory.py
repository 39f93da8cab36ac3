"""Where kernels get the arrays from that they return: new memory, or what a compiled step has planned for the call.

`empty` is np.empty. A compiled step (`chainrule.replay`) notes, while it is recorded, which arrays each kernel asked for, and
when it is replayed hands out the memory that it set aside for them, in the same order.

A training step frees as much as it took, and the next one takes the same again. glibc gives the memory of large arrays back to
the system, which hands it out anew page by page, with zeros in it: a fifth of the time of a small GPT's step. It is told to
keep up to KEPT bytes.
"""

import ctypes
import os
import platform
import threading
from typing import Any

import numpy as np

__all__ = ["empty", "zeros"]


KEPT = 1 << 30
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h


def _keep_freed_memory() -> None:
    """Tell the C library, unless the user has said something about it."""
    said = any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"))
    if platform.libc_ver()[0] == "glibc" and not said:
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, KEPT >> 2)
        mallopt(_TRIM_THRESHOLD, KEPT)


_keep_freed_memory()


def arrive() -> None:
    """What a thread does when it first runs a kernel (aligned.py puts something here)."""


class Plan(threading.local):
    """What arrays are handed out in this thread: None for new ones, else an object with `next(shape, dtype)`."""

    source: Any = None

    def __init__(self) -> None:
        arrive()


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
