"""Optimizers, clipping and averaging on the device: the same steps as on the CPU, without waiting for the device."""

import contextlib
import copy
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.layers import BatchNorm1d, Linear, Sequential
from chainrule.optim import AveragedModel
from tests.cuda import cuda
from tests.cuda_on_cpu import simulated
from tests.kernels import counted, normal
from tests.optim_samples import OPTIMIZERS, OptimSample, Problem

pytestmark = pytest.mark.gpu
NAMES = sorted({sample.name for sample in OPTIMIZERS})
KERNELS = {"SGD": "sgd_step", "Adam": "adam_step", "AdamW": "adam_step", "RMSprop": "rmsprop_step"}
SHAPES = [(3, 5), (), (0, 4), (70,)]


class OnDevice(Problem):
    """The problem with its parameters and data on the device."""

    def tensor(self, value: Any) -> Any:
        return super().tensor(value).to("cuda")

    def values(self) -> Any:
        return np.concatenate([self.parameters[name].detach().cpu().numpy().ravel() for name in self.trained])


@contextlib.contextmanager
def waits(expected: int = 0) -> Any:
    """In the simulator: so many waits for the device happen inside."""
    if not simulated():
        yield
        return
    from tests.cuda_on_cpu.stand_in import SYNCHRONISATIONS

    before = SYNCHRONISATIONS[0]
    yield
    assert SYNCHRONISATIONS[0] - before == expected


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call of a device kernel did the work."""
    return counted(monkeypatch, cuda(), {*KERNELS.values(), "scale_and_clamp"})


def made(device: str, dtype: Any = np.float32, shapes: Any = SHAPES, seed: int = 0) -> list[Any]:
    """Parameters with gradients."""
    found = []
    for i, shape in enumerate(shapes):
        p = cr.tensor(normal(seed + i, *shape).astype(dtype)).to(device).requires_grad_()
        p.grad = cr.tensor(normal(seed + 50 + i, *shape).astype(dtype)).to(device)
        found.append(p)
    return found


def flat(tensors: Any) -> Any:
    return np.concatenate([t.detach().cpu().numpy().astype(np.float64).ravel() for t in tensors])


@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
def test_trajectories_are_the_cpus(sample: OptimSample, calls: list[bool]) -> None:
    found, expected = OnDevice(sample, cr), Problem(sample, cr)
    found.follow(5)
    expected.follow(5)
    assert all(found.parameters[name].is_cuda for name in found.trained)
    assert np.allclose(found.values(), expected.values(), rtol=0, atol=1e-11 * sample.tolerance)
    assert calls.count(True) == (0 if sample.name not in KERNELS else 8 + 2 * ("momentum" not in sample.options
                                                                             and sample.name == "SGD"))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "LBFGS"])
def test_a_step_does_not_wait_for_the_device(name: str) -> None:
    parameters = made("cuda", shapes=[(4, 3), (2, 6)])
    optimizer = getattr(optim, name)(parameters, lr=0.1)
    with waits():
        for _ in range(3):
            optimizer.step()
    assert not np.array_equal(flat(parameters), flat(made("cpu", shapes=[(4, 3), (2, 6)])))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {}), ("RMSprop", {}), ("Adagrad", {}),
                                               ("Rprop", {}), ("NAdam", {})])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_parameters_of_16_bits_have_a_state_of_32(name: str, options: Any, dtype: Any, device: str) -> None:
    """Their steps are those of float32 parameters, rounded."""
    parameters = made(device, dtype)
    optimizer = getattr(optim, name)(parameters, lr=0.01, **options)
    wide = [cr.tensor(p.detach().cpu().numpy().astype(np.float32), requires_grad=True) for p in parameters]
    reference = getattr(optim, name)(wide, lr=0.01, **options)
    for _ in range(4):
        for p, w in zip(parameters, wide, strict=True):
            w.data = p.detach().cpu().numpy().astype(np.float32)
            w.grad = cr.tensor(p.grad.cpu().numpy().astype(np.float32))
        optimizer.step()
        reference.step()
        assert all(p.dtype == dtype for p in parameters)
        eps = float(ml_dtypes.finfo(dtype).eps)
        np.testing.assert_allclose(flat(parameters), flat(wide), rtol=eps, atol=1e-6)
    states = [v for entry in optimizer.state_dict()["state"].values() for v in entry.values() if isinstance(v, cr.Tensor)]
    assert states and all(v.dtype == np.float32 for v in states)


def test_a_group_on_two_devices(calls: list[bool]) -> None:
    here, there = made("cpu"), made("cuda", seed=9)
    whole = [*here, *there, *made("cuda", np.float64, seed=20)]
    alone = [cr.tensor(p.detach().cpu().numpy().copy(), requires_grad=True) for p in whole]
    ours, theirs = optim.Adam(whole, lr=0.1), optim.Adam(alone, lr=0.1)
    for _ in range(3):
        for p, q in zip(whole, alone, strict=True):
            q.grad = cr.tensor(p.grad.cpu().numpy().copy())
        ours.step()
        theirs.step()
    assert calls == [True] * 4  # float32 and float64, two steps after that which makes the states
    assert np.allclose(flat(whole), flat(alone), atol=1e-6)


@pytest.mark.parametrize("sample", [s for s in OPTIMIZERS if s == next(o for o in OPTIMIZERS if o.name == s.name)], ids=str)
@pytest.mark.parametrize(("first", "second"), [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_states_go_to_the_parameters_device(sample: OptimSample, first: str, second: str, tmp_path: Any) -> None:
    kinds = {"cpu": Problem, "cuda": OnDevice}
    whole = kinds[first](sample, cr, np.float32)
    whole.follow(3)
    cr.save(whole.optimizer.state_dict(), tmp_path / "state")
    state = copy.deepcopy(whole.optimizer.state_dict()) if first == second else cr.load(tmp_path / "state")
    other = kinds[second](sample, cr, np.float32)
    for name, p in whole.parameters.items():
        other.parameters[name].data = p.detach().to(second).data.copy()
    other.t, other.optimizer = whole.t, other.make()
    other.optimizer.load_state_dict(state)
    arrays = [v for entry in other.optimizer.state_dict()["state"].values() for v in entry.values() if isinstance(v, cr.Tensor)]
    assert all(v.device.type == second for v in arrays)
    whole.follow(2)
    other.follow(2)
    assert np.allclose(whole.values(), other.values(), rtol=1e-4, atol=1e-5)


# Clipping

@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, "inf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_norms(norm_type: Any, dtype: Any, calls: list[bool]) -> None:
    parameters, others = made("cuda", dtype), made("cpu", dtype)
    for p in (*parameters, *others):
        p.grad *= 3
    held = parameters[0].grad, parameters[0].grad._version[0]
    with waits():
        norm = optim.clip_grad_norm_(parameters, 1.5, norm_type)
    assert norm.is_cuda and norm.shape == () and norm.dtype == dtype and calls == [True]
    assert parameters[0].grad is held[0] and held[0]._version[0] > held[1]
    expected = np.linalg.norm(flat([p.grad for p in others]), float(norm_type))
    eps = float(ml_dtypes.finfo(dtype).eps)
    assert np.isclose(float(norm), expected, rtol=2 * eps)
    assert np.allclose(flat([p.grad for p in parameters]), flat([p.grad for p in others]) * (1.5 / expected), rtol=1e-5 + 2 * eps)


def test_a_norm_below_the_limit_leaves_all_bits() -> None:
    parameters, others = made("cuda"), made("cpu")
    optim.clip_grad_norm_(parameters, 1e6)
    assert np.array_equal(flat([p.grad for p in parameters]), flat([p.grad for p in others]))
    with waits():
        norm = optim.get_total_norm([p.grad for p in parameters])
        optim.clip_grads_with_norm_(parameters, 1.0, norm)
    optim.clip_grads_with_norm_(others, 1.0, norm)
    assert np.allclose(flat([p.grad for p in parameters]), flat([p.grad for p in others]), rtol=1e-6)


def test_values_are_limited(calls: list[bool]) -> None:
    parameters, others = made("cuda"), made("cpu")
    parameters[0].grad = cr.tensor(others[0].grad.numpy().T.copy()).to("cuda").T  # which the kernel does not take
    with waits():
        optim.clip_grad_value_(parameters, 0.4)
    optim.clip_grad_value_(others, 0.4)
    assert calls == [False] and np.array_equal(flat([p.grad for p in parameters]), flat([p.grad for p in others]))


def test_gradients_the_kernel_does_not_take_and_several_devices() -> None:
    parameters, others = made("cuda"), made("cpu")
    parameters[0].grad = cr.tensor(others[0].grad.numpy().T.copy()).to("cuda").T
    with waits():
        norm = optim.clip_grad_norm_(parameters, 0.5)
    assert np.isclose(float(norm), float(optim.clip_grad_norm_(others, 0.5)), rtol=1e-6)
    assert np.allclose(flat([p.grad for p in parameters]), flat([p.grad for p in others]), rtol=1e-5)
    mixed, alone = [*made("cuda"), *made("cpu", seed=5)], [*made("cpu"), *made("cpu", seed=5)]
    assert np.isclose(float(optim.clip_grad_norm_(mixed, 0.5)), float(optim.clip_grad_norm_(alone, 0.5)), rtol=1e-6)
    assert np.allclose(flat([p.grad for p in mixed]), flat([p.grad for p in alone]), rtol=1e-5)


@pytest.mark.parametrize(("value", "expected"), [(np.nan, [np.nan, np.nan]), (np.inf, [np.nan, 0.0])])
def test_gradients_that_are_not_finite(value: float, expected: list[float]) -> None:
    p = made("cuda", shapes=[(2,)])[0]
    p.grad = cr.tensor([value, 1.0]).to("cuda")
    with pytest.raises(RuntimeError, match="so they cannot be clipped"):
        optim.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    with np.errstate(invalid="ignore"), waits():
        optim.clip_grad_norm_(p, 1.0)
    assert np.array_equal(flat([p.grad]), expected, equal_nan=True)


# Averages and schedules

def test_averages_and_their_statistics() -> None:
    def network() -> Any:
        cr.manual_seed(3)
        return Sequential(Linear(3, 4), BatchNorm1d(4), Linear(4, 2))

    ends = []
    for device in ("cpu", "cuda"):
        model = network().to(device)
        averaged = AveragedModel(model)
        for _ in range(3):
            with cr.no_grad():
                for p in model.parameters():
                    p += 0.5
            with waits():
                averaged.update_parameters(model)
        optim.update_bn([cr.tensor(normal(1, 6, 3).astype(np.float32))], averaged, device=device)
        state = averaged.state_dict()
        again = AveragedModel(model)
        again.load_state_dict(state)
        assert all(p.device.type == device for p in again.parameters())
        ends.append(flat(again.module.state_dict().values()))
    assert np.allclose(*ends, rtol=1e-5, atol=1e-6)


def test_plateaus_take_a_loss_on_the_device() -> None:
    optimizer = optim.SGD(made("cuda"), lr=1.0)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for loss in (1.0, 2.0):
        schedule.step(cr.tensor(loss).to("cuda"))
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_modules_are_saved_from_the_device_and_loaded_to_it(tmp_path: Any) -> None:
    model, other = Linear(3, 2).to("cuda"), Linear(3, 2).to("cuda")
    cr.save_file(model.state_dict(), tmp_path / "weights")
    other.load_state_dict(cr.load_file(tmp_path / "weights"))
    assert all(p.is_cuda for p in other.parameters()) and np.array_equal(flat(model.parameters()), flat(other.parameters()))
