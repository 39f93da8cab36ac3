"""The graph: nodes, and ops as rows of a table.

Calling an op computes with the kernel of its name and, where an input has a node, makes a node for the result. The node
keeps what the op's derivative formulas ask for and refers to its inputs' nodes; `derivatives.py` walks it backward.
"""

import sys
from inspect import signature
from itertools import count
from typing import Any

import numpy as np

from chainrule import dtypes, kernels
from chainrule.devices import together
from chainrule.dtypes import FLOATING, REAL
from chainrule.errors import AutogradError, DtypeError, ShapeError, explain
from chainrule.kernels import BY_TYPE
from chainrule.names import autograd, ops
from chainrule.state import Flag, noting, special, state
from chainrule.tensor import Tensor, View

tick = count().__next__
new: Any = object.__new__
getframe = sys._getframe
ndarray = np.ndarray
SCALARS = frozenset({int, float, bool, complex})
UNCHANGING = [-1]  # the time of the last write to what cannot be written: scalars
table: dict[str, "Op"] = {}
OPTIONS = {"forward", "word", "floats", "views", "adds", "broadcasts", "promotes"}  # of Op, besides formulas


class no_grad(Flag):
    """Record nothing inside, in this thread: `with chainrule.no_grad(): ...` (or as a decorator).

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> with cr.no_grad():
    ...     (x * x).requires_grad
    False
    """


class enable_grad(Flag):
    """Record inside, even within `no_grad`."""

    value = True


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.recording


class Node:
    """One recorded call: what the backward pass needs of it, and edges to the nodes of its inputs.

    Nodes refer to nodes and to kept arrays, never to the tensor they computed: so there are no reference cycles, and data
    that nobody kept is freed. A leaf's node has no op, and holds the leaf's gradient.
    """

    __slots__ = ("op", "parents", "plan", "kept", "writes", "static", "kernels", "shape", "dtype", "order", "code",
                 "instruction", "hooks", "grad", "retain", "__weakref__")
    op: Any  # None for a leaf
    parents: tuple["Node | None", ...]  # one per input; None where the input has no history
    plan: Any  # which formulas will run, and where their arguments come from
    kept: Any  # the arrays that the formulas ask for, as plan.keep lists them; None once freed
    writes: tuple[list[int], ...]  # for each, the time of the last in-place write to its memory
    static: dict[str, Any]  # the keywords of the call
    kernels: Any  # the backend it was computed with
    shape: Any  # a tuple; of a call with several outputs, a tuple of theirs
    dtype: Any
    order: int  # the time of the call: creation order is a topological order
    code: Any  # where the call stands: code object and instruction, never a frame
    instruction: int
    hooks: Any
    grad: Any  # for leaves, and after retain_grad(): the gradient so far
    retain: bool

    @property
    def next_functions(self) -> tuple[tuple["Node | None", int], ...]:
        """The nodes this one's gradient flows to, each with the index of the output that was used."""
        return tuple((p, 0) for p in self.parents)

    @property
    def name(self) -> str:
        """The op's name in CamelCase; a leaf's is AccumulateGrad."""
        return "AccumulateGrad" if self.op is None else "".join(w.capitalize() for w in self.op.name.split("_"))

    def place(self) -> str:
        """`file:line, in function`: where the op was called."""
        if self.code is None:
            return "an unknown place"
        line = next((n for start, end, n in self.code.co_lines() if n and start <= self.instruction < end), 0)
        return f"{self.code.co_filename}:{line}, in {self.code.co_name}"

    def __repr__(self) -> str:
        return f"<{self.name}>"


def leaf(array: Any) -> Node:
    """The node of a leaf: the end of a path, where gradients accumulate."""
    node: Node = new(Node)
    node.op, node.parents, node.plan, node.kept, node.writes, node.static, node.kernels = None, (), None, (), (), {}, None
    node.shape, node.dtype, node.order, node.code, node.instruction = array.shape, array.dtype, tick(), None, 0
    node.hooks = node.grad = None
    node.retain = True
    return node


_inside: dict[str, bool] = {}  # file name -> whether it is one of ours


def call_site(depth: int) -> tuple[Any, int]:
    """Where an op was called, as code object and instruction: the nearest frame outside this package."""
    frame = getframe(depth + 1)
    while True:
        code = frame.f_code
        inside = _inside.get(code.co_filename)
        if inside is None:
            inside = frame.f_globals.get("__name__", "").partition(".")[0] == "chainrule"
            _inside[code.co_filename] = inside
        if not inside or frame.f_back is None:
            return code, frame.f_lasti
        frame = frame.f_back


def record(op: Any, plan: Any, inputs: Any, nodes: Any, out: Tensor, static: dict[str, Any], xp: Any) -> Node:
    """Make the node of a call and hang it on its result."""
    node: Node = new(Node)
    node.op, node.parents, node.plan, node.static, node.kernels = op, tuple(nodes), plan, static, xp
    data = out._data
    node.shape, node.dtype, node.order = data.shape, data.dtype, tick()
    node.hooks = node.grad = None
    node.retain = False
    kept, writes = [], []
    for i in plan.keep:
        t = out if i < 0 else inputs[i]
        if isinstance(t, Tensor):
            kept.append(t._data)
            writes.append(t._version)
        else:
            kept.append(t)
            writes.append(UNCHANGING)
    node.kept, node.writes = tuple(kept), tuple(writes)
    node.code, node.instruction = call_site(2)
    out._node = node
    return node


def wrap(array: Any, node: Node | None = None) -> Tensor:
    """A Tensor around a raw array, unchecked."""
    out: Tensor = new(Tensor)
    out._data = array if array.__class__ in BY_TYPE or kernels.is_array(array) else np.asarray(array)
    out._node, out._version, out._view = node, [-1], None
    return out


def kept_values(node: Node, xp: Any) -> Any:
    """What the node kept: raw arrays, or Tensors with their histories where the walk itself is recorded.

    Raises AutogradError where the graph was freed, or a kept array was written to after the node was made.
    """
    if node.kept is None:
        raise AutogradError(
            f"backward through {node.op.name} a second time (called at {node.place()}): the first walk freed what it had "
            "kept. Pass retain_graph=True to the first, or compute the result anew")
    order = node.order
    for array, write in zip(node.kept, node.writes):
        if write[0] > order:
            raise AutogradError(
                f"{node.op.name}, called at {node.place()}, needs a value for its derivative that was changed in place since "
                f"({array.dtype}{array.shape}). Write to a clone() instead, or after backward")
    if xp is not ops:
        return node.kept
    values = []
    for i, array in zip(node.plan.keep, node.kept):
        if kernels.is_array(array):
            array = wrap(array, node if i == OUT else node.parents[i] if i >= 0 else None)
        values.append(array)
    return values


def share(op: Any, source: Any, out: Tensor, static: dict[str, Any]) -> bool:
    """Make `out` a view of `source` if it shares its memory: one counter of writes for both, and the way from the base."""
    array, base = source._data, out._data.base
    if base is None or not (base is array or base is array.base or np.may_share_memory(out._data, array)):
        return False
    out._version = source._version
    if state.recording:  # made under no_grad it shares memory as detach() does, and never gets a history
        view = source.current_view()
        owner, path = (source, ()) if view is None else (view.base, view.path)
        out._view = View(owner, (*path, (op.name, static)), owner._version[0])
    return True


def unbroadcast(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum g over the axes along which an input of this shape was repeated: the adjoint of broadcasting."""
    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 != g.shape[lead + i])
    return xp.reshape(xp.sum(g, axis=axes), shape)


OUT, EXTRA = -1, -2  # what a node may keep besides inputs: the result, a kernel's by-product


class Plan:
    """For one pattern of inputs that have nodes: what to keep (inputs by number, OUT, EXTRA), and each wanted formula with
    where its arguments are."""

    __slots__ = ("keep", "calls")

    def __init__(self, keep: tuple[int, ...], calls: tuple[Any, ...]) -> None:
        self.keep, self.calls = keep, calls


class Plans(dict[int, Plan | None]):
    """An op's plans by bit pattern, each made when it is first asked for."""

    def __init__(self, op: "Op") -> None:
        super().__init__()
        self.op = op

    def __missing__(self, pattern: int) -> Plan | None:
        found = self[pattern] = self.op.plan(pattern)
        return found


class Slopes(dict[Any, Any]):
    """A row's kernel `<name>_grad` of each backend that was asked for it, None where there is none."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __missing__(self, xp: Any) -> Any:
        found = self[xp] = getattr(xp, self.name + "_grad", None)
        return found


class Op:
    """A row of the table: an operation and, for each input, the formula of its derivative.

    `Op("multiply", a=lambda xp, g, b: g * b, b=lambda xp, g, a: g * a)`: the formula of input `a` turns the gradient `g` of
    the result into that of `a`. `xp` is a namespace of functions over raw arrays, or `ops` itself, over Tensors, when the
    walk is to be recorded: so one formula serves derivatives of any order. Its further parameters say what it needs,
    and what is to be kept from the forward pass: an input, `out`, a keyword of the call, or `<its own input>_shape`.
    An input with `None` for a formula has no derivative. A row with one formula `each` takes any number of inputs; it
    may ask for `position`, the input's index.

    Words: `elementwise` (broadcasting, each output element depends on the inputs' elements beside it), `linear` (in its
    one input or in all), `bilinear` (in two inputs). They give shortcuts to forward mode. `floats`: integers are
    converted first. `views`: the result may share memory with the first input. `adds`: for a result that is a part of its
    input, the kernel that adds the part's gradient to an array in place.

    `forward(xp, *inputs, **keywords)` computes the op where no kernel has its name: so users make their own,
    which stay out of the table. Beside a row with a single formula a backend may have a kernel `<name>_grad(g, ...)`, which
    takes what the formula asks for and returns `(gradient,)`, made in one pass, or NotImplemented: then the formula serves.

    >>> import chainrule as cr
    >>> cube = cr.Op("cube", forward=lambda xp, x: x * x * x, x=lambda xp, g, x: 3 * g * x * x)
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> cube(x).backward(); x.grad
    tensor(12.)
    """

    accumulates = ""  # the kernel that adds the gradient of the second input to an array, (array, g, first input) -> whether it did

    def __new__(cls, *args: Any, **options: Any) -> "Op":
        if cls is Op and options.get("forward") is None:
            from chainrule.quick import class_for

            cls = class_for({k: v for k, v in options.items() if k not in OPTIONS})
        return object.__new__(cls)

    def __init__(self, name: str, doc: str = "", *, forward: Any = None, word: str = "", floats: bool = False,
                 views: bool = False, adds: str = "", broadcasts: bool | None = None, promotes: bool = True,
                 **formulas: Any) -> None:
        self.name, self.__doc__, self.forward, self.word, self.views = name, doc or type(self).__doc__, forward, word, views
        self.floats, self.promotes, self.adds, self.outputs = floats, promotes, adds, 1
        self.broadcasts = (word == "elementwise") if broadcasts is None else broadcasts
        self.variadic = tuple(formulas) == ("each",)
        self.inputs, self.formulas = tuple(formulas), tuple(formulas.values())
        self.differentiable = any(f is not None for f in self.formulas)
        self.asks = tuple(None if f is None else self._asked(i, f) for i, f in zip(self.inputs, self.formulas, strict=True))
        self.plans = Plans(self)
        self.slopes = Slopes(name) if forward is None and len(formulas) - self.asks.count(None) == 1 else None
        if forward is None:
            self.enter()

    def enter(self) -> None:
        """Put the op into the table and the ops namespace. ValueError where they have one of its name."""
        if self.name in table:
            raise ValueError(f"Op {self.name!r}: the table has a row of this name already")
        table[self.name] = self
        setattr(ops, self.name, self)

    def _asked(self, own: str, formula: Any) -> tuple[str, ...]:
        names = tuple(signature(formula).parameters)[2:]
        for n in names:
            if n.endswith("_shape") and n[:-6] in self.inputs and n[:-6] != own:
                raise ValueError(f"Op {self.name!r}: the formula of {own!r} asks for {n!r}; it may only ask for {own}_shape")
        return names

    def plan(self, pattern: int) -> Plan | None:
        """The plan for a call of which the inputs in the bit pattern have nodes; None to record nothing."""
        keep: list[int] = []
        calls = []
        for i in range(pattern.bit_length()):
            row = 0 if self.variadic else i
            asked = self.asks[row] if row < len(self.asks) else None
            if not pattern >> i & 1 or asked is None:
                continue
            sources: list[Any] = []
            for name in asked:
                if name == "out" or (name in self.inputs and not self.variadic):
                    index = OUT if name == "out" else self.inputs.index(name)
                    if index not in keep:
                        keep.append(index)
                    sources.append(keep.index(index))
                elif name == self.inputs[row] + "_shape":
                    sources.append(SHAPE)
                elif name == "position" and self.variadic:
                    sources.append((i,))
                else:
                    sources.append(name)
            calls.append((i, self.formulas[row], tuple(sources)))
        return Plan(tuple(keep), tuple(calls)) if calls else None

    def __call__(self, *inputs: Any, **static: Any) -> Tensor:
        if special.count and state.autocast is not None:
            inputs = state.autocast.inputs(self.name, inputs)
        arrays: list[Any] = []
        nodes: list[Any] = []
        pattern, bit = 0, 1  # which inputs have nodes, as bits
        dtype: Any = None
        even = True
        for t in inputs:
            if isinstance(t, Tensor):
                array = t._data
                node = t._node if t._view is None else t.node
                if node is not None:
                    pattern |= bit
                if array.dtype is not dtype:
                    if dtype is None:
                        dtype = array.dtype
                    else:
                        even = False
            elif t.__class__ in SCALARS:
                array, node = t, None
                if dtype is None or dtype.kind == "V" or t.__class__ is complex:
                    even = False
            else:
                return self(*[convert(self, t) for t in inputs], **static)
            arrays.append(array)
            nodes.append(node)
            bit <<= 1
        if len(BY_TYPE) > 1:
            moved, device = together(self, inputs)
            if device is not None:
                with device:
                    return self(*moved, **static)
            if moved is not inputs:
                return self(*moved, **static)
        if not even or (dtype.kind not in REAL and (self.floats or len(arrays) > 1)):
            arrays = self._harmonise(arrays)
        flagged = special.count
        xp = BY_TYPE.get(arrays[0].__class__) or kernels.of(_first(arrays))
        if flagged and state.backend is not None:
            xp = kernels.forced(xp)
        try:
            if self.forward is None:
                data = getattr(xp, self.name)(*arrays, **static)
            else:
                data = self.forward(xp, *arrays, **static)
        except Exception as error:
            raise explain(self, inputs, static, error) from (None if isinstance(error, ValueError) else error)
        if data.__class__ not in BY_TYPE:
            data = np.asarray(data)
        out: Tensor = new(Tensor)
        out._data = data
        out._node = out._view = None
        if not (self.views and share(self, inputs[0], out, static)):
            out._version = [-1]
        if pattern and state.recording:
            plan = self.plans[pattern]
            if plan is not None and data.dtype.kind in FLOATING:
                record(self, plan, inputs, nodes, out, static, xp)
        if flagged and state.tracer is not None:
            state.tracer.called(self, inputs, arrays, static, out, xp)
        return out

    def _harmonise(self, arrays: list[Any]) -> list[Any]:
        """Bring the inputs to one dtype by the rules of dtypes.py. Inputs without a formula keep theirs."""
        which = [i for i, a in enumerate(arrays) if self.promotes and (
            self.variadic or not self.differentiable or (i < len(self.formulas) and self.formulas[i] is not None))]
        strong = [arrays[i].dtype for i in which if hasattr(arrays[i], "dtype")]
        common = dtypes.promote(*strong) if strong else None
        for i in which:
            if arrays[i].__class__ in SCALARS:
                wanted = dtypes.of_scalar(arrays[i], common)
                common = wanted if common is None else dtypes.promote(common, wanted)
        if common is None:
            return arrays
        if self.floats and common.kind in "biu":
            common = dtypes.get_default_dtype()
        out = list(arrays)
        for i in which:
            if out[i].__class__ in SCALARS:
                if common.kind not in "fc" or not strong:  # NumPy takes bfloat16 for no float: there too
                    out[i] = common.type(out[i])
            elif out[i].dtype != common:
                out[i] = out[i].astype(common)
        return out

    def terms(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[int, Node, Any]]:
        """What each wanted formula gives for the result's gradient g: (input, its node, gradient), still broadcast."""
        values = kept_values(node, xp)
        static, out = node.static, []
        kernel = None if self.slopes is None or (xp is ops and (state.recording or noting() is None)) else self.slopes[node.kernels]
        for i, formula, sources in node.plan.calls:
            parent = node.parents[i]
            if parent is None or (needed is not None and parent not in needed):
                continue
            args = []
            for s in sources:
                if s.__class__ is int:
                    args.append(values[s])
                elif s.__class__ is str:
                    args.append(static[s])
                else:
                    args.append(parent.shape if s is SHAPE else s[0])
            d = None if kernel is None else self._in_one_pass(kernel, xp, g, args)
            out.append((i, parent, formula(xp, g, *args) if d is None else d))
        return out

    def _in_one_pass(self, kernel: Any, xp: Any, g: Any, args: list[Any]) -> Any:
        """The formula's value by the row's gradient kernel; None where that declines."""
        if xp is ops:  # over Tensors but not to be differentiated: a compiled step is being recorded
            found = noting().gradients_computed(self, kernel, g, [a._data if isinstance(a, Tensor) else a for a in args])
        else:
            found = kernel(g, *args)
        return None if found is NotImplemented else found[0]

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """The gradients of the inputs, given that of the result: (parent node, gradient) pairs of the parents' shapes and
        dtypes. Where broadcasting repeated an input, the gradients of its copies are summed."""
        out = []
        for i, parent, d in self.terms(node, g, xp, needed):
            if d.shape != parent.shape:
                if not self.broadcasts:
                    raise ShapeError(f"{self.name}: the derivative formula of input {i} gave shape {tuple(d.shape)} for an "
                                     f"input of shape {parent.shape}")
                d = unbroadcast(xp, d, parent.shape)
            if d.dtype is not parent.dtype and d.dtype != parent.dtype:
                d = xp.astype(d, parent.dtype)
            out.append((parent, d))
        return out

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)})>"


class _Source:
    """A mark in a plan."""


SHAPE = _Source()  # the argument is the input's own shape


def _first(arrays: list[Any]) -> Any:
    """The first array among scalars."""
    return next((a for a in arrays if kernels.is_array(a)), np.zeros(()))


def convert(op: Op, value: Any) -> Any:
    """What an op takes for an input: tensors and Python numbers as they are, arrays and lists as tensors."""
    if isinstance(value, Tensor) or value.__class__ in SCALARS:
        return value
    if isinstance(value, float):
        return float(value)  # np.float64 among others: weak, as Python's
    if isinstance(value, np.ndarray | np.generic | list | tuple):
        return autograd.as_tensor(value)
    if kernels.is_array(value):
        return autograd.as_tensor(value)
    if hasattr(value, "__array__"):
        return autograd.as_tensor(np.asarray(value))
    raise DtypeError(f"{op.name}: expected a tensor, an array or a number, got {type(value).__name__} {value!r:.60}")


autograd.leaf, autograd.tick = leaf, tick
