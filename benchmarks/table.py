"""The README's table, made from a committed file of results."""

import re
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.processes import ROOT
from benchmarks.ranking import best, geometric_mean, ranked, ratio, verdict
from benchmarks.report import number

__all__ = ["markdown", "replaced", "source_of", "write"]

README = ROOT / "README.md"
BEGIN = "<!-- from {}, by `python -m benchmarks --table` -->"
SECTION = re.compile(r"<!-- from (\S+), by `python -m benchmarks --table` -->\n.*?<!-- end of the table -->", re.DOTALL)
COLUMNS = (*OURS, "torch", "torch-compile", "jax")


def markdown(results: dict[str, Any]) -> str:
    """A row for each workload and number of threads: milliseconds, and chainrule's speed over the fastest peer's and torch's.

    "≈" stands where the spread of the rounds swallows the difference.
    """
    columns = ("training step, ms", "threads", "chainrule", "`cr.compile`", "PyTorch", "torch.compile", "jax.jit",
               "× the fastest peer", "× PyTorch")
    lines = [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    chosen = [result for result in results["results"] if result["case"].startswith("workloads/")]
    for threads in sorted({result["threads"] for result in chosen}):
        ratios: dict[str, list[float]] = {"best": [], "torch": []}
        for result in (r for r in chosen if r["threads"] == threads):
            times, rival = ranked(result), best(result, ours=False)
            cells = [number(times[name] * 1e3) if name in times else "–" for name in COLUMNS]
            for column, name in (("best", rival), ("torch", "torch")):
                value = ratio(result, name) if name else None
                unsure = "≈ " if value and verdict(result, name).startswith("no") else ""
                cells.append(f"{unsure}{value:.2f}" if value else "–")
                ratios[column] += [value] if value else []
            lines.append(f"| {result['title']} | {threads} | " + " | ".join(cells) + " |")
        means = [geometric_mean(ratios[column]) for column in ("best", "torch")]
        cells = [f"**{mean:.2f}**" if mean else "–" for mean in means]
        lines.append(f"| geometric mean | {threads} | | | | | | {' | '.join(cells)} |")
    m = results["machine"]
    versions = {name: found["versions"].split(";")[0] for result in chosen for name, found in result["contenders"].items()
                if "versions" in found and name not in (*OURS, "torch-compile")}
    told = [f"{m['processor']}, {m['cores']} cores, float32", ", ".join([*versions.values(), f"NumPy {m['numpy']}"]),
            f"{results['date'].split()[0]}. `benchmarks/README.md` tells how it is measured."]
    return "\n".join([*lines, "", "; ".join(told)])


def source_of(text: str) -> Path | None:
    """The file that the table in a text was made from."""
    found = SECTION.search(text)
    return ROOT / found[1] if found else None


def replaced(text: str, results: dict[str, Any], source: Path) -> str:
    """The text with the table of these results; ValueError where it has no place for it."""
    if not SECTION.search(text):
        raise ValueError("README.md has no place for the table: a line `<!-- from FILE, by …` and one `<!-- end of the table -->`")
    name = source.resolve().relative_to(ROOT).as_posix()
    return SECTION.sub(lambda match: f"{BEGIN.format(name)}\n{markdown(results)}\n<!-- end of the table -->", text)


def write(results: dict[str, Any], source: Path) -> None:
    """Rewrite the README's table."""
    README.write_text(replaced(README.read_text(encoding="utf-8"), results, source), encoding="utf-8")
