"""Windows over the spatial dimensions, and their adjoint: what convolution, pooling and unfold share.

A window at output position o covers, along each dimension, the input positions o * stride - padding + k * dilation for
k = 0 … kernel - 1. Everything here takes any number of spatial dimensions, as tuples of equal length.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

__all__: list[str] = []

Sizes = Sequence[int]


def accumulator(dtype: Any) -> Any:
    """The dtype to add up in: float32 for float16, else the dtype itself."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def output_size(name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                ceil_mode: bool = False) -> tuple[int, ...]:
    """How many windows fit along each dimension; a ValueError where not even one does.

    With ceil_mode the last window may reach past the end, but must start inside the input or the left padding.
    """
    out = []
    for s, k, step, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = s + 2 * p - d * (k - 1) - 1
        count = -(-room // step) + 1 if ceil_mode else room // step + 1
        if ceil_mode and (count - 1) * step >= s + p:
            count -= 1
        if room < 0 or count < 1:
            raise ValueError(f"{name}: a kernel of size {tuple(kernel)} with dilation {tuple(dilation)} does not fit into "
                             f"an input of spatial size {tuple(size)} with padding {tuple(padding)}; "
                             f"use a smaller kernel or more padding")
        out.append(count)
    return tuple(out)


def taps(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Iterator[tuple[tuple[int, ...], Any]]:
    """For each kernel position, row-major: the position, and the index of the padded input that it multiplies.

    The index selects (..., *out): what this position of every window sees.
    """
    for position in product(*map(range, kernel)):
        yield position, (..., *(slice(k * d, k * d + step * (o - 1) + 1, step)
                                for k, d, step, o in zip(position, dilation, stride, out, strict=True)))


def extent(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, out: Sizes) -> tuple[int, ...]:
    """The size of an input padded so that it holds all windows, also those of ceil_mode that reach past its end."""
    return tuple(max(s + 2 * p, (o - 1) * step + d * (k - 1) + 1)
                 for s, k, step, p, d, o in zip(size, kernel, stride, padding, dilation, out, strict=True))


def interior(size: Sizes, padding: Sizes) -> Any:
    """The index of the input inside its padded copy."""
    return (..., *(slice(p, p + s) for s, p in zip(size, padding, strict=True)))


def gather_windows(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, out: Sizes) -> Any:
    """x (*lead, *S) -> columns (*lead, *K, *out): every window's contents, with zeros for the padding."""
    dims = len(kernel)
    lead, size = x.shape[:x.ndim - dims], x.shape[x.ndim - dims:]
    padded = np.zeros(lead + extent(size, kernel, stride, padding, dilation, out), x.dtype)
    padded[interior(size, padding)] = x
    columns: Any = np.empty((*lead, *kernel, *out), x.dtype)
    for position, seen in taps(kernel, stride, dilation, out):
        columns[(*(slice(None),) * len(lead), *position)] = padded[seen]
    return columns


def add_windows(columns: Any, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """The adjoint of gather_windows: columns (*lead, *K, *out) -> x (*lead, *size), overlaps added up."""
    dims = len(kernel)
    lead, out = columns.shape[:columns.ndim - 2 * dims], columns.shape[columns.ndim - dims:]
    padded = np.zeros(lead + extent(size, kernel, stride, padding, dilation, out), accumulator(columns.dtype))
    for position, seen in taps(kernel, stride, dilation, out):
        padded[seen] += columns[(*(slice(None),) * len(lead), *position)]
    return np.ascontiguousarray(padded[interior(size, padding)], dtype=columns.dtype)
