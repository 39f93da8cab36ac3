"""Muon: momentum, orthogonalized."""

import math
from typing import Any

import numpy as np

from chainrule.optim.optimizer import Optimizer, average, descent

__all__ = ["Muon"]

# How much longer the steps of an (A, B) matrix are than lr.
ADJUSTMENTS = {"original": lambda a, b: math.sqrt(max(1, a / b)), "match_rms_adamw": lambda a, b: 0.2 * math.sqrt(max(a, b))}


def orthogonalize(update: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """Nearly U Vᵀ, where the update is U S Vᵀ: all its singular values are brought near 1, between about 0.7 and 1.2.

    Newton-Schulz iteration with a polynomial of degree 5, odd, so that it acts on singular values alone: beginning with
    X = update / max(‖update‖, ε),

        A ← X Xᵀ
        X ← a X + (b A + c A²) X
    """
    a, b, c = coefficients
    tall = update.shape[0] > update.shape[1]
    x = update.T if tall else update  # the smaller X Xᵀ
    x = x / np.maximum(np.linalg.norm(x), eps)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = gram @ gram
        polynomial *= c
        gram *= b
        polynomial += gram
        change = polynomial @ x
        x *= a
        x += change
    return x.T if tall else x


def muon(p: Any, g: Any, momentum_buffer: Any, scratch: Any, *, lr: float, weight_decay: float, momentum: float,
         nesterov: bool, coefficients: tuple[float, float, float], eps: float, steps: int, adjustment: float,
         maximize: bool) -> None:
    """The rule, on raw arrays: writes into p and into the momentum buffer b.

        p ← p − lr · weight_decay · p
        b ← b + (1 − momentum) (±g − b)
        p ← p − lr · adjustment · orthogonalize(±g + momentum · (b − ±g)  if nesterov else  b)
    """
    total, product = scratch
    g = descent(p, g, scratch, weight_decay, maximize, lr)
    average(momentum_buffer, g, momentum, product)
    update = momentum_buffer
    if nesterov:
        np.subtract(momentum_buffer, g, out=product)
        product *= momentum
        update = np.add(g, product, out=total)
    p -= np.multiply(orthogonalize(update, coefficients, steps, eps), lr * adjustment, out=product)


class Muon(Optimizer):
    """For the weight matrices of hidden layers: the momentum with all its singular values made equal, so that directions
    that are rare in the gradients count as much as common ones. Jordan et al. 2024, "Muon: an optimizer for hidden layers
    in neural networks"; see `muon` in this file for the exact rule. Give biases, norms, embeddings and the last layer to
    an AdamW of their own.

    `momentum`: how slowly the average of gradients forgets; `nesterov`: look ahead; `weight_decay` shrinks the
    parameters as AdamW's does; `ns_coefficients`, `eps`, `ns_steps`: see `orthogonalize`; `adjust_lr_fn`: None or
    "original" multiplies lr for a matrix of shape (A, B) by √max(1, A / B), "match_rms_adamw" by 0.2 √max(A, B), with
    which a rate and decay that suit AdamW will do (Liu et al. 2025, "Muon is scalable for LLM training"); `maximize`:
    climb. Raises ValueError for parameters that are not matrices and for options out of range; see `Optimizer` for
    `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 1.0]], requires_grad=True)
    >>> optimizer = Muon([x], lr=0.5, weight_decay=0.0, ns_coefficients=(1.5, -0.5, 0.0))
    >>> (x * cr.tensor([[3.0, 4.0]])).sum().backward(); optimizer.step(); x  # 1 − 0.5 · (0.6, 0.8)
    tensor([[0.7, 0.6]], requires_grad=True)
    """

    def __init__(self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
                 nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
                 eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                                  "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps,
                                  "adjust_lr_fn": adjust_lr_fn, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """The parameters are matrices; the options of the iteration make sense."""
        super().check(group)
        for i, p in enumerate(group["params"]):
            if p.ndim != 2:
                raise ValueError(f"Muon: parameter {i} has shape {p.shape}, it must be a matrix; give biases, norms and "
                                 "convolutions to another optimizer, such as AdamW")
        self.check_range(group, "momentum", 1)
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: ns_coefficients={group['ns_coefficients']} must be three numbers")
        if not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"Muon: ns_steps={group['ns_steps']} must be from 0 to 99")
        if group["adjust_lr_fn"] not in (None, *ADJUSTMENTS):
            raise ValueError(f"Muon: adjust_lr_fn={group['adjust_lr_fn']!r} must be None or one of {', '.join(ADJUSTMENTS)}")

    def update(self, data: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of `muon`."""
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = np.zeros_like(data)
        adjustment = ADJUSTMENTS[group["adjust_lr_fn"] or "original"](*data.shape) if data.size else 1.0
        muon(data, gradient, state["momentum_buffer"], self.scratch(data, 2), lr=group["lr"],
             weight_decay=group["weight_decay"], momentum=group["momentum"], nesterov=group["nesterov"],
             coefficients=group["ns_coefficients"], eps=group["eps"], steps=group["ns_steps"], adjustment=adjustment,
             maximize=group["maximize"])
