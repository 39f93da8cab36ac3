"""The table of operations: each row is an op with its derivatives, each family in a file of its own."""

from chainrule.ops import (  # noqa: F401
    arithmetic,
    axes,
    choices,
    comparisons,
    creation,
    diagonals,
    einsum,
    elementwise,
    indexing,
    joining,
    linalg,
    matmul,
    padding,
    reductions,
    scans,
    scattering,
    shapes,
    sorting,
    statistics,
    writes,
)
