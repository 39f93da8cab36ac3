"""The reference backend's functions over CuPy: what serves an op that has no CUDA kernel.

The reference backend is written in terms of `np`. CuPy has NumPy's functions under NumPy's names, so the same code computes
on a GPU once `np` means CuPy: each function of a reference file is made anew from its code, with globals in which `np` is CuPy
and the other reference functions are their CuPy forms.
"""

from types import FunctionType
from typing import Any

import cupy
import numpy as np

from chainrule.kernels import reference

PREFIX = reference.__name__ + "."
_globals: dict[str, dict[str, Any]] = {}  # of each reference file: its globals over CuPy


class _Names:
    """CuPy's names, and what it lacks of NumPy's: `errstate`, which has nothing to say about a device."""

    errstate = np.errstate

    def __getattr__(self, name: str) -> Any:
        return getattr(cupy, name)


_names = _Names()


def over_cupy(function: Any) -> Any:
    """A function of the reference backend over CuPy, CuPy's method for a method of a NumPy ufunc; anything else as it is."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return getattr(getattr(cupy, owner.__name__), function.__name__)
    if not isinstance(function, FunctionType) or not function.__module__.startswith(PREFIX):
        return function
    again = FunctionType(function.__code__, _globals_of(function), function.__name__, None, function.__closure__)
    again.__doc__, again.__module__ = function.__doc__, function.__module__
    again.__defaults__ = function.__defaults__ and tuple(map(over_cupy, function.__defaults__))  # a default may be a function too
    again.__kwdefaults__ = function.__kwdefaults__ and {k: over_cupy(d) for k, d in function.__kwdefaults__.items()}
    return again


def _globals_of(function: Any) -> dict[str, Any]:
    """The globals of a reference file with CuPy in NumPy's place, made when first asked for."""
    found = _globals.get(function.__module__)
    if found is None:
        found = _globals[function.__module__] = dict(function.__globals__)
        for name, value in function.__globals__.items():
            found[name] = _names if value is np else over_cupy(value)
    return found


def __getattr__(name: str) -> Any:
    """The module is a namespace of its own: the cuda backend without its kernels, `with backend("reference")` on a GPU."""
    return find(name)


def find(name: str) -> Any:
    """The reference function of that name over CuPy, or CuPy's own; AttributeError where there is neither."""
    if name.startswith("__"):
        raise AttributeError(f"module 'chainrule.kernels.cuda' has no attribute {name!r}")
    own = vars(reference).get(name)
    return over_cupy(own) if isinstance(own, FunctionType) and own.__module__.startswith(PREFIX) else getattr(cupy, name)
