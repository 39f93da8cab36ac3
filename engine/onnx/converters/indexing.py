"""Reading by index: slices, numbers, index arrays; along an axis and everywhere."""

from typing import Any

import numpy as np

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.sizes import Array, Size
from chainrule.onnx.table import Traced, converter

LAST = np.iinfo(np.int64).max


def is_array(part: Any) -> bool:
    """An index array, constant or computed."""
    return isinstance(part, np.ndarray | Traced | Array)


def listed(index: Any, rank: int) -> list[Any]:
    """An index as a list with an entry for each axis of the input, None for new axes between them."""
    parts = [np.asarray(p) if isinstance(p, list) else p for p in (index if isinstance(index, tuple) else (index,))]
    if any(isinstance(p, bool) or getattr(p, "shape", None) == () for p in parts):
        raise Unsupported("True or False as an index")
    used = 0
    for p in parts:
        mask = is_array(p) and not isinstance(p, Array) and p.dtype == np.bool_
        used += 0 if p is None or p is Ellipsis else len(p.shape) if mask else 1
    rest = [slice(None)] * (rank - used)
    if Ellipsis in [p for p in parts if not is_array(p)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        return [*parts[:at], *rest, *parts[at + 1:]]
    return parts + rest


def sliced(g: Any, x: str, parts: list[Any]) -> str:
    """Every slice and number among the parts, axis by axis; an axis with a number keeps size 1."""
    starts, ends, axes, steps = [], [], [], []
    for axis, part in enumerate(parts):
        if isinstance(part, slice):
            step = 1 if part.step is None else part.step
            if part == slice(None):
                continue
            starts.append((0 if step > 0 else LAST) if part.start is None else part.start)
            ends.append((LAST if step > 0 else -LAST) if part.stop is None else part.stop)
            steps.append(step)
        elif isinstance(part, int | Size):
            starts.append(part)
            ends.append(LAST if part == -1 else part + 1)
            steps.append(1)
        else:
            continue
        axes.append(axis)
    if not axes:
        return x
    return str(g.op("Slice", x, g.ints(*starts), g.ints(*ends), g.ints(*axes), None if set(steps) == {1} else g.ints(*steps)))


@converter("getitem")
def getitem(g: Any, use: Any, x: str) -> Any:
    """Gather for one number or index array, GatherND for several, else Slice, Squeeze, Unsqueeze."""
    parts = listed(use["index"], use.rank())
    new = [i for i, p in enumerate(parts) if p is None]
    if new:  # a new axis is one of size 1, of which all is taken
        x = g.op("Unsqueeze", x, g.ints(*new))
        parts = [slice(None) if p is None else p for p in parts]
    arrays = [i for i, p in enumerate(parts) if is_array(p)]
    if not arrays:
        numbers = [i for i, p in enumerate(parts) if isinstance(p, int | Size)]
        if len(numbers) == 1 and all(p == slice(None) for i, p in enumerate(parts) if i != numbers[0]) and isinstance(
                parts[numbers[0]], int):
            return g.op("Gather", x, g.constant(np.int64(parts[numbers[0]])), axis=numbers[0])
        out = sliced(g, x, parts)
        return g.op("Squeeze", out, g.ints(*numbers)) if numbers else out
    x = sliced(g, x, [p if isinstance(p, slice) else slice(None) for p in parts])
    return by_arrays(g, x, parts)


def by_arrays(g: Any, x: str, parts: list[Any]) -> Any:
    """Index arrays (and numbers, which then count as such) at some axes, everything at the others."""
    if any(is_array(p) and not isinstance(p, Array) and p.dtype == np.bool_ for p in parts):
        return by_mask(g, x, parts)
    chosen = [i for i, p in enumerate(parts) if not isinstance(p, slice)]
    names = [index_name(g, parts[i]) for i in chosen]
    if len(chosen) == 1:
        return g.op("Gather", x, names[0], axis=chosen[0])
    rank = len(parts)
    rest = [i for i in range(rank) if i not in chosen]
    x = g.transpose(x, (*chosen, *rest))
    shapes = [() if isinstance(parts[i], int | Size) else parts[i].arrays[0].shape if isinstance(parts[i], Array)
              else parts[i].shape for i in chosen]
    together = max(map(len, shapes))
    if together:  # all to one shape: adding zeros broadcasts them
        total = names[0]
        for name in names[1:]:
            total = g.op("Add", total, name)
        zeros = g.op("Mul", total, g.constant(np.int64(0)))
        names = [g.op("Add", name, zeros) for name in names]
    stacked = g.op("Concat", *[g.op("Unsqueeze", name, g.ints(-1)) for name in names], axis=-1)
    out = g.op("GatherND", x, stacked)
    if chosen == list(range(chosen[0], chosen[-1] + 1)) and chosen[0]:  # side by side: their axes stand where they stood
        lead = chosen[0]
        total_rank = together + len(rest)
        order = (*range(together, together + lead), *range(together), *range(together + lead, total_rank))
        out = g.transpose(out, order)
    return out


def index_name(g: Any, part: Any) -> str:
    """An index as an int64 tensor."""
    if isinstance(part, Traced):
        return str(g.cast(g.resolve(part.values), part.dtype, np.int64))
    if isinstance(part, Array):
        return str(g.constant(part))
    return str(g.constant(part if isinstance(part, Size) else np.asarray(part, np.int64)))


def by_mask(g: Any, x: str, parts: list[Any]) -> Any:
    """A mask over the first axes, alone."""
    mask = parts[0]
    if not is_array(mask) or isinstance(mask, Array) or mask.dtype != np.bool_ or any(p != slice(None) for p in parts[1:]):
        if all(isinstance(p, slice) or isinstance(p, np.ndarray) for p in parts):  # constant masks are lists of positions
            full: list[Any] = []
            for p in parts:
                full += list(np.nonzero(p)) if isinstance(p, np.ndarray) and p.dtype == np.bool_ else [p]
            return by_arrays(g, x, full)
        raise Unsupported("a mask beside other indices")
    if isinstance(mask, np.ndarray):
        return by_arrays(g, x, [*np.nonzero(mask), *parts[1:]])
    return g.op("GatherND", x, g.op("Transpose", g.op("NonZero", g.resolve(mask.values)), perm=(1, 0)))


# ---- along one axis


@converter("take")
def take(g: Any, use: Any, x: str, indices: str) -> Any:
    """Gather."""
    return g.op("Gather", x, indices, axis=use["axis"])


@converter("take_along_axis")
def take_along_axis(g: Any, use: Any, x: str, indices: str) -> Any:
    """GatherElements."""
    return g.op("GatherElements", x, indices, axis=use["axis"] % use.rank())


@converter("add_along_axis")
def add_along_axis(g: Any, use: Any, x: str, indices: str) -> Any:
    """ScatterElements that adds, into zeros."""
    zeros = g.op("Expand", g.constant(0, use.dtype), g.ints(*use.shape))
    return g.op("ScatterElements", zeros, indices, x, axis=use["axis"] % use.rank(), reduction="add")


@converter("put_along")
def put_along(g: Any, use: Any, x: str, indices: str, values: str) -> Any:
    """ScatterElements."""
    values = g.op("Expand", values, g.op("Shape", indices))
    return g.op("ScatterElements", x, indices, values, axis=use["axis"] % use.rank())


@converter("take_adjoint", "embedding_adjoint")
def take_adjoint(g: Any, use: Any, x: str, indices: str) -> Any:
    """Slices added up at indices: along axis 0 of zeros."""
    if use.name == "embedding_adjoint":  # (indices, g)
        x, indices, axis, place = indices, x, 0, 0
    else:
        axis, place = use["axis"], 1
    shape = use.shape
    where, rank = use.shapes[place], len(shape)
    lead = shape[:axis]
    count: Any = 1
    for n in where:
        count = n * count
    order = (axis, *range(axis), *range(axis + 1, rank))
    x = g.transpose(g.reshape(x, (*lead, count, *shape[axis + 1:])), order)
    zeros = g.op("Expand", g.constant(0, use.dtype), g.ints(*[shape[a] for a in order]))
    out = g.op("ScatterND", zeros, g.reshape(indices, (count, 1)), x, reduction="add")
    return g.transpose(out, tuple(int(a) for a in np.argsort(order)))
