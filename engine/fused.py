"""Fused ops: an op that *is* its definition, and that a backend may make quick with a pair of kernels."""

from inspect import Parameter, signature
from typing import Any

from chainrule import kernels
from chainrule.derivatives import gradients
from chainrule.devices import together
from chainrule.dtypes import REAL
from chainrule.errors import explain
from chainrule.graph import EXTRA, OUT, SCALARS, UNCHANGING, Node, Op, Plan, convert, kept_values, record, wrap
from chainrule.kernels import BY_TYPE
from chainrule.names import ops
from chainrule.state import Flag, noting, special, state
from chainrule.tensor import Tensor


class Pick(Op):
    """One output of a call that has several: its node sits above the shared one, which collects the gradients of all
    outputs in a list, None for those that were not used."""

    def __init__(self) -> None:
        super().__init__("pick", forward=lambda xp, x, *, index: x, x=None)

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """Hands the gradient on, with its place in the list (see `derivatives.walk`)."""
        shared = node.parents[0]
        assert shared is not None
        return [(shared, (node.static["index"], g))]


pick = Pick()


class Layout(Plan):
    """What a fused call keeps: every input (the definition may have to run again), for its gradient kernel `out`, and the extras.
    `calls` has their names, `first` the plan without the extras, and `asked` says for each argument of the gradient
    kernel where it is: a place among what is kept, the name of an option, or None for `wanted`."""

    __slots__ = ("first", "extras", "asked")

    def __init__(self, inputs: tuple[str, ...], asks: tuple[str, ...], extras: tuple[str, ...]) -> None:
        self.first = Plan((*range(len(inputs)), *[OUT] * ("out" in asks)), ())
        self.extras = tuple(name for name in extras if name in asks)
        names = (*inputs, *["out"] * ("out" in asks), *self.extras)
        super().__init__(self.first.keep + (EXTRA,) * len(self.extras), names)
        self.asked = tuple(None if name == "wanted" else names.index(name) if name in names else name for name in asks)


class Fused(Op):
    """An op given by its definition against a namespace `xp`: documentation, reference in every test, fallback, and
    second derivative, all in one.

    Positional parameters after `xp` are the inputs (some may be None), keyword-only ones the options. A backend may have
    kernels `name(*inputs, **options)`, which returns the result or `(result, extras)` with a dict of arrays worth
    keeping, and `name_grad(g, ...)`, which asks by parameter name for inputs, `out`, extras, options and `wanted` (for
    each input whether its gradient is asked for), and returns a gradient, or None, for each input. Either may return
    NotImplemented: then the definition runs. With several outputs `g` is a list with None for those that were not used.

    >>> import chainrule as cr
    >>> @cr.fused
    ... def swish(xp, x, *, beta=1.0):
    ...     return x / (1 + xp.exp(-beta * x))
    >>> cr.gradcheck(swish, (cr.tensor([0.5, -1.0], dtype=cr.float64, requires_grad=True),))
    True
    """

    def __init__(self, definition: Any, *, outputs: int = 1) -> None:
        self.definition = definition
        parameters = list(signature(definition).parameters.values())[1:]
        names = [p.name for p in parameters if p.kind is not Parameter.KEYWORD_ONLY]
        formulas: dict[str, Any] = dict.fromkeys(names)  # none: its derivative is that of its definition
        super().__init__(definition.__name__, definition.__doc__ or "", forward=definition, **formulas)
        self.outputs = outputs
        self.defaults = {p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY
                         and p.default is not Parameter.empty}
        self.pairs: dict[Any, Any] = {}  # kernels namespace -> (kernel, its gradient kernel, what that asks for)
        self.layouts: dict[Any, Layout] = {}  # (kernels namespace, *names of extras) -> what is kept

    def _pair(self, xp: Any) -> Any:
        """The backend's kernels for this op: (forward, backward, the backward's parameter names), or None."""
        forward, backward = getattr(xp, self.name, None), getattr(xp, self.name + "_grad", None)
        found = None
        if forward is not None and backward is not None:
            found = forward, backward, tuple(signature(backward).parameters)[1:]
        self.pairs[xp] = found
        return found

    def __call__(self, *inputs: Any, **static: Any) -> Any:
        if special.count and state.autocast is not None:
            inputs = state.autocast.inputs(self.name, inputs)
        tensors: list[Any] = []
        arrays: list[Any] = []
        nodes: list[Any] = []
        backend = dtype = None
        even, recorded = True, False  # whether the floating-point arrays have one dtype; whether an input has a node
        for t in inputs:
            if t is not None and t.__class__ not in SCALARS and not isinstance(t, Tensor):
                t = convert(self, t)
            array, node = t, None
            if isinstance(t, Tensor):
                array, node = t._data, t._node if t._view is None else t.node
                recorded = recorded or node is not None
                if array.dtype is not dtype and array.dtype.kind in REAL:
                    even = dtype is None or (even and array.dtype == dtype)
                    dtype = array.dtype
                if backend is None:
                    backend = BY_TYPE.get(array.__class__) or kernels.of(array)
            tensors.append(t)
            arrays.append(array)
            nodes.append(node)
        for _ in range(len(self.inputs) - len(tensors)):
            tensors.append(None)
            arrays.append(None)
            nodes.append(None)
        if len(BY_TYPE) > 1:
            moved, device = together(self, tensors)
            if device is not None:
                with device:
                    return self(*moved, **static)
            if moved is not tensors:
                return self(*moved, **static)
        flagged = special.count
        recording = noting() if flagged else None
        if flagged and state.tracer is not None and recording is None:
            return state.tracer.defined(self, tensors, {**self.defaults, **static}, self.definition)
        xp = backend
        if flagged and state.backend is not None:
            xp = kernels.forced(backend)
        pair = self.pairs[xp] if xp in self.pairs else self._pair(xp)
        if pair is None or dtype is None or not even:
            return self.definition(ops, *tensors, **static)
        static = {**self.defaults, **static}
        try:
            result = pair[0](*arrays, **static)
        except Exception as error:
            raise explain(self, inputs, static, error) from error
        if result is NotImplemented:
            return self.definition(ops, *tensors, **static)
        extras: dict[str, Any] = {}
        has_extras = isinstance(result, tuple) and isinstance(result[-1], dict)
        if has_extras:
            result, extras = result
        outs = (wrap(result),) if self.outputs == 1 else tuple(wrap(r) for r in result)
        if recording is not None:
            recording.computed(self, pair[0], tensors, static, outs, extras if has_extras else None)
        recorded = recorded and (not flagged or state.recording)
        if self.outputs == 1:
            if recorded:
                self._record(tensors, nodes, outs[0], static, xp, extras)
            return outs[0]
        if recorded:
            first = wrap(outs[0]._data)
            first._version = outs[0]._version  # a write to the output is a write to the `out` that is kept
            shared = self._record(tensors, nodes, first, static, xp, extras)
            shared.shape = tuple(o.shape for o in outs)
            for i, out in enumerate(outs):
                record(pick, Plan((), ()), (), [shared], out, {"index": i}, xp)
        return outs

    def _record(self, tensors: Any, nodes: Any, out: Tensor, static: Any, xp: Any, extras: dict[str, Any]) -> Node:
        """Make the node of a call by the backend's kernels: see `Layout`."""
        layout = self.layouts.get((xp, *extras))
        if layout is None:
            layout = self.layouts[(xp, *extras)] = Layout(self.inputs, self.pairs[xp][2], tuple(extras))
        node = record(self, layout.first, tensors, nodes, out, static, xp)
        if layout.extras:
            node.kept += tuple([extras[name] for name in layout.extras])
            node.writes += (UNCHANGING,) * len(layout.extras)
        node.plan = layout
        return node

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """By the backend's gradient kernel, or by differentiating the definition."""
        wanted = tuple([p is not None and (needed is None or p in needed) for p in node.parents])
        recording = noting() if not state.recording else None
        if xp is not ops or recording is not None:
            backward, static, values = self.pairs[node.kernels][1], node.static, kept_values(node, node.kernels)
            arguments = [values[place] if place.__class__ is int else wanted if place is None else static[place]
                         for place in node.plan.asked]
            result = backward(g, *arguments) if recording is None else recording.gradients_computed(self, backward, g, arguments)
            if result is not NotImplemented:
                return [(p, d if d.dtype is p.dtype else d.astype(p.dtype, copy=False))
                        for p, d, w in zip(node.parents, result, wanted, strict=True) if w and p is not None]
        values = kept_values(node, ops)[: len(self.inputs)]
        return self.replay(node, values, g, xp is ops and state.recording, wanted)

    def replay(self, node: Node, values: Any, g: Any, create_graph: bool, wanted: Any) -> list[tuple[Node, Any]]:
        """Run the definition again, recorded and cut at the inputs that have a node, and differentiate that."""
        with Flag(True):
            cut = [ops.identity(v) if p is not None else v for v, p in zip(values, node.parents, strict=True)]
            out = self.definition(ops, *cut, **node.static)
        outs = out if isinstance(out, tuple) else (out,)
        given = g if self.outputs > 1 else [g]
        roots = [(o.node, d) for o, d in zip(outs, given, strict=True) if d is not None and o.node is not None]
        targets = [c.node for c, w in zip(cut, wanted, strict=True) if w]
        answers = iter(gradients(roots, targets, create_graph, retain_graph=create_graph))
        pairs = [(p, next(answers)) for p, w in zip(node.parents, wanted, strict=True) if w and p is not None]
        return [(p, d) for p, d in pairs if d is not None]


def fused(definition: Any = None, *, outputs: int = 1) -> Any:
    """Decorator: make a fused op of a definition `name(xp, *inputs, *, options)`. See `Fused`."""
    if definition is None:
        return lambda d: Fused(d, outputs=outputs)
    return Fused(definition, outputs=outputs)


def register(op: Fused) -> Fused:
    """Put a fused op of ours into the table and the ops namespace."""
    op.enter()
    return op
