"""Writes in place, as new tensors: what was there, with a part replaced."""

from typing import Any

import numpy as np

from chainrule.onnx.converters.indexing import index_name, is_array, listed, sliced
from chainrule.onnx.converters.shapes import inverse
from chainrule.onnx.graph import Unsupported
from chainrule.onnx.sizes import Size
from chainrule.onnx.table import Traced, converter

EVERYTHING = slice(None)


def extent(part: Any, n: Any) -> Any:
    """How many elements a slice or an index array takes of an axis of n."""
    if not isinstance(part, slice):
        return len(part)
    if part == EVERYTHING:
        return n
    if isinstance(n, Size):
        raise Unsupported("a write to a part of an axis that is open; name fewer dynamic axes")
    return len(range(*part.indices(n)))


def shape_shown(parts: list[Any], shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape of what an index shows of a tensor of this shape."""
    sizes = iter(shape)
    shown: list[Any] = []
    for part in parts:
        if part is None:
            shown.append(1)
        elif isinstance(part, int | Size):
            next(sizes)
        else:
            shown.append(extent(part, next(sizes)))
    return tuple(shown)


def scatter(g: Any, x: str, shape: tuple[Any, ...], index: Any, value: str, value_shape: tuple[Any, ...]) -> str:
    """x (of this shape) with x[index] = value."""
    parts = listed(index, len(shape))
    arrays = [p for p in parts if is_array(p)]
    if any(p.dtype == np.bool_ for p in arrays):
        return through_mask(g, x, len(shape), parts, value, value_shape)
    if len(arrays) == 1 and len(arrays[0].shape) == 1 and isinstance(arrays[0], Traced):
        return at_places(g, x, shape, parts, value)
    if len(arrays) > 1 or any(isinstance(p, Traced) or p.ndim != 1 for p in arrays) or (
            arrays and any(isinstance(p, int) for p in parts)):
        raise Unsupported("a write at computed indices, or at several index arrays; use scatter or index_copy")
    shown = shape_shown(parts, shape)
    if shown != value_shape:
        value = str(g.op("Expand", value, g.ints(*shown)))
    # the value with the axes of x: without new ones, and with one of size 1 for each number
    new = [i for i, p in enumerate(p for p in parts if not isinstance(p, int | Size)) if p is None]
    if new:
        value = g.op("Squeeze", value, g.ints(*new))
    own = [p for p in parts if p is not None]
    numbers = [i for i, p in enumerate(own) if isinstance(p, int | Size)]
    if numbers:
        value = g.op("Unsqueeze", value, g.ints(*numbers))
    selected = [i for i, p in enumerate(own) if is_array(p) or p != EVERYTHING]
    if not selected:
        return value
    along = []
    for axis in selected:
        if isinstance(shape[axis], Size):
            if not isinstance(own[axis], int) or own[axis] < 0:
                raise Unsupported("a write to a part of an axis that is open; name fewer dynamic axes")
            along.append(np.array([own[axis]], np.int64))
        else:
            along.append(np.arange(shape[axis], dtype=np.int64)[own[axis]].reshape(-1))
    grid = np.stack(np.meshgrid(*along, indexing="ij"), -1)  # every element of the part: its place along the selected axes
    order = (*selected, *(i for i in range(len(shape)) if i not in selected))
    out = g.op("ScatterND", g.transpose(x, order), g.constant(grid), g.transpose(value, order))
    return str(g.transpose(out, inverse(order)))


def through_mask(g: Any, x: str, rank: int, parts: list[Any], value: str, value_shape: tuple[Any, ...]) -> str:
    """x[mask] = one value."""
    mask, *rest = parts
    if not is_array(mask) or any(is_array(p) or p != EVERYTHING for p in rest) or value_shape:
        raise Unsupported("a write through a mask of several values; write where(mask, value, x)")
    name = g.resolve(mask.values) if isinstance(mask, Traced) else g.constant(mask)
    spare = rank - len(mask.shape)
    if spare:
        name = g.op("Unsqueeze", name, g.ints(*range(-spare, 0)))
    return str(g.op("Where", name, value, x))


def at_places(g: Any, x: str, shape: tuple[Any, ...], parts: list[Any], value: str) -> str:
    """Slices at computed places along one axis."""
    at = next(i for i, p in enumerate(parts) if is_array(p))
    if any(p != EVERYTHING for i, p in enumerate(parts) if i != at):
        raise Unsupported("a write at computed indices beside others; use index_copy")
    order = (at, *(i for i in range(len(shape)) if i != at))
    value = str(g.op("Expand", value, g.ints(*shape[:at], *parts[at].shape, *shape[at + 1:])))
    places = g.op("Unsqueeze", index_name(g, parts[at]), g.ints(1))
    return str(g.transpose(g.op("ScatterND", g.transpose(x, order), places, g.transpose(value, order)), inverse(order)))


class Step:
    """A step of a view's path: from a tensor to what it shows, and how that goes back."""

    def __init__(self, name: str, options: dict[str, Any], shape: tuple[Any, ...]) -> None:
        self.name, self.own = name, shape
        self.order: tuple[int, ...] = tuple(range(len(shape)))
        self.index: Any = ()
        self.shape: tuple[Any, ...] = shape
        if name == "permute_dims":
            self.order = tuple(options["axes"])
            self.shape = tuple(shape[a] for a in self.order)
        elif name == "swapaxes":
            axes = list(self.order)
            a, b = options["axis1"], options["axis2"]
            axes[a], axes[b] = axes[b], axes[a]
            self.order, self.shape = tuple(axes), tuple(shape[i] for i in axes)
        elif name == "reshape":
            self.shape = filled(tuple(options["shape"]), shape)
        elif name == "getitem":
            self.index = options["index"]
            self.shape = shape_shown(listed(self.index, len(shape)), shape)
        elif name != "identity":
            raise Unsupported(f"a write through a view made by {name}")

    def read(self, g: Any, x: str) -> str:
        """What the step shows of x."""
        if self.name == "reshape":
            return str(g.reshape(x, self.shape, self.own))
        if self.name != "getitem":
            return str(g.transpose(x, self.order))
        parts = listed(self.index, len(self.own))
        own = [p for p in parts if p is not None]
        numbers = [i for i, p in enumerate(own) if isinstance(p, int)]
        new = [i for i, p in enumerate(p for p in parts if not isinstance(p, int)) if p is None]
        x = sliced(g, x, own)
        x = g.op("Squeeze", x, g.ints(*numbers)) if numbers else x
        return str(g.op("Unsqueeze", x, g.ints(*new))) if new else x

    def put(self, g: Any, x: str, part: str) -> str:
        """x with what the step shows replaced."""
        if self.name == "reshape":
            return str(g.reshape(part, self.own, self.shape))
        if self.name == "getitem":
            return scatter(g, x, self.own, self.index, part, self.shape)
        return str(g.transpose(part, inverse(self.order)))


def filled(wanted: tuple[Any, ...], own: tuple[Any, ...]) -> tuple[Any, ...]:
    """A shape whose -1 is what is left of another shape."""
    rest: Any = 1
    for n in own:
        rest = n * rest
    for n in wanted:
        rest = rest if n == -1 else rest // n
    return tuple(rest if n == -1 else n for n in wanted)


def through(g: Any, x: str, shape: Any, value: str, value_shape: Any, path: Any) -> str:
    """x (of this shape) with the part that a path shows replaced: step by step into the part, and back."""
    if not path:
        return value if value_shape == shape else str(g.op("Expand", value, g.ints(*shape)))
    (name, options), *rest = path
    if name == "getitem" and not rest:
        return scatter(g, x, shape, options["index"], value, value_shape)
    step = Step(name, options, shape)
    return step.put(g, x, through(g, step.read(g, x), step.shape, value, value_shape, rest))


@converter("write")
def write(g: Any, use: Any, x: str, value: str) -> Any:
    """ScatterND at the places of the part, step by step through the view's path."""
    return through(g, x, use.shapes[0], g.cast(value, use.dtypes[1], use.dtypes[0]), use.shapes[1], use["path"])


@converter("getitem_adjoint")
def getitem_adjoint(g: Any, use: Any, x: str) -> Any:
    """Zeros with x at an index: padding for plain slices, else a write into zeros (adding up has no counterpart)."""
    shape = use["shape"]
    parts = listed(use["index"], len(shape))
    if all(isinstance(p, slice) and p.step in (None, 1) and not isinstance(p.start, Size) for p in parts):
        before = [0 if p.start is None else p.start if p.start >= 0 else n + p.start for p, n in zip(parts, shape, strict=True)]
        after = [n - b - own for n, b, own in zip(shape, before, use.shapes[0], strict=True)]
        return g.op("Pad", x, g.ints(*before, *after))
    if any(is_array(p) and (isinstance(p, Traced) or len(np.unique(p)) != p.size) for p in parts):
        raise Unsupported("an index that may name an element twice")
    return scatter(g, g.op("Expand", g.constant(0, use.dtype), g.ints(*shape)), shape, use["index"], x, use.shapes[0])
