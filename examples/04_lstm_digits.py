"""A two-layer LSTM reads handwritten digits as one reads a page: row by row, eight rows of eight pixels.

After the last row its state says which digit it was. Run it: python examples/04_lstm_digits.py
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


class RowReader(layers.Module):
    """Images (N, 1, 8, 8) -> logits (N, 8, 10): what it believes after each row."""

    def __init__(self, hidden_size):
        self.lstm = layers.LSTM(8, hidden_size, num_layers=2, batch_first=True, dropout=0.2)
        self.classify = layers.Linear(hidden_size, 10)

    def forward(self, images):
        states, _ = self.lstm(images.squeeze(1))  # (N, 8 rows, 8 pixels) -> (N, 8 rows, hidden)
        return self.classify(states)


def accuracy_by_row(model, dataset):
    """Of the images of a dataset, how many are read right after 1, 2 … 8 rows."""
    images, labels = dataset.tensors
    model.eval()
    with cr.no_grad():
        right = model(images).argmax(-1) == labels.unsqueeze(1)  # (N, 8)
    model.train()
    return right.float().mean(0)


def draw(path, model, held_out):
    """A picture: one digit of each kind, and how the belief in each class changes as the rows come in."""
    images, labels = held_out.tensors
    chosen = [int(np.flatnonzero(labels.cpu().data == digit)[0]) for digit in range(10)]
    model.eval()
    with cr.no_grad():
        belief = F.softmax(model(images[chosen]), dim=-1).cpu().numpy()
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots(2, 10)
    for digit, i in enumerate(chosen):
        axes[0, digit].imshow(images.cpu().data[i, 0], cmap="gray_r")
        axes[1, digit].imshow(belief[digit], cmap="Blues", vmin=0, vmax=1)  # a row of the image, a row of the belief
        axes[1, digit].set_xticks([digit])
        for ax in axes[:, digit]:
            ax.set_yticks([])
        axes[0, digit].set_xticks([])
    axes[0, 0].set_ylabel("image")
    axes[1, 0].set_ylabel("belief in 0…9\nafter each row", fontsize=8)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: two epochs of a small network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    hidden_size, epochs = (32, 2) if arguments.quick else (128, 30)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, held_out = digits(shifted=True)
    loader = DataLoader(training, batch_size=32, shuffle=True)
    model = RowReader(hidden_size)
    print(model)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=epochs * len(loader))
    for epoch in range(1, epochs + 1):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images)[:, -1], labels)  # only the belief after the last row counts
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 5 == 0 or epoch == epochs:
            print(f"epoch {epoch:2}   loss {total / len(loader):.4f}   held out {accuracy_by_row(model, held_out)[-1].item():.2%}")
    by_row = accuracy_by_row(model, held_out)
    seconds = time.perf_counter() - start
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "04_lstm_digits.png", model, held_out)
    print("held out, read right after each row: " + " ".join(f"{share:.0%}" for share in by_row.tolist()))
    print(f"{by_row[-1].item():.2%} of {len(held_out)} held-out digits read right, in {seconds:.1f} s")
    print(arguments.out / "04_lstm_digits.png")


if __name__ == "__main__":
    main()
