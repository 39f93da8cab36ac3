"""Changes to series (C, T) or batches of them (N, C, T), of floats.

Jitter, scaling and warping after T. Um et al., "Data augmentation of wearable sensor data for Parkinson's disease
monitoring using convolutional neural networks" (2017).
"""

from typing import Any

import numpy as np

from chainrule.data.augmentation.transform import Transform, at_least_zero
from chainrule.errors import ShapeError, describe

__all__ = ["Jitter", "Scaling", "TimeMask", "TimeShift", "TimeWarp", "WindowSlice"]


class Series(Transform):
    """A change to series."""

    axes = 2


def read_at(batch: Any, times: Any) -> Any:
    """The values of series (N, C, T) at times (N, S) between 0 and T - 1, linear between the steps -> (N, C, S)."""
    before = np.clip(np.floor(times).astype(np.intp), 0, max(batch.shape[2] - 2, 0))
    after = np.minimum(before + 1, batch.shape[2] - 1)
    weight = (times - before).astype(batch.dtype)[:, None]
    which = np.arange(len(batch))[:, None]
    first, second = (batch[which, :, at].transpose(0, 2, 1) for at in (before, after))
    return first + weight * (second - first)


class Jitter(Series):
    """Normal noise of mean 0 and standard deviation `std` added to every value.

    >>> import numpy as np
    >>> Jitter(0.0)(np.ones((1, 3)))
    array([[1., 1., 1.]])
    """

    def __init__(self, std: float = 0.03, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("Jitter", std=std)
        self.std = std

    def apply(self, batch: Any) -> Any:
        """The batch with noise."""
        return batch + self.normal(self.std, batch.shape, self.floats(batch).dtype)


class Scaling(Series):
    """Each channel times a factor, drawn from N(1, std²).

    >>> import numpy as np
    >>> Scaling(0.0)(np.ones((1, 3)))
    array([[1., 1., 1.]])
    """

    def __init__(self, std: float = 0.1, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("Scaling", std=std)
        self.std = std

    def apply(self, batch: Any) -> Any:
        """The batch, each channel with its own factor."""
        return batch * (1 + self.normal(self.std, (*batch.shape[:2], 1), self.floats(batch).dtype))


class TimeShift(Series):
    """The series moved by up to `limit` steps, earlier or later. The steps that come free have the value `fill`; None
    repeats the first or last step, "wrap" puts there what fell out at the other end.

    >>> import numpy as np
    >>> sorted(TimeShift(2, fill="wrap")(np.array([[1, 2, 3, 4]]))[0].tolist())
    [1, 2, 3, 4]
    """

    def __init__(self, limit: int, fill: Any = 0.0, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("TimeShift", limit=limit)
        self.limit, self.fill = limit, fill

    def apply(self, batch: Any) -> Any:
        """The batch, each series with its own shift."""
        steps = batch.shape[2]
        times = np.arange(steps) - self.integers(-self.limit, self.limit, len(batch), 1)  # (N, T)
        places = times % steps if self.fill == "wrap" else np.clip(times, 0, steps - 1)
        moved = np.take_along_axis(batch, places[:, None], 2)
        if self.fill is None or self.fill == "wrap":
            return moved
        return np.where((times == places)[:, None], moved, batch.dtype.type(self.fill))


class TimeWarp(Series):
    """Time runs faster in some places and slower in others; the ends stay where they are.

    Its speed is e^z at `knots` places, z from N(0, std²), and linear between them; the series is read, linearly between
    its steps, where the time then is. Takes floats.

    >>> import numpy as np
    >>> TimeWarp(0.0)(np.array([[0.0, 1.0, 4.0, 9.0]]))
    array([[0., 1., 4., 9.]])
    """

    def __init__(self, std: float = 0.2, knots: int = 4, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("TimeWarp", std=std)
        if knots < 2:
            raise ValueError(f"TimeWarp: knots={knots} must be at least 2")
        self.std, self.knots = std, knots

    def apply(self, batch: Any) -> Any:
        """The batch, each series with its own time."""
        count, _, steps = self.floats(batch).shape
        if steps < 2:
            return batch
        speeds = np.exp(self.normal(self.std, (count, 1, self.knots), np.float64))
        middles = np.arange(steps - 1) * ((self.knots - 1) / max(steps - 2, 1))
        passed = np.cumsum(read_at(speeds, np.broadcast_to(middles, (count, steps - 1)))[:, 0], axis=1)  # (N, T - 1)
        times = np.concatenate([np.zeros((count, 1)), passed / passed[:, -1:]], axis=1) * (steps - 1)
        return read_at(batch, times)


class WindowSlice(Series):
    """A part of `size` steps, from a random place; `stretch`: stretched to the length of the whole (for floats). Le
    Guennec, Malinowski and Tavenard (2016).

    Raises ShapeError where there are fewer steps.

    >>> import numpy as np
    >>> WindowSlice(2)(np.zeros((3, 5))).shape, WindowSlice(2, stretch=True)(np.zeros((3, 5))).shape
    ((3, 2), (3, 5))
    """

    def __init__(self, size: int, stretch: bool = False, generator: Any = None) -> None:
        super().__init__(generator)
        if size < 1:
            raise ValueError(f"WindowSlice: size={size} must be at least 1")
        self.size, self.stretch = size, stretch

    def apply(self, batch: Any) -> Any:
        """A part of each series."""
        steps = batch.shape[2]
        if steps < self.size:
            raise ShapeError(f"WindowSlice({describe(batch)}): there are no {self.size} steps")
        start = self.integers(0, steps - self.size, len(batch), 1)
        if self.stretch:
            return read_at(self.floats(batch), start + np.linspace(0, self.size - 1, steps))
        return np.take_along_axis(batch, (start + np.arange(self.size))[:, None], 2)


class TimeMask(Series):
    """`count` stretches of up to `width` steps each set to a value, in all channels. Park et al. (2019) for speech.

    >>> import numpy as np
    >>> int((TimeMask(3)(np.ones((1, 10))) == 0).sum()) <= 3
    True
    """

    def __init__(self, width: int, count: int = 1, value: float = 0.0, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("TimeMask", width=width, count=count)
        self.width, self.count, self.value = width, count, value

    def apply(self, batch: Any) -> Any:
        """The batch with stretches missing."""
        steps, shape = batch.shape[2], (len(batch), self.count, 1)
        lengths = np.minimum(self.integers(0, self.width, *shape), steps)
        starts = np.floor(self.uniform(0, 1, *shape) * (steps - lengths + 1))
        times = np.arange(steps)
        hidden = ((times >= starts) & (times < starts + lengths)).any(1)  # (N, T)
        return np.where(hidden[:, None], batch.dtype.type(self.value), batch)
