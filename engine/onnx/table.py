"""The table of converters: by op, the function that adds its nodes to the graph."""

from collections.abc import Callable
from typing import Any

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.sizes import Size, merge
from chainrule.tracing import Call, Value

__all__ = ["Traced", "Use", "converter", "converters"]

converters: dict[str, Callable[..., Any]] = {}


def converter(*names: str) -> Callable[[Any], Any]:
    """Decorator: the function converts calls of the ops of these names. It gets the graph, the call as a `Use`, and for every
    input its name in the graph (None for one left out), in the dtype that the op computes in; it returns the name of the
    result, or a tuple of names. Raising `Unsupported` says that this use has no counterpart: then a fused op falls apart into
    its definition.

    >>> import chainrule as cr
    >>> @cr.onnx.converter("cube")  # of an own op, cr.Op("cube", ...)
    ... def cube(g, use, x):
    ...     return g.op("Pow", x, g.constant(3, use.dtype))
    """

    def enter(function: Any) -> Any:
        converters.update(dict.fromkeys(names, function))
        return function

    return enter


class Traced:
    """A tensor among the keywords: its values in all traces, of which `Graph.resolve` gives the name."""

    __slots__ = ("values", "shape", "dtype")

    def __init__(self, values: tuple[Value, ...]) -> None:
        self.values, self.dtype = values, values[0].dtype
        self.shape = merge([v.shape for v in values])


class Use:
    """A call of an op as a converter sees it: keywords and shapes, in which numbers that follow from dynamic axes are a Size.

    `use["axis"]` is a keyword. `shapes` and `dtypes` are the inputs', as the op computes with them (None for one left out);
    `shape` and `dtype` the result's; `inputs` the Values and numbers themselves.
    """

    def __init__(self, calls: list[Call]) -> None:
        self.calls, self.name = calls, calls[0].op.name
        self.inputs = calls[0].inputs
        self.arity = len(self.inputs)

    def __getitem__(self, name: str) -> Any:
        return self.merged([call.static[name] for call in self.calls])

    def merged(self, values: Any) -> Any:
        """What the traces have here, as one; a Traced for an index that is a tensor."""
        if all(isinstance(v, Value) for v in values):
            return Traced(tuple(values))
        if isinstance(values[0], dict):
            return {name: self.merged([v[name] for v in values]) for name in values[0]}
        if isinstance(values[0], tuple) and len({len(v) for v in values}) == 1:
            return tuple(self.merged(v) for v in zip(*values, strict=True))
        return merge(values)

    @property
    def shapes(self) -> list[Any]:
        """The inputs' shapes; () for a number."""
        return [None if v is None else merge([c.inputs[i].shape for c in self.calls]) if isinstance(v, Value) else ()
                for i, v in enumerate(self.inputs)]

    @property
    def dtypes(self) -> list[Any]:
        """The dtypes in which the op takes its inputs."""
        first = self.calls[0]
        known = [d or v.dtype for v, d in zip(first.inputs, first.dtypes, strict=True) if d is not None or isinstance(v, Value)]
        strong = next((d for d in known if d.kind == "f"), known[0] if known else None)  # that of the numbers among them
        return [None if v is None else d or (v.dtype if isinstance(v, Value) else strong)
                for v, d in zip(first.inputs, first.dtypes, strict=True)]

    def shape_of(self, output: int) -> Any:
        """The shape of one of several results."""
        return merge([c.outputs[output].shape for c in self.calls])

    @property
    def shape(self) -> Any:
        """The result's shape."""
        return self.shape_of(0)

    @property
    def dtype(self) -> Any:
        """The result's dtype."""
        return self.calls[0].outputs[0].dtype

    def rank(self, i: int = 0) -> int:
        """The number of axes of an input."""
        return len(self.shapes[i])

    def array(self, i: int) -> Any:
        """The elements of an input that is a constant, the same in all traces; None for others."""
        value = self.inputs[i]
        if not isinstance(value, Value):
            return None if value is None or isinstance(self.number(i), Size) else value
        found = value.array
        if found is None or any(c.inputs[i].array is None for c in self.calls):
            return None
        return found if merge([c.inputs[i].array for c in self.calls]) is found else None

    def number(self, i: int) -> Any:
        """An input that is a Python number."""
        return merge([c.inputs[i] for c in self.calls])

    def fixed(self, sizes: Any, what: str) -> Any:
        """These numbers, which must not be open."""
        if any(isinstance(n, Size) for n in (sizes if isinstance(sizes, tuple) else (sizes,))):
            raise Unsupported(f"{what} must be a fixed size here; name fewer dynamic axes")
        return sizes
