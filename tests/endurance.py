"""Does a long training run grow? `python -m tests.endurance 1000000` trains a tiny network for so many compiled steps, and
for a fifth of them eagerly, and prints memory and the number of objects on the way. test_endurance.py does it in short."""

import gc
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

WARM = 500  # steps after which everything is there


def training(compiled: bool) -> Any:
    """A step of a small network on new data, returning the loss."""
    cr.manual_seed(0)
    model = layers.Sequential(layers.Linear(10, 10), layers.ReLU(), layers.Linear(10, 5), layers.ReLU(), layers.Linear(5, 1))
    optimizer = optim.Adam(model.parameters())
    batches = [np.random.default_rng(i).standard_normal((32, 11)).astype(np.float32) for i in range(8)]

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    function = cr.compile(step) if compiled else step
    return lambda i: function(cr.from_numpy(batches[i % 8][:, :10]), cr.from_numpy(batches[i % 8][:, 10:]))


def resident() -> int:
    """Kilobytes of this process in memory; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def grown(steps: int, compiled: bool, report: Any = None) -> tuple[int, int]:
    """By how many kilobytes and how many objects a training run of so many steps grew once it was warm."""
    step, tenth = training(compiled), max(1, steps // 10)
    for i in range(WARM):
        step(i)
    gc.collect()
    memory, objects = resident(), len(gc.get_objects())
    for i in range(steps):
        step(i)
        if report is not None and (i + 1) % tenth == 0:
            report(i + 1, resident())
    gc.collect()
    return resident() - memory, len(gc.get_objects()) - objects


def main() -> None:
    """Both runs, told of."""
    steps = int(sys.argv[1])
    for name, count, compiled in (("compiled", steps, True), ("eager", steps // 5, False)):
        start = time.perf_counter()
        memory, objects = grown(count, compiled, lambda i, kilobytes: print(f"  {i:>9,} steps: {kilobytes:,} kB", flush=True))
        print(f"{count:,} {name} steps in {time.perf_counter() - start:.1f} s: {memory:+,} kB, {objects:+,} objects")


if __name__ == "__main__":
    main()
