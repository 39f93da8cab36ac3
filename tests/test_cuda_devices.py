"""Several GPUs: tensors compute where they are, whatever device is the current one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import kernels

pytestmark = pytest.mark.gpu
F = cr.functional


@pytest.fixture(autouse=True)
def several() -> Iterator[None]:
    if cr.cuda.device_count() < 2:
        pytest.skip("needs two devices")
    kernels.connect()
    kernels.serve_several(True)
    yield
    kernels.serve_several(False)


def test_a_model_on_the_second_device_trains() -> None:
    x, y = cr.randn(8, 5), cr.randint(0, 3, (8,))
    losses = []
    for device in ("cpu", "cuda:1"):
        cr.manual_seed(0)
        model = cr.layers.Sequential(cr.layers.Linear(5, 16), cr.layers.GELU(), cr.layers.LayerNorm(16), cr.layers.Linear(16, 3))
        model.to(device)
        optimizer = cr.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            cr.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        assert loss.device == device and all(p.device == device and p.grad.device == device for p in model.parameters())
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and cr.cuda.current_device() == 0


def test_a_model_over_two_devices() -> None:
    first, second = cr.layers.Linear(4, 6).to("cuda:0"), cr.layers.Linear(6, 2).to("cuda:1")
    x = cr.randn(3, 4, device="cuda:0", requires_grad=True)
    hidden = F.relu(first(x))
    out = second(hidden.to("cuda:1")) + hidden.sum().to("cuda:1")
    out.square().sum().backward()
    assert first.weight.grad is not None and first.weight.grad.device == "cuda:0"
    assert second.weight.grad is not None and second.weight.grad.device == "cuda:1"
    assert x.grad is not None and x.grad.device == "cuda:0" and cr.cuda.current_device() == 0

    def alone(t: Any) -> Any:
        one, two = (np.asarray(w.detach().cpu()) for w in (first.weight, second.weight))
        h = F.relu(t @ cr.tensor(one.T) + first.bias.detach().cpu())
        return ((h @ cr.tensor(two.T) + second.bias.detach().cpu()) + h.sum()).square().sum()

    here = x.detach().cpu().requires_grad_()
    alone(here).backward()
    np.testing.assert_allclose(x.grad.cpu().data, here.grad.data, rtol=1e-4)


def test_derivatives_and_draws_on_the_second_device() -> None:
    x = cr.rand(4, device="cuda:1", requires_grad=True)
    assert x.device == "cuda:1" and cr.ones(2, device="cuda:1").device == "cuda:1"
    slope, = cr.grad((x**3).sum(), x, create_graph=True)
    assert cr.grad(slope.sum(), x)[0].device == "cuda:1"
    y = x.detach().clone()
    y[1:3] = 5.0
    y += 1
    assert y.device == "cuda:1" and y[1].item() == 6.0 and y.to("cuda:0").device == "cuda:0"
    assert repr(y).endswith("device='cuda:1')")


def test_two_devices_in_one_operation() -> None:
    with pytest.raises(cr.DeviceError, match="on cuda:0, .* on cuda:1"):
        cr.ones(2, device="cuda:0") + cr.ones(2, device="cuda:1")
    with pytest.raises(cr.DeviceError, match="different devices"):
        F.layer_norm(cr.ones(2, 3, device="cuda:1"), (3,), cr.ones(3, device="cuda:0"))


def test_a_loader_for_the_second_device() -> None:
    batch, = cr.data.DataLoader(list(range(4)), batch_size=4, device="cuda:1")
    assert batch.device == "cuda:1" and batch.tolist() == [0, 1, 2, 3]
