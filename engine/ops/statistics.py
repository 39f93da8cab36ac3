"""Statistics of elements: variances, standard deviations, norms, quantiles. Axes are as in reductions.py."""

import math
from typing import Any

import numpy as np

from chainrule.arguments import axis_of, one_of
from chainrule.dtypes import REAL
from chainrule.errors import DtypeError, ShapeError
from chainrule.graph import Op, table
from chainrule.names import ops
from chainrule.ops.devices import constant
from chainrule.ops.products import count
from chainrule.ops.reductions import arguments, evenly, kept
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["nanmean", "norm", "quantile", "std", "std_mean", "var", "var_mean", "vector_norm"]

# ---- variance

def _deviation(xp: Any, g: Any, input: Any, axis: Any, keepdims: bool, correction: Any) -> Any:
    """d(Σ (x - mean)² / (n - correction))/dx = 2 (x - mean) / (n - correction): that of the mean cancels."""
    freedom = count(input.shape, axis) - correction
    g = kept(xp, g, input.shape, axis, keepdims)
    return (2 / freedom if freedom > 0 else math.nan) * g * (input - xp.mean(input, axis=axis, keepdims=True))


def _half_over(xp: Any, g: Any, out: Any) -> Any:
    """g / (2 out), and 0 where out is 0."""
    return xp.where(out == 0, xp.zeros_like(g), g) / (2 * xp.where(out == 0, xp.ones_like(out), out))


_mean = table["mean"]
_var = Op("var", floats=True, input=_deviation)
_std = Op("std", floats=True, input=lambda xp, g, input, out, axis, keepdims, correction:
          _deviation(xp, _half_over(xp, g, out), input, axis, keepdims, correction))


def _spread_arguments(op: str, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any, axis: Any,
                      keepdims: bool) -> Any:
    """The arguments of var and std, where torch's older `unbiased` is another word for correction=1."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    input, options = arguments(op, input, dim, axis, keepdim, keepdims)
    return input, {**options, "correction": correction}


@public
def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1,
        axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance: Σ (input - mean)² / (count - correction). `unbiased=False` is correction=0.

    NaN where count - correction is 0 or less, as for a single element.

    >>> import chainrule as cr
    >>> cr.var(cr.tensor([1.0, 2.0, 3.0])), cr.var(cr.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(1.))
    """
    input, options = _spread_arguments("var", input, dim, unbiased, keepdim, correction, axis, keepdims)
    return _var(input, **options)


@public
def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1,
        axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation: the square root of `var`. Where it is 0, so is its derivative.

    >>> import chainrule as cr
    >>> cr.std(cr.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    input, options = _spread_arguments("std", input, dim, unbiased, keepdim, correction, axis, keepdims)
    return _std(input, **options)


@public
def var_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1,
             axis: Any = None, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The variance and the mean.

    >>> import chainrule as cr
    >>> cr.var_mean(cr.tensor([1.0, 3.0]))
    (tensor(2.), tensor(2.))
    """
    input, options = _spread_arguments("var_mean", input, dim, unbiased, keepdim, correction, axis, keepdims)
    return _var(input, **options), _mean(input, axis=options["axis"], keepdims=options["keepdims"])


@public
def std_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1,
             axis: Any = None, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean.

    >>> import chainrule as cr
    >>> cr.std_mean(cr.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    input, options = _spread_arguments("std_mean", input, dim, unbiased, keepdim, correction, axis, keepdims)
    return _std(input, **options), _mean(input, axis=options["axis"], keepdims=options["keepdims"])


# ---- norms

def _slope_of_norm(xp: Any, g: Any, input: Any, out: Any, p: float, axis: Any, keepdims: bool) -> Any:
    """sign(x) |x|**(p-1) / out**(p-1): 0 where out is 0, and for p < 2 where x is 0."""
    if p == 0:
        return xp.zeros_like(input)
    g, out = (kept(xp, v, input.shape, axis, keepdims) for v in (g, out))
    if p == 1:
        return g * xp.sign(input)
    if math.isinf(p):
        return evenly(xp, g, xp.abs(input), out, axis, True) * xp.sign(input)
    g, out = xp.where(out == 0, xp.zeros_like(g), g), xp.where(out == 0, xp.ones_like(out), out)
    if p == 2:
        return g * (input / out)
    size = xp.abs(input)
    size = xp.where(size == 0, xp.ones_like(size), size)  # its sign is 0 there
    return g * (xp.sign(input) * (size / out) ** (p - 1))


_vector_norm = Op("vector_norm", floats=True, input=_slope_of_norm)


@public
def vector_norm(input: Any, ord: float = 2.0, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
                keepdims: bool = False, dtype: Any = None) -> Tensor:
    """(Σ |input|**ord)**(1/ord); the number of nonzero elements for ord=0, the largest or smallest |input| for ±inf.

    The derivative is 0 where the norm is; at ties of ±inf it is shared evenly. Raises ShapeError for the largest of no
    elements.

    >>> import chainrule as cr
    >>> cr.vector_norm(cr.tensor([3.0, -4.0])), cr.vector_norm(cr.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    input, options = arguments("vector_norm", input, dim, axis, keepdim, keepdims, dtype)
    return _vector_norm(input, p=float(ord), **options)


@public
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, axis: Any = None,
         keepdims: bool = False,
         dtype: Any = None) -> Tensor:
    """(Σ |input|**p)**(1/p), of all elements taken as one vector, or along `dim`. "fro" is 2; p=inf is the largest
    |input|, -inf the smallest, 0 the number of those that are not 0. Where the norm is 0, its derivative is 0.

    Raises DtypeError for integers and ValueError for "nuc" and other words.

    >>> import chainrule as cr
    >>> cr.norm(cr.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p={p!r} is not a norm of vectors; see chainrule.linalg for those of matrices")
    input = ops.as_tensor(input)
    if input.dtype.kind in "biu" and dtype is None:
        raise DtypeError(f"norm: the input is {input.dtype}, a norm needs floating-point elements; use .float()")
    return vector_norm(input, 2.0 if p == "fro" or p is None else p, dim, keepdim, axis=axis, keepdims=keepdims,
                       dtype=dtype)


@public
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
            dtype: Any = None) -> Tensor:
    """The mean of the elements that are not NaN; NaN where there are none.

    >>> import chainrule as cr
    >>> cr.nanmean(cr.tensor([1.0, 3.0, float("nan")]))
    tensor(2.)
    """
    input, options = arguments("nanmean", input, dim, axis, keepdim, keepdims, dtype)
    number = table["sum"](ops.logical_not(ops.isnan(input)), **options)
    total = ops.nansum(input, dim, keepdim, axis=axis, keepdims=keepdims, dtype=dtype)
    found: Tensor = ops.where(number == 0, math.nan, total / ops.clamp(number, min=1))
    return found


MODES = ("linear", "lower", "higher", "midpoint", "nearest")


@public
def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
             axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The q-quantile: the value at position q (n - 1) of the n sorted elements, interpolated between neighbours.

    `q` is a number in [0, 1] or a 1-D sequence of them, which then are the first axis of the result. `interpolation`:
    "linear", "lower", "higher", "midpoint" or "nearest". NaN where an element is NaN. Raises ValueError for q outside
    [0, 1], ShapeError for no elements.

    >>> import chainrule as cr
    >>> cr.quantile(cr.tensor([1.0, 2.0, 4.0]), 0.75)
    tensor(3.)
    """
    dim = one_of("quantile", dim, axis)
    x = ops.as_tensor(input)
    axes = tuple(range(x.ndim)) if dim is None else (axis_of("quantile", dim, x),) if x.ndim else ()
    places: Any = np.asarray(q.cpu().data if isinstance(q, Tensor) else q, np.float64)  # as exact as they were given
    if interpolation not in MODES:
        raise ValueError(f"quantile: interpolation={interpolation!r}; it is one of {', '.join(MODES)}")
    if places.ndim > 1 or not ((places >= 0) & (places <= 1)).all():
        raise ValueError(f"quantile: q must be a number in [0, 1], or a 1-D sequence of them, got {q!r:.60}")
    size = count(x.shape, axes)
    if not size:
        raise ShapeError(f"quantile: no elements along axis {dim} of shape {x.shape}")
    others = tuple(a for a in range(x.ndim) if a not in axes)
    rest = tuple(x.shape[a] for a in others)
    ordered = ops.sort(ops.reshape(ops.permute_dims(x, (*axes, *others)), (size, *rest)), 0).values
    exact = places * (size - 1)
    low = np.floor(exact).astype(np.int64)
    weight = {"linear": exact - low, "lower": 0 * exact, "higher": np.ceil(exact) - low,
              "midpoint": (np.ceil(exact) - low) / 2,
              "nearest": np.round(exact) - low}[interpolation]
    dtype = x.dtype if x.dtype.kind in REAL else np.float64
    weight = constant(weight.reshape(places.shape + (1,) * len(rest)).astype(dtype), x)
    found: Tensor = ops.lerp(ordered[low], ordered[np.ceil(exact).astype(np.int64)], weight)  # (q, ...)
    found = ops.where(ops.isnan(ordered[-1]), math.nan, found)  # NaN sorts last
    if keepdim or keepdims:
        found = ops.reshape(found, places.shape + tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return found
