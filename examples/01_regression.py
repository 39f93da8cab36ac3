"""A small network learns a function of ten numbers, of which only five matter, from noisy examples.

The function is Friedman's (1991): y = 10 sin(π x₁ x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ + noise of standard deviation 1, with x
uniform between 0 and 1. Nothing can predict the noise, so that no model has a mean squared error below 1.
Run it: python examples/01_regression.py
"""

import argparse
import math
import time
from pathlib import Path

from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset


def friedman(count):
    """So many examples: inputs (count, 10) and targets (count, 1)."""
    x = cr.rand(count, 10)
    y = 10 * (math.pi * x[:, 0] * x[:, 1]).sin() + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, (y + cr.randn(count)).unsqueeze(1)


def evaluate(model, x, y):
    """The mean squared error, and R²: the share of the targets' variance that the model explains."""
    with cr.no_grad():
        loss = F.mse_loss(model(x), y).item()
    return loss, 1 - loss / y.var(correction=0).item()


def draw(path, model, x, y):
    """What the model says against what is true."""
    figure = Figure(figsize=(3.2, 3.0), layout="constrained")
    ax = figure.subplots()
    with cr.no_grad():
        ax.plot(y.cpu().numpy(), model(x).cpu().numpy(), ".", markersize=2)
    ax.axline((0, 0), slope=1, color="gray", linewidth=0.8)
    ax.set(xlabel="target", ylabel="prediction")
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: three epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs = 3 if arguments.quick else 60

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, (x, y) = TensorDataset(*friedman(4000)), friedman(1000)
    model = layers.Sequential(layers.Linear(10, 10), layers.Tanh(),
                              layers.Linear(10, 5), layers.Tanh(),
                              layers.Linear(5, 1))
    print(model)
    loss_fn = layers.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(1, epochs + 1):
        for inputs, targets in DataLoader(training, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
        if epoch % 10 == 0 or epoch == epochs:
            mse, r2 = evaluate(model, x, y)
            print(f"epoch {epoch:2}   test: mean squared error {mse:.3f}, R² {r2:.3f}")
    seconds = time.perf_counter() - start

    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "01_regression.png", model, x, y)
    print(f"test R² {r2:.3f}, mean squared error {mse:.3f} (the noise alone: 1), in {seconds:.1f} s")
    print(arguments.out / "01_regression.png")


if __name__ == "__main__":
    main()
