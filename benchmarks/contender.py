"""What a library must be able to do to be measured."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from benchmarks.cases import Operation, Update, Workload

__all__ = ["Arrays", "Contender", "drawn_parameters", "gradient_like"]

Arrays = dict[str, Any]  # the first values of the parameters under their names


def drawn_parameters(shapes: dict[str, Any]) -> Arrays:
    """First values for a layer's parameters: uniform between ±0.1, drawn in the order of their names."""
    rng = np.random.default_rng(1)
    return {name: rng.uniform(-0.1, 0.1, tuple(shapes[name].shape)).astype(np.float32) for name in sorted(shapes)}


def gradient_like(shape: tuple[int, ...]) -> Any:
    """The gradient of a result of that shape, which the backward pass starts from."""
    return np.random.default_rng(2).standard_normal(shape, dtype=np.float32)


class Contender:
    """What a library can be asked; a method that it cannot do raises NotImplementedError.

    `module`: what has to be installed. `settings`: what is done for its speed, told in the results.
    """

    name = ""
    module = ""
    settings = ""

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
