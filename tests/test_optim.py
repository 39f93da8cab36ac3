"""Optimizers: torch's trajectories and states, resuming to the same bits, their errors."""

import copy
import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.layers import Linear, MSELoss, ReLU, Sequential
from chainrule.optim import LBFGS, SGD, Adam, AdamW, Muon
from tests.optim_answers import read, torch_in_float64, torchs
from tests.optim_samples import FIRST, OPTIMIZERS, SCHEDULES, Problem, digest

NAMES = sorted({sample.name for sample in OPTIMIZERS})
# What torch's constructors take that ours do not: how to compute, not what.
NOT_OURS = {"foreach", "fused", "capturable", "differentiable"}


def start(dtype=np.float64):
    return cr.tensor(np.linspace(-1, 1, 4).astype(dtype), requires_grad=True)


def arrays(value):
    """A state dict with its tensors, ours or torch's, as NumPy arrays of their own."""
    if isinstance(value, dict):
        return {key: arrays(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(arrays(v) for v in value)
    return value.detach().numpy().copy() if hasattr(value, "detach") else value


def test_every_optimizer_has_rows():
    public = {name for name in dir(optim) if inspect.isclass(getattr(optim, name))
              and issubclass(getattr(optim, name), optim.Optimizer)} - {"Optimizer"}
    assert public == set(NAMES)
    assert len({str(sample) for sample in [*OPTIMIZERS, *SCHEDULES]}) == len([*OPTIMIZERS, *SCHEDULES])


@pytest.mark.parametrize("name", NAMES)
def test_every_option_occurs_in_a_row(name):
    options = set(inspect.signature(getattr(optim, name)).parameters) - {"params"}
    used = {key for sample in OPTIMIZERS if sample.name == name for key in {**sample.options, **sample.second}}
    assert options - used <= ({"maximize"} if name == "Muon" else set())  # torch's Muon has none


@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
def test_trajectories_are_torchs(sample):
    stored, expected = read(sample)
    assert stored == digest(sample), "the row has changed: python -m tests.optim_answers"
    assert np.abs(expected[-1] - expected[0]).max() > 1e-5
    assert np.allclose(Problem(sample, cr).trajectory(), expected, rtol=0, atol=1e-13 * sample.tolerance)


@pytest.mark.peers
@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
def test_trajectories_are_torchs_live(sample):
    pytest.importorskip("torch")
    assert np.allclose(Problem(sample, cr).trajectory(), torchs(sample), rtol=0, atol=1e-13 * sample.tolerance)


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_torchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (optim, torch.optim))
    shared = {key: p for key, p in theirs.items() if key not in NOT_OURS}
    assert set(ours) - set(shared) == ({"maximize"} if name == "Muon" else set())
    assert set(shared) - set(ours) == set()
    for key, p in shared.items():
        assert ours[key].default == p.default or (ours[key].default is False and not p.default), key
    positional = [[key for key, p in found.items() if p.kind is p.POSITIONAL_OR_KEYWORD] for found in (ours, theirs)]
    assert positional[0] == positional[1][: len(positional[0])]  # what follows in torch's comes after one of NOT_OURS


@pytest.mark.peers
@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
def test_states_are_exchanged_with_torch(sample):
    pytest.importorskip("torch")
    with torch_in_float64() as torch:
        ours, theirs = Problem(sample, cr), Problem(sample, torch)
        theirs.follow(6)
        saved = copy.deepcopy(theirs.optimizer.state_dict())

        # from torch to us
        for name, p in theirs.parameters.items():
            ours.parameters[name].data[...] = p.detach().numpy()
        ours.t, ours.optimizer = theirs.t, ours.make(lr=9.0)
        ours.optimizer.load_state_dict(arrays(saved))
        ours.follow(3)
        theirs.follow(3)
        assert np.allclose(ours.values(), theirs.values(), rtol=0, atol=1e-13 * sample.tolerance)

        # and back
        back = copy.deepcopy(ours.optimizer.state_dict())
        to_torch = lambda value: ({k: to_torch(v) for k, v in value.items()} if isinstance(value, dict) else
                                  [to_torch(v) for v in value] if isinstance(value, list) else
                                  torch.tensor(value.numpy()) if isinstance(value, cr.Tensor) else value)
        theirs.optimizer = theirs.make(lr=9.0)
        theirs.optimizer.load_state_dict(to_torch(back))
        ours.follow(3)
        theirs.follow(3)
        assert np.allclose(ours.values(), theirs.values(), rtol=0, atol=1e-12 * sample.tolerance)


@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("way", ["file", "text keys"])
def test_resumes_to_the_same_bits(sample, way, tmp_path):
    whole = Problem(sample, cr, np.float32)
    whole.follow(7)
    state = whole.optimizer.state_dict()
    if way == "file":
        cr.save(state, tmp_path / "state")
        state = cr.load(tmp_path / "state")
    else:  # as JSON has them
        state = arrays(state)
        state["state"] = {str(index): entry for index, entry in state["state"].items()}
        for group in state["param_groups"]:
            group.update({k: list(v) for k, v in group.items() if isinstance(v, tuple)})
    resumed = Problem(sample, cr, np.float32)
    for name, p in whole.parameters.items():
        resumed.parameters[name].data[...] = p.data
    resumed.optimizer, resumed.t = resumed.make(lr=9.0), whole.t
    resumed.optimizer.load_state_dict(state)
    whole.follow(5)
    resumed.follow(5)
    assert whole.values().tobytes() == resumed.values().tobytes()


@pytest.mark.parametrize("sample", OPTIMIZERS, ids=str)
def test_float32_stays_float32(sample):
    problem, expected = Problem(sample, cr, np.float32), Problem(sample, cr)
    problem.follow(3)
    expected.follow(3)
    assert {problem.parameters[name].dtype for name in problem.trained} == {np.dtype(np.float32)}
    kept = [v for entry in problem.optimizer.state.values() for value in entry.values()
            for v in (value if isinstance(value, list) else [value]) if isinstance(v, np.ndarray)]
    assert {array.dtype for array in kept} <= {np.dtype(np.float32)}
    numbers = [v for entry in problem.optimizer.state.values() for v in entry.values() if not isinstance(v, np.ndarray | list)]
    assert {type(v) for v in numbers} <= {int, float}
    assert np.allclose(problem.values(), expected.values(), rtol=0, atol=2e-5 if sample.name != "LBFGS" else 2e-2)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "LBFGS"])
def test_to_maximize_is_to_minimize_the_negative(name):
    ends = []
    for sign in (1, -1):
        p = cr.tensor(FIRST["weight1"], requires_grad=True)
        optimizer = getattr(optim, name)([p], lr=0.05, maximize=sign < 0)
        for _ in range(5):
            optimizer.zero_grad()
            (sign * (p - 1).tanh()).sum().backward()
            optimizer.step()
        ends.append(p.data)
    assert np.array_equal(*ends) and not np.allclose(ends[0], FIRST["weight1"], atol=1e-4)


def test_groups_have_their_own_options():
    a, b = start(), start()
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": b}], lr=0.5)
    a.grad, b.grad = cr.tensor(np.ones(4)), cr.tensor(np.ones(4))
    optimizer.step()
    assert np.allclose(start().data - a.data, 1.0) and np.allclose(start().data - b.data, 0.5)
    optimizer.param_groups[0]["lr"] = 0.0
    before = a.data.copy()
    optimizer.step()
    assert np.array_equal(a.data, before) and np.allclose(start().data - b.data, 1.0)
    optimizer.add_param_group({"params": [c := start()], "momentum": 0.9})
    c.grad = cr.tensor(np.ones(4))
    optimizer.step()
    assert np.allclose(start().data - c.data, 0.5) and list(optimizer.state[c]) == ["momentum_buffer"]
    state = optimizer.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1], [2]] and list(state["state"]) == [0, 1, 2]
    assert repr(SGD([a], 0.5)) == ("SGD(1 tensors of 4 numbers, lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0, "
                                   "nesterov=False, maximize=False)")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("LBFGS", "Muon")])
def test_steps_skip_what_has_no_gradient_and_shapes_of_all_kinds_work(name):
    frozen, scalar, empty = start(), cr.tensor(2.0, requires_grad=True), cr.tensor(np.zeros((0, 3)), requires_grad=True)
    strided = cr.tensor(np.zeros((3, 4)))
    strided.data = np.asfortranarray(np.ones((3, 4)))
    strided.requires_grad_()
    optimizer = getattr(optim, name)([frozen, scalar, empty, strided], lr=0.25)
    for _ in range(2):
        scalar.grad, empty.grad = cr.tensor(1.0), cr.tensor(np.zeros((0, 3)))
        strided.grad = cr.tensor(np.ones((3, 4)))
        before = scalar.item(), strided.data.copy()
        optimizer.step()
        assert frozen not in optimizer.state and np.array_equal(frozen.data, start().data)
        assert scalar.item() < before[0] and (strided.data < before[1]).all()


@pytest.mark.parametrize("sample", [s for s in OPTIMIZERS if s.name in ("LBFGS", "Muon")], ids=str)
def test_a_parameter_without_gradient_stays(sample):
    problem = Problem(sample, cr)
    frozen = cr.tensor(np.ones((2, 3)), requires_grad=True)
    problem.optimizer = getattr(optim, sample.name)([*(problem.parameters[name] for name in problem.trained), frozen],
                                                    **sample.options)
    problem.follow(3)
    assert (frozen.data == 1).all() and not np.array_equal(problem.parameters["weight1"].data, FIRST["weight1"])


def test_zero_grad():
    p = start()
    optimizer = SGD([p])
    (p * p).sum().backward()
    held = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0, 0] and np.shares_memory(p.grad.data, held.data)
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("kind", [SGD, LBFGS])
def test_a_stale_graph_is_refused_after_a_step(kind):
    p = start()
    optimizer = kind([p], 0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p**4).sum()
        loss.backward(retain_graph=True)
        return loss

    loss = closure()
    optimizer.step(closure)
    with pytest.raises(cr.AutogradError, match="changed in place"):
        loss.backward()


def test_closure_is_recorded_and_returned():
    p = start()
    optimizer = SGD([p], 0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with cr.no_grad():
        first, second = optimizer.step(closure), optimizer.step(closure)
    assert second.item() < first.item()
    assert optimizer.step() is None


def test_intermediate_arrays_are_reused():
    a, b = cr.tensor(np.zeros((5, 4)), requires_grad=True), cr.tensor(np.zeros(3), requires_grad=True)
    optimizer = Adam([a, b])
    a.grad, b.grad = cr.tensor(np.ones((5, 4))), cr.tensor(np.ones(3))
    optimizer.step()
    kept = [id(optimizer._buffers[a.dtype, None]), *(id(optimizer.state[a][name]) for name in ("exp_avg", "exp_avg_sq"))]
    optimizer.step()
    assert kept == [id(optimizer._buffers[a.dtype, None]),
                    *(id(optimizer.state[a][name]) for name in ("exp_avg", "exp_avg_sq"))]


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
    kind, p = getattr(optim, name), cr.tensor(np.ones((2, 2)), requires_grad=True)
    other = cr.tensor(np.ones((2, 2)), requires_grad=True)
    with pytest.raises(ValueError, match="list of parameters is empty; a generator"):
        kind([])
    with pytest.raises(TypeError, match="got a single Tensor"):
        kind(p)
    with pytest.raises(TypeError, match="parameter 1 is a ndarray"):
        kind([p, np.zeros(2)])
    with pytest.raises(TypeError, match=r"parameter 0 is a tuple, .*not named_parameters"):
        kind(Linear(2, 2).named_parameters())
    with pytest.raises(cr.AutogradError, match="was computed by multiply; only leaves"):
        kind([p * 2])
    with pytest.raises(ValueError, match=r"parameter 0, of shape \(2, 2\), occurs twice"):
        kind([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match="occurs twice"):
        kind([p, p])
    with pytest.raises(ValueError, match="lr=-0.1 must not be negative; to climb"):
        kind([p], lr=-0.1)
    with pytest.raises(TypeError, match=r"lr is a tensor, it must be a number"):
        kind([p], lr=cr.tensor(0.1))
    with pytest.raises(ValueError, match="has the option rate; the options are lr"):
        kind([{"params": [p], "rate": 1}])
    with pytest.raises(ValueError, match="a group has no parameters"):
        kind([{"params": []}])
    for option in NOT_OURS:
        with pytest.raises(TypeError, match=option):
            kind([p], **{option: True})
    optimizer = kind([p])
    with pytest.raises(ValueError, match=r"groups have \[2\] parameters, this optimizer's \[1\]"):
        optimizer.load_state_dict(kind([p, other]).state_dict())
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="has the option swing; the options are lr"):
        optimizer.load_state_dict({**state, "param_groups": [{**state["param_groups"][0], "swing": 1}]})
    with pytest.raises(cr.ShapeError, match=r"buffer has shape \(3,\)"):
        optimizer.load_state_dict({**state, "state": {0: {"buffer": np.zeros(3)}}})


WRONG = [
    ("SGD", {"nesterov": True}, "nesterov=True needs momentum"), ("SGD", {"weight_decay": -1}, "weight_decay=-1"),
    ("Adam", {"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\)"), ("Adam", {"eps": -1}, "eps=-1"),
    ("RMSprop", {"alpha": 1.5}, "alpha=1.5 must not be above 1"), ("RMSprop", {"momentum": -1}, "momentum=-1"),
    ("Adagrad", {"lr_decay": -1}, "lr_decay=-1"), ("Adadelta", {"rho": 1.5}, "rho=1.5"), ("Adamax", {"betas": (0.9,)}, "betas"),
    ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value"), ("ASGD", {"lambd": -1}, "lambd=-1"),
    ("NAdam", {"momentum_decay": -1}, "momentum_decay=-1"), ("RAdam", {"betas": (-0.1, 0.9)}, "betas"),
    ("Rprop", {"etas": (1.0, 1.2)}, "etas="), ("Rprop", {"step_sizes": (1.0, 0.5)}, "step_sizes="),
    ("LBFGS", {"line_search_fn": "armijo"}, "must be None or 'strong_wolfe'"), ("LBFGS", {"history_size": 0}, "history_size=0"),
    ("LBFGS", {"max_iter": -1}, "max_iter=-1"), ("Muon", {"ns_steps": 100}, "ns_steps=100"), ("Muon", {"momentum": 1.5}, "1.5"),
    ("Muon", {"ns_coefficients": (1, 2)}, "three numbers"), ("Muon", {"adjust_lr_fn": "none"}, "must be None or one of original"),
]


@pytest.mark.parametrize(("name", "options", "text"), WRONG)
def test_options_out_of_range(name, options, text):
    with pytest.raises(ValueError, match=f"^{name}: .*{text}"):
        getattr(optim, name)([cr.tensor(np.ones((2, 2)), requires_grad=True)], **options)


def test_errors_of_one():
    matrix, vector = cr.tensor(np.ones((2, 2)), requires_grad=True), start()
    with pytest.raises(ValueError, match=r"Muon: parameter 1 has shape \(4,\), it must be a matrix; give biases"):
        Muon([matrix, vector])
    with pytest.raises(ValueError, match="LBFGS: all parameters form one group"):
        LBFGS([{"params": [matrix]}, {"params": [vector]}])
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'closure'"):
        LBFGS([matrix]).step()
    with pytest.raises(cr.ShapeError, match=r"d has shape \(3,\), all parameters together \(4,\)"):
        LBFGS([matrix]).load_state_dict({**LBFGS([matrix]).state_dict(), "state": {0: {"d": np.zeros(3)}}})
    with pytest.raises(ValueError, match="is this the state of an Adam"):
        AdamW([matrix]).load_state_dict(Adam([matrix]).state_dict())


def test_amsgrad_may_be_switched_on_later():
    p = start()
    optimizer = Adam([p])
    p.grad = cr.tensor(np.ones(4))
    optimizer.step()
    optimizer.param_groups[0]["amsgrad"] = True
    optimizer.step()
    assert set(optimizer.state[p]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}


def test_muon_orthogonalizes():
    """With enough steps of a polynomial that converges, the singular values of a step are all lr."""
    p = cr.tensor(np.zeros((5, 3)), requires_grad=True)
    optimizer = Muon([p], lr=0.5, weight_decay=0.0, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=60)
    p.grad = cr.tensor(FIRST["weight1"])
    optimizer.step()
    left, _, right = np.linalg.svd(FIRST["weight1"], full_matrices=False)
    assert np.allclose(p.data, -0.5 * np.sqrt(5 / 3) * left @ right)


def test_lbfgs_solves_a_quadratic_and_then_stays():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 6))
    matrix, target = a @ a.T + np.eye(6), rng.normal(size=6)
    x = cr.tensor(np.zeros(6), requires_grad=True)
    optimizer, calls = LBFGS([x], line_search_fn="strong_wolfe", max_iter=50, tolerance_change=1e-15), []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = 0.5 * (x * (cr.tensor(matrix) @ x)).sum() - (x * cr.tensor(target)).sum()
        loss.backward()
        return loss

    with cr.no_grad():
        optimizer.step(closure)
    assert np.allclose(x.data, np.linalg.solve(matrix, target), atol=1e-6)
    before = len(calls), x.data.copy()
    optimizer.step(closure)
    assert len(calls) - before[0] <= 3 and np.allclose(x.data, before[1], atol=1e-6)


@pytest.mark.parametrize("make", [lambda ps: SGD(ps, 0.1, momentum=0.9), lambda ps: Adam(ps, 0.02)])
def test_a_network_learns(make):
    cr.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)).astype(np.float32)
    y = np.sin(x[:, :1]) * x[:, 1:]
    net = Sequential(Linear(2, 32), ReLU(), Linear(32, 1))
    optimizer = make(net.parameters())
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = MSELoss()(net(cr.tensor(x)), cr.tensor(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
