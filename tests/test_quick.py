"""The calls that quick.py writes out straight do what `Op.__call__` does: the same bits, the same nodes, the same places."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import quick
from chainrule.derivatives import history
from chainrule.graph import Op, table
from tests.properties import Case
from tests.samples import SAMPLES
from tests.samples.table import Sample


def generally(self: Op, *inputs: Any, depth: int = 1, **static: Any) -> Any:
    """The general way for a row of a quick class."""
    given = inputs[:2] if isinstance(self, quick.Binary) else inputs
    return Op.__call__(self, *given, **static)


def seen(sample: Sample) -> list[Any]:
    """Outputs, gradients and, node by node, what a sample's graph holds."""
    case = Case(sample)
    leaves = case.leaves(requires_grad=sample.differentiable)
    outputs = case.all(*leaves)
    roots = [t for t in outputs if t.requires_grad]
    nodes = [(n.op.name, n.shape, n.dtype, len(n.parents), tuple(np.array(k) for k in n.kept), sorted(n.static))
             for n in history([t.node for t in roots], 0) if isinstance(n.op, quick.Unary | quick.Binary)]
    found = cr.grad(roots, leaves, [cr.ones_like(t) for t in roots], allow_unused=True) if roots else ()
    return [[np.array(t.data) for t in outputs], [g if g is None else np.array(g.data) for g in found], nodes]


def test_both_ways_agree_on_every_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    with np.errstate(all="ignore"):
        fast = [seen(s) for s in SAMPLES]
        monkeypatch.setattr(quick.Unary, "__call__", generally)
        monkeypatch.setattr(quick.Binary, "__call__", generally)
        for sample, expected in zip(SAMPLES, fast, strict=True):
            np.testing.assert_equal(seen(sample), expected, err_msg=str(sample))


def test_rows_get_their_class() -> None:
    assert type(table["exp"]) is quick.Unary
    assert type(table["multiply"]) is quick.Binary
    assert type(table["where"]) is Op


@pytest.mark.parametrize("other", [2, 2.0, True, np.float64(2), np.float32(2), np.ones(3), np.ones(3, np.float32), [1.0, 2.0, 3.0]])
def test_other_operands(other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def results() -> list[Any]:
        x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
        listed = (cr.multiply(x, other), cr.multiply(other, x), x - other, cr.divide(other, x))
        return [(y.dtype, np.array(y.data), np.array(cr.grad(y.sum(), x)[0].data)) for y in listed]

    fast = results()
    monkeypatch.setattr(quick.Binary, "__call__", generally)
    np.testing.assert_equal(results(), fast)


def test_flags_set_in_another_thread_do_not_matter() -> None:
    """A look at `special` tells that a flag is set somewhere; each thread's own then decides."""
    from threading import Event, Thread

    inside, done = Event(), Event()

    def hold() -> None:
        with cr.no_grad(), cr.backend("reference"):
            inside.set()
            done.wait(10)

    thread = Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    x = cr.tensor(2.0, requires_grad=True)
    y = x * x
    done.set()
    thread.join()
    assert y.requires_grad
    assert y.grad_fn.kernels is cr.kernels.cpu
    with cr.no_grad():
        assert not (x * x).requires_grad
        with cr.enable_grad():
            assert (x * x).requires_grad
    assert (x * x).requires_grad
