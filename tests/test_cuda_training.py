"""Training on the device: the steps are the CPU's, and none of them waits for the device."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests import cuda_on_cpu

pytestmark = pytest.mark.gpu
F, layers, optim = cr.functional, cr.layers, cr.optim


class Language(layers.Module):
    """A small causal transformer with dropout."""

    def __init__(self) -> None:
        self.tokens, self.places = layers.Embedding(11, 16), layers.LearnedPositions(16, 8, batch_first=True)
        self.block = layers.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True, norm_first=True, activation="gelu")
        self.head = layers.Linear(16, 11)

    def forward(self, x: cr.Tensor) -> Any:
        """tokens (N, L) -> logits (N, L, 11)."""
        hidden = layers.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return self.head(self.block(self.places(self.tokens(x)), src_mask=hidden, is_causal=True))


class Recurrent(layers.Module):
    """An LSTM that reads, a GRU on top of it, and a linear layer behind the last step."""

    def __init__(self) -> None:
        self.lstm, self.gru = layers.LSTM(5, 8, batch_first=True), layers.GRU(8, 8, batch_first=True)
        self.head = layers.Linear(8, 3)

    def forward(self, x: cr.Tensor) -> Any:
        """(N, T, 5) -> (N, 3)."""
        return self.head(self.gru(self.lstm(x)[0])[0][:, -1])


def mlp() -> Any:
    return layers.Sequential(layers.Linear(6, 16), layers.ReLU(), layers.Dropout(0.2), layers.LayerNorm(16), layers.Linear(16, 3))


def cnn() -> Any:
    return layers.Sequential(layers.Conv2d(1, 4, 3, padding=1), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2),
                             layers.Flatten(), layers.Linear(4 * 9, 3))


def adam(parameters: Any) -> Any:
    return optim.AdamW(parameters, lr=1e-2)


def sgd(parameters: Any) -> Any:
    return optim.SGD(parameters, lr=0.05, momentum=0.9)


CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], tuple[int, ...], str]] = {
    "mlp": (mlp, adam, (8, 6), "classes"), "cnn": (cnn, sgd, (4, 1, 6, 6), "classes"),
    # not adam: the bias of attention's keys has the gradient 0, and what rounding leaves of it would be scaled up
    "recurrent": (Recurrent, adam, (4, 5, 5), "classes"), "language": (Language, sgd, (2, 8), "tokens"),
}


def data(shape: tuple[int, ...], kind: str) -> tuple[cr.Tensor, cr.Tensor]:
    cr.manual_seed(1)
    if kind == "tokens":
        return cr.randint(0, 11, shape), cr.randint(0, 11, shape)
    return cr.randn(*shape), cr.randint(0, 3, (shape[0],))


def train(model: Any, make: Any, x: cr.Tensor, y: cr.Tensor, steps: int) -> tuple[list[cr.Tensor], int]:
    """The losses, on the device, and how often the host waited for it."""
    optimizer = make(model.parameters())
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    losses = []
    cr.manual_seed(2)
    waits = cuda_on_cpu.synchronisations()
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return losses, cuda_on_cpu.synchronisations() - waits


@pytest.mark.parametrize("name", CASES)
def test_steps_are_the_cpus_and_wait_for_nothing(name: str) -> None:
    build, make, shape, kind = CASES[name]
    cr.manual_seed(0)
    here = build()
    there = copy.deepcopy(here).to("cuda")
    x, y = data(shape, kind)
    expected, _ = train(here, make, x, y, 3)
    found, waits = train(there, make, x.to("cuda"), y.to("cuda"), 3)
    assert waits == 0, "a step waited for the device"
    np.testing.assert_allclose([float(v) for v in found], [float(v) for v in expected], rtol=2e-3)
    for p, q in zip(here.parameters(), there.parameters(), strict=True):
        np.testing.assert_allclose(q.cpu().detach().data, p.detach().data, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_learns(dtype: str) -> None:
    build, make, shape, kind = CASES["mlp"]
    cr.manual_seed(0)
    model = build().to("cuda").eval()
    optimizer, scaler = make(model.parameters()), cr.GradScaler(enabled=dtype == "float16")
    x, y = (t.to("cuda") for t in data(shape, kind))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with cr.autocast("cuda", dtype=dtype):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.dtype == np.float32 for p in model.parameters())


def test_the_scaler_waits_once_a_step() -> None:
    model = mlp().to("cuda")
    optimizer, scaler = adam(model.parameters()), cr.GradScaler()
    x, y = (t.to("cuda") for t in data((8, 6), "classes"))
    scaler.scale(F.cross_entropy(model(x), y)).backward()
    waits = cuda_on_cpu.synchronisations()
    scaler.step(optimizer)
    scaler.update()
    assert cuda_on_cpu.synchronisations() - waits <= 1
