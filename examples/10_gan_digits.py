"""Two networks play against each other until one of them draws digits: a DCGAN, and a Wasserstein GAN with gradient penalty.

The penalty is a function of the critic's gradient, so training differentiates through a derivative of convolutions.
Run it: python examples/10_gan_digits.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import optim
from chainrule.data import DataLoader, TensorDataset, digits
from chainrule.layers import models

LATENT = 32
SIZE = 16  # of the images, in pixels: the digits twice as large


def real_digits():
    """The digits as the generator would make them: (N, 1, 16, 16), from -1 to 1."""
    training, _ = digits()
    return 2 * F.interpolate(training.tensors[0], SIZE, mode="bilinear") - 1


def dcgan_step(generator, discriminator, by, real):
    """One step each. The discriminator learns to say 1 to real digits and 0 to made ones, the generator to be told 1."""
    made = generator(cr.randn(len(real), LATENT))
    by["discriminator"].zero_grad()
    ones, zeros = cr.ones(len(real)), cr.zeros(len(real))
    loss = (F.binary_cross_entropy_with_logits(discriminator(real), ones * 0.9)  # one-sided label smoothing
            + F.binary_cross_entropy_with_logits(discriminator(made.detach()), zeros))
    loss.backward()
    by["discriminator"].step()

    by["generator"].zero_grad()
    answer = F.binary_cross_entropy_with_logits(discriminator(made), ones)
    answer.backward()
    by["generator"].step()
    return loss.item(), answer.item()


def penalty(critic, real, made):
    """(‖∇critic(x)‖ − 1)² at points x between real and made images: it keeps the critic's slope near 1."""
    share = cr.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * made).detach().requires_grad_()
    gradient, = cr.grad(critic(between).sum(), between, create_graph=True)  # (N, 1, 16, 16), itself differentiable
    length = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (length - 1).square().mean()


def wgan_step(generator, critic, by, real, critic_steps=3):
    """Some steps of the critic, which estimates how far the made images are from the real ones, then one of the generator."""
    for _ in range(critic_steps):
        with cr.no_grad():
            made = generator(cr.randn(len(real), LATENT))
        by["discriminator"].zero_grad()
        distance = critic(real).mean() - critic(made).mean()
        (10 * penalty(critic, real, made) - distance).backward()
        by["discriminator"].step()

    by["generator"].zero_grad()
    answer = -critic(generator(cr.randn(len(real), LATENT))).mean()
    answer.backward()
    by["generator"].step()
    return distance.item(), answer.item()


def train(name, step, batch_norm, rates, width, steps):
    """Train a pair of networks; returns the generator."""
    start = time.perf_counter()
    generator = models.DCGANGenerator(LATENT, 1, width, SIZE)
    judge = models.DCGANDiscriminator(1, width, SIZE, batch_norm)
    by = {"generator": optim.Adam(generator.parameters(), lr=rates[0], betas=(0.5, 0.9)),
          "discriminator": optim.Adam(judge.parameters(), lr=rates[1], betas=(0.5, 0.9))}
    loader = DataLoader(TensorDataset(real_digits()), batch_size=64, shuffle=True, drop_last=True)
    done = 0
    while done < steps:
        for real, in loader:
            first, second = step(generator, judge, by, real)
            done += 1
            if done % 200 == 0 or done == steps:
                print(f"{name} step {done:4}   judge {first:7.3f}   generator {second:7.3f}   {time.perf_counter() - start:.0f} s")
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
    """Of 500 made digits: how many the reader is sure of (at least 90 %), and how many of the ten digits are among those."""
    with cr.no_grad():
        made = F.avg_pool2d((generator(cr.randn(500, LATENT)) + 1) / 2, 2)  # as small as the digits it has learned from
        belief = F.softmax(model(made), 1).data
    sure = belief.max(1) > 0.9
    kinds = np.bincount(belief.argmax(1)[sure], minlength=10)
    return sure.mean(), int((kinds >= 5).sum())


def draw(path, rows):
    """A picture: real digits, and those that each generator made."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    for part, (name, tiles) in zip(figure.subfigures(1, len(rows)), rows.items(), strict=True):
        part.suptitle(name, fontsize=10)
        framed = np.pad(tiles.data.reshape(5, 8, SIZE, SIZE), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
        sheet = framed.transpose(0, 2, 1, 3).reshape(5 * (SIZE + 2), 8 * (SIZE + 2))
        axes = part.subplots()
        axes.imshow(sheet, cmap="gray_r", vmin=-1, vmax=1)
        axes.set_axis_off()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few steps of narrow networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    width, steps = (4, 5) if arguments.quick else (24, 1000)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    pairs = {"DCGAN": train("DCGAN", dcgan_step, True, (1e-3, 5e-4), width, steps),
             "WGAN with gradient penalty": train("WGAN", wgan_step, False, (1e-3, 1e-3), width, steps * 3 // 5)}
    with cr.no_grad():
        made = {name: generator(cr.randn(40, LATENT)) for name, generator in pairs.items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "10_gan_digits.png", {"real digits": real_digits()[cr.randperm(1400)[:40]]} | made)
    model, accuracy = reader(1 if arguments.quick else 10)
    print(f"judged by a small VGG that reads {accuracy:.1%} of held-out digits right:")
    for name, generator in pairs.items():
        sure, kinds = judge_samples(model, generator)
        print(f"{name}: it is sure of {sure:.0%} of the made digits, and finds {kinds} of the ten digits among them")
    print(f"in {time.perf_counter() - start:.1f} s; {arguments.out / '10_gan_digits.png'}")


if __name__ == "__main__":
    main()
