"""DeepFM: its parts written out, fields of one and of several values, and what it can learn that a sum of weights cannot."""

from itertools import combinations

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.errors import ShapeError
from chainrule.layers.models import DeepFM, factorization_machine

FIELDS = cr.tensor([1, 3, 0]), cr.tensor([0, 0, 4]), (cr.tensor([2, 0, 1, 1, 5]), cr.tensor([0, 2, 2]))


def test_all_pairs_are_summed():
    v = np.random.default_rng(0).normal(size=(4, 5, 3))
    pairs = sum((v[:, i] * v[:, j]).sum(1) for i, j in combinations(range(5), 2))
    np.testing.assert_allclose(factorization_machine(cr.tensor(v)).data, pairs)


def test_the_logit_is_the_sum_of_its_parts():
    model = DeepFM([4, 5, 6], 3, (7,)).double()
    for i, p in enumerate(model.parameters()):
        p.data = np.random.default_rng(i).normal(size=p.shape)
    chosen = [[(1,), (0,), (2, 0)], [(3,), (0,), ()], [(0,), (4,), (1, 1, 5)]]  # the second sample has no third value

    def average(table, rows):
        return table.weight.data[list(rows)].mean(0) if rows else np.zeros(table.embedding_dim)

    expected = []
    for rows in chosen:
        v = [average(table, r) for table, r in zip(model.vectors, rows, strict=True)]
        hidden = np.maximum(model.deep[0].weight.data @ np.concatenate(v) + model.deep[0].bias.data, 0)
        deep = model.deep[3].weight.data @ hidden + model.deep[3].bias.data
        linear = sum(average(table, r) for table, r in zip(model.weights, rows, strict=True))
        expected.append(model.bias.data + linear + sum(a @ b for a, b in combinations(v, 2)) + deep)
    np.testing.assert_allclose(model(*FIELDS).data, np.concatenate(expected))


def test_gradients_by_differences():
    model = DeepFM([4, 5, 6], 2, (3,)).double()
    names, values = zip(*[(n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()], strict=True)
    assert cr.gradcheck(lambda *v: layers.functional_call(model, dict(zip(names, v, strict=True)), FIELDS), values)


def test_it_learns_what_only_pairs_tell():
    """A click where both fields are odd or both even: each field alone says nothing."""
    cr.manual_seed(0)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 8, 400), rng.integers(0, 8, 400)
    clicks = cr.tensor(((a + b) % 2 == 0).astype(np.float32))
    model = DeepFM([8, 8], 4, (16,))
    optimizer = optim.Adagrad(model.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(cr.tensor(a), cr.tensor(b)), clicks).backward()
        optimizer.step()
    assert (((model(cr.tensor(a), cr.tensor(b)) > 0).data == (clicks.data > 0.5)).mean()) == 1


@pytest.mark.parametrize(("fields", "error", "words"), [
    (FIELDS[:2], ShapeError, "got 2 fields, the model was made for 3"),
    ((cr.tensor([1, 2]), *FIELDS[1:]), ShapeError, r"the fields have \[2, 3, 3\] samples"),
    ((cr.tensor([1, 2, 4]), *FIELDS[1:]), IndexError, "index 4 .* out of range for a weight of 4 rows"),
])
def test_what_does_not_fit_is_named(fields, error, words):
    with pytest.raises(error, match=words):
        DeepFM([4, 5, 6])(*fields)
