"""An encoder-decoder with attention translates dates: "wednesday, 3rd of march 2021" becomes "2021-03-03".

It reads and writes letter by letter; the picture shows which letters it looked at for each one it wrote.
Run it: python examples/14_seq2seq_attention.py
"""

import argparse
import datetime
import random
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import pad_sequences

PAD, START, END = 0, 1, 2
SOURCE_LETTERS = " ,./0123456789abcdefghijklmnopqrstuvwxyz"
TARGET_LETTERS = "-0123456789"
FORMATS = ["{d} {month} {y}", "{month} {d}, {y}", "{d}. {mon} {y}", "{mon} {d} {y}", "{weekday}, {d}{th} of {month} {y}",
           "{weekday} {month} {d}{th} {y}", "{d}.{m}.{y}", "{m}/{d}/{y}", "{y} {mon} {d}"]


def written(day, form):
    """A date as people write it."""
    ordinal = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day // 10 != 1 else 0, "th")
    month, weekday = day.strftime("%B").lower(), day.strftime("%A").lower()
    return form.format(d=day.day, m=day.month, y=day.year, month=month, mon=month[:3], weekday=weekday, th=ordinal)


def examples(days, generator):
    """Pairs of texts, each date in a format drawn at random."""
    return [(written(day, generator.choice(FORMATS)), day.isoformat()) for day in days]


def encode(texts, letters, frame):
    """Texts as integers (N, T), padded, and their lengths; framed by START and END where they are to be written."""
    rows = [[letters.index(letter) + 3 for letter in text] for text in texts]
    rows = [[START, *row, END] for row in rows] if frame else rows
    return pad_sequences(rows, padding="post", value=PAD, lengths=True)


def translate(model, texts):
    """What the model makes of these texts, and for each the attention weights (letters written, letters read)."""
    source, lengths = encode(texts, SOURCE_LETTERS, frame=False)
    model.eval()
    tokens, weights = model.generate(source, lengths, max_length=14)
    model.train()
    answers = ["".join(TARGET_LETTERS[t - 3] for t in row if t > END) for row in tokens.tolist()]
    return answers, [w[: len(a), : len(t)] for w, a, t in zip(weights.cpu().numpy(), answers, texts, strict=True)]


def accuracy(model, pairs):
    """The share of dates that are right in every letter."""
    answers, _ = translate(model, [text for text, _ in pairs])
    return float(np.mean([answer == expected for answer, (_, expected) in zip(answers, pairs, strict=True)]))


def draw(path, model, texts):
    """The attention maps: a row for each letter written, a column for each letter read."""
    answers, maps = translate(model, texts)
    figure = Figure(figsize=(9.5, 2.6), layout="constrained")
    for ax, text, answer, weights in zip(figure.subplots(1, len(texts), width_ratios=[len(t) for t in texts]), texts, answers,
                                         maps, strict=True):
        ax.imshow(weights, cmap="magma", vmin=0, vmax=1)
        ax.set_xticks(range(len(text)), list(text), fontsize=8)
        ax.set_yticks(range(len(answer)), list(answer), fontsize=8)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few steps of a small network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    hidden_size, steps, report = (16, 20, 10) if arguments.quick else (96, 400, 50)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    generator = random.Random(arguments.seed)
    first = datetime.date(1950, 1, 1)
    days = [first + datetime.timedelta(days=n) for n in range(100 * 365)]
    generator.shuffle(days)
    held_out, days = examples(days[:500], generator), days[500:]
    model = layers.models.Seq2Seq(len(SOURCE_LETTERS) + 3, len(TARGET_LETTERS) + 3, embedding_size=32, hidden_size=hidden_size)
    print(model)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=8e-3, total_steps=steps)
    for step in range(1, steps + 1):
        texts, expected = zip(*examples(generator.sample(days, 64), generator), strict=True)
        source, lengths = encode(texts, SOURCE_LETTERS, frame=False)
        target, _ = encode(expected, TARGET_LETTERS, frame=True)
        optimizer.zero_grad()
        # at first it reads the right letters, later more and more often its own guesses
        logits = model(source, lengths, target, teacher_forcing=1 - 0.5 * step / steps)
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % report == 0:
            print(f"step {step:4}   loss {loss.item():.4f}   held-out dates right {accuracy(model, held_out):6.1%}")
    right = accuracy(model, held_out)
    seconds = time.perf_counter() - start
    arguments.out.mkdir(parents=True, exist_ok=True)
    shown = ["wednesday, 3rd of march 2021", "july 14, 1989", "9.11.1989"]
    draw(arguments.out / "14_seq2seq_attention.png", model, shown)
    for text, answer in zip(shown, translate(model, shown)[0], strict=True):
        print(f"{text:>30} -> {answer}")
    print(f"{right:.1%} of {len(held_out)} held-out dates right in every letter, in {seconds:.1f} s")
    print(arguments.out / "14_seq2seq_attention.png")


if __name__ == "__main__":
    main()
