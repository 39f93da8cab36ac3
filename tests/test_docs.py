"""The documents: their code runs and prints what they say, excerpts are as the source is, links lead somewhere."""

import contextlib
import doctest
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import chainrule
from chainrule.random import get_rng_state, set_rng_state
from tests.checkout import ROOT, source_files

DOCUMENTS = [path for path in source_files() if path.suffix == ".md" and (len(path.parts) == 1 or path.parts[0] == "docs")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXCERPT = re.compile(r"# ((?:engine|layers|optim|tests)/[\w/]+\.py)\n")
OPTIONS = doctest.ELLIPSIS


@dataclass
class Block:
    """A fenced block of a document: its language, its text, and the line where the text begins."""

    language: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    return [Block(m[1], m[2], text[: m.start()].count("\n") + 2) for m in FENCE.finditer(text)]


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def excerpts(text: str) -> list[tuple[str, Block]]:
    """(file, block) of those python blocks that begin with a file's name."""
    return [(m[1], b) for b in blocks(text) if b.language == "python" and (m := EXCERPT.match(b.text))]


def missing_from(source: str, block: Block) -> str | None:
    """The first piece of an excerpt (pieces are divided by `# ...`) that does not stand in the source, verbatim and after the
    piece before it; None where all do."""
    rest = source
    for piece in re.split(r"^ *# \.\.\.\n", block.text.partition("\n")[2], flags=re.MULTILINE):
        found = ("\n" + rest).find("\n" + piece)
        if found < 0:
            return piece
        rest = rest[found + len(piece):]
    return None


def run(text: str, name: str) -> list[str]:
    """Run the blocks of a document in one namespace, as its reader would; what differs from what it says."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    wrong = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    parsed = [b for b in blocks(text) if not EXCERPT.match(b.text)]
    for block, following in zip(parsed, [*parsed[1:], Block("", "", 0)], strict=False):
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, "example.py", "exec"), namespace)
            said = following.text if following.language == "text" else ""
            if printed.getvalue() != said:
                wrong.append(f"{name}, line {block.line} prints:\n{printed.getvalue()}it says:\n{said}")
        elif block.language == "pycon":
            report = io.StringIO()
            test = doctest.DocTestParser().get_doctest(block.text, namespace, name, name, block.line - 1)
            runner.run(test, out=report.write, clear_globs=False)
            namespace = test.globs
            if report.getvalue():
                wrong.append(report.getvalue())
    return wrong


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if re.search(r"^```(python|pycon)$", read(p), re.MULTILINE)
                                  and p.name != "CONTRIBUTING.md"], ids=str)  # its examples are unfinished on purpose
def test_the_code_of_documents_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrong = run(read(path), path.name)
    set_rng_state(state)
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if excerpts(read(p))], ids=str)
def test_excerpts_are_as_the_source_is(path):
    for file, block in excerpts(read(path)):
        piece = missing_from(read(Path(file)), block)
        assert piece is None, f"{path}, line {block.line}: this does not stand in {file}, or not in this order:\n{piece}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_to_files(path):
    text = FENCE.sub("", read(path))
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    broken = [t for t in targets if not re.match(r"https?://", t) and not (ROOT / path.parent / t).exists()]
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_named_files_exist(path):
    if path.name == "CHANGELOG.md":  # tells of the past
        return
    named = re.findall(r"`((?:engine|layers|optim|tests|docs|benchmarks|examples)/[\w./-]*[\w/])`", read(path))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_checks_catch_what_they_should():
    source = "def f():\n    a = 1\n    b = 2\n    return a\n"
    for text, fine in [("    a = 1\n", True), ("    a = 1\n# ...\n    return a\n", True), ("a = 1\n", False),
                       ("    return a\n# ...\n    a = 1\n", False), ("    a = 1\n    return a\n", False)]:
        assert (missing_from(source, Block("python", "# engine/f.py\n" + text, 1)) is None) == fine
    document = "```python\nx = {}\nprint(x)\n```\n\nprints\n\n```text\n1\n```\n\n```pycon\n>>> x + 1\n2\n```\n"
    assert run(document.format(1), "d") == []
    assert len(run(document.format(5), "d")) == 2


def test_the_guide_quotes_the_source_and_runs():
    text = read(Path("docs/how-it-works.md"))
    assert len(excerpts(text)) >= 10
    assert sum(b.language == "pycon" for b in blocks(text)) >= 10


def test_the_picture_is_that_of_the_example(capsys):
    example = next(b for b in blocks(read(Path("docs/how-it-works.md"))) if b.language == "python")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(example.text, "example.py", "exec"), names)
    drawn = chainrule.draw_graph(names["y"], names={name: names[name] for name in "wby"})
    assert read(Path("docs/images/neuron.svg")) == drawn + "\n"
