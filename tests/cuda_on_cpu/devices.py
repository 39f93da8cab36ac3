"""Devices, streams, events and memory of the stand-in for CuPy: two devices, on which everything happens at once.

Whatever would make the host wait for a device is counted, and an error within `no_synchronisation`.
"""

import contextlib
import time
from types import ModuleType
from typing import Any

from tests.cuda_on_cpu import cublas

COUNT = 2
SYNCHRONISATIONS = [0]
_forbidden = [0]
_current = [0]  # the device; `Device.__enter__` pushes another


def synchronised() -> None:
    """Called where the host would wait."""
    SYNCHRONISATIONS[0] += 1
    if _forbidden[0]:
        raise RuntimeError("the host waits for the device where it must not")


@contextlib.contextmanager
def no_synchronisation() -> Any:
    """RuntimeError where the host would wait for a device."""
    _forbidden[0] += 1
    try:
        yield
    finally:
        _forbidden[0] -= 1


def current() -> int:
    """The current device's number."""
    return _current[-1]


class Device:
    """cupy.cuda.Device."""

    compute_capability = "90"
    attributes = {"MaxSharedMemoryPerBlockOptin": 232448}

    def __init__(self, device: Any = None) -> None:
        self.id = current() if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise ValueError("cudaErrorInvalidDevice: invalid device ordinal")

    def __enter__(self) -> "Device":
        _current.append(self.id)
        return self

    def __exit__(self, *problem: object) -> None:
        _current.pop()

    def use(self) -> None:
        """Stays the current device."""
        _current[-1] = self.id

    def synchronize(self) -> None:
        """Waits."""
        synchronised()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Event:
    """cupy.cuda.Event."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.recorded: float | None = None  # seconds of the host's clock

    def record(self, stream: Any = None) -> None:
        """Marks this place in the stream."""
        self.recorded = time.perf_counter()

    def synchronize(self) -> None:
        """Waits for what was before the mark."""
        synchronised()


class Stream:
    """cupy.cuda.Stream."""

    null: Any = None  # made below
    ptr, done = 0, True

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None) -> None:
        self.is_non_blocking, self.device_id = non_blocking, current()

    def __enter__(self) -> "Stream":
        _streams.append(self)
        return self

    def __exit__(self, *problem: object) -> None:
        _streams.pop()

    def use(self) -> "Stream":
        """Stays the current stream."""
        _streams[-1] = self
        return self

    def synchronize(self) -> None:
        """Waits."""
        synchronised()

    def wait_event(self, event: Any) -> None:
        """The stream, not the host, waits."""

    def record(self, event: Any = None) -> Any:
        """Marks this place by an event."""
        event = Event() if event is None else event
        event.record(self)
        return event


Stream.null = Stream()
_streams: list[Any] = [Stream.null]


class MemoryPool:
    """cupy.cuda.MemoryPool, which holds nothing here."""

    def used_bytes(self) -> int:
        """Bytes in arrays."""
        return 0

    def total_bytes(self) -> int:
        """Bytes held."""
        return 0

    def free_all_blocks(self, stream: Any = None) -> None:
        """Gives back what is not used."""


class PinnedMemoryPool:
    """cupy.cuda.PinnedMemoryPool."""

    def n_free_blocks(self) -> int:
        """Blocks held."""
        return 0

    def free_all_blocks(self) -> None:
        """Gives back what is not used."""


class MemoryHook:
    """cupy.cuda.MemoryHook, which is told of nothing, since the pool holds nothing."""

    def __enter__(self) -> "MemoryHook":
        return self

    def __exit__(self, *problem: object) -> None:
        pass


def alloc_pinned_memory(size: int) -> Any:
    """Page-locked memory of the host, with the buffer protocol."""
    return bytearray(size)


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds between two events, by the host's clock: they say nothing about a GPU."""
    if start.recorded is None or end.recorded is None:
        raise RuntimeError("cudaErrorInvalidResourceHandle: an event was never recorded")
    return 1e3 * (end.recorded - start.recorded)


def runtime() -> ModuleType:
    """cupy.cuda.runtime."""
    found: Any = ModuleType("cupy.cuda.runtime")
    found.getDevice, found.getDeviceCount = current, lambda: COUNT
    found.setDevice = lambda device: Device(device).use()
    found.deviceSynchronize = synchronised
    found.runtimeGetVersion = found.driverGetVersion = lambda: 13000
    found.memGetInfo = lambda: (1 << 30, 1 << 30)
    found.getDeviceProperties = lambda device: {"name": b"a CPU that runs CUDA's threads", "multiProcessorCount": 2, "major": 9,
                                                "minor": 0, "sharedMemPerBlockOptin": 232448, "warpSize": 32}
    found.CUDA_R_32F, found.CUDA_R_64F, found.CUDA_R_16F, found.CUDA_R_16BF = 0, 1, 2, 14
    return found


def make() -> ModuleType:
    """cupy.cuda."""
    found: Any = ModuleType("cupy.cuda")
    found.Device, found.Stream, found.Event = Device, Stream, Event
    found.MemoryPool, found.PinnedMemoryPool, found.MemoryHook = MemoryPool, PinnedMemoryPool, MemoryHook
    found.is_available = lambda: True
    found.get_current_stream = lambda device_id=None: _streams[-1]
    found.get_device_id = current
    found.get_elapsed_time, found.alloc_pinned_memory = get_elapsed_time, alloc_pinned_memory
    found.cublas, found.get_cublas_handle = cublas, lambda: 0
    found.runtime = runtime()
    return found
