"""Writing a model as an ONNX file."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule import random
from chainrule.graph import no_grad, table
from chainrule.layers.module import Module
from chainrule.onnx.graph import IR_VERSION, OPSET, Graph, Unsupported
from chainrule.onnx.sizes import Axes, Mismatch, Size, merge
from chainrule.onnx.table import Use, converters
from chainrule.tensor import Tensor
from chainrule.tracing import Call, Trace, Value

__all__ = ["ExportError", "export"]


class ExportError(RuntimeError):
    """A model, or an op of it, that cannot be written as ONNX; the text says which, where, and what to do."""


def export(model: Any, example: Any, file: Any = None, *, keywords: Mapping[str, Any] | None = None,
           dynamic_axes: Mapping[str, Mapping[int, str]] | None = None) -> Any:
    """Write what `model(*example, **keywords)` computes as an ONNX model to `file` (a path or a binary file); returns it.

    `model`: a Module, which is exported in evaluation mode (its modes are put back), or another function of tensors.
    `example`: a tensor or a tuple of arguments, in which tensors are inputs of the file, also inside tuples, and all else stays
    as it is. The inputs are called as the arguments of `forward`, the outputs "output", or "output_0", … Parameters and
    buffers keep the names that `state_dict` gives them.

    `dynamic_axes`: {input: {axis: name}}, the axes whose sizes are open in the file: without it the first axis of the first
    input, and of all inputs that have its size there, is "batch"; {} leaves none open. The model is called a few times, with
    these axes at several sizes and the example's rows in another order, to see what follows from them.

    Raises ExportError, which names the op and the layer, where something has no counterpart, is drawn at random, or was computed
    outside of ops; ImportError without the extra `onnx`. Control flow is unrolled: the file does what the model did for the
    example.

    >>> import chainrule as cr
    >>> written = export(cr.layers.Linear(3, 2), cr.zeros(4, 3))  # doctest: +SKIP
    >>> [node.op_type for node in written.graph.node]  # doctest: +SKIP
    ['Gemm']
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError('cr.onnx.export needs the onnx package: pip install "chainrule[onnx]"') from error
    arguments = example if isinstance(example, tuple) else (example,)
    inputs = Inputs(model, arguments, keywords or {})
    if any(t.is_cuda for t in (*(model.state_dict().values() if isinstance(model, Module) else ()),
                               *(t for t in arguments if isinstance(t, Tensor)))):
        raise ExportError("onnx.export: the model or its example is on a GPU; export from the CPU: model.cpu()")
    axes, places = inputs.axes(dynamic_axes)
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    try:
        for module, _ in modes:
            module.training = False
        runs = [first_that_runs(model, inputs, axes, places, k) for k in range(max(2, len(axes.traces)))]
    finally:
        for module, mode in modes:
            module.training = mode
    built = Exporter(model, inputs, axes, places, runs).model(onnx)
    if runs[0].drew:
        raise ExportError("onnx.export: the model draws random numbers, in evaluation mode too; a file computes the same every "
                          "time")
    onnx.checker.check_model(built, full_check=True)
    if file is not None:
        onnx.save(built, file if hasattr(file, "write") else str(file))
    return built


class Place:
    """Where a tensor stands among the arguments, and the name of the input it is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.name = tensor, ""


class Inputs:
    """The tensors among the arguments, by name, and how a call is made of others."""

    def __init__(self, model: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        self.arguments, self.keywords = replaced((arguments, dict(keywords)), Tensor, Place)
        module = model if isinstance(model, Module) else None
        state = [] if module is None else [*module.named_parameters(), *module.named_buffers()]
        self.constants = [t for _, t in state]
        self.state = {id(t._data): name for name, t in state}
        try:
            signature = inspect.signature(model if module is None else module.forward)
            bound = list(signature.bind(*self.arguments, **self.keywords).arguments.items())
            if bound and signature.parameters[bound[-1][0]].kind is inspect.Parameter.VAR_KEYWORD:
                bound += bound.pop()[1].items()
        except (TypeError, ValueError):  # it cannot be inspected, or the call itself will say what is missing
            bound = [*((f"input_{i}", a) for i, a in enumerate(self.arguments)), *self.keywords.items()]
        self.tensors: dict[str, Tensor] = {}
        for name, value in bound:
            for i, place in enumerate(leaves(value, Place)):
                place.name = name if isinstance(value, Place) else f"{name}_{i}"
                self.tensors[place.name] = place.tensor
        if not self.tensors:
            raise ExportError("onnx.export: there is no tensor among the arguments of the example")

    def axes(self, dynamic: Mapping[str, Mapping[int, str]] | None) -> tuple[Axes, dict[str, dict[int, str]]]:
        """The dynamic axes with their sizes in the traces, and which axes of which inputs they are."""
        if dynamic is None:
            first = next(iter(self.tensors.values()))
            rows = first.shape[:1]
            places = {name: {0: "batch"} for name, t in self.tensors.items() if rows and t.shape[:1] == rows}
        else:
            unknown = [name for name in dynamic if name not in self.tensors]
            if unknown:
                raise ExportError(f"onnx.export: dynamic_axes names {unknown[0]!r}; the inputs are {', '.join(self.tensors)}")
            places = {name: {axis % max(self.tensors[name].ndim, 1): by for axis, by in given.items()}
                      for name, given in dynamic.items()}
        sizes: dict[str, tuple[int, int, int]] = {}
        for name, given in places.items():
            for axis, by in given.items():
                n = self.tensors[name].shape[axis]
                if not n:
                    raise ExportError(f"onnx.export: {name} has no elements along its dynamic axis {axis}; give an example "
                                      "with some")
                if axis == 0 or n < 4:
                    sizes.setdefault(by, (2, 3, 5) if axis == 0 else (n + 1, n + 2, n + 4))
                else:  # shorter, not longer: positions may end where the example does
                    sizes.setdefault(by, (n, n - 1, n - 2))
        return Axes(sizes), places

    def call(self, tensors: dict[str, Tensor], model: Any) -> Any:
        """Call the model with other tensors in the places of the example's."""
        arguments, keywords = replaced((self.arguments, self.keywords), Place, lambda place: tensors[place.name])
        return model(*arguments, **keywords)


def replaced(value: Any, kind: type, make: Any) -> Any:
    """Nested tuples, lists and dicts with `make` applied to each object of a kind."""
    if isinstance(value, kind):
        return make(value)
    if isinstance(value, dict):
        return {name: replaced(v, kind, make) for name, v in value.items()}
    if isinstance(value, tuple | list):
        parts = [replaced(v, kind, make) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def leaves(value: Any, kind: type = Tensor) -> list[Any]:
    """The tensors (or other objects of a kind) inside nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [found for v in value for found in leaves(v, kind)]
    return [value] if isinstance(value, kind) else []


class Run:
    """One trace of the model: `calls`, and the values of inputs and outputs."""

    def __init__(self, model: Any, inputs: Inputs, axes: Axes, places: dict[str, dict[int, str]], number: int,
                 change: Mapping[str, str]) -> None:
        sizes = axes.traces[number] if axes.names else {}
        trace = Trace(inputs.constants)
        tensors = {name: Tensor(varied(t._data, {a: sizes[by] for a, by in places.get(name, {}).items()}, number, change.get(name)))
                   for name, t in inputs.tensors.items()}
        self.inputs = {name: trace.input(t) for name, t in tensors.items()}
        generator = random.Generator(number)  # the default one is left as it is
        start = generator.get_state()
        with trace, no_grad(), random.drawing_from(generator):
            result = inputs.call(tensors, model)
            names = list(result) if isinstance(result, dict) else []
            found = leaves(result)
            self.outputs = [trace.value(t) for t in found]
        if not found:
            raise ExportError("onnx.export: the model returns no tensors")
        self.calls, self.drew = trace.calls, generator.get_state() != start
        self.names = names if len(names) == len(found) else ["output"] if len(found) == 1 else [
            f"output_{i}" for i in range(len(found))]


def first_that_runs(model: Any, inputs: Inputs, axes: Axes, places: dict[str, dict[int, str]], number: int) -> Run:
    """A trace: the first with the example's values, the others with values as different as the model accepts, so that what was
    computed from them unseen differs too. All elements in disorder; rows in another order (a model may want sorted numbers, or
    a positive-definite matrix); one input alone; none."""
    changes = [dict.fromkeys(inputs.tensors, "elements"), dict.fromkeys(inputs.tensors, "rows"),
               *({name: "elements"} for name in inputs.tensors), {}]
    for change in changes if number else ({},):
        try:
            return Run(model, inputs, axes, places, number, change)
        except ExportError:
            raise
        except Exception:
            if not change:
                raise
    raise AssertionError


def varied(array: Any, sizes: dict[int, int], number: int, change: str | None) -> Any:
    """An input of other sizes, the example's rows over and over, and with its values changed."""
    for axis, size in sizes.items():
        array = np.take(array, (np.arange(size) + (number if change == "rows" else 0)) % array.shape[axis], axis=axis)
    if change == "rows" and array.ndim and not sizes:
        array = np.roll(array, number, axis=0)
    if change == "elements" and array.size:  # drawn from its own, so that an index stays an index
        draw = np.random.default_rng(number)
        pool = array.reshape(-1) if array.dtype.kind == "b" else draw.permutation(np.unique(array))
        array = draw.choice(pool[:-(-len(pool) // 2)] if array.dtype.kind in "iu" else pool, array.shape)
        if array.dtype.kind == "f":
            array = (array * draw.uniform(0.9, 1, array.shape)).astype(array.dtype)
    return np.array(array, order="C")


class Exporter:
    """Walks the traces side by side and has every call converted."""

    def __init__(self, model: Any, inputs: Inputs, axes: Axes, places: dict[str, dict[int, str]], runs: list[Run]) -> None:
        self.target, self.given, self.places, self.runs, self.state = model, inputs, places, runs, inputs.state
        self.graph = Graph(axes)
        self.graph.resolve = self.name_of
        self.names: dict[Value, tuple[str, tuple[Value, ...]]] = {}  # by the first trace's value
        self.graph.taken |= set(self.state.values())
        for name in inputs.tensors:
            values = tuple(run.inputs[name] for run in runs)
            own = self.graph.name(name)
            self.names[values[0]] = own, values
            for axis, by in places.get(name, {}).items():
                self.graph.sources.setdefault(by, (own, axis))
        self.paths = {id(m): path for path, m in model.named_modules()} if isinstance(model, Module) else {}

    def model(self, onnx: Any) -> Any:
        """The whole model, as ONNX."""
        import chainrule

        graph, helper = self.graph, onnx.helper
        self.walk([run.calls for run in self.runs])
        outputs = []
        graph.layer = ""
        made: set[str] = set()
        for i, name in enumerate(self.runs[0].names):
            values = tuple(run.outputs[i] for run in self.runs)
            try:
                source = self.name_of(values)
            except (Unsupported, Mismatch) as error:
                raise ExportError(f"onnx.export: {name} of the model: {error}") from error
            own = name if name not in graph.taken else graph.name(name)
            graph.taken.add(own)
            node = graph.made.get(source)
            if node is None or source in made:  # an input, a constant, or an output already
                graph.nodes.append(helper.make_node("Identity", [source], [own], name=graph.name("/Identity")))
            else:
                self.rename(source, own)
            made.add(own)
            outputs.append((own, values))
        used = self.drop_unused({own for own, _ in outputs})
        shaped = [helper.make_tensor_value_info(own, graph.type_of(values[0].dtype), [
            self.dimension(n) for n in merge([v.shape for v in values])]) for own, values in outputs]
        given = []
        for tensor, (name, values) in zip(self.given.tensors, list(self.names.values())[:len(self.given.tensors)], strict=True):
            shape = [self.places.get(tensor, {}).get(axis, n) for axis, n in enumerate(values[0].shape)]
            given.append(helper.make_tensor_value_info(name, graph.type_of(values[0].dtype), shape))
        weights = [onnx.numpy_helper.from_array(np.ascontiguousarray(a) if a.ndim else np.asarray(a), name)
                   for name, a in graph.initializers.items() if name in used]
        title = type(self.target).__name__ if isinstance(self.target, Module) else getattr(self.target, "__name__", "function")
        body = helper.make_graph(graph.nodes, title, given, shaped, initializer=weights)
        return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                 producer_name="chainrule", producer_version=chainrule.__version__)

    def rename(self, old: str, new: str) -> None:
        """Give a result the name of an output."""
        for node in self.graph.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new
        self.graph.made[new] = self.graph.made.pop(old)
        self.names = {v: (new if name == old else name, values) for v, (name, values) in self.names.items()}

    def drop_unused(self, wanted: set[str]) -> set[str]:
        """Leave out nodes that nothing needs; the names that are needed."""
        kept = []
        for node in reversed(self.graph.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted |= set(node.input)
        self.graph.nodes = kept[::-1]
        counts: dict[str, int] = {}
        for node in self.graph.nodes:  # numbered anew, without those that were dropped
            stem = node.name[:node.name.rindex(node.op_type)] + node.op_type
            number = counts[stem] = counts.get(stem, -1) + 1
            node.name = f"{stem}_{number}" if number else stem
        return wanted

    def dimension(self, n: Any) -> Any:
        """A size in an output's shape: a number, the name of a dynamic axis, or None for what follows from them."""
        if not isinstance(n, Size):
            return n
        terms = self.graph.axes.polynomial(n.values)
        if terms is not None and len(terms) == 1:
            (product, factor), = terms.items()
            if factor == 1 and len(product) == 1:
                return product[0]
        return None

    # ---- values

    def name_of(self, values: tuple[Value, ...]) -> str:
        """The name of what the traces have here. Raises Mismatch where they have different things."""
        found = self.names.get(values[0])
        if found is not None:
            if found[1] != values:
                raise Mismatch("different tensors")
            return found[0]
        if any(v.array is None for v in values):
            raise Mismatch("a constant in one trace, a computed tensor in another")
        own = self.state.get(id(values[0].array))
        if own is None:
            name = self.graph.constant(merge([v.array for v in values]))
        else:
            name = self.graph.initializer(own, values[0].array)
        self.names[values[0]] = name, values
        return name

    def entry(self, use: Use, i: int) -> str | None:
        """The name of an input, in the dtype that the op takes it in."""
        value = use.inputs[i]
        if value is None:
            return None
        if isinstance(value, Value):
            return self.graph.cast(self.name_of(tuple(c.inputs[i] for c in use.calls)), value.dtype, use.dtypes[i])
        return self.graph.constant(use.number(i), use.dtypes[i])

    # ---- calls

    def walk(self, traces: list[list[Call]]) -> None:
        """Convert calls one after the other."""
        for calls in zip(*traces, strict=False):
            self.convert(list(calls))
        if len({len(t) for t in traces}) > 1:
            longest = max(traces, key=len)
            self.diverged(longest[min(map(len, traces))])

    def diverged(self, call: Call) -> None:
        """The traces are not of the same ops."""
        raise ExportError(
            f"onnx.export: {self.place(call)}: the ops that are called depend on the batch, or on what is in it (here "
            f"{call.op.name}); a file has one fixed sequence of ops. Take an `if` or a loop over a dynamic axis out of the "
            "model, or pass dynamic_axes={} to export for the example's sizes alone")

    def convert(self, calls: list[Call]) -> None:
        """Convert a call, which the traces have in common."""
        first = calls[0]
        if any(c.op is not first.op or len(c.inputs) != len(first.inputs) for c in calls):
            self.diverged(first)
        use, graph = Use(calls), self.graph
        graph.layer = self.path(first)
        own = first.op is not table.get(first.op.name, first.op)  # a user's, with the name of one of ours
        function = None if own else converters.get(first.op.name)
        reason: Exception | None = None
        if function is not None:
            try:
                result = function(graph, use, *[self.entry(use, i) for i in range(use.arity)])
                results = result if isinstance(result, tuple) else (result,)
                for name, *values in zip(results, *[c.outputs for c in calls], strict=True):
                    self.names.setdefault(values[0], (name, tuple(values)))
                return
            except (Unsupported, Mismatch) as error:
                reason = error
        if all(c.inside is not None for c in calls):
            self.walk([c.inside or [] for c in calls])
            return
        shown = ", ".join(f"{v.dtype}{v.shape}" if isinstance(v, Value) else repr(v) for v in first.inputs)
        why = f"has no ONNX counterpart: {reason}" if reason is not None else "has no ONNX counterpart"
        if isinstance(reason, Mismatch):
            why = f"depends on what is in the inputs, or on their sizes in a way that cannot be written ({reason})"
        fix = ("; compute it before or after the file, write it with other ops, or register a converter with "
               f"chainrule.onnx.converter({first.op.name!r})") if function is None else ""
        raise ExportError(f"onnx.export: {self.place(first)}: {first.op.name}({shown}) {why}{fix}") from reason

    def path(self, call: Call) -> str:
        """The path of the innermost layer that was being called."""
        return next((self.paths[id(m)] for m in reversed(call.layers) if id(m) in self.paths), "")

    def place(self, call: Call) -> str:
        """The layer in words."""
        innermost = next((m for m in reversed(call.layers) if id(m) in self.paths), None)
        if innermost is None:
            return "outside of layers"
        path = self.path(call)
        return f"in layer {type(self.target).__name__}{'.' + path if path else ''} ({innermost.head()})"
