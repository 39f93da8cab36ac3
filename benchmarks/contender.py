"""What a library must be able to do to be measured."""

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from benchmarks.cases import Operation, Update, Workload

__all__ = ["Arrays", "Contender", "Repeated", "drawn_parameters", "gradient_like"]

Arrays = dict[str, Any]  # the first values of the parameters under their names


class Repeated:
    """Draws as a generator of NumPy does, but large arrays repeat a block of numbers, whose length is a prime: to draw the
    hundred millions that a GPU computes with takes seconds."""

    BLOCK = 1048573

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def repeated(self, draw: Callable[[int], Any], shape: Any) -> Any:
        """An array of that shape of what `draw` gives."""
        size = int(np.prod(shape))
        return draw(size).reshape(shape) if size <= self.BLOCK else np.resize(draw(self.BLOCK), shape)

    def standard_normal(self, shape: Any, dtype: Any = np.float32) -> Any:
        """Normal numbers."""
        return self.repeated(lambda n: self.rng.standard_normal(n, dtype=dtype), shape)

    def integers(self, low: int, high: int, shape: Any) -> Any:
        """Integers from low on, below high."""
        return self.repeated(lambda n: self.rng.integers(low, high, n), shape)


def drawn_parameters(shapes: dict[str, Any]) -> Arrays:
    """First values for a layer's parameters: uniform between ±0.1, drawn in the order of their names."""
    rng = np.random.default_rng(1)
    return {name: rng.uniform(-0.1, 0.1, tuple(shapes[name].shape)).astype(np.float32) for name in sorted(shapes)}


def gradient_like(shape: tuple[int, ...]) -> Any:
    """The gradient of a result of that shape, which the backward pass starts from."""
    return Repeated(np.random.default_rng(2)).standard_normal(shape)


class Contender:
    """What a library can be asked; a method that it cannot do raises NotImplementedError.

    `module`: what has to be installed. `settings`: what is done for its speed, told in the results. `sample`: seconds that one
    sample takes at least, so that reading the clock costs nothing.
    """

    name = ""
    module = ""
    settings = ""
    sample = 1e-3

    def start(self, threads: int) -> None:
        """Import the library and let it use that many threads."""

    def versions(self) -> str:
        """The library's version and settings in one line."""
        try:
            number = version(self.module)
        except PackageNotFoundError:
            number = "?"
        return f"{self.module} {number}" + (f"; {self.settings}" if self.settings else "")

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        """A function that does one training step and returns the loss before it."""
        raise NotImplementedError

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        """A function that computes the operation once and returns its result, with the inputs' gradients when training."""
        raise NotImplementedError

    def update(self, case: Update, parameters: list[Any], gradients: list[Any]) -> Callable[[], Any]:
        """A function that does one step of Adam and returns the parameters."""
        raise NotImplementedError

    def arrays(self, result: Any) -> list[Any]:
        """What a step or operation returned, as NumPy arrays, images as NCHW."""
        return [np.asarray(r) for r in (result if isinstance(result, tuple | list) else [result])]

    def timed(self, step: Callable[[], Any], number: int) -> float:
        """Seconds per call over `number` calls."""
        start = time.perf_counter()
        for _ in range(number):
            step()
        return (time.perf_counter() - start) / number

    def release(self) -> None:
        """Give back the memory that is kept for later."""

    def peak(self, step: Callable[[], Any]) -> int | None:
        """The most bytes that a step needs on the device; None where that is told of the whole process."""
        return None
