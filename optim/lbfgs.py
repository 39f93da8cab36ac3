"""L-BFGS: a quasi-Newton method that remembers a few steps."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule import kernels
from chainrule.errors import ShapeError
from chainrule.graph import enable_grad, tick
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor

__all__ = ["LBFGS"]


def largest(x: Any) -> float:
    """max |xᵢ|, 0 for no elements; NaN where one is."""
    return float(np.abs(x).max()) if x.size else 0.0


def direction(g: Any, y: list[Any], s: list[Any], ro: list[float], scale: float) -> Any:
    """−H g, where H is the inverse Hessian that the last steps s and the changes y of the gradient along them tell of.

    The two loops of Nocedal & Wright, "Numerical optimization", algorithm 7.4, with ρᵢ = 1 / (yᵢ · sᵢ) and `scale`, the
    Hessian to begin with:

        q ← −g;          for i from the newest to the oldest:  αᵢ ← ρᵢ (sᵢ · q),  q ← q − αᵢ yᵢ
        q ← scale · q;   for i from the oldest to the newest:  q ← q + (αᵢ − ρᵢ (yᵢ · q)) sᵢ
    """
    q = -g
    alphas = [0.0] * len(y)
    for i in reversed(range(len(y))):
        alphas[i] = ro[i] * float(s[i] @ q)
        q -= alphas[i] * y[i]
    q *= scale
    for i in range(len(y)):
        q += (alphas[i] - ro[i] * float(y[i] @ q)) * s[i]
    return q


class Point(NamedTuple):
    """What is known at distance t along the direction d: the function's value, its gradient, and its slope g · d."""

    t: float
    value: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through both points, with their slopes, has its minimum, within [low, high]; the middle of that
    where it has none."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    mean = left.slope + right.slope - 3 * (left.value - right.value) / (left.t - right.t)
    square = mean**2 - left.slope * right.slope
    if square >= 0:
        root = math.sqrt(square)
        divisor = right.slope - left.slope + 2 * root
        if divisor != 0:
            return min(max(right.t - (right.t - left.t) * (right.slope + root - mean) / divisor, low), high)
    return (low + high) / 2


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, t: float, longest: float, tolerance: float,
                 limit: int) -> Point:
    """A point that satisfies the strong Wolfe conditions:

        value(t) ≤ value(0) + 10⁻⁴ · t · slope(0)      and      |slope(t)| ≤ 0.9 · |slope(0)|

    Nocedal & Wright, algorithms 3.5 and 3.6: go on until a minimum is bracketed, then shrink the bracket. After `limit`
    further calls of `evaluate`, or once the bracket times `longest` (the largest element of the direction) is shorter
    than `tolerance`, the best point there is.
    """
    def too_high(p: Point) -> bool:
        return p.value > start.value + 1e-4 * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -0.9 * start.slope

    count = 0
    previous, point = start, evaluate(t)
    while count < limit:
        if too_high(point) or (count > 1 and point.value >= previous.value):
            break
        if flat(point):
            return point
        if point.slope >= 0:
            break
        t = cubic_minimum(previous, point, point.t + 0.01 * (point.t - previous.t), 10 * point.t)
        previous, point = point, evaluate(t)
        count += 1
    else:
        previous = start
    low, high = (previous, point) if previous.value <= point.value else (point, previous)
    crept = False  # whether the last point lay close to an end of the bracket
    while count < limit and abs(high.t - low.t) * longest >= tolerance:
        left, right = min(low.t, high.t), max(low.t, high.t)
        margin = 0.1 * (right - left)
        t = cubic_minimum(low, high, left, right)
        close = min(right - t, t - left) < margin
        if close and (crept or not left < t < right):
            t = right - margin if right - t < t - left else left + margin
            close = False
        crept = close
        point = evaluate(t)
        count += 1
        if too_high(point) or point.value >= low.value:
            low, high = (low, point) if low.value <= point.value else (point, low)
            continue
        if flat(point):
            return point
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low


class LBFGS(Optimizer):
    """Steps to where the function would have its minimum were it quadratic, with curvature learnt from the last
    `history_size` steps: few, expensive steps on a function without noise, such as a small model on all its data. Liu &
    Nocedal 1989, "On the limited memory BFGS method for large scale optimization"; see `direction` and `strong_wolfe` in
    this file.

    `step(closure)` needs the closure: it computes the loss, the gradients as well, and is called up to `max_eval` times
    (default: 1.25 · max_iter). One `step` makes up to `max_iter` iterations, and ends early when no gradient is above
    `tolerance_grad` or no parameter and no loss changes by more than `tolerance_change`. `line_search_fn`: None goes lr
    times the whole way; "strong_wolfe" searches along the direction, and is the one to choose. All parameters form one
    group. On a GPU every evaluation waits for the device: the search decides by numbers. Raises ValueError for a second
    group and options out of range, TypeError for a step without closure; see `Optimizer` for `params`.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.5, 2.0], requires_grad=True)
    >>> optimizer = LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = 100 * (x[1] - x[0]**2)**2 + (1 - x[0])**2  # Rosenbrock's valley, with its minimum at (1, 1)
    ...     loss.backward()
    ...     return loss
    >>> first, second = optimizer.step(closure), optimizer.step(closure)
    >>> x.round(decimals=3).tolist()
    [1.0, 1.0]
    """

    numbers = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")

    def __init__(self, params: Any, lr: float = 1.0, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:
        super().__init__(params, {"lr": lr, "max_iter": max_iter,
                                  "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                                  "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
                                  "history_size": history_size, "line_search_fn": line_search_fn})

    def check(self, group: dict[str, Any]) -> None:
        """There is one group; its options are known."""
        super().check(group)
        if self.param_groups and group["params"] is not self.param_groups[0]["params"]:
            raise ValueError("LBFGS: all parameters form one group, with the same options")
        for name in ("tolerance_grad", "tolerance_change", "max_iter", "max_eval"):
            self.check_range(group, name)
        if not group["history_size"] >= 1:
            raise ValueError(f"LBFGS: history_size={group['history_size']} must be at least 1")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn={group['line_search_fn']!r} must be None or 'strong_wolfe'")

    def _gradient(self) -> Any:
        """All gradients as one flat array, zeros for parameters without one."""
        return np.concatenate([(np.zeros_like(p._data) if p.grad is None else p.grad._data).ravel()
                               for p in self.param_groups[0]["params"]])

    def _move(self, start: list[Any], t: float, d: Any) -> None:
        """Set the parameters to start + t · d."""
        place = 0
        for p, x in zip(self.param_groups[0]["params"], start):
            p._data[...] = x + t * d[place : place + x.size].reshape(x.shape)
            p._version[0] = tick()
            place += x.size

    def step(self, closure: Any) -> Any:  # type: ignore[override]
        """Iterate, and return what the first call of `closure` returned. It calls zero_grad(), computes the loss, calls its
        backward() and returns it."""
        self._stepped = True
        group = self.param_groups[0]
        state = self.state.setdefault(group["params"][0], {"func_evals": 0, "n_iter": 0})

        def evaluate() -> tuple[Any, float, Any]:
            with enable_grad():
                returned = closure()
            state["func_evals"] += 1
            return returned, float(returned), self._gradient()

        returned, loss, g = evaluate()
        if not largest(g) <= group["tolerance_grad"]:  # also where it is not a number
            self._iterate(group, state, evaluate, loss, g)
        return returned

    def _iterate(self, group: dict[str, Any], state: dict[str, Any], evaluate: Any, loss: float, g: Any) -> None:
        """Up to `max_iter` iterations from where the loss and the gradient are these."""
        lr, tolerance = group["lr"], group["tolerance_change"]
        first_evals, max_eval = state["func_evals"] - 1, group["max_eval"]
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = state["d"] = self._direction(g, state, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = g, loss
            state["t"] = t = lr * min(1.0, 1 / float(np.abs(g).sum())) if state["n_iter"] == 1 else lr
            slope = float(g @ d)
            if slope > -tolerance:
                break
            x = [p._data.copy() for p in group["params"]]
            longest = largest(d)
            if group["line_search_fn"]:
                def at(t: float, x: Any = x, d: Any = d) -> Point:
                    self._move(x, t, d)
                    _, value, gradient = evaluate()
                    return Point(t, value, gradient, float(gradient @ d))

                left = max_eval - (state["func_evals"] - first_evals)
                found = strong_wolfe(at, Point(0.0, loss, g, slope), t, longest, tolerance, left)
                t, loss, g, _ = found
                state["t"] = t
                self._move(x, t, d)
            else:
                self._move(x, t, d)
                if iteration < group["max_iter"]:  # what follows the last one, the next step will evaluate
                    _, loss, g = evaluate()
            if (state["func_evals"] - first_evals >= max_eval or largest(g) <= group["tolerance_grad"]
                    or longest * t <= tolerance or abs(loss - state["prev_loss"]) < tolerance):
                break

    def _direction(self, g: Any, state: dict[str, Any], history_size: int) -> Any:
        """Learn from the last step, and say where to go."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(y @ s)
        if curvature > 1e-10:  # or H would not stay positive
            for name, newest in (("old_dirs", y), ("old_stps", s), ("ro", 1 / curvature)):
                state[name].append(newest)
                del state[name][:-history_size]
            state["H_diag"] = curvature / float(y @ y)
        return direction(g, state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"])

    def _loaded(self, name: str, value: Any, p: Tensor) -> Any:
        """Flat arrays over all parameters, lists of them, and numbers."""
        if isinstance(value, list):
            return [self._loaded(name, v, p) for v in value]
        if name in (*self.numbers, "ro", "al"):
            return value if isinstance(value, int | float | None) else float(value)
        own = [q._data for q in self.param_groups[0]["params"]]
        array = value._data if isinstance(value, Tensor) else value if kernels.is_array(value) else np.asarray(value)
        if array.shape != (size := sum(a.size for a in own),):
            raise ShapeError(f"LBFGS.load_state_dict: {name} has shape {array.shape}, all parameters together ({size},)")
        return kernels.reference.move(array, device=p.device).astype(np.result_type(*own))
