"""What `fit` keeps track of: the course of a training run, which can be saved and taken up again."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from chainrule.errors import describe
from chainrule.optim.training.callbacks import AfterEachEpoch, Callback, Progress, last_improvement
from chainrule.optim.training.checkpoints import Checkpoints
from chainrule.optim.training.given import (
    check_numbers,
    check_objects,
    check_plateau,
    explained,
    modes_restored,
    named_metrics,
    outline,
    takes_a_value,
    unpack,
)
from chainrule.optim.training.metrics import Mean
from chainrule.random import get_rng_state, set_rng_state
from chainrule.tensor import Tensor

__all__ = ["History", "Run"]


class History(dict[str, list[float]]):
    """What `fit` returns: by name, one value for each epoch. `stopped` says why training ended: "epochs" when all are
    done, "early stopping", "interrupted" after Ctrl-C, or what a callback said.

    >>> history = History(loss=[0.5, 0.25])
    >>> history["loss"][-1], history.stopped
    (0.25, '')
    """

    stopped: str = ""


class Stopped(Exception):
    """Leaves the loop in the middle of an epoch."""


@contextmanager
def interrupts_noticed(run: "Run") -> Iterator[None]:
    """Ctrl-C sets `run.interrupted`, and a second one raises KeyboardInterrupt as ever; outside the main thread, or
    where the program handles the signal itself, nothing is changed."""
    def notice(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run.interrupted = True
        # os.write, since print could have been interrupted within itself
        os.write(2, b"\ninterrupted: the step is finished first; Ctrl-C again stops at once\n")

    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, notice)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Run:
    """The state of a training run, which callbacks are given.

    `model, loader, optimizer, scheduler, epochs, monitor`: as `fit` was given them; `epoch`: how many are finished;
    `step`: how many steps in all; `batch`: how many batches of this epoch; `loss`: that of the last step; `record`: the
    values of the epoch that has just ended; `history`: of all. `stop(reason)` ends training after this epoch.
    """

    def __init__(self, model: Any, loader: Any, loss_fn: Any, optimizer: Any, epochs: int, *, validation: Any,
                 metrics: Any, scheduler: Any, schedule: str, accumulate: int, clip_norm: float | None, callbacks: Any,
                 checkpoints: Any, resume: bool, monitor: str | None, count: Callable[[Any], float],
                 progress: bool | None) -> None:
        check_objects(model, loader, loss_fn, optimizer, scheduler, validation)
        check_numbers(epochs, accumulate, clip_norm, schedule)
        self.model, self.loader, self.optimizer, self.epochs = model, loader, optimizer, epochs
        self.scheduler, self.schedule, self.accumulate, self.count = scheduler, schedule, accumulate, count
        self.metrics = named_metrics(metrics, count)
        self.mean_loss = Mean(loss_fn, count=count)
        names = ["loss", *self.metrics]
        self.names = [*names, *(f"validation_{name}" for name in names if validation is not None)]
        self.monitor = monitor or ("loss" if validation is None else "validation_loss")
        self.largest_is_best(self.monitor)
        self.plateau = scheduler is not None and takes_a_value(scheduler.step)
        if self.plateau:
            check_plateau(scheduler, schedule, self.monitor, self.largest_is_best(self.monitor))
        given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
        self.callbacks = [c if isinstance(c, Callback) else AfterEachEpoch(c) for c in given] + [Progress(progress)]

        self.epoch = self.step = self.batch = 0
        self.loss, self.stopped, self.interrupted, self.resumed = math.nan, "", False, ""
        self.record: dict[str, float] = {}
        self.history = History()
        self.group: list[Any] | None = None  # the batches of the step we are in
        self.exhausted = False  # whether the epoch's last batch is among them, and the loader has said so
        self.random_at_start = get_rng_state()  # of the epoch we are in
        self.checkpoints = Checkpoints(checkpoints) if isinstance(checkpoints, str | os.PathLike) else checkpoints
        if not isinstance(self.checkpoints, Checkpoints | None):
            raise TypeError(f"fit: checkpoints is {describe(checkpoints)}; pass the name of a folder, or Checkpoints(...)")
        self.saved: Path | None = None  # the latest checkpoint of this run
        if self.checkpoints is not None:
            self.take_up(resume)
        elif resume:
            raise ValueError("fit: resume=True needs checkpoints='a folder' to go on from")

    def largest_is_best(self, name: str) -> bool:
        """Whether more is better of this value; ValueError where there is none of the name."""
        if name not in self.names:
            raise ValueError(f"fit: there is no value {name!r} to monitor; there are {', '.join(self.names)}"
                             + ("" if "validation_loss" in self.names else "; pass validation=, a second loader, for others"))
        metric = self.metrics.get(name.removeprefix("validation_"))
        return metric is not None and metric.largest_is_best

    def stop(self, reason: str) -> None:
        """End training after this epoch; `reason` becomes the history's `stopped`."""
        self.stopped = reason

    # ---- the loop's parts

    @contextmanager
    def session(self) -> Iterator[None]:
        """Around the loop: training mode, Ctrl-C, the callbacks' beginning and end, and where an error happened."""
        with modes_restored(self.model), interrupts_noticed(self):
            self.model.train()
            try:
                for callback in self.callbacks:
                    callback.on_start(self)
                with suppress(Stopped), explained(self.place):
                    yield
                self.history.stopped = self.stopped = self.stopped or "epochs"
            finally:
                for callback in self.callbacks:
                    callback.on_end(self)

    def place(self) -> str:
        """Where in the training we are; "" between epochs."""
        if self.group is None:
            return ""
        return f"in epoch {self.epoch + 1}, step {self.step + 1}, with the batch {outline(self.group[0])}"

    def goes_on(self) -> bool:
        """Whether there is another epoch to be done, or one to be finished."""
        return self.epoch < self.epochs and (not self.stopped or self.batch > 0)

    def groups(self) -> Iterator[list[Any]]:
        """The epoch's batches, or those that are left of it, as many at a time as make a step."""
        if not self.batch:
            self.random_at_start = get_rng_state()
        batches = iter(()) if self.exhausted else self.remaining()
        while group := list(islice(batches, self.accumulate)):
            self.group, self.loss = group, 0.0
            self.batch += len(group)
            self.exhausted = len(group) < self.accumulate
            yield group
        self.group = None
        if not self.batch:
            raise ValueError("fit: the loader gave no batches; is the dataset empty, or smaller than a batch with "
                             "drop_last=True?")

    def remaining(self) -> Iterator[Any]:
        """The epoch's batches from where we are. A loader with a state was told; of another one, those that have been
        are left out, after the random state with which the epoch began."""
        batches: Iterator[Any]
        if not self.batch or hasattr(self.loader, "load_state_dict"):
            batches = iter(self.loader)
            return batches
        now = get_rng_state()
        set_rng_state(self.random_at_start)
        batches = iter(self.loader)
        for _ in islice(batches, self.batch):
            pass
        set_rng_state(now)
        return batches

    def parts(self, batches: list[Any]) -> Iterator[tuple[tuple[Any, ...], Any, float]]:
        """(inputs, target, share) of each batch: the share of a group's examples that are the batch's."""
        pairs = [unpack(batch) for batch in batches]
        counts = [self.count(target) for _, target in pairs]
        if not sum(counts) > 0:
            raise ValueError(f"fit: the batch {outline(batches[0])} counts no examples")
        for (inputs, target), n in zip(pairs, counts, strict=True):
            yield inputs, target, n / sum(counts)

    def checked(self, loss: Any) -> Tensor:
        """The loss, if it is one finite number that depends on the model."""
        if not isinstance(loss, Tensor):
            raise TypeError(f"fit: loss_fn returned {describe(loss)}, which is no tensor; compute it by chainrule's "
                            "functions alone, without .item() and .data")
        if loss.numel() != 1:
            raise ValueError(f"fit: loss_fn returned {describe(loss)}, it must be one number; take .mean() of it, or a "
                             "loss with reduction='mean'")
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(f"fit: the loss is {value} in step {self.step + 1} (epoch {self.epoch + 1}); the "
                                     "weights are those of the step before. Are the inputs finite? Else try a smaller "
                                     "learning rate, or clip_norm=1.0")
        if not loss.requires_grad:
            raise ValueError("fit: the loss depends on no parameter that requires a gradient; is the model frozen, or was "
                             "something computed under no_grad(), or from .data or .item()?")
        return loss

    def measure(self, loss: Tensor, prediction: Any, target: Any, share: float) -> None:
        """Add a batch to the step's loss, and to the epoch's mean loss and metrics."""
        value = loss.item()
        self.loss += value * share
        self.mean_loss.add(value, self.count(target))
        for metric in self.metrics.values():
            metric.update(prediction, target)

    def step_scheduler(self, schedule: str, results: dict[str, float] | None = None) -> None:
        """Step the scheduler, if it is its turn."""
        if self.scheduler is not None and schedule == self.schedule:
            self.scheduler.step(*([results[self.monitor]] if self.plateau and results else []))

    def end_step(self) -> None:
        """Count, call the callbacks, save where it is time; after Ctrl-C save and leave the loop."""
        self.step += 1
        for callback in self.callbacks:
            callback.on_step(self)
        if self.checkpoints is not None and (self.interrupted or self.checkpoints.is_due(self.step)):
            self.saved = self.checkpoints.save(self.state_dict(), self.step)
        if self.interrupted:
            self.stop("interrupted")
            raise Stopped

    def results(self) -> dict[str, float]:
        """The epoch's mean loss and metrics on the training data, and the learning rate."""
        found = {"loss": self.mean_loss.compute(), **{name: metric.compute() for name, metric in self.metrics.items()}}
        return {**found, "lr": float(self.optimizer.param_groups[0]["lr"])}

    def end_epoch(self, results: dict[str, float]) -> None:
        """Write the results into the history, call the callbacks, save."""
        self.epoch, self.batch, self.record = self.epoch + 1, 0, results
        self.exhausted = False
        for metric in (self.mean_loss, *self.metrics.values()):
            metric.reset()
        for name, value in results.items():
            self.history.setdefault(name, []).append(value)
        for callback in self.callbacks:
            callback.on_epoch(self)
        if self.checkpoints is not None:
            values = self.history[self.monitor]
            best = last_improvement(values, self.largest_is_best(self.monitor)) == len(values) - 1
            self.saved = self.checkpoints.save(self.state_dict(), self.step, best)
        if self.interrupted and self.goes_on():
            self.stop("interrupted")

    # ---- saving and taking up again

    def stateful(self) -> dict[str, Any]:
        """By name, all that has a state of its own."""
        keeping = [c for c in self.callbacks if hasattr(c, "state_dict")]
        named = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler, "loader": self.loader,
                 "loss so far": self.mean_loss, **{f"{name} so far": metric for name, metric in self.metrics.items()},
                 **{f"callback {i} {type(c).__name__}": c for i, c in enumerate(keeping)},
                 **(self.checkpoints.also if self.checkpoints is not None else {})}
        return {name: part for name, part in named.items() if hasattr(part, "state_dict")}

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint holds."""
        own = {"epoch": self.epoch, "step": self.step, "batch": self.batch, "exhausted": self.exhausted,
               "stopped": self.stopped, "history": dict(self.history), "random": get_rng_state(),
               "random_at_start": self.random_at_start}
        return {"run": own, **{name: part.state_dict() for name, part in self.stateful().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; ValueError where it is that of a differently made run."""
        parts = self.stateful()
        if set(state) != {"run", *parts}:
            differ = ", ".join(sorted(map(repr, set(state) ^ {"run", *parts})))
            raise ValueError(f"fit: the checkpoint and this call differ in {differ}; to go on, call fit with the arguments of "
                             "the run that was interrupted")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        own = state["run"]
        self.epoch, self.step, self.batch, self.stopped = own["epoch"], own["step"], own["batch"], own["stopped"]
        self.exhausted = own["exhausted"]
        self.history, self.random_at_start = History(own["history"]), own["random_at_start"]
        set_rng_state(own["random"])

    def take_up(self, resume: bool) -> None:
        """Begin with an empty folder of checkpoints, or go on from the latest one in it."""
        if not resume:
            self.checkpoints.begin()
        elif (found := self.checkpoints.latest()) is not None:
            path, state = found
            self.load_state_dict(state)
            self.resumed = str(path)
