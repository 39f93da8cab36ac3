"""Joining, padding, mirroring and diagonals, where NumPy has no function of that name, or one with another rule."""

from typing import Any

import numpy as np

__all__ = ["cat", "clone", "diagonal", "diagonal_adjoint", "flip", "pad_constant", "reshape",
           "unfold_windows", "unfold_windows_adjoint"]


def clone(x: Any, *, order: str) -> Any:
    """A copy: with `order` "K" as the elements lie in memory, with "C" in C order."""
    return np.array(x, order=order)  # type: ignore[call-overload]


def reshape(x: Any, shape: Any) -> Any:
    """x in another shape: NumPy's method, which is quicker than its function."""
    return x.reshape(shape)


def cat(*parts: Any, axis: int, offsets: Any) -> Any:
    """The parts one after the other along `axis`; part i goes from offsets[i] to offsets[i + 1]."""
    return np.concatenate(parts, axis=axis)


def flip(x: Any, axis: Any) -> Any:
    """x mirrored along the axes, as a copy (NumPy's is a view, through which x could be written unseen)."""
    return np.flip(x, axis).copy()


def pad_constant(x: Any, *, widths: Any, value: Any) -> Any:
    """x with `value` before and after: for every axis a pair of widths."""
    out = np.full([before + n + after for n, (before, after) in zip(x.shape, widths)], value, x.dtype)
    out[tuple(slice(before, before + n) for n, (before, after) in zip(x.shape, widths))] = x
    return out


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonals of x as a new last axis, a view; writable if x is (NumPy's is not)."""
    out = np.diagonal(x, offset, axis1, axis2)
    if x.flags.writeable:
        out.flags.writeable = True
    return out


def diagonal_adjoint(g: Any, *, offset: int, axis1: int, axis2: int, shape: Any) -> Any:
    """Zeros of `shape` with g on the diagonals."""
    out = np.zeros(shape, g.dtype)
    diagonal(out, offset, axis1, axis2)[...] = g
    return out


def unfold_windows(x: Any, *, axis: int, size: int, step: int) -> Any:
    """All windows of `size` elements along `axis`, every `step`, as a new last axis: a view, read-only where windows
    overlap."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis, writeable=step >= size and x.flags.writeable)
    return windows[(slice(None),) * axis + (slice(None, None, step),)]


def unfold_windows_adjoint(g: Any, *, axis: int, size: int, step: int, shape: Any) -> Any:
    """Each window's elements added where they came from."""
    out = np.zeros(shape, g.dtype)
    last = step * (g.shape[axis] - 1) + 1
    for k in range(size):  # the k-th elements of all windows lie `step` apart: no two are the same
        out[(slice(None),) * axis + (slice(k, k + last, step),)] += g[..., k]
    return out
