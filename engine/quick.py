"""The commonest calls of an op, written out straight: small models spend their time in them.

`Op.__call__` (graph.py) says what a call does, for any number and kind of inputs. Most calls are of one tensor, or of two of
one float type, and then the same steps need no loops: check, compute, make the result, make the node. Whatever
is out of the ordinary goes the general way. A test compares the two.
"""

from typing import Any

import numpy as np

from chainrule import graph, kernels
from chainrule.dtypes import REAL
from chainrule.errors import explain
from chainrule.graph import UNCHANGING, Op, call_site, share
from chainrule.kernels import BY_TYPE
from chainrule.state import special, state
from chainrule.tensor import Tensor

new: Any = object.__new__
Node = graph.Node
tick = graph.tick
getframe = graph.getframe
inside = graph._inside
ndarray = np.ndarray


class Unary(Op):
    """A row with one input."""

    def __call__(self, *inputs: Any, **static: Any) -> Tensor:
        if len(inputs) != 1 or not isinstance(a := inputs[0], Tensor):
            return Op.__call__(self, *inputs, **static)
        array = a._data
        xp, recording = BY_TYPE.get(array.__class__), True
        if special.count:
            recording = state.recording
            if state.backend is not None:
                xp = kernels.forced(xp)
            if state.tracer is not None or state.autocast is not None:
                return Op.__call__(self, a, **static)
        if xp is None or (self.floats and array.dtype.kind not in REAL):
            return Op.__call__(self, a, **static)
        try:
            kernel = getattr(xp, self.name)
            data = kernel(array, **static) if static else kernel(array)
        except Exception as error:
            raise explain(self, inputs, static, error) from (None if isinstance(error, ValueError) else error)
        if data.__class__ is not ndarray and data.__class__ not in BY_TYPE:
            data = np.asarray(data)
        out: Tensor = new(Tensor)
        out._data = data
        out._node = out._view = None
        if not (self.views and data.base is not None and share(self, a, out, static)):
            out._version = [-1]
        parent = a._node if a._view is None else a.node
        if parent is None or not recording:
            return out
        plan = self.plans[1]
        if plan is None:
            return out
        out._node = node = new(Node)
        node.op = self
        node.parents = (parent,)
        node.plan = plan
        node.static = static
        node.kernels = xp
        node.shape = data.shape
        node.dtype = data.dtype
        node.order = tick()
        node.hooks = node.grad = None
        node.retain = False
        keep = plan.keep
        if not keep:
            node.kept = node.writes = ()
        elif keep == (0,):
            node.kept, node.writes = (array,), (a._version,)
        elif keep == (-1,):
            node.kept, node.writes = (data,), (out._version,)
        else:
            node.kept = tuple([data if i else array for i in keep])
            node.writes = tuple([out._version if i else a._version for i in keep])
        frame = getframe(1)
        code = frame.f_code
        if inside.get(code.co_filename) is False:
            node.code = code
            node.instruction = frame.f_lasti
        else:
            node.code, node.instruction = call_site(1)
        return out


class Binary(Op):
    """A row with two inputs, both with a derivative."""

    def __call__(self, a: Any, b: Any, depth: int = 1, **static: Any) -> Tensor:
        if not isinstance(a, Tensor):
            return Op.__call__(self, a, b, **static)
        u = a._data
        dtype = u.dtype
        if isinstance(b, Tensor):
            v = b._data
            if v.dtype is not dtype or v.__class__ is not u.__class__:
                return Op.__call__(self, a, b, **static)
            q = b._node if b._view is None else b.node
            written = b._version
        elif b.__class__ is float and dtype.kind == "f":
            v, q, written = b, None, UNCHANGING
        else:
            return Op.__call__(self, a, b, **static)
        xp, recording = BY_TYPE.get(u.__class__), True
        if special.count:
            recording = state.recording
            if state.backend is not None:
                xp = kernels.forced(xp)
            if state.tracer is not None or state.autocast is not None:
                return Op.__call__(self, a, b, **static)
        if xp is None or (self.floats and dtype.kind not in REAL):
            return Op.__call__(self, a, b, **static)
        try:
            kernel = getattr(xp, self.name)
            data = kernel(u, v, **static) if static else kernel(u, v)
        except Exception as error:
            raise explain(self, (a, b), static, error) from (None if isinstance(error, ValueError) else error)
        if data.__class__ is not ndarray and data.__class__ not in BY_TYPE:
            data = np.asarray(data)
        out: Tensor = new(Tensor)
        out._data = data
        out._node = out._view = None
        out._version = [-1]
        p = a._node if a._view is None else a.node
        if (p is None and q is None) or not recording:
            return out
        pattern = (1 if p is not None else 0) + (2 if q is not None else 0)
        plan = self.plans[pattern]
        if plan is None:
            return out
        out._node = node = new(Node)
        node.op = self
        node.parents = (p, q)
        node.plan = plan
        node.static = static
        node.kernels = xp
        node.shape = data.shape
        node.dtype = dtype
        node.order = tick()
        node.hooks = node.grad = None
        node.retain = False
        keep = plan.keep
        if not keep:
            node.kept = node.writes = ()
        elif keep == (1, 0):
            node.kept, node.writes = (v, u), (written, a._version)
        elif keep == (1,):
            node.kept, node.writes = (v,), (written,)
        else:
            arrays, writes = (u, v, data), (a._version, written, out._version)  # OUT, which is -1, is the last
            node.kept = tuple([arrays[i] for i in keep])
            node.writes = tuple([writes[i] for i in keep])
        frame = getframe(depth)
        code = frame.f_code
        if inside.get(code.co_filename) is False:
            node.code = code
            node.instruction = frame.f_lasti
        else:
            node.code, node.instruction = call_site(depth)
        return out


def class_for(formulas: dict[str, Any]) -> type[Op]:
    """Which class a row of these formulas gets."""
    if len(formulas) == 1 and "each" not in formulas:
        return Unary
    if len(formulas) == 2 and None not in formulas.values():
        return Binary
    return Op
