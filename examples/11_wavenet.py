"""WaveNet learns to continue waves: tones with overtones, one sample at a time.

Every sample is one of 64 classes (mu-law); the network gives a probability to each, from the samples before. Then it is
given the beginning of a note it has not heard, and goes on by itself.
Run it: python examples/11_wavenet.py
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import optim
from chainrule.layers import models

CLASSES = 64
UNHEARD = np.array([22.0, 28.5, 37.0])  # the held-out notes, as periods in samples; training keeps half a sample away


def note(period, phase, length, loudness=0.5):
    """A tone with three overtones: (length,) from -1 to 1."""
    t = np.arange(length) / period + phase
    return loudness * sum(np.sin(2 * math.pi * k * t) / k**1.5 for k in (1, 2, 3, 4))


def batch(rng, count, length):
    """Notes of random period from 20 to 40 samples, phase and loudness, as classes: (count, length)."""
    periods = rng.uniform(20, 40, 4 * count)
    heard = periods[np.abs(periods[:, None] - UNHEARD).min(1) > 0.5][:count]
    waves = [note(period, rng.random(), length, rng.uniform(0.3, 0.6)) for period in heard]
    return models.mu_law_encode(np.stack(waves), CLASSES)


def loss_of(model, codes):
    """The mean of -log p(next sample), in bits, where the network has seen all it can see."""
    logits = model(codes[:, :-1])  # (N, classes, T - 1)
    start = model.receptive_field
    return F.cross_entropy(logits[:, :, start:], codes[:, start + 1:]) / math.log(2)


def draw(path, codes, given, truth):
    """A picture: what was given, what it made of it, and how the note really went on."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, made, true in zip(figure.subplots(len(codes), 1, sharex=True), models.mu_law_decode(codes, CLASSES).cpu().data, truth,
                                strict=True):
        shown = slice(given - 120, given + 360)
        places = np.arange(len(made))[shown] - given
        axes.plot(places, true[shown], color="#bbbbbb", linewidth=3, label="the note")
        axes.plot(places, made[shown], color="#1f4e79", linewidth=1, label="WaveNet, from 0 on by itself")
        axes.axvline(0, color="#c0392b", linewidth=1)
        axes.set_ylim(-1.1, 1.1)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, loc="upper right", fontsize=8, ncols=2)
    figure.axes[-1].set_xlabel("sample")
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few steps of a small network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    channels, depth, steps, length, ahead = (8, 4, 5, 100, 40) if arguments.quick else (24, 6, 600, 512, 360)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    model = models.WaveNet(CLASSES, channels, layers=depth, blocks=2)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, each prediction from {model.receptive_field} samples")
    held_out = models.mu_law_encode(np.stack([note(period, phase, length) for period in UNHEARD for phase in (0, 0.3, 0.6)]),
                                    CLASSES)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = loss_of(model, batch(rng, 8, length))
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            with cr.no_grad():
                unseen = loss_of(model, held_out).item()
            print(f"step {step:4}   {loss.item():.3f} bits a sample   on notes it has not heard {unseen:.3f}   "
                  f"{time.perf_counter() - start:.0f} s")

    given = 2 * model.receptive_field
    truth = np.stack([note(period, 0.25, given + ahead) for period in UNHEARD])
    began = time.perf_counter()
    codes = model.generate(models.mu_law_encode(truth[:, :given], CLASSES), ahead, temperature=0.3)
    print(f"{ahead} samples of {len(truth)} notes drawn one after the other in {time.perf_counter() - began:.1f} s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "11_wavenet.png", codes, given, truth)
    print(f"{unseen:.3f} bits a sample on notes it has not heard (of {math.log2(CLASSES):.0f} for a guess), "
          f"in {time.perf_counter() - start:.1f} s; {arguments.out / '11_wavenet.png'}")


if __name__ == "__main__":
    main()
