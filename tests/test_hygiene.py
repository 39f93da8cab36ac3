"""Rules that hold for every file: no path of one machine, no pickle, no borrowed framework, no undocumented name."""

import ast
import re

import pytest

from tests.checkout import ROOT, package_sources, source_files

# Not part of a longer path or of an address: "docs/work/" and "https://host/work/" are fine.
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|tmp)/")
BANNED_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "torch", "jax", "tensorflow"}


def imported_roots(tree: ast.Module) -> set[str]:
    """The top-level names of everything that a module imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def undocumented(tree: ast.Module) -> list[str]:
    """The module itself and its public functions and classes that have no docstring."""
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
              and not node.name.startswith("_") and "overload" not in map(ast.unparse, node.decorator_list)]
    return (["the module"] if ast.get_docstring(tree) is None else []) + [
        f"{node.name} (line {node.lineno})" for node in public if ast.get_docstring(node) is None]


def test_no_path_of_one_machine():
    found = []
    for path in source_files():
        content = (ROOT / path).read_bytes()
        if b"\0" in content:  # an image or a table of numbers
            continue
        lines = enumerate(content.decode("utf-8").splitlines(), 1)
        found += [f"{path}:{number}: {line.strip()}" for number, line in lines if MACHINE_PATH.search(line)]
    assert found == []


@pytest.mark.parametrize("path", package_sources(), ids=str)
def test_no_pickle_and_no_other_framework(path):
    assert imported_roots(ast.parse((ROOT / path).read_text(encoding="utf-8"))) & BANNED_IMPORTS == set()


@pytest.mark.parametrize("path", package_sources(), ids=str)
def test_public_names_are_documented(path):
    assert undocumented(ast.parse((ROOT / path).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("text", ["open('/{}/x')", "see /{}/y", "PATH=/{}/bin"])
@pytest.mark.parametrize("folder", ["work", "root", "tmp"])
def test_the_path_rule_catches_what_it_should(text, folder):
    assert MACHINE_PATH.search(text.format(folder))
    assert not MACHINE_PATH.search(f"docs/{folder}/page and https://host/{folder}/page")


def test_the_other_rules_catch_what_they_should():
    tree = ast.parse("import numpy\ndef f():\n    from torch.nn import Linear\ndef _g(): pass\nclass C:\n    'Yes.'")
    assert imported_roots(tree) & BANNED_IMPORTS == {"torch"}
    assert undocumented(tree) == ["the module", "f (line 2)"]
