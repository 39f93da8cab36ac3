"""NumPy's functions of shapes: reshaping, axes, joining, splitting, repeating, padding."""

from typing import Any

import numpy as np

from chainrule.arguments import axes_of, axis_of
from chainrule.errors import ShapeError
from chainrule.names import ops
from chainrule.numpy_protocol.dispatch import answer
from chainrule.ops.joining import cut
from chainrule.tensor import Tensor


def flat(a: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(a, (-1,))


def _transpose(a: Any, axes: Any = None) -> Any:
    return ops.reverse_axes(a) if axes is None else ops.permute_dims(a, axes)


def _squeeze(a: Any, axis: Any = None) -> Any:
    x = ops.as_tensor(a)
    if isinstance(axis, tuple) and not axis:
        return ops.reshape(x, x.shape)
    for i in () if axis is None else axes_of("squeeze", axis, x) or ():
        if x.shape[i] != 1:
            raise ShapeError(f"np.squeeze: axis {i} of shape {x.shape} has size {x.shape[i]}; only axes of size 1 "
                             "can go")
    return ops.squeeze(x, axis)


# ---- together


def _cast(tensors: Any, dtype: Any) -> list[Tensor]:
    """The tensors, in one dtype where one is given."""
    return [ops.as_tensor(x, dtype) for x in tensors]


def _concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    found = _cast(arrays, dtype)
    if axis is None:
        found, axis = [flat(x) for x in found], 0
    ranks = {x.ndim for x in found}
    if len(ranks) > 1:
        raise ShapeError(f"np.concatenate: tensors of shapes {', '.join(str(x.shape) for x in found)}: all "
                         "need as many axes")
    return ops.cat(found, axis)


def _block(how: str) -> Any:
    return lambda tup, dtype=None: getattr(ops, how)(_cast(tup, dtype))


# ---- apart


def _cuts(name: str, x: Tensor, parts: Any, axis: int, even: bool) -> list[Any]:
    """The views between the places that `parts` names, or that many of (nearly) equal size."""
    place = axis_of(name, axis, x)
    if not x.ndim:
        raise ShapeError(f"np.{name}: a 0-d tensor has no axis to be cut")
    n = x.shape[place]
    if np.ndim(parts):
        between = [0, *(int(i) for i in np.asarray(parts)), n]
    else:
        count = int(parts)
        if count < 1 or (even and n % count):
            raise ShapeError(f"np.{name}: axis {place} of shape {x.shape} has {n} elements, which do not make {parts} "
                             "equal parts" + ("; np.array_split cuts into unequal ones" if even else ""))
        between = [0]
        for i in range(count):
            between.append(between[-1] + n // count + (i < n % count))
    return [ops.getitem(x, cut(place, slice(i, j))) for i, j in zip(between, between[1:])]


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return _cuts("split", ops.as_tensor(ary), indices_or_sections, axis, True)


def _split_along(name: str, axis: int) -> Any:
    def function(ary: Any, indices_or_sections: Any) -> Any:
        x = ops.as_tensor(ary)
        if x.ndim <= axis and not (name == "hsplit" and x.ndim == 1):
            raise ShapeError(f"np.{name}: shape {x.shape} has too few axes")
        return _cuts(name, x, indices_or_sections, axis if x.ndim > axis else 0, True)

    return function


# ---- repeated, moved, padded


def _flip(m: Any, axis: Any = None) -> Any:
    x = ops.as_tensor(m)
    return ops.flip(x, tuple(range(x.ndim)) if axis is None else axis)


def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return ops.roll(a, shift)
    shifts, axes = np.broadcast_arrays(np.asarray(shift), np.asarray(axis))
    x = ops.as_tensor(a)
    for s, i in zip(shifts.reshape(-1).tolist(), axes.reshape(-1).tolist()):  # an axis may be named twice
        x = ops.roll(x, s, i)
    return x


def _pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0,
         reflect_type: str = "even") -> Any:
    x = ops.as_tensor(array)
    if isinstance(pad_width, dict) or reflect_type != "even":
        raise TypeError("np.pad: of tensors, pad_width is a number, a pair, or a pair for each axis, and "
                        "reflect_type 'even'")
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if any(n.__index__() < 0 for pair in widths for n in pair):
        raise ShapeError(f"np.pad: pad_width={pad_width}: widths cannot be negative")
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise TypeError(f"np.pad: mode={mode!r} is not offered for tensors; it is one of 'constant', 'edge', "
                        "'reflect', 'symmetric', 'wrap'")
    if mode != "constant" and constant_values is not _pad.__defaults__[1]:  # type: ignore[index]
        raise ValueError(f"np.pad: mode={mode!r} takes no constant_values")
    values = np.broadcast_to(np.asarray(constant_values), (x.ndim, 2)).tolist()
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if mode == "constant":
            behind = (0, 0) * (x.ndim - 1 - axis)
            x = ops.pad(x, (*behind, before, 0), value=values[axis][0])
            x = ops.pad(x, (*behind, 0, after), value=values[axis][1])
        else:  # the padded indices say which element stands where
            source: Any = np.pad
            x = ops.take(x, source(np.arange(x.shape[axis]), (before, after), mode), axis=axis)
    return x if any(map(any, widths)) else ops.clone(x)


def _meshgrid(*xi: Any, copy: bool = True, indexing: str = "xy") -> Any:
    found = ops.meshgrid(*xi, indexing=indexing)
    return tuple(ops.clone(x) for x in found) if copy else found


# ---- new tensors like others


def _like(name: str) -> Any:
    """zeros_like, ones_like and empty_like."""
    function = getattr(ops, name)
    if name == "empty_like":
        return lambda prototype, dtype=None, shape=None: function(prototype, dtype, shape=shape)
    return lambda a, dtype=None, shape=None: function(a, dtype, shape=shape)


answer(
    reshape=lambda a, shape: ops.reshape(a, tuple(shape) if np.ndim(shape) else (shape,)),
    ravel=flat, transpose=_transpose, matrix_transpose=lambda x: ops.matrix_transpose(x),
    linalg_matrix_transpose=lambda x: ops.matrix_transpose(x),
    swapaxes=lambda a, axis1, axis2: ops.swapaxes(a, axis1, axis2),
    moveaxis=lambda a, source, destination: ops.moveaxis(a, source, destination),
    squeeze=_squeeze, expand_dims=lambda a, axis: ops.expand_dims(a, axis),
    broadcast_to=lambda array, shape: ops.broadcast_to(array, tuple(shape) if np.ndim(shape) else (shape,)),
    broadcast_arrays=lambda *args: ops.broadcast_tensors(*args),
    atleast_1d=lambda *arys: ops.atleast_1d(*arys), atleast_2d=lambda *arys: ops.atleast_2d(*arys),
    atleast_3d=lambda *arys: ops.atleast_3d(*arys),
    concatenate=_concatenate, stack=lambda arrays, axis=0, dtype=None: ops.stack(_cast(arrays, dtype), axis),
    hstack=_block("hstack"), vstack=_block("vstack"), dstack=lambda tup: ops.dstack(tup),
    column_stack=lambda tup: ops.column_stack(tup),
    append=lambda arr, values, axis=None: _concatenate((arr, values), axis),
    split=_split, array_split=lambda ary, indices_or_sections, axis=0: _cuts(
        "array_split", ops.as_tensor(ary), indices_or_sections, axis, False),
    hsplit=_split_along("hsplit", 1), vsplit=_split_along("vsplit", 0), dsplit=_split_along("dsplit", 2),
    unstack=lambda x, axis=0: ops.unbind(x, axis),
    tile=lambda A, reps: ops.tile(A, tuple(reps) if np.ndim(reps) else (reps,)),
    repeat=lambda a, repeats, axis=None: ops.repeat_interleave(a, repeats, axis),
    flip=_flip, fliplr=lambda m: ops.flip(m, 1), flipud=lambda m: ops.flip(m, 0), roll=_roll,
    pad=_pad, meshgrid=_meshgrid,
    zeros_like=_like("zeros_like"), ones_like=_like("ones_like"), empty_like=_like("empty_like"),
    full_like=lambda a, fill_value, dtype=None, shape=None: ops.full_like(a, fill_value, dtype, shape=shape),
    copy=lambda a: ops.clone(a),
    astype=lambda x, dtype, copy=True: ops.to(x, dtype=dtype, copy=copy),
    shape=lambda a: a.shape, ndim=lambda a: a.ndim,
    size=lambda a, axis=None: int(np.size(a._data, axis)),
)
