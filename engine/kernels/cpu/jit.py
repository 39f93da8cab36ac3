"""The one door to numba: every kernel of the cpu backend is compiled through `jit`, and through nothing else.

What it adds to `numba.njit`:

- **A cache that cannot be stale.** Compiled code is kept on disk in a per-user folder named by a hash of all kernel
  sources and of the versions of Python, NumPy and numba. numba's own cache looks at one file only, and so returns old
  code when a helper in another file changed. Where nothing is writable the kernels run uncached, without a word.
- **Threads that are safe.** numba's `workqueue` layer survives a fork but aborts the process when two Python threads
  enter it at once. It is therefore kept behind a lock: whoever does not get the lock runs the same kernel compiled
  without threads (its serial twin). A forked child starts with a lock of its own.
- **Floating point that keeps NaN and infinity.** Sums may be reordered and contracted, but `nnan` and `ninf` are never
  promised to the compiler.
"""

import hashlib
import os
import platform
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, update_wrapper
from pathlib import Path
from typing import Any, overload

import numba
import numpy
from numba.core import caching

from chainrule import folders

prange = numba.prange

# No nnan and no ninf: a kernel must hand on the NaN that it was given.
FAST_MATH = frozenset({"contract", "reassoc", "nsz", "arcp", "afn"})

if numba.config.THREADING_LAYER == "default":  # whoever chose a layer by name keeps it
    numba.config.THREADING_LAYER = "workqueue"


# The cache on disk

def cache_root() -> Path:
    """The per-user folder for compiled kernels of all versions (`NUMBA_CACHE_DIR` is respected)."""
    return Path(numba.config.CACHE_DIR) / "chainrule" if numba.config.CACHE_DIR else folders.cache_folder()


def source_hash(folder: Path) -> str:
    """A hash of every source in the folder and of the versions that compile them."""
    digest = hashlib.sha256()
    versions = (platform.python_version(), numpy.__version__, numba.__version__)
    digest.update("\0".join(versions).encode())
    for source in sorted(folder.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


@cache
def cache_folder() -> Path | None:
    """Where this version's compiled kernels are kept; None where no folder can be written."""
    try:
        folder = cache_root() / source_hash(Path(__file__).parent)
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        return None
    return folder


class _Locator(caching._CacheLocator):  # type: ignore[misc, unused-ignore]
    """Tells numba's cache to use our folder; since its name holds the sources' hash, nothing in it is ever stale."""

    def __init__(self, function: Any, folder: Path) -> None:
        self.function = function
        self.folder = folder

    def get_cache_path(self) -> str:
        return str(self.folder)

    def get_source_stamp(self) -> str:
        return self.folder.name

    def get_disambiguator(self) -> str:
        return str(self.function.__code__.co_firstlineno)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator | None":
        # Only what the hash covers may be kept: a kernel from elsewhere is compiled in every process.
        folder = cache_folder() if Path(py_file).parent == Path(__file__).parent else None
        return None if folder is None else cls(py_func, folder)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc, unused-ignore]
    _locator_classes = (_Locator,)


class _Cache(caching.FunctionCache):  # type: ignore[misc, unused-ignore]
    """numba's cache of compiled functions, which may fail to read or write (a full disk, a torn file) but never raises."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - unpickling a damaged file raises whatever it likes
            with suppress(OSError):
                self.flush()  # an empty index, so that the kernel, compiled anew, can be saved
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


class _ParallelImplementation(_Implementation):
    """The two forms of a Parallel have one name and line, so their files need two names."""

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return str(super().get_filename_base(fullname, abiflags)) + "-parallel"


class _ParallelCache(_Cache):
    _impl_class = _ParallelImplementation


# Threads

_lock = threading.Lock()
_applied = threading.local()  # numba keeps the number of threads per Python thread; so do we, to set it only on change
_threads = int(numba.config.NUMBA_NUM_THREADS)


def _after_fork() -> None:
    global _lock, _applied
    _lock = threading.Lock()
    _applied = threading.local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(n: int) -> None:
    """Let kernels use `n` threads, in every Python thread; no more than the machine offers (`get_num_threads` tells)."""
    global _threads
    if n < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, not {n}")
    _threads = min(int(n), int(numba.config.NUMBA_NUM_THREADS))


def get_num_threads() -> int:
    """How many threads a parallel kernel uses."""
    return _threads


class Parallel:
    """A kernel in two compiled forms of one source: over numba's threads, and its serial twin.

    `parallel` and `serial` are the numba functions; calling the object picks one of them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.parallel = _compiled(function, parallel=True)
        self.serial = _compiled(function, parallel=False)

    def __call__(self, *arguments: Any) -> Any:
        lock = _lock  # held by name: a fork replaces the global one
        threads = _threads
        if threads == 1 or not lock.acquire(blocking=False):
            return self.serial(*arguments)
        try:
            if getattr(_applied, "threads", 0) != threads:
                numba.set_num_threads(threads)
                _applied.threads = threads
            return self.parallel(*arguments)
        finally:
            lock.release()


def _compiled(function: Callable[..., Any], parallel: bool) -> Any:
    options = {"nogil": True, "parallel": parallel, "fastmath": set(FAST_MATH), "error_model": "numpy"}
    dispatcher = numba.njit(**options)(function)
    with suppress(RuntimeError, OSError):  # there is nowhere to keep it: the kernel is compiled in every process
        dispatcher._cache = (_ParallelCache if parallel else _Cache)(function)
    return dispatcher


@overload
def jit(function: Callable[..., Any]) -> Any: ...


@overload
def jit(*, parallel: bool) -> Callable[[Callable[..., Any]], Any]: ...


def jit(function: Callable[..., Any] | None = None, *, parallel: bool = False) -> Any:
    """Compile a function at its first call, for the argument types of that call, cached on disk.

    `@jit` gives a numba function, which other kernels may call. `@jit(parallel=True)` gives a `Parallel`, to be called
    from Python: its `prange` loops run on `get_num_threads()` threads. Compiled code releases the GIL.
    """
    if function is None:
        return Parallel if parallel else jit
    return Parallel(function) if parallel else _compiled(function, parallel=False)
