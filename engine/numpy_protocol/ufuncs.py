"""NumPy's ufuncs: `np.f(t)`, and the operators of arrays, whose other operand is a tensor."""

import math
from typing import Any, NoReturn

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.numpy_protocol.dispatch import WAY_OUT, check_out, deliver, numpy_named
from chainrule.numpy_protocol.reductions import reduced, scanned
from chainrule.ops.shapes import together
from chainrule.tensor import Tensor


def _vecdot(x: Any, y: Any) -> Any:
    return ops.sum(ops.multiply(x, y), -1)


def _copysign(x: Any, y: Any) -> Any:
    return ops.where(ops.signbit(y), -ops.abs(x), ops.abs(x))


def _whole(x: Any) -> Any:
    """NumPy's modf: fraction and whole part."""
    return ops.frac(x), ops.trunc(x)


# those that have the same name and meaning in the ops namespace
SAME = """add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor cbrt ceil cos
cosh divide exp exp2 expm1 float_power floor floor_divide fmax fmin fmod greater greater_equal heaviside
hypot isfinite isinf isnan left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and
logical_not logical_or logical_xor matmul maximum minimum multiply negative not_equal positive power
reciprocal remainder right_shift sign signbit sin sinh sqrt square subtract tan tanh trunc""".split()
OTHERS: dict[str, Any] = {
    "absolute": ops.abs, "fabs": ops.abs, "equal": ops.eq, "invert": ops.bitwise_not, "rint": ops.round,
    "conjugate": ops.positive, "copysign": _copysign, "modf": _whole,
    "divmod": lambda x, y: (ops.floor_divide(x, y), ops.remainder(x, y)),
    "degrees": lambda x: ops.multiply(x, 180 / math.pi), "rad2deg": lambda x: ops.multiply(x, 180 / math.pi),
    "radians": lambda x: ops.multiply(x, math.pi / 180), "deg2rad": lambda x: ops.multiply(x, math.pi / 180),
    "vecdot": _vecdot,
    "matvec": lambda x, y: ops.squeeze(ops.matmul(x, ops.unsqueeze(y, -1)), -1),
    "vecmat": lambda x, y: ops.squeeze(ops.matmul(ops.unsqueeze(x, -2), y), -2),
}
ROWS = {numpy_named(name): row for name, row in ({name: getattr(ops, name) for name in SAME} | OTHERS).items()}
ROWS.pop(None, None)  # what this version of NumPy does not have

REDUCE = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min", np.logical_and: "all",
          np.logical_or: "any"}
ACCUMULATE = {np.add: "cumsum", np.multiply: "cumprod", np.maximum: "cummax", np.minimum: "cummin"}


def array_ufunc(ufunc: Any, method: str, inputs: Any, options: Any) -> Any:
    """Answer a call of a ufunc, or of its method reduce, accumulate or outer.

    Raises TypeError for another ufunc or method, and for options that are not offered.
    """
    if method == "__call__" and ufunc in ROWS:
        return called(ufunc, inputs, **options) if options else ROWS[ufunc](*inputs)
    if method == "reduce" and ufunc in REDUCE:
        return _folded(ufunc, method, reduced, REDUCE[ufunc], inputs, options,
                       {"axis", "dtype", "keepdims", "initial", "where"})
    if method == "accumulate" and ufunc in ACCUMULATE:
        return _folded(ufunc, method, scanned, ACCUMULATE[ufunc], inputs, options, {"axis", "dtype"})
    if method == "outer" and ufunc in ROWS and ufunc.nin == 2 and ufunc.signature is None:
        first, second = map(ops.as_tensor, inputs)
        return called(ufunc, (ops.reshape(first, first.shape + (1,) * second.ndim), second), **options)
    way = f"np.{ufunc.__name__}" if method == "__call__" else f"np.{ufunc.__name__}.{method}"
    raise TypeError(f"{way} is not offered for tensors; {WAY_OUT}")


def _refuse(ufunc: Any, name: str, value: Any) -> NoReturn:
    raise TypeError(f"np.{ufunc.__name__}: the option {name}={value!r:.60} is not offered for tensors; {WAY_OUT}")


def called(ufunc: Any, inputs: Any, *, out: Any = None, where: Any = True, dtype: Any = None,
           casting: Any = "same_kind", **others: Any) -> Any:
    """The ufunc of the inputs, with options.

    `dtype`: the inputs are converted to it, as far as `casting` allows. `where`, a bool mask: the ufunc is computed
    (and has a gradient) there alone; elsewhere the result is what `out` held, 0 where there is no `out`. `out`: the
    tensor or array for the result, or a tuple of one for each.
    """
    for name, value in others.items():
        if (name, value) not in (("order", "K"), ("subok", True)):
            _refuse(ufunc, name, value)
    outs = out if isinstance(out, tuple) else (out,) * ufunc.nout
    inputs = [_apart(x, outs) for x in inputs]
    if dtype is not None:
        inputs = _cast(ufunc, inputs, dtype, casting)
    if where is not True:
        if ufunc.signature is not None:
            _refuse(ufunc, "where", where)
        inputs, place = _chosen(ufunc, inputs, where, outs)
    found = ROWS[ufunc](*inputs)
    results: Any = found if isinstance(found, tuple) else (found,)
    for r in results:
        if dtype is not None and r.dtype != dtype:
            raise DtypeError(f"np.{ufunc.__name__}: dtype={dtype} was asked for, the result is {r.dtype}")
    name = f"np.{ufunc.__name__}"
    if where is not True:
        results = [_placed(name, r, o, place, casting) for r, o in zip(results, outs)]
    else:
        results = [r if o is None else deliver(name, r, o, casting) for r, o in zip(results, outs)]
    return results[0] if len(results) == 1 else tuple(results)


def _apart(x: Any, outs: Any) -> Any:
    """An input on memory of its own where it shares that of an `out`: the op may keep it for its derivative."""
    if isinstance(x, Tensor) and any(isinstance(o, Tensor) and o._version is x._version for o in outs):
        copy: Tensor = ops.clone(x.detach())
        copy._node = x.node
        return copy
    return x


def _cast(ufunc: Any, inputs: Any, dtype: Any, casting: Any) -> Any:
    """The inputs in the dtype asked for; a function whose results are bools takes them as they are."""
    if np.dtype(dtype).kind == "b" and all(kinds.endswith(("?", "O")) for kinds in ufunc.types):
        return inputs
    found = []
    for x in inputs:
        if not isinstance(x, int | float):
            x = ops.as_tensor(x)
            if not np.can_cast(x.dtype, dtype, casting):
                raise DtypeError(f"np.{ufunc.__name__}: dtype={dtype}, but the input is {x.dtype} "
                                 f"(casting={casting!r})")
            x = x.to(np.dtype(dtype))
        found.append(x)
    return found


def _chosen(ufunc: Any, inputs: Any, where: Any, outs: Any) -> tuple[list[Any], Any]:
    """The inputs' elements where the mask holds, and the mask in its full shape. So nothing is computed elsewhere, and
    no infinite slope there can turn into NaN."""
    mask = np.asarray(where)
    if mask.dtype.kind != "b":
        raise DtypeError(f"np.{ufunc.__name__}: where= is {mask.dtype}, it must be bools; compare first, for example "
                         "x > 0")
    tensors = [ops.as_tensor(x) for x in inputs]
    name = f"np.{ufunc.__name__}"
    shape = together(name, mask.shape, *[x.shape for x in (*tensors, *outs) if x is not None])
    place = np.broadcast_to(mask, shape)
    # Python numbers stay as they are: they are weak
    return [x if isinstance(x, int | float) else ops.getitem(ops.expand(t, shape), place)
            for x, t in zip(inputs, tensors, strict=True)], place


def _placed(name: str, values: Tensor, out: Any, place: Any, casting: Any) -> Any:
    """`out`, or zeros, with the values where the mask holds."""
    if not values.ndim:  # of Python numbers alone
        values = ops.expand(values, (int(place.sum()),))
    if out is None:
        out = Tensor(np.zeros(place.shape, values.dtype))
    check_out(name, values, out, casting)
    if tuple(out.shape) != place.shape:
        raise ShapeError(f"{name}: the result has shape {place.shape}, which does not fit into out of shape "
                         f"{tuple(out.shape)}")
    if isinstance(out, Tensor):
        return ops.write_into(out, values, (("getitem", {"index": np.array(place)}),), by=name)
    out[place] = values.data
    return out


def _folded(ufunc: Any, method: str, function: Any, kind: str, inputs: Any, options: Any, taken: set[str]) -> Any:
    """reduce and accumulate: along axis 0 unless another is named."""
    out = options.get("out")
    given = {name: value for name, value in options.items() if name != "out"}
    for name in given.keys() - taken:
        _refuse(ufunc, name, given[name])
    if given.get("dtype", 0) is None:
        del given["dtype"]
    (a,) = inputs
    result = function(kind, a, **{"axis": 0, **given})
    return result if out is None else deliver(f"np.{ufunc.__name__}.{method}", result, out[0])
