"""DeepFM predicts clicks, which we generate ourselves: so we know the best that any model could do.

Who clicks on what depends here on single features (some hours are good), on pairs (users like items whose hidden
properties match theirs) and on one three-way rule. A sum of weights, logistic regression, sees the first kind only.
Run it: python examples/12_deepfm.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.layers.models import DeepFM
from chainrule.optim.training import AUC

SIZES = {"user": 200, "item": 300, "hour": 24, "device": 3, "tags": 40}


def generate(count, rng):
    """Impressions: one value per field, but one to four tags; the probability of a click on each, and the clicks."""
    world = np.random.default_rng(1)  # the same in every run
    weights = {field: world.normal(0, 0.4, size) for field, size in SIZES.items()}
    hidden = {field: world.normal(0, 1, (size, 4)) for field, size in SIZES.items()}
    values = {field: rng.integers(0, size, count) for field, size in SIZES.items() if field != "tags"}
    tags = [rng.integers(0, SIZES["tags"], n) for n in rng.integers(1, 5, count)]
    first = -1.5 + sum(weights[field][v] for field, v in values.items()) + [weights["tags"][t].mean() for t in tags]
    liked = hidden["item"][values["item"]] + [hidden["tags"][t].mean(0) for t in tags]
    pairs = 0.7 * (hidden["user"][values["user"]] * liked).sum(1)
    rule = 1.5 * ((values["hour"] >= 18) & (values["device"] == 0) & (values["item"] % 2 == 0))  # films on the phone at night
    probability = 1 / (1 + np.exp(-(first + pairs + rule)))
    return values, tags, probability, rng.random(count) < probability


def batch(data, rows):
    """Some rows as tensors: fields of one value (N,), the tags as all their indices and where each row's begin."""
    values, tags, _, clicks = data
    chosen = [tags[i] for i in rows]
    offsets = np.cumsum([0] + [len(t) for t in chosen[:-1]])
    fields = [cr.tensor(v[rows]) for v in values.values()]
    return [*fields, (cr.tensor(np.concatenate(chosen)), cr.tensor(offsets))], cr.tensor(clicks[rows].astype(np.float32))


class LogisticRegression(layers.Module):
    """A weight for each value of each field, and nothing else."""

    def __init__(self, sizes):
        self.weights = layers.ModuleList([layers.EmbeddingBag(size, 1) for size in sizes])
        self.bias = layers.Parameter(cr.zeros(1))
        for table in self.weights:
            layers.init.zeros_(table.weight)

    def forward(self, *fields):
        bags = [field if isinstance(field, tuple) else (field.unsqueeze(1),) for field in fields]
        return self.bias + sum(table(*bag) for table, bag in zip(self.weights, bags, strict=True)).squeeze(1)


def predict(model, data):
    """The logits of all rows."""
    model.eval()
    with cr.no_grad():
        found = np.concatenate([model(*batch(data, rows)[0]).cpu().data for rows in np.array_split(np.arange(len(data[1])), 10)])
    model.train()
    return found


def area(scores, clicks):
    """How often a click scores higher than an impression without one."""
    metric = AUC()
    metric.update(scores, clicks)
    return metric.compute()


def train(name, model, training, held_out, epochs, rng):
    """Fit with Adagrad, which moves values that are rarely seen in larger steps; the logits of the held-out rows."""
    optimizer = optim.Adagrad(model.parameters(), lr=0.1)
    for epoch in range(1, epochs + 1):
        total, order = 0.0, rng.permutation(len(training[1]))
        for rows in np.array_split(order, max(len(order) // 256, 1)):
            fields, clicks = batch(training, rows)
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(*fields), clicks)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        scores = predict(model, held_out)
        print(f"{name}   epoch {epoch}   loss {total / len(order):.4f}   held-out AUC {area(scores, held_out[3]):.4f}")
    return scores


def draw(path, curves, clicks):
    """For each model: what share of the clicks one finds by showing the highest-scored share of the others."""
    figure = Figure(figsize=(5, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, scores in curves.items():
        ranked = clicks[np.argsort(-scores)]
        found, wrong = np.cumsum(ranked) / ranked.sum(), np.cumsum(~ranked) / (~ranked).sum()
        axes.plot(wrong, found, label=f"{name}: area {area(scores, clicks):.3f}", linewidth=1.2)
    axes.plot([0, 1], [0, 1], "k:", linewidth=0.8)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="Clicks found")
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: few impressions, one epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    count, epochs = (2000, 1) if arguments.quick else (120000, 6)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    training, held_out = generate(count, rng), generate(count // 4, rng)
    clicks = held_out[3]
    print(f"{count} impressions, {training[3].mean():.1%} of them clicked")
    logistic = LogisticRegression(SIZES.values())
    model = DeepFM(list(SIZES.values()), embedding_dim=8, hidden_sizes=(64, 32), dropout=0.1)
    print(model)
    curves = {"logistic regression": train("logistic", logistic, training, held_out, epochs, rng),
              "DeepFM": train("DeepFM  ", model, training, held_out, epochs, rng),
              "the generating model": held_out[2]}
    seconds = time.perf_counter() - start
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "12_deepfm.png", curves, clicks)
    areas = [area(scores, clicks) for scores in curves.values()]
    print(f"AUC: logistic regression {areas[0]:.4f}, DeepFM {areas[1]:.4f}, the best possible {areas[2]:.4f}, in {seconds:.1f} s")
    print(arguments.out / "12_deepfm.png")


if __name__ == "__main__":
    main()
