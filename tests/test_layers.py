"""Layers: torch's names, shapes, first values; what they compute; their errors."""

import math
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import (
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    MSELoss,
    ReLU,
    Sequential,
    init,
)
from tests.checkout import ROOT


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# what torch's state_dict has for the same constructor calls
STATE = [
    (Linear(3, 2), {"weight": (2, 3), "bias": (2,)}),
    (Linear(3, 2, False), {"weight": (2, 3)}),
    (Conv2d(4, 6, 3), {"weight": (6, 4, 3, 3), "bias": (6,)}),
    (Conv2d(4, 6, (3, 5), 2, 1, 2, 2, False), {"weight": (6, 2, 3, 5)}),
    (CrossEntropyLoss(cr.tensor([1.0, 2.0])), {"weight": (2,)}),
    (CrossEntropyLoss(), {}), (MSELoss(), {}), (Dropout(), {}), (MaxPool2d(2), {}), (ReLU(), {}), (Flatten(), {}),
    (Identity(), {}),
    (Sequential(Conv2d(1, 2, 1), ReLU(), Linear(2, 1)),
     {"0.weight": (2, 1, 1, 1), "0.bias": (2,), "2.weight": (1, 2), "2.bias": (1,)}),
]


@pytest.mark.parametrize(("layer", "expected"), STATE, ids=lambda v: type(v).__name__)
def test_state_dict_has_torchs_names_and_shapes(layer, expected):
    assert [(name, value.shape) for name, value in layer.state_dict().items()] == list(expected.items())


@pytest.mark.parametrize(("layer", "fan_in"), [
    (lambda: Linear(256, 300), 256), (lambda: Conv2d(16, 300, 4), 256), (lambda: Conv2d(32, 300, 4, groups=2), 256),
])
def test_first_values_are_uniform_within_one_over_root_fan_in(layer, fan_in):
    cr.manual_seed(0)
    made, bound = layer(), 1 / math.sqrt(fan_in)
    for values, floor in ((made.weight.data, 0.99), (made.bias.data, 0.9)):
        assert values.dtype == np.float32
        assert floor * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        spread = bound / math.sqrt(3)  # the standard deviation of that uniform distribution
        assert abs(values.std() / spread - 1) < 4 / math.sqrt(values.size)
        assert abs(values.mean()) < 4 * spread / math.sqrt(values.size)
    again = layer()
    assert not np.array_equal(again.weight.data, made.weight.data)
    cr.manual_seed(0)
    assert np.array_equal(layer().weight.data, made.weight.data)


@pytest.mark.parametrize(("name", "options", "std", "bound"), [
    ("xavier_uniform_", {"gain": 2.0}, 2 * math.sqrt(2 / 900), 2 * math.sqrt(6 / 900)),
    ("xavier_normal_", {}, math.sqrt(2 / 900), None),
    ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / 400), math.sqrt(6 / 400)),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 500), None),
    ("uniform_", {"a": -3.0, "b": 3.0}, math.sqrt(3), 3.0),
    ("normal_", {"std": 0.02}, 0.02, None),
])
def test_initializers(name, options, std, bound):
    cr.manual_seed(1)
    weight = Linear(400, 500).weight
    assert getattr(init, name)(weight, **options) is weight and weight.is_leaf
    assert abs(weight.data.std() / std - 1) < 0.01 and abs(weight.data.mean()) < 0.01 * std
    largest = np.abs(weight.data).max()
    assert largest > 3.5 * std if bound is None else 0.999 * bound < largest <= bound


def test_constant_initializers_gains_and_generators():
    weight = Linear(2, 3).weight
    assert (init.zeros_(weight).data == 0).all() and (init.ones_(weight).data == 1).all()
    assert (init.constant_(weight, 0.25).data == 0.25).all()
    gains = [init.calculate_gain(n) for n in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu")]
    assert gains == pytest.approx([1, 1, 1, 5 / 3, math.sqrt(2), 0.75, math.sqrt(2 / 1.0001)])
    first = init.uniform_(weight, generator=cr.random.Generator(3)).data.copy()
    assert np.array_equal(init.uniform_(weight, generator=cr.random.Generator(3)).data, first)
    with pytest.raises(ValueError, match="calculate_gain.'swish'.: choose one of"):
        init.calculate_gain("swish")
    with pytest.raises(cr.ShapeError, match="no fan-in"):
        init.orthogonal_(Linear(2, 3).bias)
    with pytest.raises(cr.ShapeError, match="no fan-in"):
        init.kaiming_uniform_(Linear(2, 3).bias)
    with pytest.raises(ValueError, match="mode='in'"):
        init.kaiming_normal_(weight, mode="in")


def test_trunc_normal_stays_within_its_bounds_and_has_the_moments():
    cr.manual_seed(0)
    for mean, std, a, b in [(0.0, 1.0, -2.0, 2.0), (1.0, 0.5, 0.5, 3.0), (0.0, 1.0, 2.0, 9.0)]:
        values = init.trunc_normal_(cr.zeros(200, 500), mean, std, a, b).data.astype(np.float64)
        assert values.dtype == np.float64 and values.min() >= a and values.max() <= b
        low, high = (a - mean) / std, (b - mean) / std
        density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (low, high)]
        share = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
        shift = (density[0] - density[1]) / share
        spread = math.sqrt(1 + (low * density[0] - high * density[1]) / share - shift**2)
        assert values.mean() == pytest.approx(mean + std * shift, abs=0.01 * std)
        assert values.std() == pytest.approx(std * spread, rel=0.01)
    for a, b in [(2.0, -2.0), (9.0, 10.0)]:
        with pytest.raises(ValueError, match="nothing to draw"):
            init.trunc_normal_(cr.zeros(2), a=a, b=b)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 3, 2), (2, 3, 2, 2)])
def test_orthogonal(shape):
    cr.manual_seed(0)
    weight = cr.zeros(*shape, dtype=cr.float64)
    matrix = init.orthogonal_(weight, 2.0).data.reshape(shape[0], -1).copy()
    product = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
    assert np.allclose(product, 4 * np.eye(len(product)))
    assert not np.allclose(init.orthogonal_(weight, 2.0).data.reshape(shape[0], -1), matrix)


def test_orthogonal_matrices_are_equally_likely():
    cr.manual_seed(0)
    corners = np.array([init.orthogonal_(cr.zeros(2, 2)).data.ravel() for _ in range(400)])
    assert np.abs(corners.mean(0)).max() < 4 * math.sqrt(0.5 / 400)  # a QR with positive diagonals alone is lopsided
    assert abs((np.linalg.det(corners.reshape(-1, 2, 2)) > 0).mean() - 0.5) < 4 * 0.5 / 20


def test_dirac_hands_the_input_on():
    x = normal(2, 4, 5)
    layer = Conv1d(4, 4, 3, padding=1, bias=False)
    init.dirac_(layer.weight)
    assert np.array_equal(layer(cr.tensor(x)).data, x)
    grouped = Conv2d(4, 8, 3, padding=1, groups=2, bias=False)
    init.dirac_(grouped.weight, groups=2)
    out = grouped(cr.tensor(normal(1, 4, 3, 3))).data
    assert np.array_equal(out[:, [0, 1, 4, 5]], normal(1, 4, 3, 3)) and not out[:, [2, 3, 6, 7]].any()
    assert init.dirac_(cr.zeros(1, 1, 2, 3, 4)).data.argmax() == 1 * 12 + 1 * 4 + 2
    with pytest.raises(cr.ShapeError, match="needs 3 or 4 or 5"):
        init.dirac_(cr.zeros(2, 2))
    with pytest.raises(ValueError, match="groups=2 must divide the 3"):
        init.dirac_(cr.zeros(3, 2, 1), groups=2)


def test_eye_and_sparse():
    assert np.array_equal(init.eye_(cr.ones(3, 2)).data, np.eye(3, 2))
    with pytest.raises(cr.ShapeError, match="eye_: .* needs 2"):
        init.eye_(cr.ones(3))
    cr.manual_seed(0)
    values = init.sparse_(cr.ones(50, 200), 0.31, std=0.5).data
    assert ((values == 0).sum(0) == 16).all() and abs(values[values != 0].std() / 0.5 - 1) < 0.05
    assert len({tuple(column) for column in (values == 0).T}) > 100  # another choice for every column
    with pytest.raises(ValueError, match="sparsity=2"):
        init.sparse_(cr.ones(2, 2), 2)


def test_linear():
    layer, x = Linear(3, 2), normal(4, 5, 3)
    assert np.allclose(layer(cr.tensor(x)).data, x @ layer.weight.data.T + layer.bias.data, atol=1e-6)
    assert Linear(3, 2, dtype=cr.float64).weight.dtype == cr.float64


def test_conv2d_against_its_sum():
    layer, x = Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), normal(2, 2, 5, 6)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    expected = np.empty((2, 3, 3, 6), np.float32)
    for i in range(3):
        for j in range(6):
            window = padded[:, :, 2 * i: 2 * i + 2, j: j + 5: 2]
            expected[:, :, i, j] = np.einsum("ncuv,ocuv->no", window, layer.weight.data) + layer.bias.data
    out = layer(cr.tensor(x))
    assert out.shape == expected.shape and np.allclose(out.data, expected, atol=1e-5)
    out.sum().backward()
    assert np.allclose(layer.bias.grad.data, 2 * 3 * 6)


def test_conv2d_paddings_and_errors():
    x = cr.tensor(normal(1, 2, 6, 6))
    assert Conv2d(2, 4, 3, padding="same")(x).shape == (1, 4, 6, 6)
    assert Conv2d(2, 4, 3, padding="valid", groups=2)(x).shape == (1, 4, 4, 4)
    with pytest.raises(ValueError, match="padding='same' needs stride 1"):
        Conv2d(2, 4, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="neither 'same' nor 'valid'"):
        Conv2d(2, 4, 3, padding="full")
    with pytest.raises(ValueError, match="padding_mode='mirror', it is one of zeros, reflect"):
        Conv2d(2, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="only 'zeros' has a transpose"):
        ConvTranspose2d(2, 4, 3, padding_mode="reflect")
    with pytest.raises(cr.ShapeError, match=r"output_size=\(9, 5\) cannot be: .* from \(5, 5\) to \(6, 6\)"):
        ConvTranspose2d(2, 4, 3, stride=2)(cr.zeros(1, 2, 2, 2), output_size=(9, 5))
    with pytest.raises(cr.ShapeError, match="must have 2 entries, or 4"):
        ConvTranspose2d(2, 4, 3, stride=2)(cr.zeros(1, 2, 2, 2), output_size=(5,))
    with pytest.raises(cr.ShapeError, match="groups=2 must divide both in_channels=3"):
        Conv2d(3, 4, 3, groups=2)
    with pytest.raises(cr.ShapeError) as caught:
        Sequential(ReLU(), Conv2d(3, 4, 3))(x)
    assert caught.value.__notes__ == ["in layer Sequential.1 (Conv2d(3, 4, kernel_size=(3, 3)))"]


def test_pooling_activation_and_shape_layers():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert MaxPool2d(2)(cr.tensor(x)).tolist() == [[[[5.0, 7.0], [13.0, 15.0]]]]
    assert MaxPool2d(2, stride=1)(cr.tensor(x)).shape == (1, 1, 3, 3)
    values, where = MaxPool2d(2, return_indices=True)(cr.tensor(x))
    assert where.tolist() == [[[[5, 7], [13, 15]]]] and values.shape == (1, 1, 2, 2)
    assert ReLU()(cr.tensor([-1.0, 0.0, 2.0])).tolist() == [0.0, 0.0, 2.0]
    assert Flatten()(cr.tensor(x)).shape == (1, 16) and Flatten(0, 1)(cr.tensor(x)).shape == (1, 4, 4)
    assert Identity(3, size=2)(x) is x


def test_dropout():
    cr.manual_seed(0)
    layer, x = Dropout(0.25), cr.tensor(np.ones((100, 100), np.float32))
    out = layer(x).data
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)} and abs((out == 0).mean() - 0.25) < 0.02
    assert np.array_equal(layer.eval()(x).data, x.data)
    with pytest.raises(ValueError, match="p=1.5 is the probability"):
        Dropout(1.5)


def test_losses():
    x, y = normal(4, 3), normal(4, 3, seed=1)
    assert MSELoss()(cr.tensor(x), cr.tensor(y)).item() == pytest.approx(((x - y) ** 2).mean(), rel=1e-6)
    assert MSELoss(reduction="sum")(cr.tensor(x), cr.tensor(y)).item() == pytest.approx(((x - y) ** 2).sum(), rel=1e-6)
    assert MSELoss(reduction="none")(cr.tensor(x), cr.tensor(y)).shape == (4, 3)
    target = np.array([0, 2, 1, 2])
    each = np.log(np.exp(x).sum(1)) - x[np.arange(4), target]
    weight = np.array([1.0, 2.0, 3.0], np.float32)
    assert CrossEntropyLoss()(cr.tensor(x), cr.tensor(target)).item() == pytest.approx(each.mean(), rel=1e-5)
    weighted = CrossEntropyLoss(cr.tensor(weight), ignore_index=0)(cr.tensor(x), cr.tensor(target)).item()
    assert weighted == pytest.approx((each * weight[target])[1:].sum() / weight[target][1:].sum(), rel=1e-5)
    smooth = CrossEntropyLoss(label_smoothing=0.3)(cr.tensor(x), cr.tensor(target)).item()
    spread = (np.log(np.exp(x).sum(1)) - x.mean(1)).mean()
    assert smooth == pytest.approx(0.7 * each.mean() + 0.3 * spread, rel=1e-5)
    for loss in (MSELoss, CrossEntropyLoss):
        with pytest.raises(ValueError, match="reduction='avg'; choose 'mean', 'sum' or 'none'"):
            loss(reduction="avg")
    with pytest.raises(ValueError, match="label_smoothing=2"):
        CrossEntropyLoss(label_smoothing=2)


@pytest.mark.parametrize(("layer", "text"), [
    (Linear(64, 10), "Linear(64, 10)"),
    (Conv2d(1, 8, 3, padding=1, bias=False), "Conv2d(1, 8, kernel_size=(3, 3), padding=(1, 1), bias=False)"),
    (Conv2d(2, 8, 3, 2, groups=2, padding="valid"),
     "Conv2d(2, 8, kernel_size=(3, 3), stride=(2, 2), padding='valid', groups=2)"),
    (MaxPool2d(2), "MaxPool2d(2)"), (MaxPool2d(3, 2, 1), "MaxPool2d(3, stride=2, padding=1)"),
    (Dropout(0.1), "Dropout(p=0.1)"),
    (ReLU(True), "ReLU(inplace=True)"), (Flatten(0, 1), "Flatten(start_dim=0, end_dim=1)"),
    (CrossEntropyLoss(), "CrossEntropyLoss()"),
    (CrossEntropyLoss(label_smoothing=0.1), "CrossEntropyLoss(label_smoothing=0.1)"),
    (MSELoss(reduction="sum"), "MSELoss(reduction='sum')"),
])
def test_heads(layer, text):
    assert layer.head() == text


@pytest.mark.peers
def test_a_state_dict_goes_to_torch_and_back():
    torch = pytest.importorskip("torch")
    ours = Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 5))
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
                                 torch.nn.Flatten(), torch.nn.Linear(16, 5))
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    x = normal(3, 1, 4, 4)
    assert np.allclose(ours(cr.tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-5)
    fresh = Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 5))
    fresh.load_state_dict(theirs.state_dict())
    assert np.array_equal(fresh(cr.tensor(x)).data, ours(cr.tensor(x)).data)


def test_every_layer_is_in_the_document():
    text = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    classes = {name for name, value in vars(cr.layers).items() if isinstance(value, type) and issubclass(value, cr.layers.Module)}
    assert {name for name in classes - {"Module"} if f"`{name}`" not in text} == set()
    assert {name for name in init.__all__ if not re.search(rf"`{name}\b", text)} == set()
