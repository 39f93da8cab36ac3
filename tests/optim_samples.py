"""THE tables of optimizers and of schedules: each row is compared with torch.optim, step by step.

From the rows come torch's committed trajectories (`python -m tests.optim_answers`), the live comparison with torch, the
exchange of state dicts, resuming to the same bits, float32 and `maximize`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STEPS = 24
NOTED = (1, 6, STEPS)  # the steps after which the parameters are compared


@dataclass(frozen=True)
class OptimSample:
    """One optimizer with its options, and those of a second group of parameters."""

    name: str
    options: dict[str, Any]
    second: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    steps: int = STEPS
    tolerance: float = 1.0  # times the usual one

    def __str__(self) -> str:
        return f"{self.name}{'-' + self.label if self.label else ''}"


def row(name: str, label: str = "", second: Any = None, steps: int = STEPS, tolerance: float = 1.0,
        **options: Any) -> OptimSample:
    """A row: `row("SGD", "momentum", lr=0.1, momentum=0.9)`. A second group has 1.5 times the rate, unless it says more."""
    if name != "LBFGS":
        second = {"lr": 1.5 * options["lr"], **(second or {})} if "lr" in options else second or {}
    return OptimSample(name, options, second or {}, label, steps, tolerance)


OPTIMIZERS = [
    row("SGD"),
    row("SGD", "momentum", lr=0.1, momentum=0.9),
    row("SGD", "nesterov", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, second={"weight_decay": 0.1}),
    row("SGD", "dampened", lr=0.03, momentum=0.9, dampening=0.3, maximize=True, weight_decay=0.1),
    row("Adam"),
    row("Adam", "decay", lr=0.05, weight_decay=0.1, second={"betas": (0.5, 0.9)}),
    row("Adam", "amsgrad", lr=0.05, amsgrad=True, maximize=True, betas=(0.8, 0.9), eps=1e-3),
    row("Adam", "decoupled", lr=0.05, weight_decay=0.1, decoupled_weight_decay=True),
    row("AdamW"),
    row("AdamW", "amsgrad", lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, amsgrad=True, second={"weight_decay": 0.0}),
    row("AdamW", "maximize", lr=0.05, maximize=True),
    row("RMSprop"),
    row("RMSprop", "centered", lr=0.03, alpha=0.8, eps=1e-3, weight_decay=0.1, momentum=0.5, centered=True),
    row("RMSprop", "momentum", lr=0.003, momentum=0.9, maximize=True),
    row("Adagrad"),
    row("Adagrad", "decay", lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1, eps=1e-3),
    row("Adagrad", "maximize", lr=0.1, maximize=True),
    row("Adadelta"),
    row("Adadelta", "decay", lr=0.5, rho=0.7, eps=1e-3, weight_decay=0.1),
    row("Adadelta", "maximize", maximize=True),
    row("Adamax"),
    row("Adamax", "decay", lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    row("Adamax", "maximize", lr=0.05, maximize=True),
    row("NAdam"),
    row("NAdam", "decay", lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, momentum_decay=0.1),
    row("NAdam", "decoupled", lr=0.05, weight_decay=0.1, decoupled_weight_decay=True, maximize=True),
    row("RAdam"),
    row("RAdam", "decay", lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    row("RAdam", "decoupled", lr=0.05, weight_decay=0.1, decoupled_weight_decay=True, maximize=True),
    row("ASGD"),
    row("ASGD", "averaging", lr=0.1, lambd=0.05, alpha=0.5, t0=6, weight_decay=0.01),
    row("ASGD", "maximize", lr=0.03, maximize=True),
    row("Rprop"),
    row("Rprop", "etas", lr=0.1, etas=(0.3, 1.5), step_sizes=(0.01, 0.2)),
    row("Rprop", "maximize", lr=0.05, maximize=True),
    row("LBFGS", lr=0.2, max_iter=6, steps=4, tolerance=10),
    row("LBFGS", "wolfe", line_search_fn="strong_wolfe", max_iter=4, steps=8, tolerance=100),
    row("LBFGS", "short", lr=0.5, max_iter=3, max_eval=3, history_size=2, tolerance_grad=1e-5, tolerance_change=1e-6, steps=8),
    row("LBFGS", "wolfe-far", lr=20.0, line_search_fn="strong_wolfe", max_iter=2, max_eval=9, history_size=3, steps=8,
        tolerance=10),
    row("Muon"),
    row("Muon", "plain", lr=0.1, momentum=0.8, nesterov=False, weight_decay=0.01),
    row("Muon", "matched", lr=0.05, adjust_lr_fn="match_rms_adamw", ns_steps=3, ns_coefficients=(2.0, -1.5, 0.5), eps=1e-3),
    row("Muon", "original", lr=0.05, adjust_lr_fn="original", weight_decay=0.0),
]

_rng = np.random.default_rng(0)
INPUTS, TARGETS = _rng.normal(size=(12, 3)), _rng.normal(size=(12, 2))
FIRST = {"weight1": _rng.normal(size=(5, 3)), "bias1": _rng.normal(size=5), "weight2": _rng.normal(size=(2, 5)) * 0.5,
         "bias2": _rng.normal(size=2) * 0.1}


class Problem:
    """A small network, whose loss is no quadratic, in our tensors or in torch's."""

    def __init__(self, sample: OptimSample, module: Any, dtype: Any = np.float64) -> None:
        """`module`: chainrule or torch."""
        self.sample, self.module, self.dtype = sample, module, dtype
        self.parameters = {name: self.tensor(value) for name, value in FIRST.items()}
        self.trained = [name for name in FIRST if sample.name != "Muon" or FIRST[name].ndim == 2]
        for name in self.trained:
            self.parameters[name].requires_grad_()
        self.optimizer = self.make()
        self.t = 0

    def tensor(self, value: Any) -> Any:
        return self.module.tensor(np.array(value, dtype=self.dtype))

    def make(self, **changed: Any) -> Any:
        """The optimizer of the row, on these parameters."""
        listed = [self.parameters[name] for name in self.trained]
        groups = listed if self.sample.name == "LBFGS" else [
            {"params": listed[:-1]}, {"params": listed[-1:], **self.sample.second}]
        return getattr(self.module.optim, self.sample.name)(groups, **{**self.sample.options, **changed})

    def loss(self) -> Any:
        """The loss on a third of the data, another in each step; on all of it for LBFGS."""
        rows = slice(None) if self.sample.name == "LBFGS" else slice(self.t % 3, None, 3)
        p, x, y = self.parameters, self.tensor(INPUTS[rows]), self.tensor(TARGETS[rows])
        return (((x @ p["weight1"].T + p["bias1"]).tanh() @ p["weight2"].T + p["bias2"] - y) ** 2).mean()

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def follow(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            self.optimizer.step(self.closure)
            self.t += 1

    def values(self) -> Any:
        """All trained parameters as one array."""
        return np.concatenate([self.parameters[name].detach().numpy().ravel() for name in self.trained])

    def trajectory(self) -> Any:
        """The parameters after the steps that are noted, one row each."""
        rows = []
        for t in range(1, self.sample.steps + 1):
            self.follow(1)
            if t in NOTED or t == self.sample.steps:
                rows.append(self.values())
        return np.array(rows)


@dataclass(frozen=True)
class ScheduleSample:
    """A schedule: how to make it for an optimizer, of our modules or of torch's; `metrics` where its step takes one."""

    name: str
    make: Callable[[Any, Any], Any]  # (optim, optimizer) -> scheduler
    text: str
    steps: int = 40
    metrics: bool = False

    def __str__(self) -> str:
        return self.name


def schedule(name: str, text: str, steps: int = 40, metrics: bool = False) -> ScheduleSample:
    """A row; `text` is the expression that makes it, of `s`, the module of schedulers, `a`, that of averages, and `o`."""
    code = compile(f"lambda s, a, o: {text}", name, "eval")
    function = eval(code)
    return ScheduleSample(name, lambda optim, o: function(optim.lr_scheduler, optim.swa_utils, o), text, steps, metrics)


SCHEDULES = [
    schedule("LambdaLR", "s.LambdaLR(o, lambda t: 0.9**t)"),
    schedule("LambdaLR-two", "s.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)])"),
    schedule("MultiplicativeLR", "s.MultiplicativeLR(o, lambda t: 1 - 0.1 / (1 + t))"),
    schedule("MultiplicativeLR-two", "s.MultiplicativeLR(o, [lambda t: 0.9, lambda t: 0.8])"),
    schedule("StepLR", "s.StepLR(o, 7, 0.3)"),
    schedule("StepLR-default", "s.StepLR(o, step_size=9)"),
    schedule("MultiStepLR", "s.MultiStepLR(o, [3, 20, 3, 10], 0.3)"),
    schedule("MultiStepLR-default", "s.MultiStepLR(o, milestones=[3, 9])"),
    schedule("ConstantLR", "s.ConstantLR(o)"),
    schedule("ConstantLR-long", "s.ConstantLR(o, 0.25, 11)"),
    schedule("LinearLR", "s.LinearLR(o)"),
    schedule("LinearLR-down", "s.LinearLR(o, 0.9, 0.3, 11)"),
    schedule("LinearLR-zero", "s.LinearLR(o, 1.0, 0.0, 11)"),
    schedule("ExponentialLR", "s.ExponentialLR(o, 0.9)"),
    schedule("PolynomialLR", "s.PolynomialLR(o)"),
    schedule("PolynomialLR-cubic", "s.PolynomialLR(o, 30, 3.0)"),
    schedule("CosineAnnealingLR", "s.CosineAnnealingLR(o, 40)"),
    schedule("CosineAnnealingLR-beyond", "s.CosineAnnealingLR(o, T_max=7, eta_min=0.01)"),
    schedule("CosineAnnealingWarmRestarts", "s.CosineAnnealingWarmRestarts(o, 7)"),
    schedule("CosineAnnealingWarmRestarts-longer", "s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01)"),
    schedule("OneCycleLR", "s.OneCycleLR(o, 0.5, 40)"),
    schedule("OneCycleLR-linear", "s.OneCycleLR(o, [0.5, 1.0], epochs=5, steps_per_epoch=8, pct_start=0.4, "
             "anneal_strategy='linear', base_momentum=0.5, max_momentum=[0.9, 0.8], div_factor=5.0, final_div_factor=10.0)"),
    schedule("OneCycleLR-three", "s.OneCycleLR(o, max_lr=0.5, total_steps=40, three_phase=True, cycle_momentum=False)"),
    schedule("CyclicLR", "s.CyclicLR(o, 0.01, 0.5, 6)"),
    schedule("CyclicLR-halving", "s.CyclicLR(o, [0.01, 0.02], [0.5, 0.7], 7, 3, mode='triangular2', base_momentum=0.3, "
             "max_momentum=0.99)"),
    schedule("CyclicLR-exponential", "s.CyclicLR(o, 0.01, 0.5, 4, mode='exp_range', gamma=0.95, cycle_momentum=False)"),
    schedule("CyclicLR-function", "s.CyclicLR(o, 0.01, 0.5, 4, scale_fn=lambda cycle: 1 / cycle)"),
    schedule("CyclicLR-iterations", "s.CyclicLR(o, 0.01, 0.5, 4, scale_fn=lambda t: 0.9**t, scale_mode='iterations')"),
    schedule("ReduceLROnPlateau", "s.ReduceLROnPlateau(o, patience=2)", metrics=True),
    schedule("ReduceLROnPlateau-max", "s.ReduceLROnPlateau(o, 'max', 0.5, 1, 0.1, 'abs', 3, [0.01, 0.02])", metrics=True),
    schedule("ReduceLROnPlateau-absolute", "s.ReduceLROnPlateau(o, 'min', 0.7, 0, 0.3, 'abs', 1)", metrics=True),
    schedule("ReduceLROnPlateau-relative", "s.ReduceLROnPlateau(o, 'max', 0.7, 1, 0.2, 'rel', min_lr=0.03)", metrics=True),
    schedule("ReduceLROnPlateau-eps", "s.ReduceLROnPlateau(o, factor=0.5, patience=0, eps=0.02)", metrics=True),
    schedule("SequentialLR", "s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 10, 0.01), "
             "s.StepLR(o, 4, 0.5)], [5, 20])"),
    schedule("SequentialLR-restarts", "s.SequentialLR(o, [s.ConstantLR(o, 0.1, 5), s.CosineAnnealingWarmRestarts(o, 7)], [6])"),
    schedule("ChainedScheduler", "s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 40), "
             "s.StepLR(o, 4, 0.5)])"),
    schedule("ChainedScheduler-floor", "s.ChainedScheduler([s.ExponentialLR(o, 0.97), s.CosineAnnealingLR(o, 15, 0.01)], o)"),
    schedule("SWALR", "a.SWALR(o, 0.03)"),
    schedule("SWALR-linear", "a.SWALR(o, [0.03, 0.3], anneal_epochs=5, anneal_strategy='linear')"),
    schedule("SWALR-at-once", "a.SWALR(o, 0.03, 0)"),
]


class Schedule:
    """A schedule at work on two groups of parameters of SGD, or of Adam, whose momentum is the first beta."""

    def __init__(self, sample: ScheduleSample, module: Any, kind: str = "SGD") -> None:
        first, second = (module.tensor([1.0]).requires_grad_() for _ in range(2))
        options = {"momentum": 0.5} if kind == "SGD" else {}
        self.optimizer = getattr(module.optim, kind)([{"params": [first]}, {"params": [second], "lr": 0.2}], lr=0.1, **options)
        self.sample, self.scheduler, self.t = sample, sample.make(module.optim, self.optimizer), 0

    def rates(self) -> list[float]:
        """The rates and momenta of both groups."""
        groups = self.optimizer.param_groups
        momenta = [group["betas"][0] if "betas" in group else group["momentum"] for group in groups]
        return [*(group["lr"] for group in groups), *momenta]

    def follow(self, steps: int) -> Any:
        """The rates before each of so many steps."""
        rows = []
        for _ in range(steps):
            rows.append(self.rates())
            self.optimizer.step()
            self.scheduler.step(*[4 * np.cos(self.t / 3.0) / (1 + self.t / 9.0) + 5] * self.sample.metrics)
            self.t += 1
        return np.array(rows)


def digest(sample: OptimSample | ScheduleSample) -> str:
    """A fingerprint of a row: answers to another one are stale."""
    if isinstance(sample, OptimSample):
        content: tuple[Any, ...] = (sample.name, sorted(sample.options.items()), sorted(sample.second.items()), sample.steps,
                                    [(name, value.round(9).tobytes()) for name, value in FIRST.items()])
    else:
        content = (sample.text, sample.steps, sample.metrics)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
