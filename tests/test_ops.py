"""Every property of every op, from the one table of samples: no op has tests of its own here."""

import importlib
import pkgutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import graph, names
from chainrule.derivatives import history
from tests.breaking import compiled_at_every_size
from tests.properties import Case, torch_answers
from tests.samples import SAMPLES
from tests.samples.table import Sample
from tests.torch_answers import ANSWERS, digest, keys, read

DIFFERENTIABLE = [s for s in SAMPLES if s.differentiable]
KEYS = keys(SAMPLES)


def identify(samples: list[Sample]) -> Any:
    return pytest.mark.parametrize("sample", samples, ids=[KEYS[id(s)] for s in samples])


@pytest.fixture(autouse=True)
def quiet_numpy() -> Any:
    """Samples at infinities and beyond make NumPy warn; the values are what is tested."""
    with np.errstate(all="ignore"):
        yield


@identify(DIFFERENTIABLE)
def test_gradient(sample: Sample) -> None:
    """Reverse mode equals central differences (and the complex step for analytic functions) in every element, on
    contiguous and strided inputs, and forward mode equals reverse mode."""
    case = Case(sample)
    tolerance = {"atol": 1e-5 * sample.tolerance, "rtol": 1e-3 * sample.tolerance}
    assert cr.gradcheck(case, case.leaves(), complex_step=False, check_forward_ad=True, **tolerance)
    if sample.analytic:
        tight = {"atol": 1e-9 * sample.tolerance, "rtol": 1e-8 * sample.tolerance}
        assert cr.gradcheck(case, case.leaves(), complex_step=True, check_strides=False, **tight)


@identify([s for s in DIFFERENTIABLE if s.second])
def test_second_derivative(sample: Sample) -> None:
    """The derivative of the derivative equals the central differences of the derivative."""
    case = Case(sample)
    assert cr.gradgradcheck(case, case.leaves(), atol=1e-5 * sample.tolerance, rtol=1e-3 * sample.tolerance, check_strides=False)


@identify(SAMPLES)
def test_float32(sample: Sample) -> None:
    """float32 inputs give float32 outputs and gradients, near those of float64."""
    case = Case(sample)
    wide_values, wide_gradients = case.values_and_gradients()
    values, gradients = case.values_and_gradients(np.float32)
    for a, b in zip(values + gradients, wide_values + wide_gradients, strict=True):
        if b.dtype.kind == "f" and sample.strict_dtype:
            assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-3 * sample.tolerance, atol=2e-4 * sample.tolerance)


@identify(SAMPLES)
def test_backends_agree(sample: Sample) -> None:
    """The cpu backend gives what plain NumPy gives, in both float types."""
    case = Case(sample)
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-4)):
        fast = case.values_and_gradients(dtype)
        with cr.backend("reference"):
            slow = case.values_and_gradients(dtype)
        for a, b in zip(fast[0] + fast[1], slow[0] + slow[1], strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance * sample.tolerance, atol=tolerance * sample.tolerance)


def compare(sample: Sample, expected: Any) -> None:
    """Our outputs and gradients equal torch's."""
    values, gradients = Case(sample).values_and_gradients()
    assert len(values) == len(expected[0]), "another number of outputs than torch"
    for kind, ours, theirs in (("output", values, expected[0]), ("gradient", gradients, expected[1])):
        if kind == "gradient" and not theirs:
            continue
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.shape == b.shape, f"{kind} {i} has shape {a.shape}, torch's has {b.shape}"
            assert a.dtype.kind == b.dtype.kind, f"{kind} {i} is {a.dtype}, torch's is {b.dtype}"
            tolerance = 1e-7 * sample.tolerance
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{kind} {i}")


@identify([s for s in SAMPLES if s.torch is not None])
def test_agrees_with_torch(sample: Sample) -> None:
    """The committed answers of torch, made by `python -m tests.torch_answers`."""
    stored, expected = read(KEYS[id(sample)])
    assert stored == digest(sample), f"the sample changed since {Path(ANSWERS).name} was made; run python -m tests.torch_answers"
    compare(sample, expected)


@pytest.mark.peers
@identify([s for s in SAMPLES if s.torch is not None])
def test_agrees_with_torch_live(sample: Sample) -> None:
    """torch itself, where it is installed."""
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch_answers(sample)
    compare(sample, expected)


def names_in(tensors: Any) -> set[str]:
    """The ops in the histories of tensors."""
    nodes = [t.node for t in tensors if t is not None and t.requires_grad]
    return {node.op.name for node in history(nodes, 0) if node.op is not None}


def test_every_op_has_samples() -> None:
    """Running all samples and their first derivatives, recorded, reaches every row of the table that has a derivative."""
    called: set[str] = set()
    for sample in DIFFERENTIABLE:
        case = Case(sample)
        for name in cr.kernels.BACKENDS:
            with cr.backend(name), compiled_at_every_size():
                leaves = case.leaves()
                roots = [t for t in case(*leaves) if t.requires_grad]
                called |= names_in(roots)
                if roots:
                    found = cr.grad(roots, leaves, [cr.ones_like(t) for t in roots], create_graph=True, allow_unused=True)
                    called |= names_in(found)
    # a fused op shows only where a backend has its kernels; elsewhere the ops of its definition do
    rows = {name for name, op in graph.table.items() if op.differentiable
            or (isinstance(op, cr.Fused) and name in cr.kernels.cpu.WHERE)}
    assert rows - called == set()


def test_no_kernel_is_an_orphan() -> None:
    """Each kernel of the cpu backend belongs to a row of the table, or is the gradient of a fused one."""
    kernels_without_row = {"max_pool_indices", "philox", "random_integers", "random_normal", "random_uniform",  # by functions
                           "adam_step", "rmsprop_step", "scale_and_clamp", "sgd_step", "sum_of_squares"}
    known = set(graph.table) | {f"{name}_grad" for name in graph.table} | kernels_without_row
    known |= {op.accumulates for op in graph.table.values()}
    assert set(cr.kernels.cpu.WHERE) - known == set()


def test_every_public_op_has_a_sample() -> None:
    """Each public function of the ops, functional and linalg modules is the subject of a row."""
    named = {s.name for s in SAMPLES}
    sampled = {id(f) for name in named if (f := lookup(name)) is not None}
    missing = [name for name, f in public_functions() if id(f) not in sampled and name not in TESTED_ELSEWHERE
               and not {name, f"Tensor.{name}", f"functional.{name}"} & named and not name.endswith("_")]
    assert missing == []


# not functions of tensors alone, or random beyond a seed; in-place forms (relu_) write what their sampled twins compute
TESTED_ELSEWHERE = {"from_dlpack", "from_numpy", "functional.gumbel_softmax", "get_default_device", "set_default_device"}


def public_functions() -> list[tuple[str, Any]]:
    """(name under chainrule, function) of all that the ops, functional and linalg modules list in `__all__`."""
    found = []
    for package, prefix in ((cr.ops, ""), (cr.functional, "functional.")):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            found += [(prefix + n, getattr(module, n)) for n in getattr(module, "__all__", ()) if hasattr(cr, n) or prefix]
    return [(name, f) for name, f in found if callable(f) and not isinstance(f, type)]


def lookup(name: str) -> Any:
    """What a dotted name under chainrule (or a name of the ops namespace) stands for; None for nothing."""
    found: Any = cr
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if found is not None else getattr(names.ops, name, None)
