"""Averages of models: plain and exponential, buffers, batch norm's statistics, states, torch's values."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers, optim
from chainrule.optim import AveragedModel, swa_utils, update_bn
from chainrule.optim.averaging import get_ema_avg_fn, get_ema_multi_avg_fn, get_swa_avg_fn, get_swa_multi_avg_fn

RANDOM = np.random.default_rng(0)
BATCHES = [RANDOM.normal(size=(6, 3)).astype(np.float32) + k for k in range(4)]


def network():
    cr.manual_seed(0)
    return layers.Sequential(layers.Linear(3, 4), layers.BatchNorm1d(4), layers.Dropout(0.5), layers.Linear(4, 2))


def disturb(model, k):
    """Other values for all parameters and for the running mean."""
    for i, p in enumerate(model.parameters()):
        p.data[...] = np.cos(np.arange(p.numel()) + i + k).reshape(p.shape)
    model[1].running_mean.data[...] = k
    model[1].num_batches_tracked.data[...] = 10 * k


def snapshot(model):
    return np.concatenate([p.data.ravel() for p in model.parameters()]).astype(np.float64)


def follow(averaged, steps=3):
    model, seen = network(), []
    for k in range(1, steps + 1):
        disturb(model, k)
        seen.append(snapshot(model))
        averaged.update_parameters(model)
    return seen


@pytest.mark.parametrize("options", [{}, {"avg_fn": get_swa_avg_fn()}, {"multi_avg_fn": get_swa_multi_avg_fn()}])
def test_plain_averages(options):
    averaged = AveragedModel(network(), **options)
    seen = follow(averaged)
    assert np.allclose(snapshot(averaged), np.mean(seen, axis=0), atol=1e-6)
    assert averaged.n_averaged == 3 and averaged.module[1].running_mean.tolist() == [3.0] * 4  # copied


@pytest.mark.parametrize("options", [{"avg_fn": get_ema_avg_fn(0.7)}, {"multi_avg_fn": get_ema_multi_avg_fn(0.7)}])
def test_exponential_averages(options):
    averaged = AveragedModel(network(), **options, use_buffers=True)
    a, b, c = follow(averaged)
    assert np.allclose(snapshot(averaged), 0.7 * (0.7 * a + 0.3 * b) + 0.3 * c, atol=1e-6)
    assert np.allclose(averaged.module[1].running_mean.data, 0.7 * (0.7 + 0.6) + 0.9)  # averaged
    assert averaged.module[1].num_batches_tracked.item() == 30  # a count is copied


def test_a_rule_of_ones_own_is_given_the_count():
    counts = []
    averaged = AveragedModel(layers.Linear(1, 1), avg_fn=lambda a, p, count: counts.append(count) or p)
    for _ in range(3):
        averaged.update_parameters(averaged.module)
    assert counts == [1, 1, 2, 2]


def test_it_is_called_and_switched_as_the_model_is():
    model = network()
    averaged = AveragedModel(model)
    assert list(averaged.parameters())[0] is averaged.module[0].weight and averaged.module[0].weight is not model[0].weight
    assert averaged.training and not averaged.eval().training and not averaged.module[2].training and model.training
    x = cr.tensor(BATCHES[0])
    assert np.array_equal(averaged(x).data, model.eval()(x).data)
    assert averaged.train().module[2].training and len(list(averaged.modules())) == 5
    assert repr(averaged).startswith("AveragedModel(of 0: Sequential(")


def test_states_resume(tmp_path):
    averaged = AveragedModel(network())
    follow(averaged, 2)
    state = averaged.state_dict()
    assert list(state)[:2] == ["n_averaged", "module.0.weight"]
    cr.save(state, tmp_path / "averaged")
    resumed = AveragedModel(network())
    resumed.load_state_dict(cr.load(tmp_path / "averaged"))
    for either in (averaged, resumed):
        model = network()
        disturb(model, 5)
        either.update_parameters(model)
    assert snapshot(averaged).tobytes() == snapshot(resumed).tobytes() and resumed.n_averaged == 3
    with pytest.raises(RuntimeError, match=r"averaged.module.load_state_dict\(\)"):
        resumed.load_state_dict(network().state_dict())
    with pytest.raises(RuntimeError, match="missing"):
        resumed.load_state_dict({"n_averaged": 1})


def test_statistics_of_batch_norms_anew():
    model = network()
    disturb(model, 2)
    model.eval()
    model[2].train()  # what a mode was, it is again
    update_bn(((cr.tensor(x), None) for x in BATCHES), model)
    hidden = [x @ model[0].weight.data.T + model[0].bias.data for x in BATCHES]
    norm = model[1]
    assert np.allclose(norm.running_mean.data, np.mean([h.mean(0) for h in hidden], axis=0), atol=1e-5)
    assert np.allclose(norm.running_var.data, np.mean([h.var(0, ddof=1) for h in hidden], axis=0), rtol=1e-5)
    assert norm.num_batches_tracked.item() == 4 and norm.momentum == 0.1
    assert not model.training and not norm.training and model[2].training
    with pytest.raises(cr.ShapeError):
        update_bn([cr.tensor(np.ones((2, 7), np.float32))], model)
    assert norm.momentum == 0.1 and not model.training
    update_bn([cr.tensor(BATCHES[0])], AveragedModel(model))


def test_errors():
    with pytest.raises(ValueError, match="pass avg_fn or multi_avg_fn, not both"):
        AveragedModel(network(), avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn())
    with pytest.raises(ValueError, match="decay=1.5 must lie between 0 and 1"):
        get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="shorter"):
        AveragedModel(network()).update_parameters(layers.Linear(3, 4))


def test_torchs_names():
    for name in ("AveragedModel", "SWALR", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
                 "update_bn"):
        assert getattr(swa_utils, name) is getattr(optim, name)


@pytest.mark.peers
@pytest.mark.parametrize("decay", [None, 0.6])
def test_torchs_values(decay):
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils as theirs

    theirs_net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    ours_net = layers.Sequential(layers.Linear(3, 4), layers.BatchNorm1d(4), layers.Linear(4, 2))
    ours_net.load_state_dict({name: t.numpy() for name, t in theirs_net.state_dict().items()})
    ours = AveragedModel(ours_net, avg_fn=decay and get_ema_avg_fn(decay))
    averaged = theirs.AveragedModel(theirs_net, avg_fn=decay and theirs.get_ema_avg_fn(decay))
    for k in range(3):
        for p in (*ours_net.parameters(), *theirs_net.parameters()):
            p.data[...] += k + 1
        ours.update_parameters(ours_net)
        averaged.update_parameters(theirs_net)
    update_bn([cr.tensor(x) for x in BATCHES], ours)
    theirs.update_bn([torch.tensor(x) for x in BATCHES], averaged)
    ours_state, their_state = ours.state_dict(), averaged.state_dict()
    assert list(ours_state) == list(their_state)
    for name, value in their_state.items():
        assert np.allclose(ours_state[name].data, value.numpy(), rtol=1e-5, atol=1e-6), name
    ours.load_state_dict({name: value.numpy() for name, value in their_state.items()})
