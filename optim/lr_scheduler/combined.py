"""Schedules made of schedules."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.optim.lr_scheduler.plateau import ReduceLROnPlateau
from chainrule.optim.lr_scheduler.scheduler import LRScheduler

__all__ = ["ChainedScheduler", "SequentialLR"]


class Combined(LRScheduler):
    """Several schedules of one optimizer; their states are part of the state."""

    unsaved = ("optimizer", "_schedulers")

    def _take(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        """Check and keep the parts."""
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise TypeError(f"{self._name}: number {i} is a {type(scheduler).__name__}, it must be a schedule that needs "
                                "no metric")
            if optimizer is None:
                optimizer = scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{self._name}: number {i}, a {type(scheduler).__name__}, was made for another optimizer")
        if not schedulers:
            raise ValueError(f"{self._name}: there are no schedulers")
        self.optimizer, self._schedulers = optimizer, list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, the states of the parts among it."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the scheduler stood that `state_dict` came from. Raises ValueError for one with other parts."""
        parts = state_dict.get("_schedulers", [])
        if len(parts) != len(self._schedulers):
            raise ValueError(f"{self._name}.load_state_dict: the state is of {len(parts)} schedulers, there are "
                             f"{len(self._schedulers)}")
        for scheduler, part in zip(self._schedulers, parts):
            scheduler.load_state_dict(part)
        own = self._schedulers
        super().load_state_dict(state_dict)
        self._schedulers = own


class SequentialLR(Combined):
    """One schedule after the other: number i from step milestones[i − 1] on, where it begins with its own step 0 and the
    rates that the optimizer began with.

    `schedulers`: schedules of `optimizer`, one more than `milestones`, whose numbers increase. Raises ValueError where
    they do not, and for a `last_epoch` other than -1: to go on, load a state.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> from chainrule.optim.lr_scheduler import CosineAnnealingLR, LinearLR
    >>> warm_up, cosine = LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule = SequentialLR(optimizer, [warm_up, cosine], milestones=[2])
    >>> for _ in range(5):
    ...     print([round(lr, 4) for lr in schedule.get_last_lr()], end=" ")
    ...     optimizer.step(); schedule.step()
    [0.5] [0.75] [1.0] [0.5] [0.0]
    """

    def __init__(self, optimizer: Any, schedulers: Sequence[Any], milestones: Sequence[int], last_epoch: int = -1) -> None:
        self._take(schedulers, optimizer)
        self._milestones = list(milestones)
        if len(self._milestones) != len(schedulers) - 1:
            raise ValueError(f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, got "
                             f"{len(self._milestones)}")
        if any(a >= b for a, b in zip(self._milestones, self._milestones[1:])):
            raise ValueError(f"SequentialLR: the milestones {self._milestones} must increase")
        if last_epoch != -1:
            raise ValueError("SequentialLR: to go on after an earlier step make it anew and call load_state_dict()")
        self.restart()

    def _begin(self) -> None:
        """Begin the first of the parts."""
        self.last_epoch = 0
        self._schedulers[bisect_right(self._milestones, 0)]._begin()
        self._note_rates()

    def step(self) -> None:
        """Set the rates of the next step, by the schedule whose turn it is."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler.restart()
        else:
            scheduler.step()
        self._note_rates()


class ChainedScheduler(Combined):
    """Several schedules at once: each step is one of all of them, in their order, each changing what the former left.

    Those that multiply the rate (ConstantLR, CosineAnnealingLR, ExponentialLR, LinearLR, MultiplicativeLR, MultiStepLR,
    PolynomialLR, StepLR) multiply together; of any other only the last has an effect.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> from chainrule.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> schedule = ChainedScheduler([ConstantLR(optimizer, 0.25, total_iters=2), ExponentialLR(optimizer, 0.5)])
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [0.25] [0.125] [0.25] [0.125]
    """

    def __init__(self, schedulers: Sequence[Any], optimizer: Any = None) -> None:
        self._take(schedulers, optimizer)
        self._note_rates()

    def _begin(self) -> None:
        """Begin all parts."""
        for scheduler in self._schedulers:
            scheduler._begin()
        self._note_rates()

    def step(self) -> None:
        """One step of each."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._note_rates()
