"""What the wrappers of compiled kernels ask of arrays: a type that is served, and memory in a row."""

from typing import Any

import numpy as np

FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})  # in this machine's byte order


def served(*arrays: Any) -> bool:
    """Whether the arrays (None passed over) are all float32, or all float64.

    >>> served(np.zeros(2), None, np.ones(3)), served(np.zeros(2), np.ones(3, np.float32)), served(np.zeros(2, int))
    (True, False, False)
    """
    dtype = arrays[0].dtype
    return dtype in FLOATS and all([array is None or array.dtype == dtype for array in arrays])


def alike(size: int, first: Any, *others: Any) -> bool:
    """Whether the arrays have at least `size` elements, and are of one shape and one of the two float types."""
    if first.size < size or first.dtype not in FLOATS:
        return False
    for other in others:
        if other.dtype != first.dtype or other.shape != first.shape:
            return False
    return True


def plain(x: Any) -> Any:
    """x itself where it is C-contiguous, aligned and writable, else a copy that is: numba compiles anew for each kind.

    >>> x = np.arange(6).reshape(2, 3)
    >>> plain(x) is x, plain(x.T).flags.carray
    (True, True)
    """
    return x if x.flags.carray else np.array(x, order="C")


def flat(x: Any) -> Any:
    """`plain`, as one axis."""
    return plain(x).reshape(-1)


def pieces(size: int, most: int, task: int = 1 << 14, tasks: int = 16) -> int:
    """How many tasks serve an array of `size` elements that can be cut in at most `most`: each has `task` elements or more."""
    return max(1, min(tasks, size // task, most))


def within(values: Any, count: int) -> bool:
    """Whether an array of integers surely lies in 0 … count - 1, found in one sweep: a negative number is a very large one of
    the unsigned type. False where it may not.

    >>> within(np.array([0, 3]), 4), within(np.array([0, 4]), 4), within(np.array([-1]), 4)
    (True, False, False)
    """
    return not values.size or bool((values if values.dtype.kind == "u" else values.view(f"u{values.itemsize}")).max() < count)
