"""From a NumPy function to its answer: the table, the check of the options, and `out=`."""

from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from operator import attrgetter
from typing import Any

import numpy as np

from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.names import ops
from chainrule.ops.shapes import together
from chainrule.tensor import Tensor

FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> ours, whose parameters have the names of NumPy's
WAY_OUT = "compute on np.asarray(t), or t.detach().numpy(), where no gradient is needed"


def numpy_named(name: str) -> Any:
    """NumPy's function of a dotted name, None where this version of NumPy has none."""
    try:
        return attrgetter(name)(np)
    except AttributeError:
        return None


def answer(**table: Callable[..., Any]) -> None:
    """Enter functions under the names of NumPy's; `linalg_inv` is `np.linalg.inv`."""
    for name, function in table.items():
        found = numpy_named(name.replace("linalg_", "linalg."))
        if found is not None:
            FUNCTIONS[found] = function


def title(function: Any) -> str:
    """`np.linalg.inv`, as messages call it."""
    return f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)


@cache
def parameters(function: Any) -> dict[str, Parameter]:
    """The parameters of a function by name, in order."""
    return dict(signature(function).parameters)


def array_function(function: Any, args: Any, options: Any) -> Any:
    """Answer a call of a NumPy function that is no ufunc.

    Raises TypeError for a function or an option that is not offered.
    """
    ours = FUNCTIONS.get(function)
    if ours is None:
        raise TypeError(f"{title(function)} is not offered for tensors; {WAY_OUT}")
    positional, named = arguments(function, ours, args, options)
    out = named.pop("out", None)
    result = ours(*positional, **named)
    return result if out is None else deliver(title(function), result, out)


def arguments(function: Any, ours: Any, args: Any, options: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as our function takes them: what NumPy's has beyond ours may only have its default value."""
    taken = parameters(ours)
    if "options" in taken:  # it takes everything, and hands it on
        return list(args), dict(options)
    try:
        theirs = signature(function)
    except ValueError:  # some of NumPy's functions do not say; ours have the same order
        return list(args), dict(options)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in theirs.bind(*args, **options).arguments.items():
        parameter = theirs.parameters[name]
        if parameter.kind is Parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.kind is Parameter.VAR_KEYWORD:
            refused = [key for key in value if key not in taken]
            if refused:
                raise TypeError(f"{title(function)}: the option {refused[0]}= is not offered for tensors; {WAY_OUT}")
            named |= value
        elif name in taken or name == "out":
            named[name] = value
        elif not is_default(value, parameter.default):
            raise TypeError(f"{title(function)}: the option {name}={value!r:.60} is not offered for tensors; {WAY_OUT}")
    return positional, named


def is_default(value: Any, default: Any) -> bool:
    """Whether an option has the value it would have had."""
    return value is default or (isinstance(value, str | int | float) and type(value) is type(default)
                                and bool(value == default))


def deliver(name: str, result: Any, out: Any, casting: Any = "same_kind") -> Any:
    """Write a result into `out`, a tensor (recorded) or an array, and return that.

    Raises ShapeError and DtypeError where it does not fit, AutogradError where a recorded result would
    go into an array.
    """
    check_out(name, result, out, casting)
    if together(name, result.shape, out.shape) != tuple(out.shape):
        raise ShapeError(f"{name}: the result has shape {result.shape}, which does not fit into out of shape "
                         f"{tuple(out.shape)}")
    if isinstance(out, Tensor):
        return ops.write_into(out, result, by=name)
    out[...] = result.data
    return out


def check_out(name: str, result: Any, out: Any, casting: Any) -> None:
    """Whether `out` can take the elements of a result."""
    if not isinstance(out, Tensor | np.ndarray):
        raise TypeError(f"{name}: out must be a tensor or an array, got {type(out).__name__}")
    if not isinstance(result, Tensor):
        raise TypeError(f"{name}: out= is not offered, the result is no single tensor")
    if not np.can_cast(result.dtype, out.dtype, casting):
        raise DtypeError(f"{name}: the {result.dtype} result cannot be written into out, which is {out.dtype} "
                         f"(casting={casting!r}); convert it with astype first")
    if isinstance(out, np.ndarray) and result.node is not None:
        raise AutogradError(f"{name}: the result is recorded, and would lose its history in an array; pass a tensor as "
                            "out, or detach() the inputs (`array += t` writes into an array too: write array + t)")
