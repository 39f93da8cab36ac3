"""Stochastic gradient descent."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, descent

__all__ = ["SGD"]


def sgd(p: Any, g: Any, momentum_buffer: Any, scratch: Any, *, lr: float, momentum: float, dampening: float,
        weight_decay: float, nesterov: bool, maximize: bool) -> Any:
    """The rule, on raw arrays: writes into p and into momentum_buffer, and returns the latter.

        g ← ±g + weight_decay · p
        b ← momentum · b + (1 − dampening) · g      (b ← g in the first step, where it is None)
        p ← p − lr · (g + momentum · b  if nesterov else  b)
    """
    total, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize)
    if momentum:
        if momentum_buffer is None:
            momentum_buffer = g.copy()
        else:
            momentum_buffer *= momentum
            momentum_buffer += np.multiply(g, 1 - dampening, out=product)
        if nesterov:
            np.multiply(momentum_buffer, momentum, out=product)
            g = np.add(g, product, out=total)
        else:
            g = momentum_buffer
    p -= np.multiply(g, lr, out=product)
    return momentum_buffer


class SGD(Optimizer):
    """p ← p − lr · g, with momentum and weight decay where asked for; see `sgd` in this file for the exact rule.

    `momentum`: the share of the last update that goes on; `dampening`: how much less the gradient then counts;
    `nesterov`: look ahead (Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning");
    `maximize`: climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.5)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()
    [-0.5]
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0,
                 nesterov: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """Nesterov's momentum needs a momentum, undampened."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov=True needs momentum > 0 and dampening = 0")

    kernel = "sgd_step"
    counts = False

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The last update, with momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def coefficients(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """What `sgd_step` takes."""
        return (-1.0 if group["maximize"] else 1.0, group["weight_decay"], group["momentum"], 1 - group["dampening"], group["lr"])

    def switches(self, group: dict[str, Any]) -> dict[str, bool]:
        """What `sgd_step` takes."""
        return {"momentum": group["momentum"] != 0, "nesterov": bool(group["nesterov"])}

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `sgd`."""
        buffer = sgd(data, gradient, state.get("momentum_buffer"), self.scratch(data, 2), lr=group["lr"],
                     momentum=group["momentum"], dampening=group["dampening"], weight_decay=group["weight_decay"],
                     nesterov=group["nesterov"], maximize=group["maximize"])
        if buffer is not None:
            state["momentum_buffer"] = buffer
