"""Derivatives broken on purpose: which sample reaches which formula, and the ways to break what it gives."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np

import chainrule as cr
from chainrule import graph
from chainrule.graph import Plans
from chainrule.kernels import cpu
from tests.properties import Case
from tests.samples import SAMPLES
from tests.samples.table import Sample

# fused ops with kernels of the cpu backend, and rows with a gradient kernel beside their formula
KERNELS = [name for name in cpu.WHERE if name in graph.table
           and (isinstance(graph.table[name], cr.Fused) or f"{name}_grad" in cpu.WHERE)]
Formula = tuple[str, int]  # the row's name, the input's position (0 for `each`)


def dropped(d: np.ndarray) -> np.ndarray:
    """Without its largest element."""
    d = d.copy()
    d.reshape(-1)[np.argmax(np.abs(d))] = 0
    return d


def transposed(d: np.ndarray) -> np.ndarray:
    """The last two axes swapped, where the shape allows."""
    return np.swapaxes(d, -1, -2).copy() if d.ndim > 1 and d.shape[-1] == d.shape[-2] else d


BREAKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 1.01": lambda d: d * 1.01,
    "sign flipped": lambda d: -d,
    "zero": lambda d: d * 0,
    "a term added": lambda d: d + 1,
    "one element dropped": lambda d: dropped(d) if d.size else d,
    "rolled": lambda d: np.roll(d, 1),
    "transposed": transposed,
}


@contextmanager
def replaced(op: Any, formulas: tuple[Any, ...]) -> Iterator[None]:
    """The row with other formulas, inside; they ask for the same as the row's own."""
    own, plans = op.formulas, op.plans
    op.formulas, op.plans = formulas, Plans(op)
    try:
        yield
    finally:
        op.formulas, op.plans = own, plans


@contextmanager
def broken(op: Any, position: int, damage: Any) -> Iterator[list[bool]]:
    """One formula of a row, damaged; the list says for each raw gradient it gave whether the damage changed it."""
    effects: list[bool] = []
    formula = op.formulas[position]

    def wrong(xp: Any, g: Any, *arguments: Any) -> Any:
        d = formula(xp, g, *arguments)
        if not isinstance(d, np.ndarray | np.generic):  # the recorded first walk of a second derivative
            return d
        d = np.asarray(d)
        bad = np.asarray(damage(d), d.dtype)
        effects.append(not np.array_equal(bad, d))
        return bad

    with replaced(op, tuple(wrong if i == position else f for i, f in enumerate(op.formulas))):
        yield effects


@contextmanager
def compiled_at_every_size() -> Iterator[None]:
    """The cpu backend's kernels take what else NumPy would serve, since it is small."""
    with ExitStack() as stack:
        for file in sorted(set(cpu.WHERE.values())):
            module = import_module(f"chainrule.kernels.cpu.{file}")
            for name in ("STRAIGHT", "CURVED", "QUICK", "TANH", "SMALLEST"):
                # products below matmul's SMALLEST are few for BLAS; what it and its users do there is not theirs to break
                if hasattr(module, name) and (name != "SMALLEST" or file in ("convolution", "maxima")):
                    stack.enter_context(patch.object(module, name, 1 if name == "SMALLEST" else 0))
        yield


@contextmanager
def broken_kernel(op: Any, position: int, damage: Any) -> Iterator[list[bool]]:
    """The cpu backend's gradient kernel of an op, with the gradient of one input damaged."""
    effects: list[bool] = []
    if isinstance(op, cr.Fused):
        forward, backward, asks = op.pairs[cpu] if cpu in op.pairs else op._pair(cpu)
    else:
        backward = op.slopes[cpu]

    def wrong(g: Any, *arguments: Any) -> Any:
        found = backward(g, *arguments)
        if found is NotImplemented or found[position] is None:
            return found
        bad = np.asarray(damage(found[position]), found[position].dtype)
        effects.append(not np.array_equal(bad, found[position]))
        return (*found[:position], bad, *found[position + 1 :])

    table = op.pairs if isinstance(op, cr.Fused) else op.slopes
    table[cpu] = (forward, wrong, asks) if isinstance(op, cr.Fused) else wrong
    try:
        with compiled_at_every_size():
            yield effects
    finally:
        table[cpu] = (forward, backward, asks) if isinstance(op, cr.Fused) else backward


def run(case: Case, order: int) -> None:
    """First derivatives (order 1), or second ones, so that every formula they use is called with raw arrays."""
    if order == 1:
        case.values_and_gradients()
        return
    leaves = case.leaves()
    roots = [t for t in case(*leaves) if t.requires_grad]
    seeds = [cr.ones_like(t).requires_grad_() for t in roots]
    found = cr.grad(roots, leaves, seeds, create_graph=True, allow_unused=True)
    again = [g for g in found if g is not None and g.requires_grad]
    if again:
        cr.grad(again, [*leaves, *seeds], [cr.ones_like(g) for g in again], allow_unused=True)


@cache
def reaching() -> dict[Formula, list[tuple[Sample, int, str]]]:
    """For each formula of the table the (sample, order of derivative, backend) that reach it, the best of each function,
    best first: at the lowest order, with a gradient that is not tiny and has several elements, and with few inputs."""
    calls: list[tuple[Formula, np.ndarray]] = []

    def spied(name: str, position: int, formula: Any) -> Any:
        def spy(xp: Any, g: Any, *arguments: Any) -> Any:
            d = formula(xp, g, *arguments)
            if isinstance(d, np.ndarray):
                calls.append(((name, position), d))
            return d

        return spy

    rows = [op for op in graph.table.values() if op.differentiable]
    own = [(op, op.formulas, op.plans) for op in rows]
    best: dict[Formula, dict[str, tuple[Any, tuple[Sample, int, str]]]] = {}
    try:
        for op in rows:
            op.formulas = tuple(None if f is None else spied(op.name, i, f) for i, f in enumerate(op.formulas))
            op.plans = Plans(op)
        for order in (1, 2):
            for sample in SAMPLES:
                case = Case(sample)
                size = sum(a.size for a in case.arrays)
                if not sample.differentiable or (order == 2 and (size > 40 or not sample.second)):
                    continue
                for backend in ("cpu", "reference"):
                    calls.clear()
                    with cr.backend(backend), np.errstate(all="ignore"):
                        run(case, order)
                    for formula, d in calls:
                        tiny = not np.abs(d).max(initial=0) > 0.05
                        score = (order, tiny, backend == "reference", d.size < 2, size)
                        found = best.setdefault(formula, {})
                        if sample.name not in found or score < found[sample.name][0]:
                            found[sample.name] = score, (sample, order, backend)
    finally:
        for op, formulas, plans in own:
            op.formulas, op.plans = formulas, plans
    return {formula: [case for _, case in sorted(found.values(), key=lambda f: f[0])] for formula, found in best.items()}


@cache
def reaching_kernels() -> dict[Formula, list[Sample]]:
    """For each op with a gradient kernel of the cpu backend, and each input, the samples that have the gradient kernel give
    that input's gradient, smallest first."""
    found: dict[Formula, list[Sample]] = {}
    for sample in sorted(SAMPLES, key=lambda s: sum(a.size for a in Case(s).arrays)):
        if not sample.differentiable:
            continue
        with ExitStack() as stack, np.errstate(all="ignore"):
            spies = {(name, i): stack.enter_context(broken_kernel(graph.table[name], i, lambda d: d * 1.01))
                     for name in KERNELS for i in range(len(graph.table[name].inputs))}
            Case(sample).values_and_gradients()
        for formula, effects in spies.items():
            if any(effects):
                found.setdefault(formula, []).append(sample)
    return found
