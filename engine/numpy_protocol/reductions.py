"""NumPy's reductions and scans: sums, means, extrema, quantiles, running sums."""

from typing import Any

import numpy as np

from chainrule.arguments import axes_of
from chainrule.errors import DtypeError
from chainrule.names import ops
from chainrule.numpy_protocol.dispatch import answer
from chainrule.tensor import Tensor

MISSING: Any = object()
# the function, what stands for elements left out, and how an initial value is added
REDUCTIONS: dict[str, Any] = {
    "sum": (ops.sum, 0, ops.add), "prod": (ops.prod, 1, ops.multiply), "max": (ops.amax, None, ops.maximum),
    "min": (ops.amin, None, ops.minimum), "all": (ops.all, True, ops.logical_and),
    "any": (ops.any, False, ops.logical_or),
}


def prepared(a: Any, axis: Any, keepdims: Any, dtype: Any = None) -> tuple[Tensor, dict[str, Any]]:
    """The input and the axes as ops take them. `axis=()`, which for NumPy is no axis at all, is one of size 1."""
    x = ops.as_tensor(a, dtype)
    if isinstance(axis, tuple) and not axis:
        return ops.unsqueeze(x, -1), {"axis": -1, "keepdims": False}
    return x, {"axis": axis, "keepdims": bool(keepdims)}


def mask_of(name: str, where: Any) -> Tensor:
    """The mask of `where=`; DtypeError unless it is of bools."""
    found: Tensor = ops.as_tensor(where)
    if found.dtype.kind != "b":
        raise DtypeError(f"np.{name}: where= is {found.dtype}, it must be bools; compare first, for example x > 0")
    return found


def reduced(kind: str, a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = MISSING,
            where: Any = True) -> Tensor:
    """A reduction with NumPy's options. `where` leaves elements out, `initial` is combined with the result.

    Raises ValueError where a maximum leaves elements out and has no initial value.
    """
    function, neutral, combine = REDUCTIONS[kind]
    x, options = prepared(a, axis, keepdims, None if kind in ("all", "any") else dtype)
    if where is not True:
        neutral = initial if neutral is None else neutral
        if neutral is MISSING:
            raise ValueError(f"np.{kind}: where= needs initial=, the result where nothing is left")
        mask = mask_of(kind, where)
        if x.ndim > ops.as_tensor(a).ndim:  # axis=()
            mask = ops.unsqueeze(mask, -1)
        x = ops.where(mask, x, neutral)
    found: Tensor = function(x, **options)
    if dtype is not None and found.dtype != dtype:
        raise DtypeError(f"np.{kind}: dtype={dtype} was asked for, the result is {found.dtype}")
    return found if initial is MISSING or initial is None else combine(found, initial)


def scanned(kind: str, a: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """Running sums, products or extrema along an axis, of the flattened input where there is none."""
    x = ops.as_tensor(a, dtype)
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    found = getattr(ops, kind)(x, axis)
    return found if isinstance(found, Tensor) else found.values


def _mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, where: Any = True) -> Any:
    x, options = prepared(a, axis, keepdims, dtype)
    if where is True:
        return ops.mean(x, **options)
    number = reduced("sum", np.broadcast_to(mask_of("mean", where).data, ops.as_tensor(a).shape), axis, None, keepdims)
    return reduced("sum", a, axis, dtype, keepdims, where=where) / number


def _spread(kind: str) -> Any:
    """var or std, which divide by n - ddof."""

    def function(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
                 correction: Any = MISSING) -> Any:
        if correction is not MISSING and ddof:
            raise ValueError(f"np.{kind}: ddof and correction mean the same; pass one")
        x, options = prepared(a, axis, keepdims, dtype)
        return getattr(ops, kind)(x, correction=ddof if correction is MISSING else correction, **options)

    return function


def _along_last(a: Any, axis: Any) -> tuple[Tensor, tuple[int, ...]]:
    """The input with the reduced axes joined to one at the end, and the shape that keepdims keeps."""
    x = ops.as_tensor(a)
    axes = axes_of("quantile", axis, x) or tuple(range(x.ndim))
    others = tuple(i for i in range(x.ndim) if i not in axes)
    rest = tuple(x.shape[i] for i in others)
    size = int(np.prod([x.shape[i] for i in axes], dtype=np.int64))
    return (ops.reshape(ops.permute_dims(x, others + axes), (*rest, size)),
            tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _quantile(a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    x, kept = _along_last(a, axis)
    found: Any = ops.quantile(x, q, -1, interpolation=method)
    return ops.reshape(found, np.shape(q) + kept) if keepdims else found


def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: Any = False) -> Any:
    x = ops.as_tensor(a)
    if weights is None:
        found = _mean(x, axis, keepdims=keepdims)
        total = ops.full_like(found, x.numel() / (found.numel() or 1))
    else:
        w = ops.as_tensor(weights)
        if w.shape != x.shape:  # one for each element of the axis
            place = axes_of("average", axis, x) or ()
            if len(place) != 1 or w.shape != (x.shape[place[0]],):
                raise ValueError(f"np.average: weights of shape {w.shape} for {x.shape}, axis={axis}: as many as the "
                                 "elements, or as the one axis has")
            w = ops.reshape(w, tuple(-1 if i == place[0] else 1 for i in range(x.ndim)))
        total = ops.sum(ops.broadcast_to(w, x.shape), axis=axis, keepdims=bool(keepdims))
        found = ops.sum(x * w, axis=axis, keepdims=bool(keepdims)) / total
    return (found, total) if returned else found


def _range(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return reduced("max", a, axis, keepdims=keepdims) - reduced("min", a, axis, keepdims=keepdims)


def _difference(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = ops.moveaxis(a, axis, -1)
    ends = []
    for end in (prepend, append):
        end = None if end is None else ops.as_tensor(end)
        if end is not None:
            end = ops.moveaxis(end, axis, -1) if end.ndim else ops.expand(end, (*x.shape[:-1], 1))
        ends.append(end)
    x = ops.cat([part for part in (ends[0], x, ends[1]) if part is not None], -1)
    if n < 0:
        raise ValueError(f"np.diff: n={n}, it must be 0 or more")
    for _ in range(n):
        x = ops.not_equal(x[..., 1:], x[..., :-1]) if x.dtype.kind == "b" else x[..., 1:] - x[..., :-1]
    return ops.moveaxis(x, -1, axis)


def _extremum(kind: str) -> Any:
    return lambda a, axis=None, keepdims=False, initial=MISSING, where=True: reduced(
        kind, a, axis, None, keepdims, initial, where)


answer(
    sum=lambda a, axis=None, dtype=None, keepdims=False, initial=MISSING, where=True: reduced(
        "sum", a, axis, dtype, keepdims, initial, where),
    prod=lambda a, axis=None, dtype=None, keepdims=False, initial=MISSING, where=True: reduced(
        "prod", a, axis, dtype, keepdims, initial, where),
    max=_extremum("max"), amax=_extremum("max"), min=_extremum("min"), amin=_extremum("min"), ptp=_range,
    all=lambda a, axis=None, keepdims=False, where=True: reduced("all", a, axis, None, keepdims, where=where),
    any=lambda a, axis=None, keepdims=False, where=True: reduced("any", a, axis, None, keepdims, where=where),
    mean=_mean, std=_spread("std"), var=_spread("var"), average=_average,
    nansum=lambda a, axis=None, dtype=None, keepdims=False: ops.nansum(*_with(a, axis, keepdims, dtype)),
    nanmean=lambda a, axis=None, dtype=None, keepdims=False: ops.nanmean(*_with(a, axis, keepdims, dtype)),
    median=lambda a, axis=None, keepdims=False: _quantile(a, 0.5, axis, "midpoint", keepdims),
    quantile=_quantile,
    percentile=lambda a, q, axis=None, method="linear", keepdims=False: _quantile(
        a, np.asarray(q) / 100, axis, method, keepdims),
    argmax=lambda a, axis=None, keepdims=False: ops.argmax(a, axis, bool(keepdims)),
    argmin=lambda a, axis=None, keepdims=False: ops.argmin(a, axis, bool(keepdims)),
    count_nonzero=lambda a, axis=None, keepdims=False: ops.count_nonzero(a, axis, keepdims),
    cumsum=lambda a, axis=None, dtype=None: scanned("cumsum", a, axis, dtype),
    cumprod=lambda a, axis=None, dtype=None: scanned("cumprod", a, axis, dtype),
    diff=_difference,
)


def _with(a: Any, axis: Any, keepdims: Any, dtype: Any) -> tuple[Any, Any, bool]:
    """Positional arguments of our reductions."""
    x, options = prepared(a, axis, keepdims, dtype)
    return x, options["axis"], options["keepdims"]
