"""Arrays from one device to another, and the library whose arrays a device has."""

from importlib import import_module
from typing import Any

import numpy as np

from chainrule import kernels

__all__ = ["move"]


def array_module(device: Any) -> Any:
    """NumPy for "cpu" and None, CuPy for "cuda"; ImportError where that is not installed.

    >>> array_module("cpu").__name__
    'numpy'
    """
    if device is None or str(device) == "cpu":
        return np
    kernels.connect()
    cupy = import_module("cupy")

    return cupy


def move(x: Any, *, device: Any, source: Any = None) -> Any:
    """The array in the memory of `device` ("cpu", "cuda:0", ...); itself where it is there already. `source` is where it is."""
    index = 0 if ":" not in str(device) else int(str(device).partition(":")[2])
    if str(device) == "cpu":
        return x.get() if hasattr(x, "get") else x
    cupy = array_module(device)
    if isinstance(x, cupy.ndarray) and x.device.id == index:
        return x
    with cupy.cuda.Device(index):
        return cupy.array(x) if isinstance(x, cupy.ndarray) else cupy.asarray(x)
