"""What a row of the sample table is, and the generators of its inputs."""

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Example inputs of one public function.

    `name` is where it lives under chainrule: "add", "functional.conv2d", "linalg.inv", "Tensor.masked_fill" (called as a
    method on the first argument). Float arrays among the arguments (also inside lists and tuples) are inputs to
    differentiate by, integer and bool arrays become tensors without gradients, everything else is passed as it is.
    `torch` is torch's counterpart: the same name unless given; a function of (torch, *args, **kwargs); or None for none.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    torch: Any = ""
    analytic: bool = True  # complex arguments are fine: the complex step applies
    differentiable: bool = True  # False: integer or bool results, or random ones
    second: bool = True  # check second derivatives (False where they are 0 everywhere *and* not recorded)
    strict_dtype: bool = True  # float32 in gives float32 out
    tolerance: float = 1.0  # times the usual one
    label: str = ""

    def __str__(self) -> str:
        return f"{self.name}{'-' + self.label if self.label else ''}"


def sample(name: str, *args: Any, torch: Any = "", analytic: bool = True, differentiable: bool = True, second: bool = True,
           strict_dtype: bool = True, tolerance: float = 1.0, label: str = "", **kwargs: Any) -> Sample:
    """A row: `sample("sum", normal(3, 4), dim=1)`."""
    args = tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args)  # 0-d arithmetic gives NumPy scalars
    return Sample(name, args, kwargs, torch, analytic, differentiable, second, strict_dtype, tolerance, label)


_drawn: dict[str, int] = {}  # arrays drawn so far, by family: a new row in one leaves the others' values as they are


def _generator() -> np.random.Generator:
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == __name__ and frame.f_back is not None:
        frame = frame.f_back
    family = frame.f_globals["__name__"].rpartition(".")[2]
    _drawn[family] = _drawn.get(family, 0) + 1
    return np.random.default_rng([*family.encode(), _drawn[family]])


def normal(*shape: int) -> np.ndarray:
    """Standard normal values: generic, none near 0, 1 or another of the array's own (no kinks, no ties)."""
    return away(*shape)


def away(*shape: int, points: tuple[float, ...] = (0.0,), gap: float = 0.05) -> np.ndarray:
    """Normal values at least `gap` away from each of `points` and (up to 1,000 elements) gap/50 from each other."""
    rng = _generator()
    x = np.asarray(rng.normal(size=shape))
    for _ in range(1000):
        near = np.zeros(shape, bool)
        for p in points:
            near |= np.abs(x - p) < gap
        if x.size > 1 and x.size <= 1000:
            flat = np.sort(x, axis=None)
            close = flat[1:][np.diff(flat) < gap / 50]
            near |= np.isin(x, close)
        if not near.any():
            return x
        x = np.asarray(np.where(near, rng.normal(size=shape), x))
    raise AssertionError("no values far enough apart were found")


def uniform(low: float, high: float, *shape: int) -> np.ndarray:
    """Values from [low, high)."""
    return np.asarray(_generator().uniform(low, high, size=shape))


def positive(*shape: int) -> np.ndarray:
    """Values from [0.3, 2.5)."""
    return uniform(0.3, 2.5, *shape)


def integers(low: int, high: int, *shape: int) -> np.ndarray:
    """Integers from [low, high), int64."""
    return np.asarray(_generator().integers(low, high, size=shape))


def mask(*shape: int) -> np.ndarray:
    """Bools, at least one of each where there are two elements or more."""
    m = np.asarray(_generator().random(shape) < 0.5)
    if m.size > 1:
        m.flat[0], m.flat[-1] = True, False
    return m
