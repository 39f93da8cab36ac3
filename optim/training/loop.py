"""The training loop: `fit`, with `evaluate` and `predict`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.errors import describe
from chainrule.graph import no_grad
from chainrule.optim.clipping import clip_grad_norm_
from chainrule.optim.training.given import check_loader, explained, modes_restored, named_metrics, outline, unpack
from chainrule.optim.training.metrics import Mean, batch_size
from chainrule.optim.training.run import History, Run
from chainrule.tensor import Tensor

__all__ = ["evaluate", "fit", "predict"]


def fit(model: Any, loader: Any, loss_fn: Callable[[Any, Any], Any], optimizer: Any, epochs: int, *,
        validation: Any = None, metrics: Any = (), scheduler: Any = None, schedule: str = "epoch", accumulate: int = 1,
        clip_norm: float | None = None, callbacks: Any = (), checkpoints: Any = None, resume: bool = False,
        monitor: str | None = None, count: Callable[[Any], float] = batch_size,
        progress: bool | None = None) -> History:
    """Train a model: pass over the data `epochs` times, and after each batch go one step down the loss.

    `loader` gives batches `(input, …, target)`; the model is called with the inputs, and `loss_fn(prediction, target)`
    returns the mean over the batch. Returns a `History`: for each epoch the mean "loss" over the training examples, the
    learning rate "lr", the metrics, and as "validation_…" what `evaluate` finds on `validation`, a second loader.

    - `metrics`: a Metric or a function (prediction, target) -> number, a list of them, or a dict by name. On the
      training data they are those of the predictions made on the way, by the weights of that moment.
    - `scheduler`: of the learning rate, stepped after each `schedule`, "epoch" or "step". A ReduceLROnPlateau is given
      the monitored value.
    - `accumulate`: so many batches make one step, which is that of the large batch they make together (batch
      normalization alone sees the small ones).
    - `clip_norm`: the largest norm of all gradients together, see `clip_grad_norm_`.
    - `callbacks`: `Callback`s such as EarlyStopping and CSVLog, or functions that are called with the `Run` after each
      epoch.
    - `checkpoints`: a folder, or `Checkpoints`. After a crash the same call with `resume=True` goes on from the latest
      one, to the same bits; it begins anew where there is none. Ctrl-C finishes the step, saves and returns; a second
      one stops at once.
    - `monitor`: the value that early stopping, plateaus and the best checkpoint go by: "validation_loss", or "loss"
      where there is no validation, unless given.
    - `count(target)`: how many examples a batch counts as, by default the length of the target; for a loss that is the
      mean over tokens that are no padding, the number of those.
    - `progress`: a bar (of tqdm, where it is installed) and a line for each epoch; by default only on a terminal.

    Modules come back in the mode, training or evaluation, that they had. Raises FloatingPointError, naming the step,
    where the loss is infinite or not a number, before the weights are touched by it; ValueError or TypeError, which
    name the likely fix, for arguments and batches that do not fit together.

    >>> import chainrule as cr
    >>> _ = cr.manual_seed(0)
    >>> x = cr.linspace(-1, 1, 64).reshape(64, 1)
    >>> data = cr.data.TensorDataset(x, 2 * x + 1)
    >>> line = cr.layers.Linear(1, 1)
    >>> optimizer = cr.optim.SGD(line.parameters(), lr=0.3)
    >>> history = fit(line, cr.data.DataLoader(data, 8, shuffle=True), cr.layers.MSELoss(), optimizer, epochs=10)
    >>> history["loss"][-1] < 1e-3, round(line.weight.item(), 1), round(line.bias.item(), 1)
    (True, 2.0, 1.0)
    """
    run = Run(model, loader, loss_fn, optimizer, epochs, validation=validation, metrics=metrics, scheduler=scheduler,
              schedule=schedule, accumulate=accumulate, clip_norm=clip_norm, callbacks=callbacks,
              checkpoints=checkpoints, resume=resume, monitor=monitor, count=count, progress=progress)
    with run.session():
        while run.goes_on():
            for batches in run.groups():  # `accumulate` batches for each step
                optimizer.zero_grad()
                for inputs, target, share in run.parts(batches):  # the shares of a group sum to 1
                    prediction = model(*inputs)
                    loss = run.checked(loss_fn(prediction, target))  # one finite number
                    (loss * share).backward()
                    run.measure(loss, prediction, target, share)
                if clip_norm is not None:
                    clip_grad_norm_(model.parameters(), clip_norm)
                optimizer.step()
                run.step_scheduler("step")
                run.end_step()  # callbacks, checkpoints, Ctrl-C

            results = run.results()
            if validation is not None:
                found = evaluate(model, validation, loss_fn, run.metrics, count=count)
                results |= {f"validation_{name}": value for name, value in found.items()}
            run.step_scheduler("epoch", results)
            run.end_epoch(results)
    return run.history


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode, and nothing is recorded; afterwards each module has its mode back."""
    with modes_restored(model), no_grad():
        model.eval()
        yield


def evaluate(model: Any, loader: Any, loss_fn: Callable[[Any, Any], Any] | None = None, metrics: Any = (), *,
             count: Callable[[Any], float] = batch_size) -> dict[str, float]:
    """The mean "loss" and the metrics of a model on the batches `(input, …, target)` of a loader, each example counted
    alike; in evaluation mode, without recording.

    Arguments as those of `fit`; without `loss_fn` the metrics alone. Raises ValueError for a loader without batches.

    >>> import chainrule as cr
    >>> batches = [(cr.ones(3, 2), cr.zeros(3, 2)), (cr.zeros(1, 2), cr.zeros(1, 2))]
    >>> evaluate(cr.layers.Flatten(), batches, cr.layers.MSELoss())
    {'loss': 0.75}
    """
    check_loader(loader, "evaluate: the loader")
    found = named_metrics(metrics, count)
    if loss_fn is not None:
        found = {"loss": Mean(loss_fn, count=count), **found}
    batch = None
    with evaluating(model), explained(lambda: f"in evaluation, with the batch {outline(batch)}"):
        for batch in loader:
            inputs, target = unpack(batch)
            prediction = model(*inputs)
            for metric in found.values():
                metric.update(prediction, target)
    if batch is None:
        raise ValueError("evaluate: the loader gave no batches; a generator, for one, can be looped over only once")
    return {name: metric.compute() for name, metric in found.items()}


def predict(model: Any, loader: Any, *, targets: bool | None = None) -> Any:
    """What the model gives for the batches of a loader, joined along the first axis: a tensor, or a tuple of them where
    the model returns several; in evaluation mode, without recording.

    Batches are those of `fit`, whose target is left out, or a tensor alone. `targets=False` says that all entries of a
    tuple are inputs. Raises ValueError for a loader without batches.

    >>> import chainrule as cr
    >>> model = cr.layers.Flatten()
    >>> predict(model, [cr.zeros(2, 2, 2), cr.ones(1, 2, 2)]).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    """
    check_loader(loader, "predict: the loader")
    parts = []
    with evaluating(model):
        for batch in loader:
            inputs = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if targets or targets is None and len(inputs) > 1:
                inputs = inputs[:-1]
            parts.append(model(*inputs))
    if not parts:
        raise ValueError("predict: the loader gave no batches; a generator, for one, can be looped over only once")
    if isinstance(parts[0], tuple):
        return tuple(join(list(column)) for column in zip(*parts, strict=True))
    return join(parts)


def join(parts: list[Any]) -> Tensor:
    """Tensors of several batches as one."""
    if not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(f"predict: the model returned {describe(parts[0])}, which is no tensor and no tuple of them")
    return Tensor(np.concatenate([part.cpu().data for part in parts]))
