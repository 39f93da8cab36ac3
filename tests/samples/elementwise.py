"""Samples of chainrule.ops.elementwise."""

from tests.samples.table import normal, positive, sample

SAMPLES = [
    sample("add", normal(3, 4), normal(3, 4)),
    sample("add", normal(3, 1, 2), normal(4, 1), label="broadcast"),
    sample("add", normal(3), 2.5, label="scalar"),
    sample("add", normal(0, 3), normal(3), label="empty"),
    sample("add", normal(), normal(), label="0-d"),
    sample("multiply", normal(3, 4), normal(3, 4)),
    sample("multiply", normal(3, 1, 2), normal(4, 1), label="broadcast"),
    sample("divide", normal(3, 4), positive(4)),
    sample("subtract", normal(3), normal(2, 3)),
    sample("exp", normal(3, 4)),
    sample("log", positive(3, 4)),
    sample("abs", normal(3, 4), analytic=False),
]
