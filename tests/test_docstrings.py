"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import chainrule

# The subpackages are named because layers/ and optim/ do not lie inside chainrule's own folder in an editable install.
ROOTS = ("chainrule", "chainrule.layers", "chainrule.optim")


def module_names() -> list[str]:
    """Every module of chainrule, except the kernels that need a GPU to be imported."""
    found = set(ROOTS)
    for root in ROOTS:
        found |= {module.name for module in pkgutil.walk_packages(importlib.import_module(root).__path__, root + ".")}
    return sorted(name for name in found if not name.startswith("chainrule.kernels.cuda"))


@pytest.mark.parametrize("name", module_names())
def test_examples(name, capsys):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0, capsys.readouterr().out


def test_the_walk_finds_every_package():
    assert {"chainrule.__main__", "chainrule.ops", "chainrule.kernels.cpu", "chainrule.layers"} <= set(module_names())
    assert chainrule.__name__ in module_names()
