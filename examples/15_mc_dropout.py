"""How sure is a network? A GRU learns how a stiff spring follows a push, and says how far its answer can be trusted.

It has only seen gentle pushes. Dropout stays on when it predicts, one mask per sequence (variational dropout, Gal &
Ghahramani 2016): a hundred masks are a hundred networks that agree where there were data and part where there were none.
Run it: python examples/15_mc_dropout.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

DT, NOISE, STRONGEST = 0.1, 0.02, 1.0  # the time step, of the measurements, of the pushes in training


def pushes(generator, count, steps):
    """Smooth random pushes (count, steps) of about the size 1: sums of three waves."""
    frequency, phase = generator.uniform(0.2, 1.6, (count, 3, 1)), generator.uniform(0, 2 * np.pi, (count, 3, 1))
    return 1.7 * np.sin(frequency * DT * np.arange(steps) + phase).mean(1)


def respond(push):
    """Where the spring is, y'' = u - 0.4 y' - y - y³, for pushes u (count, steps): four small steps for each one."""
    place, speed, places = np.zeros(len(push)), np.zeros(len(push)), np.empty_like(push)
    for t in range(push.shape[1]):
        for _ in range(4):
            speed = speed + DT / 4 * (push[:, t] - 0.4 * speed - place - place**3)
            place = place + DT / 4 * speed
        places[:, t] = place
    return places


class Spring(layers.Module):
    """Pushes (N, T) -> where the spring is (N, T)."""

    def __init__(self, hidden_size, p):
        self.gru = layers.GRU(1, hidden_size, batch_first=True, variational_dropout=p)
        self.place = layers.Linear(hidden_size, 1)

    def forward(self, push):
        states, _ = self.gru(push.unsqueeze(-1))
        return self.place(states).squeeze(-1)


def predict(model, push, samples):
    """Mean and standard deviation (T) of the answers of `samples` masks: the same push, each time with its own mask."""
    model.train()  # dropout stays on
    with cr.no_grad():
        answers = model(cr.tensor(push, dtype=cr.float32).expand(samples, -1)).cpu().numpy()
    return answers.mean(0), answers.std(0)


def draw(path, push, truth, mean, deviation):
    """The push; below it the spring, what the network expects, and how sure it is."""
    time_axis = DT * np.arange(len(push))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    above.plot(time_axis, push, color="#555555", linewidth=1)
    above.axhspan(-1.7 * STRONGEST, 1.7 * STRONGEST, color="#2a7f4f", alpha=0.15, label="seen in training")
    above.set_ylabel("push")
    above.legend(loc="upper left", frameon=False, fontsize=8)
    for width, shade in ((2, 0.2), (1, 0.35)):
        below.fill_between(time_axis, mean - width * deviation, mean + width * deviation, color="#1f77b4", alpha=shade,
                           linewidth=0, label=f"± {width} standard deviation{'s' if width > 1 else ''}")
    below.plot(time_axis, mean, color="#1f4e79", linewidth=1, label="mean of 100 masks")
    below.plot(time_axis, truth, color="#c0392b", linewidth=1, linestyle="--", label="the spring")
    below.set(xlabel="time", ylabel="place")
    below.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few steps of a small network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    hidden_size, steps, report = (16, 20, 10) if arguments.quick else (64, 500, 100)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    generator = np.random.default_rng(arguments.seed)
    given = pushes(generator, 512, 120) * generator.uniform(0.2, STRONGEST, (512, 1))
    measured = respond(given) + NOISE * generator.normal(size=given.shape)
    given, measured = (cr.tensor(a, dtype=cr.float32) for a in (given, measured))
    model = Spring(hidden_size, p=0.1)
    print(model)
    optimizer = optim.AdamW(model.parameters(), weight_decay=1e-4)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    for step in range(1, steps + 1):
        chosen = generator.integers(0, len(given), 32)
        optimizer.zero_grad()
        loss = F.mse_loss(model(given[chosen]), measured[chosen])
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % report == 0:
            print(f"step {step:4}   loss {loss.item():.4f}")

    size = np.linspace(0.2, 4.0, 600)  # pushes that grow from what was seen to four times that
    tests = pushes(generator, 8, len(size)) * size
    truth = respond(tests)
    mean, deviation = (np.stack(each) for each in zip(*[predict(model, push, 100) for push in tests], strict=True))
    error = np.abs(mean - truth)
    print("\nsize of the push   mean error   mean deviation   within two deviations")
    for low, high in ((0.2, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)):
        at = (size >= low) & (size < high)
        within = (error <= 2 * deviation)[:, at].mean()
        print(f"      {low:.1f} to {high:.1f}        {error[:, at].mean():.3f}          {deviation[:, at].mean():.3f}"
              f"             {within:6.1%}")
    growth = deviation[:, size >= 3].mean() / deviation[:, size < 1].mean()
    print(f"at four times the strongest push it is {growth:.1f} times less sure than where it has seen data, "
          f"in {time.perf_counter() - start:.1f} s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "15_mc_dropout.png", tests[0], truth[0], mean[0], deviation[0])
    print(arguments.out / "15_mc_dropout.png")


if __name__ == "__main__":
    main()
