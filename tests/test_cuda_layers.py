"""Every layer of the table on the device: outputs, gradients by inputs and parameters, and the state afterwards are the CPU's."""

import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.layer_samples import LAYERS
from tests.layer_samples.table import Answer, LayerSample, build, fill, ours

pytestmark = pytest.mark.gpu


def assert_near(found: Answer, expected: Answer, tolerance: float) -> None:
    pairs = [*zip(found.outputs, expected.outputs, strict=True), *zip(found.inputs, expected.inputs, strict=True)]
    pairs += [(found.parameters[n], expected.parameters[n]) for n in expected.parameters]
    pairs += [(found.state[n], expected.state[n]) for n in expected.state]
    for one, right in pairs:
        assert one.dtype == right.dtype
        scale = max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0.0))) if right.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(one, right, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sample", [row for _, row in LAYERS], ids=str)
def test_on_the_device(sample: LayerSample, dtype: Any) -> None:
    module = fill(build(sample, dtype))
    moved = copy.deepcopy(module).to("cuda")
    assert all(t.is_cuda for t in moved.state_dict().values())
    cr.manual_seed(0)
    expected = ours(sample, module, dtype)
    cr.manual_seed(0)
    found = ours(sample, moved, dtype, "cuda")
    assert_near(found, expected, sample.tolerance * (1e-9 if dtype == np.float64 else 2e-4))


def test_there_and_back() -> None:
    module = cr.layers.Linear(3, 2)
    parameter, values = module.weight, module.weight.tolist()
    module(cr.ones(1, 3)).sum().backward()
    module.to("cuda")
    assert module.weight is parameter and parameter.is_cuda and parameter.grad is not None and parameter.grad.is_cuda
    module.cpu()
    assert not parameter.is_cuda and parameter.tolist() == values
    assert cr.layers.Linear(3, 2, device="cuda").weight.is_cuda
