"""Reductions, scans and orders that NumPy has not, or has with another rule: float16 accumulates in float32."""

import math
from typing import Any

import numpy

from chainrule.dtypes import REAL

__all__ = ["argsort", "count_nonzero", "cummax_indices", "cumprod", "cumprod_grad", "cumsum", "log_softmax",
           "logsumexp", "mean", "median", "prod", "prod_grad", "softmax", "std", "sum", "var", "vector_norm"]


np: Any = numpy  # whose overloads tell True from False in `keepdims`, which here is either
_add = np.add.reduce  # what np.sum calls, without its checks


def _wide(x: Any) -> Any:
    """x in the dtype that sums are accumulated in."""
    if x.dtype == np.float16:
        return x.astype(np.float32)
    return x.astype(np.int64) if x.dtype.kind in "bui" else x


def _count(x: Any, axis: Any) -> int:
    """How many elements each result is made of."""
    return x.size if axis is None else math.prod(x.shape[a] for a in (axis if isinstance(axis, tuple) else (axis,)))


def _narrow(out: Any, x: Any) -> Any:
    """Back to float16, where x was that."""
    return np.asarray(out).astype(np.float16) if x.dtype == np.float16 else out


def sum(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over `axis`; bools and small integers accumulate in int64."""
    if x.dtype == np.float16:
        return _add(x, axis, np.float32, None, keepdims).astype(np.float16)
    if x.dtype.kind in "bui":
        return _add(x, axis, np.int64, None, keepdims)
    return _add(x, axis, None, None, keepdims)


def mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over `axis`; NaN for no elements."""
    count = _count(x, axis)
    if count == 0:
        return sum(x, axis=axis, keepdims=keepdims) + math.nan
    return _narrow(sum(_wide(x), axis=axis, keepdims=keepdims) / count, x)


def var(x: Any, *, axis: Any = None, correction: Any = 1, keepdims: bool = False) -> Any:
    """The sum of squared deviations over max(0, count - correction): NaN or inf where that is 0."""
    wide = _wide(x)
    deviation = wide - mean(wide, axis=axis, keepdims=True)
    total = np.asarray(sum(deviation * deviation, axis=axis, keepdims=keepdims))
    freedom = _count(x, axis) - correction
    if freedom > 0:
        return _narrow(total / freedom, x)
    return _narrow(np.where(total > 0, math.inf, math.nan).astype(total.dtype), x)


def std(x: Any, *, axis: Any = None, correction: Any = 1, keepdims: bool = False) -> Any:
    """The square root of `var`."""
    return _narrow(np.sqrt(var(_wide(x), axis=axis, correction=correction, keepdims=keepdims)), x)


def vector_norm(x: Any, *, p: float = 2.0, axis: Any = None, keepdims: bool = False) -> Any:
    """(sum |x|**p)**(1/p); the number of nonzero elements for p = 0, the largest or smallest |x| for p = ±inf."""
    if p == 2:
        if not np.iscomplexobj(x):
            wide = _wide(x)
            return _narrow(np.sqrt(sum(wide * wide, axis=axis, keepdims=keepdims)), x)
        return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    size = x * np.sign(np.real(x)) if np.iscomplexobj(x) else np.abs(_wide(x))
    if p == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdims).astype(x.dtype)
    if math.isinf(p):
        if p > 0 and not _count(x, axis):
            raise ValueError("the largest of no elements is not defined")
        return _narrow((np.amax if p > 0 else np.amin)(size, axis=axis, keepdims=keepdims), x)
    if p == 1:
        return _narrow(sum(size, axis=axis, keepdims=keepdims), x)
    with np.errstate(divide="ignore"):  # a zero to a negative power is inf, and the norm then 0
        return _narrow(sum(size ** p, axis=axis, keepdims=keepdims) ** (1 / p), x)


def count_nonzero(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are not zero, as int64."""
    return np.sum(x != 0, axis=axis, dtype=np.int64, keepdims=keepdims)


# ---- sums of exponentials

def _top(x: Any, axis: Any) -> Any:
    """The largest element, 0 where it is infinite or there is none: subtracting it changes nothing and nothing overflows."""
    if not x.size:
        return np.sum(np.real(x), axis=axis, keepdims=True)
    top = np.amax(np.real(x), axis=axis, keepdims=True)
    return np.where(np.isfinite(top), top, 0).astype(top.dtype)


def logsumexp(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))): -inf for no elements and where all are -inf."""
    wide = _wide(x)
    top = _top(wide, axis)
    with np.errstate(divide="ignore", over="ignore"):
        out = np.log(np.sum(np.exp(wide - top), axis=axis, keepdims=True)) + top
    return _narrow(out if keepdims else np.squeeze(out, axis=axis), x)


def softmax(x: Any, *, axis: int) -> Any:
    """exp(x) over its sum along axis; NaN where all are -inf."""
    if not x.size:
        return x.copy()
    wide = _wide(x)
    top = np.amax(np.real(wide), axis=axis, keepdims=True)
    with np.errstate(invalid="ignore"):
        out = np.exp(wide - top)
    out /= np.sum(out, axis=axis, keepdims=True)
    return _narrow(out, x)


def log_softmax(x: Any, *, axis: int) -> Any:
    """x - logsumexp(x) along axis; NaN where all are -inf."""
    if not x.size:
        return x.copy()
    wide = _wide(x)
    with np.errstate(invalid="ignore"):
        out = wide - np.amax(np.real(wide), axis=axis, keepdims=True)
    return _narrow(out - np.log(np.sum(np.exp(out), axis=axis, keepdims=True)), x)


# ---- products. Their derivatives multiply what lies before and behind, and never divide: zeros are no exception.

def prod(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The product over `axis`; bools and small integers multiply in int64."""
    return _narrow(np.prod(_wide(x), axis=axis, keepdims=keepdims), x)


def prod_grad(g: Any, input: Any, axis: Any, keepdims: bool) -> Any:
    """For each element g times the product of all others: of those before it and of those behind it."""
    x = input
    axes = tuple(range(x.ndim)) if axis is None else axis
    if not x.ndim:
        return (np.array(g),)
    ends = tuple(range(-len(axes), 0))
    moved = np.moveaxis(_wide(x), axes, ends)  # the reduced axes last, then as one
    flat = moved.reshape(*moved.shape[:x.ndim - len(axes)], -1) if x.size else moved.reshape(moved.shape)
    if not x.size:
        return (np.zeros_like(x),)
    before, behind = np.ones_like(flat), np.ones_like(flat)
    np.cumprod(flat[..., :-1], axis=-1, out=before[..., 1:])
    behind[..., :-1] = np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
    others = np.moveaxis((before * behind).reshape(moved.shape), ends, axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return (_narrow(np.reshape(g, kept) * others, x),)


def cumsum(x: Any, *, axis: int) -> Any:
    """Running sums along axis; bools and small integers accumulate in int64."""
    return _narrow(np.cumsum(_wide(x), axis=axis), x)


def cumprod(x: Any, *, axis: int) -> Any:
    """Running products along axis."""
    return _narrow(np.cumprod(_wide(x), axis=axis), x)


def cumprod_grad(g: Any, input: Any, axis: int) -> Any:
    """out[j] = x[0] … x[j], so dx[i] = (x[0] … x[i-1]) s[i] where s[i] = g[i] + x[i+1] s[i+1] sums over j >= i."""
    x = input
    if not x.size:
        return (np.zeros_like(x),)
    values, s = np.moveaxis(_wide(x), axis, 0), np.moveaxis(_wide(g), axis, 0).copy()
    for i in range(len(s) - 2, -1, -1):
        s[i] += values[i + 1] * s[i + 1]
    s[1:] *= np.cumprod(values[:-1], axis=0)
    return (_narrow(np.moveaxis(s, 0, axis), x),)


# ---- order

def argsort(x: Any, *, axis: int = -1, descending: bool = False) -> Any:
    """Indices that sort x, equal elements in their order; NaN counts as the largest."""
    if x.dtype.kind == "V":  # bfloat16, which CuPy does not sort
        x = x.astype(np.float32)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    if not x.ndim:
        return np.zeros((), np.int64)
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)


def median(x: Any) -> Any:
    """The middle element of all, the lower one of two; NaN where one is NaN."""
    if not x.size:
        return np.asarray(math.nan, x.dtype)
    if x.dtype.kind in REAL and np.isnan(x).any():
        return np.asarray(math.nan, x.dtype)
    if x.dtype.kind == "V":
        return median(x.astype(np.float32)).astype(x.dtype)
    middle = (x.size - 1) // 2
    return np.partition(x, middle, axis=None)[middle]


def cummax_indices(x: Any, *, axis: int, smallest: bool = False) -> Any:
    """For each position along axis, where the largest (smallest) element so far stands: the latest of equal ones."""
    if not x.ndim:
        return np.zeros((), np.int64)
    best = (np.minimum if smallest else np.maximum).accumulate(x, axis=axis)
    places = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.maximum.accumulate(np.where((x == best) | (x != x), places, 0), axis=axis)
