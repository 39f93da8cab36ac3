"""Schedules that multiply the learning rate by a factor of the step, and can therefore be chained."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from chainrule.optim.lr_scheduler.scheduler import LRScheduler

__all__ = ["ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR"]


class Factor(LRScheduler):
    """lr − floor = (lr₀ − floor) · factor(t), where subclasses define `factor`, and the floor is mostly 0.

    Computed as lr − floor ← (lr − floor) · factor(t) / factor(t − 1), so that several of these schedules on one optimizer
    multiply, and a rate that was changed by hand stays changed.
    """

    def factor(self, t: int) -> float:
        """The share of the initial rate in step t."""
        raise NotImplementedError(f"{self._name} has no factor(t)")

    def floors(self) -> list[float]:
        """For each group, what the rate tends to where the factor is 0."""
        return [0.0] * len(self.base_lrs)

    def get_lr(self) -> list[float]:
        """The rate there is, times the ratio of this step's factor to the last one's."""
        t, rates = self.last_epoch, [group["lr"] for group in self.optimizer.param_groups]
        if self._step_count == 1 and t > 0:  # resumed: the groups have the rate of this step
            return rates
        now, before = self.factor(t), self.factor(t - 1) if t > 0 else 1.0
        if now == before:
            return rates
        if before == 0:  # up again from the floor
            return [lr + (first - floor) * now for lr, first, floor in zip(rates, self.base_lrs, self.floors())]
        return [floor + (lr - floor) * (now / before) for lr, floor in zip(rates, self.floors())]


class StepLR(Factor):
    """lr = lr₀ · gamma^⌊t / step_size⌋: smaller by the factor `gamma` after every `step_size` steps.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(5):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [1.0] [1.0] [0.5] [0.5] [0.25]
    """

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not step_size > 0:
            raise ValueError(f"StepLR: step_size={step_size} must be positive")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """gamma^⌊t / step_size⌋."""
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Factor):
    """lr = lr₀ · gamma^(number of milestones up to t): smaller by the factor `gamma` at each of the steps `milestones`.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [1.0] [0.5] [0.5] [0.25]
    """

    def __init__(self, optimizer: Any, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """gamma^(number of milestones up to t)."""
        return self.gamma ** bisect_right(self.milestones, t)


class ConstantLR(Factor):
    """lr = lr₀ · factor before step `total_iters`, lr₀ from there on. Raises ValueError for a factor outside [0, 1].

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ConstantLR(optimizer, factor=0.25, total_iters=1)
    >>> schedule.get_last_lr(), optimizer.step(), schedule.step(), schedule.get_last_lr()
    ([0.25], None, None, [1.0])
    """

    def __init__(self, optimizer: Any, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor={factor} must lie between 0 and 1")
        self.start_factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """`factor` at first, then 1."""
        return self.start_factor if t < self.total_iters else 1.0


class LinearLR(Factor):
    """lr = lr₀ · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1)): a warm-up, for example.

    Raises ValueError for a start factor outside (0, 1] and an end factor outside [0, 1].

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> for _ in range(3):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [0.5] [0.75] [1.0]
    """

    def __init__(self, optimizer: Any, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor={start_factor} must be above 0 and at most 1")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor={end_factor} must lie between 0 and 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """On the line from start_factor to end_factor."""
        if t >= self.total_iters:
            return self.end_factor
        return self.start_factor + (self.end_factor - self.start_factor) * t / self.total_iters


class ExponentialLR(Factor):
    """lr = lr₀ · gammaᵗ.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.step(); schedule.step(); schedule.step(); schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """gammaᵗ."""
        return float(self.gamma**t)


class PolynomialLR(Factor):
    """lr = lr₀ · (1 − min(t / total_iters, 1))^power: down to 0 in `total_iters` steps. Raises ValueError unless that is
    positive.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = PolynomialLR(optimizer, total_iters=4, power=2)
    >>> for _ in range(5):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [1.0] [0.5625] [0.25] [0.0625] [0.0]
    """

    def __init__(self, optimizer: Any, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if not total_iters > 0:
            raise ValueError(f"PolynomialLR: total_iters={total_iters} must be positive")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """(1 − min(t / total_iters, 1))^power."""
        return float((1 - t / self.total_iters) ** self.power) if t < self.total_iters else 0.0


class CosineAnnealingLR(Factor):
    """lr = eta_min + (lr₀ − eta_min) · (1 + cos(π t / T_max)) / 2: half a cosine down to `eta_min` in `T_max` steps, and
    up again in as many, should there be more. Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm
    restarts".

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> for _ in range(3):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [1.0] [0.5] [0.0]
    """

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR: T_max={T_max} must be positive")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def floors(self) -> list[float]:
        """`eta_min`."""
        return [self.eta_min] * len(self.base_lrs)

    def factor(self, t: int) -> float:
        """(1 + cos(π t / T_max)) / 2."""
        return (1 + math.cos(math.pi * t / self.T_max)) / 2
