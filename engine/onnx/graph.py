"""The ONNX graph while it is being built: nodes, initializers, constants, and sizes computed from the inputs' shapes."""

from typing import Any

import numpy as np

from chainrule.onnx.sizes import Array, Axes, Mismatch, Size, merge

__all__ = ["Graph", "Unsupported"]

OPSET = 20  # run by onnxruntime 1.17 (January 2024) and later
IR_VERSION = 9  # that which came with it


class Unsupported(Exception):
    """A call, or this use of it, has no counterpart."""


class Graph:
    """Nodes in the order of their calls; every result has a name of its own.

    Converters call `op` and get names: `g.op("Add", a, g.constant(one))`. `ints` gives a vector of numbers of which some
    may be open.
    """

    def __init__(self, axes: Axes) -> None:
        from onnx import helper

        self.helper = helper
        self.axes = axes
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.made: dict[str, Any] = {}  # name -> the node that computes it
        self.taken: set[str] = set()
        self.sources: dict[str, tuple[str, int]] = {}  # dynamic axis -> the input and its axis that show its size
        self.layer = ""  # the path of the layer whose calls are being converted, for names
        self.notes: dict[Any, Any] = {}  # what one converter leaves for another
        self.resolve: Any = None  # the name of a tensor among the keywords
        self._constants: dict[Any, str] = {}
        self._sizes: dict[Any, str] = {}

    def name(self, stem: str) -> str:
        """A name that nothing has."""
        found, number = stem, 0
        while found in self.taken:
            number += 1
            found = f"{stem}_{number}"
        self.taken.add(found)
        return found

    def op(self, kind: str, *inputs: str | None, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or a tuple of them. None is an optional input that is left out."""
        if any(isinstance(v, Size) or isinstance(v, tuple) and any(isinstance(n, Size) for n in v) for v in attributes.values()):
            raise Unsupported(f"an option of {kind} would be an open size; name fewer dynamic axes")
        given = [i or "" for i in inputs]
        while given and not given[-1]:
            given.pop()
        place = "/" + self.layer.replace(".", "/") + "/" if self.layer else "/"
        name = self.name(place + kind)
        names = [self.name(f"{name}_output_{i}" if outputs > 1 else f"{name}_output") for i in range(outputs)]
        node = self.helper.make_node(kind, given, names, name=name, **{k: v for k, v in attributes.items() if v is not None})
        self.nodes.append(node)
        self.made.update(dict.fromkeys(names, node))
        return names[0] if outputs == 1 else tuple(names)

    def initializer(self, name: str, array: Any) -> str:
        """A named array in the file."""
        self.initializers[name] = array
        self.taken.add(name)
        return name

    # ---- constants

    def constant(self, value: Any, dtype: Any = None) -> str:
        """A constant; equal ones are one. An open size becomes a 0-d tensor, an array that grows with the sizes is computed."""
        if isinstance(value, Size):
            return self.cast(self.op("Squeeze", self.ints(value)), np.int64, dtype or np.int64)
        if isinstance(value, Array):
            return self._growing(value)
        array = np.asarray(value, dtype)
        key = array.shape, array.dtype.str, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.initializer(self.name("constant"), array)
        return self._constants[key]

    def ints(self, *values: Any) -> str:
        """An int64 vector of these numbers, of which some may be open."""
        if not any(isinstance(v, Size) for v in values):
            return self.constant(np.array(values, np.int64))
        if values not in self._sizes:
            parts: list[str] = []
            fixed: list[int] = []
            for v in values:
                if isinstance(v, Size):
                    if fixed:
                        parts.append(self.constant(np.array(fixed, np.int64)))
                        fixed = []
                    parts.append(self._size(v))
                else:
                    fixed.append(v)
            if fixed:
                parts.append(self.constant(np.array(fixed, np.int64)))
            self._sizes[values] = parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)
        return self._sizes[values]

    def _size(self, size: Size) -> str:
        """A vector with one open number."""
        if (size,) in self._sizes:
            return self._sizes[size,]
        terms = self.axes.polynomial(size.values)
        if terms is None:
            named = ", ".join(self.axes.names)
            raise Unsupported(f"a size takes the values {', '.join(map(str, size.values))}, which is no sum of products of the "
                              f"dynamic axes ({named})")
        total = None
        for product, factor in terms.items():
            part = None
            for axis in product:
                part = self._axis(axis) if part is None else self.op("Mul", part, self._axis(axis))
            number = self.ints(factor)
            part = number if part is None else part if factor == 1 else self.op("Mul", part, number)
            total = part if total is None else self.op("Add", total, part)
        assert total is not None
        self._sizes[size,] = total
        return total

    def _axis(self, axis: str) -> str:
        """A vector with the size of a dynamic axis."""
        if axis not in self._sizes:
            source, place = self.sources[axis]
            self._sizes[axis] = self.op("Shape", source, start=place, end=place + 1)
        return self._sizes[axis]

    def _growing(self, value: Array) -> str:
        """A constant that every trace has in another shape: one number everywhere, numbers that count up, or two on both sides of
        a diagonal."""
        arrays, first = value.arrays, value.arrays[0]
        key = tuple(a.tobytes() for a in arrays)
        if key in self._constants:
            return self._constants[key]
        found = None
        try:
            shape = merge([a.shape for a in arrays])
        except Mismatch:
            shape = ()
        if any(isinstance(n, Size) for n in shape) and all(a.size for a in arrays):
            if all((a == first.flat[0]).all() for a in arrays):
                found = self.full(shape, first.flat[0], first.dtype)
            elif len(shape) == 1 and all((a == np.arange(len(a)) + first[0]).all() for a in arrays):
                counted = self.cast(self.arange(shape[0]), np.int64, first.dtype)
                found = self.op("Add", counted, self.constant(first[0])) if first[0] else counted
            elif len(shape) == 2:
                found = next((name for k in (-1, 0, 1) if (name := self._triangle(shape, k, arrays)) is not None), None)
        if found is None:
            raise Unsupported(
                f"a constant ({first.dtype}{first.shape}) differs between two runs: it was computed from the inputs by what a "
                "trace cannot see (through .data or NumPy, by item(), nonzero, unique), drawn at random, or made for the traced "
                "size; compute it by ops on the input tensors, or fix its axis by dynamic_axes={}")
        self._constants[key] = found
        return found

    def _triangle(self, shape: tuple[Any, ...], k: int, arrays: list[Any]) -> str | None:
        """One number on and below the k-th diagonal, another above; None where it is not so."""
        sides: tuple[set[Any], set[Any]] = set(), set()
        for a in arrays:
            lower = np.tri(a.shape[0], a.shape[1], k, dtype=bool)
            sides[0].update(np.unique(a[lower]).tolist())
            sides[1].update(np.unique(a[~lower]).tolist())
        if len(sides[0]) != 1 or len(sides[1]) != 1:
            return None
        (below,), (above,) = sides
        ones = self.op("Trilu", self.full(shape, 1, np.int64), self.constant(np.int64(k)), upper=0)
        seen, dtype = self.cast(ones, np.int64, np.bool_), arrays[0].dtype
        if dtype == np.bool_:
            return seen if below else str(self.op("Not", seen))
        return str(self.op("Where", seen, self.constant(below, dtype), self.constant(above, dtype)))

    def full(self, shape: tuple[Any, ...], value: Any, dtype: Any) -> str:
        """One number in an open shape."""
        return str(self.op("Expand", self.constant(np.asarray(value, dtype)), self.ints(*shape)))

    def arange(self, count: Any) -> str:
        """0, 1, … up to an open number, int64."""
        if isinstance(count, Size):
            return str(self.op("Range", self.constant(np.int64(0)), self.constant(count), self.constant(np.int64(1))))
        return self.constant(np.arange(count, dtype=np.int64))

    # ---- what many converters need

    def cast(self, name: str, own: Any, wanted: Any) -> str:
        """`name`, whose dtype is `own`, in another."""
        if np.dtype(own) == np.dtype(wanted):
            return name
        return str(self.op("Cast", name, to=self.type_of(wanted)))

    def type_of(self, dtype: Any) -> int:
        """ONNX's number for a NumPy dtype."""
        return int(self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, name: str, shape: tuple[Any, ...], own: tuple[Any, ...] | None = None) -> str:
        """`name`, of shape `own` where that is known, in another shape. A single open size is "whatever is left"."""
        if shape == own:
            return name
        empty = 0 in shape
        if not empty and any(isinstance(n, Size) for n in shape):
            if own is not None and sum(isinstance(n, Size) for n in shape) > 1:
                shape = tuple(0 if i < len(own) and own[i] == n and isinstance(n, Size) else n for i, n in enumerate(shape))
            if sum(isinstance(n, Size) for n in shape) == 1:
                shape = tuple(-1 if isinstance(n, Size) else n for n in shape)
        return str(self.op("Reshape", name, self.ints(*shape), allowzero=1 if empty else None))

    def transpose(self, name: str, axes: tuple[int, ...]) -> str:
        """The axes in another order."""
        return name if axes == tuple(range(len(axes))) else str(self.op("Transpose", name, perm=axes))
