"""How fast chainrule is, beside other libraries: `python -m benchmarks` in a checkout. See README.md in this folder."""
