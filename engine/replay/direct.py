"""Kernel calls written out as NumPy calls that put their result where they are told.

A note of a kernel becomes a few `Step`s with the result's array among their arguments, of the same bits as the kernel's. What has
no row here is called as it is; a kernel that gets its arrays from `kernels.cpu.memory` gets planned ones all the same.
"""

from typing import Any, NamedTuple

import numpy as np

from chainrule.kernels import reference
from chainrule.replay.notes import Note, Slot
from chainrule.replay.recording import cast, copied


class Step(NamedTuple):
    """A call: arguments are slots and plain values."""

    function: Any
    args: tuple[Any, ...]
    options: dict[str, Any] = {}


WIDE = (np.dtype(np.float32), np.dtype(np.float64))  # the dtypes in which sums accumulate as they are


def _sum(out: Slot, x: Slot, *, axis: Any = None, keepdims: bool = False) -> list[Step] | None:
    if x.array.dtype not in WIDE:
        return None
    return [Step(np.add.reduce, (x, axis, None, out, keepdims))]


def _mean(out: Slot, x: Slot, *, axis: Any = None, keepdims: bool = False) -> list[Step] | None:
    total, count = _sum(out, x, axis=axis, keepdims=keepdims), x.array.size // max(out.array.size, 1)
    return None if total is None or not count else [*total, Step(np.true_divide, (out, count), {"out": out})]


def _cast(out: Slot, x: Slot, dtype: Any = None) -> list[Step] | None:
    return [Step(np.copyto, (out, x, "unsafe"))]


def _copied(out: Slot, x: Slot) -> list[Step] | None:
    return [Step(np.copyto, (out, x))]


def _where(out: Slot, condition: Any, a: Any, b: Any) -> list[Step] | None:
    for value in (a, b):
        if isinstance(value, Slot) and value.array.dtype != out.array.dtype:
            return None
    if not isinstance(condition, Slot) or condition.array.dtype != np.bool_ or not (isinstance(a, Slot) or isinstance(b, Slot)):
        return None
    return [Step(np.copyto, (out, b)), Step(np.copyto, (out, a, "same_kind", condition))]


def _relu(out: Slot, x: Slot) -> list[Step] | None:
    return [Step(np.maximum, (x, 0), {"out": out})]


ROWS: dict[Any, Any] = {
    reference.sum: _sum,
    reference.mean: _mean,
    cast: _cast,
    copied: _copied,
    np.where: _where,
    reference.relu: _relu,
}


def steps(note: Note) -> list[Step] | None:
    """The note's kernel as steps, its only result's slot being their last array; None where there is no row for it."""
    if len(note.outs) != 1 or note.paths != [()] or note.asked:
        return None
    out, function = note.outs[0], note.function
    if isinstance(function, np.ufunc):
        if note.static or function.nout != 1 or len(note.args) != function.nin:
            return None
        return [Step(function, tuple(note.args), {"out": out})]
    row = ROWS.get(function) if getattr(function, "__hash__", None) else None
    found: list[Step] | None = None if row is None else row(out, *note.args, **note.static)
    return found


def in_place(note: Note) -> bool:
    """Whether the kernel may write its result over one of its arguments: it goes element by element."""
    return isinstance(note.function, np.ufunc) and note.function.signature is None
