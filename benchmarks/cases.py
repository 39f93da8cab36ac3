"""What can be measured: a case is one row of the results, and says what each library has to compute."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["TOLERANCE", "Case", "Operation", "Program", "Update", "Workload", "all_cases", "selected"]

TOLERANCE = {"float32": 2e-3, "tf32": 4e-3, "float16": 8e-3, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Case:
    """One row of the results.

    `name`: "workloads/gpt-small". `flops`: the floating-point operations that no method can avoid, as far as we know.
    `bytes`: what has to be moved between memory and the processor, where that counts. `precision`: of the products, a key of
    `TOLERANCE`; other than "float32" on a GPU only, where the inputs of operations have that dtype ("tf32": float32 that tensor
    cores round), and training steps run under autocast. `drawn`: results hold random numbers of the library's own.
    """

    name: str
    title: str
    flops: float = 0.0
    bytes: float = 0.0
    precision: str = field(default="float32", kw_only=True)
    drawn: bool = field(default=False, kw_only=True)

    @property
    def tolerance(self) -> float:
        """How far outputs may be apart, relative to the largest of them."""
        return 2e-2 if self.drawn else TOLERANCE[self.precision]

    @property
    def group(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Workload(Case):
    """A training step: zero_grad, forward, loss, backward, Adam.

    `model(nn)` builds the model of chainrule or torch, whose module of layers is `nn`; `loss(F, model, *data)` is computed with
    their functions `F`. `data(rng)` draws the arrays of a batch. `jax`: the name of the function of `workloads_jax` that computes
    the same from a dict of the model's parameters. `small`: so small that libraries for teaching take part. `growth`: one of many
    of the same kind, of which each gets less time.
    """

    model: Callable[[Any], Any] = field(default=lambda nn: None, repr=False)
    loss: Callable[..., Any] = field(default=lambda F, model: None, repr=False)
    data: Callable[[Any], list[Any]] = field(default=lambda rng: [], repr=False)
    jax: str = ""
    small: bool = False
    growth: bool = False
    lr: float = 1e-3


@dataclass(frozen=True)
class Operation(Case):
    """A single operation: forward alone, or (`training`) forward and backward with a given gradient of the result.

    `run(L, F, *inputs)` computes it with the names that chainrule and torch share; where there is a `layer(nn)`, the module is
    called on the inputs instead. `inputs(rng)` draws the arrays; those of a floating-point type get gradients when training, as the
    layer's parameters do. `jax`: the name of the function of `operations_jax`, and its `options`; `numpy(np, *inputs)` is the same
    in NumPy's words (on a GPU in CuPy's), `twin(*arrays)` by a kernel of our own that the library does not use. `fused`:
    torch.compile writes code of its own for it, rather than calling eager's. `images`: four axes are NCHW. `recorded`: the inputs
    require gradients though nobody asks for them, and `counted` operations are recorded: what one costs over NumPy's own call is
    told.
    """

    run: Callable[..., Any] | None = field(default=None, repr=False)
    inputs: Callable[[Any], list[Any]] = field(default=lambda rng: [], repr=False)
    layer: Callable[[Any], Any] | None = field(default=None, repr=False)
    jax: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    numpy: Callable[..., Any] | None = field(default=None, repr=False)
    twin: Callable[..., Any] | None = field(default=None, repr=False)
    training: bool = False
    fused: bool = False
    images: bool = False
    recorded: bool = False
    counted: int = 0


@dataclass(frozen=True)
class Update(Case):
    """A step of Adam alone, on parameters of these shapes."""

    shapes: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Program(Case):
    """Something that is measured by a program in a fresh process, which prints the seconds.

    `programs`: Python code for each contender that takes part. `cold`: with an empty cache of compiled kernels.
    """

    programs: dict[str, str] = field(default_factory=dict, repr=False)
    cold: bool = False


def all_cases(device: str = "cpu") -> dict[str, Case]:
    """Every case of a device by its name, in the order in which they are measured."""
    if device == "cuda":
        from benchmarks.cuda_cases import cuda_cases

        return {case.name: case for case in cuda_cases()}
    from benchmarks.engine import ENGINE
    from benchmarks.growth import GROWTH
    from benchmarks.operations import OPERATIONS
    from benchmarks.workloads import WORKLOADS

    return {case.name: case for case in (*WORKLOADS, *OPERATIONS, *ENGINE, *GROWTH)}


def selected(patterns: str | None, device: str = "cpu") -> dict[str, Case]:
    """The cases whose names match one of the patterns, separated by commas: with wildcards, or a part of the name.

    Raises ValueError for a pattern that matches nothing.
    """
    cases = all_cases(device)
    if not patterns:
        return cases
    found: dict[str, Case] = {}
    for pattern in patterns.split(","):
        hits = {name: case for name, case in cases.items() if pattern in name or fnmatchcase(name, pattern)}
        if not hits:
            raise ValueError(f"--only {pattern}: nothing has such a name. There are:\n  " + "\n  ".join(cases))
        found |= hits
    return {name: case for name, case in cases.items() if name in found}
