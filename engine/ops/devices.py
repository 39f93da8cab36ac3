"""Where tensors are: devices that are there, the default one, and the move from one to another."""

from typing import Any

import numpy as np

from chainrule import cuda
from chainrule.graph import Op
from chainrule.kernels.reference.devices import move
from chainrule.registry import public
from chainrule.tensor import Device, Tensor

__all__ = ["get_default_device", "set_default_device"]

_default_device: list[Device | None] = [None]


def set_default_device(device: Any) -> None:
    """Make new tensors on this device where no other is said: what `tensor`, `zeros`, `rand`, … return, and layers' parameters.

    "cpu", "cuda", "cuda:1"; None goes back to the CPU. Arrays that are wrapped (`from_numpy`, `from_dlpack`) stay where
    they are, and what is made like a tensor (`zeros_like`, `new_zeros`) is made beside it. Raises RuntimeError
    for a device that is not there.

    >>> import chainrule as cr
    >>> cr.set_default_device("cpu"); cr.zeros(1).device
    'cpu'
    """
    found = check_device("set_default_device", "cpu" if device is None else device)
    _default_device[0] = None if found == "cpu" else found


def get_default_device() -> Device:
    """Where new tensors are made: "cpu" unless `set_default_device` said otherwise.

    >>> get_default_device()
    'cpu'
    """
    return _default_device[0] or Device("cpu")


def check_device(name: str, device: Any) -> Device | None:
    """The device; for None the default one, None for the CPU where that is it. RuntimeError where it is not there."""
    if device is None:
        return _default_device[0]
    found = Device(device)
    if found.type == "cuda" and (found.index or 0) >= (count := cuda.device_count()):
        why = f"there is no such CUDA device, they go up to cuda:{count - 1}" if count else cuda.why_not()
        raise RuntimeError(f"{name}(device={str(device)!r}): {why}")
    return found


def made(name: str, array: Any, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The new array as a tensor on a device (None: where it is), a leaf where `requires_grad`."""
    device = check_device(name, device) if device is not None or array.__class__ is np.ndarray else None
    return Tensor(array if device is None else move(array, device=device), requires_grad)


@public
def constant(values: Any, beside: Tensor) -> Tensor:
    """An array that an op made, as a tensor on the device of `beside`."""
    found: Tensor = Tensor(values) if beside._data.__class__ is np.ndarray else Tensor(move(values, device=beside.device))
    return found


_move = Op("move", "The elements in the memory of another device; the gradient is moved back.", word="linear",
           input=lambda xp, g, device, source: xp.move(g, device=source, source=device))
