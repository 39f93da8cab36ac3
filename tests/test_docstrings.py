"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import chainrule

# The subpackages are named because layers/ and optim/ do not lie inside chainrule's own folder in an editable install.
ROOTS = ("chainrule", "chainrule.layers", "chainrule.optim")
CUDA = "chainrule.kernels.cuda"  # cannot be imported, not even to be walked through, before there is a CuPy


def module_names():
    """Every module of chainrule but CUDA's."""
    found, packages = set(), list(ROOTS)
    while packages:
        package = packages.pop()
        found.add(package)
        inside = pkgutil.iter_modules(importlib.import_module(package).__path__, package + ".")
        for module in [m for m in inside if m.name != CUDA]:
            found.add(module.name)
            packages += [module.name] * module.ispkg
    return sorted(found)


def cuda_names():
    """CUDA's modules, found without importing them."""
    folder = Path(find_spec("chainrule.kernels").submodule_search_locations[0]) / "cuda"
    return [CUDA, *[f"{CUDA}.{m.name}" for m in pkgutil.iter_modules([str(folder)])]]


@pytest.mark.parametrize("name", [*module_names(), *[pytest.param(name, marks=pytest.mark.gpu) for name in cuda_names()]])
def test_examples(name, capsys):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0, capsys.readouterr().out


def test_the_walk_finds_every_package():
    assert {"chainrule.__main__", "chainrule.ops", "chainrule.kernels.cpu", "chainrule.layers"} <= set(module_names())
    assert chainrule.__name__ in module_names() and "chainrule.kernels.cuda.launch" in cuda_names()
