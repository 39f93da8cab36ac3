"""Adam."""

import math
from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, average_square, descent

__all__ = ["Adam"]


def adam(p: Any, g: Any, m: Any, v: Any, largest: Any, scratch: Any, *, step: int, lr: float, beta1: float,
         beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p, into the moments m and v, and into `largest` unless it is None (amsgrad).

        g ← ±g + weight_decay · p                    (decoupled: p ← p − lr · weight_decay · p instead)
        m ← m + (1 − β₁) (g − m)
        v ← β₂ v + (1 − β₂) g²                       (amsgrad: largest ← max(largest, v), which then stands for v below)
        p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)      in step t = 1, 2, …
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize, lr if decoupled else None)
    average(m, g, beta1, product)
    average_square(v, g, beta2, product)
    if largest is not None:
        v = np.maximum(largest, v, out=largest)
    denominator = np.sqrt(v, out=product)
    denominator /= math.sqrt(1 - beta2**step)
    denominator += eps
    change = np.divide(m, denominator, out=product)
    change *= lr / (1 - beta1**step)
    p -= change


class Adam(Optimizer):
    """Steps of about lr per element, whatever the gradient's scale: the ratio of its running mean to its running root
    mean square. Kingma & Ba 2015, "Adam: a method for stochastic optimization"; see `adam` in this file for the exact
    rule.

    `betas`: how slowly the two averages forget; `weight_decay` adds to the gradient; `amsgrad` divides by the largest
    mean square so far (Reddi et al. 2018, "On the convergence of Adam and beyond"); `maximize`: climb;
    `decoupled_weight_decay`: as AdamW. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([x], lr=0.25)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()
    [0.75]
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
                 decoupled_weight_decay: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})

    kernel = "adam_step"

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The moments."""
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def coefficients(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """What `adam_step` takes."""
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        coupled, shrink = (0.0, 1 - lr * decay) if group["decoupled_weight_decay"] else (decay, 1.0)
        return (-1.0 if group["maximize"] else 1.0, coupled, shrink, 1 - beta1, beta2, 1 - beta2,
                1 / math.sqrt(1 - beta2**step), group["eps"], lr / (1 - beta1**step))

    def switches(self, group: dict[str, Any]) -> dict[str, bool]:
        """What `adam_step` takes."""
        return {"amsgrad": bool(group["amsgrad"])}

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `adam`."""
        self.begin(state, data, *self.kept(group))
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        adam(data, gradient, state["exp_avg"], state["exp_avg_sq"], largest, self.scratch(data, 2), step=state["step"],
             lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"],
             weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"], maximize=group["maximize"])
