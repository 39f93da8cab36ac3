"""Compiled steps give the bits of eager ones: losses, parameters, buffers, gradients, optimizer states."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.tensor import Tensor

STEPS = 4


def floats(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def classes(seed: int, count: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).integers(0, count, shape))


class Network(layers.Module):
    """A convolutional network with what has state and randomness."""

    def __init__(self) -> None:
        self.conv = layers.Conv2d(1, 4, 3, padding=1)
        self.norm = layers.BatchNorm2d(4)
        self.dropout = layers.Dropout(0.3)
        self.out = layers.Linear(4 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.out(self.dropout(x.flatten(1)))


class Reader(layers.Module):
    """An LSTM over sequences, its last output classified."""

    def __init__(self) -> None:
        self.embedding = layers.Embedding(11, 6, padding_idx=0)
        self.lstm = layers.LSTM(6, 8, num_layers=2, batch_first=True)
        self.out = layers.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(self.embedding(x))[0][:, -1])


class Block(layers.Module):
    """A transformer's block whose output weights are the embedding's."""

    def __init__(self, width: int = 8, tokens: int = 6) -> None:
        self.embedding = layers.Embedding(7, width)
        self.place = layers.Parameter(cr.zeros(tokens, width))
        self.block = layers.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.1, batch_first=True, activation="gelu")
        self.norm = layers.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        mask = layers.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.block(self.embedding(x) + self.place[: x.shape[1]], src_mask=mask, is_causal=True)
        return (self.norm(h) @ self.embedding.weight.mT).transpose(1, 2)


def pictures() -> layers.Module:
    """Sizes at which compiled kernels do the work, not NumPy."""
    return layers.Sequential(layers.Conv2d(1, 32, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2),
                             layers.Conv2d(32, 32, 3, padding=1), layers.BatchNorm2d(32), layers.ReLU(), layers.MaxPool2d(2),
                             layers.Flatten(), layers.Linear(800, 128), layers.GELU(), layers.Linear(128, 10))


class Sequences(layers.Module):
    """The same for recurrent layers."""

    def __init__(self) -> None:
        self.lstm, self.gru = layers.LSTM(16, 64, 2, batch_first=True), layers.GRU(64, 64, batch_first=True, bidirectional=True)
        self.out = layers.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(self.lstm(x)[0])[0][:, -1])


def mlp() -> layers.Module:
    return layers.Sequential(layers.Linear(6, 9), layers.ReLU(), layers.Linear(9, 5), layers.Tanh(), layers.Linear(5, 5))


MODELS: dict[str, tuple[Callable[[], Any], Callable[[int], Any]]] = {
    "mlp": (mlp, lambda i: (floats(i, 8, 6), classes(i, 5, 8))),
    "cnn": (Network, lambda i: (floats(i, 6, 1, 8, 8), classes(i, 5, 6))),
    "lstm": (Reader, lambda i: (classes(i, 11, 4, 7), classes(i, 5, 4))),
    "transformer": (Block, lambda i: (classes(i, 7, 3, 6), classes(i + 100, 7, 3, 6))),
    "large transformer": (lambda: Block(64, 96), lambda i: (classes(i, 7, 8, 96), classes(i + 100, 7, 8, 96))),
    "large cnn": (pictures, lambda i: (floats(i, 16, 1, 20, 20), classes(i, 10, 16))),
    "large recurrent": (Sequences, lambda i: (floats(i, 48, 10, 16), classes(i, 10, 48))),
}


def plain(model: Any, optimizer: Any, scheduler: Any) -> Callable[..., Any]:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def clipped(model: Any, optimizer: Any, scheduler: Any) -> Callable[..., Any]:
    def step(x: Tensor, y: Tensor) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = optim.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        return {"loss": loss, "norm": norm}

    return step


def accumulated(model: Any, optimizer: Any, scheduler: Any) -> Callable[..., Any]:
    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad(set_to_none=False)
        half = x.shape[0] // 2
        losses = []
        for part in (slice(0, half), slice(half, None)):
            loss = F.cross_entropy(model(x[part]), y[part]) / 2
            loss.backward()
            losses.append(loss.detach())
        for p in model.parameters():
            p.grad = p.grad * 0.5
        optimizer.step()
        return losses

    return step


def by_hand(model: Any, optimizer: Any, scheduler: Any) -> Callable[..., Any]:
    def step(x: Tensor, y: Tensor) -> Any:
        parameters = list(model.parameters())
        scores = model(x)
        loss = F.cross_entropy(scores, y) + 1e-3 * sum((p * p).sum() for p in parameters)
        gradients = cr.grad(loss, parameters)
        with cr.no_grad():
            for p, g in zip(parameters, gradients):
                p.sub_(0.1 * g)
        return loss, scores.argmax(1)

    return step


def large(width: int) -> layers.Module:
    return layers.Sequential(layers.Conv2d(1, 8, 3, padding=1), layers.BatchNorm2d(8), layers.ReLU(), layers.MaxPool2d(2),
                             layers.Conv2d(8, 16, 3, padding=1), layers.GELU(), layers.Flatten(), layers.Linear(16 * 64, width),
                             layers.LayerNorm(width), layers.Tanh(), layers.Dropout(0.2), layers.Linear(width, width),
                             layers.SiLU(), layers.Linear(width, 7))


STYLES = {"plain": plain, "clipped": clipped, "accumulated": accumulated, "by hand": by_hand}


def batch_of(i: int) -> Any:
    return floats(i, 40, 1, 16, 16), classes(i, 7, 40)


LARGE = {"network": (lambda: large(96), batch_of),  # above the sizes from which compiled kernels take over
         "recurrent": (lambda: layers.Sequential(layers.Flatten(2), Last(), layers.Linear(64, 7)), lambda i: (
             floats(i, 32, 12, 4, 8), classes(i, 7, 32)))}


class Last(layers.Module):
    """The last output of an LSTM."""

    def __init__(self) -> None:
        self.lstm = layers.LSTM(32, 64, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0][:, -1]


def everything(model: Any, optimizer: Any, result: Any) -> Any:
    """The bits of all that a step may change or return."""
    found = [(name, t.data.tobytes()) for name, t in model.state_dict().items()]
    found += [(name, None if p.grad is None else p.grad.data.tobytes()) for name, p in model.named_parameters()]
    for entry in optimizer.state_dict()["state"].values():
        found += [(name, v.data.tobytes() if isinstance(v, Tensor) else v) for name, v in entry.items()]
    found.append(("returned", [t.data.tobytes() for t in tensors(result)]))
    return found


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in (value.values() if isinstance(value, dict) else value) for t in tensors(v)]


def trained(kind: str, style: str, compiled: bool, threads: int = 1) -> Any:
    make, batch = {**MODELS, **LARGE}[kind]
    cr.manual_seed(5)
    model = make()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "lr": 3e-3}], lr=1e-2)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    step = STYLES[style](model, optimizer, scheduler)
    function = cr.compile(step) if compiled else step
    before = cr.get_num_threads()
    cr.set_num_threads(threads)
    try:
        found = [everything(model, optimizer, function(*batch(i))) for i in range(STEPS)]
    finally:
        cr.set_num_threads(before)
    if compiled:
        assert function.replays >= STEPS - 2, function.report()
    return found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", MODELS)
def test_training_has_the_bits_of_eager_training(kind: str, style: str) -> None:
    eager = trained(kind, style, False)
    for threads in (1, 2):
        for ours, theirs in zip(trained(kind, style, True, threads), eager, strict=True):
            assert ours == theirs


@pytest.mark.parametrize("kind", LARGE)
def test_large_arrays_have_the_bits_of_eager_training(kind: str) -> None:
    eager = trained(kind, "plain", False)
    for threads in (1, 2):
        for ours, theirs in zip(trained(kind, "plain", True, threads), eager, strict=True):
            assert ours == theirs
