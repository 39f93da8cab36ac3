"""python -m chainrule: what it prints, and how it fails."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from chainrule.__main__ import main
from tests.checkout import python, run


def test_info_names_versions_backends_and_threads(tmp_path):
    rows = dict(line.split("  ", 1) for line in run([sys.executable, "-m", "chainrule", "info"], tmp_path).splitlines())
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    assert rows["chainrule"] == version("chainrule")
    assert rows["NumPy"] == version("numpy")
    assert rows["backends"].split(", ")[:2] == ["reference", "cpu"]
    assert int(rows["threads"].split()[0]) >= 1
    assert {"Python", "numba", "safetensors", "GPU", "BLAS (NumPy)", "BLAS (kernels)"} <= set(rows)


def test_info_imports_nothing_heavy(tmp_path):
    code = "import sys, chainrule.__main__ as m; m.main(['info']); print({'numba', 'cupy', 'torch'} & set(sys.modules))"
    assert python(code, tmp_path).splitlines()[-1] == "set()"


def test_info_has_no_colour(tmp_path):
    assert "\x1b" not in run([sys.executable, "-m", "chainrule", "info"], tmp_path, NO_COLOR="1")


def test_demo_without_its_extra_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # how Python marks a module that cannot be imported
    assert main(["demo"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", 'chainrule: error: the demo needs sklearn: pip install "chainrule[demo]"\n')


@pytest.mark.parametrize(
    "words", ["", "dance", "demo --model rnn", "demo --epochs 0", "demo --epochs x", "demo --seed -1"])
def test_unknown_words_exit_with_2(words, tmp_path):
    command = [sys.executable, "-m", "chainrule", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: " in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
