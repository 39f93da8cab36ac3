"""AdamW: Adam with a weight decay of its own."""

from typing import Any

from chainrule.optim.adam import Adam

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam whose weight decay does not pass through the averages: in each step every parameter shrinks by the factor
    1 − lr · weight_decay, and then follows `adam` (in optim/adam.py) of the loss's gradient alone.

    Added to the gradient, as Adam does, decay is divided by √v like the rest of it, so that weights with large gradients
    hardly decay. Loshchilov & Hutter 2019, "Decoupled weight decay regularization". The arguments are Adam's, with
    another default of `weight_decay`. Raises ValueError for options out of range; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([x], lr=0.25, weight_decay=0.5)
    >>> (3 * x).sum().backward(); optimizer.step(); x.tolist()  # 1 · (1 − 0.125) − 0.25
    [0.625]
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def check(self, group: dict[str, Any]) -> None:
        """The decay is decoupled, or it would not be AdamW."""
        super().check(group)
        if not group["decoupled_weight_decay"]:
            raise ValueError("AdamW: decoupled_weight_decay=False is Adam; is this the state of an Adam?")
