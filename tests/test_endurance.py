"""Memory: a long run does not grow, and recording a step needs what the step needs."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.tensor import Tensor
from tests.endurance import grown


@pytest.mark.parametrize(("steps", "compiled"), [(20_000, True), (4_000, False)], ids=["compiled", "eager"])
def test_a_long_run_does_not_grow(steps: int, compiled: bool) -> None:
    """`python -m tests.endurance 1000000` is the long form. 100 bytes a compiled step would be seen."""
    grown(2000, compiled)
    memory, objects = grown(steps, compiled)
    assert memory < 2000
    assert abs(objects) < 50


def peak(function: Callable[[], Any]) -> int:
    """Bytes of arrays that were there at once, at most."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def chain(x: Tensor, weight: Tensor) -> Tensor:
    """Forty arrays, of which few live at once, on the way forward and, as gradients, on the way back."""
    for _ in range(20):
        x = -(x + weight)
    return (x * x).sum()


def test_a_recording_lets_arrays_go_as_the_step_does() -> None:
    size = 1 << 20
    x, weight = Tensor(np.ones(size, np.float32)), cr.tensor(np.ones(size, np.float32), requires_grad=True)

    def step(x: Tensor) -> Tensor:
        loss = chain(x, weight)
        weight.grad = None
        loss.backward()
        return loss

    step(x)
    eager = peak(lambda: step(x))
    compiled = cr.compile(step)
    recorded = peak(lambda: compiled(x))
    assert eager < 6 * 4 * size
    assert recorded < eager + 3 * 4 * size  # a gradient's own array, and the program's memory
    assert compiled.report().count("planned") == 1
    kept = peak(lambda: compiled(x))
    assert kept < 4 * size  # all of it is planned
