"""Metrics: what is measured of predictions, batch by batch.

A metric adds up what it needs in `update(prediction, target)` and gives the value over everything since `reset` in
`compute()`: every example counts alike, however uneven the batches are.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.errors import ShapeError, describe
from chainrule.graph import no_grad
from chainrule.tensor import Tensor

__all__ = ["AUC", "Accuracy", "F1", "Mean", "Metric", "Perplexity", "TopK", "batch_size"]


def batch_size(target: Any) -> int:
    """How many examples a batch has: the length of its target, or of the first one where the target is a tuple or dict.

    >>> import chainrule as cr
    >>> batch_size(cr.zeros(32, 10)), batch_size({"boxes": cr.zeros(8, 4)})
    (32, 8)
    """
    if isinstance(target, dict | tuple) and target:
        return batch_size(next(iter(target.values() if isinstance(target, dict) else target)))
    try:
        return len(target)
    except TypeError:
        raise TypeError(f"cannot tell how many examples belong to the target {describe(target)}: its first axis counts "
                        "them. Does the loader give single examples? Make a DataLoader of it; else pass "
                        "count=lambda target: ...") from None


def array(value: Any) -> Any:
    """The numbers of a tensor, an array or nested lists."""
    return value.detach().cpu().data if isinstance(value, Tensor) else np.asarray(value)


class Metric:
    """The base of metrics: subclasses define `reset`, `update` and `compute`.

    The state is `totals`, a dict of numbers and arrays that `reset` makes: checkpoints save it. `name` is what the
    value is called in a history, and `largest_is_best` tells early stopping which way is up.

    >>> class MeanAbsoluteError(Metric):
    ...     name, largest_is_best = "mean_absolute_error", False
    ...     def reset(self):
    ...         self.totals = {"error": 0.0, "count": 0}
    ...     def update(self, prediction, target):
    ...         self.totals["error"] += (prediction - target).abs().sum().item()
    ...         self.totals["count"] += target.numel()
    ...     def compute(self):
    ...         return self.totals["error"] / self.totals["count"]
    """

    name: str = "metric"
    largest_is_best: bool = True
    totals: dict[str, Any]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: assign new `totals`."""
        raise NotImplementedError(f"{type(self).__name__} has no reset()")

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} has no update(prediction, target)")

    def compute(self) -> float:
        """The value over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def state_dict(self) -> dict[str, Any]:
        """What has been added up so far; `chainrule.save` takes it."""
        return self.totals

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        def own(value: Any) -> Any:
            if isinstance(value, list):
                return [own(v) for v in value]
            return array(value).copy() if hasattr(value, "shape") else value

        self.totals = {name: own(value) for name, value in state.items()}

    def _ratio(self, above: float, below: float) -> float:
        """above / below; ValueError where nothing was counted."""
        if not below:
            raise ValueError(f"{type(self).__name__}.compute: nothing was counted; call update(prediction, target) first")
        return float(above / below)


class Mean(Metric):
    """The mean over the examples of a function (prediction, target) -> number that gives a batch's mean, such as a loss.

    `count(target)`: how many examples a batch counts as, by default `batch_size`. `name`: the function's own where not
    given.

    >>> import chainrule as cr
    >>> mean = Mean(cr.functional.mse_loss)
    >>> mean.update(cr.tensor([1.0, 1.0, 1.0]), cr.zeros(3)); mean.update(cr.tensor([3.0]), cr.zeros(1))
    >>> mean.name, mean.compute()  # (3 · 1 + 1 · 9) / 4
    ('mse_loss', 3.0)
    """

    def __init__(self, function: Callable[[Any, Any], Any], *, count: Callable[[Any], float] = batch_size,
                 name: str | None = None, largest_is_best: bool = False) -> None:
        self.function, self.count, self.largest_is_best = function, count, largest_is_best
        self.name = name or str(getattr(function, "__name__", type(function).__name__.lower()))
        super().__init__()

    def reset(self) -> None:
        """Forget everything."""
        self.totals = {"sum": 0.0, "count": 0}

    def update(self, prediction: Any, target: Any) -> None:
        """Take the function's value of a batch into account."""
        with no_grad():
            self.add(float(self.function(prediction, target)), self.count(target))

    def add(self, value: float, count: float) -> None:
        """Take a batch's mean into account that is known already."""
        self.totals["sum"] += value * count
        self.totals["count"] += count

    def compute(self) -> float:
        """The mean so far."""
        return self._ratio(self.totals["sum"], self.totals["count"])


def check_axes(name: str, prediction: Any, target: Any, dim: int) -> tuple[Any, Any]:
    """Scores with the classes as their last axis, and targets as int64; ShapeError where they do not fit."""
    scores, target = array(prediction), array(target)
    if scores.ndim != target.ndim + 1 or np.delete(scores.shape, dim).tolist() != list(target.shape):
        raise ShapeError(f"{name}: the prediction {describe(scores)} and the target {describe(target)} do not fit: "
                         "scores (N, C, ...) go with classes (N, ...); for scores (N, ..., C) pass dim=-1")
    return np.moveaxis(scores, dim, -1), target.astype(np.int64)


class Decisions(Metric):
    """The base of metrics that compare the class decided on with the target's."""

    def __init__(self, threshold: float | None = None, *, dim: int = 1, ignore_index: int = -100) -> None:
        self.threshold, self.dim, self.ignore_index = threshold, dim, ignore_index
        super().__init__()

    def decide(self, prediction: Any, target: Any) -> tuple[Any, Any]:
        """(classes decided on, true classes), two flat int64 arrays without those to ignore."""
        name, scores, true = type(self).__name__, array(prediction), array(target)
        if scores.size == true.size and scores.shape[: true.ndim] == true.shape[: scores.ndim]:  # one number for each
            if self.threshold is None:
                raise ShapeError(f"{name}: the prediction {describe(scores)} has one number for each target "
                                 f"{describe(true)}: pass {name}(threshold=0.5) for probabilities of class 1, "
                                 "threshold=0 for logits; of one-hot targets take target.argmax(1)")
            decided, true = scores.reshape(-1) > self.threshold, true.reshape(-1).astype(np.int64)
        else:
            scores, true = check_axes(name, scores, true, self.dim)
            decided, true = scores.argmax(-1).reshape(-1), true.reshape(-1)
        counted = true != self.ignore_index
        return decided[counted].astype(np.int64), true[counted]


class Accuracy(Decisions):
    """The share of examples whose class is right.

    prediction (N, C, ...): scores, of which the largest decides; target (N, ...): classes. Or, with a `threshold`, one
    number for each target 0 or 1: 0.5 for probabilities, 0 for logits. `dim`: the axis of the classes; targets equal to
    `ignore_index` do not count. Raises ShapeError for shapes that do not fit.

    >>> import chainrule as cr
    >>> accuracy = Accuracy()
    >>> accuracy.update(cr.tensor([[0.1, 2.0], [0.3, 0.2]]), cr.tensor([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    name = "accuracy"

    def reset(self) -> None:
        """Forget everything."""
        self.totals = {"right": 0, "count": 0}

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        decided, true = self.decide(prediction, target)
        self.totals["right"] += int((decided == true).sum())
        self.totals["count"] += len(true)

    def compute(self) -> float:
        """The share so far."""
        return self._ratio(self.totals["right"], self.totals["count"])


class TopK(Accuracy):
    """The share of examples whose class is among the k of highest score; of equal scores the first is the higher.

    Arguments as `Accuracy`, without a threshold.

    >>> import chainrule as cr
    >>> top2 = TopK(2)
    >>> top2.update(cr.tensor([[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]]), cr.tensor([1, 0]))
    >>> top2.name, top2.compute()
    ('top2', 0.5)
    """

    def __init__(self, k: int = 5, *, dim: int = 1, ignore_index: int = -100) -> None:
        if k < 1:
            raise ValueError(f"TopK: k={k} must be at least 1")
        self.k, self.name = k, f"top{k}"
        super().__init__(dim=dim, ignore_index=ignore_index)

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        scores, true = check_axes("TopK", prediction, target, self.dim)
        counted = true != self.ignore_index
        scores, true = scores[counted], true[counted]  # (M, C), (M)
        if len(true) and not 0 <= true.min() <= true.max() < scores.shape[-1]:
            raise ValueError(f"TopK: the targets {true.min()} to {true.max()} are not all among the {scores.shape[-1]} "
                             "classes of the prediction")
        own = np.take_along_axis(scores, true[:, None], 1)  # (M, 1), the score of the true class
        earlier = np.arange(scores.shape[-1]) < true[:, None]
        rank = ((scores > own) | ((scores == own) & earlier)).sum(1)
        self.totals["right"] += int((rank < self.k).sum())
        self.totals["count"] += len(true)


class F1(Decisions):
    """The harmonic mean of precision and recall, 2 · true positives / (predicted + actual positives).

    `average`: "binary": of class 1; "macro": the mean over the classes that occur in predictions or targets; "micro":
    from the counts of all classes together. 0 / 0 is 0. Other arguments as `Accuracy`. Raises ValueError for "binary"
    with more than two classes.

    >>> import chainrule as cr
    >>> f1 = F1(threshold=0.5)
    >>> f1.update(cr.tensor([0.9, 0.8, 0.1, 0.2]), cr.tensor([1, 0, 1, 0]))
    >>> f1.compute()
    0.5
    """

    name = "f1"

    def __init__(self, average: str = "binary", threshold: float | None = None, *, dim: int = 1,
                 ignore_index: int = -100) -> None:
        if average not in ("binary", "macro", "micro"):
            raise ValueError(f"F1: average={average!r}; choose 'binary', 'macro' or 'micro'")
        self.average = average
        super().__init__(threshold, dim=dim, ignore_index=ignore_index)

    def reset(self) -> None:
        """Forget everything."""
        self.totals = {"counts": np.zeros((3, 2), np.int64)}  # true positives, predicted, actual; by class

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        decided, true = self.decide(prediction, target)
        if len(true) and true.min() < 0:
            raise ValueError(f"F1: a target is {true.min()}; classes count from 0")
        found = [true[decided == true], decided, true]
        classes = max(self.totals["counts"].shape[1], *(int(part.max(initial=0)) + 1 for part in found))
        if self.average == "binary" and classes > 2:
            raise ValueError(f"F1: class {classes - 1} occurs, average='binary' has 0 and 1; pass average='macro' or "
                             "'micro'")
        counts = np.stack([np.bincount(part, minlength=classes) for part in found])
        counts[:, : self.totals["counts"].shape[1]] += self.totals["counts"]
        self.totals["counts"] = counts

    def compute(self) -> float:
        """The score so far."""
        right, predicted, actual = self.totals["counts"]
        if not actual.sum():
            return self._ratio(0, 0)
        if self.average == "binary":
            right, predicted, actual = right[1:2], predicted[1:2], actual[1:2]
        elif self.average == "micro":
            right, predicted, actual = (part.sum(keepdims=True) for part in (right, predicted, actual))
        below = predicted + actual
        occurs = below > 0
        return float(np.mean(2 * right[occurs] / below[occurs])) if occurs.any() else 0.0


class AUC(Metric):
    """The area under the receiver operating characteristic: the chance that an example of class 1 scores higher than
    one of class 0, where equal scores count one half (Hanley & McNeil 1982).

    prediction (N) or (N, 1): scores, probabilities or logits alike; or (N, 2), of whose columns the difference counts;
    target: 0 or 1 for each. Keeps all scores until `reset`. NaN as long as only one class occurs.

    >>> import chainrule as cr
    >>> auc = AUC()
    >>> auc.update(cr.tensor([0.1, 0.4, 0.4, 0.8]), cr.tensor([0, 0, 1, 1]))
    >>> auc.compute()
    0.875
    """

    name = "auc"

    def reset(self) -> None:
        """Forget everything."""
        self.totals = {"scores": [], "targets": []}

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        scores, true = array(prediction), array(target).reshape(-1)
        if scores.ndim == 2 and scores.shape[1] == 2 and len(scores) == len(true):
            scores = scores[:, 1].astype(np.float64) - scores[:, 0]
        if scores.size != true.size:
            raise ShapeError(f"AUC: the prediction {describe(array(prediction))} and the target "
                             f"{describe(array(target))} do not fit: one score, or two classes, for each target")
        if not np.isin(true, (0, 1)).all():
            raise ValueError("AUC: the targets must be 0 or 1; for several classes take one against the rest")
        if np.isnan(scores).any():
            raise ValueError("AUC: a score is NaN")
        self.totals["scores"].append(scores.reshape(-1).copy())
        self.totals["targets"].append(true.astype(bool))

    def compute(self) -> float:
        """The area so far."""
        if not self.totals["scores"]:
            return self._ratio(0, 0)
        true = np.concatenate(self.totals["targets"])
        positive = int(true.sum())
        negative = len(true) - positive
        if not positive or not negative:
            return math.nan
        _, place, counts = np.unique(np.concatenate(self.totals["scores"]), return_inverse=True, return_counts=True)
        rank = np.cumsum(counts) - (counts - 1) / 2  # from 1; equal scores share the mean of theirs
        above = rank[place][true].sum() - positive * (positive + 1) / 2  # pairs in the right order
        return float(above / (positive * negative))


class Perplexity(Metric):
    """exp of the mean cross-entropy per target: how many equally likely classes would be as hard to guess.

    prediction (N, C, ...): logits; target (N, ...): classes. `dim`: the axis of the classes, -1 for (N, T, C); targets
    equal to `ignore_index` do not count. Raises ShapeError for shapes that do not fit.

    >>> import chainrule as cr
    >>> perplexity = Perplexity()
    >>> perplexity.update(cr.zeros(2, 50, 7), cr.ones(2, 7, dtype=cr.int64))
    >>> round(perplexity.compute(), 4)
    50.0
    """

    name, largest_is_best = "perplexity", False

    def __init__(self, *, dim: int = 1, ignore_index: int = -100) -> None:
        self.dim, self.ignore_index = dim, ignore_index
        super().__init__()

    def reset(self) -> None:
        """Forget everything."""
        self.totals = {"entropy": 0.0, "count": 0}

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        scores, true = check_axes("Perplexity", prediction, target, self.dim)
        with no_grad():
            each = F.cross_entropy(Tensor(scores.reshape(-1, scores.shape[-1])), Tensor(true.reshape(-1)),
                                   ignore_index=self.ignore_index, reduction="none")
        self.totals["entropy"] += float(each.cpu().data.sum(dtype=np.float64))
        self.totals["count"] += int((true != self.ignore_index).sum())

    def compute(self) -> float:
        """The perplexity so far; infinite where it is too large for a float."""
        mean = self._ratio(self.totals["entropy"], self.totals["count"])
        return math.exp(mean) if mean < 709 else math.inf
