"""Padding, mirroring and rolling."""

from typing import Any

import numpy as np

from chainrule.arguments import axes_of, one_of
from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError
from chainrule.graph import Op
from chainrule.methods.typed import ops
from chainrule.ops.devices import constant
from chainrule.ops.shapes import shape_of
from chainrule.registry import public
from chainrule.tensor import Tensor

__all__ = ["flip", "pad", "roll"]

_flip = Op("flip", word="linear", input=lambda xp, g, axis: xp.flip(g, axis))
_roll = Op("roll", word="linear", input=lambda xp, g, shift, axis: xp.roll(g, tuple(-s for s in shift), axis))
_pad_constant = Op("pad_constant", input=lambda xp, g, widths: xp.getitem(
    g, index=tuple(slice(before, n - after) for n, (before, after) in zip(g.shape, widths))))


@public
def flip(input: Any, *dims: Any) -> Tensor:
    """The input mirrored along the axes, given as numbers or as one tuple; a copy.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4]]).flip(1)
    tensor([[2, 1],
            [4, 3]])
    """
    input = ops.as_tensor(input)
    return _flip(input, axis=axes_of("flip", shape_of(dims), input) or ())


@public
def roll(input: Any, shifts: Any, dims: Any = None, *, axis: Any = None) -> Tensor:
    """The elements moved on by `shifts` places along the axes `dims` (also `axis`); what is moved beyond the end comes
    in at the start. Without axes the flattened input is rolled.

    Raises ShapeError where shifts and axes differ in number.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2, 3]).roll(1)
    tensor([3, 1, 2])
    """
    input = ops.as_tensor(input)
    given = one_of("roll", dims, axis)
    moved = shape_of((shifts,) if isinstance(shifts, tuple | list) else (shifts,))
    if given is None or given == ():
        if len(moved) != 1:
            raise ShapeError(f"roll: shifts={shifts} need as many axes; pass dims")
        flat = _roll(ops.reshape(input, (-1,)), shift=moved, axis=(0,))
        return ops.reshape(flat, input.shape)
    places = axes_of("roll", given, input) or ()
    if len(moved) != len(places):
        raise ShapeError(f"roll: shifts={shifts} and dims={given} differ in number")
    return _roll(input, shift=moved, axis=places)


def _source(mode: str, n: int, before: int, after: int) -> Any:
    """Which elements of an axis of n stand at the places from -before to n + after."""
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "circular":
        return at % n
    return (n - 1) - np.abs(n - 1 - np.abs(at))  # reflect: mirrored at the first and at the last element


_MOST: dict[str, Any] = {"replicate": lambda n: None if n else 0, "circular": lambda n: n, "reflect": lambda n: n - 1}


@public
def pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Tensor:
    """The input with its last axes made longer: `pad` is (before, after) of the last axis, then of the one before it,
    ….

    `mode`: "constant" fills with `value` (0 unless given); "reflect" mirrors without repeating the edge, "replicate"
    repeats the edge, "circular" takes from the other end. Negative widths cut off. Raises ShapeError for an odd number
    of widths, more than two per axis, or (reflect, circular) widths beyond the axis.

    >>> import chainrule as cr
    >>> cr.pad(cr.tensor([1, 2, 3]), (1, 2))
    tensor([0, 1, 2, 3, 0, 0])
    >>> cr.pad(cr.tensor([1, 2, 3]), (2, 1), mode="reflect")
    tensor([3, 2, 1, 2, 3, 2])
    """
    input = ops.as_tensor(input)
    given = shape_of((pad,) if isinstance(pad, tuple | list) else (pad,))
    if len(given) % 2 or len(given) > 2 * input.ndim:
        raise ShapeError(f"pad: {len(given)} widths for shape {input.shape}: (before, after) for each of the last axes")
    if mode != "constant" and mode not in _MOST:
        raise ValueError(f"pad: mode={mode!r}, it is one of 'constant', 'reflect', 'replicate', 'circular'")
    if mode != "constant" and value:
        raise ValueError(f"pad: mode={mode!r} takes no value")
    pairs = [(0, 0)] * input.ndim
    for i in range(len(given) // 2):
        pairs[-1 - i] = (given[2 * i], given[2 * i + 1])
    if any(min(p) < 0 for p in pairs):
        for axis, (before, after) in enumerate(pairs):
            if input.shape[axis] + min(before, 0) + min(after, 0) < 0:
                raise ShapeError(f"pad: {(before, after)} cuts off more than there is along axis {axis} of "
                                 f"{input.shape}")
        input = ops.getitem(input, tuple(slice(max(-before, 0), n - max(-after, 0))
                                         for n, (before, after) in zip(input.shape, pairs)))
        pairs = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if mode == "constant":
        fill = 0 if value is None else value
        if isinstance(fill, float) and input.dtype.kind not in FLOATING and fill != int(fill):
            raise DtypeError(f"pad: value={fill} does not fit into a {input.dtype} tensor")
        return _pad_constant(input, widths=tuple(pairs), value=fill)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            n = input.shape[axis]
            most = _MOST[mode](n)
            if most is not None and max(before, after) > most:
                raise ShapeError(f"pad: {mode} by {(before, after)} along axis {axis} of shape {input.shape}: at most "
                                 f"{most}")
            input = ops.take(input, constant(_source(mode, n, before, after), input), axis=axis)
    return input if any(map(any, pairs)) else ops.clone(input)
