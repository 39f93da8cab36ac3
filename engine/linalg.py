"""chainrule.linalg: linear algebra with the names of torch.linalg."""

from chainrule.errors import LinAlgError
from chainrule.ops.linalg import (
    cholesky,
    det,
    inv,
    matrix_norm,
    matrix_power,
    multi_dot,
    norm,
    slogdet,
    solve,
    solve_triangular,
    vecdot,
    vector_norm,
)
from chainrule.ops.matmul import matmul

__all__ = ["LinAlgError", "cholesky", "det", "inv", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm",
           "slogdet",
           "solve", "solve_triangular", "vecdot", "vector_norm"]
