"""A module that stands in for CuPy: NumPy behind an array type of its own, with CuPy's manners.

Host and device arrays do not mix: meeting a NumPy array, or being converted to one, raises as in CuPy; so does an array of another
device than the current one. Names that CuPy has not, and arguments that its functions do not take, are errors (names.txt). What
would make the host wait for the device is counted (devices.py). Kernels are run by the simulator.
"""

from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda_on_cpu import devices, names, simulator
from tests.cuda_on_cpu.devices import SYNCHRONISATIONS, Device, current, synchronised

__all__ = ["SYNCHRONISATIONS", "make", "ndarray"]

# methods that move no element: they serve on any device
VIEWS = {"reshape", "transpose", "swapaxes", "squeeze", "view", "diagonal", "ravel"}
# functions whose result's shape, or whose result on the host, only the elements tell
WAITS = {"nonzero", "flatnonzero", "argwhere", "unique", "array_equal", "allclose", "extract", "compress", "tolist", "tobytes",
         "dumps", "histogram", "bincount", "setdiff1d", "intersect1d", "union1d", "trim_zeros", "array_repr", "array_str", "save"}
# ufuncs' methods, each only of some ufuncs
METHODS = {"reduce": {"add", "multiply"}, "accumulate": {"add", "multiply"}, "reduceat": {"add"}, "outer": names.ufuncs(),
           "at": {"add", "maximum", "minimum", "subtract", "bitwise_or", "bitwise_and", "bitwise_xor"}}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """A device array. Has the attributes that CuPy's has: `a.ctypes` and `a.item(0)` are errors."""

    __array_priority__ = 100
    __module__ = "cupy"
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Any, base: Any = None, device: int | None = None) -> None:
        self._a, self.base, self._device = array, base, current() if device is None else device

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    @property
    def __cuda_array_interface__(self) -> Any:
        return {**self._a.__array_interface__, "version": 3, "stream": 1}

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
        return self._a.__dlpack__(max_version=(1, 0))

    def __dlpack_device__(self) -> Any:
        return (2, self._device)  # kDLCUDA

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(i, np.ndarray) for i in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>: a host array meets a device array")
        if method != "__call__" or ufunc.signature is not None:
            return NotImplemented  # as CuPy: numpy.add.reduce and numpy.matmul do not take its arrays
        return _call(ufunc, "cupy." + ufunc.__name__, inputs, options)

    def __matmul__(self, other: Any) -> Any:
        return _call(np.matmul, "cupy.matmul", (self, other), {})

    def __rmatmul__(self, other: Any) -> Any:
        return _call(np.matmul, "cupy.matmul", (other, self), {})

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        path = function.__module__.replace("numpy", "cupy", 1) + "." + function.__name__
        return _call(function, path, args, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or f"cupy.ndarray.{name}" not in names.known():
            raise AttributeError(f"'ndarray' object has no attribute {name!r}")
        value = getattr(self._a, name)
        if not callable(value):
            return _wrap(value, (self,), device=self._device)
        return lambda *args, **options: _call(value, f"cupy.ndarray.{name}", args, options, self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("shape", "dtype", "real", "imag"):
            setattr(self._a, name, _unwrap(value))
        else:
            object.__setattr__(self, name, value)

    def __getitem__(self, index: Any) -> Any:
        if _has_mask(index):
            synchronised()
        _check_devices(index if isinstance(index, tuple) else (index,))
        return _wrap(self._a[_unwrap(index)], (self,), device=self._device)

    def __setitem__(self, index: Any, value: Any) -> None:
        _check_devices((self, *(index if isinstance(index, tuple) else (index,))))
        if _has_mask(index) and getattr(value, "ndim", 0):
            synchronised()
        with np.errstate(all="ignore"):
            self._a[_unwrap(index)] = _unwrap(value)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        if not self._a.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    @property
    def device(self) -> Any:
        return Device(self._device)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._a.ctypes.data, device_id=self._device)

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> "ndarray":
        if casting not in (None, "unsafe") or subok:
            raise NotImplementedError("astype's casting and subok are not supported")
        if not copy and self.dtype == dtype:
            return self
        _check_devices((self,))
        return ndarray(_converted(self._a, np.dtype(dtype), order))

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        if blocking:
            synchronised()
        if out is None:
            return self._a.copy(order)
        if type(out) is not np.ndarray or out.dtype != self.dtype or out.shape != self.shape:
            raise ValueError("out is not a NumPy array of this shape and dtype")
        out[...] = self._a
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        if type(arr) is not np.ndarray or arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"a NumPy array {self.dtype}{self.shape} is expected, not {type(arr)}")
        self._a[...] = arr

    def item(self) -> Any:
        synchronised()
        return self._a.item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def scatter_add(self, slices: Any, value: Any) -> None:
        np.add.at(self._a, _unwrap(slices), _unwrap(value))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        synchronised()
        return self._a.__index__()

    def __bool__(self) -> bool:
        synchronised()
        return bool(self._a)

    def __copy__(self) -> "ndarray":
        return ndarray(self._a.copy(), device=self._device)

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.__copy__()

    def __reduce__(self) -> Any:
        return asarray, (self.get(),)

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if not self._a.ndim else format(str(self), form)

    def __repr__(self) -> str:  # (would wait too, but a failing test may print an array)
        return repr(self._a)

    def __str__(self) -> str:
        return str(self._a)


def _converted(array: Any, dtype: Any, order: str = "K") -> Any:
    """The array's elements as CUDA converts them: to integers saturating, NaN to 0 (in 64 bits to the smallest number)."""
    with np.errstate(all="ignore"):
        out = array.astype(dtype, order)
        if dtype.kind in "iu" and array.dtype.kind == "f":
            limits = np.iinfo(dtype)
            out = np.where(array <= float(limits.min), limits.min, out)
            out = np.where(array >= float(limits.max), limits.max, out).astype(dtype)
            out[np.isnan(array)] = (limits.min or 2**63) if dtype.itemsize == 8 else 0
    return out


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(p, "dtype", None) == np.bool_ and getattr(p, "ndim", 0) for p in parts)


def _check_devices(arguments: Any) -> None:
    for a in arguments:
        if isinstance(a, ndarray) and a._device != current():
            raise ValueError("Array device must be same as the current device: "
                             f"array device = {a._device} while current = {current()}")


def _unwrap(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a host array meets a device array")
    if isinstance(value, tuple | list):
        parts = [_unwrap(v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _wrap(value: Any, arguments: Any = (), outs: Any = (), device: int | None = None) -> Any:
    """NumPy's result as device arrays, numbers as those of no axes; views know the array whose memory they show."""
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
        return ndarray(array, base, device)
    if type(value) in (tuple, list):
        return type(value)(_wrap(v, arguments, outs, device) for v in value)
    if isinstance(value, tuple):  # a named tuple
        return type(value)(*[_wrap(v, arguments, outs, device) for v in value])
    return value


def _call(function: Any, path: str, args: Any, options: Any, owner: Any = None) -> Any:
    """NumPy's function where CuPy has one at this path that takes these arguments."""
    if path not in names.known():
        raise TypeError(f"CuPy has no {path}")
    signature = names.known()[path]
    if signature is not None:
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise TypeError(f"{path}{signature}: {error}") from None
    name = path.rpartition(".")[2]
    if name in WAITS or name == "where" and len(args) == 1 or name == "repeat" and isinstance(args[-1], ndarray):
        synchronised()
    out = options.get("out")
    outs = [o for o in (out if isinstance(out, tuple) else (out,)) if isinstance(o, ndarray)]
    flat: list[Any] = [] if owner is None else [owner]
    for a in [*args, *options.values()]:
        flat += a if isinstance(a, list | tuple) else [a]
    if owner is None or name not in VIEWS:
        _check_devices(flat)
    if name in ("sort", "argsort", "partition") and any(isinstance(a, ndarray) and a.dtype.kind == "V" for a in flat):
        raise TypeError(f"{path}: CuPy's sort, which is Thrust's, does not know bfloat16")
    try:
        with np.errstate(all="ignore"):  # CuPy never warns
            result = function(*[_unwrap(a) for a in args], **{n: _unwrap(v) for n, v in options.items()})
    except np.linalg.LinAlgError as error:
        raise RuntimeError(f"{path}: NumPy's says {error}; CuPy's would give numbers without meaning") from None
    if function is np.matmul and not outs:  # NumPy's makes float32 of bfloat16
        result = np.asarray(result).astype(np.result_type(*[a.dtype for a in args]), copy=False)
    return _wrap(result, flat, outs, owner._device if owner is not None and name in VIEWS else None)


# ---- making arrays

def _poisoned(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """New memory holds NaN, so that what is read before it is written shows."""
    array = np.empty(shape, dtype, order)
    array.fill(np.nan if array.dtype.kind in "fcV" else True if array.dtype.kind == "b" else np.iinfo(array.dtype).max)
    return ndarray(array)


def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    """New memory of another's shape."""
    array = np.empty_like(_unwrap(prototype), dtype, order, shape=shape)
    array.fill(np.nan if array.dtype.kind in "fcV" else True if array.dtype.kind == "b" else np.iinfo(array.dtype).max)
    return ndarray(array)


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """To the device; a device array as it is."""
    return array(a, dtype, bool(copy) or not isinstance(a, ndarray), order or "K")


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", subok: bool = False, ndmin: int = 0, *,
          blocking: bool = False) -> ndarray:
    """A new device array, of a device array of another device too."""
    if isinstance(obj, ndarray):
        same = (dtype is None or obj.dtype == dtype) and obj._device == current() and obj.ndim >= ndmin
        if not copy and same and (order != "C" or obj.flags.c_contiguous):
            return obj
        obj = obj._a
        if dtype is not None:
            obj = _converted(obj, np.dtype(dtype))
    elif isinstance(obj, list | tuple) and any(isinstance(o, ndarray) for o in obj):
        _check_devices(obj)
        obj = [o._a if isinstance(o, ndarray) else o for o in obj]
    found = np.array(obj, dtype, copy=True, order=order, ndmin=ndmin)
    if found.dtype.kind not in "biufcV":
        raise ValueError(f"Unsupported dtype {found.dtype}")
    return ndarray(found)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """To the host."""
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else np.asarray(a)


class _Exporter:
    """An object's memory as that of the CPU, which it is."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __dlpack__(self, **options: Any) -> Any:
        return self.source.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return (1, 0)


# ---- the module

class _Function:
    """A function of NumPy under its path in CuPy."""

    def __init__(self, function: Any, path: str) -> None:
        self.function, self.path, self.__name__ = function, path, path.rpartition(".")[2]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _call(self.function, self.path, args, options)

    def __repr__(self) -> str:
        return f"<stand-in for {self.path}>"


class _Ufunc(_Function):
    """A ufunc: some have some of the methods."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.function, name)
        if name in METHODS:
            if self.__name__ not in METHODS[name]:
                raise NotImplementedError(f"`cupy_{self.__name__}.{name}` is not supported yet")
            return _Function(value, f"cupy.ufunc.{name}")
        return value


class _Grid:
    """ogrid and mgrid."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid

    def __getitem__(self, index: Any) -> Any:
        return _wrap(self.grid[index])


class _Module(ModuleType):
    """`cupy` or a part such as cupy.linalg: what is set below, else NumPy's of that name, if CuPy has the name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"
        if path not in names.known():
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(self._numpy, name)
        found = value
        if isinstance(value, ModuleType):
            found = _Module(path)
            found._numpy = value
        elif name in ("ogrid", "mgrid"):
            found = _Grid(value)
        elif isinstance(value, np.ufunc):
            found = _Ufunc(value, path)
        elif callable(value) and not isinstance(value, type):
            found = _Function(value, path)
        setattr(self, name, found)
        return found


def make() -> ModuleType:
    """The module."""
    found: Any = _Module("cupy")
    found._numpy, found.__spec__ = np, ModuleSpec("cupy", None)
    found.ndarray, found.asarray, found.asnumpy, found.array = ndarray, asarray, asnumpy, array
    found.asanyarray, found.empty, found.empty_like = asarray, _poisoned, empty_like
    found.RawModule = simulator.RawModule
    found.cuda = devices.make()
    pool, pinned = devices.MemoryPool(), devices.PinnedMemoryPool()
    found.get_default_memory_pool, found.get_default_pinned_memory_pool = lambda: pool, lambda: pinned
    found.get_array_module = lambda *args: found if any(isinstance(a, ndarray) for a in args) else np
    found.from_dlpack = lambda x: x if isinstance(x, ndarray) else ndarray(np.from_dlpack(_Exporter(x)))
    return found
