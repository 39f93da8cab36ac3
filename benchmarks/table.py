"""The README's table, and that of docs/gpu.md for a GPU, made from a committed file of results."""

import re
from pathlib import Path
from typing import Any

from benchmarks.contenders import BASELINES, OURS
from benchmarks.processes import ROOT
from benchmarks.ranking import best, geometric_mean, ranked, ratio, verdict
from benchmarks.report import number

__all__ = ["markdown", "page", "replaced", "source_of", "write"]

README, GPU = ROOT / "README.md", ROOT / "docs" / "gpu.md"
BEGIN = "<!-- from {}, by `python -m benchmarks --table` -->"
SECTION = re.compile(r"<!-- from (\S+), by `python -m benchmarks --table` -->\n.*?<!-- end of the table -->", re.DOTALL)
COLUMNS = (*OURS, "torch", "torch-compile", "jax")


def page(results: dict[str, Any]) -> Path:
    """Where the table of such results stands."""
    return GPU if results.get("device") == "cuda" else README


def markdown(results: dict[str, Any]) -> str:
    """The table of the README or of docs/gpu.md.

    "≈" stands where the spread of the rounds swallows the difference.
    """
    return markdown_of_gpu(results) if page(results) == GPU else markdown_of_cpu(results)


def speed(result: dict[str, Any], name: str | None) -> tuple[float | None, str]:
    """How many times as fast as that contender chainrule's fastest is, and the same as a cell."""
    value = ratio(result, name) if name else None
    unsure = "≈ " if value and verdict(result, name).startswith("no") else ""
    return value, f"{unsure}{value:.2f}" if value else "–"


def markdown_of_gpu(results: dict[str, Any]) -> str:
    """A row for each case: milliseconds, how much of what the GPU allows chainrule reaches, and its speed over the fastest peer's
    and torch's."""
    shown = ("chainrule", "chainrule-tiled", "torch", "torch-compile", "cupy")
    columns = ("ms", "chainrule", "of what the GPU allows", "`tiled_matmul`", "PyTorch", "torch.compile", "CuPy",
               "× the fastest peer", "× PyTorch")
    lines = [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    for result in results["results"]:
        times = ranked(result)
        cells = [number(times[name] * 1e3) if name in times else "–" for name in shown]
        reached = f"{result['floor'] / times['chainrule']:.0%}" if result["floor"] and "chainrule" in times else "–"
        cells = [cells[0], reached, *cells[1:], *(speed(result, name)[1] for name in (best(result, ours=False), "torch"))]
        lines.append(f"| {result['title']} | " + " | ".join(cells) + " |")
    m, peak = results["machine"], results["peaks"]["0"]
    allowed = [f"{rate / 1e12:.0f} TFLOP/s {precision}" for precision, rate in peak["flops_in"].items()]
    allowed += [f"{rate / 1e9:.0f} GB/s copied" for rate in peak["bandwidth"].values()]
    told = [m["gpu"], f"CUDA {m['cuda']}", *versions(results["results"]), f"CuPy {m['cupy']}; measured there: {', '.join(allowed)}",
            f"{results['date'].split()[0]}. `benchmarks/README.md` tells how it is measured."]
    return "\n".join([*lines, "", "; ".join(told)])


def versions(chosen: list[dict[str, Any]]) -> list[str]:
    """Of the peers."""
    return list({name: found["versions"].split(";")[0] for result in chosen for name, found in result["contenders"].items()
                 if "versions" in found and name not in (*OURS, *BASELINES, "torch-compile", "cupy")}.values())


def markdown_of_cpu(results: dict[str, Any]) -> str:
    """A row for each workload and number of threads: milliseconds, and chainrule's speed over the fastest peer's and torch's."""
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
                value, cell = speed(result, name)
                cells.append(cell)
                ratios[column] += [value] if value else []
            lines.append(f"| {result['title']} | {threads} | " + " | ".join(cells) + " |")
        means = [geometric_mean(ratios[column]) for column in ("best", "torch")]
        cells = [f"**{mean:.2f}**" if mean else "–" for mean in means]
        lines.append(f"| geometric mean | {threads} | | | | | | {' | '.join(cells)} |")
    m = results["machine"]
    told = [f"{m['processor']}, {m['cores']} cores, float32", ", ".join([*versions(chosen), f"NumPy {m['numpy']}"]),
            f"{results['date'].split()[0]}. `benchmarks/README.md` tells how it is measured."]
    return "\n".join([*lines, "", "; ".join(told)])


def source_of(text: str) -> Path | None:
    """The file that the table in a text was made from."""
    found = SECTION.search(text)
    return ROOT / found[1] if found else None


def replaced(text: str, results: dict[str, Any], source: Path) -> str:
    """The text with the table of these results; ValueError where it has no place for it."""
    if not SECTION.search(text):
        raise ValueError(f"{page(results).name} has no place for the table: a line `<!-- from FILE, by …` and one "
                         "`<!-- end of the table -->`")
    name = source.resolve().relative_to(ROOT).as_posix()
    return SECTION.sub(lambda match: f"{BEGIN.format(name)}\n{markdown(results)}\n<!-- end of the table -->", text)


def write(results: dict[str, Any], source: Path) -> None:
    """Rewrite the table of the README, or of docs/gpu.md."""
    target = page(results)
    target.write_text(replaced(target.read_text(encoding="utf-8"), results, source), encoding="utf-8")
