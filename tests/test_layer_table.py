"""Every layer of the table: torch's names, values, gradients and first values; the gradients by differences; saving, copying."""

import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.layer_answers import read, stored_digest
from tests.layer_samples import FAMILIES, LAYERS
from tests.layer_samples.table import (
    Answer,
    LayerSample,
    build,
    build_torch,
    digest,
    fill,
    first_values,
    flat,
    ours,
    replace,
    theirs,
    upstream,
)

ROWS = [(family, i, row) for family, rows in FAMILIES.items() for i, row in enumerate(rows)]
WITH_TORCH = [r for r in ROWS if r[2].torch is not None]
every = pytest.mark.parametrize("sample", [row for _, row in LAYERS], ids=str)
compared = pytest.mark.parametrize(("family", "row", "sample"), WITH_TORCH, ids=["-".join(map(str, r)) for r in WITH_TORCH])


def assert_close(found: Any, expected: Any, what: str, tolerance: float) -> None:
    assert found.shape == tuple(expected.shape), f"{what}: shape {found.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=1e-7 * tolerance, atol=1e-9 * tolerance * scale, err_msg=what)


def assert_same(sample: LayerSample, found: Answer, expected: Answer) -> None:
    assert len(found.outputs) == len(expected.outputs) and len(found.inputs) == len(expected.inputs)
    for what in ("outputs", "inputs"):
        for i, (a, b) in enumerate(zip(getattr(found, what), getattr(expected, what), strict=True)):
            assert_close(a, b, f"{'output' if what == 'outputs' else 'gradient by input'} {i}", sample.tolerance)
    assert list(found.state) == list(expected.state), "the names of the state"
    assert list(found.parameters) == list(expected.parameters), "the names of the parameters"
    for name, value in expected.parameters.items():
        assert_close(found.parameters[name], value, f"gradient by {name}", sample.tolerance)
    for name, value in expected.state.items():
        assert_close(found.state[name], value, f"{name} after the call", sample.tolerance)


@compared
def test_values_and_gradients_are_torchs(family, row, sample):
    """The committed answers of torch, made by `python -m tests.layer_answers`."""
    assert stored_digest(family, row) == digest(sample), f"the row changed; run python -m tests.layer_answers {family}"
    parts = {part: read(family, row, part) for part in ("outputs", "inputs", "parameters", "state")}
    expected = Answer(list(parts["outputs"].values()), list(parts["inputs"].values()), parts["parameters"], parts["state"])
    assert_same(sample, ours(sample, fill(build(sample))), expected)


@pytest.mark.peers
@compared
def test_states_load_in_torch_and_back(family, row, sample):
    """Live: a state written by one loads in the other, strictly."""
    torch = pytest.importorskip("torch")
    their, our = build_torch(sample), build(sample)
    our.load_state_dict({name: value.detach().numpy() for name, value in their.state_dict().items()})
    their.load_state_dict({name: torch.tensor(value.data) for name, value in our.state_dict().items()})
    assert_same(sample, ours(sample, fill(our)), theirs(sample, their))


@compared
def test_first_values_are_distributed_as_torchs(family, row, sample):
    """Mean, standard deviation and extent of 40 fresh layers; what torch starts at a constant starts at the same constant."""
    expected = read(family, row, "first")
    found = first_values(lambda: build(sample), cr.manual_seed)
    assert sorted(found) == sorted(expected)
    for name, (mean, std, largest, count) in expected.items():
        ours_mean, ours_std, ours_largest, _ = found[name]
        if std < 1e-12:
            assert (ours_mean, ours_largest) == pytest.approx((mean, largest), abs=1e-7) and ours_std < 1e-6, name
            continue
        assert abs(ours_mean - mean) < 6 * std * np.sqrt(2 / count), f"{name}: mean {ours_mean}, torch's {mean}"
        assert abs(ours_std / std - 1) < 6 / np.sqrt(count), f"{name}: standard deviation {ours_std}, torch's {std}"
        assert ours_largest == pytest.approx(largest, rel=0.35 + 3 / np.sqrt(count)), f"{name}: extent"


@every
def test_gradients_by_differences(sample):
    """The gradient along a random direction through all inputs and parameters, against a central difference."""
    if not sample.differentiable:
        pytest.skip("not differentiable")
    module = fill(build(sample))
    cr.manual_seed(0)  # what is drawn at random is drawn alike each time
    answer = ours(sample, copy.deepcopy(module))
    rng = np.random.default_rng(0)
    names = list(answer.parameters)
    by_parameter = [rng.normal(size=answer.parameters[name].shape) for name in names]
    by_input = [rng.normal(size=g.shape) for g in answer.inputs]
    exact = sum(float((g * d).sum()) for g, d in zip([*answer.inputs, *answer.parameters.values()], [*by_input, *by_parameter],
                                                      strict=True))

    def value(step: float) -> float:
        moved = copy.deepcopy(module)
        with cr.no_grad():
            for (_, p), d in zip(moved.named_parameters(), by_parameter, strict=True):
                p.add_(cr.tensor(step * d))
        directions = iter(by_input)
        shift = lambda a: cr.tensor(a + step * next(directions) if a.dtype.kind == "f" else a)
        cr.manual_seed(0)
        with cr.no_grad():
            outputs = flat(moved(*replace(sample.inputs, shift), **replace(sample.call, shift)))
        return sum(float((t.data * upstream(i, t.shape)).sum()) for i, t in enumerate(outputs) if t.dtype.kind == "f")

    near, far = ((value(h) - value(-h)) / (2 * h) for h in (1e-6, 4e-6))
    size = max(1.0, *(float(np.abs(g).sum()) for g in [*answer.inputs, *answer.parameters.values()])) if by_input or names else 1.0
    assert min(abs(near - exact), abs(far - exact)) < 2e-6 * size * sample.tolerance, (near, far, exact)


@every
def test_float32_stays(sample):
    module = build(sample, np.float32)
    answer = ours(sample, module, np.float32)
    kinds = {a.dtype for a in [*answer.outputs, *answer.inputs, *answer.parameters.values()] if a.dtype.kind == "f"}
    assert kinds <= {np.dtype(np.float32)}


@every
def test_layers_are_copied_saved_and_shown(sample, tmp_path):
    module = fill(build(sample))
    cr.save_file(module.state_dict(), tmp_path / "state")
    fresh, twin = build(sample), copy.deepcopy(module)
    fresh.load_state_dict(cr.load_file(tmp_path / "state"))
    answers = []
    for m in (module, fresh, twin):
        cr.manual_seed(0)
        answers.append(ours(sample, m).outputs)
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert repr(module).startswith(type(module).__name__ + "(")


def test_no_layer_is_without_a_row():
    shown = {row.name for _, row in LAYERS}

    def inside(row: LayerSample) -> None:
        for found in [*row.args, *row.kwargs.values()]:
            if isinstance(found, LayerSample):
                shown.add(found.name)
                inside(found)

    for _, row in LAYERS:
        inside(row)
    containers = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"}
    classes = {name for name, value in vars(cr.layers).items() if isinstance(value, type) and issubclass(value, cr.layers.Module)}
    assert classes - shown - containers == set()
