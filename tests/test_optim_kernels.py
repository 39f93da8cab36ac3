"""The optimizers' and the clipping's kernels: their rules in plain NumPy, any number of threads, arrays they cannot take."""

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.kernels import cpu
from tests.kernels import counted
from tests.test_kernels_jit import run

addresses = import_module("chainrule.kernels.cpu.addresses")
optimizers = import_module("chainrule.kernels.cpu.optimizers")

# Several pieces, whose ends fall inside arrays of odd sizes; arrays of one element and of none.
SHAPES = ((3, 5), (), (0, 4), (3 * optimizers.PIECE + 77,), (1,), (123, 457))
SMALL = ((7, 5), (), (0, 3), (33,))
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}), ("SGD", {"maximize": True, "weight_decay": 0.1}), ("SGD", {"momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}), ("Adam", {"weight_decay": 0.1, "maximize": True, "betas": (0.5, 0.7), "eps": 1e-3}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}), ("AdamW", {"weight_decay": 0.3}), ("AdamW", {"amsgrad": True}),
    ("RMSprop", {}), ("RMSprop", {"centered": True, "weight_decay": 0.1}), ("RMSprop", {"momentum": 0.7, "maximize": True}),
    ("RMSprop", {"momentum": 0.7, "centered": True, "alpha": 0.6, "eps": 1e-3}),
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call of an optimizer's kernel did the work."""
    return counted(monkeypatch, cpu, ("sgd_step", "adam_step", "rmsprop_step"))


def trained(name: str, options: dict[str, Any], dtype: Any, shapes: Any, backend: str = "cpu", steps: int = 5) -> list[Any]:
    """All parameters and states after some steps, in which the rate changes, and one parameter has no gradient at first."""
    rng = np.random.default_rng(0)
    parameters = [cr.tensor(np.asarray(rng.normal(size=shape), dtype), requires_grad=True) for shape in shapes]
    optimizer = getattr(optim, name)([{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.02}], lr=0.01, **options)
    with cr.backend(backend):
        for step in range(steps):
            for i, p in enumerate(parameters):
                gradient = cr.tensor(np.asarray(rng.normal(size=p.shape), dtype))
                p.grad = gradient if i or step > 1 else None
            optimizer.param_groups[0]["lr"] *= 0.9
            optimizer.step()
    states = [v for p in parameters for _, v in sorted(optimizer.state[p].items()) if isinstance(v, np.ndarray)]
    return [p.data for p in parameters] + states


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "options"), ROWS)
def test_kernels_follow_the_rules(name: str, options: dict[str, Any], dtype: Any, calls: list[bool]) -> None:
    found = trained(name, options, dtype, SHAPES)
    assert calls[-1] and sum(calls) >= 6
    expected = trained(name, options, dtype, SHAPES, "reference")
    assert len(found) == len(expected)
    rounding = np.finfo(dtype).eps * (1000 if options.get("centered") else 40)  # the variance is a small difference
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype and np.allclose(a, b, rtol=0, atol=rounding)


@pytest.mark.parametrize(("name", "options"), ROWS)
def test_threads_do_not_change_the_bits(name: str, options: dict[str, Any]) -> None:
    threads, ends = cr.get_num_threads(), []
    for n in (1, 2):
        cr.set_num_threads(n)
        ends.append(trained(name, options, np.float32, SHAPES, steps=4))
    cr.set_num_threads(threads)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize(("name", "options"), [row for row in ROWS if row[0] != "AdamW"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e-42])
def test_numbers_that_are_not_finite_or_tiny(name: str, options: dict[str, Any], value: float, calls: list[bool]) -> None:
    ends = []
    for backend in ("cpu", "reference"):
        p = cr.tensor(np.linspace(-2, 2, 67, dtype=np.float32), requires_grad=True)
        optimizer = getattr(optim, name)([p], lr=0.5, **options)
        with cr.backend(backend), np.errstate(all="ignore"):
            for step in range(3):
                gradient = np.linspace(1, 2, 67, dtype=np.float32)
                gradient[5:9] = value if step else 0.0
                p.grad = cr.tensor(gradient)
                optimizer.step()
        ends.append(p.data)
    assert calls and all(calls[1:])
    assert np.allclose(*ends, rtol=1e-5, atol=1e-6, equal_nan=True)


def parameter(array: Any) -> Any:
    p = cr.tensor(np.zeros(1), requires_grad=True)
    p.data = array
    p.grad = cr.tensor(np.ones(array.shape, array.dtype))
    return p


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


ODD = {
    "half precision": lambda: [parameter(np.ones((4, 3), np.float16))],
    "two dtypes": lambda: [parameter(np.ones(4)), parameter(np.ones(4, np.float32))],
    "Fortran's order": lambda: [parameter(np.asfortranarray(np.ones((4, 3))))],
    "a part of an array": lambda: [parameter(np.ones((4, 6))[:, ::2])],
    "the other byte order": lambda: [parameter(np.ones(4).astype(">f8"))],
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(("name", "options"), [("SGD", {}), ("Adam", {}), ("RMSprop", {"momentum": 0.5})])
def test_what_a_kernel_cannot_take_follows_the_rule(kind: str, name: str, options: Any, calls: list[bool]) -> None:
    ends = []
    for backend in ("cpu", "reference"):
        made = ODD[kind]()
        optimizer = getattr(optim, name)(made, lr=0.1, **options)
        with cr.backend(backend):
            for _ in range(3):
                optimizer.step()
        ends.append([p.data for p in made])
    assert calls and not any(calls)
    assert all(np.array_equal(a, b) and (a < 1).all() for a, b in zip(*ends, strict=True))


def test_table_takes_only_what_it_can() -> None:
    """Whatever lies behind the object's address is looked at before any of it is used."""
    one = np.ones((2, 3))

    def usable(*arrays: Any) -> bool:
        return bool(addresses.table(list(arrays), len(arrays))[1] >= 0)

    class Own(np.ndarray):
        pass

    class Elsewhere:
        dtype = one.dtype

    assert addresses.KNOWN and usable(one, one.copy()) and usable(np.array(1.0)) and usable(np.ones((0, 2)))
    assert not usable(one, one.astype(np.float32)) and not usable(one.astype(int)) and not usable(one, np.ones((3, 2)))
    assert not usable(one, np.ones(6)) and not usable(one, one.T.copy().T) and not usable(one, read_only(one.copy()))
    assert not usable(Elsewhere()) and not usable(one, Elsewhere())  # as an array on a GPU
    assert not usable(one.view(Own)) and not usable(np.frombuffer(b"\0" * 17, np.float64, 2, 1).copy().view(">f8"))
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float64)
    assert not unaligned.flags.aligned and not usable(unaligned)
    rows, total = addresses.table([one, np.ones(3)], 1)
    assert total == 9 and rows[:, 0].tolist() == [0, 6, 9] and rows[0, 1] == one.ctypes.data


@pytest.mark.parametrize("pieces", [1, 2, 3, 16])
def test_tasks_share_the_elements_of_each_array(pieces: int) -> None:
    """None is left out, and none is done twice: also where a task begins a few elements after an array's end."""
    sizes = [0, 1, 15, 20, 0, 300, 16, 17, 33, 1, 1, 1, 64, 5, 129, 31]
    rows = np.cumsum([[0], *([n] for n in sizes)], axis=0)
    for row, size in enumerate(sizes):
        done = [addresses.span(rows, row, task, pieces) for task in range(pieces)]
        assert all(low <= high for low, high in done)
        assert [i for low, high in done for i in range(low, high)] == list(range(size))


def test_a_kernel_from_the_cache_of_another_process_takes_arrays(tmp_path: Any) -> None:
    """What is compiled must not hold addresses of the process that compiled it."""
    program = ("import numpy as np; from importlib import import_module; "
               "print(import_module('chainrule.kernels.cpu.addresses').table([np.ones(3)], 1)[1])")
    assert {run(program, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)} == {"3"}


def test_state_arrays_and_gradients_may_be_replaced() -> None:
    """Nothing is remembered of a step but the state."""
    p = cr.tensor(np.ones(5), requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = cr.tensor(np.ones(5))
    for _ in range(2):
        optimizer.step()
    optimizer.state[p]["exp_avg"] = np.zeros(5)
    p.data, p.grad = np.zeros(5), cr.tensor(np.zeros(5))
    optimizer.step()
    assert (p.data == 0).all() and optimizer.state[p]["step"] == 3


# Clipping

def gradients(dtype: Any, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng(1)
    made = [cr.tensor(np.zeros(shape, dtype), requires_grad=True) for shape in shapes]
    for p in made:
        p.grad = cr.tensor(np.asarray(rng.normal(size=p.shape), dtype))
    return made


@pytest.mark.parametrize("shapes", [SHAPES, SMALL])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clipping_in_one_pass(dtype: Any, shapes: Any) -> None:
    threads, ends = cr.get_num_threads(), []
    for n in (1, 2):
        cr.set_num_threads(n)
        made = gradients(dtype, shapes)
        whole = np.concatenate([p.grad.data.ravel() for p in made]).astype(np.float64)
        held, before = made[0].grad, made[0].grad._version[0]
        norm = optim.clip_grad_norm_(made, 1.5).item()
        assert math.isclose(norm, np.linalg.norm(whole), rel_tol=1e-14 if dtype == np.float64 else 1e-7)
        assert made[0].grad is held and held._version[0] > before
        expected = whole * (1.5 / (norm + 1e-6))
        limit = 1e-3 if shapes is SHAPES else 0.1
        optim.clip_grad_value_(made, limit)
        found = np.concatenate([p.grad.data.ravel() for p in made])
        assert found.dtype == dtype
        assert np.allclose(found, expected.clip(-limit, limit), rtol=2 * np.finfo(dtype).eps)
        assert (np.abs(expected) > limit).any() and (np.abs(expected) < limit).any()
        ends.append(found)
    cr.set_num_threads(threads)
    assert ends[0].tobytes() == ends[1].tobytes()


def test_a_gradient_listed_twice_is_scaled_twice() -> None:
    made = gradients(np.float32, [(4 * optimizers.PIECE,)])
    before = made[0].grad.data.copy()
    optim.clip_grads_with_norm_([made[0], made[0]], 1.0, total_norm=2.0)
    assert np.allclose(made[0].grad.data, before / 4, rtol=1e-5)


def test_clipping_keeps_nan_and_brings_infinity_back() -> None:
    made = gradients(np.float32, [(50,)])
    made[0].grad.data[:3] = np.nan, np.inf, -np.inf
    optim.clip_grad_value_(made, 0.5)
    assert np.isnan(made[0].grad.data[0]) and made[0].grad.tolist()[1:3] == [0.5, -0.5]


def test_clipping_of_mixed_and_strided_gradients() -> None:
    made = [*gradients(np.float32, SMALL), *gradients(np.float64, SMALL)]
    made[0].grad = cr.tensor(np.asfortranarray(made[0].grad.data))
    expected = [p.grad.data.copy() for p in made]
    whole = np.concatenate([g.ravel() for g in expected])
    assert math.isclose(optim.clip_grad_norm_(made, 1e9).item(), np.linalg.norm(whole), rel_tol=1e-6)
    optim.clip_grad_value_(made, 0.25)
    assert all(np.array_equal(p.grad.data, g.clip(-0.25, 0.25)) for p, g in zip(made, expected, strict=True))
