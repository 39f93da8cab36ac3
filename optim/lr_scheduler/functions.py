"""Schedules that the user gives as functions of the step."""

from collections.abc import Callable
from typing import Any

from chainrule.optim.lr_scheduler.scheduler import LRScheduler, for_groups

__all__ = ["LambdaLR", "MultiplicativeLR"]


class LambdaLR(LRScheduler):
    """lr = lr₀ · f(t) in step t = 0, 1, …

    `lr_lambda`: f, or a list of one for each group. The functions are not part of the state.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> warm_up = LambdaLR(optimizer, lambda t: min(1, (t + 1) / 4))
    >>> for _ in range(4):
    ...     print(warm_up.get_last_lr())
    ...     optimizer.step(); warm_up.step()
    [0.125]
    [0.25]
    [0.375]
    [0.5]
    """

    unsaved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Any, lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
                 last_epoch: int = -1) -> None:
        self.lr_lambdas = for_groups(self, "lr_lambda", lr_lambda, getattr(optimizer, "param_groups", [0]))
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(f"{self._name}: lr_lambda is a function of the step, got {type(f).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr₀ · f(t)."""
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas)]


class MultiplicativeLR(LambdaLR):
    """lr ← lr · f(t) in step t = 1, 2, …

    `lr_lambda`: f, or a list of one for each group. The functions are not part of the state.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> halving = MultiplicativeLR(optimizer, lambda t: 0.5)
    >>> optimizer.step(); halving.step(); halving.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        """The rate there is, times f(t)."""
        groups = self.optimizer.param_groups
        if self._step_count == 1:
            return [group["lr"] for group in groups]
        return [group["lr"] * f(self.last_epoch) for group, f in zip(groups, self.lr_lambdas)]
