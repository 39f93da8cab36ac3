"""The examples: each is listed with what it shows, has the options that the smoke test uses, and its pictures exist.

`.ci/run` runs each of them with `--quick`.
"""

import ast
import re

import pytest

from tests.checkout import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LIST = ROOT / "examples" / "README.md"


def test_there_are_the_seventeen():
    assert [path.name[:2] for path in EXAMPLES] == [f"{n:02}" for n in range(1, 18)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_listed_and_has_the_common_options(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "say what it shows"
    options = {call.args[0].value for call in ast.walk(tree) if isinstance(call, ast.Call) and call.args
               and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
               and isinstance(call.args[0], ast.Constant)}
    assert {"--quick", "--seed", "--device", "--out"} <= options
    assert f"]({path.name})" in LIST.read_text(encoding="utf-8")


def test_pictures_are_shown_where_they_are():
    shown = set(re.findall(r"\((images/[^)]+)\)", LIST.read_text(encoding="utf-8")))
    there = {f"images/{path.name}" for path in (ROOT / "examples" / "images").iterdir()}
    assert shown == there
    assert all((ROOT / "examples" / name).stat().st_size < 100_000 for name in there), "pictures stay small"
