"""Models of convolutions: shapes, torchvision's names, first values, causality."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import Conv2d, ConvTranspose2d, models

# the state dicts of torchvision's models: names and shapes
STATES = json.loads((Path(__file__).parent / "torchvision_states.json").read_text(encoding="utf-8"))
HIDDEN = 64  # of VGG's fully connected layers, which have 4,096 units in torchvision's


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(name):
    """Our model, VGG with narrow fully connected layers."""
    if name.startswith("vgg"):
        return getattr(models, name.removesuffix("_bn"))(name.endswith("_bn"), hidden=HIDDEN)
    return getattr(models, name)()


@pytest.mark.parametrize("name", STATES)
def test_state_dicts_have_torchvisions_names_and_shapes(name):
    expected = {key: tuple(HIDDEN if n == 4096 and key.startswith("classifier") else n for n in shape)
                for key, shape in STATES[name].items()}
    assert [(key, value.shape) for key, value in build(name).state_dict().items()] == list(expected.items())


def torchvision_models():
    """torchvision.models; operators that its compiled part lacks beside this torch are declared, as no model here uses them."""
    torch = pytest.importorskip("torch")
    for _ in range(5):
        try:
            import torchvision.models

            return torchvision.models
        except ImportError:
            break
        except RuntimeError as error:
            missing = re.search(r"operator (\S+) does not exist", str(error))
            if missing is None:
                break
            torch.library.define(missing[1], "(Tensor a, Tensor b, float c) -> Tensor")
    pytest.skip("torchvision cannot be imported")


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STATES)
def test_torchvisions_state_dicts_load(name):
    torchvision = torchvision_models()
    import torch

    with torch.device("meta"):  # shapes without memory
        theirs = getattr(torchvision, name)()
    assert {key: list(value.shape) for key, value in theirs.state_dict().items()} == STATES[name]
    if name.startswith("vgg"):
        theirs.classifier[0] = torch.nn.Linear(512 * 7 * 7, HIDDEN, device="meta")
        theirs.classifier[3] = torch.nn.Linear(HIDDEN, HIDDEN, device="meta")
        theirs.classifier[6] = torch.nn.Linear(HIDDEN, 1000, device="meta")
    theirs = theirs.to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for key, value in theirs.state_dict().items():
        if value.ndim > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
        elif value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5, 1.0) if "bias" not in key else torch.nn.init.normal_(value, 0, 0.1)
        else:
            value.zero_()
    ours = build(name).eval()
    ours.load_state_dict(theirs.state_dict())
    x = images(1, 3, 64, 64)
    with cr.no_grad(), torch.no_grad():
        expected = theirs(torch.tensor(x)).numpy()
        np.testing.assert_allclose(ours(cr.tensor(x)).data, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    theirs.load_state_dict({key: torch.tensor(value.data) for key, value in ours.state_dict().items()})


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_cifar_resnets_have_the_papers_sizes():
    """Table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters."""
    found = [parameters(getattr(models, f"resnet{depth}")()) / 1e6 for depth in (20, 32, 44, 56, 110)]
    assert [round(n, 2) for n in found[:4]] == [0.27, 0.46, 0.66, 0.85] and round(found[4], 1) == 1.7
    depths = [sum(isinstance(m, Conv2d) for m in getattr(models, f"resnet{depth}")().modules()) + 1 for depth in (20, 56)]
    assert depths == [20, 56]


def test_resnet_stages_blocks_and_first_values():
    cr.manual_seed(0)
    model = models.ResNet(models.Bottleneck, (1, 2), 7, in_channels=1, widths=(4, 8), zero_init_residual=True)
    seen = []
    for stage in (model.layer1, model.layer2):
        stage.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    assert model(cr.tensor(images(2, 1, 32, 32))).shape == (2, 7)
    assert seen == [(2, 16, 8, 8), (2, 32, 4, 4)]
    assert not model.layer2[1].bn3.weight.data.any() and model.layer2[1].bn2.weight.data.all()
    block = model.layer2[1].eval()
    x = cr.tensor(np.abs(images(1, 32, 4, 4)))
    np.testing.assert_array_equal(block(x).data, x.data)  # starts as the identity
    weight = models.resnet20().layer3[2].conv1.weight.data
    assert abs(weight.std() / math.sqrt(2 / (64 * 9)) - 1) < 0.02
    with pytest.raises(ValueError, match="one number for each stage"):
        models.ResNet(models.BasicBlock, (1, 1))


def test_every_model_trains():
    """A step of gradient descent reaches all parameters and lowers the loss."""
    x, y = cr.tensor(images(8, 1, 8, 8)), np.arange(8) % 3
    makers = [lambda: models.LeNet5(3, image_size=8), lambda: models.vgg_small(3, width=4, hidden=8, dropout=0.0),
              lambda: models.ResNet(models.BasicBlock, (1, 1, 1), 3, 1, (4, 8, 8), small=True)]
    for make in makers:
        cr.manual_seed(1)
        model = make()
        losses = []
        for _ in range(20):
            loss = cr.functional.cross_entropy(model(x), cr.tensor(y))
            model.zero_grad()
            loss.backward()
            losses.append(loss.item())
            for p in model.parameters():
                assert p.grad is not None and p.grad.data.any()
                p.data = p.data - 0.2 * p.grad.data
        assert losses[-1] < 0.95 * losses[0], type(model)


def test_models_refuse_what_they_cannot_take():
    with pytest.raises(cr.ShapeError, match="image_size=40"):
        models.LeNet5(image_size=40)
    for model in (models.DCGANGenerator, models.DCGANDiscriminator):
        with pytest.raises(cr.ShapeError, match="image_size=24 must be a power of 2"):
            model(image_size=24)
    net = models.WaveNet(8, 4, 2, 1)
    with pytest.raises(cr.DtypeError, match="see mu_law_encode"):
        net(cr.zeros(1, 5))
    with pytest.raises(cr.ShapeError, match="must be .batch, time. classes"):
        net(cr.tensor([1, 2]))
    with pytest.raises(ValueError, match="temperature=-1"):
        net.generate(cr.tensor([[1, 2]]), 1, temperature=-1)


@pytest.mark.parametrize("size", [8, 64])
def test_dcgan_has_the_papers_shapes_and_first_values(size):
    cr.manual_seed(0)
    generator, discriminator = models.DCGANGenerator(width=4, image_size=size), models.DCGANDiscriminator(width=4, image_size=size)
    made = generator(cr.randn(2, 100))
    assert made.shape == (2, 3, size, size) and made.data.min() >= -1 and made.data.max() <= 1
    assert discriminator(made).shape == (2,)
    for model in (generator, discriminator):
        weights = np.concatenate([m.weight.data.ravel() for m in model.modules() if isinstance(m, Conv2d | ConvTranspose2d)])
        assert abs(weights.std() / 0.02 - 1) < 3 / math.sqrt(weights.size) and abs(weights.mean()) < 1e-3
    assert not any("BatchNorm" in type(m).__name__ for m in models.DCGANDiscriminator(batch_norm=False).modules())
    full = models.DCGANGenerator()
    widths = [m.weight.shape[:2] for m in full.modules() if isinstance(m, ConvTranspose2d)]
    assert widths == [(100, 512), (512, 256), (256, 128), (128, 64), (64, 3)]  # figure 1 of the paper, half as wide


def test_mu_law():
    codes = np.arange(256)
    assert np.array_equal(models.mu_law_encode(models.mu_law_decode(codes)).data, codes)
    wave = np.linspace(-1, 1, 1001).astype(np.float32)
    back = models.mu_law_decode(models.mu_law_encode(wave)).data
    assert np.abs(back - wave).max() < 0.023 and np.abs(back - wave)[np.abs(wave) < 0.01].max() < 5e-4
    assert models.mu_law_encode(np.array([-2.0, 2.0])).tolist() == [0, 255]


def test_wavenet_looks_back_over_its_receptive_field_and_never_ahead():
    cr.manual_seed(0)
    net = models.WaveNet(classes=5, channels=6, layers=3, blocks=2).double()
    assert net.receptive_field == 15
    codes = cr.tensor(np.random.default_rng(0).integers(0, 5, (1, 40)))
    seen = []
    net.embedding.register_forward_hook(lambda m, args, out: seen.append(out.retain_grad()) or seen.append(out))
    net(codes)[0, :, 20].sum().backward()
    reached = np.flatnonzero(np.abs(seen[1].grad.data[0]).sum(1))
    assert reached.min() == 20 - 15 + 1 and reached.max() == 20


def test_wavenet_generates_as_it_predicts():
    """Sample by sample with what the layers remember, the same as from the whole sequence each time."""
    cr.manual_seed(0)
    net = models.WaveNet(classes=7, channels=6, layers=3, blocks=2, kernel_size=3)
    codes = cr.tensor(np.random.default_rng(1).integers(0, 7, (2, 9)))
    slow = codes
    for _ in range(12):
        slow = cr.cat([slow, net(slow)[:, :, -1].argmax(1, keepdim=True)], 1)
    assert np.array_equal(net.generate(codes, 12, temperature=0).data, slow.data)
    drawn = [net.generate(codes, 30, generator=cr.random.Generator(seed)).data for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
