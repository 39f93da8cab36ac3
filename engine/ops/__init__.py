"""The table of operations: each row is an op with its derivatives, each family in a file of its own."""

from chainrule.ops import axes, diagonals, joining, padding, scattering, writes  # noqa: F401
