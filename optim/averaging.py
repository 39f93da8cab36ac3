"""Averages of a model's parameters over training, which often do better than the last of them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np

from chainrule.graph import no_grad
from chainrule.optim.lr_scheduler.factors import Factor
from chainrule.optim.lr_scheduler.scheduler import for_groups
from chainrule.state import again
from chainrule.tensor import Tensor

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
           "update_bn"]

Average = Callable[[Any, Any, int], Any]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average, averaged ← decay · averaged + (1 − decay) · p, for `AveragedModel(avg_fn=...)`.

    Raises ValueError for a decay outside [0, 1].

    >>> get_ema_avg_fn(0.75)(2.0, 4.0, 1)
    2.5
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_avg_fn: decay={decay} must lie between 0 and 1")
    return lambda averaged, current, count: decay * averaged + (1 - decay) * current


def get_swa_avg_fn() -> Average:
    """The plain average, averaged ← averaged + (p − averaged) / (count + 1), which is what `AveragedModel` does by itself.

    >>> get_swa_avg_fn()(2.0, 5.0, 2)
    3.0
    """
    return lambda averaged, current, count: averaged + (current - averaged) / (count + 1)


def of_lists(average: Average) -> Callable[[Any, Any, int], None]:
    """An average of one tensor made to write into each of a list of them."""
    def update(averaged: Any, current: Any, count: int) -> None:
        with no_grad():
            for a, c in zip(averaged, current):
                a.copy_(average(a, c, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, int], None]:
    """`get_ema_avg_fn` for lists of tensors, written in place: for `AveragedModel(multi_avg_fn=...)`.

    >>> import chainrule as cr
    >>> averaged = cr.tensor([2.0])
    >>> get_ema_multi_avg_fn(0.75)([averaged], [cr.tensor([4.0])], 1); averaged
    tensor([2.5])
    """
    return of_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[Any, Any, int], None]:
    """`get_swa_avg_fn` for lists of tensors, written in place: for `AveragedModel(multi_avg_fn=...)`.

    >>> import chainrule as cr
    >>> averaged = cr.tensor([2.0])
    >>> get_swa_multi_avg_fn()([averaged], [cr.tensor([5.0])], 2); averaged
    tensor([3.])
    """
    return of_lists(get_swa_avg_fn())


class AveragedModel:
    """A copy of a model, `module`, whose parameters are averages of the model's at each `update_parameters(model)`.

    The plain average of all of them (stochastic weight averaging: Izmailov et al. 2018, "Averaging weights leads to wider
    optima and better generalization"), or what `avg_fn(averaged, current, count)` returns for each parameter, such as
    `get_ema_avg_fn(decay)`; or what `multi_avg_fn` does to the list of all. The first update copies. `use_buffers`:
    average the buffers of floating point, too, instead of copying them; without it call `update_bn` at the end.

    It is called as the model is and has its `parameters`, `modules`, `train` and `eval`, but is itself no Module: keep it
    beside the model, not in one. Raises ValueError where both functions are given.

    >>> from chainrule.layers import Linear
    >>> model = Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = model.weight.data.fill(value); averaged.update_parameters(model)
    >>> averaged.module.weight.item(), averaged.n_averaged
    (3.0, 3)
    """

    def __init__(self, model: Any, device: Any = None, avg_fn: Average | None = None,
                 multi_avg_fn: Callable[[Any, Any, int], None] | None = None, use_buffers: bool = False) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: pass avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device=device)
        self.n_averaged = 0
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    @again
    def update_parameters(self, model: Any) -> None:
        """Take the model's parameters into the averages. Raises ValueError for a model of another structure."""
        averaged = list(zip(self.module.parameters(), model.parameters(), strict=True))
        copied: list[tuple[Any, Any]] = []
        for pair in zip(self.module.buffers(), model.buffers(), strict=True):
            (averaged if self.use_buffers and pair[0].is_floating_point() else copied).append(pair)
        if self.n_averaged == 0:
            averaged, copied = [], [*averaged, *copied]
        with no_grad():
            if averaged:
                update = self.multi_avg_fn or of_lists(self.avg_fn or get_swa_avg_fn())
                update([a.detach() for a, _ in averaged], [p.detach() for _, p in averaged], self.n_averaged)
            for a, p in copied:
                a.copy_(p)
        self.n_averaged += 1

    def parameters(self) -> Iterator[Any]:
        """The averaged parameters."""
        found: Iterator[Any] = self.module.parameters()
        return found

    def modules(self) -> Iterator[Any]:
        """The averaged model and all modules inside it."""
        found: Iterator[Any] = self.module.modules()
        return found

    @property
    def training(self) -> bool:
        """Whether the averaged model is in training mode."""
        return bool(self.module.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for the averaged model."""
        self.module.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode for the averaged model."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """"n_averaged" and the averaged model's state under names that begin with "module.", as torch has them."""
        return {"n_averaged": Tensor(np.asarray(self.n_averaged)), **self.module.state_dict(prefix="module.")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the averages stood. Raises RuntimeError for the state of another model."""
        inside = {name.removeprefix("module."): value for name, value in state_dict.items() if name.startswith("module.")}
        others = sorted(set(state_dict) - {f"module.{name}" for name in inside})
        if others != ["n_averaged"]:
            raise RuntimeError("AveragedModel.load_state_dict: the state has n_averaged and names that begin with module., "
                               f"this one also or instead {', '.join(others) or 'nothing'}; a plain model's state is loaded "
                               "by averaged.module.load_state_dict()")
        self.module.load_state_dict(inside)
        self.n_averaged = int(state_dict["n_averaged"])

    def __repr__(self) -> str:
        return f"AveragedModel(of {self.n_averaged}: {self.module!r})"


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Compute the running statistics of a model's batch norms anew, as plain averages over the batches of `loader`.

    For an averaged model, whose own never saw its activations. A batch is the model's input, or a tuple or list that
    begins with it. Statistics are the running mean and variance of every module that has them; modes and momenta are put
    back afterwards. A model without any is not called.

    >>> from chainrule.layers import Linear
    >>> update_bn([], Linear(1, 1))
    """
    norms = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
    if not norms:
        return
    modes, momenta = [(m, m.training) for m in model.modules()], [m.momentum for m in norms]
    try:
        model.train()
        for module in norms:
            module.reset_running_stats()
            module.momentum = None  # the average of all batches
        with no_grad():
            for batch in loader:
                first = batch[0] if isinstance(batch, list | tuple) else batch
                model(first if device is None else first.to(device=device))
    finally:
        for module, momentum in zip(norms, momenta):
            module.momentum = momentum
        for module, mode in modes:
            module.training = mode


class SWALR(Factor):
    """From the rate there is to the constant `swa_lr` in `anneal_epochs` steps, on half a cosine ("cos") or a straight line
    ("linear"): the rate at which iterates are averaged. Step it in place of the other schedule once averaging begins.

    `swa_lr`: a number, or one for each group. Raises ValueError for options out of range.

    >>> import chainrule as cr
    >>> optimizer = cr.optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr(), end=" ")
    ...     optimizer.step(); schedule.step()
    [1.0] [0.75] [0.5] [0.5]
    """

    def __init__(self, optimizer: Any, swa_lr: float | list[float], anneal_epochs: int = 10, anneal_strategy: str = "cos",
                 last_epoch: int = -1) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy={anneal_strategy!r} must be cos or linear")
        if not anneal_epochs >= 0:
            raise ValueError(f"SWALR: anneal_epochs={anneal_epochs} must not be negative")
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        groups = getattr(optimizer, "param_groups", [])
        for group, lr in zip(groups, for_groups(self, "swa_lr", swa_lr, groups)):
            group["swa_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """How far from `swa_lr` the rate still is, from 1 down to 0."""
        left = 1 - t / self.anneal_epochs if t < self.anneal_epochs else 0.0
        return (1 - math.cos(math.pi * left)) / 2 if self.anneal_strategy == "cos" else left

    def floors(self) -> list[float]:
        """`swa_lr`."""
        return [group["swa_lr"] for group in self.optimizer.param_groups]
