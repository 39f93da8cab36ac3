"""Two networks play against each other until one of them draws digits: a DCGAN, and a Wasserstein GAN with gradient penalty.

The generator is told which digit to draw, the other network which one it is looking at (a conditional GAN, Mirza & Osindero
2014). The penalty is a function of the critic's gradient, so training differentiates through a derivative of convolutions.
Run it: python examples/10_gan_digits.py
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
from chainrule.layers import models

LATENT = 16


class Generator(layers.Module):
    """Labels of the digits to draw (N) -> images (N, 1, 8, 8) from -1 to 1, each from fresh noise."""

    def __init__(self, width):
        super().__init__()
        self.layers = layers.Sequential(
            layers.Linear(LATENT + 10, 8 * width, bias=False), layers.BatchNorm1d(8 * width), layers.ReLU(),
            layers.Linear(8 * width, 16 * width, bias=False), layers.Unflatten(1, (width, 4, 4)),
            layers.BatchNorm2d(width), layers.ReLU(),
            layers.ConvTranspose2d(width, 1, 4, stride=2, padding=1), layers.Tanh())  # 4 × 4 -> 8 × 8

    def forward(self, labels):
        noise = cr.randn(len(labels), LATENT)
        return self.layers(cr.cat([noise, F.one_hot(labels, 10).float()], 1))


class Discriminator(layers.Module):
    """Images (N, 1, 8, 8) and the labels of the digits they should show (N) -> a number each (N), high for real ones.

    The critic of a Wasserstein GAN looks at one image at a time and therefore has no batch norm.
    """

    def __init__(self, width, batch_norm):
        super().__init__()
        self.features = layers.Sequential(
            layers.Conv2d(1, width, 4, stride=2, padding=1), layers.LeakyReLU(0.2), layers.Flatten())  # 8 × 8 -> 4 × 4
        self.score = layers.Sequential(
            layers.Linear(16 * width + 10, 8 * width), layers.BatchNorm1d(8 * width) if batch_norm else layers.Identity(),
            layers.LeakyReLU(0.2), layers.Linear(8 * width, 1), layers.Flatten(0))

    def forward(self, images, labels):
        return self.score(cr.cat([self.features(images), F.one_hot(labels, 10).float()], 1))


def dcgan_step(generator, discriminator, by, real, labels):
    """One step each. The discriminator learns to say 1 to real digits and 0 to made ones, the generator to be told 1."""
    made = generator(labels)
    by["discriminator"].zero_grad()
    ones, zeros = cr.ones(len(real)), cr.zeros(len(real))
    loss = (F.binary_cross_entropy_with_logits(discriminator(real, labels), ones * 0.9)  # one-sided label smoothing
            + F.binary_cross_entropy_with_logits(discriminator(made.detach(), labels), zeros))
    loss.backward()
    by["discriminator"].step()

    by["generator"].zero_grad()
    answer = F.binary_cross_entropy_with_logits(discriminator(made, labels), ones)
    answer.backward()
    by["generator"].step()
    return loss.item(), answer.item()


def penalty(critic, real, made, labels):
    """(‖∇critic(x)‖ − 1)² at points x between real and made images: it keeps the critic's slope near 1."""
    share = cr.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * made).detach().requires_grad_()
    gradient, = cr.grad(critic(between, labels).sum(), between, create_graph=True)  # (N, 1, 8, 8), itself differentiable
    length = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (length - 1).square().mean()


def wgan_step(generator, critic, by, real, labels, critic_steps=2):
    """Some steps of the critic, which estimates how far the made images are from the real ones, then one of the generator."""
    for _ in range(critic_steps):
        with cr.no_grad():
            made = generator(labels)
        by["discriminator"].zero_grad()
        distance = critic(real, labels).mean() - critic(made, labels).mean()
        (10 * penalty(critic, real, made, labels) - distance).backward()
        by["discriminator"].step()

    by["generator"].zero_grad()
    answer = -critic(generator(labels), labels).mean()
    answer.backward()
    by["generator"].step()
    return distance.item(), answer.item()


def train(name, step, batch_norm, rates, width, steps):
    """Train a pair of networks; returns the generator."""
    start = time.perf_counter()
    generator, discriminator = Generator(width), Discriminator(width, batch_norm)
    by = {"generator": optim.Adam(generator.parameters(), lr=rates[0], betas=(0.5, 0.99)),
          "discriminator": optim.Adam(discriminator.parameters(), lr=rates[1], betas=(0.5, 0.99))}
    schedules = [optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) for optimizer in by.values()]
    images, names = digits()[0].tensors
    loader = DataLoader(TensorDataset(2 * images - 1, names), batch_size=64, shuffle=True, drop_last=True)
    done = 0
    while done < steps:
        for real, labels in loader:
            first, second = step(generator, discriminator, by, real, labels)
            for schedule in schedules:
                schedule.step()
            done += 1
            if done % 200 == 0 or done == steps:
                print(f"{name} step {done:4}   discriminator {first:7.3f}   generator {second:7.3f}   "
                      f"{time.perf_counter() - start:.0f} s")
            if done == steps:
                break
    return generator.eval()


def reader(epochs):
    """A small network that reads digits, to judge the made ones by, and how well it reads."""
    training, held_out = digits(shifted=True)
    model, loader = models.vgg_small(width=16), DataLoader(training, batch_size=32, shuffle=True)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=epochs * len(loader))
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with cr.no_grad():
        right = model(held_out.tensors[0]).argmax(1) == held_out.tensors[1]
    return model, right.float().mean().item()


def judge_samples(model, generator):
    """Of 1000 made digits, 100 of each: how many the reader is sure of (at least 90 %), and how many it reads as asked for."""
    asked = cr.arange(1000) % 10
    with cr.no_grad():
        belief = F.softmax(model((generator(asked) + 1) / 2), 1)
    sure, read = belief.amax(1) >= 0.9, belief.argmax(1)
    kinds = np.bincount(read[sure].cpu().data, minlength=10)
    return sure.float().mean().item(), int((kinds >= 10).sum()), (read == asked).float().mean().item()


def draw(path, rows):
    """A picture: real digits, and those that each generator made; a column for each of the ten digits."""
    figure = Figure(figsize=(13, 2.6), layout="constrained")
    for part, (name, tiles) in zip(figure.subfigures(1, len(rows)), rows.items(), strict=True):
        part.suptitle(name, fontsize=10)
        framed = np.pad(tiles.cpu().data.reshape(5, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
        axes = part.subplots()
        axes.imshow(framed.transpose(0, 2, 1, 3).reshape(50, 100), cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_axis_off()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few steps of narrow networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    width, steps = (4, 5) if arguments.quick else (32, 2000)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    pairs = {"DCGAN": train("DCGAN", dcgan_step, True, (2e-3, 1e-3), width, steps),
             "WGAN with gradient penalty": train("WGAN", wgan_step, False, (2e-3, 2e-3), width, steps)}
    asked = cr.arange(50) % 10
    with cr.no_grad():
        made = {name: generator(asked) for name, generator in pairs.items()}
    images, labels = digits()[0].tensors
    real = cr.stack([images[labels == int(digit)][row] for row, digit in enumerate(asked.tolist())])
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "10_gan_digits.png", {"real digits": 2 * real - 1} | made)
    model, accuracy = reader(1 if arguments.quick else 10)
    print(f"judged by a small VGG that reads {accuracy:.1%} of held-out digits right:")
    for name, generator in pairs.items():
        sure, kinds, right = judge_samples(model, generator)
        print(f"{name}: it is sure of {sure:.0%} of the made digits, finds {kinds} of the ten digits among these, "
              f"and reads {right:.0%} of all as what the generator was asked for")
    print(f"in {time.perf_counter() - start:.1f} s; {arguments.out / '10_gan_digits.png'}")


if __name__ == "__main__":
    main()
