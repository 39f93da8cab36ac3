"""Schedules that go up as well as down, some of them with the momentum going the other way."""

import math
from collections.abc import Callable
from typing import Any

from chainrule.optim.lr_scheduler.scheduler import LRScheduler, for_groups

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


def cosine(start: float, end: float, share: float) -> float:
    """From start to end on half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def linear(start: float, end: float, share: float) -> float:
    """From start to end on a straight line."""
    return start + (end - start) * share


ANNEALING = {"cos": cosine, "linear": linear}


class CycledMomentum(LRScheduler):
    """A schedule that may also move the momentum, or the first of the betas, between two values of each group."""

    cycle_momentum: bool

    def _keep_momentums(self, optimizer: Any, base: Any, largest: Any, last_epoch: int) -> None:
        """Check that there is a momentum, note the two values in the groups and begin with the larger one."""
        groups = optimizer.param_groups
        if not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError(f"{self._name}: {type(optimizer).__name__} has no momentum; pass cycle_momentum=False")
        bases, largests = for_groups(self, "base_momentum", base, groups), for_groups(self, "max_momentum", largest, groups)
        if last_epoch == -1:
            for group, b, m in zip(groups, bases, largests):
                group["base_momentum"], group["max_momentum"] = b, m
                set_momentum(group, m)


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """The group's momentum, whatever it is called."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (lr₀ − eta_min) · (1 + cos(π t / Tᵢ)) / 2, beginning anew after T₀ = `T_0` steps, then after Tᵢ₊₁ =
    `T_mult` · Tᵢ. Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".

    `step(epoch)` goes to any moment, fractions included: call it with epoch + batch / batches after each batch. Raises
    ValueError unless `T_0` and `T_mult` are positive integers.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> for _ in range(7):
    ...     print(round(schedule.get_last_lr()[0], 2), end=" ")
    ...     optimizer.step(); schedule.step()
    1.0 0.5 1.0 0.85 0.5 0.15 1.0
    """

    def __init__(self, optimizer: Any, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"CosineAnnealingWarmRestarts: {name}={value!r} must be a positive integer")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_cur: float = 0  # steps since the last restart
        self.T_i = T_0  # and from there to the next
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """On the cosine since the last restart."""
        if self.T_mult == 1:
            self.T_cur = self.last_epoch % self.T_0
        else:
            self.T_cur, self.T_i = self.last_epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        return [cosine(lr, self.eta_min, self.T_cur / self.T_i) for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next step, or of the moment `epoch`."""
        if epoch is None:
            super().step()
            return
        if epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts.step: epoch={epoch} must not be negative")
        self._step_count += 1
        self.last_epoch = epoch  # type: ignore[assignment]
        self._set_rates()
        self.last_epoch = math.floor(epoch)


class CyclicLR(CycledMomentum):
    """Up from `base_lr` to `max_lr` in `step_size_up` steps, on a straight line, and down again in `step_size_down`, over
    and over; the momentum moves the other way. Smith 2017, "Cyclical learning rates for training neural networks".

    `base_lr`, `max_lr`, `base_momentum`, `max_momentum`: a number, or one for each group. `mode`: "triangular",
    "triangular2" (half as high in each cycle) or "exp_range" (gammaᵗ as high). `scale_fn` in place of a mode: how high, of
    the cycle 1, 2, … where `scale_mode` is "cycle", of the step where it is "iterations"; it is not part of the state.
    Raises ValueError for options out of range and for an optimizer without momentum where it is to be cycled.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2, mode="triangular2")
    >>> for _ in range(7):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [0.0] [0.5] [1.0] [0.5] [0.0] [0.25] [0.5]
    """

    unsaved = ("optimizer", "scale_fn")

    def __init__(self, optimizer: Any, base_lr: float | list[float], max_lr: float | list[float],
                 step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
                 scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
                 base_momentum: float | list[float] = 0.8, max_momentum: float | list[float] = 0.9,
                 last_epoch: int = -1) -> None:
        step_size_down = step_size_up if step_size_down is None else step_size_down
        if not (step_size_up > 0 and step_size_down > 0):
            raise ValueError(f"CyclicLR: step_size_up={step_size_up} and step_size_down={step_size_down} must be positive")
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode={mode!r} must be triangular, triangular2 or exp_range")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode={scale_mode!r} must be cycle or iterations")
        self.step_size_up, self.step_size_down, self.mode, self.gamma = step_size_up, step_size_down, mode, gamma
        self.scale_fn, self.scale_mode, self.cycle_momentum = scale_fn, scale_mode, cycle_momentum
        groups = getattr(optimizer, "param_groups", [])
        self.max_lrs = for_groups(self, "max_lr", max_lr, groups)
        for group, lr in zip(groups, for_groups(self, "base_lr", base_lr, groups)):
            if last_epoch == -1:
                group["initial_lr"] = lr
        if cycle_momentum and groups:
            self._keep_momentums(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _height(self, t: int) -> float:
        """How far up between the base and the maximum the rate is."""
        cycle, position = divmod(t, self.step_size_up + self.step_size_down)
        if position <= self.step_size_up:
            share = position / self.step_size_up
        else:
            share = (self.step_size_up + self.step_size_down - position) / self.step_size_down
        if self.scale_fn is not None:
            return share * self.scale_fn(cycle + 1 if self.scale_mode == "cycle" else t)
        return float(share * {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**t}[self.mode])

    def get_lr(self) -> list[float]:
        """Between the base and the maximum; sets the momentum as well."""
        height = self._height(self.last_epoch)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                set_momentum(group, linear(group["max_momentum"], group["base_momentum"], height))
        return [linear(lr, largest, height) for lr, largest in zip(self.base_lrs, self.max_lrs)]


class OneCycleLR(CycledMomentum):
    """Up from max_lr / div_factor to `max_lr` in the first `pct_start` of the steps, then down to the initial rate /
    `final_div_factor`; the momentum moves the other way. Smith & Topin 2018, "Super-convergence: very fast training of
    neural networks using large learning rates". One `step()` for each batch.

    `max_lr`: a number, or one for each group. The number of steps is `total_steps`, or `epochs` · `steps_per_epoch`.
    `anneal_strategy`: "cos" or "linear". `cycle_momentum`: from `max_momentum` down to `base_momentum` and back.
    `three_phase`: down to the initial rate in as many steps as up, and only then further down. Raises ValueError for
    options out of range, for an optimizer without momentum where it is to be cycled, and for a step after the last.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6, anneal_strategy="linear")
    >>> for _ in range(5):
    ...     print(f"{optimizer.param_groups[0]['lr']:.2f} {optimizer.param_groups[0]['momentum']:.2f}", end=", ")
    ...     optimizer.step(); schedule.step()
    0.04 0.95, 0.52 0.90, 1.00 0.85, 0.50 0.90, 0.00 0.95,
    """

    def __init__(self, optimizer: Any, max_lr: float | list[float], total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.85,
                 max_momentum: float | list[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
                 three_phase: bool = False, last_epoch: int = -1) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: pass total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not total_steps > 0 or total_steps != int(total_steps):
            raise ValueError(f"OneCycleLR: the number of steps is {total_steps}, it must be a positive integer")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start={pct_start} must lie between 0 and 1")
        if anneal_strategy not in ANNEALING:
            raise ValueError(f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be one of {', '.join(ANNEALING)}")
        self.total_steps, self.pct_start, self.three_phase = int(total_steps), pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        groups = getattr(optimizer, "param_groups", [])
        for group, largest in zip(groups, for_groups(self, "max_lr", max_lr, groups)):
            if last_epoch == -1:
                group["initial_lr"], group["max_lr"] = largest / div_factor, largest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum and groups:
            self._keep_momentums(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phases(self) -> list[tuple[float, str, str, str, str]]:
        """(last step, rate from, rate to, momentum from, momentum to) of each phase."""
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        up = (top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not self.three_phase:
            return [up, (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        return [up, (2 * top, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def get_lr(self) -> list[float]:
        """Between the two rates of the phase that this step lies in; sets the momentum as well."""
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: step {t} of a schedule with total_steps={self.total_steps}")
        phases = self._phases()
        number = next((i for i, phase in enumerate(phases) if t <= phase[0]), len(phases) - 1)
        start = phases[number - 1][0] if number else 0.0
        end, lr_from, lr_to, momentum_from, momentum_to = phases[number]
        share = (t - start) / (end - start) if end > start else 1.0
        between = ANNEALING[self.anneal_strategy]
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                set_momentum(group, between(group[momentum_from], group[momentum_to], share))
        return [between(group[lr_from], group[lr_to], share) for group in self.optimizer.param_groups]
