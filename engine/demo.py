"""The demo: a network learns to read real handwritten digits, in under a minute.

`python -m chainrule demo` runs `main`. It is written to be read as an example: data, model, training loop, pictures.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.data import DataLoader, TensorDataset, digits
from chainrule.graph import no_grad
from chainrule.layers import Conv2d, CrossEntropyLoss, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from chainrule.optim import Adam
from chainrule.random import manual_seed
from chainrule.serialization import save_file

BATCH, RATE = 32, 3e-3
RIGHT, WRONG, INK = "#2a7f4f", "#c0392b", "#333333"
PITCH = 1.22  # from one row of digits to the next on the sheet, in inches


def build(name: str) -> Sequential:
    """The network: "cnn" looks for strokes with convolutions, "mlp" sees 64 unordered pixels."""
    if name == "mlp":
        return Sequential(Flatten(), Linear(64, 128), ReLU(), Dropout(0.2), Linear(128, 128), ReLU(), Linear(128, 10))
    return Sequential(
        Conv2d(1, 32, 3, padding=1), ReLU(),  # (N, 1, 8, 8) -> (N, 32, 8, 8)
        Conv2d(32, 32, 3, padding=1), ReLU(), MaxPool2d(2),  # -> (N, 32, 4, 4)
        Conv2d(32, 64, 3, padding=1), ReLU(),  # -> (N, 64, 4, 4)
        Flatten(), Dropout(0.3), Linear(1024, 10))  # -> (N, 1024) -> (N, 10)


def probabilities(model: Module, examples: TensorDataset) -> Any:
    """What the network believes of each digit: an array (N, 10) whose rows sum to 1."""
    model.eval()
    with no_grad():
        found = F.softmax(model(examples.tensors[0]), dim=1)
    model.train()
    return found.data


def train(model: Module, examples: TensorDataset, held: TensorDataset, epochs: int) -> tuple[list[float], list[float]]:
    """Train by Adam with a rate that falls to 0 along a cosine; returns the loss of each step and the held-out accuracy
    after each epoch."""
    from tqdm import tqdm

    loader = DataLoader(examples, BATCH, shuffle=True)
    criterion = CrossEntropyLoss()
    optimizer = Adam(model.parameters(), lr=RATE)
    steps = epochs * len(loader)
    losses: list[float] = []
    accuracies: list[float] = []
    with tqdm(total=steps, unit="step", disable=None, leave=False) as bar:  # None: only on a terminal
        for epoch in range(1, epochs + 1):
            for images, labels in loader:
                optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * len(losses) / steps)) / 2
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.update()
            accuracies.append(float((probabilities(model, held).argmax(1) == held.tensors[1].data).mean()))
            tqdm.write(f"epoch {epoch:{len(str(epochs))}}/{epochs}   loss {np.mean(losses[-len(loader):]):.4f}   "
                       f"held-out accuracy {accuracies[-1]:6.2%}")
    return losses, accuracies


def draw_curve(path: Path, losses: list[float], accuracies: list[float]) -> None:
    """The learning curve as a PNG: the loss of each step and its mean of each epoch, and the held-out accuracy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(accuracies) + 1)
    steps = len(losses) // len(epochs)
    left.plot(np.arange(1, len(losses) + 1) / steps, losses, color="#9db8d2", linewidth=0.7, label="each step")
    left.plot(epochs, np.reshape(losses, (len(epochs), steps)).mean(1), color="#1f4e79", marker="o", markersize=3.5,
              label="mean of the epoch")
    left.set(title="Cross-entropy loss, training", xlabel="epoch", yscale="log")
    left.legend(frameon=False)
    right.plot(epochs, 100 * np.array(accuracies), color=RIGHT, marker="o", markersize=3.5)
    right.annotate(f"{accuracies[-1]:.1%}", (epochs[-1], 100 * accuracies[-1]), (0, -9), textcoords="offset points",
                   ha="right", va="top", color=RIGHT, fontweight="bold")
    right.set(title="Accuracy on held-out digits, %", xlabel="epoch")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=100)


def draw_digits(path: Path, images: Any, labels: Any, belief: Any) -> None:
    """A sheet of held-out digits as a PNG: on top those that were read wrong (the 20 worst), then some of each digit
    that were read right; under each what was read, and how sure the network was."""
    from matplotlib.figure import Figure

    read, sure = belief.argmax(1), belief.max(1)
    wrong = np.flatnonzero(read != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:20]
    right = [np.flatnonzero((read == labels) & (labels == digit))[:4] for digit in range(10)]
    top = max(1, -(-len(wrong) // 10))
    figure = Figure(figsize=(10, PITCH * (top + 4) + 0.95))
    height = figure.get_figheight()

    def show(row: float, column: int, i: int) -> None:
        """Digit i in a cell; `row` counts from the top of the sheet, in cells."""
        color = RIGHT if read[i] == labels[i] else WRONG
        left, bottom = 0.03 + 0.095 * column, 1 - (PITCH * (row + 1) + 0.05) / height
        axes = figure.add_axes((left, bottom + 0.33 / height, 0.085, 0.85 / height))
        axes.imshow(images[i, 0], cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(edgecolor=color, linewidth=1.0 if color == RIGHT else 2.5)
        text = f"{read[i]}" if color == RIGHT else f"{read[i]}, is {labels[i]}"
        axes.set_xlabel(f"{text} · {sure[i]:.0%}", color=color, fontsize=9, labelpad=3)

    def heading(row: float, text: str, color: str) -> None:
        """A line of text above a row."""
        figure.text(0.03, 1 - (PITCH * row + 0.02) / height, text, color=color, fontsize=11, fontweight="bold",
                    va="top")

    count = int((read != labels).sum())
    heading(0.1, f"Read wrong: {count} of {len(labels)} held-out digits" + (", the 20 surest" if count > 20 else ""),
            WRONG)
    for place, i in enumerate(wrong):
        show(0.25 + place // 10, place % 10, int(i))
    if not count:
        figure.text(0.03, 1 - 1.0 / height, "none", color=INK, fontsize=11)
    heading(0.5 + top, f"Read right: {len(labels) - count}, of which four of each", RIGHT)
    for digit, found in enumerate(right):
        for row, i in enumerate(found):
            show(0.65 + top + row, digit, int(i))
    figure.savefig(path, dpi=100)


def main(arguments: argparse.Namespace) -> int:
    """Train, report, and write the pictures and the weights; returns 0.

    `arguments` has `model` ("cnn" or "mlp"), `epochs`, `out` (a folder, which is made) and `seed`. The same seed gives
    the same bits. Raises ModuleNotFoundError where scikit-learn, matplotlib or tqdm is missing.
    """
    start = time.perf_counter()
    manual_seed(arguments.seed)
    training, held = digits(shifted=arguments.model == "cnn")  # to an MLP a digit moved by a pixel is another digit
    model = build(arguments.model)
    print(f"{len(training) + len(held):,} handwritten digits of 8 x 8 pixels: "
          f"{len(training):,} to learn from, {len(held)} held out\n")
    print(model, end="\n\n", flush=True)
    losses, accuracies = train(model, training, held, arguments.epochs)
    seconds = time.perf_counter() - start
    images, labels = (t.data for t in held.tensors)
    belief = probabilities(model, held)
    right = int((belief.argmax(1) == labels).sum())
    print(f"\n{right} of {len(held)} held-out digits read right, {right / len(held):.1%}, after {seconds:.1f} s\n")

    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    draw_curve(out / "learning-curve.png", losses, accuracies)
    draw_digits(out / "predictions.png", images, labels, belief)
    weights = out / f"{arguments.model}.safetensors"
    made = f"seed {arguments.seed}, {arguments.epochs} epochs, accuracy {right / len(held):.4f}"
    save_file(model.state_dict(), str(weights), {"training": made})  # one entry: their order in the file is not fixed
    print(f"{out / 'learning-curve.png'}   loss and accuracy, epoch by epoch\n"
          f"{out / 'predictions.png'}   held-out digits and what was read\n"
          f"{weights}   the weights: model.load_state_dict(chainrule.load_file({str(weights)!r}))\n\n"
          "What to try next:\n"
          f"  python -m chainrule demo --model {'mlp' if arguments.model == 'cnn' else 'cnn'}    the other network\n"
          f"  python -m chainrule demo --seed {arguments.seed + 1}       other first weights, same held-out digits\n"
          f"  read {__file__}: this demo, and change it")
    return 0
