"""Compiling by numba, with a cache on disk that cannot be stale. (Kernels import `jit` from jit.py.)

Compiled code is kept in a per-user folder named by a hash of all kernel sources and of the versions of Python, NumPy and
numba. numba's own cache looks at one file only, and so returns old code when a helper in another file changed. Where
nothing is writable the kernels run uncached, without a word.
"""

import hashlib
import platform
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy
from numba.core import caching
from numba.core.ccallback import CFunc

from chainrule import folders

# No nnan and no ninf: a kernel must hand on the NaN that it was given.
FAST_MATH = frozenset({"contract", "reassoc", "nsz", "arcp", "afn"})


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


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, for the argument types of that call, cached on disk.

    Gives a numba function, which other kernels may call. Compiled code releases the GIL.
    """
    dispatcher = numba.njit(nogil=True, fastmath=set(FAST_MATH), error_model="numpy")(function)
    with suppress(RuntimeError, OSError):  # there is nowhere to keep it: the kernel is compiled in every process
        dispatcher._cache = _Cache(function)
    return dispatcher


def callback(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compile a function of this signature now, cached on disk, to be called from C: at `.address`."""
    def decorate(function: Callable[..., Any]) -> Any:
        compiled: Any = CFunc(function, (signature.args, signature.return_type), locals={}, options={"error_model": "numpy"})
        with suppress(RuntimeError, OSError):
            compiled._cache = _Cache(function)
        compiled.compile()
        return compiled
    return decorate
