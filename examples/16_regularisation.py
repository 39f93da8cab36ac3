"""Few digits, some with a wrong label, and a network large enough to learn them all by heart: what helps?

There are 300 digits to learn from, and one label in five is replaced by chance. Left: L1 and L2 penalties, dropout and
augmentation (noise in the pixels) against nothing at all, by the accuracy on digits held out, whose labels are right.
Middle: SGD, with momentum and without, against Adam, by the training loss; right: a constant learning rate against steps and
a cosine. Run it: python examples/16_regularisation.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset, digits

COUNT, BATCH = 300, 20  # digits to learn from, and in each batch
WRONG = 0.2  # the share of labels that are replaced


def network(dropout=0.0):
    """Images (N, 1, 8, 8) -> logits (N, 10)."""
    return layers.Sequential(layers.Flatten(),
                             layers.Linear(64, 256), layers.ReLU(), layers.Dropout(dropout),
                             layers.Linear(256, 256), layers.ReLU(), layers.Dropout(dropout),
                             layers.Linear(256, 10))


def penalty(model, l1, l2):
    """l1 · Σ |w| + l2 · Σ w² over all weight matrices; biases are left alone."""
    weights = [p for p in model.parameters() if p.ndim == 2]
    return sum(l1 * w.abs().sum() + l2 * (w * w).sum() for w in weights)


def few_digits():
    """COUNT images and their labels, some of them wrong; and the images held out."""
    training, held_out = digits()
    chosen = cr.randperm(len(training))[:COUNT]
    images, labels = (t[chosen] for t in training.tensors)
    labels = cr.where(cr.rand(COUNT) < WRONG, cr.randint(0, 10, (COUNT,)), labels)
    return TensorDataset(images, labels), held_out


def train(epochs, seed, dropout=0.0, l1=0.0, l2=0.0, noise=0.0, optimizer=lambda p: optim.Adam(p, lr=1e-3), schedule=None):
    """Train one network; returns the loss, without penalties, and the held-out accuracy after each epoch."""
    cr.manual_seed(seed)  # the same digits, the same wrong labels and first weights for every network
    training, held_out = few_digits()
    model = network(dropout)
    steps = optimizer(model.parameters())
    rate = schedule(steps, epochs * COUNT // BATCH) if schedule else None
    losses, accuracies = [], []
    for _ in range(epochs):
        total = 0.0
        for images, labels in DataLoader(training, batch_size=BATCH, shuffle=True):
            if noise:
                images = images + noise * cr.randn(*images.shape)  # other images each time
            steps.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            total += loss.item() * BATCH / COUNT
            if l1 or l2:
                loss = loss + penalty(model, l1, l2)
            loss.backward()
            steps.step()
            if rate is not None:
                rate.step()
        losses.append(total)
        accuracies.append(accuracy(model, held_out))
    return np.array(losses), np.array(accuracies)


def accuracy(model, dataset: TensorDataset):
    """The share of images whose largest logit is their digit's."""
    images, labels = dataset.tensors
    model.eval()
    with cr.no_grad():
        share = (model(images).argmax(-1) == labels).float().mean().item()
    model.train()
    return share


MOMENTUM = {"optimizer": lambda p: optim.SGD(p, lr=0.1, momentum=0.9)}
REGULARISERS = {
    "nothing": {},
    "L1": {"l1": 1e-3},
    "L2": {"l2": 3e-3},
    "dropout": {"dropout": 0.5},
    "augmentation": {"noise": 0.3},
    "dropout, augmentation": {"dropout": 0.5, "noise": 0.3},
}
OPTIMIZERS = {
    "SGD": {"optimizer": lambda p: optim.SGD(p, lr=0.05)},
    "SGD, momentum 0.9": {"optimizer": lambda p: optim.SGD(p, lr=0.05, momentum=0.9)},
    "Adam": {"optimizer": lambda p: optim.Adam(p, lr=1e-3)},
}
SCHEDULES = {
    "constant": MOMENTUM,
    "steps": {**MOMENTUM, "schedule": lambda o, n: optim.lr_scheduler.StepLR(o, step_size=n // 3, gamma=0.1)},
    "cosine": {**MOMENTUM, "schedule": lambda o, n: optim.lr_scheduler.CosineAnnealingLR(o, T_max=n)},
}


def draw(path, regularised, optimized, scheduled):
    """All comparisons in one picture."""
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    colors = ("black", "tab:cyan", "tab:blue", "tab:orange", "tab:green", "tab:red")
    for color, (name, (_, accuracies)) in zip(colors, regularised.items()):
        left.plot(np.arange(1, len(accuracies) + 1), 100 * accuracies, label=name, linewidth=1.0, color=color)
    left.set_title("against learning by heart", fontsize=9)
    left.set(ylabel="held out, % right", ylim=(70, 96))
    for ax, runs, title in ((middle, optimized, "optimizers"), (right, scheduled, "learning rates (SGD, momentum 0.9)")):
        for name, (losses, _) in runs.items():
            ax.semilogy(np.arange(1, len(losses) + 1), losses, label=name, linewidth=1.0)
        ax.set_title(title, fontsize=9)
        ax.set(ylabel="training loss")
    for ax in (left, middle, right):
        ax.set_xlabel("epoch")
        ax.legend(fontsize=6, loc="best")
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: one epoch of each network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs = 1 if arguments.quick else 60

    start = time.perf_counter()
    regularised = {name: train(epochs, arguments.seed, **options) for name, options in REGULARISERS.items()}
    optimized = {name: train(epochs, arguments.seed, **options) for name, options in OPTIMIZERS.items()}
    scheduled = {name: train(epochs, arguments.seed, **options) for name, options in SCHEDULES.items()}
    seconds = time.perf_counter() - start

    last = max(1, epochs // 10)  # the mean of the last tenth of the epochs: single ones differ by chance
    for title, runs in (("regularisers", regularised), ("optimizers", optimized), ("learning rates", scheduled)):
        print(title)
        for name, (losses, accuracies) in runs.items():
            print(f"  {name:22}  loss {losses[-last:].mean():8.5f}   held out {accuracies[-last:].mean():.2%}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "16_regularisation.png", regularised, optimized, scheduled)
    print(f"{len(regularised) + len(optimized) + len(scheduled)} networks of {epochs} epochs, in {seconds:.1f} s")
    print(arguments.out / "16_regularisation.png")


if __name__ == "__main__":
    main()
