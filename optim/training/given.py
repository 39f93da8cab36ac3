"""What `fit` is given: checked before training begins, with errors that say the likely fix."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from inspect import Parameter, signature
from typing import Any

from chainrule.errors import describe
from chainrule.optim.training.metrics import Mean, Metric

__all__: list[str] = []


def outline(value: Any) -> str:
    """A batch in a few words.

    >>> import chainrule as cr
    >>> outline((cr.zeros(32, 8), [cr.zeros(32, dtype=cr.int64), "text"]))
    "(float32(32, 8), (int64(32), 'text'))"
    """
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(outline, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {outline(v)}" for key, v in value.items()) + "}"
    return describe(value)


def unpack(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """(inputs, target) of a batch; TypeError for one that has not both."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise TypeError(f"a batch must be a tuple (input, ..., target), the loader gave {outline(batch)}; make the "
                        "loader of TensorDataset(inputs, targets), or of a Dataset that returns such tuples")
    return tuple(batch[:-1]), batch[-1]


def check_made(value: Any, name: str) -> None:
    """TypeError for a class where an object is wanted."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; make an object of it: {value.__name__}(...)")


def named_metrics(metrics: Any, count: Callable[[Any], float]) -> dict[str, Metric]:
    """New metrics by name, of what a user may pass: one, a list or a dict of Metrics and functions."""
    if isinstance(metrics, Metric) or callable(metrics):
        metrics = [metrics]
    pairs = metrics.items() if isinstance(metrics, Mapping) else [(None, metric) for metric in metrics]
    found: dict[str, Metric] = {}
    for name, metric in pairs:
        check_made(metric, "a metric")
        if not (isinstance(metric, Metric) or callable(metric)):
            raise TypeError(f"a metric is a Metric or a function (prediction, target) -> number, got {describe(metric)}")
        own: Metric = deepcopy(metric) if isinstance(metric, Metric) else Mean(metric, count=count, name=name)
        own.reset()
        name = name or own.name
        if name in found or name in ("loss", "lr", "epoch", "step"):
            raise ValueError(f"two values would be called {name!r}; name the metrics by a dict: metrics={{'a name': ...}}")
        found[name] = own
    return found


@contextmanager
def explained(place: Callable[[], str]) -> Iterator[None]:
    """An exception from inside says, in a note, where that was; "" for no note."""
    try:
        yield
    except Exception as error:
        if note := place():
            error.add_note(note)
        raise


@contextmanager
def modes_restored(model: Any) -> Iterator[None]:
    """Whatever happens inside, each module of the model is in training or evaluation mode as before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def takes_a_value(step: Any) -> bool:
    """Whether a step(…) must be given something: the value that ReduceLROnPlateau goes by, the closure of LBFGS."""
    return any(p.default is Parameter.empty and p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
               for p in signature(step).parameters.values())


def check_loader(loader: Any, name: str) -> None:
    """TypeError for what gives single examples, or rows, where batches are wanted."""
    if hasattr(loader, "shape") or not hasattr(loader, "__iter__"):
        what = describe(loader) if hasattr(loader, "shape") else f"a {type(loader).__name__}"
        raise TypeError(f"{name} is {what}, which gives no batches; pass a DataLoader(dataset, batch_size=...), or a list of "
                        "batches")


def check_objects(model: Any, loader: Any, loss_fn: Any, optimizer: Any, scheduler: Any, validation: Any) -> None:
    """TypeError or ValueError for objects that cannot be trained with."""
    for name, value in (("model", model), ("loss_fn", loss_fn), ("optimizer", optimizer), ("scheduler", scheduler)):
        check_made(value, f"fit: {name}")
    if not callable(loss_fn):
        raise TypeError(f"fit: loss_fn is {describe(loss_fn)}; pass a loss such as layers.MSELoss(), or a function "
                        "(prediction, target) -> loss")
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"fit: the optimizer is {describe(optimizer)}; the order is fit(model, loader, loss_fn, "
                        "optimizer, epochs)")
    reduction = getattr(loss_fn, "reduction", "mean")
    if reduction != "mean":
        raise ValueError(f"fit: {loss_fn} has reduction={reduction!r}; pass one with reduction='mean', of which the steps "
                         "do not depend on how large a batch is")
    check_loader(loader, "fit: the loader")
    if validation is not None:
        check_loader(validation, "fit: validation")
    if hasattr(loader, "__next__"):
        raise TypeError(f"fit: the loader is a {type(loader).__name__}, which can be looped over only once; pass a "
                        "DataLoader, or a list of batches")
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ValueError(f"fit: the {type(scheduler).__name__} was made for another optimizer; make it for this one")
    if takes_a_value(optimizer.step):
        raise TypeError(f"fit: {type(optimizer).__name__} computes the loss several times in each step; write the loop by "
                        "hand, with optimizer.step(closure)")
    own = {id(p) for p in model.parameters()}
    optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not own:
        raise ValueError(f"fit: {type(model).__name__} has no parameters: there is nothing to train")
    if not own & optimized:
        raise ValueError("fit: the optimizer has none of the model's parameters; make it of this model: "
                         f"{type(optimizer).__name__}(model.parameters(), ...)")


def check_numbers(epochs: Any, accumulate: Any, clip_norm: Any, schedule: str) -> None:
    """TypeError or ValueError for numbers and words out of their range."""
    for name, value, least in (("epochs", epochs, 0), ("accumulate", accumulate, 1)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"fit: {name} is {describe(value)}, it must be an integer")
        if value < least:
            raise ValueError(f"fit: {name}={value} must be at least {least}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"fit: clip_norm={clip_norm} must be positive, or None for none")
    if schedule not in ("epoch", "step"):
        raise ValueError(f"fit: schedule={schedule!r}; choose 'epoch' or 'step'")


def check_plateau(scheduler: Any, schedule: str, monitor: str, largest_is_best: bool) -> None:
    """ValueError where a ReduceLROnPlateau would go by a value in the wrong direction, or by none."""
    if schedule == "step":
        raise ValueError(f"fit: {type(scheduler).__name__} goes by a value of the epoch; pass schedule='epoch'")
    best = "max" if largest_is_best else "min"
    if getattr(scheduler, "mode", best) != best:
        raise ValueError(f"fit: {type(scheduler).__name__} has mode={scheduler.mode!r}, but the best {monitor!r} is the "
                         f"{best}; pass mode={best!r} to it, or another monitor to fit")
