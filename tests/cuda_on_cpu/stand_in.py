"""A module that stands in for CuPy: NumPy behind an array type of its own, with CuPy's manners.

Host and device arrays do not mix: meeting a NumPy array, or being converted to one, raises as in CuPy. Whatever would make a host
wait for a device is counted in `SYNCHRONISATIONS`. Kernels are run by the simulator.
"""

from importlib.machinery import ModuleSpec
from time import perf_counter
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda_on_cpu import cublas, simulator

SYNCHRONISATIONS = [0]


def _synchronised() -> None:
    SYNCHRONISATIONS[0] += 1


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """A device array."""

    __array_priority__ = 100
    __module__ = "cupy"

    def __init__(self, array: Any, base: Any = None) -> None:
        self._a, self.base = array, base

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    @property
    def __cuda_array_interface__(self) -> Any:
        return {**self._a.__array_interface__, "version": 3, "stream": 1}

    def __dlpack__(self, **options: Any) -> Any:
        return self._a.__dlpack__(max_version=(1, 0))

    def __dlpack_device__(self) -> Any:
        return (2, 0)  # kDLCUDA

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method in METHODS and ufunc.__name__ not in METHODS[method]:
            raise NotImplementedError(f"`cupy_{ufunc.__name__}.{method}` is not supported yet")
        if any(isinstance(i, np.ndarray) for i in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>: a host array meets a device array")
        return _call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return _call(function, args, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._a, name)
        return (lambda *args, **options: _call(value, args, options, self)) if callable(value) else _wrap(value, (self,))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("shape", "dtype"):
            setattr(self._a, name, value)
        else:
            object.__setattr__(self, name, value)

    def __getitem__(self, index: Any) -> Any:
        if _has_mask(index):
            _synchronised()  # the size of the result is known on the device only
        return _wrap(self._a[_unwrap(index)], (self,))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._a[_unwrap(index)] = _unwrap(value)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    @property
    def device(self) -> Any:
        return Device(0)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._a.ctypes.data)

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        _synchronised()
        if out is not None:
            out[...] = self._a
            return out
        return self._a.copy()

    def set(self, array: Any, stream: Any = None) -> None:
        self._a[...] = array

    def item(self, *index: Any) -> Any:
        _synchronised()
        return self._a.item(*index)

    def tolist(self) -> Any:
        _synchronised()
        return self._a.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        _synchronised()
        return self._a.__index__()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        return repr(self._a)

    def __str__(self) -> str:
        return str(self._a)


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(p, "dtype", None) == np.bool_ and getattr(p, "ndim", 0) for p in parts)


def _unwrap(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a host array meets a device array")
    if isinstance(value, tuple | list):
        parts = [_unwrap(v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _wrap(value: Any, arguments: Any = (), outs: Any = ()) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        for out in outs:
            if value is out._a:
                return out
        array, base = np.asarray(value), None
        if isinstance(value, np.ndarray) and value.base is not None:
            for a in arguments:
                if isinstance(a, ndarray) and np.may_share_memory(a._a, array):
                    base = a if a.base is None else a.base
                    break
        return ndarray(array, base)
    if type(value) in (tuple, list):
        return type(value)(_wrap(v, arguments, outs) for v in value)
    if isinstance(value, tuple):  # a named tuple
        return type(value)(*[_wrap(v, arguments, outs) for v in value])
    return value


WAITS = {"nonzero", "flatnonzero", "argwhere", "unique", "array_equal", "allclose", "extract", "compress"}


def _call(function: Any, args: Any, options: Any, owner: Any = None) -> Any:
    if getattr(function, "__name__", "") in WAITS:
        _synchronised()
    out = options.get("out")
    outs = [o for o in (out if isinstance(out, tuple) else (out,)) if isinstance(o, ndarray)]
    flat: list[Any] = [] if owner is None else [owner]
    for a in args:
        flat += a if isinstance(a, list | tuple) else [a]
    result = function(*[_unwrap(a) for a in args], **{n: _unwrap(v) for n, v in options.items()})
    if function is np.matmul and not outs:  # NumPy's makes float32 of bfloat16
        result = np.asarray(result).astype(np.result_type(*[a.dtype for a in args]), copy=False)
    return _wrap(result, flat, outs)


# ---- devices, streams, memory

class Device:
    """cupy.cuda.Device."""

    def __init__(self, device: Any = None) -> None:
        self.id = 0 if device is None else int(device)

    compute_capability = "90"

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def use(self) -> None:
        pass

    def synchronize(self) -> None:
        _synchronised()

    def __int__(self) -> int:
        return self.id


class Stream:
    """cupy.cuda.Stream: everything has happened already."""

    null: Any = None
    ptr = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None) -> None:
        pass

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def synchronize(self) -> None:
        _synchronised()

    def wait_event(self, event: Any) -> None:
        pass

    def record(self, event: Any = None) -> Any:
        return Event() if event is None else event

    def use(self) -> "Stream":
        return self


class Event:
    """cupy.cuda.Event."""

    def __init__(self, **options: Any) -> None:
        pass

    time = 0.0

    def record(self, stream: Any = None) -> None:
        self.time = perf_counter()

    def synchronize(self) -> None:
        _synchronised()

    done = True


class MemoryHook:
    """cupy.cuda.MemoryHook, which is never told of anything: the pool holds nothing here."""

    def __enter__(self) -> "MemoryHook":
        return self

    def __exit__(self, *problem: object) -> None:
        pass


def _poisoned(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """New memory holds NaN, so that what is read before it is written shows."""
    array = np.empty(shape, dtype, order)
    array.view(np.uint8) if array.ndim else None
    bytes_ = np.lib.stride_tricks.as_strided(array, array.shape, array.strides)
    bytes_[...] = np.nan if array.dtype.kind in "fcV" else (True if array.dtype.kind == "b" else np.iinfo(array.dtype).max)
    return ndarray(array)


def asarray(a: Any, dtype: Any = None, order: Any = None, *, blocking: bool = False) -> ndarray:
    """To the device; a device array as it is."""
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else ndarray(a._a.astype(dtype))
    return ndarray(np.array(a, dtype, copy=True, order=order or "K"))


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """To the host."""
    return a.get(out=out) if isinstance(a, ndarray) else np.asarray(a)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", subok: bool = False, ndmin: int = 0) -> ndarray:
    """A new device array."""
    if isinstance(obj, list | tuple) and any(isinstance(o, ndarray) for o in obj):
        obj = [o._a if isinstance(o, ndarray) else o for o in obj]
    return ndarray(np.array(obj._a if isinstance(obj, ndarray) else obj, dtype, copy=copy, ndmin=ndmin))


MISSING = {"errstate"}
METHODS = {"reduce": {"add", "multiply"}, "accumulate": {"add", "multiply"}, "reduceat": {"add"},
           "at": {"add", "maximum", "minimum", "subtract", "bitwise_or", "bitwise_and", "bitwise_xor"}}


class _CuPy(ModuleType):
    """`cupy.name`: ours above, else NumPy's function over device arrays."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in MISSING:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        value = getattr(np, name)
        if name in ("ogrid", "mgrid"):
            return _Grid(value)
        if isinstance(value, type) or not callable(value):
            return _Part(value) if isinstance(value, ModuleType) else value
        found = _Ufunc(value) if isinstance(value, np.ufunc) else _function(value)
        setattr(self, name, found)
        return found


class _Grid:
    """ogrid and mgrid."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid

    def __getitem__(self, index: Any) -> Any:
        return _wrap(self.grid[index])


def _function(value: Any) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        return _call(value, args, options)

    call.__name__ = getattr(value, "__name__", "")
    return call


class _Ufunc:
    def __init__(self, ufunc: Any) -> None:
        self.ufunc, self.__name__ = ufunc, ufunc.__name__

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _call(self.ufunc, args, options)

    def __getattr__(self, name: str) -> Any:
        if name in METHODS and self.__name__ not in METHODS[name]:
            raise NotImplementedError(f"`cupy_{self.__name__}.{name}` is not supported yet")
        value = getattr(self.ufunc, name)
        return _function(value) if callable(value) else value


class _Part:
    """A submodule such as linalg."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.module, name)
        if isinstance(value, ModuleType):
            return _Part(value)
        return value if isinstance(value, type) else _function(value)


class _Pool:
    """The memory pool, which holds nothing here."""

    def used_bytes(self) -> int:
        return 0

    def total_bytes(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        pass


class _Exporter:
    """An object's memory as that of the CPU, which it is."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __dlpack__(self, **options: Any) -> Any:
        return self.source.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return (1, 0)


def make() -> ModuleType:
    """The module."""
    found: Any = _CuPy("cupy")
    found.__spec__ = ModuleSpec("cupy", None)
    found.ndarray, found.asarray, found.asnumpy, found.array, found.empty = ndarray, asarray, asnumpy, array, _poisoned
    found.empty_like = lambda a, dtype=None, order="K", subok=None, shape=None: _poisoned(
        a.shape if shape is None else shape, dtype or a.dtype)
    found.RawModule = simulator.RawModule
    cuda: Any = ModuleType("cupy.cuda")
    cuda.Device, cuda.Stream, cuda.Event = Device, Stream, Event
    cuda.get_elapsed_time = lambda start, end: 1e3 * (end.time - start.time)
    cuda.MemoryHook = MemoryHook
    cuda.is_available = lambda: True
    cuda.cublas, cuda.get_cublas_handle = cublas, lambda: 0
    cuda.get_current_stream = Stream
    cuda.runtime = ModuleType("cupy.cuda.runtime")
    cuda.runtime.getDevice, cuda.runtime.getDeviceCount = (lambda: 0), (lambda: 1)
    cuda.runtime.deviceSynchronize = _synchronised
    cuda.runtime.CUDA_R_32F, cuda.runtime.CUDA_R_64F, cuda.runtime.CUDA_R_16F, cuda.runtime.CUDA_R_16BF = 0, 1, 2, 14
    found.cuda = cuda
    cuda.runtime.getDeviceProperties = lambda device: {"name": b"a CPU that runs CUDA's threads"}
    found.get_default_memory_pool = _Pool
    cuda.alloc_pinned_memory = bytearray
    found.from_dlpack = lambda x: x if isinstance(x, ndarray) else ndarray(np.from_dlpack(_Exporter(x)))
    return found
