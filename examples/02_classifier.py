"""A classifier 1000-500-10 with cross-entropy and Adam, first by a training loop written out, then by `fit`.

The data are generated: each class has a pattern of 1,000 numbers, and an example is that pattern, or its negative, in
noise seven times as strong. Since either sign occurs as often, the mean of every class is zero and no linear rule can tell
them apart: the hidden layer is needed.

    python examples/02_classifier.py
"""

import argparse
import time
from pathlib import Path

import chainrule as cr
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.optim.training import Accuracy, fit

FEATURES, HIDDEN, CLASSES = 1000, 500, 10


def generate(count, patterns):
    """`count` examples: (count, 1000) float32 and their classes, (count)."""
    labels = cr.randint(0, CLASSES, (count,))
    signs = 2 * cr.randint(0, 2, (count, 1)) - 1
    return TensorDataset(0.14 * signs * patterns[labels] + cr.randn(count, FEATURES), labels)


def build():
    """The network: 505,510 parameters."""
    return layers.Sequential(layers.Linear(FEATURES, HIDDEN), layers.ReLU(), layers.Linear(HIDDEN, CLASSES))


def validate(model, loader, loss_fn):
    """The mean loss and the accuracy on data that the model does not learn from."""
    total = right = count = 0
    model.eval()  # dropout and the like off; there is none here, but there will be one day
    with cr.no_grad():  # nothing is recorded: less memory, more speed
        for x, y in loader:
            prediction = model(x)
            total += loss_fn(prediction, y).item() * len(y)  # the last batch may be smaller
            right += (prediction.argmax(1) == y).sum().item()
            count += len(y)
    model.train()
    return total / count, right / count


def train_by_hand(model, training, validation, epochs):
    """The training loop; returns the validation loss of each epoch."""
    loss_fn = layers.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for x, y in training:
            optimizer.zero_grad()  # gradients add up until they are forgotten
            loss = loss_fn(model(x), y)  # forward
            loss.backward()  # the chain rule
            optimizer.step()  # a step down
            total += loss.item() * len(y)
        mean = total / len(training.dataset)
        loss, accuracy = validate(model, validation, loss_fn)
        losses.append(loss)
        print(f"epoch {epoch:2}   loss {mean:.4f}   validation loss {loss:.4f}   accuracy {accuracy:.2%}", flush=True)
    return losses


def draw(path, history):
    """Losses and accuracies, epoch by epoch, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = range(1, len(history[name]) + 1)
        axes.plot(epochs, history[name], marker="o", markersize=3, color="#9db8d2", label="training, on the way")
        axes.plot(epochs, history[f"validation_{name}"], marker="o", markersize=3, color="#1f4e79", label="validation")
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=80)


def main():
    """Generate, train twice, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a few hundred examples, to see that everything runs")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    options.add_argument("--out", type=Path, default=Path("out"))
    arguments = options.parse_args()
    cr.set_default_device(arguments.device)
    count, epochs = (300, 2) if arguments.quick else (9000, 6)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    patterns = cr.randn(CLASSES, FEATURES)
    examples, held_out = generate(count, patterns), generate(count // 6, patterns)
    model = build()
    print(f"{count:,} examples to learn from, {count // 6:,} for validation\n{model}\n\nThe loop by hand:")
    first_weights = {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}
    training = DataLoader(examples, 64, shuffle=True, generator=arguments.seed)
    validation = DataLoader(held_out, 256, generator=arguments.seed)
    by_hand = train_by_hand(model, training, validation, epochs)
    seconds = time.perf_counter() - start

    again = build()
    again.load_state_dict(first_weights)
    training = DataLoader(examples, 64, shuffle=True, generator=arguments.seed)
    print("\nThe same by fit:")
    history = fit(again, training, layers.CrossEntropyLoss(), optim.Adam(again.parameters(), lr=1e-3), epochs,
                  validation=validation, metrics=Accuracy(), progress=True)
    same = all(cr.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert same and history["validation_loss"] == by_hand, "fit is that very loop"

    arguments.out.mkdir(parents=True, exist_ok=True)
    picture = arguments.out / "02_classifier.png"
    draw(picture, history)
    print(f"\nThe same weights, to the bit. Validation accuracy {history['validation_accuracy'][-1]:.2%} after {seconds:.1f} s "
          f"(by hand; both {time.perf_counter() - start:.1f} s). {picture}: the learning curves.")


if __name__ == "__main__":
    main()
