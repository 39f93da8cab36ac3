"""The sequence-to-sequence model: lengths, teacher forcing and its own guesses, decoding, learning."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.layers.models import Seq2Seq
from chainrule.optim import Adam

SOURCE = cr.tensor([[3, 4, 5, 6], [7, 3, 0, 0], [4, 0, 0, 0]])
LENGTHS = [4, 2, 1]
TARGET = cr.tensor([[1, 6, 5, 4, 3, 2], [1, 3, 7, 2, 0, 0], [1, 4, 2, 0, 0, 0]])  # start, the source reversed, end


def make(**options):
    cr.manual_seed(0)
    return Seq2Seq(8, 8, 6, 10, **options).double()


def test_what_fills_up_a_batch_changes_nothing():
    model = make()
    together = model(SOURCE, LENGTHS, TARGET).data
    tokens, weights = model.generate(SOURCE, LENGTHS, 6)
    assert not weights.data[1, :, 2:].any() and not weights.data[2, :, 1:].any()
    np.testing.assert_allclose(weights.data.sum(-1), 1)
    for n, length in enumerate(LENGTHS):
        source = SOURCE[n : n + 1, :length]
        np.testing.assert_allclose(model(source, None, TARGET[n : n + 1]).data[0], together[n], atol=1e-12)
        alone, looks = model.generate(source, max_length=6)
        steps = alone.shape[1]
        np.testing.assert_array_equal(alone.data[0], tokens.data[n, :steps])
        assert not tokens.data[n, steps:].any()
        np.testing.assert_allclose(looks.data[0], weights.data[n, :steps, :length], atol=1e-12)


def test_without_teacher_forcing_it_reads_what_it_would_write():
    model = make()
    guesses = model(SOURCE, LENGTHS, TARGET, teacher_forcing=0.0).data.argmax(-1)
    tokens, _ = model.generate(SOURCE, LENGTHS, max_length=5)
    going_on = np.cumprod(np.concatenate([np.ones((3, 1), int), tokens.data[:, :-1] != model.end], 1), 1).astype(bool)
    assert going_on.any(1).all()
    np.testing.assert_array_equal(guesses[:, : tokens.shape[1]][going_on], tokens.data[going_on])


def test_teacher_forcing_is_drawn_for_each_sequence_and_step():
    """Each step's logits are those of reading the given token or the guess; over many calls both occur."""
    model = make()
    with cr.no_grad():
        model.decoder.embedding.weight.mul_(10.0)  # so that what is read matters
    other_than_guessed = (model(SOURCE, LENGTHS, TARGET[:, :2])[:, 0].argmax(-1) + 1) % 8
    target = cr.stack([TARGET[:, 0], other_than_guessed, TARGET[:, 2]], dim=1)
    forced, free = (model(SOURCE, LENGTHS, target, teacher_forcing=p).data[:, 1] for p in (1.0, 0.0))
    assert not np.isclose(forced, free).all(-1).any()
    chosen = []
    for _ in range(40):
        mixed = model(SOURCE, LENGTHS, target, teacher_forcing=0.7).data[:, 1]
        given, guessed = (np.isclose(mixed, other).all(-1) for other in (forced, free))
        assert (given ^ guessed).all()
        chosen.append(given)
    assert 0.5 < np.mean(chosen) < 0.9 and len({tuple(c) for c in chosen}) > 3


def test_it_learns_and_ends():
    model = make().float()
    optimizer = Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model(SOURCE, LENGTHS, TARGET, teacher_forcing=0.8)
        loss = F.cross_entropy(logits.flatten(0, 1), TARGET[:, 1:].flatten(), ignore_index=0)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    tokens, weights = model.generate(SOURCE, LENGTHS)
    np.testing.assert_array_equal(tokens.data, TARGET.data[:, 1:])
    assert weights.shape == (3, 5, 4) and not tokens.requires_grad


def test_errors():
    model = make(dropout=0.1)
    with pytest.raises(cr.ShapeError, match=r"Seq2Seq: the target is \(N, S\), beginning with the start token 1"):
        model(SOURCE, LENGTHS, TARGET[:, :1])
    with pytest.raises(ValueError, match="teacher_forcing=2 is a probability"):
        model(SOURCE, LENGTHS, TARGET, 2)
    with pytest.raises(ValueError, match="max_length=0 must be at least 1"):
        model.generate(SOURCE, max_length=0)
    with pytest.raises(cr.ShapeError, match=r"lengths are 3 numbers from 1 to 4.*\[4, 2, 0\]"):
        model(SOURCE, [4, 2, 0], TARGET)
    with pytest.raises(cr.ShapeError, match=r"AdditiveAttention: query \(N, query_size\)"):
        model.decoder.attention(cr.zeros(2, 10), cr.zeros(3, 4, 20))
