"""Tracing: which ops a function calls, on which tensors, with which keywords, in order, recorded or not.

The graph knows what a derivative needs. A trace knows all that was computed: integer ops, what runs under `no_grad`, writes
in place. An exporter walks it, and a step could be replayed from it. While a `Trace` is on, the thread's ops report their
calls (`state.tracer`); at other times they do not look for one.

A traced tensor is a `Value`, which never changes: a write in place makes a new one of the tensor that owns the memory, and
views of it are read anew, as `Tensor.node` does for the graph. A fused op is one call, and has the calls of its definition
inside. What Python decides (`if`, `for`) leaves no trace: control flow is unrolled.
"""

import sys
import warnings
from typing import Any

from chainrule.graph import Op
from chainrule.names import ops
from chainrule.state import Flag
from chainrule.tensor import Tensor

__all__ = ["Call", "Trace", "Value"]


class Value:
    """What a tensor held at some point of a traced run. `array` holds the elements of one that no traced op computed: a
    parameter or another constant."""

    __slots__ = ("shape", "dtype", "array")

    def __init__(self, data: Any, array: Any = None) -> None:
        self.shape, self.dtype, self.array = data.shape, data.dtype, array

    def __repr__(self) -> str:
        return f"<{'constant' if self.array is not None else 'value'} {self.dtype}{self.shape}>"


class Call:
    """One call of an op."""

    __slots__ = ("op", "inputs", "dtypes", "static", "outputs", "inside", "layers")

    def __init__(self, op: Op, inputs: list[Any], dtypes: list[Any], static: dict[str, Any], outputs: list[Value],
                 inside: "list[Call] | None", layers: list[Any]) -> None:
        self.op = op
        self.inputs = inputs  # Values, Python numbers, and None for inputs left out
        self.dtypes = dtypes  # for each, the dtype that it was brought to before the kernel ran; None for the same
        self.static = static  # the keywords; an index array that was a tensor is its Value
        self.outputs = outputs
        self.inside = inside  # the calls of a fused op's definition
        self.layers = layers  # the modules that were being called, outer before inner

    def __repr__(self) -> str:
        return f"<call of {self.op.name}>"


class _Tracing(Flag):
    name = "tracer"
    value = None


class Trace:
    """Notes every op of this thread inside `with trace:`. `constants` are tensors (parameters) that nobody will write to: their
    elements are not copied.

    >>> import chainrule as cr
    >>> x, trace = cr.tensor([1, 2]), Trace()
    >>> with trace:
    ...     y = x * 2
    ...     y[0] += 3
    >>> [(call.op.name, call.outputs[0].shape) for call in trace.calls]
    [('multiply', (2,)), ('getitem', ()), ('add', ()), ('write', (2,))]
    """

    replays = False  # see chainrule.state.noting

    def __init__(self, constants: Any = ()) -> None:
        self.calls: list[Call] = []
        self._values: dict[int, tuple[Tensor, Value, int]] = {}  # by id: the tensor (kept, so that its id stays its own), its
        # value, and how many writes to its memory that value has seen
        self._views: dict[int, tuple[Tensor, Any, Any]] = {}  # by id of a view: what it is a view of, by which op and keywords
        self._writes: dict[int, int] = {}  # by id of the list that all tensors on one memory share: the number of writes
        self._places: dict[tuple[Any, ...], Tensor] = {}  # by place in memory, for tensors that no op made (detach)
        self._indices: dict[int, tuple[Any, Value]] = {}  # by id of an index array: the array, and what it was made of
        self._opened: list[Op] = []  # own ops whose forward is being looked into
        self._flags: list[_Tracing] = []
        for tensor in constants:
            self._note(tensor, Value(tensor._data, tensor._data))

    def __enter__(self) -> "Trace":
        flag = _Tracing(self)
        flag.__enter__()
        self._flags.append(flag)
        return self

    def __exit__(self, *problem: object) -> None:
        self._flags.pop().__exit__()

    def input(self, tensor: Tensor) -> Value:
        """The value of a tensor that stands for whatever is given: an input of the traced function."""
        return self._note(tensor, Value(tensor._data))

    def _note(self, tensor: Tensor, value: Value) -> Value:
        self._values[id(tensor)] = tensor, value, self._writes.get(id(tensor._version), 0)
        self._places.setdefault(_place(tensor), tensor)
        return value

    def value(self, tensor: Tensor) -> Value:
        """The present value of a tensor: a constant where no traced op computed it."""
        written = self._writes.get(id(tensor._version), 0)
        _, value, seen = self._values.get(id(tensor), (None, None, -1))
        if value is not None and seen == written:
            return value
        if value is None:
            same = self._places.get(_place(tensor))
            if same is None:
                return self._note(tensor, Value(tensor._data, tensor._data.copy()))
            self._views[id(tensor)] = same, None, None
        source, op, static = self._views[id(tensor)]
        value = self.value(source)
        if op is not None:  # a view of memory that was written to since: read it anew
            out = Value(tensor._data)
            self.calls.append(Call(op, [value], [None], static, [out], None, _layers()))
            value = out
        return self._note(tensor, value)

    def open(self, tensor: Tensor) -> bool:
        """Whether a tensor is an input or was computed by traced ops, so that nothing may follow from its present elements."""
        return self.value(tensor).array is None

    def _entry(self, value: Any) -> Any:
        return self.value(value) if isinstance(value, Tensor) else value

    # ---- what ops report

    def called(self, op: Op, inputs: Any, arrays: Any, static: dict[str, Any], out: Tensor, xp: Any) -> None:
        """A row of the table computed `out`."""
        values = [self._entry(t) for t in inputs]
        dtypes = [getattr(a, "dtype", None) for a in arrays]
        inside = None
        if op.forward is not None and op not in self._opened:  # a user's own: what it is made of, if it can be seen
            self._opened.append(op)
            inside = self._own(op, inputs, static, out)
            self._opened.pop()
        self._append(op, values, dtypes, static, [out], inside)
        if inputs and isinstance(inputs[0], Tensor) and out._version is inputs[0]._version:
            self._views[id(out)] = inputs[0], op, self.calls[-1].static

    def _own(self, op: Op, inputs: Any, static: dict[str, Any], out: Tensor) -> "list[Call] | None":
        try:
            calls, result = self._inside(lambda: op.forward(ops, *inputs, **static))
        except Exception:  # it is written for arrays alone
            return None
        if not isinstance(result, Tensor) or not self.open(result):
            return None
        self._note(out, self.value(result))
        found: list[Call] = calls
        return found

    def _inside(self, function: Any) -> Any:
        """The calls that a function makes, and what it returns."""
        outer, self.calls = self.calls, []
        try:
            result = function()
            return self.calls, result
        finally:
            self.calls = outer

    def _append(self, op: Op, values: list[Any], dtypes: list[Any], static: dict[str, Any], outs: Any, inside: Any) -> None:
        static = self._unindexed(static)
        outputs = []
        for out in outs:
            known = self._values.get(id(out))
            outputs.append(self._note(out, Value(out._data)) if known is None else known[1])
        self.calls.append(Call(op, values, dtypes, static, outputs, inside, _layers()))

    def _unindexed(self, value: Any) -> Any:
        """A keyword with its index arrays replaced by the values they were made of."""
        if isinstance(value, tuple):
            return tuple(self._unindexed(v) for v in value)
        if isinstance(value, dict):
            return {name: self._unindexed(v) for name, v in value.items()}
        found = self._indices.get(id(value))
        return value if found is None else found[1]

    def defined(self, op: Op, tensors: list[Any], static: dict[str, Any], definition: Any) -> Any:
        """A fused op is called: compute its definition, whose calls stand inside its own."""
        values = [self._entry(t) for t in tensors]
        inside, result = self._inside(lambda: definition(ops, *tensors, **static))
        outs = result if isinstance(result, tuple) else (result,)
        self._append(op, values, [None] * len(values), static, outs, inside)
        return result

    def written(self, op: Op, target: Tensor, value: Any, path: Any) -> None:
        """The part of `target` that `path` shows is about to be overwritten with `value`."""
        base, steps = target, path
        self.value(target)  # so that what it is a view of is known
        while id(base) in self._views:
            base, by, static = self._views[id(base)]
            steps = steps if by is None else ((by.name, static), *steps)
        before, entry = self.value(base), self._entry(value)
        after = Value(base._data)
        static = {"path": self._unindexed(tuple(steps))}
        self.calls.append(Call(op, [before, entry], [None, None], static, [after], None, _layers()))
        self._writes[id(base._version)] = self._writes.get(id(base._version), 0) + 1
        self._note(base, after)

    def indexed(self, tensor: Tensor, array: Any) -> None:
        """`array` is a copy of a tensor's elements, made to index with."""
        if self.open(tensor):
            self._indices[id(array)] = array, self.value(tensor)

    def looked(self, tensor: Tensor, by: str) -> None:
        """A tensor's elements are taken out; where one becomes a Python number a trace cannot follow."""
        if by == "item()" and self.open(tensor):
            warnings.warn("tracing: a number is taken out of a tensor (item(), int(), float(), bool(), if, while); the trace "
                          "holds what follows from its present value alone", UserWarning, stacklevel=4)


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Where a tensor's elements lie; two with the same place and the same count of writes are one."""
    data = tensor._data
    return id(tensor._version), data.ctypes.data, data.shape, data.strides, data.dtype.str


def _layers() -> list[Any]:
    """The modules being called, outer before inner."""
    found, frame = [], sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__call__" and code.co_qualname == "Module.__call__":
            found.append(frame.f_locals["self"])
        frame = frame.f_back  # type: ignore[assignment]
    return found[::-1]

