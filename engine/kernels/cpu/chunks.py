"""Functions of single elements, compiled into kernels that run them over whole arrays, a chunk of elements a task."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from chainrule.kernels.cpu.arrays import flat
from chainrule.kernels.cpu.exponential import inlined
from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.memory import empty

# Elements of a task: 64 KB of float32, so that two or three arrays of them stay in the second cache.
CHUNK = 1 << 14


class Elementwise:
    """The function of elements over arrays of one shape and dtype: `Elementwise(f)(a, b, 2.0)` is f(a[i], b[i], 2.0) for each i.

    Parameters annotated `float` are numbers, the others elements of arrays. The loop around the function is written out
    here, and compiled under the function's own file and line, so that the cache on disk finds it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = signature(function).parameters.values()
        self.arrays = sum(p.annotation is not float for p in parameters)
        elements = [f"{p.name}[begin + j]" if i < self.arrays else p.name for i, p in enumerate(parameters)]
        name = f"{function.__name__}_chunk"
        source = (f"def {name}(task, {', '.join(p.name for p in parameters)}, result):\n"
                  f"    begin = np.uint64(task * CHUNK)\n"
                  f"    for j in range(min(np.uint64(CHUNK), np.uint64(result.size) - begin)):\n"
                  f"        result[begin + j] = function({', '.join(elements)})\n")
        code = function.__code__
        space: dict[str, Any] = {"__name__": function.__module__, "np": np, "CHUNK": CHUNK,
                                 "function": inlined(function)}
        exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), space)
        self.chunks = tasks(space[name])

    def __call__(self, first: Any, *others: Any) -> Any:
        """An array of the first one's shape and dtype, float32 or float64."""
        out = empty(first.shape, first.dtype)
        if others:
            real = first.dtype.type
            others = tuple([flat(a) if i < self.arrays else real(a) for i, a in enumerate(others, 1)])
        self.chunks(-(-out.size // CHUNK), flat(first), *others, out.reshape(-1))
        return out
