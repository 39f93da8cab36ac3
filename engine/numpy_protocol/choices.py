"""NumPy's functions that choose, order, compare and describe elements."""

from typing import Any

import numpy as np

from chainrule.arguments import axis_of
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.numpy_protocol.dispatch import FUNCTIONS, answer, numpy_named
from chainrule.numpy_protocol.shapes import flat
from chainrule.ops.joining import cut
from chainrule.tensor import Tensor


def raw(value: Any) -> Any:
    """The arrays in the place of tensors, also in lists."""
    if isinstance(value, list | tuple):
        return type(value)(raw(v) for v in value)
    return value.data if isinstance(value, Tensor) else value


def truth(condition: Any) -> Any:
    """A condition as bools: NumPy takes what is not 0 for true."""
    found = ops.as_tensor(condition)
    return found if found.dtype.kind == "b" else ops.not_equal(found, 0)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if (x is None) != (y is None):
        raise ValueError("np.where: pass both x and y, or neither")
    return _nonzero(condition) if x is None else ops.where(truth(condition), x, y)


def _nonzero(a: Any) -> Any:
    x = ops.as_tensor(a)
    if not x.ndim:
        raise ShapeError("np.nonzero: a 0-d tensor has no positions; use np.atleast_1d")
    return ops.nonzero(x, as_tuple=True)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ValueError("np.clip: a_min and min (a_max and max) mean the same; pass one")
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    return ops.clone(a) if low is None and high is None else ops.clip(a, low, high)


# ---- order


def _sort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    return ops.sort(flat(a), 0).values if axis is None else ops.sort(a, axis).values


def _argsort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    return ops.argsort(flat(a), 0) if axis is None else ops.argsort(a, axis)


def _unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
            axis: Any = None, equal_nan: bool = True, sorted: bool = True) -> Any:
    """The values are taken from the first place where each occurs, and so recorded."""
    x = ops.as_tensor(ar)
    find: Any = np.unique
    found = find(x.data, return_index=True, return_inverse=return_inverse, return_counts=return_counts, axis=axis,
                 equal_nan=equal_nan)
    values = flat(x)[found[1]] if axis is None else ops.getitem(x, cut(axis_of("unique", axis, x), found[1]))
    others = tuple(Tensor(part) for part in (found[1:] if return_index else found[2:]))
    return (values, *others) if others else values


# ---- picked


def _take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    x = ops.as_tensor(a)
    if axis is None:
        x, axis = flat(x), 0
    place, index = axis_of("take", axis, x), np.asarray(raw(indices))
    n = x.shape[place] if x.ndim else 1
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"np.take: mode={mode!r}; it is 'raise', 'wrap' or 'clip'")
    if mode != "raise":
        index = index % n if mode == "wrap" else np.clip(index, 0, n - 1)
    elif index.dtype.kind not in "iu" and not index.size:
        index = index.astype(np.int64)
    return ops.getitem(ops.atleast_1d(x), cut(place, index))


def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, index = ops.as_tensor(arr), np.asarray(raw(indices))
    n = x.numel() if axis is None else x.shape[axis_of("take_along_axis", axis, x)]
    return ops.take_along_dim(x, np.where(index < 0, index + n, index), axis)


def _compress(condition: Any, a: Any, axis: Any = None) -> Any:
    return _take(a, np.nonzero(np.asarray(raw(condition)).reshape(-1))[0], axis)


# ---- compared


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    return bool(np.array_equal(raw(ops.as_tensor(a1)), raw(ops.as_tensor(a2)), equal_nan))


def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    return ops.isclose(a, b, float(rtol), float(atol), equal_nan)


def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """Into a tensor, recorded; into an array as `np.positive(src, out=array)`, which refuses a recorded source."""
    src = ops.as_tensor(src)
    copy: Any = np.positive if src.dtype.kind != "b" else lambda x, **options: np.logical_or(x, False, **options)
    copy(src, out=dst, casting=casting, where=where)


answer(
    where=_where, nonzero=_nonzero, argwhere=lambda a: ops.nonzero(a),
    flatnonzero=lambda a: ops.nonzero(flat(a)).reshape(-1),
    clip=_clip, sort=_sort, argsort=_argsort, unique=_unique, take=_take, take_along_axis=_take_along_axis,
    compress=_compress, isclose=_isclose,
    allclose=lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: bool(
        _isclose(a, b, rtol, atol, equal_nan).data.all()),
    array_equal=_array_equal,
    array_equiv=lambda a1, a2: bool(np.array_equiv(raw(ops.as_tensor(a1)), raw(ops.as_tensor(a2)))),
    nan_to_num=lambda x, nan=0.0, posinf=None, neginf=None: ops.nan_to_num(x, nan, posinf, neginf),
    round=lambda a, decimals=0: ops.round(a, decimals), around=lambda a, decimals=0: ops.round(a, decimals),
    sinc=lambda x: ops.sinc(x), isposinf=lambda x: ops.isposinf(x),
    isneginf=lambda x: ops.isneginf(x),
    # tensors are real: complex numbers serve the complex step alone
    real=lambda val: ops.identity(val), real_if_close=lambda a: ops.identity(a), imag=lambda val: ops.zeros_like(val),
    isreal=lambda x: ops.ones_like(x, np.bool_), iscomplex=lambda x: ops.zeros_like(x, np.bool_),
    copyto=_copyto,
)


# ---- what describes an array, prints it or writes it to a file, and has no gradient: NumPy's own answer on the data

ON_THE_DATA = """array_repr array_str array2string result_type can_cast min_scalar_type common_type iscomplexobj
isrealobj may_share_memory shares_memory save savez savez_compressed savetxt""".split()


def _on_the_data(function: Any) -> Any:
    return lambda *args, **options: function(*raw(args), **{name: raw(value) for name, value in options.items()})


def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return bool(np.can_cast(from_.dtype if isinstance(from_, Tensor) else from_, raw(to), casting))


for _name in ON_THE_DATA:
    FUNCTIONS[numpy_named(_name)] = _on_the_data(numpy_named(_name))
answer(can_cast=_can_cast)
