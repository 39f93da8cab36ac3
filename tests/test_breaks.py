"""The checks are checked: every derivative of the table, broken in every way, is caught by gradcheck on the samples."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import graph
from tests.breaking import BREAKS, KERNELS, broken, broken_kernel, reaching, reaching_kernels
from tests.properties import Case
from tests.samples.table import Sample

FORMULAS = [(name, i) for name, op in graph.table.items() for i, f in enumerate(op.formulas) if f is not None]


def caught(sample: Sample, order: int, backend: str) -> bool:
    """Whether the derivatives of a sample are found wrong."""
    case = Case(sample)
    check = cr.gradcheck if order == 1 else cr.gradgradcheck
    with cr.backend(backend), np.errstate(all="ignore"):
        return not check(case, case.leaves(), complex_step=False, check_strides=False, raise_exception=False)


def survivors(cases: list[tuple[Sample, int, str]], breaking: Any) -> tuple[list[str], int]:
    """The kinds of break that changed a gradient in some of the cases and were caught in none of these; and how many kinds
    changed something. Some break cannot show in one sample (a sign flipped twice on the way, all elements equal and
    rolled), so several are tried."""
    survived, changed = [], 0
    for kind, damage in BREAKS.items():
        effective = found = False
        for sample, order, backend in cases[:12]:
            with breaking(damage) as effects:
                found = caught(sample, order, backend)
            effective |= any(effects)
            if found:
                break
        changed += effective
        if effective and not found:
            survived.append(kind)
    return survived, changed


@pytest.mark.parametrize(("name", "position"), FORMULAS, ids=[f"{n}-{graph.table[n].inputs[i]}" for n, i in FORMULAS])
def test_every_broken_formula_is_caught(name: str, position: int) -> None:
    """No exceptions: each way of breaking each formula of the table that changes a gradient is caught."""
    survived, changed = survivors(reaching()[name, position], lambda damage: broken(graph.table[name], position, damage))
    assert survived == []
    assert changed >= 1  # a formula that gives zeros everywhere (sign, floor) is broken by adding a term


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "batch_norm_by_running"])
def test_every_broken_kernel_is_caught(name: str) -> None:
    """The same for each input's gradient that a kernel gives: a fused op's, or one beside a row's formula."""
    positions = [i for n, i in reaching_kernels() if n == name]
    # ctc_loss takes targets and lengths, cross_entropy targets; other gradients come from the definition
    fewer = {"ctc_loss": 1, "cross_entropy": 1}
    assert len(positions) >= fewer.get(name, min(3, len(graph.table[name].inputs)))
    for position in positions:
        cases = [(sample, 1, "cpu") for sample in reaching_kernels()[name, position]]
        survived, changed = survivors(cases, lambda damage, i=position: broken_kernel(graph.table[name], i, damage))
        assert (position, survived) == (position, [])
        assert changed >= 5


def test_a_broken_kernel_of_batch_norm_by_running_statistics_is_caught() -> None:
    """It gives the gradient of the input where nothing else has one, which is so in no sample: all their arrays have."""
    rng = np.random.default_rng(0)
    x, mean, variance = (cr.tensor(rng.uniform(0.5, 2, shape)) for shape in [(3, 2, 4), (2,), (2,)])
    for damage in BREAKS.values():
        with broken_kernel(graph.table["batch_norm_by_running"], 0, damage) as effects:
            fine = cr.gradcheck(lambda x: cr.functional.batch_norm(x, mean, variance), (x.clone().requires_grad_(),),
                                complex_step=False, check_strides=False, raise_exception=False)
        assert effects and (fine is not any(effects))


def test_a_wrong_second_derivative_is_caught() -> None:
    """A formula that is right as a number, but recorded wrong: only gradgradcheck sees it."""
    cube = cr.Op("cube", forward=lambda xp, x: x * x * x, x=lambda xp, g, x: 3 * g * x * (x.detach() if xp is cr.names.ops else x))
    x = cr.tensor([0.5, -1.5], dtype=cr.float64, requires_grad=True)
    assert cr.gradcheck(cube, (x,))
    with pytest.raises(cr.GradcheckError, match="ratio"):
        cr.gradgradcheck(cube, (x,))
    assert cr.gradgradcheck(cube, (x,), raise_exception=False) is False


@pytest.mark.parametrize("name", ["multiply", "matmul", "exp", "sum", "getitem"])
def test_forward_mode_is_checked_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """check_forward_ad compares the two modes: a forward rule that is wrong alone is caught."""
    from chainrule import transforms

    sample, _, _ = next(c for c in reaching()[name, 0] if c[1] == 1)
    case = Case(sample)
    assert cr.gradcheck(case, case.leaves(), complex_step=False, check_forward_ad=True)
    push = transforms.push
    monkeypatch.setattr(transforms, "push", lambda node, tangents: push(node, tangents) * 1.01)
    with pytest.raises(cr.GradcheckError, match="forward mode differs from reverse mode"):
        cr.gradcheck(case, case.leaves(), complex_step=False, check_forward_ad=True)
