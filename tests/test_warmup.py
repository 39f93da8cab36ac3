"""python -m chainrule warmup: compiling ahead."""

import sys
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.__main__ import main
from chainrule.warmup import rows, warmup
from tests.checkout import python, run


def test_every_kernel_is_compiled_by_some_row(tmp_path: Path) -> None:
    """A kernel that no row reaches would be compiled in the middle of somebody's lesson: give it a row in engine/warmup.py."""
    missing = python("""
from importlib import import_module
from chainrule.kernels import cpu
from chainrule.kernels.cpu.jit import Tasks
from chainrule.warmup import warmup
for name, where in cpu.WHERE.items():
    import_module(f"chainrule.kernels.cpu.{where}")
assert Tasks.made
done = list(warmup())
print("missing:", sorted(f"{t.__module__.split('.')[-1]}.{t.__name__}" for t in Tasks.made if not t.compiled.signatures))
""", tmp_path)
    assert missing.splitlines()[-1] == "missing: []"


def test_the_command_says_what_it_did_and_where_it_is_kept(tmp_path: Path) -> None:
    out = run([sys.executable, "-m", "chainrule", "warmup", "--only", "linear"], tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert out.splitlines()[0].split()[:2] == ["float32", "linear"]
    assert f"1 of {len(rows())} families of kernels are ready after" in out and f"kept in {tmp_path}" in out
    assert list(tmp_path.rglob("*.nbc"))


def test_words_and_dtypes(capsys: pytest.CaptureFixture[str]) -> None:
    assert rows("ls") == ["lstm"]
    assert main(["warmup", "--only", "no such"]) == 1
    assert "no family of kernels has 'no such' in its name; there are: linear, matmul, " in capsys.readouterr().err
    assert [name for name, _ in warmup(["sums"], cr.float64)] == ["sums"]
    assert cr.get_default_dtype() == cr.float32
