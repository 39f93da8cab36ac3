"""Averaged stochastic gradient descent."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, descent

__all__ = ["ASGD"]


def asgd(p: Any, g: Any, ax: Any, scratch: Any, *, eta: float, mu: float, lambd: float, weight_decay: float,
         maximize: bool) -> None:
    """The rule, on raw arrays: writes into p and into the average ax.

        g  ← ±g + weight_decay · p
        p  ← (1 − λ η) p − η g
        ax ← ax + μ (p − ax)

    where in step t = 1, 2, … the rate is η = lr / (1 + λ lr (t − 1))^α and the share μ = 1 / max(1, t − 1 − t₀): the
    plain average of all p since step t₀.
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    np.multiply(g, eta, out=product)
    p *= 1 - lambd * eta
    p -= product
    if mu == 1:
        ax[...] = p
    else:
        np.subtract(p, ax, out=product)
        product *= mu
        ax += product


class ASGD(Optimizer):
    """SGD that also keeps the average of all its iterates, `state[p]["ax"]`, which lies nearer to the optimum than the
    last of them. Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; see `asgd` in this
    file for the exact rule. `optim.AveragedModel` averages with any optimizer.

    `lambd`: how strongly p decays; `alpha`: how fast the rate falls; `t0`: the step from which on to average;
    `weight_decay` adds to the gradient; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer`
    for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = ASGD([x], lr=0.25, lambd=0.0, t0=0)
    >>> for _ in range(3):
    ...     optimizer.zero_grad(); x.sum().backward(); optimizer.step()
    ...     print(x.item(), optimizer.state[x]["ax"])
    0.75 [0.75]
    0.5 [0.5]
    0.25 [0.375]
    """

    numbers = ("step", "eta", "mu")

    def __init__(self, params: Any, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
                 weight_decay: float = 0.0, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
                                  "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """`lambd`, which is a decay, is not negative."""
        super().check(group)
        self.check_range(group, "lambd")

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `asgd`; the state then has the rate and the share of the next."""
        self.begin(state, data, "ax")
        lr, lambd, t = group["lr"], group["lambd"], state["step"]
        asgd(data, gradient, state["ax"], self.scratch(data, 2), eta=state.get("eta", lr), mu=state.get("mu", 1.0),
             lambd=lambd, weight_decay=group["weight_decay"], maximize=group["maximize"])
        state["eta"] = lr / (1 + lambd * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])
