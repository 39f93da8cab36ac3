"""What all schedulers share: counting steps, writing the learning rates into the groups, saving and loading."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from chainrule.optim.optimizer import Optimizer
from chainrule.state import again

__all__ = ["LRScheduler"]


def for_groups(scheduler: Any, name: str, value: Any, groups: list[Any]) -> list[Any]:
    """One value for each group of parameters: from a list of as many, or the same for all."""
    if not isinstance(value, list | tuple):
        return [value] * len(groups)
    if len(value) != len(groups):
        raise ValueError(f"{type(scheduler).__name__}: {name} has {len(value)} values, the optimizer {len(groups)} groups "
                         "of parameters")
    return list(value)


class LRScheduler:
    """The base of schedulers: subclasses define `get_lr`, the rate of each group in step number `last_epoch`.

    `optimizer`: whose `param_groups` get the rates. `last_epoch`: -1 to begin; the number of an earlier step to go on
    from there with an optimizer whose groups were loaded (they then have "initial_lr", or KeyError is raised) and hold
    the rate of that moment. Another way to go on is `load_state_dict`.

    Making a scheduler sets the rates of step 0. Each `step()`, called after `optimizer.step()`, sets those of the next.
    """

    unsaved: tuple[str, ...] = ("optimizer",)  # attributes that are not part of the state

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass's own `step` is called anew at each replay of a compiled step, as this class's is."""
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = again(cls.step)  # type: ignore[method-assign]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._name}: the first argument is the optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{self._name}: group {i} has no initial_lr, so the schedule cannot go on after step "
                               f"{last_epoch}; load the optimizer's state first, or begin with last_epoch=-1")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 1
        self._advance()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`, one for each group. `step` asks for them; users ask `get_last_lr`."""
        raise NotImplementedError(f"{self._name} has no get_lr()")

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set, one for each group of parameters."""
        return self._last_lr

    def _advance(self) -> None:
        """Go on to the next step and set its rates."""
        self.last_epoch += 1
        self._set_rates()

    def _set_rates(self) -> None:
        """Write the rates of step `last_epoch` into the groups."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(f"{self._name}: the optimizer has {len(groups)} groups of parameters, it had "
                             f"{len(self.base_lrs)} when the scheduler was made; add groups first")
        for group, lr in zip(groups, self.get_lr()):
            group["lr"] = lr
        self._note_rates()

    def _note_rates(self) -> None:
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _begin(self) -> None:
        """Take step 0 (again), from whatever rates there are."""
        self.last_epoch, self._step_count = -1, 1
        self._advance()

    def restart(self) -> None:
        """Go back to step 0, from the rates with which the optimizer began: so do schedules in sequence start."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._begin()

    @again
    def step(self) -> None:
        """Set the rates of the next step; call it after `optimizer.step()`. Warns where that was never called: the first
        rate would then be left out."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(f"{self._name}.step() was called before optimizer.step(), so the first learning rate of the "
                          "schedule is never used; call optimizer.step() first", stacklevel=2)
        self._step_count += 1
        self._advance()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs: numbers, texts and lists, which `chainrule.save` and JSON take. Functions are
        not saved; the scheduler that loads it is made with the same ones."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in self.unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the scheduler stood that `state_dict` came from. The rates themselves are in the optimizer's state:
        load that, too. Raises ValueError for the state of another kind of scheduler."""
        own = self.state_dict()
        if set(own) != set(state_dict):
            raise ValueError(f"{self._name}.load_state_dict: the state has {', '.join(sorted(state_dict))}; this scheduler's "
                             f"has {', '.join(sorted(own))}")
        vars(self).update({name: copy.deepcopy(value) for name, value in state_dict.items()})
