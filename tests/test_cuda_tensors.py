"""Tensors on the device: what they show, how they move, what is refused, and the engine around them."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests import cuda_on_cpu

pytestmark = pytest.mark.gpu
F = cr.functional


@pytest.fixture
def x() -> cr.Tensor:
    return cr.tensor([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]], device="cuda", requires_grad=True)


def test_what_it_shows(x: cr.Tensor) -> None:
    assert repr(x.detach()) == ("tensor([[ 1.  , -2.  ,  3.  ],\n        [ 0.5 ,  0.25, -1.  ]], device='cuda:0')")
    assert x.is_cuda and x.device.type == "cuda" and x.device.index == 0
    assert x.sum().item() == 1.75 and x[0].tolist() == [1.0, -2.0, 3.0] and 3.0 in x and len(x) == 2
    assert "tensor" in x._repr_html_()


@pytest.mark.parametrize("convert", [lambda t: t.numpy(), np.asarray, np.array])
def test_numpy_is_not_given_what_is_not_on_the_cpu(x: cr.Tensor, convert: Any) -> None:
    with pytest.raises(TypeError, match=r"on cuda:0.*\.cpu\(\)"):
        convert(x.detach())
    np.testing.assert_array_equal(convert(x.detach().cpu()), [[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]])


@pytest.mark.parametrize("mix", [
    lambda x, y: x + y, lambda x, y: y * x, lambda x, y: y @ x.T, lambda x, y: F.layer_norm(x, (3,), y[0]),
    lambda x, y: cr.cat([x, y]), lambda x, y: x + y.numpy(), lambda x, y: F.linear(y, x)])
def test_two_devices_in_one_operation(x: cr.Tensor, mix: Any) -> None:
    with pytest.raises(cr.DeviceError, match=r"on different devices: .*on cpu.*\.to\('cuda:0'\)"):
        mix(x, cr.ones(2, 3))


def test_a_number_may_be_anywhere(x: cr.Tensor) -> None:
    scale = cr.tensor(2.0, requires_grad=True)
    (x * scale).sum().backward()
    assert scale.grad is not None and not scale.grad.is_cuda and scale.grad.item() == 1.75
    assert (x.detach() * np.float32(2)).sum().item() == 3.5


def test_indices_and_values_of_the_cpu(x: cr.Tensor) -> None:
    assert x[[1, 0]].shape == (2, 3) and x[cr.tensor([1])].is_cuda and x[:, cr.tensor([True, False, True])].shape == (2, 2)
    written = x.detach().clone()
    written[0] = cr.tensor([7.0, 8.0, 9.0])
    written[1].copy_(cr.ones(3))
    assert written.tolist() == [[7.0, 8.0, 9.0], [1.0, 1.0, 1.0]]


def test_views_share_memory(x: cr.Tensor) -> None:
    base = x.detach().clone()
    part = base.reshape(6)[2:4]
    part.mul_(10)
    assert base.tolist() == [[1.0, -2.0, 30.0], [5.0, 0.25, -1.0]]
    with pytest.raises(ValueError, match="expanded"):
        base[:1].expand(4, 3)[0] = 1.0


def test_saving_and_loading(x: cr.Tensor, tmp_path: Path) -> None:
    cr.save({"x": x.detach()}, tmp_path / "one")
    cr.save_file({"x": x.detach()}, tmp_path / "two")
    for loaded in (cr.load(tmp_path / "one"), cr.load_file(tmp_path / "two")):
        assert not loaded["x"].is_cuda and loaded["x"].tolist() == x.tolist()
    layer = cr.layers.Linear(3, 2).to("cuda")
    layer.load_state_dict(cr.layers.Linear(3, 2).state_dict())
    assert layer.weight.is_cuda
    assert copy.deepcopy(x).is_cuda and copy.deepcopy(x).requires_grad


def test_derivatives_of_every_kind(x: cr.Tensor) -> None:
    def cubed(t: cr.Tensor) -> cr.Tensor:
        return (t**3).sum()

    first, = cr.grad(cubed(x), x, create_graph=True)
    second, = cr.grad(first.sum(), x)
    np.testing.assert_allclose(second.cpu().data, 6 * x.detach().cpu().data)
    assert cr.hessian(cubed, x[0].detach()).is_cuda
    assert cr.jvp(lambda t: t**2, x.detach(), cr.ones_like(x))[1].is_cuda
    assert cr.jacobian(lambda t: t * t, x[0].detach()).cpu().tolist() == [[2.0, 0, 0], [0, -4.0, 0], [0, 0, 6.0]]
    kept = x.register_hook(lambda g: g * 2)
    cr.checkpoint(lambda t: (t * 2).exp().sum(), x).backward()
    kept.remove()
    assert x.grad is not None and x.grad.is_cuda
    np.testing.assert_allclose(x.grad.cpu().data, 4 * np.exp(2 * x.detach().cpu().data), rtol=1e-5)


def test_gradcheck_of_a_function_on_the_device() -> None:
    weight = cr.randn(3, 3, dtype=cr.float64, device="cuda", generator=cr.Generator(0))
    inputs = (cr.randn(2, 3, dtype=cr.float64, device="cuda", generator=cr.Generator(1)).requires_grad_(),)
    assert cr.gradcheck(lambda t: F.softmax(t @ weight, dim=-1), inputs)
    assert cr.gradgradcheck(lambda t: F.gelu(t @ weight), inputs)
    with pytest.raises(cr.GradcheckError):
        cr.gradcheck(lambda t: t * t.detach(), inputs)


def test_by_the_definitions_alone(x: cr.Tensor) -> None:
    with cr.backend("reference"):
        expected = cr.softmax(x.detach(), 1)
    assert expected.is_cuda
    np.testing.assert_allclose(cr.softmax(x.detach(), 1).cpu().data, expected.cpu().data, rtol=1e-6)


def test_random_draws_are_those_of_the_cpu() -> None:
    for draw in (cr.rand, cr.randn, lambda n, **o: cr.randint(0, 100, (n,), **o), cr.randperm):
        here, there = (draw(100, generator=cr.Generator(3), **o) for o in ({}, {"device": "cuda"}))
        assert there.is_cuda
        np.testing.assert_allclose(there.cpu().data, here.data, rtol=1e-5, atol=1e-6)
    y = cr.ones(4, 5)
    masks = [F.dropout(t, 0.5, generator=cr.Generator(1)).cpu().data for t in (y, y.to("cuda"))]
    np.testing.assert_array_equal(*masks)


def test_a_compiled_step_says_that_it_is_for_the_cpu(x: cr.Tensor) -> None:
    with pytest.raises(cr.CompileError, match="on a GPU"):
        cr.compile(lambda t: (t * 2).sum())(x.detach())
    with pytest.raises(cr.CompileError, match="on a GPU"):
        cr.compile(lambda t: (t.to("cuda") * 2).sum())(cr.ones(3))


def test_what_is_out_of_range_is_looked_for_on_request(x: cr.Tensor) -> None:
    indices = cr.tensor([0, 9], device="cuda")
    with cr.detect_anomaly(), pytest.raises(IndexError, match="index 9"):
        F.embedding(indices, x)


def test_devices() -> None:
    assert cr.cuda.is_available() and cr.cuda.device_count() >= 1 and cr.cuda.current_device() == 0
    assert cr.cuda.compute_capability() >= (3, 0) and cr.cuda.get_device_name()
    with cr.cuda.device("cuda:0"):
        assert cr.zeros(2, device="cuda").is_cuda
    before = cr.cuda.memory_allocated()
    kept = cr.zeros(1000, device="cuda")
    assert cr.cuda.memory_allocated() >= before and cr.cuda.memory_reserved() >= 0 and kept.is_cuda
    cr.cuda.empty_cache()
    cr.cuda.synchronize()
    with pytest.raises(RuntimeError, match="CUDA device"):
        cr.zeros(1, device=f"cuda:{cr.cuda.device_count()}")
    with pytest.raises(ValueError, match="use 'cpu' or 'cuda'"):
        cr.zeros(1, device="gpu")


def test_another_librarys_arrays() -> None:
    import cupy

    array = cupy.arange(6, dtype=np.float32).reshape(2, 3)
    shared = cr.from_dlpack(array)
    assert shared.is_cuda and cr.as_tensor(array).is_cuda and cr.tensor(array).is_cuda
    shared[0, 0] = 5.0
    assert float(array[0, 0]) == 5.0, "from_dlpack copies nothing"
    back = cupy.from_dlpack(shared)
    back[1, 2] = 7.0
    assert shared[1, 2].item() == 7.0
    assert shared.__cuda_array_interface__["shape"] == (2, 3)
    with pytest.raises(cr.AutogradError, match="recorded"):
        (cr.ones(2, device="cuda", requires_grad=True) * 2).__dlpack__()
    assert not hasattr(cr.ones(2), "__cuda_array_interface__")


def test_the_default_device() -> None:
    here = cr.zeros(2)
    try:
        cr.set_default_device("cuda")
        assert cr.get_default_device() == "cuda:0"
        layer = cr.layers.Linear(3, 2)
        assert layer.weight.is_cuda and cr.rand(2).is_cuda and cr.tensor([1.0]).is_cuda and cr.arange(3).is_cuda
        assert cr.as_tensor(np.ones(2)).is_cuda and cr.eye(2).is_cuda and cr.randperm(3).is_cuda
        assert not cr.zeros_like(here).is_cuda and not here.new_ones(1).is_cuda and not cr.from_numpy(np.ones(1)).is_cuda
        assert not cr.zeros(1, device="cpu").is_cuda
        loader = cr.data.DataLoader(cr.data.TensorDataset(cr.arange(10)), batch_size=4, shuffle=True)
        assert sorted(int(v) for batch, in loader for v in batch) == list(range(10))
    finally:
        cr.set_default_device(None)
    assert cr.get_default_device() == "cpu" and not cr.rand(2).is_cuda


@pytest.mark.parametrize("library", ["torch", "numba.cuda"])
def test_other_libraries_share_the_memory(library: str) -> None:
    if cuda_on_cpu.simulated():
        pytest.skip("other libraries need a real device")
    other = pytest.importorskip(library)
    ours = cr.arange(3.0, device="cuda")
    if library == "torch":
        theirs = other.from_dlpack(ours)
        assert cr.from_dlpack(theirs).tolist() == [0.0, 1.0, 2.0]
    else:
        theirs = other.as_cuda_array(ours)
    theirs[1] = 7.0
    cr.cuda.synchronize()
    assert ours.tolist() == [0.0, 7.0, 2.0]


def test_bfloat16_is_sorted() -> None:
    x = cr.tensor([2.0, -1.0, float("nan"), 0.5, 2.0]).to(cr.bfloat16)
    for descending in (False, True):
        here, there = x.sort(descending=descending), x.to("cuda").sort(descending=descending)
        assert there[1].cpu().tolist() == here[1].tolist() and there[0].dtype == x.dtype
    assert x[:2].to("cuda").median().cpu().tolist() == -1
