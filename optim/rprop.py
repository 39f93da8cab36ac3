"""Resilient backpropagation."""

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, descent

__all__ = ["Rprop"]


def rprop(p: Any, g: Any, previous: Any, size: Any, scratch: Any, *, shrink: float, grow: float, smallest: float,
          largest: float, maximize: bool) -> None:
    """The rule, on raw arrays: writes into p, into the previous gradient and into the step sizes.

        g ← ±g
        size ← size · (grow where g · previous > 0,  shrink where g · previous < 0,  else 1), from smallest to largest
        g ← 0 where g · previous < 0
        p ← p − sign(g) · size
        previous ← g
    """
    _, product, factor = scratch
    g = descent(p, g, scratch, 0.0, maximize)
    np.multiply(g, previous, out=product)
    turned = product < 0
    factor[...] = 1
    factor[product > 0] = grow
    factor[turned] = shrink
    size *= factor
    np.clip(size, smallest, largest, out=size)
    previous[...] = g
    previous[turned] = 0
    np.sign(previous, out=product)
    product *= size
    p -= product


class Rprop(Optimizer):
    """Each element has a step size of its own, which grows while its gradient keeps the sign and shrinks when that
    turns; how large the gradient is does not matter. For whole data sets: in mini-batches signs turn by chance. Riedmiller
    & Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm"; see `rprop` in
    this file for the exact rule.

    `lr`: the first step size; `etas`: the factors by which it shrinks and grows; `step_sizes`: the smallest and the
    largest; `maximize`: climb. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = Rprop([x], lr=0.5, etas=(0.5, 1.5))
    >>> for _ in range(3):
    ...     optimizer.zero_grad(); (x * x).sum().backward(); optimizer.step(); print(x.item())
    0.5
    -0.25
    -0.25
    """

    def __init__(self, params: Any, lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50.0), *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """One factor shrinks, the other grows."""
        super().check(group)
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"Rprop: etas={group['etas']} must be a number between 0 and 1 and one above 1")
        smallest, largest = group["step_sizes"]
        if not 0 <= smallest <= largest:
            raise ValueError(f"Rprop: step_sizes={group['step_sizes']} must be the smallest and the largest size")

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `rprop`."""
        self.begin(state, data, "prev")
        if "step_size" not in state:
            state["step_size"] = np.full_like(data, group["lr"])
        rprop(data, gradient, state["prev"], state["step_size"], self.scratch(data, 3), shrink=group["etas"][0],
              grow=group["etas"][1], smallest=group["step_sizes"][0], largest=group["step_sizes"][1],
              maximize=group["maximize"])
