"""Checkpointing: keep a function's inputs instead of all that it computed, and compute it again during backward.

T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from typing import Any

import numpy as np

from chainrule import kernels, random
from chainrule.derivatives import history, walk
from chainrule.dtypes import REAL
from chainrule.errors import AutogradError, DtypeError
from chainrule.fused import pick
from chainrule.graph import Node, Op, Plan, record, tick, wrap
from chainrule.names import ops
from chainrule.state import Flag, state
from chainrule.tensor import Tensor


class _Recomputing(Flag):
    name = "recomputing"
    value = True


class Checkpoint(Op):
    """The op that a checkpointed call becomes: its parents are all older nodes that the function reached, whether as
    arguments or closed over; its vjp runs the function again and walks what that recorded, down to them."""

    def __init__(self) -> None:
        super().__init__("checkpoint", forward=lambda xp, *arrays: arrays[0], each=None)

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """Recompute with the same random keys, then walk from the outputs to the border of older nodes."""
        if node.kept is None:
            raise AutogradError(f"backward through checkpoint a second time (called at {node.place()}): pass retain_graph=True")
        again, = node.kept
        for write in again["writes"]:
            if write[0] > node.order:
                raise AutogradError(f"checkpoint, called at {node.place()}: a value the function uses was changed in place since; "
                                    "running it again would compute something else")
        now = random.get_rng_state()
        random.set_rng_state(again["random"])
        try:
            with Flag(True), _Recomputing(), kernels.backend(again["backend"]):
                result = again["function"](*again["arguments"], **again["options"])
        finally:
            random.set_rng_state(now)
        outputs = result if isinstance(result, tuple) else (result,)
        for o, before in zip(outputs, again["sums"], strict=True):
            near = (1e-2 if o.dtype == np.float16 else 1e-5) * before[1]
            if not np.allclose(sums_of(o), before, rtol=0, atol=near, equal_nan=True):
                raise AutogradError(f"checkpoint, called at {node.place()}: the function gave something else when it ran again: "
                                    "a value it uses was changed in place since, or it is not deterministic")
        given = g if isinstance(g, list) else [g]
        roots = [(o.node, d) for o, d in zip(outputs, given, strict=True) if d is not None and o.node is not None]
        border = {p for p in node.parents if p is not None and (needed is None or p in needed)}
        create_graph = xp is ops and state.recording
        with Flag(create_graph):
            return [(p, d) for p, d, _ in walk(roots, border, create_graph, create_graph, border=True)]


_checkpoint = Checkpoint()


def checkpoint(function: Any, *arguments: Any, **options: Any) -> Any:
    """function(*arguments), keeping nothing of its inside for backward, which runs the function a second time instead.

    Saves memory for time. The function may use further tensors from outside (parameters); its random draws are repeated,
    running statistics are updated once. It must return a tensor or a tuple of them. Raises AutogradError in
    backward where a value it used was changed in place in the meantime.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> cr.checkpoint(lambda x: (x * x).exp(), x).sum().backward()
    >>> y = x.detach().requires_grad_(); (y * y).exp().sum().backward()
    >>> bool((x.grad == y.grad).all())
    True
    """
    if not state.recording:
        return function(*arguments, **options)
    before, randomness = tick(), random.get_rng_state()
    result = function(*arguments, **options)
    outputs = result if isinstance(result, tuple) else (result,)
    for o in outputs:
        if not isinstance(o, Tensor):
            raise DtypeError(f"checkpoint: the function returned a {type(o).__name__}; it must return tensors")
    recorded = [o for o in outputs if o.node is not None and o.node.order > before]
    if not recorded:
        return result
    inner = history([o.node for o in recorded], before)
    border = sorted({p for n in inner for p in n.parents if p is not None and p.order <= before}, key=lambda n: n.order)
    older = set(border)
    writes = [write for n in inner for i, write in zip(n.plan.keep, n.writes) if i >= 0 and (
        n.parents[i] is None or n.parents[i] in older)] if inner else []
    again = {"function": function, "arguments": arguments, "options": options, "random": randomness, "writes": writes,
             "backend": state.backend, "sums": [sums_of(o) for o in outputs]}  # what it takes to run again; freed like kept arrays
    outs = tuple(wrap(o._data) for o in outputs)
    if len(outs) == 1:
        record(_checkpoint, Plan((), ()), (), border, outs[0], {}, None).kept = (again,)
        return outs[0] if not isinstance(result, tuple) else outs
    shared = record(Several(len(outs)), Plan((), ()), (), border, wrap(outs[0]._data), {}, None)
    shared.kept, shared.shape = (again,), tuple(o.shape for o in outs)
    for i, out in enumerate(outs):
        if out.dtype.kind in REAL:
            record(pick, Plan((), ()), (), [shared], out, {"index": i}, None)
    return outs


def sums_of(t: Tensor) -> tuple[float, float]:
    """Two sums over a tensor's elements, by which a recomputation that went another way is noticed."""
    return float(t._data.sum(dtype=np.float64)), float(abs(t._data).sum(dtype=np.float64))


class Several(Checkpoint):
    """A checkpoint with several outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
