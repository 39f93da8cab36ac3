"""Metrics: scikit-learn's values, whatever the batches, and errors that say what does not fit."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.optim.training import AUC, F1, Accuracy, Mean, Metric, Perplexity, TopK, batch_size

sklearn_metrics = pytest.importorskip("sklearn.metrics")
RANDOM = np.random.default_rng(3)
TARGET = RANDOM.integers(0, 5, 103)
TARGET[TARGET == 4] = 3  # a class that never occurs among the targets
SCORES = RANDOM.normal(size=(103, 5)).astype(np.float32) + 1.2 * np.eye(5, dtype=np.float32)[TARGET]
DECIDED = SCORES.argmax(1)
BINARY = (TARGET > 1).astype(np.int64)
LOGITS = (RANDOM.normal(size=103) + BINARY - 0.5).astype(np.float32)
ROUNDED = np.round(LOGITS)  # many ties


def entropy():
    rows = SCORES.astype(np.float64)
    return float(np.mean(np.log(np.exp(rows).sum(1)) - rows[np.arange(103), TARGET]))


CASES = {
    "accuracy": (lambda: Accuracy(), SCORES, TARGET, lambda m: m.accuracy_score(TARGET, DECIDED)),
    "accuracy binary": (lambda: Accuracy(0), LOGITS[:, None], BINARY, lambda m: m.accuracy_score(BINARY, LOGITS > 0)),
    "top 2": (lambda: TopK(2), SCORES, TARGET, lambda m: m.top_k_accuracy_score(TARGET, SCORES, k=2, labels=range(5))),
    "top 1": (lambda: TopK(1), SCORES, TARGET, lambda m: m.accuracy_score(TARGET, DECIDED)),
    "f1 binary": (lambda: F1(threshold=0), LOGITS, BINARY.astype(np.float32), lambda m: m.f1_score(BINARY, LOGITS > 0)),
    "f1 two columns": (lambda: F1(), SCORES[:, :2], BINARY, lambda m: m.f1_score(BINARY, SCORES[:, :2].argmax(1))),
    "f1 macro": (lambda: F1("macro"), SCORES, TARGET, lambda m: m.f1_score(TARGET, DECIDED, average="macro")),
    "f1 micro": (lambda: F1("micro"), SCORES, TARGET, lambda m: m.f1_score(TARGET, DECIDED, average="micro")),
    "auc": (lambda: AUC(), LOGITS, BINARY, lambda m: m.roc_auc_score(BINARY, LOGITS)),
    "auc ties": (lambda: AUC(), ROUNDED[:, None], BINARY, lambda m: m.roc_auc_score(BINARY, ROUNDED)),
    "auc two columns": (lambda: AUC(), SCORES[:, :2], BINARY,
                        lambda m: m.roc_auc_score(BINARY, SCORES[:, 1].astype(float) - SCORES[:, 0])),
    "mean": (lambda: Mean(F.cross_entropy), SCORES, TARGET, lambda m: entropy()),
    "perplexity": (lambda: Perplexity(), SCORES, TARGET, lambda m: math.exp(entropy())),
}


@pytest.mark.parametrize("case", CASES)
def test_values_over_uneven_batches_and_after_a_reset_and_a_saved_state(case, tmp_path):
    make, prediction, target, expected = CASES[case]
    metric = make()
    metric.update(cr.tensor(prediction[:7][::-1].copy()), cr.tensor(target[:7]))
    metric.reset()
    ends = [0, 50, 100, 102, 103]
    for start, end in zip(ends, ends[1:]):
        metric.update(cr.tensor(prediction[start:end], requires_grad=True), cr.tensor(target[start:end]))
        cr.save(metric.state_dict(), tmp_path / "state")
        metric = make()
        metric.load_state_dict(cr.load(tmp_path / "state"))
    assert metric.compute() == pytest.approx(expected(sklearn_metrics), rel=1e-6)
    whole = make()
    whole.update(prediction, target)
    assert metric.compute() == pytest.approx(whole.compute(), rel=1e-6) and isinstance(metric.compute(), float)


def test_sequences_with_padding():
    target = TARGET[:100].reshape(10, 10).copy()
    target[:, 7:] = -100
    flat, kept = SCORES[:100].reshape(10, 10, 5)[:, :7].reshape(-1, 5), target[:, :7].reshape(-1)
    last = SCORES[:100].reshape(10, 10, 5)
    for make in (Accuracy, lambda **o: TopK(2, **o), lambda **o: F1("macro", **o), Perplexity):
        expected, found, moved = make(), make(dim=-1), make()
        expected.update(flat, kept)
        found.update(last, target)
        moved.update(np.moveaxis(last, -1, 1), target)
        assert found.compute() == pytest.approx(expected.compute()) and moved.compute() == pytest.approx(expected.compute())


def test_corner_cases():
    constant = TopK(2)
    constant.update(np.zeros((5, 5)), np.arange(5))  # a model that knows nothing is not right about everything
    assert constant.compute() == 0.4
    auc = AUC()
    auc.update([0.1, 0.2], [1, 1])
    assert math.isnan(auc.compute())
    f1 = F1(threshold=0.5)
    f1.update([0.1, 0.2], [0, 0])
    assert f1.compute() == 0.0
    perplexity = Perplexity()
    perplexity.update(np.array([[1000.0, -1000.0]]), np.array([1]))
    assert perplexity.compute() == math.inf
    assert batch_size((np.zeros(3), np.zeros(4))) == 3 and batch_size({"a": [1, 2]}) == 2


@pytest.mark.parametrize(("metric", "prediction", "target", "match"), [
    (Accuracy(), np.zeros((3, 1)), np.zeros(3), r"float64\(3, 1\) has one number for each .*threshold=0.5"),
    (Accuracy(), np.zeros((3, 4)), np.zeros((3, 4)), "threshold=0.5.*target.argmax"),
    (Accuracy(), np.zeros((3, 4)), np.zeros(4), r"Accuracy: the prediction float64\(3, 4\) and the target float64\(4\)"),
    (F1("macro"), np.zeros((3, 4, 5)), np.zeros((3, 4)), "dim=-1"),
    (F1(), np.zeros((3, 4)), np.array([0, 1, 2]), "class 2 occurs.*'macro'"),
    (F1("macro"), np.zeros((3, 4)), np.array([0, -1, 2]), "a target is -1"),
    (TopK(2), np.zeros((3, 4)), np.array([0, 1, 4]), "targets 0 to 4.*4 classes"),
    (AUC(), np.zeros((3, 4)), np.zeros(3), "AUC: the prediction"),
    (AUC(), np.zeros(3), np.array([0, 1, 2]), "0 or 1"),
    (AUC(), np.array([0.0, np.nan]), np.array([0, 1]), "NaN"),
    (Perplexity(), np.zeros((3, 4)), np.zeros((3, 4)), "Perplexity: the prediction"),
    (Mean(lambda p, t: 0.5), cr.zeros(3), cr.tensor(0.0), "how many examples"),
])
def test_what_does_not_fit(metric, prediction, target, match):
    with pytest.raises((ValueError, TypeError), match=match):
        metric.update(prediction, target)


def test_options_and_empty_metrics():
    for make, match in ((lambda: TopK(0), "k=0"), (lambda: F1("weighted"), "average='weighted'")):
        with pytest.raises(ValueError, match=match):
            make()
    for metric in (Accuracy(), TopK(), F1(), F1("micro"), AUC(), Perplexity(), Mean(F.mse_loss)):
        with pytest.raises(ValueError, match=f"{type(metric).__name__}.compute: nothing was counted"):
            metric.compute()
    with pytest.raises(TypeError, match="count=lambda"):
        batch_size(3)
    for call in (lambda m: m.update(0, 0), lambda m: m.compute()):
        half = type("Half", (Metric,), {"reset": lambda self: None})()
        with pytest.raises(NotImplementedError, match="Half has no"):
            call(half)
    with pytest.raises(NotImplementedError, match="reset"):
        Metric()
