"""Adagrad."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, descent

__all__ = ["Adagrad"]


def adagrad(p: Any, g: Any, total: Any, scratch: Any, *, step: int, lr: float, lr_decay: float, weight_decay: float,
            eps: float, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p and into the total of squares.

        g ← ±g + weight_decay · p
        total ← total + g²
        p ← p − lr / (1 + (t − 1) lr_decay) · g / (√total + ε)      in step t = 1, 2, …
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    np.multiply(g, g, out=product)
    total += product
    denominator = np.sqrt(total, out=product)
    denominator += eps
    change = np.divide(g, denominator, out=product)
    change *= lr / (1 + (step - 1) * lr_decay)
    p -= change


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far: what is rarely moved, such as the row of an
    embedding, keeps a large step. Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and
    stochastic optimization"; see `adagrad` in this file for the exact rule.

    `lr_decay`: lr falls as 1 / (1 + t · lr_decay); `initial_accumulator_value`: where the sum starts; `weight_decay` adds
    to the gradient; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = Adagrad([x], lr=0.25)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()
    [0.75]
    """

    def __init__(self, params: Any, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
                 initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "eps": eps,
                                  "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """`lr_decay` and the initial value are not negative."""
        super().check(group)
        self.check_range(group, "lr_decay")
        self.check_range(group, "initial_accumulator_value")

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `adagrad`."""
        if "sum" not in state:
            state["sum"] = np.full_like(data, group["initial_accumulator_value"])
        self.begin(state, data)
        adagrad(data, gradient, state["sum"], self.scratch(data, 2), step=state["step"], lr=group["lr"],
                lr_decay=group["lr_decay"], weight_decay=group["weight_decay"], eps=group["eps"],
                maximize=group["maximize"])
