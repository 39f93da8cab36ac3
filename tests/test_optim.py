"""Optimizers: torch's trajectories, resuming to the same bits, their errors."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import Linear, MSELoss, ReLU, Sequential
from chainrule.optim import SGD, Adam

KINDS = {"SGD": SGD, "Adam": Adam}

# name -> (class, options, what torch.optim made of linspace(-1, 1, 4) in six steps of `follow`, in float64)
TRAJECTORIES = {
    "sgd": ("SGD", {"lr": 0.1}, [-0.48495103034768344, -0.1781789559779517, 0.12954189395880003, 0.48103065884763635]),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9},
                 [0.31967735923664214, 0.3316447057700133, 0.11734084320688139, -0.2834870533861591]),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
                 [0.44648806316484785, 0.23059954385645134, -0.11758436895784281, -0.4373785188718378]),
    "dampened": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True, "weight_decay": 0.1},
                 [-2.084146779800944, -0.9532159700952284, 0.2697030503364709, 2.0290524862870587]),
    "adam": ("Adam", {"lr": 0.05}, [-0.7925765207843923, -0.22095811760607317, 0.41325127542602025, 0.744332551891862]),
    "adam_decay": ("Adam", {"lr": 0.05, "weight_decay": 0.1},
                   [-0.7322913469128568, -0.21538934014153605, 0.40247872593600886, 0.7313560002706466]),
    "amsgrad": ("Adam", {"lr": 0.05, "amsgrad": True, "maximize": True, "betas": (0.8, 0.9), "eps": 0.001},
                [-1.2138492612299128, -0.44856358102106497, 0.23425587227809702, 1.25999884682023]),
}


def follow(p, optimizer, steps, tensor, first=0):
    """Steps along a gradient that depends on the parameter and on the step."""
    for t in range(first, first + steps):
        values = p.detach().numpy()
        p.grad = tensor((values + np.cos(t + np.arange(4.0))).astype(values.dtype))
        optimizer.step()


def start(dtype=np.float64):
    return cr.tensor(np.linspace(-1, 1, 4).astype(dtype), requires_grad=True)


@pytest.mark.parametrize("case", TRAJECTORIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_trajectories_are_torchs(case, dtype):
    kind, options, expected = TRAJECTORIES[case]
    p = start(dtype)
    follow(p, KINDS[kind]([p], **options), 6, cr.tensor)
    assert p.dtype == dtype
    assert np.allclose(p.data, expected, rtol=0, atol=1e-14 if dtype is np.float64 else 1e-6)


@pytest.mark.peers
@pytest.mark.parametrize("case", TRAJECTORIES)
def test_trajectories_are_torchs_live(case):
    torch = pytest.importorskip("torch")
    kind, options, expected = TRAJECTORIES[case]
    ours, theirs = start(), torch.tensor(start().numpy().copy(), requires_grad=True)
    follow(ours, KINDS[kind]([ours], **options), 30, cr.tensor)
    follow(theirs, getattr(torch.optim, kind)([theirs], **options), 30, torch.tensor)
    assert np.allclose(ours.data, theirs.detach().numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("case", TRAJECTORIES)
@pytest.mark.parametrize("keys", [int, str])
def test_resumes_to_the_same_bits(case, keys):
    kind, options, _ = TRAJECTORIES[case]
    p = start(np.float32)
    whole = KINDS[kind]([p], **options)
    follow(p, whole, 3, cr.tensor)
    saved = whole.state_dict()
    saved["state"] = {keys(index): {name: v if np.isscalar(v) else v.numpy().copy() for name, v in entry.items()}
                      for index, entry in saved["state"].items()}
    for group in saved["param_groups"]:
        group.update({k: list(v) for k, v in group.items() if isinstance(v, tuple)})
    q = cr.tensor(p.data.copy(), requires_grad=True)
    resumed = KINDS[kind]([q], lr=9.0)
    resumed.load_state_dict(saved)
    follow(p, whole, 3, cr.tensor, first=3)
    follow(q, resumed, 3, cr.tensor, first=3)
    assert p.data.tobytes() == q.data.tobytes()


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


def test_steps_skip_what_has_no_gradient_and_shapes_of_all_kinds_work():
    frozen, scalar, empty = start(), cr.tensor(2.0, requires_grad=True), cr.tensor(np.zeros((0, 3)), requires_grad=True)
    strided = cr.tensor(np.zeros((3, 4)))
    strided.data = np.asfortranarray(np.ones((3, 4)))
    strided.requires_grad_()
    for kind in (lambda ps: SGD(ps, 0.25, momentum=0.5, weight_decay=0.5), lambda ps: Adam(ps, 0.25, weight_decay=0.5)):
        optimizer = kind([frozen, scalar, empty, strided])
        scalar.grad, empty.grad = cr.tensor(1.0), cr.tensor(np.zeros((0, 3)))
        strided.grad = cr.tensor(np.ones((3, 4)))
        before = scalar.item(), strided.data.copy()
        optimizer.step()
        assert frozen not in optimizer.state and np.array_equal(frozen.data, start().data)
        assert scalar.item() < before[0] and (strided.data < before[1]).all()


def test_zero_grad():
    p = start()
    optimizer = SGD([p])
    (p * p).sum().backward()
    held = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0, 0] and np.shares_memory(p.grad.data, held.data)
    optimizer.zero_grad()
    assert p.grad is None


def test_a_stale_graph_is_refused_after_a_step():
    p = start()
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    SGD([p], 0.1).step()
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
    kept = [id(optimizer._buffers[a.dtype]), *(id(optimizer.state[a][name]) for name in ("exp_avg", "exp_avg_sq"))]
    optimizer.step()
    assert kept == [id(optimizer._buffers[a.dtype]),
                    *(id(optimizer.state[a][name]) for name in ("exp_avg", "exp_avg_sq"))]


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_errors(kind):
    p = start()
    with pytest.raises(ValueError, match="list of parameters is empty; a generator"):
        kind([])
    with pytest.raises(TypeError, match="got a single Tensor"):
        kind(p)
    with pytest.raises(TypeError, match="parameter 1 is a ndarray"):
        kind([p, np.zeros(2)])
    with pytest.raises(cr.AutogradError, match="was computed by multiply; only leaves"):
        kind([p * 2])
    with pytest.raises(ValueError, match=r"parameter 0, of shape \(4,\), occurs twice"):
        kind([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match="occurs twice"):
        kind([p, p])
    with pytest.raises(ValueError, match="lr=-0.1 must not be negative; to climb"):
        kind([p], lr=-0.1)
    with pytest.raises(ValueError, match="weight_decay=-1"):
        kind([p], weight_decay=-1)
    with pytest.raises(ValueError, match="has the option rate; the options are lr"):
        kind([{"params": [p], "rate": 1}])
    with pytest.raises(ValueError, match="a group has no parameters"):
        kind([{"params": []}])
    optimizer = kind([p])
    with pytest.raises(ValueError, match=r"groups have \[2\] parameters, this optimizer's \[1\]"):
        optimizer.load_state_dict(kind([start(), start()]).state_dict())
    with pytest.raises(cr.ShapeError, match=r"momentum_buffer has shape \(3,\), its parameter \(4,\)"):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: {"momentum_buffer": np.zeros(3)}}})


def test_errors_of_one():
    with pytest.raises(ValueError, match="nesterov=True needs momentum"):
        SGD([start()], nesterov=True)
    with pytest.raises(ValueError, match=r"betas=\(0.9, 1.0\)"):
        Adam([start()], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="eps=-1"):
        Adam([start()], eps=-1)


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
