"""NAdam: Adam with Nesterov's momentum."""

import math
from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, average_square, descent

__all__ = ["NAdam"]


def nadam(p: Any, g: Any, m: Any, v: Any, mu_product: float, scratch: Any, *, step: int, lr: float, beta1: float,
          beta2: float, eps: float, weight_decay: float, momentum_decay: float, decoupled: bool, maximize: bool) -> float:
    """The rule, on raw arrays: writes into p and into the moments m and v, and returns the new μ₁μ₂⋯μₜ.

        μₜ = β₁ (1 − 0.96^(t · momentum_decay) / 2)      in step t = 1, 2, …
        g ← ±g + weight_decay · p                        (decoupled: p ← p − lr · weight_decay · p instead)
        m ← m + (1 − β₁) (g − m)
        v ← β₂ v + (1 − β₂) g²
        p ← p − lr · ((1 − μₜ) / (1 − μ₁⋯μₜ) · g + μₜ₊₁ / (1 − μ₁⋯μₜ₊₁) · m) / (√(v / (1 − β₂ᵗ)) + ε)
    """
    _, product, change = scratch
    g = descent(p, g, scratch, weight_decay, maximize, lr if decoupled else None)
    average(m, g, beta1, product)
    average_square(v, g, beta2, product)
    mu, following = (beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
    mu_product *= mu
    np.multiply(g, lr * (1 - mu) / (1 - mu_product), out=change)
    change += np.multiply(m, lr * following / (1 - mu_product * following), out=product)
    denominator = np.sqrt(v, out=product)
    denominator /= math.sqrt(1 - beta2**step)
    denominator += eps
    change /= denominator
    p -= change
    return mu_product


class NAdam(Optimizer):
    """Adam that steps to where its momentum is about to lead, as Nesterov's does. Dozat 2016, "Incorporating Nesterov
    momentum into Adam"; see `nadam` in this file for the exact rule.

    `betas`: how slowly the two averages forget; `momentum_decay`: how fast the momentum grows from half of the first
    beta towards it; `weight_decay` adds to the gradient, or with `decoupled_weight_decay` shrinks the parameters as
    AdamW's does; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = NAdam([x], lr=0.25)
    >>> (3 * x).sum().backward(); optimizer.step(); round(x.item(), 4)
    0.7359
    """

    numbers = ("step", "mu_product")

    def __init__(self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "momentum_decay": momentum_decay, "maximize": maximize,
                                  "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, group: dict[str, Any]) -> None:
        """`momentum_decay` is not negative."""
        super().check(group)
        self.check_range(group, "momentum_decay")

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `nadam`."""
        self.begin(state, data, "exp_avg", "exp_avg_sq")
        state["mu_product"] = nadam(
            data, gradient, state["exp_avg"], state["exp_avg_sq"], state.get("mu_product", 1.0), self.scratch(data, 3),
            step=state["step"], lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"],
            weight_decay=group["weight_decay"], momentum_decay=group["momentum_decay"],
            decoupled=group["decoupled_weight_decay"], maximize=group["maximize"])
