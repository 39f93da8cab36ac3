"""Samples of random draws (the tests seed them) and of the dropout family. torch draws other numbers."""

import numpy as np

from tests.samples.table import integers, normal, sample, uniform

SAMPLES = [
    sample("rand", 2, 3, torch=None, differentiable=False),
    sample("rand", (0,), torch=None, differentiable=False, label="empty"),
    sample("randn", 3, torch=None, differentiable=False),
    sample("randn", torch=None, differentiable=False, label="0-d"),
    sample("randint", 0, 10, (4,), torch=None, differentiable=False),
    sample("randint", 10, (4,), torch=None, differentiable=False, label="high"),
    sample("randint", 3, 4, (2, 2), differentiable=False, label="one-value"),
    sample("rand_like", normal(2, 3), torch=None, differentiable=False, strict_dtype=False, tolerance=1e9),
    sample("randn_like", normal(2, 3), torch=None, differentiable=False, strict_dtype=False, tolerance=1e9),
    sample("randint_like", integers(0, 3, 4), 2, 3, differentiable=False),
    sample("randperm", 6, torch=None, differentiable=False),
    sample("randperm", 1, differentiable=False, label="one"),
    sample("normal", 1.0, 2.0, (3,), torch=None, differentiable=False),
    sample("bernoulli", uniform(0.0, 1.0, 5), torch=None, differentiable=False),
    sample("bernoulli", np.array([0.0, 1.0, 1.0]), differentiable=False, label="certain"),
    sample("multinomial", uniform(0.1, 1.0, 3, 5), 2, torch=None, differentiable=False),
    sample("multinomial", np.array([0.0, 2.0, 0.0]), 4, replacement=True, differentiable=False, label="certain"),
    sample("functional.dropout", normal(3, 4), 0.4, torch=None),
    sample("functional.dropout", normal(3, 4), 0.4, training=False, label="evaluation"),
    sample("functional.dropout", normal(3, 4), 1.0, second=False, label="all"),
    sample("functional.dropout", normal(0, 4), 0.4, label="empty"),
    sample("functional.dropout", normal(), 0.4, torch=None, label="0-d"),
    sample("functional.dropout1d", normal(4, 3, 2), 0.5, torch=None),
    sample("functional.dropout1d", normal(3, 2), 0.0, label="none"),
    sample("functional.dropout2d", normal(3, 4, 2, 2), 0.5, torch=None),
    sample("functional.dropout2d", normal(3, 2, 2), 0.5, torch=None, label="unbatched"),
    sample("functional.dropout3d", normal(2, 3, 2, 2, 2), 0.5, torch=None),
    sample("functional.alpha_dropout", normal(3, 4), 0.4, training=True, torch=None),
    sample("functional.alpha_dropout", normal(3, 4), 0.4, label="evaluation"),
    sample("functional.alpha_dropout", normal(3, 4), 1.0, training=True, second=False, label="all"),
    sample("functional.feature_alpha_dropout", normal(3, 4, 2), 0.4, training=True, torch=None),
    sample("functional.feature_alpha_dropout", normal(3, 4, 2), 0.4, label="evaluation"),
    sample("Tensor.multinomial", np.array([0.0, 2.0, 0.0]), 4, True, differentiable=False, label="certain"),
]
