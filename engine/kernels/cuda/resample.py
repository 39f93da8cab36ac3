"""Resampling along an axis (resample.cu): interpolation and adaptive average pooling, and the adjoints of both."""

from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, device_name, instances

_resample = Kernel("resample.cu", "resample", instances(FLOATS + HALVES))
THREADS = 256


def _on_device(taps: Any) -> tuple[Any, Any, Any]:
    """The sparse matrix's rows, columns and weights on the current device, copied there once."""
    found = taps.placed.get(device_name())
    if found is None:
        found = (cupy.asarray(taps.starts.astype(np.int32)), cupy.asarray(taps.of.astype(np.int32)), cupy.asarray(taps.weights))
        taps.placed[device_name()] = found
    return found  # type: ignore[no-any-return]


def resample(x: Any, *, axis: int, taps: Any) -> Any:
    """x (..., taps.columns, ...) -> (..., taps.rows, ...) along the axis; 16-bit types are added up in float32."""
    axis %= x.ndim
    shape = (*x.shape[:axis], taps.rows, *x.shape[axis + 1:])
    out = cupy.empty(shape, x.dtype)
    starts, of, weights = _on_device(taps)
    _resample(x.dtype, grid=(-(-out.size // THREADS),), block=(THREADS,),
              arguments=(contiguous(x), starts, of, weights, out, np.int64(out.size), taps.columns, taps.rows,
                         np.int64(prod(shape[axis + 1:]))))
    return out
