"""A convolutional network reads handwritten digits: conv32, pool, conv64, pool, fully connected 128, fully connected 10.

Run it: python examples/03_cnn_digits.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import DataLoader, digits


def build():
    """Images (N, 1, 8, 8) -> logits (N, 10)."""
    return layers.Sequential(
        layers.Conv2d(1, 32, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2),  # -> (N, 32, 4, 4)
        layers.Conv2d(32, 64, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2),  # -> (N, 64, 2, 2)
        layers.Flatten(),  # -> (N, 256)
        layers.Linear(256, 128), layers.ReLU(), layers.Dropout(0.3),
        layers.Linear(128, 10))


def probabilities(model, images):
    """What the network believes of each image: (N, 10), rows that sum to 1."""
    model.eval()
    with cr.no_grad():
        found = F.softmax(model(images), dim=1)
    model.train()
    return found


def draw(path, model, image):
    """A picture: the kernels of the first convolution, and where each of them fires on one digit."""
    seen = []
    with model[1].register_forward_hook(lambda module, arguments, output: seen.append(output)), cr.no_grad():
        model(image.unsqueeze(0))
    kernels, fires = model[0].weight.cpu().data[:, 0], seen[0].cpu().data[0]  # (32, 3, 3), (32, 8, 8)
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    parts = figure.subfigures(1, 3, width_ratios=(1, 2, 2))
    parts[0].subplots().imshow(image.cpu().data[0], cmap="gray_r")
    for part, tiles, colours, title in ((parts[1], kernels, "RdBu", "32 kernels"), (parts[2], fires, "Blues", "where they fire")):
        part.suptitle(title, fontsize=9)
        for ax, tile in zip(part.subplots(4, 8).flat, tiles, strict=True):
            limit = np.abs(tiles).max()
            ax.imshow(tile, cmap=colours, vmin=-limit if colours == "RdBu" else 0, vmax=limit)
            ax.set_axis_off()
    parts[0].axes[0].set_axis_off()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: two epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs = 2 if arguments.quick else 40

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, held_out = digits(shifted=True)
    loader = DataLoader(training, batch_size=32, shuffle=True)
    model = build()
    print(model)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    for epoch in range(1, epochs + 1):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        right = probabilities(model, held_out.tensors[0]).argmax(1) == held_out.tensors[1]
        if epoch % 5 == 0 or epoch == epochs:
            print(f"epoch {epoch:2}   loss {total / len(loader):.4f}   held out {right.float().mean().item():.2%}")
    seconds = time.perf_counter() - start
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "03_cnn_digits.png", model, held_out.tensors[0][0])
    print(f"{right.float().mean().item():.2%} of {len(held_out)} held-out digits read right, in {seconds:.1f} s")
    print(arguments.out / "03_cnn_digits.png")


if __name__ == "__main__":
    main()
