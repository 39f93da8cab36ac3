"""Byte-pair encoding: pieces of text that are learned by joining, again and again, the pair that occurs most often.

R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units" (2016). As in GPT-2 it
begins with bytes, so that every text has an encoding, and does not join across the border of words.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from chainrule.data.tokenizers import Tokenizer, documents

__all__ = ["BytePairTokenizer"]

Pair = tuple[int, int]
BYTES = 256
REMEMBERED = 2**16  # chunks of text whose encoding is kept

# A text is cut into letters, digits, other marks, each with a space before them, and white space; every character is in
# exactly one chunk. ([^\W\d_] are letters.)
CHUNKS = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")


def chunks(text: str) -> list[bytes]:
    """The chunks of a text, as bytes: joined they are the text."""
    return [chunk.encode("utf-8", "surrogatepass") for chunk in CHUNKS.findall(text)]


def merged(symbols: list[int], pair: Pair, new: int) -> list[int]:
    """The symbols with `new` for each occurrence of the pair, from left to right."""
    out: list[int] = []
    i, last = 0, len(symbols) - 1
    while i <= last:
        if i < last and symbols[i] == pair[0] and symbols[i + 1] == pair[1]:
            out.append(new)
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


def learn(counts: Counter[bytes], merges: int, min_count: int) -> list[Pair]:
    """The pairs that are joined, in order: symbols below 256 are bytes, 256 + i is what merge i makes.

    The most frequent pair comes first, of equally frequent ones that of the smaller symbols. How often pairs occur is
    counted once; a merge then changes only the counts in the words that have its pair.
    """
    words = [list(word) for word in counts]
    weights = list(counts.values())
    frequency: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)  # the words that have a pair (or once had it)
    for place, (word, weight) in enumerate(zip(words, weights)):
        for pair in pairwise(word):
            frequency[pair] += weight
            places[pair].add(place)
    queue = [(-count, pair) for pair, count in frequency.items()]
    heapq.heapify(queue)
    found: list[Pair] = []
    while queue and len(found) < merges:
        count, best = heapq.heappop(queue)
        if -count != frequency[best]:
            continue  # it has changed since, and is in the queue again
        if -count < min_count:
            break
        new = BYTES + len(found)
        found.append(best)
        changed: set[Pair] = set()
        for place in places.pop(best):
            old, weight = words[place], weights[place]
            word = merged(old, best, new)
            if len(word) == len(old):
                continue
            for pair in pairwise(old):
                frequency[pair] -= weight
                changed.add(pair)
            for pair in pairwise(word):
                frequency[pair] += weight
                places[pair].add(place)
                changed.add(pair)
            words[place] = word
        for pair in changed:
            if frequency[pair] > 0:
                heapq.heappush(queue, (-frequency[pair], pair))
    return found


class BytePairTokenizer(Tokenizer):
    """Pieces of text learned from text, for any text: `decode(encode(text)) == text`.

    `merges`: the pairs of symbols that are joined, in the order in which they were learned (`train` learns them);
    symbols below 256 are bytes, 256 + i is what merge i makes. A symbol's id is its number + the number of special
    tokens. `special_tokens`: see `Tokenizer`; nothing is unknown. Raises ValueError for merges of symbols that there are
    not yet.

    >>> tokenizer = BytePairTokenizer.train("low lower lowest slow", merges=10, special_tokens=["<pad>"])
    >>> len(tokenizer), [tokenizer.decode([i]) for i in tokenizer.encode("slower, ☃")]
    (261, ['s', 'low', 'e', 'r', ',', ' ', '�', '�', '�'])
    >>> tokenizer.decode(tokenizer.encode("slower, ☃"))
    'slower, ☃'
    """

    def __init__(self, merges: Sequence[Sequence[int]], special_tokens: Sequence[str] = ()) -> None:
        super().__init__(special_tokens)
        self.merges: list[Pair] = [(int(a), int(b)) for a, b in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.symbols = [bytes([i]) for i in range(BYTES)]
        for rank, (a, b) in enumerate(self.merges):
            if not (0 <= a < BYTES + rank and 0 <= b < BYTES + rank):
                raise ValueError(f"BytePairTokenizer: merge {rank} joins {a} and {b}, there are only 0 to {BYTES + rank - 1}")
            self.symbols.append(self.symbols[a] + self.symbols[b])
        self.known: dict[bytes, list[int]] = {}

    @classmethod
    def train(cls, texts: str | Iterable[str], merges: int = 2000, min_count: int = 2,
              special_tokens: Sequence[str] = ()) -> "BytePairTokenizer":
        """A tokenizer that has learned at most `merges` pieces from a text, or from several: as long as there is a pair
        that occurs `min_count` times. The same text gives the same tokenizer."""
        counts: Counter[bytes] = Counter()
        for text in documents(texts):
            counts.update(chunks(text))
        return cls(learn(counts, merges, min_count), special_tokens)

    def __len__(self) -> int:
        return len(self.special_tokens) + len(self.symbols)

    def pieces(self, text: str) -> list[int]:
        """The ids of the pieces of a text."""
        ids: list[int] = []
        for chunk in chunks(text):
            found = self.known.get(chunk)
            if found is None:
                if len(self.known) >= REMEMBERED:
                    self.known.clear()
                found = self.known[chunk] = self.join_pairs(chunk)
            ids += found
        return ids

    def join_pairs(self, chunk: bytes) -> list[int]:
        """The ids of a chunk: of the pairs in it, that learned first is joined, until none is left."""
        symbols = list(chunk)
        while len(symbols) > 1:
            rank = min(self.ranks.get(pair, len(self.ranks)) for pair in pairwise(symbols))
            if rank == len(self.ranks):
                break
            symbols = merged(symbols, self.merges[rank], BYTES + rank)
        return [symbol + len(self.special_tokens) for symbol in symbols]

    def join(self, ids: list[int]) -> str:
        """The text of pieces; where they are no text, as a part of a character is not, "�" stands for it."""
        content = b"".join(self.symbols[i - len(self.special_tokens)] for i in ids)
        try:
            return content.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return content.decode("utf-8", "replace")

    def state(self) -> dict[str, Any]:
        """The arguments that make this tokenizer again."""
        return {"merges": self.merges, "special_tokens": self.special_tokens}
