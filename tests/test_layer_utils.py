"""Weight norm, spectral norm, parameters as a vector; variational dropout."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers
from chainrule.errors import ShapeError
from chainrule.layers import utils


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def run(layer, x):
    """The output and all gradients of its sum of squares."""
    leaf = cr.tensor(x, requires_grad=True)
    layer.zero_grad()
    out = layer(leaf)
    out.square().sum().backward()
    return [out.data, leaf.grad.data, *[p.grad.data for p in layer.parameters()]]


LAYERS = {
    "Linear": (lambda module: module.Linear(3, 2), (4, 3)),
    "Conv1d": (lambda module: module.Conv1d(2, 4, 3), (2, 2, 5)),
    "ConvTranspose1d": (lambda module: module.ConvTranspose1d(2, 4, 3), (2, 2, 5)),
}


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("dim", [0, 1, None, -1])
@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm_is_torchs(name, dim):
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[name]
    plain = make(torch.nn).double()
    ours = make(layers).double()
    ours.load_state_dict({key: value.detach().numpy() for key, value in plain.state_dict().items()})
    theirs = torch.nn.utils.weight_norm(plain, dim=dim)
    assert utils.weight_norm(ours, dim=dim) is ours
    state = {key: value.detach().numpy() for key, value in theirs.state_dict().items()}
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [(k, v.shape) for k, v in state.items()]
    for key, value in state.items():
        np.testing.assert_allclose(ours.state_dict()[key].data, value, rtol=1e-12)
    x = normal(*shape)
    leaf = torch.tensor(x, requires_grad=True)
    out = theirs(leaf)
    out.square().sum().backward()
    expected = [out.detach(), leaf.grad, *[p.grad for p in theirs.parameters()]]
    for a, b in zip(run(ours, x), expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_is_torchs(name):
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[name]
    theirs, ours = torch.nn.utils.spectral_norm(make(torch.nn).double(), n_power_iterations=2), make(layers).double()
    utils.spectral_norm(ours, n_power_iterations=2)
    ours.load_state_dict({key: value.detach().numpy() for key, value in theirs.state_dict().items()})
    x = normal(*shape)
    for training in (True, True, False):
        theirs.train(training)
        ours.train(training)
        leaf = torch.tensor(x, requires_grad=True)
        theirs.zero_grad()
        out = theirs(leaf)
        out.square().sum().backward()
        expected = [out.detach(), leaf.grad, *[p.grad for p in theirs.parameters()]]
        for a, b in zip(run(ours, x), expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-9, atol=1e-12)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key].data, value.numpy(), rtol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm_starts_at_the_weight_and_is_taken_off_again(name):
    make, shape = LAYERS[name]
    layer, x = make(layers).double(), normal(*shape)
    weight, before, kind = layer.weight.data.copy(), layer(cr.tensor(x)).data, type(layer)
    utils.weight_norm(layer)
    np.testing.assert_allclose(layer(cr.tensor(x)).data, before)
    assert isinstance(layer, kind) and repr(layer).startswith(name)
    with cr.no_grad():
        layer.weight_g.mul_(2.0)
        layer.weight_v.mul_(3.0)  # its length does not matter
    np.testing.assert_allclose(layer.weight.data, 2 * weight)
    assert utils.remove_weight_norm(layer) is layer
    assert type(layer) is kind and list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer.weight.data, 2 * weight)
    assert isinstance(layer.weight, layers.Parameter)


def test_a_normalised_layer_is_trained_copied_and_called_as_a_function():
    layer = utils.weight_norm(utils.weight_norm(layers.Bilinear(2, 3, 4).double(), dim=1), "bias")
    given = cr.tensor(normal(5, 2)), cr.tensor(normal(5, 3))
    layer(*given).sum().backward()
    twin = copy.deepcopy(layer)
    with cr.no_grad():
        layer.weight_g.add_(1.0)
    assert not np.allclose(twin(*given).data, layer(*given).data)
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(*given).data, layer(*given).data)
    names, tensors = zip(*[(n, p.detach()) for n, p in layer.named_parameters()], strict=True)
    assert cr.gradcheck(lambda *values: layers.functional_call(layer, dict(zip(names, values, strict=True)), given),
                        [t.clone().requires_grad_() for t in tensors])
    utils.remove_weight_norm(layer)
    assert list(dict(layer.named_parameters())) == ["bias_g", "bias_v", "weight"]
    np.testing.assert_array_equal(twin(*given).data, layer(*given).data)  # the copy is on its own


def test_spectral_norm_makes_the_largest_singular_value_one_in_training_only():
    layer = utils.spectral_norm(layers.Linear(6, 4).double(), n_power_iterations=200)
    layer(cr.tensor(normal(2, 6)))
    assert np.linalg.norm(layer.weight.data, 2) == pytest.approx(1, rel=1e-6)
    u = layer.weight_u.data.copy()
    with cr.no_grad():
        layer.weight_orig.copy_(cr.tensor(normal(4, 6)))
    layer.eval()(cr.tensor(normal(2, 6)))
    np.testing.assert_array_equal(layer.weight_u.data, u)
    first, second = layer.train()(cr.tensor(normal(2, 6))), layer(cr.tensor(normal(2, 6, seed=1)))
    (first.sum() + second.sum()).backward()  # two calls before one backward: u and v have moved on in between
    value = layer.weight.data.copy()
    utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and not list(layer.buffers())
    np.testing.assert_array_equal(layer.weight.data, value)
    layer(cr.tensor(normal(2, 6)))  # its hook is gone
    assert not layer._hooks.before


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_weight_of_a_recurrent_layer_is_normalised_by_its_name(kind):
    layer, x = getattr(layers, kind)(3, 4).double(), cr.tensor(normal(5, 2, 3))
    before = layer(x)[0].data
    utils.spectral_norm(utils.weight_norm(layer, "weight_hh_l0"), "weight_ih_l0")
    twin = copy.deepcopy(layer)
    for _ in range(2):
        twin(x)[0].sum().backward()
        assert all(p.grad is not None for p in twin.parameters())
    assert not np.array_equal(twin.weight_ih_l0_u.data, layer.weight_ih_l0_u.data)  # each has its own
    utils.remove_spectral_norm(utils.remove_weight_norm(layer, "weight_hh_l0"), "weight_ih_l0")
    assert set(layer.state_dict()) == set(getattr(layers, kind)(3, 4).state_dict())
    assert before.shape == layer(x)[0].shape and not np.allclose(before, layer(x)[0].data)  # divided by its norm


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: utils.weight_norm(layers.Linear(3, 2), "kernel"), AttributeError,
     r"weight_norm: 'kernel' of Linear\(3, 2\) is no parameter; its own parameters are: weight, bias"),
    (lambda: utils.weight_norm(utils.weight_norm(layers.Linear(3, 2))), AttributeError, "'weight' .* is computed already"),
    (lambda: utils.weight_norm(layers.Linear(3, 2), dim=2), IndexError, r"dim=2 is no axis of weight of shape \(2, 3\)"),
    (lambda: utils.remove_weight_norm(layers.Linear(3, 2)), ValueError, "'weight' .* has no weight norm"),
    (lambda: utils.remove_spectral_norm(utils.weight_norm(layers.Linear(3, 2))), ValueError, "has no spectral norm"),
    (lambda: utils.spectral_norm(layers.Linear(3, 2), n_power_iterations=0), ValueError, "must be at least 1"),
    (lambda: utils.parameters_to_vector([]), ValueError, "there are no parameters"),
    (lambda: utils.vector_to_parameters(cr.zeros(7), layers.Linear(3, 2).parameters()), ShapeError,
     r"shape \(7,\), the parameters 8 elements"),
])
def test_what_cannot_be_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_parameters_go_into_a_vector_and_come_back():
    layer, twin = layers.Linear(3, 2), layers.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    np.testing.assert_array_equal(vector.data, np.concatenate([layer.weight.data.ravel(), layer.bias.data]))
    utils.vector_to_parameters(vector, twin.parameters())
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    vector.square().sum().backward()
    np.testing.assert_allclose(layer.weight.grad.data, 2 * layer.weight.data)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequence_drops_the_same_features_at_all_steps(batch_first):
    cr.manual_seed(0)
    out = layers.VariationalDropout(0.4, batch_first)(cr.ones(30, 40, 50)).data
    steps = 1 if batch_first else 0
    first = np.take(out, 0, steps)
    np.testing.assert_array_equal(out, np.broadcast_to(np.expand_dims(first, steps), out.shape))
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.6], rtol=1e-6)
    share = (first == 0).mean(1)  # of each sequence
    assert abs(share.mean() - 0.4) < 5 * np.sqrt(0.24 / first.size) and share.std() > 0.01


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_dropped_word_is_dropped_at_all_places_of_its_sequence(batch_first):
    cr.manual_seed(0)
    layer = layers.VariationalEmbedding(20, 2, p=0.5, batch_first=batch_first)
    indices = np.random.default_rng(0).integers(0, 20, (40, 9) if batch_first else (9, 40))
    factors = (layer(cr.tensor(indices)) / layers.Embedding.from_pretrained(layer.weight)(cr.tensor(indices))).data
    np.testing.assert_array_equal(factors[..., 0] > 1, factors[..., 1] > 1)
    found = {}
    for place, word in np.ndenumerate(indices):
        found.setdefault((place[0 if batch_first else 1], word), set()).add(round(float(factors[place][0]), 5))
    assert all(len(values) == 1 for values in found.values())  # one factor for a word in a sequence
    assert {value for values in found.values() for value in values} == {0.0, 2.0}
    kept = {word: {v for (_, w), values in found.items() if w == word for v in values} for word in range(20)}
    assert any(len(values) == 2 for values in kept.values())  # another in another sequence


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"it takes \(N, T, F\), or \(T, F\)"):
        layers.VariationalDropout(batch_first=True)(cr.zeros(3))
    with pytest.raises(ShapeError, match=r"it takes \(T, N\), or \(T,\)"):
        layers.VariationalEmbedding(3, 2)(cr.zeros(2, 2, 2, dtype=cr.int64))
    with pytest.raises(ValueError, match="VariationalDropout: p=2"):
        layers.VariationalDropout(2)
