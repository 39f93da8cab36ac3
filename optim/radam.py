"""RAdam: Adam that rectifies its first steps."""

import math
from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, average_square, descent

__all__ = ["RAdam"]


def radam(p: Any, g: Any, m: Any, v: Any, scratch: Any, *, step: int, lr: float, beta1: float, beta2: float, eps: float,
          weight_decay: float, decoupled: bool, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p and into the moments m and v.

        g ← ±g + weight_decay · p                    (decoupled: p ← p − lr · weight_decay · p instead)
        m ← m + (1 − β₁) (g − m)
        v ← β₂ v + (1 − β₂) g²
        p ← p − lr / (1 − β₁ᵗ) · m · (r / ((√v + ε) / √(1 − β₂ᵗ))  if ρ > 5 else  1)      in step t = 1, 2, …

    where ρ says how many gradients v is worth: with ρ∞ = 2 / (1 − β₂) − 1,

        ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ),      r = √((ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ))
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize, lr if decoupled else None)
    average(m, g, beta1, product)
    average_square(v, g, beta2, product)
    rate = lr / (1 - beta1**step)
    limit = 2 / (1 - beta2) - 1
    worth = limit - 2 * step * beta2**step / (1 - beta2**step)
    if worth > 5:
        rectified = math.sqrt((worth - 4) * (worth - 2) * limit / ((limit - 4) * (limit - 2) * worth))
        denominator = np.sqrt(v, out=product)
        denominator += eps
        change = np.divide(m, denominator, out=product)
        change *= rate * rectified * math.sqrt(1 - beta2**step)
    else:
        change = np.multiply(m, rate, out=product)
    p -= change


class RAdam(Optimizer):
    """Adam without the need for a warm-up: while the mean square stems from too few gradients to be trusted, steps are
    those of plain momentum, and then Adam's, lengthening. Liu et al. 2020, "On the variance of the adaptive learning rate
    and beyond"; see `radam` in this file for the exact rule.

    `betas`: how slowly the two averages forget; `weight_decay` adds to the gradient, or with `decoupled_weight_decay`
    shrinks the parameters as AdamW's does; `maximize`: climb. Raises ValueError for options out of range; see
    `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = RAdam([x], lr=0.25)
    >>> (3 * x).sum().backward(); optimizer.step(); round(x.item(), 4)  # as SGD at first: 1 − 0.25 · 3
    0.25
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, decoupled_weight_decay: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `radam`."""
        self.begin(state, data, "exp_avg", "exp_avg_sq")
        radam(data, gradient, state["exp_avg"], state["exp_avg_sq"], self.scratch(data, 2), step=state["step"],
              lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"],
              weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"], maximize=group["maximize"])
