"""Rows of a table by their indices, and the adjoint: adding rows up by index."""

from typing import Any

import numpy as np

__all__ = ["embedding", "embedding_adjoint"]


def embedding(indices: Any, weight: Any, *, scale: Any = None) -> Any:
    """weight (V, *E) at indices (*B) -> (*B, *E). `scale` only concerns the gradient."""
    return weight[indices]


def embedding_adjoint(indices: Any, g: Any, *, rows: int) -> Any:
    """The sum over all positions b of g[b] (*B, *E) into row indices[b] of a table of zeros (rows, *E).

    Positions are sorted by their row, and each row's run is summed at once (`np.add.at` goes element by element).
    """
    flat = indices.reshape(-1)
    features = g.shape[indices.ndim:]
    out = np.zeros((rows, *features), g.dtype)
    if flat.size:
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        wide = np.float32 if g.dtype == np.float16 else g.dtype
        out[ordered[starts]] = np.add.reduceat(g.reshape(flat.size, *features)[order], starts, axis=0, dtype=wide)
    return out
