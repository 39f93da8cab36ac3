"""The results as pictures."""

from pathlib import Path
from typing import Any

from benchmarks.contenders import BASELINES, OURS
from benchmarks.growth import AXES, BASE
from benchmarks.ranking import best, ranked, ratio
from benchmarks.report import threads_title

__all__ = ["draw"]

# One colour for each contender in all pictures; chainrule's are the dark ones.
COLOURS = {"chainrule": "#1b3a5c", "chainrule-compile": "#2f7fc1", "torch": "#e07b39", "torch-compile": "#f2b278", "jax": "#5ba35b",
           "numpy": "#999999", "cupy": "#76b041", "mygrad": "#b07aa1", "autograd": "#9c755f", "tinygrad": "#d4a6c8"}


def draw(results: dict[str, Any], path: Path) -> list[Path]:
    """Draw what the results have: the workloads into `path`, operations and growth into files beside it. Returns the files.

    Raises ImportError where matplotlib is not installed (the `bench` extra).
    """
    import matplotlib

    matplotlib.use("Agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = []
    for group, picture, name in (("workloads", workloads, path), ("operations", operations, beside(path, "operations")),
                                 ("growth", growth, beside(path, "growth"))):
        chosen = [result for result in results["results"] if result["case"].startswith(group + "/")]
        if any(ranked(result) for result in chosen):
            figure = picture(chosen)
            figure.savefig(name, dpi=150, bbox_inches="tight", metadata={"Date": None} if name.suffix == ".svg" else None)
            drawn.append(name)
    return drawn


def beside(path: Path, part: str) -> Path:
    """speed.svg -> speed-operations.svg."""
    return path.with_name(f"{path.stem}-{part}{path.suffix}")


def by_threads(chosen: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """The results of each number of threads."""
    return {n: [r for r in chosen if r["threads"] == n] for n in sorted({r["threads"] for r in chosen})}


def panels(count: int, width: float, height: float) -> Any:
    """A figure with as many panels beside each other."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(width * count, height), squeeze=False, layout="constrained")
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def plain_ticks(axis: Any) -> None:
    """0.5, 1, 2, 5, 10 … on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def workloads(chosen: list[dict[str, Any]]) -> Any:
    """Bars: how many times as fast as torch (or another peer, the line at 1) each contender is, on a logarithmic axis."""
    groups = by_threads(chosen)
    present = {name for result in chosen for name in ranked(result)}
    names = [name for name in COLOURS if name in present]
    base = next((name for name in ("torch", *names) if name in present and name not in OURS), names[0])
    names = [name for name in names if name != base] or names
    most = max(map(len, groups.values()))
    figure, axes = panels(len(groups), 6.5, (0.17 * len(names) + 0.25) * most + 1.2)
    for ax, (threads, results) in zip(axes, groups.items()):
        for row, result in enumerate(results):
            times = ranked(result)
            for i, name in enumerate(names):
                if name in times and base in times:
                    value, y = times[base] / times[name], row + (i + 0.5) * 0.84 / len(names) - 0.42
                    ax.barh(y, value - 1, 0.8 / len(names), left=1, color=COLOURS[name], label=name if not row else None)
                    ax.annotate(f"{value:.2f}", (value, y), (3 if value >= 1 else -3, 0), textcoords="offset points", fontsize=6.5,
                                va="center", ha="left" if value >= 1 else "right")
        ax.set_xscale("log")
        ax.margins(x=0.12, y=0.01)
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_yticks(range(len(results)), [result["case"].split("/")[1] for result in results])
        ax.invert_yaxis()
        plain_ticks(ax.xaxis)
        ax.set_xlabel(f"times as fast as {base}, the line at 1")
        ax.set_title(threads_title(threads), fontsize=11)
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels())}
    figure.legend([handles[n] for n in names if n in handles], [n for n in names if n in handles], loc="outside lower center",
                  ncols=len(names), fontsize=8, frameon=False)
    return figure


def operations(chosen: list[dict[str, Any]]) -> Any:
    """Dots: how many times as fast as each peer chainrule is."""
    groups = by_threads(chosen)
    figure, axes = panels(len(groups), 6.5, 0.16 * max(map(len, groups.values())) + 1)
    for ax, (threads, results) in zip(axes, groups.items()):
        labelled: set[str] = set()
        for row, result in enumerate(results):
            ax.axhline(row, color="#eeeeee", linewidth=0.6, zorder=0)
            for name in ranked(result):
                value = ratio(result, name)
                if name not in (*OURS, *BASELINES) and value:
                    rival = name == best(result, ours=False)
                    ax.scatter(value, row, 22 if rival else 10, COLOURS[name], label=None if name in labelled else name)
                    labelled.add(name)
        ax.set_xscale("log")
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_yticks(range(len(results)), [result["case"].split("/")[1] for result in results], fontsize=6.5)
        ax.set_ylim(len(results), -1)
        plain_ticks(ax.xaxis)
        ax.set_xlabel("how many times as fast as each peer chainrule is; the fastest peer's dot is large", fontsize=8)
        ax.set_title(threads_title(threads), fontsize=11)
        for handle in ax.legend(fontsize=8, frameon=False, loc="lower right").legend_handles:
            handle.set_sizes([16])
    return figure


def growth(chosen: list[dict[str, Any]]) -> Any:
    """Step time and peak memory over each size, with as many threads as were measured most."""
    from matplotlib import pyplot

    threads = max(by_threads(chosen))
    found = {result["case"].split("/")[1]: result for result in chosen if result["threads"] == threads}
    figure, axes = pyplot.subplots(2, len(AXES), figsize=(12, 5.2), sharey="row", squeeze=False, layout="constrained")
    for column, (axis, values) in enumerate(AXES.items()):
        rows = [(value, found.get("base" if value == BASE[axis] else f"{axis}-{value}")) for value in values]
        for name, colour in COLOURS.items():
            points = [(value, ranked(result)[name], result["contenders"][name].get("peak") or float("nan"))
                      for value, result in rows if result and name in ranked(result)]
            if points:
                sizes, seconds, peaks = zip(*points)
                axes[0, column].plot(sizes, [s * 1e3 for s in seconds], ".-", color=colour, label=name)
                axes[1, column].plot(sizes, [peak / 1e6 for peak in peaks], ".-", color=colour)
        for ax in axes[:, column]:
            ax.set_xscale("log", base=2)
            if ax.dataLim.minposy < float("inf"):  # where the system does not tell the memory there is nothing
                ax.set_yscale("log")
                plain_ticks(ax.yaxis)
            ax.set_xticks(values, [str(value) for value in values])
            ax.xaxis.minorticks_off()
            ax.grid(alpha=0.3)
            ax.spines[["top", "right"]].set_visible(False)
        axes[1, column].set_xlabel(axis)
    axes[0, 0].set_ylabel("ms for a training step")
    axes[1, 0].set_ylabel("peak memory, MB")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    base = ", ".join(f"{name} {size}" for name, size in BASE.items())
    figure.suptitle(f"GPT, {threads_title(threads)}: {base} unless varied", fontsize=11)
    return figure
