"""Small forms of VGG and ResNet on handwritten digits: the same data and training, with and without shortcuts.

Run it: python examples/09_resnet_vgg_digits.py
"""

import argparse
import time
from pathlib import Path

from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import optim
from chainrule.data import DataLoader, digits
from chainrule.layers import models


def accuracy(model, dataset):
    """The share of a dataset's images that are read right."""
    images, labels = dataset.tensors
    model.eval()
    with cr.no_grad():
        right = model(images).argmax(1) == labels
    model.train()
    return right.float().mean().item()


def train(name, model, loader, held_out, epochs):
    """SGD with momentum, weight decay, label smoothing, and a rate that rises and then falls; returns what it reached, epoch
    by epoch."""
    start = time.perf_counter()
    print(f"\n{name}: {sum(p.numel() for p in model.parameters()):,} parameters")
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=epochs * len(loader))
    reached = []
    for epoch in range(1, epochs + 1):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
        reached.append(accuracy(model, held_out))
        print(f"epoch {epoch:2}   loss {loss.item():.4f}   held out {reached[-1]:.2%}   {time.perf_counter() - start:.0f} s")
    return reached


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: one epoch of narrow networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs, width = (1, 4) if arguments.quick else (15, 16)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, held_out = digits(shifted=True)
    loader = DataLoader(training, batch_size=32, shuffle=True, drop_last=True)
    networks = {
        "VGG, 5 convolutions": models.vgg_small(width=2 * width),
        "ResNet-20": models.resnet20(in_channels=1, widths=(width, 2 * width, 4 * width)),
    }
    curves = {name: train(name, model, loader, held_out, epochs) for name, model in networks.items()}
    seconds = time.perf_counter() - start

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(range(1, epochs + 1), [100 * share for share in curve], marker="o", markersize=3, label=name)
    axes.set(title="Accuracy on held-out digits, %", xlabel="epoch")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    arguments.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out / "09_resnet_vgg_digits.png", dpi=80)
    print()
    for name, curve in curves.items():
        print(f"{name}: {curve[-1]:.2%} of {len(held_out)} held-out digits read right")
    print(f"in {seconds:.1f} s; {arguments.out / '09_resnet_vgg_digits.png'}")


if __name__ == "__main__":
    main()
