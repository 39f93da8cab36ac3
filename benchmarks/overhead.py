"""What the engine itself costs: microseconds per recorded operation over NumPy's own call, and a tiny training step.

    python benchmarks/overhead.py [--quick] [--threads N]

Each figure is the median over rounds of the fastest of several repeats; contenders run in processes of their own, in
turn. `OPENBLAS_*` settings are cleared for all of them. torch takes part where it is installed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any


def best(function: Callable[[], Any], number: int, repeats: int) -> float:
    """Microseconds per call: the fastest repeat, which other work on the machine disturbed least."""
    return min(timeit.repeat(function, number=number, repeat=repeats)) / number * 1e6


def forward_calls(x: Any, y: Any, library: Any) -> dict[str, Callable[[], Any]]:
    """One call each, on 4×4 float32: the arithmetic costs next to nothing, what is left is the call."""
    return {
        "multiply(x, y)": lambda: library.multiply(x, y),
        "x * y": lambda: x * y,
        "x + y": lambda: x + y,
        "x * 2.0": lambda: x * 2.0,
        "exp(x)": lambda: library.exp(x),
        "tanh(x)": lambda: library.tanh(x),
        "x @ y": lambda: x @ y,
        "x.sum()": lambda: x.sum(),
        "x.reshape(16)": lambda: x.reshape(16),
    }


def mlp(library: Any, layers: Any, optimizers: Any) -> Callable[[], Any]:
    """A training step of the network 10-10-5-1 with mean squared error and Adam on 32 samples."""
    model = layers.Sequential(layers.Linear(10, 10), layers.ReLU(), layers.Linear(10, 5), layers.ReLU(), layers.Linear(5, 1))
    optimizer = optimizers.Adam(model.parameters(), lr=1e-3)
    criterion = layers.MSELoss()
    x, y = library.randn(32, 10), library.randn(32, 1)

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return step


def backward_chain(x: Any, length: int) -> Callable[[], Any]:
    """Forward through a chain of multiplications, then back."""

    def run() -> None:
        z = x
        for _ in range(length):
            z = z * x
        z.sum().backward()
        x.grad = None

    return run


def measure(contender: str, quick: bool, threads: int) -> dict[str, float]:
    """All figures of one contender, in this process."""
    import numpy as np

    number, repeats = (500, 5) if quick else (10_000, 15)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(4, 4)).astype(np.float32) for _ in range(2))
    if contender == "numpy":
        return {f"forward {n}": best(f, number, repeats) for n, f in forward_calls(a, b, np).items()}
    if contender == "chainrule":
        import chainrule as library

        layers: Any = library.layers
        optimizers: Any = library.optim
        library.set_num_threads(threads)
    else:
        import torch as library  # type: ignore[no-redef,import-not-found,unused-ignore]

        layers, optimizers = library.nn, library.optim
        library.set_num_threads(threads)
    x, y = (library.tensor(v, requires_grad=True) for v in (a, b))
    found = {f"forward {n}": best(f, number, repeats) for n, f in forward_calls(x, y, library).items()}
    length = 100
    chain = best(backward_chain(x, length), max(number // 200, 3), repeats) / length
    found["forward + backward, per multiply"] = chain
    found["MLP 10-10-5-1 training step"] = best(mlp(library, layers, optimizers), max(number // 20, 20), repeats)
    return found


def run(contender: str, quick: bool, threads: int) -> dict[str, float]:
    """The same in a fresh process."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, __file__, "--contender", contender, "--threads", str(threads), *(["--quick"] if quick else [])]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


def main() -> None:
    """Measure all contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description="microseconds per recorded operation over NumPy's own call")
    parser.add_argument("--quick", action="store_true", help="a few repeats only: does it run?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(options.contender, options.quick, options.threads)))
        return
    contenders = ["numpy", "chainrule", *(["torch"] if find_spec("torch") else [])]
    rounds: dict[str, list[dict[str, float]]] = {c: [] for c in contenders}
    for _ in range(1 if options.quick else 5):
        for c in contenders:
            rounds[c].append(run(c, options.quick, options.threads))
    median = {c: {n: statistics.median(r[n] for r in found) for n in found[0]} for c, found in rounds.items()}
    print(f"Python {platform.python_version()}, {platform.machine()}, threads: {options.threads}; OPENBLAS_* cleared; microseconds")
    print(f"{'':34}" + "".join(f"{c:>12}" for c in contenders) + f"{'over NumPy':>12}")
    for name in median["chainrule"]:
        base = median["numpy"].get(name)
        row = "".join(f"{median[c][name]:12.2f}" if name in median[c] else f"{'–':>12}" for c in contenders)
        print(f"{name:34}{row}" + (f"{median['chainrule'][name] - base:12.2f}" if base is not None else ""))


if __name__ == "__main__":
    main()
