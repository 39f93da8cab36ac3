"""Derivatives: the walk back through the graph, and what is built on it.

The walk visits the nodes that led to a result, newest first. Creation order is a topological order (a node is made after
its parents), so when a node's turn comes all gradients flowing into it have arrived and have been added up: the
multivariate chain rule sums over every path. The node's formulas then hand a gradient to each of its parents.
"""

import sys
import threading
from operator import attrgetter
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.graph import Node, kept_values, tick, wrap
from chainrule.kernels import BY_TYPE, is_array
from chainrule.names import autograd, ops
from chainrule.state import Flag, changes, noting, state
from chainrule.tensor import Tensor

_deposits = threading.Lock()  # two threads may finish at the same leaf
_by_order = attrgetter("order")


def history(roots: list[Node], oldest: int) -> list[Node]:
    """All nodes that led to the roots, oldest first, without those made before `oldest`. Iterative: no depth is too deep."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for p in stack.pop().parents:
            if p is not None and p not in seen and p.order >= oldest:
                seen.add(p)
                stack.append(p)
    return sorted(seen, key=_by_order)


def leading_to(nodes: list[Node], wanted: set[Node]) -> set[Node]:
    """Those of the nodes (oldest first) from which a wanted node can be reached."""
    found = set()
    for node in nodes:
        if node in wanted or any(p in found for p in node.parents):
            found.add(node)
    return found


def walk(roots: list[tuple[Node, Any]], wanted: set[Node] | None, create_graph: bool, retain_graph: bool,
         border: bool = False) -> Any:
    """Push gradients from the roots down; yields (node, gradient, whether it is ours to keep) for each wanted node (None:
    for each leaf and each node with `retain`). With `border` it stops at the wanted nodes, and leaves their hooks alone.

    A gradient's first arrival at a node is borrowed, the second allocates the sum, later ones add in place: only arrays
    that the walk itself allocated are ever written.
    """
    grads: dict[Node, Any] = {}
    owned: set[Node] = set()
    anomaly = state.anomaly
    recording = noting()  # a compiled step is being recorded: formulas go over Tensors, so that it is told of every kernel
    lifted = create_graph or recording is not None
    several = None in BY_TYPE.values()  # GPUs: each step is computed where its gradient is
    straight = wanted is None and not create_graph and not anomaly  # all that arrives at a leaf is for its `.grad`
    for node, g in roots:
        grads[node] = grads[node] + g if node in grads else g
    oldest = 0 if not wanted else min(n.order for n in wanted)
    todo = history(list(grads), oldest)
    needed = None if wanted is None else leading_to(todo, wanted)
    while todo:
        node = todo.pop()
        g = grads.pop(node, None)
        if g is None:
            continue
        if several:
            kernels.follow(next((part for part in g if part is not None), None) if g.__class__ is list else g)
        if border and wanted is not None and node in wanted:
            yield node, g, node in owned
            continue
        if recording is not None:
            recording.walked(node)
        if node.hooks:
            g = run_hooks(node, g, lifted)
            owned.discard(node)
        if (node.retain if wanted is None else node in wanted):
            yield node, g, node in owned
        if owned:
            owned.discard(node)
        if node.op is None or (needed is not None and needed.isdisjoint(node.parents)):
            continue  # nothing wanted lies further down: what the node kept stays for other walks
        xp = ops if lifted else node.kernels
        part = node.op.adds if not create_graph else ""  # of a part's gradient only the part is not zero
        if part and node.parents[0] in owned:
            if recording is not None:
                recording.added(node, part, grads[node.parents[0]], g)
            else:
                getattr(xp, part)(grads[node.parents[0]], g, **node.static)
            continue
        left = into_leaf(node, g, recording) if straight and node.op.accumulates else needed
        for parent, d in node.op.vjp(node, g, xp, left):
            if anomaly:
                check_finite(node, d)
            if several:
                kernels.follow(d[1] if d.__class__ is tuple else d)
            before = grads.get(parent)
            if d.__class__ is tuple:  # from a Pick: one of several outputs
                index, d = d
                slots = grads.setdefault(parent, [None] * parent.op.outputs)
                slots[index] = d if slots[index] is None else slots[index] + d
            elif before is None:
                grads[parent] = d
            elif lifted:
                grads[parent] = before + d
                if not create_graph:
                    owned.add(parent)
            elif parent in owned and before.__class__ in BY_TYPE:
                np.add(before, d, out=before)
            else:
                grads[parent] = before + d
                owned.add(parent)
            if part:
                owned.add(parent)  # new zeros, in which the part was set
        d = None  # else the walk would be a second holder of the last one, and `own` would copy it
        if not retain_graph and node.kept:
            node.kept = None


def into_leaf(node: Node, g: Any, recording: Any) -> set[Node] | None:
    """Let a product add the gradient of its weight to the `.grad` that the leaf has: there is no array of it, and no sweep that
    adds. Returns the parents that are left; None for all, where the leaf has no gradient or has hooks, or the kernel declines."""
    leaf, kernel = node.parents[1], getattr(node.kernels, node.op.accumulates, None)
    if leaf is None or leaf.op is not None or leaf.hooks or node.parents.count(leaf) > 1 or kernel is None:
        return None
    x = kept_values(node, node.kernels)[0]
    with _deposits:
        if leaf.grad is None or leaf.grad.node is not None:
            return None
        target = leaf.grad._data
        if not (kernel(target, g, x) if recording is None else recording.accumulated(leaf, kernel, g, x)):
            return None
        leaf.grad._version[0] = tick()
    return {p for p in node.parents if p is not None and p is not leaf}


def check_finite(node: Node, d: Any) -> None:
    """Inside detect_anomaly: AutogradError at the first op whose derivative is NaN."""
    for value in d if isinstance(d, tuple) else (d,):
        array = value._data if isinstance(value, Tensor) else value
        if not isinstance(array, int) and np.isnan(array).any():
            raise AutogradError(f"the derivative of {node.op.name}, called at {node.place()}, has NaN")


class detect_anomaly(Flag):
    """Inside, backward raises AutogradError at the first op whose derivative has NaN, and says where the op was called.

    >>> import chainrule as cr
    >>> x = cr.tensor([0.0], requires_grad=True)
    >>> y = (x.sqrt() * 0).sum()
    >>> with cr.detect_anomaly():
    ...     y.backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    chainrule.errors.AutogradError: the derivative of sqrt, called at ... has NaN
    """

    name = "anomaly"
    value = True


def run_hooks(node: Node, g: Any, create_graph: bool) -> Any:
    """Call a node's hooks in order; each may replace the gradient."""
    for hook in list(node.hooks.values()):
        given = g if isinstance(g, Tensor) else wrap(g)
        answer = hook(given)
        if answer is not None:
            g = answer if isinstance(answer, Tensor) else wrap(answer if is_array(answer) else np.asarray(answer))
            if g.shape != node.shape:
                raise ShapeError(f"a hook on {node.name} returned shape {g.shape}, the gradient has {node.shape}")
            g = g if g.dtype == node.dtype else g.to(node.dtype)
            g = g if create_graph else g._data
    return g


class Handle:
    """What register_hook returns: `remove()` takes the hook away."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self.hooks, self.key = hooks, key

    def remove(self) -> None:
        """Take the hook away; again does nothing."""
        self.hooks.pop(self.key, None)
        changes.count += 1

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *problem: object) -> None:
        self.remove()


def add_hook(node: Node, hook: Any) -> Handle:
    """Hang a hook on a node."""
    if not callable(hook):
        raise TypeError(f"register_hook({hook!r}): a hook is a function of the gradient")
    if node.hooks is None:
        node.hooks = {}
    key = max(node.hooks, default=-1) + 1
    node.hooks[key] = hook
    return Handle(node.hooks, key)


def _holders(g: Any) -> int:
    return sys.getrefcount(g)


def _measure() -> int:
    """How many references `own` sees to an array that only the walk and its caller hold."""

    def like_walk() -> Any:
        g = np.zeros(1)
        yield None, g, False

    return next(_holders(d) for node, d, owned in like_walk())


_ALONE = _measure()


def _base_holders(view: Any) -> int:
    base = view.base
    return sys.getrefcount(base)


_BASE_ALONE = _base_holders(np.zeros((2, 3)).T)


def _has_all(g: Any) -> bool:
    """Whether an array owns its memory, or is a view of all elements of an array that nobody else holds."""
    base = g.base
    return base is None or (base.__class__ in BY_TYPE and base.base is None and base.size == g.size
                            and sys.getrefcount(base) <= _BASE_ALONE)


def own(g: Any, owned: bool) -> Any:
    """An array that nobody else holds: g itself where the walk allocated it or nobody kept it, else a copy."""
    if g.__class__ in BY_TYPE:
        if g.flags.c_contiguous and (owned or sys.getrefcount(g) <= _ALONE) and _has_all(g):
            return g
        return g.copy()
    return np.array(g) if isinstance(g, np.generic) else g.copy()


def initial_gradient(op: str, output: Tensor, given: Any, create_graph: bool) -> Any:
    """The gradient to start with: given, or 1 for a single element. Raw, or a Tensor where the walk is recorded."""
    if given is None:
        if output.numel() != 1:
            raise AutogradError(f"{op}: the output has shape {output.shape}; pass a gradient of that shape, or reduce it to one "
                                "element first, for example with .sum() or .mean()")
        if output._data.__class__ is np.ndarray and not create_graph and noting() is None:
            return np.ones(output._data.shape, output._data.dtype)
        with kernels.beside(output._data):
            given = Tensor(kernels.of(output._data).ones_like(output._data))
    given = given if isinstance(given, Tensor) else wrap(given if is_array(given) else np.asarray(given, output.dtype))
    if given.shape != output.shape:
        raise ShapeError(f"{op}: the gradient has shape {given.shape}, the output {output.shape}")
    if given.dtype != output.dtype:
        given = given.to(output.dtype)
    return given if create_graph or noting() is not None else given._data


def backward(output: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             inputs: Any = None) -> None:
    """See `Tensor.backward`."""
    if output.node is None:
        raise AutogradError("backward(): no operation that led here was recorded: no input has requires_grad=True, or it ran "
                            "under no_grad")
    g = initial_gradient("backward()", output, gradient, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    wanted = None
    if inputs is not None:
        listed = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        wanted = {node_of("backward", t) for t in listed}
    with Flag(create_graph), np.errstate(all="ignore"), kernels.returning():
        for node, d, owned in walk([(output.node, g)], wanted, create_graph, retain):
            if not create_graph and isinstance(d, Tensor):
                noting().deposit(node, d)
                continue
            if create_graph:
                value = ops.clone(d)  # the gradient of two leaves of a sum is one tensor
            else:
                value = wrap(own(d, owned))
            del d
            with _deposits:
                if node.grad is None:
                    node.grad = value
                elif create_graph or node.grad.node is not None:
                    node.grad = node.grad + value
                else:
                    np.add(node.grad._data, value._data, out=node.grad._data)
                    node.grad._version[0] = tick()


def node_of(op: str, t: Any) -> Node:
    """The node of a tensor to differentiate by; an error where it has none."""
    if not isinstance(t, Tensor):
        raise DtypeError(f"{op}: an input is a {type(t).__name__}, it must be a Tensor")
    node: Node | None = t.node
    if node is None:
        raise AutogradError(f"{op}: an input ({t.dtype}{t.shape}) does not require a gradient; call requires_grad_() on it "
                            "before it is used")
    return node


def clear_gradients(tensors: Any, set_to_none: bool = True) -> None:
    """Forget the gradients of these leaves, or fill them with zeros in place: what `zero_grad` does."""
    for t in tensors:
        if set_to_none or t.grad is None:
            t.grad = None
        else:
            t.grad = t.grad.detach().zero_()


def gradients(roots: list[tuple[Node, Any]], targets: list[Node], create_graph: bool, retain_graph: bool) -> list[Any]:
    """Raw or recorded gradients at the target nodes, None where there is no path; a node may be listed twice."""
    with Flag(create_graph), np.errstate(all="ignore"), kernels.returning():  # an infinite slope is a result, not an accident
        found = {node: d if isinstance(d, Tensor) else own(d, owned) for node, d, owned in
                 walk(roots, set(targets), create_graph, retain_graph)} if targets else {}
    return [found.get(node) for node in targets]


def apart(answers: list[Any], given: list[Any]) -> list[Tensor | None]:
    """The answers as tensors of which no two share memory, nor one with what was given."""
    taken = [g._data for g in given if isinstance(g, Tensor)]
    out: list[Tensor | None] = []
    for a in answers:
        if a is not None:
            a = a if isinstance(a, Tensor) else wrap(a)
            a = ops.clone(a) if any(a._data.__class__ is t.__class__ and np.may_share_memory(a._data, t) for t in taken) else a
            taken.append(a._data)
        out.append(a)
    return out


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to `inputs`, as a tuple; no tensor's `grad` is touched.

    `outputs`, `inputs`: a tensor or a sequence of them. `grad_outputs`: for each output the gradient to start with, of
    its shape; may be left out (None) for single elements, where it is 1. `create_graph` records the computation, so
    that the results can be differentiated again. Raises AutogradError where an input was not used, unless
    `allow_unused`, which gives None for it.

    >>> import chainrule as cr
    >>> x = cr.tensor(3.0, requires_grad=True)
    >>> first, = cr.grad(x**3, x, create_graph=True)
    >>> first.item(), cr.grad(first, x)[0].item()
    (27.0, 18.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor) or is_array(grad_outputs):
        grad_outputs = [grad_outputs] * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise ShapeError(f"grad: {len(outputs)} outputs but {len(grad_outputs)} grad_outputs")
    targets = [node_of("grad", t) for t in inputs]
    roots = []
    for output, g in zip(outputs, grad_outputs, strict=True):
        if output.node is None:
            raise AutogradError("grad: no operation that led to an output was recorded")
        roots.append((output.node, initial_gradient("grad", output, g, create_graph)))
    answers = gradients(roots, targets, create_graph, create_graph if retain_graph is None else retain_graph)
    for i, answer in enumerate(answers):
        if answer is None and not allow_unused:
            raise AutogradError(f"grad: input {i} was not used to compute the outputs; pass allow_unused=True to get None for it")
    with Flag(create_graph):
        return tuple(apart(answers, grad_outputs))


autograd.backward, autograd.add_hook = backward, add_hook
