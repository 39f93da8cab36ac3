"""Batches on their way to a GPU: each is copied while the step before computes.

The host's side of a copy must lie in page-locked memory, else the driver copies it there first and the host waits. The copy
runs on a stream of its own. Two things keep it in order: it begins when the device has done what it was given before the array
was made (the memory may have been another array's, still in use), and who uses the batch waits for it, on the device; the
host never does.
"""

from collections import deque
from collections.abc import Generator, Mapping
from threading import Lock
from typing import Any

import numpy as np

from chainrule import cuda
from chainrule.tensor import Tensor

_busy: deque[tuple[Any, list[Any]]] = deque()  # page-locked memory that copies may still be reading, though their loop be over
_lock = Lock()


class Sent:
    """A batch that is being copied."""

    def __init__(self, batch: Any, event: Any) -> None:
        self.batch, self.event = batch, event

    def arrived(self) -> Any:
        """The batch; what is launched from here on finds its elements there."""
        import cupy

        cupy.cuda.get_current_stream().wait_event(self.event)
        return self.batch


class Copier:
    """Copies to one device, on a stream of its own."""

    def __init__(self, device: Any) -> None:
        import cupy

        self.cupy, self.device = cupy, device
        with cuda.device(device):
            self.stream = cupy.cuda.Stream(non_blocking=True)
        self.last: Any = None  # the event at the end of the last copy

    def send(self, batch: Any) -> Sent:
        """Begin to copy the batch's tensors; what is no tensor stays as it is."""
        held: list[Any] = []
        with cuda.device(self.device):
            try:
                moved = self._moved(batch, held)
            finally:  # an error may come after some tensors were sent
                self.last = self.stream.record()
                with _lock:
                    while _busy and _busy[0][0].done:
                        _busy.popleft()
                    _busy.append((self.last, held))
        return Sent(moved, self.last)

    def close(self) -> None:
        """Let what is launched from here on wait for all copies, also for those of batches that nobody took: their memory becomes
        other arrays'."""
        if self.last is not None:
            with cuda.device(self.device):
                self.cupy.cuda.get_current_stream().wait_event(self.last)

    def _moved(self, value: Any, held: list[Any]) -> Any:
        if isinstance(value, Tensor):
            return value if value.is_cuda else Tensor(self._copied(np.asarray(value._data, order="C"), held))
        if isinstance(value, Mapping):
            return {key: self._moved(v, held) for key, v in value.items()}
        if isinstance(value, list | tuple):
            parts = [self._moved(v, held) for v in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def _copied(self, array: Any, held: list[Any]) -> Any:
        out = self.cupy.empty(array.shape, array.dtype)
        if not array.size:
            return out
        memory = self.cupy.cuda.alloc_pinned_memory(array.nbytes)
        locked = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        locked[...] = array
        held.append(memory)
        self.stream.wait_event(self.cupy.cuda.get_current_stream().record())
        out.set(locked, stream=self.stream)
        return out


def on_device(batches: Generator[Any, None, None], device: Any) -> Generator[Any, None, None]:
    """The batches with their tensors on the device, each sent before the one in front of it is handed out. An error comes in
    its batch's place; the batches are closed however the loop ends."""
    copier, before = Copier(device), None
    error: BaseException | None = None
    try:
        while error is None:
            try:
                sent = copier.send(next(batches))
            except StopIteration:
                break
            except Exception as problem:
                error = problem
                continue
            if before is not None:
                yield before.arrived()
            before = sent
        if before is not None:
            yield before.arrived()
        if error is not None:
            raise error
    finally:
        batches.close()
        copier.close()
