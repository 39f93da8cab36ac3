"""Tokenizers and padded sequences."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.data import BytePairTokenizer, CharacterTokenizer, Tokenizer, WordTokenizer, pad_sequence, pad_sequences
from chainrule.data.bytepairs import CHUNKS, learn

TEXT = """Wer nicht fragt, bleibt dumm: he who asks is a fool for five minutes; he who does not ask remains a fool
forever. Fünf Minuten, fünfzig Minuten!  The more the better, the better the more... naïve café 12 123 1234 日本語日本語"""
anything = st.text(st.characters(), max_size=60)  # lone surrogates too


# ---- byte pairs

def learn_slowly(counts, merges, min_count=2):
    """What `learn` computes, by counting everything anew for each merge."""
    words = {word: list(word) for word in counts}
    found = []
    while len(found) < merges:
        frequency = {}
        for word, symbols in words.items():
            for pair in zip(symbols, symbols[1:], strict=False):
                frequency[pair] = frequency.get(pair, 0) + counts[word]
        if not frequency:
            break
        best = min(frequency, key=lambda pair: (-frequency[pair], pair))
        if frequency[best] < min_count:
            break
        found.append(best)
        for symbols in words.values():
            i = 0
            while i < len(symbols) - 1:
                if (symbols[i], symbols[i + 1]) == best:
                    symbols[i: i + 2] = [255 + len(found)]
                i += 1
    return found


@given(st.dictionaries(st.binary(max_size=9).map(lambda b: bytes(97 + x % 3 for x in b)), st.integers(1, 5), max_size=12),
       st.integers(0, 20), st.integers(1, 4))
def test_learning_by_differences_is_learning(counts, merges, min_count):
    assert learn(counts, merges, min_count) == learn_slowly(counts, merges, min_count)


def test_the_example_of_the_paper():
    # Sennrich et al. 2016, Algorithm 1, without its end-of-word mark
    counts = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}
    merges = learn(counts, 5, 1)
    e, s, t, l, o, w = b"estlow"
    assert merges[:2] == [(e, s), (256, t)] and set(merges[2:4]) == {(l, o), (258, w)}


TRAINED = BytePairTokenizer.train([TEXT, "and another text, another", TEXT[:100]], merges=150, special_tokens=["<pad>", "<eos>"])


@given(anything)
@settings(max_examples=200)
def test_byte_pairs_give_any_text_back(text):
    assert TRAINED.decode(TRAINED.encode(text)) == text
    assert "".join(CHUNKS.findall(text)) == text
    assert BytePairTokenizer([]).encode(text) == list(text.encode("utf-8", "surrogatepass"))
    own = BytePairTokenizer.train(text, 50)
    assert own.decode(own.encode(text)) == text


@given(st.lists(st.integers(0, len(TRAINED) - 1)))
def test_any_ids_are_some_text(ids):
    assert isinstance(TRAINED.decode(ids), str)


def test_byte_pairs_join_what_is_frequent():
    assert len(TRAINED) == 2 + 256 + len(TRAINED.merges) and 80 < len(TRAINED.merges) <= 150
    ids = TRAINED.encode(" Minuten")
    assert len(ids) == 1 and TRAINED.decode(ids) == " Minuten"
    assert len(TRAINED.encode(TEXT)) < 0.4 * len(TEXT.encode())
    assert TRAINED.encode("a" * 3000)[:3] == [2 + ord("a")] * 3  # no pair of a's was learned
    long = BytePairTokenizer.train("a" * 5000, merges=20)
    assert long.decode(long.encode("a" * 4999)) == "a" * 4999 and len(long.encode("a" * 4096)) <= 2


def test_training_repeats_in_another_process():
    code = ("from chainrule.data import BytePairTokenizer; import sys; "
            "print(BytePairTokenizer.train(sys.argv[1], 80).merges)")
    printed = {subprocess.run([sys.executable, "-c", code, TEXT], check=True, capture_output=True, text=True,
                              env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert printed == {f"{BytePairTokenizer.train(TEXT, 80).merges}\n"}


def test_merges_that_cannot_be():
    with pytest.raises(ValueError, match="merge 1 joins 97 and 257, there are only 0 to 256"):
        BytePairTokenizer([(97, 98), (97, 257)])


# ---- characters and words

@given(anything, st.booleans())
def test_characters_give_a_known_text_back(text, special):
    tokenizer = CharacterTokenizer.train([text, "abc"], special_tokens=["<pad>", "<unk>"])
    ids = tokenizer.encode(text, special=special)
    assert tokenizer.decode(ids) == text and len(tokenizer) == 2 + len(set(text) | set("abc"))
    assert list(tokenizer.tokens) == sorted(set(text) | set("abc"))


def test_words():
    text = "Don't panic! The answer: 42, the_answer is 42."
    tokenizer = WordTokenizer.train(text)
    assert tokenizer.tokens[:3] == ("42", "don't", "panic") and tokenizer["<pad>"] == 0
    assert tokenizer.decode(tokenizer.encode(text)) == "don't panic ! the answer : 42 , the_answer is 42 ."
    assert tokenizer.encode("nobody's THE") == [1, tokenizer.ids["the"]]
    assert WordTokenizer.train(text, min_count=2).tokens == ("42",)
    assert WordTokenizer.train([text, "the the"], size=4, lower=False).tokens == ("42", "the")
    assert WordTokenizer.train("A a", lower=False).tokens == ("A", "a")
    with pytest.raises(ValueError, match="size=1 has no room for the 2 special tokens"):
        WordTokenizer.train(text, size=1)


def test_what_is_not_in_the_vocabulary():
    with pytest.raises(ValueError, match="'x' is not in the vocabulary of 3; train on more text"):
        CharacterTokenizer.train("abc").encode("abx")
    assert CharacterTokenizer.train("abc", ["?"], unknown="?").encode("axc") == [1, 0, 3]
    for bad in ([5], [-1], cr.tensor([0, 5])):
        with pytest.raises(ValueError, match="there is no id .*, there are 0 to 4"):
            WordTokenizer.train("a b c").decode(bad)
    with pytest.raises(ValueError, match="a token occurs twice"):
        CharacterTokenizer("aba")
    with pytest.raises(ValueError, match="are to be different texts"):
        CharacterTokenizer("ab", ["<pad>", "<pad>"])
    with pytest.raises(KeyError, match="'<eos>' is no special token"):
        CharacterTokenizer("ab")["<eos>"]


# ---- what all have in common

TOKENIZERS = {
    "characters": CharacterTokenizer.train(TEXT + "<eos>pad", ["<pad>", "<unk>", "<eos>", "<eos>>"]),
    "words": WordTokenizer.train(TEXT, special_tokens=["<pad>", "<unk>", "<eos>", "<eos>>"], lower=False),
    "byte pairs": BytePairTokenizer.train(TEXT, 50, special_tokens=["<pad>", "<unk>", "<eos>", "<eos>>"]),
}


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_special_tokens(kind):
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode("fool<eos><eos>><pad>fool", special=True)
    word = tokenizer.encode("fool")
    assert ids == [*word, 2, 3, 0, *word]
    space = " " * (kind == "words")
    assert tokenizer.decode(cr.tensor(ids)) == space.join(["fool", "<eos>", "<eos>>", "<pad>", "fool"])
    assert tokenizer.decode(np.array(ids), special=False) == space.join(["fool", "fool"])
    assert not {0, 2, 3} & set(tokenizer.encode("<eos><pad>"))  # a text that looks like one is none
    assert tokenizer.encode("") == tokenizer.encode("", special=True) == [] and tokenizer.decode([]) == ""


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_saved_and_loaded(kind, tmp_path):
    tokenizer = TOKENIZERS[kind]
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert type(loaded) is type(tokenizer) and len(loaded) == len(tokenizer) and loaded.unknown == tokenizer.unknown
    assert loaded.state() == tokenizer.state()
    assert loaded.encode(TEXT + "<eos>", special=True) == tokenizer.encode(TEXT + "<eos>", special=True)
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    for damaged in ("{", "[]", "{}", json.dumps(state | {"tokenizer": "Other"}), json.dumps(state | {"more": 1}),
                    json.dumps({k: v for k, v in state.items() if k not in ("tokens", "merges")}),
                    json.dumps(state | {"merges": [[999, 1]], "tokens": [1, [2]]})):
        (tmp_path / "damaged").write_text(damaged)
        with pytest.raises(cr.errors.FileError, match="damaged, or no tokenizer that save"):
            Tokenizer.load(tmp_path / "damaged")


# ---- padding

@given(st.lists(st.lists(st.integers(-9, 9), max_size=6), max_size=6), st.none() | st.integers(0, 7),
       st.sampled_from(["pre", "post"]), st.sampled_from(["pre", "post"]))
def test_pad_sequences(sequences, maxlen, padding, truncating):
    found, lengths = pad_sequences(sequences, maxlen, padding=padding, truncating=truncating, value=7, lengths=True)
    width = max(map(len, sequences), default=0) if maxlen is None else maxlen
    expected = []
    for s in sequences:
        kept = s[:width] if truncating == "post" else s[max(len(s) - width, 0):]
        rest = [7] * (width - len(kept))
        expected.append(kept + rest if padding == "post" else rest + kept)
    assert found.tolist() == expected and found.shape == (len(sequences), width)
    assert lengths.tolist() == [min(len(s), width) for s in sequences]
    assert found.dtype == cr.int64 or not any(sequences)


def test_pad_sequences_of_vectors_and_errors():
    found = pad_sequences([np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32), cr.ones(1, 3)], value=-1)
    assert found.shape == (3, 2, 3) and found.dtype == cr.float32 and found[2].tolist() == [[-1] * 3, [1] * 3]
    assert pad_sequences([[1, 2], [3]], dtype=cr.float64, value=0.5).tolist() == [[1, 2], [0.5, 3]]
    assert pad_sequences([[0.5], []]).dtype == cr.float32
    with pytest.raises(ValueError, match="value=0.5 is no int64"):
        pad_sequences([[1]], value=0.5)
    for wrong in ({"padding": "left"}, {"truncating": "both"}):
        with pytest.raises(ValueError, match="it is 'pre' or 'post'"):
            pad_sequences([[1]], **wrong)
    with pytest.raises(ValueError, match="maxlen=-1"):
        pad_sequences([[1]], -1)
    with pytest.raises(cr.ShapeError, match="a number among them"):
        pad_sequences([1, 2])
    with pytest.raises(cr.ShapeError, match="different shapes"):
        pad_sequences([np.ones((1, 2)), np.ones((1, 3))])


def test_pad_sequence():
    a, b = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), cr.tensor([[5.0, 6.0]], requires_grad=True)
    found = pad_sequence([a, b], batch_first=True, padding_value=-1)
    assert found.tolist() == [[[1, 2], [3, 4]], [[5, 6], [-1, -1]]]
    (found * found).sum().backward()
    assert a.grad.tolist() == [[2, 4], [6, 8]] and b.grad.tolist() == [[10, 12]]
    assert pad_sequence([a, b]).tolist() == [[[1, 2], [5, 6]], [[3, 4], [0, 0]]]
    assert pad_sequence([cr.tensor([1, 2]), cr.tensor([3])], True, 9, "left").tolist() == [[1, 2], [9, 3]]
    for wrong in (([a], False, 0.0, "up"), ([],)):
        with pytest.raises(ValueError, match="it is 'left' or 'right', and there is at least one tensor"):
            pad_sequence(*wrong)
    with pytest.raises(cr.ShapeError, match=r"otherwise the same shape, got \(2, 2\), \(1,\)"):
        pad_sequence([a, cr.ones(1)])


@pytest.mark.peers
def test_pad_sequence_agrees_with_torch():
    torch = pytest.importorskip("torch")
    arrays = [np.random.default_rng(n).normal(size=(n, 2)) for n in (3, 1, 4)]
    for options in ({}, {"batch_first": True, "padding_value": 0.5}, {"padding_side": "left"}):
        theirs = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], **options)
        np.testing.assert_array_equal(pad_sequence(arrays, **options).data, theirs.numpy())
