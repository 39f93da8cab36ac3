"""Writes in place, as new tensors: what was there, with a part replaced."""

from typing import Any

import numpy as np

from chainrule.onnx.converters.indexing import is_array, listed, sliced
from chainrule.onnx.graph import Unsupported
from chainrule.onnx.sizes import Size
from chainrule.onnx.table import Traced, converter


def positions(use: Any, parts: list[Any], shape: tuple[Any, ...], selected: list[int]) -> Any:
    """For an index of slices, numbers and at most one index array, what it takes along each of the selected axes."""
    found = []
    for axis in selected:
        part = parts[axis]
        n = use.fixed(shape[axis], "an axis of which a part is written")
        found.append(np.arange(n, dtype=np.int64)[part].reshape(-1))
    return found


def scatter(g: Any, use: Any, x: str, shape: tuple[Any, ...], index: Any, value: str, value_shape: tuple[Any, ...]) -> str:
    """x (of this shape) with x[index] = value."""
    parts = listed(index, len(shape))
    masks = [p for p in parts if is_array(p) and p.dtype == np.bool_]
    if masks:
        if len(masks) > 1 or parts[0] is not masks[0] or any(p != slice(None) for p in parts[1:]) or np.ndim(value_shape) and value_shape:
            raise Unsupported("a write through a mask of several values; write where(mask, value, x)")
        mask = g.resolve(masks[0].values) if isinstance(masks[0], Traced) else g.constant(masks[0])
        spare = len(shape) - len(masks[0].shape)
        if spare:
            mask = g.op("Unsqueeze", mask, g.ints(*range(-spare, 0)))
        return str(g.op("Where", mask, value, x))
    arrays = [p for p in parts if is_array(p)]
    others = [p for p in parts if not is_array(p)]
    if len(arrays) == 1 and len(arrays[0].shape) == 1 and isinstance(arrays[0], Traced) and all(p == slice(None) for p in others):
        at = next(i for i, p in enumerate(parts) if is_array(p))  # slices at computed places of one axis
        order = (at, *(i for i in range(len(shape)) if i != at))
        value = str(g.op("Expand", value, g.ints(*shape[:at], *arrays[0].shape, *shape[at + 1:])))
        places = g.op("Unsqueeze", g.cast(g.resolve(arrays[0].values), arrays[0].dtype, np.int64), g.ints(1))
        out = g.op("ScatterND", g.transpose(x, order), places, g.transpose(value, order))
        return str(g.transpose(out, tuple(int(a) for a in np.argsort(order))))
    if len(arrays) > 1 or any(isinstance(p, Traced) or p.ndim != 1 for p in arrays) or (arrays and any(isinstance(p, int) for p in parts)):
        raise Unsupported("a write at computed indices, or at several index arrays; use scatter or index_copy")
    # the part's shape, axis by axis, new axes among them
    part_shape: list[Any] = []
    axis = 0
    for p in parts:
        if p is None:
            part_shape.append(1)
            continue
        if isinstance(p, slice):
            part_shape.append(shape[axis] if p == slice(None) else len(range(*p.indices(use.fixed(shape[axis], "an axis")))))
        elif is_array(p):
            part_shape.append(len(p))
        axis += 1
    value = str(g.op("Expand", value, g.ints(*part_shape))) if tuple(part_shape) != value_shape else value
    kept = [p for p in parts if p is not None]
    new = [i for i, p in enumerate([p for p in parts if not isinstance(p, int | Size)]) if p is None]
    if new:
        value = g.op("Squeeze", value, g.ints(*new))
    numbers = [i for i, p in enumerate(kept) if isinstance(p, int | Size)]
    if numbers:
        value = g.op("Unsqueeze", value, g.ints(*numbers))
    selected = [i for i, p in enumerate(kept) if not (isinstance(p, slice) and p == slice(None))]
    if not selected:
        return value
    along = positions(use, kept, shape, selected)
    grid = np.stack(np.meshgrid(*along, indexing="ij"), -1)
    order = (*selected, *(i for i in range(len(shape)) if i not in selected))
    out = g.op("ScatterND", g.transpose(x, order), g.constant(grid), g.transpose(value, order))
    return str(g.transpose(out, tuple(int(a) for a in np.argsort(order))))


class Step:
    """A step of a view's path: forward from the base to what it shows, and how that goes back into the base."""

    def __init__(self, name: str, options: dict[str, Any], shape: tuple[Any, ...]) -> None:
        self.name, self.options, self.own = name, options, shape
        self.shape = self.result()

    def result(self) -> tuple[Any, ...]:
        """The shape of what the step shows."""
        own, options = self.own, self.options
        if self.name == "reshape":
            wanted = options["shape"]
            if -1 not in wanted:
                return tuple(wanted)
            rest: Any = 1
            for n in own:
                rest = n * rest
            for n in wanted:
                rest = rest if isinstance(n, int) and n == -1 else rest // n
            return tuple(rest if isinstance(n, int) and n == -1 else n for n in wanted)
        if self.name in ("swapaxes", "permute_dims"):
            return tuple(own[a] for a in self.order())
        if self.name == "identity":
            return own
        if self.name == "getitem":
            found, axis = [], 0
            for p in listed(options["index"], len(own)):
                if p is None:
                    found.append(1)
                    continue
                if isinstance(p, slice):
                    n = own[axis]
                    found.append(n if p == slice(None) else len(range(*p.indices(n))) if isinstance(n, int) else None)
                elif not isinstance(p, int):
                    raise Unsupported("a write through a view of index arrays")
                axis += 1
            if None in found:
                raise Unsupported("a write to a part of an open axis")
            return tuple(found)
        raise Unsupported(f"a write through a view made by {self.name}")

    def order(self) -> tuple[int, ...]:
        """The axes as the step orders them."""
        if self.name == "permute_dims":
            return tuple(self.options["axes"])
        axes = list(range(len(self.own)))
        a, b = self.options["axis1"], self.options["axis2"]
        axes[a], axes[b] = axes[b], axes[a]
        return tuple(axes)

    def read(self, g: Any, x: str) -> str:
        """What the step shows of x."""
        if self.name == "reshape":
            return str(g.reshape(x, self.shape, self.own))
        if self.name == "getitem":
            parts = listed(self.options["index"], len(self.own))
            numbers = [i for i, p in enumerate(p for p in parts if p is not None) if isinstance(p, int)]
            x = sliced(g, x, [p for p in parts if p is not None])
            x = g.op("Squeeze", x, g.ints(*numbers)) if numbers else x
            new = [i for i, p in enumerate([p for p in parts if not isinstance(p, int)]) if p is None]
            return str(g.op("Unsqueeze", x, g.ints(*new)) if new else x)
        return x if self.name == "identity" else str(g.transpose(x, self.order()))

    def put(self, g: Any, use: Any, x: str, part: str) -> str:
        """x with what the step shows replaced."""
        if self.name == "reshape":
            return str(g.reshape(part, self.own, self.shape))
        if self.name == "getitem":
            return scatter(g, use, x, self.own, self.options["index"], part, self.shape)
        return part if self.name == "identity" else str(g.transpose(part, tuple(int(a) for a in np.argsort(self.order()))))


@converter("write")
def write(g: Any, use: Any, x: str, value: str) -> Any:
    path, shape = use["path"], use.shapes[0]
    value = g.cast(value, use.dtypes[1], use.dtypes[0])
    return through(g, use, x, shape, value, use.shapes[1], path)


def through(g: Any, use: Any, x: str, shape: Any, value: str, value_shape: Any, path: Any) -> str:
    """Step by step into the part, and back."""
    if not path:
        return value if value_shape == shape else str(g.op("Expand", value, g.ints(*shape)))
    (name, options), *rest = path
    if name == "getitem" and not rest:
        return scatter(g, use, x, shape, options["index"], value, value_shape)
    step = Step(name, options, shape)
    inner = through(g, use, step.read(g, x), step.shape, value, value_shape, rest)
    return step.put(g, use, x, inner)


@converter("getitem_adjoint")
def getitem_adjoint(g: Any, use: Any, x: str) -> Any:
    """Zeros with x at an index: padding for plain slices, else a write into zeros (an element picked twice has no
    counterpart)."""
    shape = use["shape"]
    parts = listed(use["index"], len(shape))
    plain = all(isinstance(p, slice) and p.step in (None, 1) and not isinstance(p.start, Size) for p in parts)
    if plain:
        before = [0 if p.start is None else p.start if p.start >= 0 else n + p.start for p, n in zip(parts, shape, strict=True)]
        after = [n - b - own for n, b, own in zip(shape, before, use.shapes[0], strict=True)]
        return g.op("Pad", x, g.ints(*before, *after))
    if any(is_array(p) and (isinstance(p, Traced) or len(np.unique(p)) != p.size) for p in parts):
        raise Unsupported("an index that may name an element twice")
    zeros = g.op("Expand", g.constant(0, use.dtype), g.ints(*shape))
    return scatter(g, use, zeros, shape, use["index"], x, use.shapes[0])
