"""Mixed precision: which operations compute in 16 bits, what comes back, and the scaling of the loss."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr

F = cr.functional
HALVES = pytest.mark.parametrize("dtype", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)])


def model() -> Any:
    cr.manual_seed(0)
    return cr.layers.Sequential(cr.layers.Linear(8, 16), cr.layers.GELU(), cr.layers.LayerNorm(16), cr.layers.Linear(16, 4))


@pytest.mark.gpu
@HALVES
def test_products_are_of_16_bits_and_sums_of_32(dtype: Any) -> None:
    x = cr.randn(4, 8, device="cuda")
    weight = cr.randn(8, 8, device="cuda", requires_grad=True)
    with cr.autocast("cuda", dtype=dtype):
        product = x @ weight
        assert product.dtype == dtype
        assert F.linear(x, weight).dtype == dtype and F.relu(product).dtype == dtype
        assert F.softmax(product, dim=-1).dtype == np.float32 and product.exp().dtype == np.float32
        assert F.layer_norm(product, (8,)).dtype == np.float32
        assert F.scaled_dot_product_attention(x, x, x).dtype == dtype
        assert F.conv1d(x.reshape(1, 4, 8), cr.ones(2, 4, 3, device="cuda")).dtype == dtype
        assert (x.double() @ weight.double()).dtype == np.float64, "what has 64 bits was meant to"
        with cr.autocast("cuda", enabled=False):
            assert (x @ weight).dtype == np.float32
    assert (x @ weight).dtype == np.float32
    product.sum().backward()
    assert weight.grad is not None and weight.grad.dtype == np.float32


@pytest.mark.gpu
@HALVES
def test_a_step_is_near_that_in_float32(dtype: Any) -> None:
    x, target = cr.randn(32, 8), cr.randint(0, 4, (32,))
    plain, mixed = model(), model().to("cuda")
    F.cross_entropy(plain(x), target).backward()
    with cr.autocast("cuda", dtype=dtype):
        loss = F.cross_entropy(mixed(x.to("cuda")), target.to("cuda"))
    assert loss.dtype == np.float32
    loss.backward()
    for p, q in zip(plain.parameters(), mixed.parameters(), strict=True):
        assert q.dtype == q.grad.dtype == np.float32
        scale = float(p.grad.abs().max())
        np.testing.assert_allclose(q.grad.cpu().data, p.grad.data, atol=scale * (0.01 if dtype == np.float16 else 0.06))


@pytest.mark.gpu
def test_a_parameter_is_cast_once() -> None:
    weight = cr.randn(4, 4, device="cuda", requires_grad=True)
    x = cr.randn(4, 4, device="cuda")
    with cr.autocast("cuda", dtype=np.float16):
        first, second = x @ weight, x @ weight
        assert first.node.parents[1] is second.node.parents[1]
        with cr.no_grad():
            weight.mul_(2)
        third = x @ weight
    np.testing.assert_allclose(third.cpu().detach().data, 2 * first.cpu().detach().data, rtol=1e-3)


def test_tensors_on_the_cpu_stay() -> None:
    with cr.autocast("cuda", dtype=cr.float16):
        assert (cr.ones(2, 2) @ cr.ones(2, 2)).dtype == np.float32

    @cr.autocast("cuda")
    def doubled(x: Any) -> Any:
        return x @ x

    assert doubled(cr.ones(2, 2)).dtype == np.float32


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="only GPUs"):
        cr.autocast("cpu")
    with pytest.raises(cr.DtypeError, match="float16 or bfloat16"):
        cr.autocast("cuda", dtype=cr.float64)
    with pytest.raises(ValueError, match="growth_factor"):
        cr.GradScaler(growth_factor=1.0)


def step(scaler: Any, factor: float) -> tuple[Any, Any]:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    optimizer = cr.optim.SGD([x], lr=0.5)
    scaler.scale((factor * x).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    return x, optimizer


def test_scaling_changes_nothing_but_the_range() -> None:
    scaler = cr.GradScaler(init_scale=2.0**10, growth_interval=2)
    x, _ = step(scaler, 3.0)
    assert x.tolist() == [-0.5, 0.5] and scaler.get_scale() == 2.0**10
    step(scaler, 3.0)
    assert scaler.get_scale() == 2.0**11, "two good steps: it grows"


def test_an_overflow_skips_the_step() -> None:
    scaler = cr.GradScaler(init_scale=8.0)
    x, _ = step(scaler, float("inf"))
    assert x.tolist() == [1.0, 2.0] and scaler.get_scale() == 4.0
    again = cr.GradScaler()
    again.load_state_dict(scaler.state_dict())
    assert again.state_dict() == scaler.state_dict()


def test_gradients_are_unscaled_once() -> None:
    scaler = cr.GradScaler(init_scale=4.0)
    x = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.SGD([x], lr=1.0)
    scaler.scale(3 * x).backward()
    scaler.unscale_(optimizer)
    assert x.grad is not None and x.grad.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert x.tolist() == [-2.0]


def test_switched_off() -> None:
    scaler = cr.GradScaler(enabled=False)
    x, _ = step(scaler, 1.0)
    assert x.tolist() == [0.5, 1.5] and scaler.get_scale() == 1.0
