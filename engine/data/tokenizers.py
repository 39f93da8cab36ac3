"""Tokenizers: from text to numbers and back, by characters, by words, or by pieces that are learned from text.

The numbers of special tokens come first, in the order in which they are given: with "<pad>" the first, padding is 0.
Text is never taken for a special token unless `encode` is asked to (`special=True`): a user who types "<eos>" gets the
characters.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from chainrule.errors import FileError

__all__ = ["CharacterTokenizer", "Tokenizer", "WordTokenizer"]

StrPath = str | os.PathLike[str]
KINDS: dict[str, type["Tokenizer"]] = {}  # by the name that a file has of it


def documents(texts: str | Iterable[str]) -> Iterator[str]:
    """One text, or several, as several."""
    return iter((texts,)) if isinstance(texts, str) else iter(texts)


class Tokenizer:
    """What all tokenizers have in common: special tokens, `encode`, `decode`, `save` and `load`.

    `special_tokens`: texts, whose ids are 0, 1, …. `unknown`: the special token that stands for what the vocabulary does
    not have; None (or one that is no special token) makes that an error. `len(tokenizer)` is the number of ids.
    """

    def __init_subclass__(cls) -> None:
        KINDS[cls.__name__] = cls

    def __init__(self, special_tokens: Sequence[str] = (), unknown: str | None = None) -> None:
        self.special_tokens = tuple(special_tokens)
        if len(set(self.special_tokens)) < len(self.special_tokens) or "" in self.special_tokens:
            raise ValueError(f"{type(self).__name__}: special_tokens={self.special_tokens} are to be different texts, none "
                             "of them empty")
        self.unknown = unknown if unknown in self.special_tokens else None

    # what each kind says of itself

    def pieces(self, text: str) -> list[int]:
        """The ids of a text in which nothing is special."""
        raise NotImplementedError(f"{type(self).__name__} has no pieces(text)")

    def join(self, ids: list[int]) -> str:
        """The text of ids none of which is special."""
        raise NotImplementedError(f"{type(self).__name__} has no join(ids)")

    def state(self) -> dict[str, Any]:
        """The arguments that make this tokenizer again, as JSON."""
        raise NotImplementedError(f"{type(self).__name__} has no state()")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__()")

    # what follows

    def __getitem__(self, token: str) -> int:
        """The id of a special token. KeyError where there is none of this name."""
        if token not in self.special_tokens:
            raise KeyError(f"{type(self).__name__}: {token!r} is no special token, there are {self.special_tokens}")
        return self.special_tokens.index(token)

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text. `special`: special tokens in it become their ids.

        Raises ValueError for what the vocabulary does not have, where there is no token for the unknown.
        """
        if not special or not self.special_tokens:
            return self.pieces(text)
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        ids: list[int] = []
        for i, part in enumerate(parts):
            ids += [self[part]] if i % 2 else self.pieces(part) if part else []
        return ids

    def decode(self, ids: Iterable[int], special: bool = True) -> str:
        """The text of ids: a list, or a tensor or array (N). `special`: special tokens are written out, else left out.

        Raises ValueError for an id that there is not.
        """
        parts: list[str] = []
        run: list[int] = []
        for i in ids.tolist() if hasattr(ids, "tolist") else ids:
            if not 0 <= i < len(self):
                raise ValueError(f"{type(self).__name__}: there is no id {i}, there are 0 to {len(self) - 1}")
            if i >= len(self.special_tokens):
                run.append(i)
                continue
            parts += [self.join(run)] if run else []
            parts += [self.special_tokens[i]] if special else []
            run = []
        return self.between.join(parts + ([self.join(run)] if run else []))

    between: ClassVar[str] = ""  # what stands between a special token and other text

    def missing(self, token: str) -> int:
        """The id for what the vocabulary does not have; ValueError where there is none."""
        if self.unknown is None:
            raise ValueError(f"{type(self).__name__}: {token!r} is not in the vocabulary of {len(self)}; train on more text, "
                             "or pass special_tokens with an unknown token, '<unk>'")
        return self[self.unknown]

    def save(self, path: StrPath) -> None:
        """Write the tokenizer to a JSON file, for `Tokenizer.load`. The file is replaced only when all is written."""
        temporary = Path(f"{os.fspath(path)}.{os.urandom(4).hex()}.tmp")
        try:
            temporary.write_text(json.dumps({"tokenizer": type(self).__name__} | self.state(), indent=0) + "\n",
                                 encoding="ascii")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def load(path: StrPath) -> "Tokenizer":
        """The tokenizer that `save` wrote to a file. Raises FileError where the file is damaged or another one."""
        try:
            state = json.loads(Path(path).read_text(encoding="ascii"))
            return KINDS[state.pop("tokenizer")](**state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(f"{os.fspath(path)}: damaged, or no tokenizer that save() wrote ({error})") from None


class VocabularyTokenizer(Tokenizer):
    """A tokenizer that has a list of tokens: `tokens[i]` has the id i + the number of special tokens."""

    def __init__(self, tokens: Sequence[str], special_tokens: Sequence[str] = (), unknown: str | None = "<unk>") -> None:
        super().__init__(special_tokens, unknown)
        self.tokens = tuple(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens, len(self.special_tokens))}
        if len(self.ids) < len(self.tokens):
            raise ValueError(f"{type(self).__name__}: a token occurs twice")

    def __len__(self) -> int:
        return len(self.special_tokens) + len(self.tokens)

    def split(self, text: str) -> Iterable[str]:
        """The tokens of a text, whether they are in the vocabulary or not."""
        raise NotImplementedError(f"{type(self).__name__} has no split(text)")

    def pieces(self, text: str) -> list[int]:
        """The ids of the tokens of a text."""
        return [self.ids[token] if token in self.ids else self.missing(token) for token in self.split(text)]

    def join(self, ids: list[int]) -> str:
        """The tokens of these ids as a text."""
        return self.between.join(self.tokens[i - len(self.special_tokens)] for i in ids)

    def state(self) -> dict[str, Any]:
        """The arguments that make this tokenizer again."""
        return {"tokens": self.tokens, "special_tokens": self.special_tokens, "unknown": self.unknown}


class CharacterTokenizer(VocabularyTokenizer):
    """One token for each character.

    `tokens`: the characters; `train` finds those of a text. `special_tokens`, `unknown`: see `Tokenizer`.

    >>> tokenizer = CharacterTokenizer.train("hello", special_tokens=["<unk>"])
    >>> tokenizer.encode("hole?"), tokenizer.decode([2, 1, 3])
    ([2, 4, 3, 1, 0], 'hel')
    """

    @classmethod
    def train(cls, texts: str | Iterable[str], special_tokens: Sequence[str] = (),
              unknown: str | None = "<unk>") -> "CharacterTokenizer":
        """A tokenizer for the characters that occur in a text, or in several, in the order of their code points."""
        return cls(sorted(set().union(*documents(texts))), special_tokens, unknown)

    def split(self, text: str) -> Iterable[str]:
        """The characters."""
        return text


class WordTokenizer(VocabularyTokenizer):
    """One token for each word and each punctuation mark.

    A word is a run of letters, digits, underscores and apostrophes between them. White space is not kept: `decode`
    writes one space between tokens. `lower`: upper and lower case are the same. `special_tokens`, `unknown`: see
    `Tokenizer`.

    >>> tokenizer = WordTokenizer.train("The cat sat. The dog didn't.", size=6)
    >>> tokenizer.tokens, tokenizer.encode("the dog sat"), tokenizer.decode([2, 5, 3])
    (('the', '.', 'cat', 'sat'), [2, 1, 5], 'the sat .')
    """

    between = " "
    pattern = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

    def __init__(self, tokens: Sequence[str], special_tokens: Sequence[str] = ("<pad>", "<unk>"),
                 unknown: str | None = "<unk>", lower: bool = True) -> None:
        super().__init__(tokens, special_tokens, unknown)
        self.lower = lower

    @classmethod
    def train(cls, texts: str | Iterable[str], size: int | None = None, min_count: int = 1,
              special_tokens: Sequence[str] = ("<pad>", "<unk>"), unknown: str | None = "<unk>",
              lower: bool = True) -> "WordTokenizer":
        """A tokenizer for the words that occur in a text, or in several, at least `min_count` times; with `size`, for the
        most frequent ones, so that there are `size` ids with the special tokens. The most frequent come first, those
        equally frequent as they first occur."""
        empty = cls((), special_tokens, unknown, lower)
        if size is not None and size < len(empty):
            raise ValueError(f"WordTokenizer: size={size} has no room for the {len(empty)} special tokens")
        counts = Counter(word for text in documents(texts) for word in empty.split(text))
        words = [word for word, count in counts.most_common() if count >= min_count]
        return cls(words if size is None else words[:size - len(empty)], special_tokens, unknown, lower)

    def split(self, text: str) -> Iterable[str]:
        """The words and the punctuation marks."""
        return self.pattern.findall(text.lower() if self.lower else text)

    def state(self) -> dict[str, Any]:
        """The arguments that make this tokenizer again."""
        return super().state() | {"lower": self.lower}
