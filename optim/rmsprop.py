"""RMSprop."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, average_square, descent

__all__ = ["RMSprop"]


def rmsprop(p: Any, g: Any, v: Any, mean: Any, momentum_buffer: Any, scratch: Any, *, lr: float, alpha: float,
            eps: float, weight_decay: float, momentum: float, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p, into the mean square v, and where they are not None into the mean (which
    makes it centered) and the momentum buffer.

        g ← ±g + weight_decay · p
        v ← α v + (1 − α) g²
        d ← √v + ε                                   (centered: mean ← mean + (1 − α) (g − mean),  d ← √(v − mean²) + ε)
        p ← p − lr · g / d                           (momentum: b ← momentum · b + g / d,  p ← p − lr · b)
    """
    _, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    average_square(v, g, alpha, product)
    if mean is not None:
        average(mean, g, alpha, product)
        np.multiply(mean, mean, out=product)
        v = np.subtract(v, product, out=product)
    denominator = np.sqrt(v, out=product)
    denominator += eps
    change = np.divide(g, denominator, out=product)
    if momentum_buffer is not None:
        momentum_buffer *= momentum
        momentum_buffer += change
        change = np.multiply(momentum_buffer, lr, out=product)
    else:
        change *= lr
    p -= change


class RMSprop(Optimizer):
    """Gradients divided by their running root mean square, so that steep and flat directions advance alike. Tieleman &
    Hinton 2012, "Lecture 6.5: rmsprop"; see `rmsprop` in this file for the exact rule.

    `alpha`: how slowly the mean square forgets; `centered` divides by the standard deviation instead (Graves 2013,
    "Generating sequences with recurrent neural networks"); `momentum`: the share of the last update that goes on;
    `weight_decay` adds to the gradient; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer`
    for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = RMSprop([x], lr=0.25, alpha=0.75)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()  # 1 − 0.25 · 3 / √(0.25 · 3²)
    [0.5]
    """

    def __init__(self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum: float = 0.0, centered: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                                  "momentum": momentum, "centered": centered, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """`alpha` lies in [0, 1]."""
        super().check(group)
        self.check_range(group, "alpha", 1)

    kernel = "rmsprop_step"

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The averages, and the last update."""
        return ("square_avg", *["grad_avg"] * bool(group["centered"]), *["momentum_buffer"] * (group["momentum"] > 0))

    def coefficients(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """What `rmsprop_step` takes."""
        return (-1.0 if group["maximize"] else 1.0, group["weight_decay"], group["alpha"], 1 - group["alpha"], group["eps"],
                group["momentum"], group["lr"])

    def switches(self, group: dict[str, Any]) -> dict[str, bool]:
        """What `rmsprop_step` takes."""
        return {"centered": bool(group["centered"]), "momentum": group["momentum"] > 0}

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `rmsprop`."""
        momentum, centered = group["momentum"] > 0, group["centered"]
        self.begin(state, data, *self.kept(group))
        rmsprop(data, gradient, state["square_avg"], state["grad_avg"] if centered else None,
                state["momentum_buffer"] if momentum else None, self.scratch(data, 2), lr=group["lr"],
                alpha=group["alpha"], eps=group["eps"], weight_decay=group["weight_decay"], momentum=group["momentum"],
                maximize=group["maximize"])
