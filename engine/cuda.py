"""CUDA devices: whether there are any, which is current, what memory they use.

Tensors go to a device with `tensor.to("cuda")` or `tensor.to("cuda:1")`, modules with `module.to("cuda")`. Operations compute
where their tensors are; `with chainrule.cuda.device(1): ...` makes another device the current one, for what asks for that.
Calls return before the device has done the work; `synchronize()` waits for it, and so does whatever brings elements to the host
(`item()`, `cpu()`, printing).
"""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chainrule import kernels
from chainrule.kernels.reference.devices import array_module
from chainrule.state import Flag

__all__ = ["allow_tf32", "atomic_sums", "compute_capability", "current_device", "device", "device_count", "empty_cache",
           "get_device_name", "is_available", "memory_allocated", "memory_reserved", "synchronize"]

_NOTHING = nullcontext()


class allow_tf32(Flag):
    """Inside the `with` block, in this thread, products and convolutions of float32 may go by tensor cores, which round every
    factor to 11 significant bits (a relative error of 5e-4) and add up in float32. Several times as quick; off by default.

    Gradients are computed where `backward()` is called: put it inside too.

    >>> import chainrule as cr
    >>> with cr.cuda.allow_tf32():
    ...     cr.ones(2, 2) @ cr.ones(2, 2)
    tensor([[2., 2.],
            [2., 2.]])
    """

    name = "tf32"
    value = True


def _cupy() -> Any:
    return array_module("cuda")


def is_available() -> bool:
    """Whether there is a CUDA device and CuPy to compute on it.

    >>> import chainrule as cr
    >>> cr.cuda.is_available() in (True, False)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """The number of CUDA devices; 0 where CuPy is not installed, or finds no driver."""
    if find_spec("cupy") is None:
        return 0
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount()) if cupy.cuda.is_available() else 0


def why_not() -> str:
    """What keeps tensors from a GPU, in words for a message."""
    if find_spec("cupy") is None:
        return 'CuPy is not installed; pip install "chainrule[cuda13]", or [cuda12] for a driver of CUDA 12'
    return "CuPy finds no CUDA device; `nvidia-smi` tells whether the driver sees one"


def current_device() -> int:
    """The index of the device that operations compute on."""
    return int(_cupy().cuda.runtime.getDevice())


def device(index: Any) -> AbstractContextManager[Any]:
    """Inside the `with` block operations compute on this device: an index or "cuda:1"; None and "cpu" change nothing.

    >>> import chainrule as cr
    >>> with cr.cuda.device(None):
    ...     cr.zeros(1)
    tensor([0.])
    """
    if index is None or index == "cpu":
        return _NOTHING
    number = int(index.partition(":")[2] or 0) if isinstance(index, str) else index
    found: AbstractContextManager[Any] = _cupy().cuda.Device(number)
    return found


def get_device_name(index: int | None = None) -> str:
    """What the device is called, such as "NVIDIA H100 80GB HBM3"."""
    name = _cupy().cuda.runtime.getDeviceProperties(current_device() if index is None else index)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def compute_capability(index: int | None = None) -> tuple[int, int]:
    """The device's compute capability, (9, 0) for an H100: what instructions it has."""
    text = str(_cupy().cuda.Device(current_device() if index is None else index).compute_capability)
    return int(text[:-1]), int(text[-1])


def synchronize(index: int | None = None) -> None:
    """Wait until the device has done all that it was given."""
    with device(index):
        _cupy().cuda.runtime.deviceSynchronize()


def memory_allocated() -> int:
    """Bytes of the current device's memory that arrays have."""
    return int(_cupy().get_default_memory_pool().used_bytes())


def memory_reserved() -> int:
    """Bytes of the current device's memory that are held: those of arrays, and those kept for the next ones."""
    return int(_cupy().get_default_memory_pool().total_bytes())


def empty_cache() -> None:
    """Give the memory that is kept for the next arrays back to the device."""
    _cupy().get_default_memory_pool().free_all_blocks()


def atomic_sums(allowed: bool = True) -> None:
    """Whether rows may be added up by index (the gradient of an embedding, of picking by index) in the order in which threads
    come: quicker where an index is frequent, but the last bits differ from run to run. Not allowed unless asked for."""
    kernels.connect()
    import_module("chainrule.kernels.cuda.embedding").Adding.atomic = allowed
