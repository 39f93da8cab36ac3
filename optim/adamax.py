"""Adamax."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, descent

__all__ = ["Adamax"]


def adamax(p: Any, g: Any, m: Any, u: Any, scratch: Any, *, step: int, lr: float, beta1: float, beta2: float, eps: float,
           weight_decay: float, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p, into the moment m and into the largest magnitude u.

        g ← ±g + weight_decay · p
        m ← m + (1 − β₁) (g − m)
        u ← max(β₂ u, |g| + ε)
        p ← p − lr / (1 − β₁ᵗ) · m / u      in step t = 1, 2, …
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    average(m, g, beta1, product)
    np.abs(g, out=product)
    product += eps
    u *= beta2
    np.maximum(u, product, out=u)
    change = np.divide(m, u, out=product)
    change *= lr / (1 - beta1**step)
    p -= change


class Adamax(Optimizer):
    """Adam with the largest magnitude of the gradient, slowly forgotten, in place of the root mean square: no step is
    longer than lr. Kingma & Ba 2015, "Adam: a method for stochastic optimization", section 7.1; see `adamax` in this
    file for the exact rule.

    `betas`: how slowly the average and the largest magnitude forget; `weight_decay` adds to the gradient; `maximize`:
    climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = Adamax([x], lr=0.25)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()
    [0.75]
    """

    def __init__(self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize})

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `adamax`."""
        self.begin(state, data, "exp_avg", "exp_inf")
        adamax(data, gradient, state["exp_avg"], state["exp_inf"], self.scratch(data, 2), step=state["step"],
               lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"],
               weight_decay=group["weight_decay"], maximize=group["maximize"])
