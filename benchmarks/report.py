"""Results as text."""

from typing import Any

from benchmarks.contenders import BASELINES, OURS
from benchmarks.ranking import best, geometric_mean, median, ranked, ratio, verdict

__all__ = ["duration", "head", "rows", "summary", "threads_title"]


def threads_title(threads: int) -> str:
    """"2 threads"; 0 are those of a GPU."""
    return f"{threads} thread{'s' if threads > 1 else ''}" if threads else "GPU"


def duration(seconds: float) -> str:
    """Three digits with their unit."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * scale:
            return f"{number(seconds / scale)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def number(value: float) -> str:
    """Three digits."""
    digits = next((digits for digits, least in enumerate((99.95, 9.995, 0.0995)) if value >= least), 3)
    return f"{value:.{digits}f}"


def head(results: dict[str, Any]) -> str:
    """The machine, and how it was measured."""
    m = results["machine"]
    gpu = [f"{m['gpu']}, {m['gpu_memory'] / 2**30:.0f} GiB; compute capability {m['compute_capability']}, CUDA {m['cuda']}, driver "
           f"for {m['driver']}, CuPy {m['cupy']}"] if "gpu" in m else []
    lines = [*gpu, f"{m['processor']}, {m['cores']} cores; {m['system']}",
             f"Python {m['python']}, NumPy {m['numpy']}, numba {m['numba']}; commit {m['commit'] or 'unknown'}, {results['date']}",
             f"BLAS: {m['blas']}; OPENBLAS_* settings cleared for all contenders",
             f"median of the fastest calls in {results['rounds']} rounds, contenders in turn"]
    for threads, peak in results["peaks"].items():
        copied = ", ".join(f"{rate / 1e9:.0f} in {int(size) / 2**20:.2g} MiB" for size, rate in peak["bandwidth"].items())
        products = ", ".join(f"{rate / 1e12:.0f} TFLOP/s {precision}" for precision, rate in peak.get("flops_in", {}).items())
        products = products or f"{peak['flops'] / 1e9:.0f} GFLOP/s"
        lines.append(f"{threads_title(int(threads))}: {products}; GB/s: {copied}")
    versions = {name: found["versions"] for result in results["results"] for name, found in result["contenders"].items()
                if "versions" in found}
    return "\n".join([*lines, *(f"{name}: {told}" for name, told in versions.items())])


def rates(result: dict[str, Any], seconds: float) -> list[str]:
    """The operations and bytes of the case in a second."""
    found = [f"{result['flops'] / seconds / 1e12:.3g} TFLOP/s"] if result["flops"] else []
    one_pass = result["bytes"] and result["case"].startswith("operations/")  # of a training step only Adam's bytes are counted
    return found + ([f"{result['bytes'] / seconds / 1e9:.0f} GB/s"] if one_pass else [])


def rows(result: dict[str, Any]) -> str:
    """One case: a line for each contender."""
    floor = result["floor"]
    lines = [f"{result['case']}  {result['title']}" + (f"; floor {duration(floor)}" if floor else "")]
    own, times = best(result, ours=True), ranked(result)
    for name, found in result["contenders"].items():
        if not found.get("rounds"):
            lines.append(f"  {name:18} {found.get('error') or 'nothing measured'}")
            continue
        seconds = median(found)
        notes = [f"{floor / seconds:.0%} of the floor"] if floor else []
        if floor and "precision" in result:
            notes += rates(result, seconds)
        if "numpy" in times and name != "numpy" and "counted" in result:
            notes.append(f"{duration((seconds - times['numpy']) / result['counted'])} an operation over NumPy")
        if found.get("disagrees"):
            notes.append("NOT RANKED: its outputs disagree")
        elif name not in OURS and own is not None:
            notes.append(f"chainrule {verdict(result, name)}".replace("chainrule no", "no"))
        if "error" in found:
            notes.append(f"then failed: {found['error']}")
        first = f"; first {duration(found['first'])}" if "first" in found else ""
        spread = f"{duration(min(found['rounds']))} to {duration(max(found['rounds']))}"
        lines.append(f"  {name:18}{duration(seconds):>9}  ({spread}{first})  " + ", ".join(notes))
    return "\n".join(lines)


def aligned(table: list[list[str]]) -> list[str]:
    """Columns as wide as they need to be, the first one flush left."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]) for row in table]


def contenders_of(chosen: list[dict[str, Any]]) -> list[str]:
    """Those that were measured: chainrule's first."""
    names = list(dict.fromkeys(name for result in chosen for name, found in result["contenders"].items() if found.get("rounds")))
    return [name for name in names if name in OURS] + [name for name in names if name not in OURS]


def times_table(chosen: list[dict[str, Any]], scale: float) -> list[str]:
    """Times of all contenders, the floor and how much of it is reached, and the ratios with their geometric means."""
    names = contenders_of(chosen)
    peers = [name for name in names if name not in (*OURS, *BASELINES)]
    table = [["", *(name.replace("chainrule", "cr") for name in names), "floor", "reached", *(f"× {peer}" for peer in peers),
              "× best"]]
    ratios: dict[str, list[float]] = {}
    for result in chosen:
        row = [result["case"].split("/", 1)[1]]
        for name in names:
            found = result["contenders"].get(name, {})
            row.append(number(median(found) / scale) + ("!" if found.get("disagrees") else "") if found.get("rounds") else "–")
        own, rival = best(result, ours=True), best(result, ours=False)
        known = result["floor"] and own
        row += [number(result["floor"] / scale), f"{result['floor'] / ranked(result)[str(own)]:.0%}"] if known else ["–", "–"]
        for column, peer in [*((peer, peer) for peer in peers), ("best", rival)]:
            value = ratio(result, peer) if peer else None
            row.append(f"{value:.2f}" if value else "–")
            if value:
                ratios.setdefault(column, []).append(value)
        table.append(row)
    means = [geometric_mean(ratios.get(column, [])) for column in (*peers, "best")]
    table.append(["geometric mean", *[""] * (len(names) + 2), *(f"{mean:.2f}" if mean else "–" for mean in means)])
    return aligned(table)


def memory_table(chosen: list[dict[str, Any]]) -> list[str]:
    """The peaks in MB: of the process, or of what one step has allocated on a GPU."""
    names = contenders_of(chosen)
    table = [["", *(name.replace("chainrule", "cr") for name in names)]]
    for result in chosen:
        peaks = [result["contenders"].get(name, {}).get("peak") for name in names]
        table.append([result["case"].split("/", 1)[1], *(f"{peak / 1e6:.0f}" if peak else "–" for peak in peaks)])
    return aligned(table)


def engine_table(chosen: list[dict[str, Any]]) -> list[str]:
    """The engine's costs, and what a recorded operation costs over NumPy's own."""
    names = contenders_of(chosen)
    table = [["", *(name.replace("chainrule", "cr") for name in names), "cr over NumPy, per operation"]]
    for result in chosen:
        times = ranked(result)
        known = {"chainrule", "numpy"} <= set(times) and "counted" in result
        table.append([result["case"].split("/", 1)[1], *(duration(times[name]) if name in times else "–" for name in names),
                      duration((times["chainrule"] - times["numpy"]) / result["counted"]) if known else ""])
    return aligned(table)


def summary(results: dict[str, Any]) -> str:
    """Tables of all cases by threads and group."""
    lines: list[str] = []
    for threads in sorted({result["threads"] for result in results["results"]}):
        groups: dict[str, list[dict[str, Any]]] = {}
        for result in results["results"]:
            if result["threads"] == threads:
                groups.setdefault(result["case"].split("/")[0], []).append(result)
        for group, chosen in groups.items():
            title = f"\n{group}, {threads_title(threads)}: "
            if group == "engine":
                lines += [title + "in fresh processes, or for each call", *engine_table(chosen)]
                continue
            unit, scale = ("µs", 1e-6) if group == "operations" else ("ms", 1e-3)
            lines += [title + f"{unit}, then how many times as fast chainrule's best is", *times_table(chosen, scale)]
            if any("peak" in found for result in chosen for found in result["contenders"].values()) and group != "operations":
                lines += [f"\n{group}, {threads_title(threads)}: peak memory in MB", *memory_table(chosen)]
    return "\n".join(lines)
