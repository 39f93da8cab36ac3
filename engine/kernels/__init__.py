"""Functions over raw arrays, one namespace per backend; an op finds its kernel by name.

`of(array)` picks the namespace by the array's type: `cpu` for NumPy arrays, `cuda` for CuPy's (imported when one is first
met). `with backend("reference")` forces one.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from chainrule.kernels import cpu, reference
from chainrule.state import Flag, state

BACKENDS: dict[str, Any] = {"reference": reference, "cpu": cpu}
BY_TYPE: dict[Any, Any] = {np.ndarray: cpu}


def connect() -> Any:
    """The cuda backend's namespace, from the first call on that of CuPy's arrays. ImportError where CuPy is not installed."""
    if "cuda" not in BACKENDS:
        try:
            import cupy
        except ImportError as error:
            raise ImportError("tensors on a GPU need CuPy: pip install \"chainrule[cuda13]\", or [cuda12] for a driver of "
                              "CUDA 12") from error
        from chainrule.kernels import cuda

        BACKENDS["cuda"] = cuda
        serve_several(cupy.cuda.is_available() and cupy.cuda.runtime.getDeviceCount() > 1)
    return BACKENDS["cuda"]


def serve_several(several: bool) -> None:
    """With several GPUs an op has to compute on that of its arrays. The short ways of a call, which ask BY_TYPE alone, know of
    one only: then they find None there, and leave the call to those that look (`graph.together`, `derivatives.walk`)."""
    import cupy

    BY_TYPE[cupy.ndarray] = None if several else BACKENDS["cuda"]


def elsewhere(array: Any) -> Any:
    """The GPU an array is on where there are several and it is not the current one, as a context manager; else None."""
    if BY_TYPE.get(array.__class__, 0) is not None:
        return None
    from cupy.cuda import Device, runtime

    return None if array.device.id == runtime.getDevice() else Device(array.device.id)


def beside(array: Any) -> AbstractContextManager[Any]:
    """Inside the `with` block the GPU that the array is on is the current one."""
    return elsewhere(array) or nullcontext()


def follow(array: Any) -> None:
    """Make the GPU an array is on the current one."""
    device = elsewhere(array)
    if device is not None:
        device.use()


def returning() -> AbstractContextManager[Any]:
    """At the end of the `with` block the current GPU is the one that it was at its beginning."""
    if None not in BY_TYPE.values():
        return nullcontext()
    from cupy.cuda import Device

    found: AbstractContextManager[Any] = Device()
    return found


def of(array: Any) -> Any:
    """The kernels namespace for a raw array; TypeError for a type that no backend serves."""
    for kind in type(array).__mro__:
        if kind in BY_TYPE:
            return BY_TYPE[kind] or BACKENDS["cuda"]
    if type(array).__module__.partition(".")[0] == "cupy":
        return connect()
    raise TypeError(f"no backend computes on {type(array).__name__} objects; convert it with chainrule.tensor(...)")


def is_array(value: Any) -> bool:
    """Whether a value is a raw array that a backend computes on.

    >>> is_array(np.zeros(2)), is_array([0.0]), is_array(np.float32(0))
    (True, False, False)
    """
    return value.__class__ in BY_TYPE or isinstance(value, np.ndarray) or (
        type(value).__module__.partition(".")[0] == "cupy" and type(value).__name__ == "ndarray")


def writable(array: Any) -> bool:
    """Whether an array may be written to: no two of its elements are one in memory, and it is not read-only."""
    if isinstance(array, np.ndarray):
        return array.flags.writeable
    return array.size == 0 or not any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True))


def forced(xp: Any) -> Any:
    """What serves in place of the namespace `xp` where `with backend(...)` forces one: on a GPU the reference backend's functions
    run over CuPy."""
    if xp is not None and xp is BACKENDS.get("cuda"):
        return BACKENDS["cuda"].definitions if state.backend is reference else xp
    return state.backend


def find(name: str, array: Any) -> Any:
    """The function of this name in the backend that computes on such an array in this thread; None where it has none.

    >>> find("sum_of_squares", np.zeros(2)) is cpu.sum_of_squares, find("no such name", np.zeros(2))
    (True, None)
    """
    xp = BY_TYPE.get(array.__class__) or of(array)
    return getattr(xp if state.backend is None else forced(xp), name, None)


class backend(Flag):
    """Force a backend in this thread: `with chainrule.backend("reference"): ...` computes everything by plain NumPy.

    Raises ValueError for a name that is not a backend.

    >>> import chainrule as cr
    >>> with cr.backend("reference"):
    ...     float(cr.tensor([3.0, 4.0]).square().sum())
    25.0
    """

    name = "backend"
    value = None

    def __init__(self, name: Any) -> None:
        if isinstance(name, str):
            if name not in BACKENDS:
                raise ValueError(f"backend({name!r}): choose one of {', '.join(BACKENDS)}")
            name = BACKENDS[name]
        super().__init__(name)
