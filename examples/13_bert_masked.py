"""BERT in small: guess hidden words of many sentences first, then learn a task from a few labelled ones.

The sentences are made here: each has one of six topics, which nobody tells the model. To guess a hidden word it has to
find out which words go together (Devlin et al. 2019). A classifier of topics then starts from what it has learned, or,
for comparison, from nothing, and in both cases sees two labelled sentences per topic.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim

TOPICS = {  # nouns; adjectives; verbs
    "sea": "ship wave sailor harbour anchor sail island captain tide whale rope mast; salty stormy deep blue windy; sails dives",
    "kitchen": "cook oven spoon soup knife bread pan onion butter recipe plate salt; hot sweet fresh sour tasty; bakes fries",
    "music": "piano violin singer drum choir melody concert chord flute rhythm stage tune; loud soft slow tender high; sings plays",
    "garden": "flower tree bee seed rose spade lawn hedge apple root leaf worm; green wild young muddy sunny; grows digs",
    "space": "rocket planet star moon comet orbit pilot crater galaxy sun meteor probe; dark distant huge cold round; flies lands",
    "school": "teacher pupil book lesson chalk desk exam pencil class page answer test; wise hard wrong easy strict; reads learns",
}
PATTERNS = ["the A N V with the N", "a N V and the A N V", "the N of the N V", "the A N and the A N V near the N"]
SPECIAL = ["[pad]", "[cls]", "[mask]"]
PAD, CLS, MASK = range(3)
LENGTH = 14
STRAY = 0.15  # of the words are from another topic, so that no word alone gives the topic away

WORDS = {topic: dict(zip("NAV", (part.split() for part in text.split(";")), strict=True)) for topic, text in TOPICS.items()}
CONTENT = {word: topic for topic, kinds in WORDS.items() for words in kinds.values() for word in words}
VOCABULARY = [*SPECIAL, *"the a and with of near".split(), *CONTENT]
NUMBER = {word: i for i, word in enumerate(VOCABULARY)}


def make(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sentences (count, 14), each [cls], a pattern with words for A, N and V, padding; and their topics."""
    names = list(WORDS)
    topics = rng.integers(0, len(names), count)
    sentences = np.full((count, LENGTH), PAD)
    for sentence, topic in zip(sentences, topics, strict=True):
        words = ["[cls]"]
        for place in rng.choice(PATTERNS).split():
            source = names[topic] if rng.random() > STRAY else rng.choice(names)
            words.append(rng.choice(WORDS[source][place]) if place in "NAV" else place)
        sentence[: len(words)] = [NUMBER[word] for word in words]
    return sentences, topics


def hide(sentences: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The sentences with some words hidden, and the labels: the hidden words, -100 (not asked for) elsewhere.

    15 % of the words are asked for; of these 80 % are replaced by [mask], 10 % by another word, 10 % stay.
    """
    asked = (rng.random(sentences.shape) < 0.15) & (sentences >= len(SPECIAL))
    how = rng.random(sentences.shape)
    anything = rng.integers(len(SPECIAL), len(VOCABULARY), sentences.shape)
    hidden = np.where(asked & (how < 0.8), MASK, np.where(asked & (how < 0.9), anything, sentences))
    return hidden, np.where(asked, sentences, -100)


def train(model: layers.Module, batches: object, steps: int, rate: float, say: str = "") -> None:
    """`steps` steps on what `batches()` gives, (tokens, labels), with the rate rising for a tenth of them, then falling."""
    optimizer = optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    rising = max(steps // 10, 1)
    schedule = optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rising, (steps - step) / max(steps - rising, 1)))
    model.train()
    losses = []
    for step in range(1, steps + 1):
        tokens, labels = batches()
        optimizer.zero_grad()
        logits = model(cr.tensor(tokens), attention_mask=cr.tensor(tokens != PAD))
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), cr.tensor(labels.reshape(-1)))
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if say and step % max(steps // 5, 1) == 0:
            print(f"  {say}: step {step:4}/{steps}   loss {np.mean(losses):.3f}", flush=True)
            losses.clear()
    model.eval()


@cr.no_grad()
def guesses(model: layers.Module, tokens: np.ndarray) -> np.ndarray:
    """The likeliest word at each position, or the likeliest topic of each sentence."""
    return model(cr.tensor(tokens), attention_mask=cr.tensor(tokens != PAD)).argmax(-1).cpu().data


def draw(path: Path, table: np.ndarray) -> None:
    """The nouns in the plane in which their vectors differ most, coloured by the topics that nobody told the model."""
    from matplotlib.figure import Figure

    nouns = [word for kinds in WORDS.values() for word in kinds["N"]]
    vectors = table[[NUMBER[word] for word in nouns]]
    vectors = vectors - vectors.mean(0)
    flat = vectors @ np.linalg.svd(vectors, full_matrices=False)[2][:2].T
    axes = (figure := Figure(figsize=(5.6, 4.4), layout="constrained")).subplots()
    for i, topic in enumerate(TOPICS):
        points = flat[[CONTENT[word] == topic for word in nouns]]
        axes.scatter(*points.T, s=14, color=f"C{i}", label=topic)
    axes.legend(fontsize=8)
    axes.set_title("vectors of nouns after guessing hidden words", fontsize=10)
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="of guessing hidden words")
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1")
    parser.add_argument("--out", default="out", help="folder for the picture")
    options = parser.parse_args()
    cr.set_default_device(options.device)
    cr.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    steps, tuning = (5, 5) if options.quick else (options.steps, 100)
    began = time.perf_counter()

    unlabelled, _ = make(200 if options.quick else 5000, rng)
    held_out, topics = make(50 if options.quick else 1000, rng)
    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "max_position_embeddings": LENGTH, "dropout": 0.0}
    pretrained = layers.models.BertForMaskedLM(**sizes)
    print(f"{len(VOCABULARY)} words, {sum(p.numel() for p in pretrained.parameters()):,} parameters")
    train(pretrained, lambda: hide(unlabelled[rng.integers(0, len(unlabelled), 128)], rng), steps, 2e-3, "hidden words")

    hidden, labels = hide(held_out, rng)
    found = guesses(pretrained, hidden)
    asked = (labels >= NUMBER[next(iter(CONTENT))]) & (hidden == MASK)  # hidden content words
    same = [CONTENT.get(VOCABULARY[a]) == CONTENT[VOCABULARY[b]] for a, b in zip(found[asked], labels[asked], strict=True)]
    print(f"held-out sentences: the guess for a hidden content word is of its topic in {np.mean(same):.1%} (by chance: 17 %)")
    for row in np.flatnonzero(asked.sum(1) == 1)[:3]:
        place = int(np.argmax(asked[row]))
        words = [VOCABULARY[t] for t in held_out[row] if t not in (PAD, CLS)]
        words[place - 1] = f"[{words[place - 1]}: {VOCABULARY[found[row, place]]}?]"
        print("  " + " ".join(words))

    # twelve sentences are few, and which ones they are matters much: five draws of them
    results: dict[str, list[float]] = {"from scratch": [], "fine-tuned": []}
    for _ in range(1 if options.quick else 5):
        few, few_topics = make(400, rng)
        chosen = np.concatenate([np.flatnonzero(few_topics == topic)[:2] for topic in range(len(TOPICS))])
        labelled = few[chosen], few_topics[chosen]
        for name, accuracies in results.items():
            classifier = layers.models.BertForSequenceClassification(len(TOPICS), **sizes)
            if name == "fine-tuned":
                classifier.bert.load_state_dict(pretrained.bert.state_dict(), strict=False)  # all but the pooler, which is new
            train(classifier, lambda labelled=labelled: labelled, tuning, 1e-3)
            accuracies.append(float((guesses(classifier, held_out) == topics).mean()))
    for name, accuracies in results.items():
        print(f"topics from {len(chosen)} labelled sentences, {name}: {np.mean(accuracies):.1%} of the held-out ones right "
              f"({min(accuracies):.1%} to {max(accuracies):.1%} in {len(accuracies)} draws)")
    print(f"{time.perf_counter() - began:.0f} seconds")

    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    draw(out / "13_bert_masked.png", pretrained.bert.embeddings.word_embeddings.weight.cpu().data)
    print(f"The word vectors are drawn in {out / '13_bert_masked.png'}.")


if __name__ == "__main__":
    main()
