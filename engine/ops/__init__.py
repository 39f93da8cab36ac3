"""The table of operations: each row is an op with its derivatives, each family in a file of its own."""
