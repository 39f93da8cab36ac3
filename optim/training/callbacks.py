"""Callbacks: what happens beside the training loop. Early stopping, and the progress that a terminal shows."""

import sys
import time
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

__all__ = ["Callback", "EarlyStopping"]


class Callback:
    """The base of callbacks. `fit` calls each method with its `Run`: see there for what a run has.

    One that has a state defines `state_dict()` and `load_state_dict(state)` as well, and checkpoints have it.

    >>> class StopAt(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...     def on_epoch(self, run):
    ...         if run.record["loss"] < self.loss:
    ...             run.stop("good enough")
    """

    def on_start(self, run: Any) -> None:
        """Before the first step, or the first after a checkpoint was taken up."""

    def on_step(self, run: Any) -> None:
        """After each step of the optimizer."""

    def on_epoch(self, run: Any) -> None:
        """After each epoch, its validation included; `run.record` has its values."""

    def on_end(self, run: Any) -> None:
        """When training ends, whatever the reason; `run.stopped` says it, and is "" after an error."""


class AfterEachEpoch(Callback):
    """A function of the run, called after each epoch."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"fit: a callback is a Callback or a function of the run, got {function!r:.60}"
                            + ("; make an object of the class, with ()" if isinstance(function, type) else ""))
        self.function = function

    def on_epoch(self, run: Any) -> None:
        """Call it."""
        self.function(run)


def last_improvement(values: list[float], largest_is_best: bool, min_delta: float = 0.0) -> int:
    """The place of the last value that was better than all before it, by more than `min_delta`; -1 where all are NaN.

    >>> last_improvement([5.0, 3.0, 4.0, 2.5, 2.5], largest_is_best=False)
    3
    """
    best, place = float("-inf"), -1
    for i, value in enumerate(values):
        gain = value if largest_is_best else -value
        if gain > best + min_delta or place < 0 and gain == gain:
            best, place = gain, i
    return place


class EarlyStopping(Callback):
    """Ends training when the monitored value has not become better for `patience` epochs in a row.

    Better means by more than `min_delta`; `monitor` names the value, by default the one that `fit` monitors. At the end
    the model gets the weights of the best epoch back, unless `restore_best=False`; after Ctrl-C it keeps the latest.

    >>> EarlyStopping(patience=3).patience
    3
    """

    def __init__(self, patience: int = 5, *, min_delta: float = 0.0, monitor: str | None = None,
                 restore_best: bool = True) -> None:
        if patience < 1 or min_delta < 0:
            raise ValueError(f"EarlyStopping: patience={patience} must be at least 1, min_delta={min_delta} not negative")
        self.patience, self.min_delta, self.monitor, self.restore_best = patience, min_delta, monitor, restore_best
        self.weights: dict[str, Any] | None = None  # of the best epoch

    def on_start(self, run: Any) -> None:
        """Check that the monitored value exists; forget a former run."""
        run.largest_is_best(self.monitor or run.monitor)
        if not run.history:
            self.weights = None

    def on_epoch(self, run: Any) -> None:
        """Keep the weights if they are the best, stop if it has been too long."""
        name = self.monitor or run.monitor
        values = run.history[name]
        best = last_improvement(values, run.largest_is_best(name), self.min_delta)
        if self.restore_best and best == len(values) - 1:
            self.weights = deepcopy(run.model.state_dict())
        if len(values) - 1 - best >= self.patience:
            run.stop("early stopping")

    def on_end(self, run: Any) -> None:
        """Give the best weights back."""
        if self.weights is not None and run.stopped not in ("", "interrupted"):
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """The best weights; everything else stands in the history."""
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self.weights = state["weights"]


class Progress(Callback):
    """A bar for the steps of an epoch, by tqdm where it is installed, and a line for each epoch. `show`: whether; None:
    on a terminal only. The bar needs a terminal in any case."""

    def __init__(self, show: bool | None) -> None:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.show = terminal if show is None else show
        self.bar: Any = None
        self.drawn = self.show and terminal and find_spec("tqdm") is not None
        self.began = time.perf_counter()

    def write(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self.bar is not None:
            self.bar.write(line)
        else:
            print(line, flush=True)

    def on_start(self, run: Any) -> None:
        """Say where training goes on."""
        self.began = time.perf_counter()
        if self.show and run.resumed:
            todo = f"epoch {run.epoch + 1}, step {run.step + 1}" if run.goes_on() else "there is nothing left to do"
            self.write(f"going on from {run.resumed}: {todo}")

    def on_step(self, run: Any) -> None:
        """Move the bar."""
        if not self.drawn:
            return
        if self.bar is None:
            from tqdm import tqdm

            batches = len(run.loader) if hasattr(run.loader, "__len__") else None
            steps = None if batches is None else -(-batches // run.accumulate)
            done = -(-run.batch // run.accumulate) - 1
            self.bar = tqdm(total=steps, initial=done, desc=f"epoch {run.epoch + 1}/{run.epochs}", unit="step", leave=False)
        self.bar.set_postfix_str(f"loss {run.loss:.4g}", refresh=False)
        self.bar.update()

    def on_epoch(self, run: Any) -> None:
        """Write the epoch's values."""
        if self.show:
            values = "   ".join(f"{name} {value:.4g}" for name, value in run.record.items())
            self.write(f"epoch {run.epoch:{len(str(run.epochs))}}/{run.epochs}   {values}   "
                       f"{time.perf_counter() - self.began:.1f} s")
        self.close()
        self.began = time.perf_counter()

    def on_end(self, run: Any) -> None:
        """Say why training ended before its last epoch."""
        self.close()
        if self.show and run.stopped not in ("", "epochs"):
            saved = f"; saved as {run.saved}, from which resume=True goes on" if run.saved else ""
            self.write(f"stopped after step {run.step}: {run.stopped}{saved}")

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
