"""Every op of the sample table on the device: values and gradients equal those on the CPU."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.properties import Case
from tests.samples import SAMPLES
from tests.samples.table import Sample
from tests.torch_answers import keys

pytestmark = pytest.mark.gpu
KEYS = keys(SAMPLES)


# what makes tensors of Python's numbers makes them on the CPU
MADE = {id(s) for s in SAMPLES if s.kwargs.get("device") == "cpu" or s.name == "to"
        or not Case(s).arrays and not any(hasattr(a, "dtype") for a in s.args)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sample", SAMPLES, ids=[KEYS[id(s)] for s in SAMPLES])
def test_on_the_device(sample: Sample, dtype: Any) -> None:
    case = Case(sample, "cuda")
    with np.errstate(all="ignore"):
        expected, slopes = Case(sample).values_and_gradients(dtype)
        values, gradients = case.values_and_gradients(dtype)
        assert id(sample) in MADE or all(t.is_cuda for t in case.all(*case.leaves(dtype, False))), "a result left the device"
    for one, right in zip(values + gradients, expected + slopes, strict=True):
        tolerance = sample.tolerance * (1e-9 if right.dtype == np.float64 else 1e-4)
        assert one.dtype == right.dtype
        tolerance = sample.tolerance * (1e-4 if one.dtype == np.float32 else 1e-9)
        np.testing.assert_allclose(one, right, rtol=tolerance, atol=tolerance)


def test_moving_records() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cuda") * 3
    assert y.is_cuda and str(y.device) == "cuda:0"
    y.sum().backward()
    assert x.grad is not None and not x.grad.is_cuda and x.grad.tolist() == [3.0, 3.0]
