"""Samples of chainrule.linalg, whose functions are those of chainrule.ops.linalg."""

import numpy as np

from tests.samples.table import normal, positive, sample


def invertible(*shape: int) -> np.ndarray:
    """Matrices with a dominant diagonal: well conditioned, determinants of either sign."""
    n = shape[-1]
    signs = np.diag(np.where(np.arange(n) % 2, -1.0, 1.0))
    return 0.5 * normal(*shape) + 2 * signs


def definite(*shape: int) -> np.ndarray:
    """Symmetric positive-definite matrices."""
    a = normal(*shape)
    return a @ np.swapaxes(a, -1, -2) + 2 * np.eye(shape[-1])


def singular() -> np.ndarray:
    """A matrix of rank 2 in 3 dimensions."""
    return normal(3, 2) @ normal(2, 3)


SAMPLES = [
    sample("linalg.inv", invertible(3, 3)),
    sample("linalg.inv", invertible(2, 4, 3, 3), label="batch"),
    sample("linalg.inv", normal(0, 2, 2), label="empty-batch"),
    sample("linalg.inv", normal(0, 0), label="empty"),
    sample("linalg.inv", positive(1, 1), label="1x1"),
    sample("inverse", invertible(2, 2)),
    sample("linalg.solve", invertible(3, 3), normal(3, 2)),
    sample("linalg.solve", invertible(3, 3), normal(3), label="vector"),
    sample("linalg.solve", invertible(2, 3, 3), normal(2, 3, 4), label="batch"),
    sample("linalg.solve", invertible(2, 3, 3), normal(2, 3), label="batch-of-vectors"),
    sample("linalg.solve", invertible(3, 3), normal(2, 3, 4), label="broadcast-matrix"),
    sample("linalg.solve", invertible(5, 1, 3, 3), normal(2, 3, 1), label="broadcast"),
    sample("linalg.solve", invertible(3, 3), normal(2, 3), left=False, label="right"),
    sample("linalg.solve", normal(0, 0), normal(0, 2), label="empty"),
    sample("linalg.solve_triangular", invertible(3, 3), normal(3, 2), upper=False),
    sample("linalg.solve_triangular", invertible(2, 3, 3), normal(2, 3, 2), upper=True, label="upper"),
    sample("linalg.solve_triangular", invertible(3, 3), normal(2, 3), upper=True, left=False, label="right"),
    sample("linalg.solve_triangular", invertible(3, 3), normal(3, 2), upper=False, unitriangular=True, label="unit"),
    sample("linalg.det", invertible(3, 3)),
    sample("linalg.det", invertible(2, 4, 4), label="batch"),
    sample("linalg.det", normal(1, 1), label="1x1"),
    sample("linalg.det", normal(0, 0), label="empty"),
    sample("linalg.det", singular(), second=False, label="singular"),
    sample("det", invertible(2, 2)),
    sample("linalg.slogdet", invertible(3, 3), analytic=False),
    sample("linalg.slogdet", invertible(2, 4, 4), analytic=False, label="batch"),
    sample("linalg.slogdet", normal(0, 0), analytic=False, label="empty"),
    sample("slogdet", invertible(2, 2), analytic=False),
    sample("logdet", definite(3, 3), analytic=False),
    sample("logdet", definite(2, 3, 3), analytic=False, label="batch"),
    sample("linalg.cholesky", definite(3, 3), analytic=False),
    sample("linalg.cholesky", definite(2, 4, 4), analytic=False, label="batch"),
    sample("linalg.cholesky", definite(3, 3), upper=True, analytic=False, label="upper"),
    sample("linalg.cholesky", normal(0, 0), analytic=False, label="empty"),
    sample("cholesky", definite(2, 2), analytic=False),
    sample("matrix_power", normal(3, 3), 5),
    sample("matrix_power", normal(2, 3, 3), 2, label="batch"),
    sample("matrix_power", invertible(3, 3), -3, label="negative"),
    sample("matrix_power", normal(3, 3), 1, label="one"),
    sample("matrix_power", np.arange(4).reshape(2, 2), 0, differentiable=False, label="zero"),
    sample("linalg.matrix_power", normal(2, 2), 3),
    sample("linalg.multi_dot", [normal(2, 5), normal(5, 3), normal(3, 4)]),
    sample("linalg.multi_dot", [normal(3), normal(3, 4), normal(4, 2), normal(2)], label="vectors"),
    sample("linalg.matmul", normal(2, 3), normal(3, 2)),
    sample("linalg.vecdot", normal(2, 3), normal(2, 3)),
    sample("linalg.vecdot", normal(3, 2), normal(3, 1), dim=0, label="axis"),
    sample("linalg.vector_norm", normal(3, 4)),
    sample("linalg.vector_norm", normal(3, 4), dim=1, label="axis"),
    sample("linalg.vector_norm", normal(3, 4), dim=-1, keepdim=True, label="keepdim"),
    sample("linalg.vector_norm", normal(2, 3, 4), dim=(0, 2), label="axes"),
    sample("linalg.vector_norm", normal(), label="0-d"),
    sample("linalg.vector_norm", normal(0, 3), dim=1, label="empty"),
    sample("linalg.vector_norm", normal(0), label="empty-all"),
    sample("linalg.vector_norm", normal(3, 4), ord=1, dim=1, analytic=False, label="one"),
    sample("linalg.vector_norm", normal(3, 4), ord=3, dim=0, analytic=False, label="three"),
    sample("linalg.vector_norm", normal(3, 4), ord=1.5, analytic=False, label="fraction"),
    sample("linalg.vector_norm", normal(3, 4), ord=0.5, dim=1, keepdim=True, analytic=False, label="half"),
    sample("linalg.vector_norm", normal(3, 4), ord=-2, dim=1, analytic=False, label="negative"),
    sample("linalg.vector_norm", normal(3, 4), ord=0, dim=1, differentiable=False, label="zero"),
    sample("linalg.vector_norm", normal(3, 4), ord=float("inf"), dim=1, analytic=False, label="largest"),
    sample("linalg.vector_norm", normal(3, 4), ord=-float("inf"), analytic=False, label="smallest"),
    sample("linalg.matrix_norm", normal(3, 4)),
    sample("linalg.matrix_norm", normal(2, 3, 4), keepdim=True, label="batch"),
    sample("linalg.matrix_norm", normal(2, 3, 4), ord="fro", dim=(0, 1), label="axes"),
    sample("linalg.matrix_norm", normal(2, 3, 4), ord=1, analytic=False, label="one"),
    sample("linalg.matrix_norm", normal(2, 3, 4), ord=-1, keepdim=True, analytic=False, label="minus-one"),
    sample("linalg.matrix_norm", normal(2, 3, 4), ord=float("inf"), analytic=False, label="inf"),
    sample("linalg.matrix_norm", normal(3, 4), ord=-float("inf"), dim=(1, 0), analytic=False, label="minus-inf"),
    sample("linalg.norm", normal(3, 4)),
    sample("linalg.norm", normal(2, 3, 4), dim=(0, 1), label="axes"),
    sample("linalg.norm", normal(4), ord=3, analytic=False, label="vector"),
    sample("linalg.norm", normal(3, 4), ord=1, analytic=False, label="matrix"),
    sample("linalg.norm", normal(3, 4), ord=1, dim=1, analytic=False, label="vectors"),
    sample("cross", normal(4, 3), normal(4, 3)),
    sample("cross", normal(3, 2), normal(3, 1), dim=0, label="broadcast"),
    sample("cross", normal(2, 3), normal(2, 3), dim=-1, label="last"),
    sample("cdist", normal(3, 2), normal(4, 2)),
]
