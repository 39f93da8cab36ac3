"""A Transformer learns to reverse sequences: the original encoder-decoder (Vaswani et al. 2017), in small.

Source: 4 to 10 random letters. Target: the same, last one first. The encoder sees the source with sinusoidal positions,
the decoder writes the target letter by letter, looking at the letters it has written and at the source. What it has
learned is tried on sequences that it never saw, greedily and by beam search, and the attention of the decoder to the
source is drawn: the reversal is the diagonal from the lower left to the upper right.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

PADDING, BEGIN, END, FIRST = 0, 1, 2, 3  # special tokens; the letters a, b, … follow
LETTERS, SHORTEST, LONGEST = 12, 4, 10
RATE, WARM_UP, BATCH = 2e-3, 100, 64


def make(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sources (count, 10) and targets (count, 12): `abc` and `<cba>`, filled up with padding."""
    sources = np.full((count, LONGEST), PADDING)
    targets = np.full((count, LONGEST + 2), PADDING)
    for source, target in zip(sources, targets, strict=True):
        length = rng.integers(SHORTEST, LONGEST + 1)
        word = rng.integers(FIRST, FIRST + LETTERS, length)
        source[:length] = word
        target[: length + 2] = [BEGIN, *word[::-1], END]
    return sources, targets


def spell(tokens: np.ndarray) -> str:
    """Tokens as letters, up to the end."""
    return "".join(chr(ord("a") + t - FIRST) for t in tokens if t >= FIRST)


def accuracy(model: layers.Module, sources: np.ndarray, targets: np.ndarray, beams: int) -> float:
    """Which part of the sequences comes out right from the first letter to the end."""
    found = model.translate(sources, BEGIN, END, max_length=LONGEST + 1, beams=beams).cpu().data
    right = [spell(a) == spell(b) and END in a for a, b in zip(found, targets, strict=True)]
    return float(np.mean(right))


def attention_map(model: layers.Module, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(T, S): how much the last decoder layer looks at each letter of the source while it writes each of the target."""
    layer = model.transformer.decoder.layers[-1]
    with cr.no_grad():
        memory = model.encode(cr.tensor(source[None]))
        x = model.embed(cr.tensor(target[None]))
        x = layer.norm1(x + layer.self_attn(x, x, x, is_causal=True)[0])
        _, weights = layer.multihead_attn(x, memory, memory)
    return weights[0].cpu().data


def draw(path: Path, weights: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
    """The map as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(source)), spell(source))
    axes.set_yticks(range(len(weights)), [*spell(target), "end"])
    axes.set_xlabel("letter read")
    axes.set_ylabel("letter written")
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", default="out", help="folder for the picture")
    options = parser.parse_args()
    cr.set_default_device(options.device)
    cr.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    steps = 10 if options.quick else options.steps

    held_out_sources, held_out_targets = make(20 if options.quick else 500, rng)
    held_out = {spell(word) for word in held_out_sources}
    model = layers.models.OriginalTransformer(FIRST + LETTERS, d_model=64, nhead=4, num_encoder_layers=1,
                                              num_decoder_layers=1, dim_feedforward=128, dropout=0.0, padding=PADDING)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    optimizer = optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = optim.lr_scheduler.LambdaLR(  # the paper's: up in a line, down with the square root
        optimizer, lambda step: min((step + 1) / WARM_UP, (WARM_UP / (step + 1)) ** 0.5))

    began = time.perf_counter()
    for step in range(1, steps + 1):
        sources, targets = make(BATCH, rng)
        unseen = np.array([spell(word) not in held_out for word in sources])
        source, target = cr.tensor(sources[unseen]), cr.tensor(targets[unseen])
        optimizer.zero_grad()
        logits = model(source, target[:, :-1])  # at each position the letter that follows
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PADDING, label_smoothing=0.1)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % max(steps // 5, 1) == 0:
            right = accuracy(model, held_out_sources[:100], held_out_targets[:100], beams=1)
            print(f"step {step:4}/{steps}   loss {loss.item():.3f}   held-out sequences reversed {right:6.1%}", flush=True)

    for beams, name in ((1, "greedily"), (4, "with 4 beams")):
        right = accuracy(model, held_out_sources, held_out_targets, beams)
        print(f"of {len(held_out_sources)} held-out sequences, {name}: {right:.1%} reversed")
    found = model.translate(held_out_sources[:5], BEGIN, END, LONGEST + 1).cpu().data
    for source, written in zip(held_out_sources, found, strict=False):
        print(f"  {spell(source):10} -> {spell(written)}")
    print(f"{time.perf_counter() - began:.0f} seconds")

    source = np.arange(FIRST, FIRST + 8)
    target = np.array([BEGIN, *source[::-1]])
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    draw(out / "05_transformer_reverse.png", attention_map(model, source, target), source, target[1:])
    print(f"The attention is drawn in {out / '05_transformer_reverse.png'}.")


if __name__ == "__main__":
    main()
