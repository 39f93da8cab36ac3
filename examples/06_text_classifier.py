"""A text classifier: does this review praise the film? Two LSTMs read the words in order, a sigmoid decides.

The reviews are generated, and order matters in them: "not bad at all" praises, "the music was lovely, but the story dragged"
does not, although the words are the same as in "the story dragged, but the music was lovely".
Run it: python examples/06_text_classifier.py
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import pad_sequences

THINGS = ["film", "movie", "story", "plot", "acting", "music", "ending", "camera work", "humour", "dialogue", "cast", "pace"]
GOOD = ["good", "great", "wonderful", "moving", "funny", "clever", "beautiful", "brilliant", "lovely", "gripping", "fresh"]
BAD = ["bad", "awful", "boring", "dull", "silly", "weak", "tedious", "clumsy", "bland", "painful", "confused", "stale"]
DEGREES = ["", "", "really ", "quite ", "rather ", "truly "]
TURNS = ["not {} at all", "never {}", "anything but {}", "not {}", "far from {}"]  # these turn a word into its opposite
PAD, UNKNOWN = 0, 1


def clause(praises, generator):
    """A clause that praises, or does not: a fitting word, or an opposite one turned around."""
    turned = generator.random() < 0.4
    word = generator.choice(GOOD if praises != turned else BAD)
    word = generator.choice(TURNS).format(word) if turned else generator.choice(DEGREES) + word
    return f"the {generator.choice(THINGS)} was {word}"


def review(generator):
    """A review and 1 where it praises the film, else 0. After "but" comes what counts, after "although" what does not."""
    praises = generator.random() < 0.5
    first, same, other = clause(praises, generator), clause(praises, generator), clause(not praises, generator)
    forms = [first, f"{first} and {same}", f"{other} , but {first}", f"although {other} , {first}", f"{first} , although {other}",
             f"{first} . {same}", f"people told me {other} , but to me {first}"]
    return generator.choice(forms), int(praises)


class Classifier(layers.Module):
    """Words (N, T) and how many count (N) -> the probability of praise (N)."""

    def __init__(self, vocabulary, embedding_size, sizes):
        self.embedding = layers.Embedding(vocabulary, embedding_size, padding_idx=PAD)
        self.first = layers.LSTM(embedding_size, sizes[0], batch_first=True)
        self.second = layers.LSTM(sizes[0], sizes[1], batch_first=True)
        self.output = layers.Linear(sizes[1], 1)

    def forward(self, words, lengths):
        x = self.embedding(words)  # (N, T) -> (N, T, embedding)
        x, _ = self.first(x, lengths=lengths)  # -> (N, T, 128)
        _, (last, _) = self.second(x, lengths=lengths)  # the state after each review's last word: (1, N, 64)
        return F.sigmoid(self.output(last[0])).squeeze(-1)


def encode(texts, vocabulary):
    """Texts as word numbers (N, T), padded behind, and their lengths (N)."""
    return pad_sequences([[vocabulary.get(word, UNKNOWN) for word in text.lower().split()] for text in texts], padding="post",
                         lengths=True)


def evaluate(model, vocabulary, reviews):
    """The mean loss and the accuracy on reviews, a list of (text, label)."""
    texts, labels = zip(*reviews, strict=True)
    probabilities = predict(model, vocabulary, texts)
    loss = F.binary_cross_entropy(cr.tensor(probabilities), cr.tensor(labels, dtype=cr.float32)).item()
    return loss, float(np.mean((probabilities > 0.5) == np.array(labels)))


def predict(model, vocabulary, texts):
    """The probability of praise for each text, an array (N)."""
    model.eval()
    with cr.no_grad():
        probabilities = model(*encode(texts, vocabulary)).cpu().numpy()
    model.train()
    return probabilities


def draw(path, model, vocabulary, texts):
    """How the probability of praise changes as a text is read, word by word."""
    figure = Figure(figsize=(9, 1.5 * len(texts)), layout="constrained")
    for ax, text in zip(figure.subplots(len(texts), 1), texts, strict=True):
        words = text.split()
        probabilities = predict(model, vocabulary, [" ".join(words[:n]) for n in range(1, len(words) + 1)])
        ax.bar(range(len(words)), probabilities - 0.5, bottom=0.5,
               color=["#2a7f4f" if p > 0.5 else "#c0392b" for p in probabilities])
        ax.set(ylim=(0, 1), yticks=[0, 0.5, 1], xlim=(-0.6, 15.6))
        ax.set_xticks(range(len(words)), words, fontsize=8)
    figure.supylabel("probability of praise", fontsize=9)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: few reviews and a small network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the picture")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    count, sizes, epochs = (600, (16, 8), 2) if arguments.quick else (5000, (128, 64), 3)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    generator = random.Random(arguments.seed)
    reviews = list({text: (text, label) for text, label in (review(generator) for _ in range(count))}.values())
    held_out, training = reviews[: len(reviews) // 5], reviews[len(reviews) // 5:]  # no text is in both
    words = sorted({word for text, _ in training for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(words, 2)}
    model = Classifier(len(vocabulary) + 2, 32, sizes)
    print(f"{len(training):,} reviews to learn from, {len(held_out):,} held out, {len(vocabulary)} words\n{model}")
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(1, epochs + 1):
        generator.shuffle(training)
        for i in range(0, len(training), 32):
            texts, labels = zip(*training[i: i + 32], strict=True)
            optimizer.zero_grad()
            loss = F.binary_cross_entropy(model(*encode(texts, vocabulary)), cr.tensor(labels, dtype=cr.float32))
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        loss, accuracy = evaluate(model, vocabulary, held_out)
        print(f"epoch {epoch}   held out: loss {loss:.4f}, accuracy {accuracy:.2%}")
    seconds = time.perf_counter() - start
    texts = ["the acting was not bad at all", "the music was lovely , but the story was far from gripping",
             "although the plot was confused , the film was anything but boring", "the dragon was never dull",
             "my neighbour says the ending was great , but to me the ending was weak"]
    for text, probability in zip(texts, predict(model, vocabulary, texts), strict=True):
        print(f"{probability:6.1%} praise   {text}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(arguments.out / "06_text_classifier.png", model, vocabulary, texts[:3])
    print(f"{accuracy:.2%} of {len(held_out)} held-out reviews right, in {seconds:.1f} s")
    print(arguments.out / "06_text_classifier.png")


if __name__ == "__main__":
    main()
