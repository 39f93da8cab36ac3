"""Adadelta."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average_square, descent

__all__ = ["Adadelta"]


def adadelta(p: Any, g: Any, v: Any, u: Any, scratch: Any, *, lr: float, rho: float, eps: float, weight_decay: float,
             maximize: bool) -> None:
    """The rule, on raw arrays: writes into p and into the mean squares v of the gradients and u of the changes.

        g ← ±g + weight_decay · p
        v ← ρ v + (1 − ρ) g²
        Δ ← √(u + ε) / √(v + ε) · g
        u ← ρ u + (1 − ρ) Δ²
        p ← p − lr · Δ
    """
    _, product, change = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    average_square(v, g, rho, product)
    np.add(v, eps, out=product)
    np.add(u, eps, out=change)
    change /= product
    np.sqrt(change, out=change)
    change *= g
    average_square(u, change, rho, product)
    change *= lr
    p -= change


class Adadelta(Optimizer):
    """Gradients divided by their running root mean square and multiplied by that of the changes made so far, which gives
    the steps the parameters' units, and leaves nothing to tune: lr is 1. Zeiler 2012, "ADADELTA: an adaptive learning
    rate method"; see `adadelta` in this file for the exact rule.

    `rho`: how slowly the averages forget; `eps` also decides how large the first steps are; `weight_decay` adds to the
    gradient; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = Adadelta([x], rho=0.75, eps=1.0)
    >>> (2 * x).sum().backward(); optimizer.step(); round(x.item(), 4)  # 1 − 2 · √1 / √(0.25 · 2² + 1)
    -0.4142
    """

    def __init__(self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """`rho` lies in [0, 1]."""
        super().check(group)
        self.check_range(group, "rho", 1)

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `adadelta`."""
        self.begin(state, data, "square_avg", "acc_delta")
        adadelta(data, gradient, state["square_avg"], state["acc_delta"], self.scratch(data, 3), lr=group["lr"],
                 rho=group["rho"], eps=group["eps"], weight_decay=group["weight_decay"], maximize=group["maximize"])
