"""Samples of chainrule.functional.activations."""

from tests.samples.table import Sample, away, normal, sample

ENDS = away(5, 6, points=(-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)) * 1.0


def family(name: str, *, analytic: bool, **options: object) -> list[Sample]:
    """The shapes that every elementwise function is tried with."""
    function = f"functional.{name}"
    return [
        sample(function, ENDS, analytic=analytic, **options),  # type: ignore[arg-type]
        sample(function, ENDS[:2, :3] * 5 + 0.01, analytic=analytic, label="wide", **options),  # type: ignore[arg-type]
        sample(function, normal(0, 3), analytic=analytic, label="empty", **options),  # type: ignore[arg-type]
        sample(function, ENDS[0, 0, ...], analytic=analytic, label="0-d", **options),  # type: ignore[arg-type]
    ]


SAMPLES = [
    sample("relu", ENDS, analytic=False),
    # leaves that require a gradient are not written to: tests/test_losses.py has the gradients
    *(sample(f"functional.{name}_", ENDS, differentiable=False) for name in ("relu", "hardtanh", "leaky_relu", "elu")),
    *family("relu", analytic=False),
    *family("relu6", analytic=False),
    *family("hardtanh", analytic=False),
    sample("functional.hardtanh", ENDS, -2.0, 0.5, analytic=False, label="ends"),
    *family("leaky_relu", analytic=False),
    sample("functional.leaky_relu", ENDS, 0.2, analytic=False, label="slope"),
    sample("functional.leaky_relu", ENDS, -0.5, analytic=False, label="negative"),
    sample("functional.prelu", ENDS, normal(1), analytic=False),
    sample("functional.prelu", away(2, 3, 4), normal(3), analytic=False, label="channels"),
    sample("functional.prelu", away(4), normal(1), analytic=False, label="1-d"),
    sample("functional.prelu", away(), normal(1), analytic=False, label="0-d"),
    sample("functional.prelu", normal(0, 3), normal(3), analytic=False, label="empty"),
    *family("rrelu", analytic=False),
    sample("functional.rrelu", ENDS, 0.1, 0.9, analytic=False, label="bounds"),
    sample("functional.threshold", ENDS, 0.5, -2.0, analytic=False),
    sample("functional.threshold", normal(0), 0.5, -2.0, analytic=False, label="empty"),
    *family("hardshrink", analytic=False),
    sample("functional.hardshrink", ENDS, 1.0, analytic=False, label="lambda"),
    *family("softshrink", analytic=False),
    sample("functional.softshrink", ENDS, 1.0, analytic=False, label="lambda"),
    *family("hardsigmoid", analytic=False),
    *family("hardswish", analytic=False),
    *family("elu", analytic=True),
    sample("functional.elu", ENDS, 0.7, label="alpha"),
    *family("selu", analytic=True),
    *family("celu", analytic=True),
    sample("functional.celu", ENDS, 0.7, label="alpha"),
    *family("gelu", analytic=False),  # there is no complex error function here
    sample("functional.gelu", ENDS, approximate="tanh", label="tanh"),
    *family("silu", analytic=True),
    *family("mish", analytic=True),
    *family("softplus", analytic=True),
    sample("functional.softplus", ENDS, 2.0, label="beta"),
    sample("functional.softplus", ENDS, 2.0, 1.0, label="threshold"),
    *family("logsigmoid", analytic=True),
    *family("softsign", analytic=False),
    *family("tanhshrink", analytic=True),
    *family("sigmoid", analytic=True),
    *family("tanh", analytic=True),
    sample("functional.glu", normal(3, 4)),
    sample("functional.glu", normal(3, 4, 2), 1, label="middle"),
    sample("functional.glu", normal(2, 4), dim=-2, label="negative"),
    sample("functional.glu", normal(0, 4), label="empty"),
    sample("functional.softmax", normal(3, 4), 1),
    sample("functional.softmax", normal(2, 3, 4), dim=-2, label="middle"),
    sample("functional.softmax", normal(), dim=0, label="0-d"),
    sample("functional.softmax", normal(0, 3), dim=1, label="empty"),
    sample("functional.softmin", normal(3, 4), 1),
    sample("functional.softmin", normal(2, 3, 4), dim=-3, label="first"),
    sample("functional.gumbel_softmax", normal(3, 4), torch=None),
    sample("functional.gumbel_softmax", normal(2, 3, 2), 0.5, dim=1, torch=None, label="middle"),
    sample("functional.gumbel_softmax", normal(3, 4), hard=True, torch=None, differentiable=False, label="hard"),
    sample("functional.rrelu", ENDS, training=True, torch=None, analytic=False, label="training"),
    sample("functional.log_softmax", normal(3, 4), 1),
    sample("functional.log_softmax", normal(2, 3, 4), dim=-2, label="middle"),
    sample("functional.log_softmax", normal(), dim=0, label="0-d"),
    sample("functional.log_softmax", normal(0, 3), dim=1, label="empty"),
]
