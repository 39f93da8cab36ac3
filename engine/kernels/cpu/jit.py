"""The one door to numba: every kernel of the cpu backend is compiled through `jit` or `tasks`, and through nothing else.

What they add to `numba.njit`:

- **A cache that cannot be stale** (cache.py).
- **Threads that begin at once.** A kernel whose work can be shared is written as tasks (`@tasks`), which a pool of our own
  runs (pool.py); it may be called from several Python threads, and survives a fork.
- **Floating point that keeps NaN and infinity.** Sums may be reordered and contracted, but `nnan` and `ninf` are never
  promised to the compiler.
"""

import os
from collections.abc import Callable
from functools import update_wrapper
from inspect import signature
from typing import Any, ClassVar

import numba

from chainrule.kernels.cpu import pool as pools
from chainrule.kernels.cpu.cache import FAST_MATH, jit

__all__ = ["FAST_MATH", "Tasks", "get_num_threads", "jit", "set_num_threads", "tasks"]

_threads = int(numba.config.NUMBA_NUM_THREADS)


def set_num_threads(n: int) -> None:
    """Let kernels use `n` threads, in every Python thread; no more than the machine offers (`get_num_threads` tells)."""
    global _threads
    if n < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, not {n}")
    _threads = min(int(n), int(numba.config.NUMBA_NUM_THREADS))


def get_num_threads() -> int:
    """How many threads a kernel of several tasks uses."""
    return _threads


class Tasks:
    """A kernel that consists of tasks: `kernel(n, *arguments)` is `body(task, *arguments)` for task = 0, 1, …, n - 1, shared
    out among the threads (see pool.py); `kernel.serial(n, *arguments)` the same code on this thread alone."""

    made: "ClassVar[list[Tasks]]" = []  # all of them, in the order of their definition

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.made.append(self)
        self.body = jit(function)
        self.compiled = jit(_driver(function, self.body))

    def __call__(self, tasks: int, *arguments: Any) -> None:
        threads, pool = _threads, pools.pool
        if threads > 1 and tasks > 1 and pool.words[_SLEEPING] > pool.workers + 1 - threads:
            pool.wake(threads)
        if self.compiled(pool.address, threads, tasks, *arguments):
            raise self._failure()

    def serial(self, tasks: int, *arguments: Any) -> None:
        """All tasks, on this thread."""
        if self.compiled(0, 1, tasks, *arguments):
            raise self._failure()

    def _failure(self) -> MemoryError:
        return MemoryError(f"{self.__name__}: a task of the kernel failed; memory for its intermediate values may have run out")  # type: ignore[attr-defined]


_SLEEPING = pools.SLEEPING // 8


def _driver(function: Callable[..., Any], body: Any) -> Any:
    """`(pool, threads, tasks, *arguments)`: what Python calls. Written out, since numba unpacks named arguments faster, and
    since the file and line of a function are what its compiled code is filed under."""
    names = ", ".join(list(signature(function).parameters)[1:])
    name = f"{function.__name__}_tasks"
    source = (f"def {name}(_pool, _threads, _count, {names}):\n"
              f"    _function, _data = _package(_body, ({names},))\n"
              f"    return _run(_pool, _threads, _function, _data, _count)\n")
    code = function.__code__
    space = {"__name__": function.__module__, "_package": pools.package, "_run": pools.run, "_body": body}
    exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), space)
    return space[name]


def tasks(function: Callable[..., Any]) -> Tasks:
    """Decorator: a kernel of tasks, compiled at its first call. `body(task, *arguments)` must do the same for a task whoever runs
    it and whenever; how the work is cut must depend on shapes alone, so that results do not depend on the threads."""
    return Tasks(function)


if os.name == "posix":  # elsewhere the C library's functions are not found by name
    from chainrule.kernels.cpu import aligned

    aligned.install()
