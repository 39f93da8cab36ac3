"""Fused ops: an op that *is* its definition, and that a backend may make quick with a pair of kernels."""

from inspect import Parameter, signature
from typing import Any

from chainrule import kernels
from chainrule.derivatives import gradients
from chainrule.errors import explain
from chainrule.graph import EXTRA, OUT, SCALARS, UNCHANGING, Node, Op, Plan, convert, kept_values, record, wrap
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

    def _pair(self, xp: Any) -> Any:
        """The backend's kernels for this op: (forward, backward, the backward's parameter names), or None."""
        forward, backward = getattr(xp, self.name, None), getattr(xp, self.name + "_grad", None)
        found = None
        if forward is not None and backward is not None:
            found = forward, backward, tuple(signature(backward).parameters)[1:]
        self.pairs[xp] = found
        return found

    def __call__(self, *inputs: Any, **static: Any) -> Any:
        tensors = [t if t is None or isinstance(t, Tensor) or t.__class__ in SCALARS else convert(self, t) for t in inputs]
        tensors += [None] * (len(self.inputs) - len(tensors))
        recording = noting() if special.count else None
        if special.count and state.tracer is not None and recording is None:
            return state.tracer.defined(self, tensors, {**self.defaults, **static}, self.definition)
        arrays = [t._data if isinstance(t, Tensor) else t for t in tensors]
        xp = state.backend or kernels.of(next(a for a in arrays if hasattr(a, "dtype")))
        pair = self.pairs[xp] if xp in self.pairs else self._pair(xp)
        if pair is None or len({a.dtype for a in arrays if hasattr(a, "dtype") and a.dtype.kind == "f"}) != 1:
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
        nodes = [t.node if isinstance(t, Tensor) else None for t in tensors]
        outs = (wrap(result),) if self.outputs == 1 else tuple(wrap(r) for r in result)
        if recording is not None:
            recording.computed(self, pair[0], tensors, static, outs, extras if has_extras else None)
        if self.outputs == 1:
            out = outs[0]
            if state.recording and any(nodes):
                self._record(tensors, nodes, out, static, xp, extras)
            return out
        if state.recording and any(nodes):
            first = wrap(outs[0]._data)
            first._version = outs[0]._version  # a write to the output is a write to the `out` that is kept
            shared = self._record(tensors, nodes, first, static, xp, extras)
            shared.shape = tuple(o.shape for o in outs)
            for i, out in enumerate(outs):
                record(pick, Plan((), ()), (), [shared], out, {"index": i}, xp)
        return outs

    def _record(self, tensors: Any, nodes: Any, out: Tensor, static: Any, xp: Any, extras: dict[str, Any]) -> Node:
        """The node keeps every input (the definition may have to run again), and for the kernel `out` and the extras."""
        asks = self.pairs[xp][2]
        keep = tuple(range(len(tensors))) + ((OUT,) if "out" in asks else ())
        node = record(self, Plan(keep, ()), tensors, nodes, out, static, xp)
        kept = {name: array for name, array in extras.items() if name in asks}
        node.kept += tuple(kept.values())
        node.writes += (UNCHANGING,) * len(kept)
        names = (*self.inputs, *(("out",) if "out" in asks else ()), *kept)
        node.plan = Plan(keep + (EXTRA,) * len(kept), names)
        return node

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """By the backend's gradient kernel, or by differentiating the definition."""
        wanted = tuple(p is not None and (needed is None or p in needed) for p in node.parents)
        recording = noting() if not state.recording else None
        if xp is not ops or recording is not None:
            _, backward, asks = self.pairs[node.kernels]
            found = dict(zip(node.plan.calls, kept_values(node, node.kernels), strict=True)) | node.static | {"wanted": wanted}
            arguments = [found[name] for name in asks]
            result = backward(g, *arguments) if recording is None else recording.gradients_computed(self, backward, g, arguments)
            if result is not NotImplemented:
                return [(p, d if d.dtype == p.dtype else d.astype(p.dtype))
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
