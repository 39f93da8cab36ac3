"""Functions of functions: Jacobians and Hessians, and their products with vectors, as in torch.autograd.functional."""

from typing import Any

import numpy as np

from chainrule.derivatives import grad, gradients, history
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.graph import Node, enable_grad, wrap
from chainrule.kernels import is_array
from chainrule.names import ops
from chainrule.state import Flag, noting
from chainrule.tensor import Tensor


def _as_tuple(op: str, value: Any) -> tuple[tuple[Tensor, ...], bool]:
    single = isinstance(value, Tensor)
    listed = tuple(value) if isinstance(value, tuple | list) else (value,)
    for t in listed:
        if not isinstance(t, Tensor):
            raise DtypeError(f"{op}: expected tensors, got a {type(t).__name__}")
    return listed, single


def _prepare(op: str, inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """The inputs as tensors to differentiate by: with their history where the result is to be differentiated, else leaves."""
    listed, single = _as_tuple(op, inputs)
    with enable_grad():
        if create_graph:
            return tuple(ops.identity(t) if t.requires_grad else t.detach().requires_grad_() for t in listed), single
        return tuple(t.detach().requires_grad_() for t in listed), single


def _run(op: str, func: Any, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], bool]:
    with enable_grad():
        return _as_tuple(f"{op}: the function's outputs", func(*inputs))


def _vectors(op: str, v: Any, like: tuple[Tensor, ...], of: str) -> tuple[Tensor, ...]:
    """The vectors of a product, one of the shape of each tensor; ones for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise AutogradError(f"{op}: v may only be left out where the {of} is a single element; pass one of its shape")
        return (wrap(np.ones_like(like[0]._data)),)
    listed = (v,) if isinstance(v, Tensor) or is_array(v) else tuple(v)
    if len(listed) != len(like):
        raise ShapeError(f"{op}: {len(like)} {of}s but {len(listed)} vectors")
    found = tuple(t if isinstance(t, Tensor) else wrap(t if is_array(t) else np.asarray(t)) for t in listed)
    for i, (t, l) in enumerate(zip(found, like, strict=True)):
        if t.shape != l.shape:
            raise ShapeError(f"{op}: vector {i} has shape {t.shape}, the {of} has {l.shape}")
    return found


def _answers(found: Any, like: tuple[Tensor, ...], create_graph: bool, strict: bool, op: str) -> tuple[Tensor, ...]:
    if strict and any(f is None for f in found):
        raise AutogradError(f"{op}: an output does not depend on input {[f is None for f in found].index(True)} (strict=True)")
    filled = tuple(wrap(np.zeros_like(t._data)) if f is None else f if isinstance(f, Tensor) else wrap(f)
                   for f, t in zip(found, like, strict=True))
    return filled if create_graph else tuple(f.detach() for f in filled)


def _unpack(values: tuple[Any, ...], single: bool) -> Any:
    return values[0] if single else values


def vjp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(outputs, vᵀJ): the product of a vector with the Jacobian of `func` at `inputs`, by one backward walk.

    `v` has the outputs' shapes (may be left out for a single element). `create_graph` lets the result be differentiated,
    `strict` raises AutogradError where an input is not used.

    >>> import chainrule as cr
    >>> cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]), cr.tensor([1.0, 10.0]))[1]
    tensor([ 2., 40.])
    """
    xs, single = _prepare("vjp", inputs, create_graph)
    outputs, single_output = _run("vjp", func, xs)
    vectors = _vectors("vjp", v, outputs, "output")
    vectors = tuple(w if create_graph else w.to(o.dtype) for o, w in zip(outputs, vectors, strict=True))
    given = [w if create_graph or noting() else w._data for w in vectors]
    roots = [(o.node, g) for o, g in zip(outputs, given, strict=True) if o.node is not None]
    found = gradients(roots, [x.node for x in xs], create_graph, create_graph)
    made = outputs if create_graph else tuple(o.detach() for o in outputs)
    return _unpack(made, single_output), _unpack(_answers(found, xs, create_graph, strict, "vjp"), single)


def push(node: Node, tangents: list[Any]) -> Any:
    """Forward mode through one node: the tangent of its result, given those of its inputs (None: it does not move).

    By default the node's vjp, which is linear in the gradient g, transposed: differentiate <vjp(g), tangents> by g.
    Shortcuts: for elementwise ops the same formulas with the tangent in place of g; for linear ones the op itself.
    """
    op = node.op
    moving = {p for p, t in zip(node.parents, tangents, strict=True) if p is not None and t is not None}
    if op.word == "elementwise":
        return sum_of(_elementwise(node, tangents))
    if op.word == "linear" and len(tangents) == 1 and op.forward is None:
        return op(tangents[0], **node.static)
    shapes = [node.shape] if op.outputs == 1 else list(node.shape)
    beside = next(t for t in tangents if t is not None)
    seeds = [ops.zeros_like(beside, node.dtype, requires_grad=True, shape=shape) for shape in shapes]
    tangent_of = {p: t for p, t in zip(node.parents, tangents, strict=True) if p in moving}
    pulled = op.vjp(node, seeds[0] if op.outputs == 1 else seeds, ops, moving)
    total = sum_of([ops.sum(d * tangent_of[parent]) for parent, d in pulled])
    if total is None or total.node is None:
        return None if op.outputs == 1 else [None] * op.outputs
    found = gradients([(total.node, wrap(np.ones_like(total._data)))], [s.node for s in seeds], True, True)
    return found[0] if op.outputs == 1 else found


def sum_of(parts: list[Any]) -> Any:
    """The sum of what is there; None for nothing."""
    total = None
    for p in parts:
        total = p if total is None else total + p
    return total


def _elementwise(node: Node, tangents: list[Any]) -> list[Any]:
    """Each input's tangent, spread to the result's shape, through its own formula."""
    parts = []
    for i, t in enumerate(tangents):
        if t is not None:
            t = t if t.shape == node.shape else ops.broadcast_to(t, node.shape)
            parts += [d if d.dtype == node.dtype else ops.astype(d, node.dtype)
                      for position, _, d in node.op.terms(node, t, ops, {node.parents[i]}) if position == i]
    return parts


def sweep(outputs: tuple[Tensor, ...], moving: dict[Node, Any]) -> list[Any]:
    """Push tangents from the inputs' nodes forward through the recorded graph; None for outputs that do not move."""
    roots = [o.node for o in outputs if o.node is not None]
    tangents: dict[Node, Any] = dict(moving)
    with Flag(True):
        for node in history(roots, min(n.order for n in moving)):
            if node.op is None or node in moving:
                continue
            given = [None if p is None else tangents.get(p) for p in node.parents]
            if all(t is None for t in given):
                continue
            if node.op.name == "pick":
                pushed: Any = given[0]
                tangents[node] = pushed[node.static["index"]]
            else:
                tangents[node] = push(node, given)
    return [tangents.get(o.node) for o in outputs]


def jvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(outputs, Jv): the product of the Jacobian of `func` at `inputs` with a vector, by a forward sweep of the graph.

    `v` has the inputs' shapes (may be left out for a single element); the rest as for `vjp`.

    >>> import chainrule as cr
    >>> cr.jvp(lambda x: x * x, cr.tensor([1.0, 2.0]), cr.tensor([1.0, 10.0]))[1]
    tensor([ 2., 40.])
    """
    xs, single = _prepare("jvp", inputs, create_graph)
    vectors = _vectors("jvp", v, xs, "input")
    vectors = tuple(w if w.dtype == x.dtype else w.to(x.dtype) for w, x in zip(vectors, xs, strict=True))
    outputs, single_output = _run("jvp", func, xs)
    pushed = sweep(outputs, {x.node: w for x, w in zip(xs, vectors, strict=True)})
    made = outputs if create_graph else tuple(o.detach() for o in outputs)
    return _unpack(made, single_output), _unpack(_answers(pushed, outputs, create_graph, strict, "jvp"), single_output)


def jacobian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The Jacobian of `func` at `inputs`: a tensor of shape (*output shape, *input shape), by one walk per output element;
    for several inputs or outputs (nested) tuples of them, outputs first.

    >>> import chainrule as cr
    >>> cr.jacobian(lambda x: x * x, cr.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    xs, single = _prepare("jacobian", inputs, create_graph)
    outputs, single_output = _run("jacobian", func, xs)
    rows = []
    for output in outputs:
        collected: list[list[Tensor]] = [[] for _ in xs]
        for k in range(output.numel()):
            seed = np.zeros_like(output._data, order="C")
            seed.reshape(-1)[k] = 1
            found = [None] * len(xs) if output.node is None else gradients(
                [(output.node, wrap(seed) if create_graph else seed)], [x.node for x in xs], create_graph, True)
            for column, answer in zip(collected, _answers(found, xs, create_graph, strict, "jacobian"), strict=True):
                column.append(answer)
        blocks = []
        for column, x in zip(collected, xs, strict=True):
            shape = (*output.shape, *x.shape)
            blocks.append(ops.reshape(ops.stack(column), shape) if column else ops.zeros_like(output, shape=shape))
        rows.append(_unpack(tuple(blocks), single))
    return _unpack(tuple(rows), single_output)


def _scalar(op: str, func: Any) -> Any:
    def checked(*arguments: Any) -> Any:
        value = func(*arguments)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ShapeError(f"{op}: the function must return a tensor with one element, for example a sum")
        return value.reshape(()) if value.ndim else value

    return checked


def hessian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """The matrix of second derivatives of a function with a single-element result: shape (*input shape, *input shape), or
    for several inputs a tuple of tuples. It is the Jacobian of the gradient.

    >>> import chainrule as cr
    >>> cr.hessian(lambda x: (x**3).sum(), cr.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    single = isinstance(inputs, Tensor)

    def gradient(*xs: Tensor) -> Any:
        out = _scalar("hessian", func)(*xs)
        if out.node is None:
            return tuple(wrap(np.zeros_like(x._data)) for x in xs)
        found = grad(out, xs, create_graph=True, allow_unused=not strict)
        return tuple(wrap(np.zeros_like(x._data)) if f is None else f for f, x in zip(found, xs, strict=True))

    result = jacobian(gradient, inputs, create_graph=create_graph)
    return result[0] if single else result


def hvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, Hv): the product of the Hessian of `func` at `inputs` with a vector, without forming the Hessian: the
    gradient of <gradient, v> (Pearlmutter, "Fast exact multiplication by the Hessian", 1994).

    >>> import chainrule as cr
    >>> cr.hvp(lambda x: (x**3).sum(), cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]))[1]
    tensor([ 6., 12.])
    """
    xs, single = _prepare("hvp", inputs, create_graph)
    vectors = _vectors("hvp", v, xs, "input")
    outputs, _ = _run("hvp", _scalar("hvp", func), xs)
    first: Any = (None,) * len(xs) if outputs[0].node is None else grad(outputs, xs, create_graph=True, allow_unused=True)
    with Flag(True):
        total = sum_of([ops.sum(f * w) for f, w in zip(first, vectors, strict=True) if f is not None])
    found = [None] * len(xs) if total is None or total.node is None else gradients(
        [(total.node, wrap(np.ones_like(total._data)) if create_graph or noting() else np.ones_like(total._data))],
        [x.node for x in xs], create_graph, create_graph)
    made = outputs[0] if create_graph else outputs[0].detach()
    return made, _unpack(_answers(found, xs, create_graph, strict, "hvp"), single)
