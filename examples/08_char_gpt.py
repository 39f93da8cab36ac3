"""A character-level GPT: it learns to continue a text, letter by letter, from nothing but the text.

GPT-2's architecture (Radford et al. 2019) in small: 4 layers, 4 heads, 128 wide, 64 characters of context, 0.8 million
parameters. By default it reads the English documentation of Python's language that comes with Python itself; any other
text is given with `--text FILE`. After 2,000 steps of 12 sequences it writes half a page of its own.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

CONTEXT, BATCH = 64, 12
RATE, LOWEST_RATE, WARM_UP, DECAY = 2e-3, 1e-4, 100, 0.1


def read_text(path: str | None) -> str:
    """The text of a file, or the topics of Python's `help()`, one after the other."""
    if path is not None:
        return Path(path).read_text(encoding="utf-8")
    from pydoc_data.topics import topics
    return "\n".join(topics[name] for name in sorted(topics))


def random_batch(text: np.ndarray) -> tuple[cr.Tensor, cr.Tensor]:
    """BATCH passages from anywhere in the text, and the same passages one character further on: (12, 64) each."""
    starts = cr.randint(0, len(text) - CONTEXT, (BATCH, 1), device="cpu").data
    places = starts + np.arange(CONTEXT + 1)
    passages = text[places]
    return cr.tensor(passages[:, :-1]), cr.tensor(passages[:, 1:])


def loss_of(model: layers.Module, inputs: cr.Tensor, targets: cr.Tensor) -> cr.Tensor:
    """The mean cross-entropy of each next character, given those before it in the passage."""
    logits = model(inputs)  # (N, 64, letters)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@cr.no_grad()
def held_out_loss(model: layers.Module, text: np.ndarray) -> float:
    """The loss over the whole held-out text, passage by passage."""
    model.eval()
    count = (len(text) - 1) // CONTEXT
    inputs = text[: count * CONTEXT].reshape(count, CONTEXT)
    targets = text[1: count * CONTEXT + 1].reshape(count, CONTEXT)
    losses = [loss_of(model, cr.tensor(inputs[i: i + 64]), cr.tensor(targets[i: i + 64])).item() * len(inputs[i: i + 64])
              for i in range(0, count, 64)]
    model.train()
    return sum(losses) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", metavar="FILE", help="learn from this text (default: Python's documentation)")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", default="out", help="folder for the weights")
    options = parser.parse_args()
    cr.set_default_device(options.device)
    cr.manual_seed(options.seed)
    steps = 10 if options.quick else options.steps

    text = read_text(options.text)
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    encoded = np.array([number[letter] for letter in text])
    border = int(0.9 * len(encoded))  # the last tenth is held out
    training, held_out = encoded[:border], encoded[border:]
    if options.quick:
        held_out = held_out[:2000]
    print(f"{len(text):,} characters, {len(letters)} different ones")

    model = layers.models.GPT2(len(letters), CONTEXT, n_embd=128, n_layer=4, n_head=4, dropout=0.0)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    # weight decay is for matrices; biases and norms are better left alone
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = optim.AdamW([{"params": matrices}, {"params": others, "weight_decay": 0.0}], lr=RATE,
                            betas=(0.9, 0.99), weight_decay=DECAY)

    def factor(step: int) -> float:  # of the rate: up in a line, then down along a cosine
        if step < WARM_UP:
            return (step + 1) / WARM_UP
        progress = (step - WARM_UP) / max(steps - WARM_UP, 1)
        lowest = LOWEST_RATE / RATE
        return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2

    schedule = optim.lr_scheduler.LambdaLR(optimizer, factor)
    began = time.perf_counter()
    recent = []
    for step in range(1, steps + 1):
        inputs, targets = random_batch(training)
        optimizer.zero_grad()
        loss = loss_of(model, inputs, targets)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if step % max(steps // (2 if options.quick else 4), 1) == 0:
            print(f"step {step:5}/{steps}   training loss {np.mean(recent):.3f}   "
                  f"held-out loss {held_out_loss(model, held_out):.3f}   {time.perf_counter() - began:.0f} s", flush=True)
            recent.clear()

    start = cr.tensor([[number.get("\n", 0)]])
    written = model.generate(start, 70 if options.quick else 500, temperature=0.8, top_k=40)
    print("\n" + "".join(letters[i] for i in written[0, 1:].tolist()))
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    cr.save_file(model.state_dict(), out / "08_char_gpt.safetensors")
    print(f"\nThe weights are in {out / '08_char_gpt.safetensors'}.")


if __name__ == "__main__":
    main()
