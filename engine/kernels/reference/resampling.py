"""Resampling along one axis: every output element is a weighted sum of a few input elements.

    out[..., i, ...] = sum over taps (i, j, w) of  w * x[..., j, ...]

That is a sparse matrix along one axis, and its transpose is of the same kind: one function serves interpolation,
adaptive average pooling and the adjoints of both. What has no tap is not touched, so that a NaN or infinity stays
where it is seen.
"""

from typing import Any

import numpy as np

from chainrule.kernels.reference.windows import accumulator

__all__ = ["resample"]


class Taps:
    """A sparse matrix of `rows` x `columns`: `weights[t]` at (`to[t]`, `of[t]`), sorted by rows.

    >>> taps = Taps(2, 3, [0, 0, 1], [0, 1, 2], [0.5, 0.5, 1.0])
    >>> resample(np.array([1.0, 3.0, 5.0]), axis=0, taps=taps)
    array([2., 5.])
    >>> taps.transposed()
    <3 taps of a 3 x 2 matrix>
    """

    def __init__(self, rows: int, columns: int, to: Any, of: Any, weights: Any) -> None:
        to, of, weights = np.asarray(to, np.int64), np.asarray(of, np.int64), np.asarray(weights, np.float64)
        there = np.flatnonzero(weights)
        order = there[np.argsort(to[there], kind="stable")]
        self.rows, self.columns, self.to, self.of, self.weights = rows, columns, to[order], of[order], weights[order]
        self.starts = np.searchsorted(self.to, np.arange(rows + 1))  # row i has the taps starts[i] … starts[i + 1]
        self._transposed: Taps | None = None
        self.placed: dict[str, Any] = {}  # its arrays on devices, by the device

    def transposed(self) -> "Taps":
        """The transposed matrix, made once."""
        if self._transposed is None:
            self._transposed = Taps(self.columns, self.rows, self.of, self.to, self.weights)
            self._transposed._transposed = self
        return self._transposed

    def __repr__(self) -> str:
        return f"<{len(self.weights)} taps of a {self.rows} x {self.columns} matrix>"


def resample(x: Any, *, axis: int, taps: Taps) -> Any:
    """x (..., taps.columns, ...) -> (..., taps.rows, ...) along the axis; float16 is added up in float32."""
    wide = accumulator(x.dtype)
    real = np.zeros(0, wide).real.dtype
    source = np.moveaxis(x, axis, -1)
    out: Any = np.zeros((*source.shape[:-1], taps.rows), wide)
    counts = np.diff(taps.starts)
    for n in range(counts.max(initial=0)):  # the n-th tap of every row that has so many
        rows = np.flatnonzero(counts > n)
        at = taps.starts[rows] + n
        out[..., rows] += source[..., taps.of[at]] * taps.weights[at].astype(real)
    return np.ascontiguousarray(np.moveaxis(out, -1, axis)).astype(x.dtype, copy=False)
