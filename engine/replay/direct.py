"""Kernel calls written out as NumPy calls that put their result where they are told.

A note of a kernel becomes a few `Step`s with the result's array among their arguments, of the same bits as the kernel's. What has
no row here is called as it is; a kernel that gets its arrays from `kernels.cpu.memory` gets planned ones all the same.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from chainrule.kernels import reference
from chainrule.replay.notes import Note, Slot, cast, copied


class Seen(NamedTuple):
    """An argument: a slot's array transposed, or its bytes seen as numbers of another dtype."""

    slot: Slot
    as_dtype: str = ""  # the name of NumPy's dtype; "" for the transpose


class Step(NamedTuple):
    """A call: arguments are slots, their transposes, and plain values."""

    function: Any
    args: tuple[Any, ...]
    options: dict[str, Any] = {}


BRANCHING = 4096  # elements above which np.where is quicker than copying under a mask, element by element
ADD_REDUCE = np.add.reduce
WIDE = (np.dtype(np.float32), np.dtype(np.float64))  # the dtypes in which sums accumulate as they are


def _sum(out: Slot, x: Slot, *, axis: Any = None, keepdims: bool = False) -> list[Step] | None:
    if x.array.dtype not in WIDE:
        return None
    return [Step(ADD_REDUCE, (x, axis, None, out, keepdims))]


def _mean(out: Slot, x: Slot, *, axis: Any = None, keepdims: bool = False) -> list[Step] | None:
    total, count = _sum(out, x, axis=axis, keepdims=keepdims), x.array.size // max(out.array.size, 1)
    return None if total is None or not count else [*total, Step(np.true_divide, (out, weak(count, out.array.dtype)), {"out": out})]


def _cast(out: Slot, x: Slot, dtype: Any = None) -> list[Step] | None:
    return [Step(np.copyto, (out, x, "unsafe"))]


def _copied(out: Slot, x: Slot) -> list[Step] | None:
    return [Step(np.copyto, (out, x))]


def _where(out: Slot, condition: Any, a: Any, b: Any) -> list[Step] | None:
    slots = [v for v in (a, b) if isinstance(v, Slot)]
    if not slots or any(v.array.dtype != out.array.dtype for v in slots):
        return None
    if not isinstance(condition, Slot) or condition.array.dtype != np.bool_:
        return None
    if out.array.size <= BRANCHING:
        return [Step(np.copyto, (out, b)), Step(np.copyto, (out, a, "same_kind", condition))]
    arrays = (condition.array, slots[-1].array, out.array)
    if not (str(a) == "0" and isinstance(b, Slot) and out.array.dtype in WIDE
            and all(x.flags.c_contiguous and x.shape == out.array.shape for x in arrays)):
        return None
    # 0 or the element: without branches, by the bits. condition - 1 is 0 or all ones, as an integer as wide as the element
    bits = f"int{8 * out.array.itemsize}"
    keep = Step(np.subtract, (Seen(condition, "int8"), np.int8(1)), {"out": Seen(out, bits), "dtype": bits})
    return [keep, Step(np.bitwise_and, (Seen(b, bits), Seen(out, bits)), {"out": Seen(out, bits)})]


def _relu(out: Slot, x: Slot) -> list[Step] | None:
    return [Step(np.maximum, (x, weak(0, x.array.dtype)), {"out": out})]


def weak(value: Any, dtype: Any) -> Any:
    """A Python number beside an array of this dtype: as an array, which NumPy takes more quickly than a number."""
    if value.__class__ not in (int, float) or dtype not in WIDE or abs(value) > 2**24 and value.__class__ is int:
        return value
    return _numbers.setdefault((value, str(value), dtype), np.asarray(value, dtype))


_numbers: dict[Any, Any] = {}


# ---- compiled kernels, where they leave small arrays to NumPy: the calls that they make then


def _small(module: Any, x: Slot, weight: Slot) -> bool:
    a, b = x.array, weight.array
    return bool(a.ndim == 2 and a.size * b.shape[0] < module.SMALLEST and a.dtype == b.dtype)


def _linear(module: Any, outs: dict[Any, Slot], x: Slot, weight: Slot, bias: Slot | None) -> list[Step] | None:
    if not _small(module, x, weight):
        return None
    out = outs[()]
    found = [Step(np.matmul, (x, Seen(weight)), {"out": out})]
    return found if bias is None else [*found, Step(np.add, (out, bias), {"out": out})]


def _linear_grad(module: Any, outs: dict[Any, Slot], g: Slot, x: Slot, weight: Slot, bias: Slot | None,
                 wanted: Any) -> list[Step] | None:
    if not _small(module, x, weight):
        return None
    found = []
    if (0,) in outs:
        found.append(Step(np.matmul, (g, weight), {"out": outs[(0,)]}))
    if (1,) in outs:
        found.append(Step(np.matmul, (Seen(g), x), {"out": outs[(1,)]}))
    if (2,) in outs:
        found.append(Step(ADD_REDUCE, (g, 0, None, outs[(2,)])))
    return found


def _below(size: str, row: Any) -> Any:
    """A row for a kernel that leaves arrays of fewer elements than its module's `size` to NumPy."""
    def found(module: Any, outs: dict[Any, Slot], x: Slot, *rest: Any, **static: Any) -> list[Step] | None:
        return row(outs[()], x, *rest, **static) if x.array.size < getattr(module, size) else None

    return found


def _ufunc(function: Any) -> Any:
    return lambda out, x: [Step(function, (x,), {"out": out})]


def _matmul(module: Any, outs: dict[Any, Slot], a: Slot, b: Slot) -> list[Step] | None:
    one, two = a.array, b.array
    if min(one.ndim, two.ndim) >= 2 and max(one.size * two.shape[-1], two.size * one.shape[-2]) >= module.SMALLEST:
        return None
    return [Step(np.matmul, (a, b), {"out": outs[()]})]


COMPILED: dict[Any, Any] = {  # by module and name, so that none is imported for being looked up
    ("chainrule.kernels.cpu.activations", "relu"): _below("STRAIGHT", _relu),
    ("chainrule.kernels.cpu.elementwise", "exp"): _below("QUICK", _ufunc(np.exp)),
    ("chainrule.kernels.cpu.elementwise", "tanh"): _below("CURVED", _ufunc(np.tanh)),
    ("chainrule.kernels.cpu.reductions", "sum"): _below("SHARED", _sum),
    ("chainrule.kernels.cpu.reductions", "mean"): _below("SHARED", _mean),
    ("chainrule.kernels.cpu.matmul", "matmul"): _matmul,
    ("chainrule.kernels.cpu.linear", "linear"): _linear,
    ("chainrule.kernels.cpu.linear", "linear_grad"): _linear_grad,
}


ROWS: dict[Any, Any] = {
    reference.sum: _sum,
    reference.mean: _mean,
    cast: _cast,
    copied: _copied,
    np.where: _where,
    reference.relu: _relu,
}


def steps(note: Note) -> list[Step] | None:
    """The note's kernel as steps that fill the slots of its results; None where there is no row for it."""
    function = note.function
    key = str(getattr(function, "__module__", "")), getattr(function, "__name__", "")
    if note.asked or key in COMPILED:
        row = None if note.asked else COMPILED[key]
        outs = dict(zip(note.paths, note.outs, strict=True))
        return None if row is None else row(sys.modules[key[0]], outs, *note.args, **note.static)
    if len(note.outs) != 1 or note.paths != [()]:
        return None
    out = note.outs[0]
    if isinstance(function, np.ufunc):
        if note.static or function.nout != 1 or len(note.args) != function.nin:
            return None
        if function is np.negative and any(a.array.strides != out.array.strides for a in note.slots()):
            return None  # with gaps in both NumPy's loop reads other elements (2.4, float32 with AVX-512)
        dtypes = {a.array.dtype for a in note.args if isinstance(a, Slot)}
        args = tuple(a if isinstance(a, Slot) or len(dtypes) > 1 else weak(a, *dtypes) for a in note.args)
        return [Step(function, args, {"out": out})]
    row = ROWS.get(function) if getattr(function, "__hash__", None) else None
    found: list[Step] | None = None if row is None else row(out, *note.args, **note.static)
    return found


def overwritable(note: Note) -> list[Slot]:
    """The arguments that the kernel may write its result over: it goes element by element."""
    if note.function is np.where:
        return [a for a in note.args[2:] if isinstance(a, Slot) and a.array.size <= BRANCHING]
    elementwise = isinstance(note.function, np.ufunc) and note.function.signature is None
    if elementwise or getattr(note.function, "__name__", "") in ("relu", "exp", "tanh"):
        return [a for a in note.args if isinstance(a, Slot)]
    return []
