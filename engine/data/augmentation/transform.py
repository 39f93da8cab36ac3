"""What all transforms have in common."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.dtypes import REAL
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.names import ops
from chainrule.random import as_generator
from chainrule.tensor import Tensor

__all__ = ["Compose", "Transform"]


class Transform:
    """A random change to examples. Subclasses define `apply`, which takes and returns a batch as an array.

    `axes`: how many axes an example has: 3 for pictures (C, H, W), 2 for series (C, T). Called with an example or with a
    batch, a tensor or an array, it returns the same kind, of the same dtype; nothing is recorded for gradients. What else
    it is called with it returns as it is. `generator`: a Generator or a seed; None is the default one.

    >>> class Negative(Transform):
    ...     axes = 3
    ...     def apply(self, batch): return 1 - batch
    >>> import numpy as np
    >>> Negative()(np.zeros((1, 2, 2)), "label")
    (array([[[1., 1.],
            [1., 1.]]]), 'label')
    """

    axes: ClassVar[int]
    layout: ClassVar[dict[int, str]] = {2: "(C, T)", 3: "(C, H, W)"}

    def __init__(self, generator: Any = None) -> None:
        self.generator = as_generator(generator)

    def apply(self, batch: Any) -> Any:
        """The changed batch, an array (N, …)."""
        raise NotImplementedError(f"{type(self).__name__} has no apply(batch)")

    def __call__(self, examples: Any, *others: Any) -> Any:
        """The changed examples, and the others as they are."""
        array = examples._data if isinstance(examples, Tensor) else np.asarray(examples)
        if array.ndim not in (self.axes, self.axes + 1):
            one = self.layout[self.axes]
            raise ShapeError(f"{type(self).__name__}({describe(array)}): takes {one} or a batch of them, (N, {one[1:]}")
        single = array.ndim == self.axes
        out = self.apply(array[None] if single else array)
        out = out[0] if single else out
        changed = Tensor(out) if isinstance(examples, Tensor) else out
        return (changed, *others) if others else changed

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if name != "generator")
        return f"{type(self).__name__}({options})"

    # what subclasses draw and check

    def uniform(self, low: float, high: float, *shape: int) -> Any:
        """Draws from the uniform distribution on [low, high), float64."""
        return low + (high - low) * ops.rand(*shape, generator=self.generator, dtype=np.float64, device="cpu")._data

    def normal(self, std: float, shape: tuple[int, ...], dtype: Any) -> Any:
        """Draws from the normal distribution around 0."""
        return ops.randn(shape, generator=self.generator, dtype=dtype, device="cpu")._data * std

    def integers(self, low: int, high: int, *shape: int) -> Any:
        """Integers of [low, high]: with both ends."""
        return ops.randint(low, high + 1, shape, generator=self.generator, device="cpu")._data

    def places(self, count: int, *rooms: Any) -> list[Any]:
        """For each room, a number or an array (N), integers (N) from 0 to it, each as likely; all by one draw."""
        draws = self.uniform(0, 1, len(rooms), count)
        return [np.floor(draw * (room + 1)).astype(np.int64) for draw, room in zip(draws, rooms, strict=True)]

    def floats(self, batch: Any) -> Any:
        """The batch itself; DtypeError where its elements are no floats, since what is computed would be none."""
        if batch.dtype.kind not in REAL:
            raise DtypeError(f"{type(self).__name__}({describe(batch)}): takes floats; convert first, for example with "
                             "pictures.float() / 255")
        return batch


class Compose:
    """Transforms one after the other.

    >>> Compose([lambda x: x + 1, lambda x: x * 2])(3)
    8
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, *example: Any) -> Any:
        """What the last transform returns, each called with what the one before returned."""
        for transform in self.transforms:
            found = transform(*example)
            example = found if isinstance(found, tuple) else (found,)
        return example if len(example) > 1 else example[0]

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


def at_least_zero(name: str, **numbers: Any) -> None:
    """ValueError for a number that is below 0, by its name."""
    for argument, value in numbers.items():
        if value < 0:
            raise ValueError(f"{name}: {argument}={value} must be at least 0")


def probability(name: str, p: float) -> float:
    """A probability; ValueError for a number outside [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p={p} is a probability, between 0 and 1")
    return p


def range_of(name: str, argument: str, value: Any, center: float = 0.0) -> tuple[float, float]:
    """A range (low, high) as it is, for a number that around the center; ValueError for what is none."""
    low, high = value if isinstance(value, tuple | list) else (center - value, center + value)
    if not low <= high:
        raise ValueError(f"{name}: {argument}={value} is a number of at least 0, or a range (low, high)")
    return low, high
