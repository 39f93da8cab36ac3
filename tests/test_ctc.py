"""Connectionist temporal classification against its meaning: the sum over all alignments, written out."""

from itertools import groupby, product

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F

BOTH = pytest.mark.parametrize("backend", ["reference", "cpu"])


def logits(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def log_probabilities(*shape, seed=0):
    x = logits(*shape, seed=seed)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def read(string, blank):
    """The string with repetitions merged and then blanks removed."""
    return tuple(c for c, _ in groupby(string) if c != blank)


def probability(log_probs, target, blank):
    """That of all strings that read as the target, for (T, C)."""
    steps, classes = log_probs.shape
    return sum(np.exp(sum(log_probs[t, c] for t, c in enumerate(string)))
               for string in product(range(classes), repeat=steps) if read(string, blank) == tuple(target))


@BOTH
@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_the_loss_is_the_sum_over_all_alignments(backend, blank, length):
    x = log_probabilities(4, 1, 3, seed=length)
    letters = [c for c in range(3) if c != blank]
    for target in product(letters, repeat=length):  # every text, those with repeated labels among them
        with cr.backend(backend):
            loss = F.ctc_loss(cr.tensor(x), np.array([target], np.int64).reshape(1, length), (4,), (length,), blank, "sum")
        with np.errstate(divide="ignore"):
            assert loss.item() == pytest.approx(-np.log(probability(x[:, 0], target, blank)), rel=1e-12)


@BOTH
def test_probabilities_of_all_texts_sum_to_one(backend):
    x = cr.tensor(log_probabilities(3, 4)).reshape(3, 1, 4)
    with cr.backend(backend):
        total = sum(F.ctc_loss(x, [list(text)], (3,), (n,), reduction="sum").neg().exp().item()
                    for n in range(4) for text in product((1, 2, 3), repeat=n))
    assert total == pytest.approx(1, rel=1e-12)


@BOTH
def test_steps_and_labels_past_the_lengths_do_not_count(backend):
    x, y = log_probabilities(5, 2, 4), log_probabilities(5, 2, 4)
    y[3:, 0], y[4:, 1] = np.nan, 7.0
    with cr.backend(backend), np.errstate(invalid="ignore"):
        answers = []
        for values, targets in ((x, [[1, 2], [3, 0]]), (y, [[1, 2], [3, 99]])):
            leaf = cr.tensor(values, requires_grad=True)
            loss = F.ctc_loss(leaf, targets, (3, 4), (2, 1), reduction="none")
            loss.sum().backward()
            answers.append((loss.data, leaf.grad.data))
        in_a_row = F.ctc_loss(cr.tensor(x), [1, 2, 3], (3, 4), (2, 1), reduction="none")
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_array_equal(answers[0][0], in_a_row.data)
    np.testing.assert_array_equal(answers[0][1][:3, 0], answers[1][1][:3, 0])
    assert not answers[0][1][3:, 0].any() and not answers[1][1][3:, 0].any()


@BOTH
@pytest.mark.parametrize(("steps", "target"), [(1, [1, 2]), (2, [1, 1]), (0, [1, 2])])
def test_a_target_that_does_not_fit_costs_infinity_and_has_no_gradient(backend, steps, target):
    for zero, expected in ((False, np.inf), (True, 0.0)):
        leaf = cr.tensor(log_probabilities(3, 2, 4), requires_grad=True)
        with cr.backend(backend):
            loss = F.ctc_loss(leaf, [target, [3, 3]], (steps, 3), (2, 2), reduction="none", zero_infinity=zero)
            loss.sum().backward()
        assert loss.data[0] == expected and np.isfinite(loss.data[1])
        assert not leaf.grad.data[:, 0].any() and leaf.grad.data[:, 1].any()


def test_a_target_of_nothing_is_all_blanks():
    x = cr.tensor(log_probabilities(3, 2, 4))
    for targets in ([[], []], []):
        loss = F.ctc_loss(x, np.array(targets, np.int64), (3, 2), (0, 0), reduction="none")
        np.testing.assert_allclose(loss.data, [-x.data[:, 0, 0].sum(), -x.data[:2, 1, 0].sum()])
    assert F.ctc_loss(x, np.zeros((2, 0), np.int64), (0, 3), (0, 0), reduction="none").data[0] == 0


def test_the_mean_divides_by_the_targets_lengths():
    x = cr.tensor(log_probabilities(5, 3, 4))
    given = [[1, 2, 3], [2, 0, 0], [0, 0, 0]], (5, 4, 3), (3, 1, 0)
    each = F.ctc_loss(x, *given, reduction="none").data
    assert F.ctc_loss(x, *given).item() == pytest.approx((each / [3, 1, 1]).mean())


def test_long_sequences_keep_their_digits_in_float32():
    x = log_probabilities(1500, 1, 6).astype(np.float32)
    target = np.random.default_rng(1).integers(1, 6, (1, 300))
    answers = []
    for dtype in (np.float32, np.float64):
        leaf = cr.tensor(x.astype(dtype), requires_grad=True)
        F.ctc_loss(leaf, target, (1500,), (300,)).backward()
        answers.append(leaf.grad.data)
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-8)


@pytest.mark.peers
def test_behind_a_log_softmax_the_gradient_is_torchs():
    torch = pytest.importorskip("torch")
    x, targets, steps, ends = logits(12, 4, 5), [[1, 1, 2], [4, 3, 4], [2, 2, 0], [0, 0, 0]], (12, 9, 7, 5), (3, 3, 2, 0)
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.functional.ctc_loss(theirs.log_softmax(-1), torch.tensor(targets), steps, ends).backward()
    ours = cr.tensor(x, requires_grad=True)
    F.ctc_loss(ours.log_softmax(-1), targets, steps, ends).backward()
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("changes", "error", "words"), [
    ({"log_probs": np.zeros(3)}, cr.errors.ShapeError, r"log_probs have shape \(3,\)"),
    ({"targets": [[1.0, 2.0], [1.0, 2.0]]}, cr.errors.DtypeError, "targets are float32"),
    ({"targets": [[1, 2]]}, cr.errors.ShapeError, r"targets of shape \(1, 2\) for 2 sequences"),
    ({"targets": [1, 2, 1]}, cr.errors.ShapeError, r"\[2, 1\] sum to 3|sum to 4, there are 3 targets"),
    ({"targets": [[1, 5], [1, 1]]}, IndexError, "classes from 1 to 5"),
    ({"targets": [[1, 0], [1, 1]]}, ValueError, "the class blank=0 is among the targets"),
    ({"input_lengths": (4, 3)}, cr.errors.ShapeError, r"input_lengths are \[4, 3\]; they lie from 0 to 3"),
    ({"input_lengths": (3,)}, cr.errors.ShapeError, "input_lengths has 1 entries, there are 2 sequences"),
    ({"target_lengths": (2, 3)}, cr.errors.ShapeError, r"target_lengths are \[2, 3\]; they lie from 0 to 2"),
    ({"target_lengths": (2.0, 2.0)}, cr.errors.DtypeError, "target_lengths are float32"),
    ({"blank": 4}, IndexError, "blank=4 is no class"),
    ({"reduction": "avg"}, ValueError, "reduction='avg'"),
])
def test_what_does_not_fit_is_named(changes, error, words):
    given = {"log_probs": np.zeros((3, 2, 4)), "targets": [[1, 2], [1, 3]], "input_lengths": (3, 3), "target_lengths": (2, 2)}
    with pytest.raises(error, match=words):
        F.ctc_loss(**(given | changes))
