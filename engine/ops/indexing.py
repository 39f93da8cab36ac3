"""Indexing: reading parts of tensors, writing into them, and gathering and scattering along an axis."""

from typing import Any

import numpy as np

from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.graph import Op, convert, record, table, tick
from chainrule.kernels.reference.indexing import is_basic, write_into as write_array
from chainrule.names import autograd, ops
from chainrule.registry import public
from chainrule.state import Flag, state
from chainrule.tensor import Tensor

_getitem = Op("getitem", word="linear", views=True,
              input=lambda xp, g, input_shape, index: xp.getitem_adjoint(g, index=index, shape=input_shape))
_getitem_adjoint = Op("getitem_adjoint", word="linear", input=lambda xp, g, index: xp.getitem(g, index=index))
# an in-place write, seen from the base: what it was before, with the part that `path` shows replaced by `value`
_write = Op("write", broadcasts=True, promotes=False,
            input=lambda xp, g, path: xp.write(g, xp.zeros_like(xp.read(g, path=path)), path=path),
            value=lambda xp, g, path: xp.read(g, path=path))


def raw_index(index: Any) -> Any:
    """An index without tensors in it, and with lists as arrays: what NumPy takes."""
    parts = index if isinstance(index, tuple) else (index,)
    found = []
    for p in parts:
        if isinstance(p, Tensor):
            if p.dtype.kind not in "iub":
                raise DtypeError(f"getitem: an index is a {p.dtype} tensor; indices are integers or bools, use .long()")
            p = p._data.copy()  # what is written to the tensor later must not change what was read here
        elif isinstance(p, list):
            p = np.asarray(p, dtype=np.int64 if not p else None)
        elif isinstance(p, np.ndarray):
            p = p.copy()
        found.append(p)
    return tuple(found) if isinstance(index, tuple) else found[0]


@public
def getitem(input: Any, index: Any) -> Tensor:
    """input[index], as NumPy indexes: integers, slices, None and ... give views; index arrays and masks give copies.

    Raises IndexError for a position that is not there.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x[:, 1], x[cr.tensor([True, False])]
    (tensor([2., 4.]), tensor([[1., 2.]]))
    """
    return _getitem(ops.as_tensor(input), index=raw_index(index))


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
def write_into(target: Tensor, value: Any, path: Any = ()) -> Tensor:
    """Write into the memory of `target` (the part that `path` shows), recorded; returns the target.

    The base of a view, and so every other view of it, sees the write too. Raises AutogradError for a leaf that requires
    a gradient while recording (its history would begin in the middle), ShapeError where the value does not fit.
    """
    base, steps = (target, ()) if target._view is None else (target._view.base, target._view.path)
    steps = (*steps, *path)
    value = convert(table["write"], value)
    recorded = state.recording and (base.node is not None or (isinstance(value, Tensor) and value.node is not None))
    if recorded and base.node is not None and base.node.op is None:
        raise AutogradError("in-place write to a leaf that requires a gradient: its history would be lost. Write under "
                            "chainrule.no_grad(), or to a clone()")
    raw = value._data if isinstance(value, Tensor) else value
    if isinstance(value, Tensor) and np.may_share_memory(raw, base._data):
        raw = raw.copy()  # t[1:] = t[:-1]
    if np.result_type(raw).kind == "c" and target.dtype.kind != "c":
        raise DtypeError(f"write: complex values do not fit into a {target.dtype} tensor")
    if not target._data.flags.writeable:
        raise ShapeError("write: this tensor is an expanded view or read-only memory, several elements may be one in memory; "
                         "write to a clone()")
    nodes = [base.node, value.node if isinstance(value, Tensor) else None]
    try:
        write_array(target._data, raw, path)
    except (ValueError, IndexError) as error:
        kind = ShapeError if isinstance(error, ValueError) else IndexError
        raise kind(f"write: a value of shape {tuple(np.shape(raw))} into a {target.dtype} tensor of shape {target.shape}: "
                   f"{error}") from None
    base._version[0] = tick()
    if recorded and base.dtype.kind == "f":
        plan = _write.plan(sum(1 << i for i, n in enumerate(nodes) if n is not None), 2)
        record(_write, plan, (base, value), nodes, base, {"path": steps}, state.backend or ops.kernels_of(base._data))
    return target


@public
def setitem(target: Tensor, index: Any, value: Any) -> None:
    """target[index] = value, in place and recorded. With index arrays that name an element twice, which value stays is
    not defined, nor is the gradient of the overwritten one."""
    write_into(target, value, (("getitem", {"index": raw_index(index)}),))


@public
def in_place(op: Any, target: Tensor, *args: Any, **options: Any) -> Tensor:
    """Write op(target, ...) into the target's own memory: what `add_`, `mul_` … do."""
    source = target
    if state.recording and target.node is not None:
        # the op may keep its input for the derivative: let it keep a copy, since this memory is about to change
        source = Tensor(target._data.copy())
        source._node = target.node
    result = op(source, *args, **options)
    if result.shape != target.shape:
        raise ShapeError(f"in place: the result has shape {result.shape}, the tensor {target.shape}; it cannot grow")
    if np.promote_types(result.dtype, target.dtype).kind != target.dtype.kind:
        raise DtypeError(f"in place: a {result.dtype} result cannot be written into a {target.dtype} tensor")
    return write_into(target, result)


autograd.read_node = read_node
