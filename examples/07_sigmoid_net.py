"""A small dense network with a sigmoid at its end tells two moons of points apart.

Its output is the probability that a point belongs to the lower moon; binary cross-entropy is its loss.
Run it: python examples/07_sigmoid_net.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import chainrule as cr
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset


def moons(count, seed):
    """Points (count, 2) and which moon they belong to (count, 1), 0 or 1, as float32."""
    points, labels = make_moons(count, noise=0.2, random_state=seed)
    return cr.tensor(points.astype(np.float32)), cr.tensor(labels.astype(np.float32)).unsqueeze(1)


def accuracy(model, points, labels):
    """The share of points whose probability lies on the right side of one half."""
    with cr.no_grad():
        return ((model(points) > 0.5) == (labels > 0.5)).float().mean().item()


def draw(path, model, points, labels):
    """The probability at each place, and the points."""
    x, y = np.meshgrid(np.linspace(-2, 3, 120), np.linspace(-1.5, 2, 100))
    grid = cr.tensor(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32))
    with cr.no_grad():
        probability = model(grid).cpu().numpy().reshape(x.shape)
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    ax = figure.subplots()
    shades = ax.contourf(x, y, probability, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.7)
    ax.contour(x, y, probability, levels=[0.5], colors="black", linewidths=1)
    for label, color in ((0, "tab:blue"), (1, "tab:red")):
        own = points.cpu().numpy()[labels.cpu().numpy()[:, 0] == label]
        ax.plot(own[:, 0], own[:, 1], ".", color=color, markersize=3)
    figure.colorbar(shades, label="probability")
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: two epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs = 2 if arguments.quick else 60

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, (points, labels) = TensorDataset(*moons(1000, seed=1)), moons(500, seed=2)
    model = layers.Sequential(layers.Linear(2, 16), layers.ReLU(),
                              layers.Linear(16, 16), layers.ReLU(),
                              layers.Linear(16, 1), layers.Sigmoid())
    print(model)
    loss_fn = layers.BCELoss()
    optimizer = optim.RMSprop(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.97)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for inputs, targets in DataLoader(training, batch_size=50, shuffle=True):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs) / len(training)
        schedule.step()
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch:2}   loss {total:.4f}   test accuracy {accuracy(model, points, labels):.1%}")
    seconds = time.perf_counter() - start

    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "07_sigmoid_net.png", model, points, labels)
    print(f"{accuracy(model, points, labels):.1%} of {len(points)} test points told apart, in {seconds:.1f} s")
    print(arguments.out / "07_sigmoid_net.png")


if __name__ == "__main__":
    main()
