"""Reductions: sums, means, products, and sums of exponentials.

All take `dim` (also `axis`), one axis or several, None for all; reduced axes disappear, or stay with size 1 where
`keepdim` (also `keepdims`). An axis that is not there raises IndexError.
"""

from typing import Any

from chainrule.arguments import axes_of, axis_of, one_of
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.ops.products import count
from chainrule.ops.products import prod as by_halves
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["all", "any", "count_nonzero", "log_softmax", "logsumexp", "mean", "nansum", "prod", "softmax", "sum"]


def spread(xp: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Repeat g along the reduced axes, back to `shape`: the adjoint of a sum."""
    return xp.broadcast_to(kept(xp, g, shape, axis, keepdims), shape)


def kept(xp: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """g, a reduction of something of this shape, with its reduced axes as axes of size 1."""
    if axis is None:
        return xp.reshape(g, (1,) * len(shape))
    return g if keepdims else xp.reshape(g, tuple(1 if i in axis else n for i, n in enumerate(shape)))


def evenly(xp: Any, g: Any, input: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    """g divided among the elements that equal the result: how a maximum shares its gradient at a tie. A result of NaN
    came from the elements that are NaN."""
    g, out = (kept(xp, v, input.shape, axis, keepdims) for v in (g, out))
    hits = xp.astype((input == out) | (xp.isnan(input) & xp.isnan(out)), input.dtype)
    return hits * (g / xp.sum(hits, axis=axis, keepdims=True))


def arguments(op: str, input: Any, dim: Any, axis: Any, keepdim: bool, keepdims: bool, dtype: Any = None) -> Any:
    """What every reduction takes, normalised: the input as a tensor, and `axis` and `keepdims` for the row."""
    if not isinstance(input, Tensor):
        input = ops.as_tensor(input)
    if dtype is not None:
        input = input.to(dtype)
    if dim is not None or axis is not None:
        axis = axes_of(op, one_of(op, dim, axis), input)
    return input, {"axis": axis, "keepdims": keepdim or keepdims}


# ---- sums and means

_sum = Op("sum", word="linear",
          input=lambda xp, g, input_shape, axis, keepdims: spread(xp, g, input_shape, axis, keepdims))
_mean = Op("mean", word="linear", floats=True, input=lambda xp, g, input_shape, axis, keepdims:
           spread(xp, g / (count(input_shape, axis) or 1), input_shape, axis, keepdims))


@public
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
        dtype: Any = None) -> Tensor:
    """The sum of the elements: out = Σ input, computed in `dtype` if given. Bools and integers sum to int64.

    >>> import chainrule as cr
    >>> cr.sum(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([3., 7.])
    """
    input, options = arguments("sum", input, dim, axis, keepdim, keepdims, dtype)
    return _sum(input, **options)


@public
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
         dtype: Any = None) -> Tensor:
    """The mean of the elements: Σ input / count; NaN for no elements. Integers and bools become the default float.

    >>> import chainrule as cr
    >>> cr.mean(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([2., 3.])
    """
    input, options = arguments("mean", input, dim, axis, keepdim, keepdims, dtype)
    return _mean(input, **options)


@public
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
           dtype: Any = None) -> Tensor:
    """The sum of the elements that are not NaN; the derivative by a NaN is 0.

    >>> import chainrule as cr
    >>> cr.nansum(cr.tensor([1.0, float("nan")]))
    tensor(1.)
    """
    input, options = arguments("nansum", input, dim, axis, keepdim, keepdims, dtype)
    return _sum(input if input.dtype.kind in "biu" else ops.where(ops.isnan(input), 0, input), **options)


# ---- products

@public
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False,
         dtype: Any = None) -> Tensor:
    """The product of the elements: Π input, 1 for none. Bools and integers multiply in int64.

    Derivatives are exact at zeros.

    >>> import chainrule as cr
    >>> x = cr.tensor([2.0, 0.0, 4.0], requires_grad=True)
    >>> cr.prod(x).backward(); x.grad
    tensor([0., 8., 0.])
    """
    input, options = arguments("prod", input, dim, axis, keepdim, keepdims, dtype)
    found: Tensor = by_halves(input.to("int64") if input.dtype.kind in "biu" else input, **options)
    return found


# ---- sums of exponentials

def _weights(xp: Any, input: Any, out: Any) -> Any:
    """exp(input - out): each element's share; 0 where all are -inf."""
    nothing = xp.isneginf(out)
    return xp.exp(input - xp.where(nothing, xp.zeros_like(out), out))


_logsumexp = Op("logsumexp", floats=True, input=lambda xp, g, input, out, axis, keepdims:
                kept(xp, g, input.shape, axis, keepdims)
                * _weights(xp, input, kept(xp, out, input.shape, axis, keepdims)))
_softmax = Op("softmax", floats=True,
              input=lambda xp, g, out, axis: out * (g - xp.sum(g * out, axis=axis, keepdims=True)))
_log_softmax = Op("log_softmax", floats=True,
                  input=lambda xp, g, out, axis: g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True))


@public
def logsumexp(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
              keepdims: bool = False) -> Tensor:
    """log(Σ exp(input)) without overflow; -inf for no elements, and where all are -inf (there the derivative is 0).

    >>> import chainrule as cr
    >>> cr.logsumexp(cr.tensor([100.0, 100.0]), 0)
    tensor(100.6931)
    """
    input, options = arguments("logsumexp", input, dim, axis, keepdim, keepdims)
    return _logsumexp(input, **options)


def _one_axis(op: str, input: Any, dim: Any, axis: Any, dtype: Any) -> tuple[Tensor, int]:
    """The input and the one axis that must be named."""
    dim = one_of(op, dim, axis)
    if dim is None:
        raise TypeError(f"{op}: pass dim, the axis along which the elements compete, for example dim=-1")
    input = ops.as_tensor(input) if dtype is None else ops.as_tensor(input).to(dtype)
    return input, axis_of(op, dim, input)


@public
def softmax(input: Any, dim: int | None = None, dtype: Any = None, *, axis: int | None = None) -> Tensor:
    """exp(input) / Σ exp(input) along `dim`: positive, with sum 1. NaN where all are -inf.

    Raises TypeError without `dim`.

    >>> import chainrule as cr
    >>> cr.softmax(cr.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    input, dim = _one_axis("softmax", input, dim, axis, dtype)
    return _softmax(input, axis=dim) if input.ndim else softmax(ops.reshape(input, (1,)), 0).reshape(())


@public
def log_softmax(input: Any, dim: int | None = None, dtype: Any = None, *, axis: int | None = None) -> Tensor:
    """log(softmax(input)) along `dim`: input - logsumexp(input), exact where softmax is near 0.

    >>> import chainrule as cr
    >>> cr.log_softmax(cr.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    input, dim = _one_axis("log_softmax", input, dim, axis, dtype)
    return _log_softmax(input, axis=dim) if input.ndim else log_softmax(ops.reshape(input, (1,)), 0).reshape(())


# ---- counting, not recorded

_any = Op("any", input=None)
_all = Op("all", input=None)
_count_nonzero = Op("count_nonzero", input=None)


@public
def any(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether an element is nonzero; False for none.

    >>> import chainrule as cr
    >>> cr.any(cr.tensor([False, True]))
    tensor(True)
    """
    input, options = arguments("any", input, dim, axis, keepdim, keepdims)
    return _any(input, **options)


@public
def all(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are nonzero; True for none.

    >>> import chainrule as cr
    >>> cr.all(cr.tensor([False, True]))
    tensor(False)
    """
    input, options = arguments("all", input, dim, axis, keepdim, keepdims)
    return _all(input, **options)


@public
def count_nonzero(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
                  keepdims: bool = False) -> Tensor:
    """How many elements are nonzero, int64.

    >>> import chainrule as cr
    >>> cr.count_nonzero(cr.tensor([0, 3, 4]))
    tensor(2)
    """
    input, options = arguments("count_nonzero", input, dim, axis, keepdim, keepdims)
    return _count_nonzero(input, **options)
