"""In-place writes, recorded: through tensors and through views of them.

A write changes memory, and the graph of the tensor that owns it, the *base*: the base gets a new node whose parents
are its old node and that of the written value. Its views, which share its counter of writes, notice, and make their
nodes anew from the base's (`Tensor.node`).
"""

from typing import Any

import numpy as np

from chainrule.dtypes import _ORDER, REAL
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.graph import Op, convert, record, table, tick
from chainrule.kernels import elsewhere, writable
from chainrule.kernels.reference.indexing import getitem, is_basic
from chainrule.kernels.reference.indexing import write_into as write_array
from chainrule.methods.typed import ops
from chainrule.names import autograd
from chainrule.ops.indexing import raw_index
from chainrule.registry import public
from chainrule.state import Flag, special, state
from chainrule.tensor import Tensor

__all__ = ["in_place", "read", "setitem", "write_into"]

# what the base was before, with the part that `path` shows replaced by `value`
_write = Op("write", broadcasts=True, promotes=False,
            input=lambda xp, g, path: xp.write(g, 0, path=path),
            value=lambda xp, g, path: xp.read(g, path=path))


@public
def read(input: Any, *, path: Any) -> Tensor:
    """What a view's path shows of the input: its steps, one op after the other."""
    for name, options in path:
        input = table[name](input, **options)
    found: Tensor = input
    return found


def read_node(base: Tensor, path: Any) -> Any:
    """The node of a view whose base was written to since it was made."""
    with Flag(True):
        return read(base, path=path)._node


@public
def write_into(target: Tensor, value: Any, path: Any = (), *, by: str = "copy_") -> Tensor:
    """Write into the memory of `target` (the part that `path` shows), recorded; returns the target.

    The base of a view, and so every other view of it, sees the write too. Raises AutogradError for a leaf that requires
    a gradient while recording (its history would begin in the middle), ShapeError where the value does not fit. `by` is
    what the messages call the operation.
    """
    if (device := elsewhere(target._data)) is not None:
        with device:
            return write_into(target, value, path, by=by)
    view = target.current_view()
    base, steps = (target, path) if view is None else (view.base, (*view.path, *path))
    value = convert(table["write"], value)
    if isinstance(value, Tensor) and value._data.__class__ is not target._data.__class__:
        value = ops.to(value, target.device)
    given = value.node if isinstance(value, Tensor) else None
    recorded = state.recording and (base.node is not None or given is not None)
    if recorded and base.node is not None and base.node.op is None:
        raise AutogradError(f"{by}: in-place write to a leaf that requires a gradient, {describe_target(base)}: its "
                            "history would be lost. Write under chainrule.no_grad(), or to a clone()")
    raw = value._data if isinstance(value, Tensor) else value
    if np.result_type(raw).kind == "c" and target.dtype.kind != "c":
        raise DtypeError(f"{by}: complex values do not fit into a {target.dtype} tensor")
    if not writable(target._data):
        raise ShapeError(f"{by}: {describe_target(target)} is an expanded or overlapping view, or read-only memory: "
                         "several of its elements may be one in memory. Write to a clone()")
    if isinstance(value, Tensor) and np.may_share_memory(raw, base._data):
        raw = raw.copy()  # t[1:] = t[:-1]
    if special.count and state.tracer is not None:
        state.tracer.written(_write, target, value, path)
    try:
        write_array(target._data, raw, path)
    except (ValueError, IndexError) as error:
        kind = ShapeError if isinstance(error, ValueError) else IndexError
        raise kind(f"{by}: a value of shape {tuple(np.shape(raw))} into {describe_target(target)}: {error}") from None
    base._version[0] = tick()
    if recorded and base.dtype.kind in REAL:
        if given is not None:
            spare = value.ndim - (read(base.detach(), path=steps).ndim if steps else base.ndim)
            if spare > 0:  # NumPy lets (1, 3) be written into (3,)
                value = ops.reshape(value, value.shape[spare:])
        before = base.node
        # nothing of what was there remains where the whole is overwritten: no need to carry zeros back through its
        # history
        nodes = [None if given is not None and not steps else before, value.node if given is not None else None]
        plan = _write.plans[sum(1 << i for i, n in enumerate(nodes) if n is not None)]
        node = record(_write, plan, (base, value), nodes, base, {"path": steps},
                      state.backend or ops.kernels_of(base._data))
        # retain_grad() was asked of the tensor, which this node stands for now
        if before is not None and before.retain:
            node.retain, before.retain = True, False
    return target


def describe_target(t: Tensor) -> str:
    """A tensor in a message about a write."""
    return f"a {t.dtype} tensor of shape {t.shape}"


@public
def setitem(target: Tensor, index: Any, value: Any) -> None:
    """target[index] = value, in place and recorded.

    With index arrays that name an element twice, which value stays is not defined, nor is the gradient of the
    overwritten one. Raises IndexError for a position that is not there, ShapeError for a value that does not fit.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0, 3.0])
    >>> x[1:] = 0
    >>> x[0] += 5
    >>> x
    tensor([6., 0., 0.])
    """
    index = raw_index(index)
    if isinstance(value, Tensor) and value._version is target._version and is_basic(index):
        # t[i] += v has written through the view t[i] already, and now assigns the view to itself
        try:
            part = getitem(target._data, index=index).__array_interface__
        except IndexError:
            part = None
        own = value._data.__array_interface__
        if part is not None and all(part[k] == own[k] for k in ("data", "shape", "strides", "typestr")):
            return
    write_into(target, value, (("getitem", {"index": index}),), by="setitem")


def _needs_input(op: Any) -> bool:
    """Whether the op may keep its first input for a derivative. (Fused ops, and what is no op, may.)"""
    return not isinstance(op, Op) or not op.differentiable or any(asked and op.inputs[0] in asked for asked in op.asks)


@public
def in_place(op: Any, target: Tensor, *args: Any, **options: Any) -> Tensor:
    """Write op(target, ...) into the target's own memory: what `add_`, `mul_` … do.

    Raises ShapeError where the result has another shape, DtypeError where the tensor cannot hold it, and as
    `write_into`.
    """
    name = getattr(op, "name", None) or op.__name__
    source = target
    if state.recording and _needs_input(op):
        # the op may keep its input for a derivative: let it keep a copy, since this memory is about to change
        source = ops.clone(target.detach())
        source._node = target.node
    result = op(source, *args, **options)
    if result.shape != target.shape:
        raise ShapeError(f"{name}_: the result has shape {result.shape}, the tensor {target.shape}; in place it "
                         "cannot grow")
    if _ORDER[result.dtype.kind] > _ORDER[target.dtype.kind]:
        raise DtypeError(f"{name}_: a {result.dtype} result cannot be written into a {target.dtype} tensor; convert "
                         f"it first, or use {name}()")
    return write_into(target, result, by=name + "_")


autograd.read_node = read_node
