"""Models that are trained in several Python threads at once, and in forked children: what comes out is what one alone gets."""

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

STEPS = 4


class Tagger(layers.Module):
    """An LSTM and a product large enough to be shared out among threads."""

    def __init__(self) -> None:
        self.lstm = layers.LSTM(24, 64)
        self.head = layers.Linear(64, 128)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][-1])


def convolutions() -> Any:
    return layers.Sequential(layers.Conv2d(3, 16, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2), layers.BatchNorm2d(16),
                             layers.Conv2d(16, 32, 3, padding=1), layers.ReLU(), layers.Flatten(), layers.Linear(2048, 10))


def attention() -> Any:
    return layers.Sequential(layers.TransformerEncoderLayer(64, 4, 128, dropout=0.0), layers.Flatten(0, 1))


def training(seed: int) -> Callable[[], Any]:
    """A function that trains a model of its own for some steps; returns the losses and the first parameter, as bytes."""
    build, shape, classes = [(Tagger, (12, 64, 24), 128), (convolutions, (32, 3, 16, 16), 10),
                             (attention, (16, 40, 64), 64)][seed % 3]
    cr.manual_seed(seed)
    model = build()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x = cr.randn(*shape)
    rows = {Tagger: 64, convolutions: 32, attention: 640}[build]
    y = cr.randint(0, classes, (rows,))

    def train() -> Any:
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses).tobytes() + next(iter(model.parameters())).data.tobytes()

    return train


@pytest.fixture(scope="module")
def alone() -> list[Any]:
    return [training(seed)() for seed in range(6)]


def test_several_python_threads_train_at_once(alone: list[Any]) -> None:
    works, found, barrier = [training(seed) for seed in range(6)], {}, threading.Barrier(6)

    def work(seed: int) -> None:
        barrier.wait()
        found[seed] = works[seed]()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found.get(seed) == expected for seed, expected in enumerate(alone)] == [True] * 6


def test_results_do_not_depend_on_the_number_of_threads(alone: list[Any]) -> None:
    before = cr.get_num_threads()
    try:
        for count in (1, 2):
            cr.set_num_threads(count)
            assert [training(seed)() == alone[seed] for seed in range(3)] == [True] * 3
    finally:
        cr.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_trains(alone: list[Any]) -> None:
    for seed in range(3):
        work = training(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
            child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if work() == alone[seed] else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
