"""Results as text."""

from typing import Any

from benchmarks.contenders import OURS
from benchmarks.ranking import best, geometric_mean, median, ranked, ratio, verdict

__all__ = ["duration", "head", "rows", "summary"]


def duration(seconds: float) -> str:
    """Three digits with their unit."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 999.5 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def head(results: dict[str, Any]) -> str:
    """The machine, and how it was measured."""
    m = results["machine"]
    lines = [f"{m['processor']}, {m['cores']} cores; {m['system']}",
             f"Python {m['python']}, NumPy {m['numpy']}, numba {m['numba']}; commit {m['commit'] or 'unknown'}, {results['date']}",
             f"BLAS: {m['blas']}; OPENBLAS_* settings cleared for all contenders",
             f"median of the fastest calls in {results['rounds']} rounds of {results['seconds']} s, contenders in turn"]
    for threads, peak in results["peaks"].items():
        rates = ", ".join(f"{rate / 1e9:.0f} in {int(size) // 1024} KiB" for size, rate in peak["bandwidth"].items())
        lines.append(f"{threads} thread{'s' if threads != '1' else ''}: {peak['flops'] / 1e9:.0f} GFLOP/s; GB/s: {rates}")
    return "\n".join(lines)


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
        first = f"; first {duration(found['first'])}" if "first" in found else ""
        spread = f"{duration(min(found['rounds']))} to {duration(max(found['rounds']))}"
        notes = [f"{floor / seconds:.0%} of the floor"] if floor else []
        if "numpy" in times and name != "numpy" and "counted" in result:
            notes.append(f"{duration((seconds - times['numpy']) / result['counted'])} an operation over NumPy")
        if found.get("disagrees"):
            notes.append("NOT RANKED: its outputs disagree")
        elif name not in OURS and own is not None:
            notes.append(f"chainrule {verdict(result, name)}".replace("chainrule no", "no"))
        if "error" in found:
            notes.append(f"then failed: {found['error']}")
        lines.append(f"  {name:18}{duration(seconds):>9}  ({spread}{first})  " + ", ".join(notes))
    return "\n".join(lines)


def summary(results: dict[str, Any]) -> str:
    """A table of all cases: milliseconds, and how many times as fast as each peer chainrule is."""
    lines: list[str] = []
    for threads in sorted({result["threads"] for result in results["results"]}):
        chosen = [result for result in results["results"] if result["threads"] == threads]
        names = list(dict.fromkeys(name for result in chosen for name in result["contenders"]))
        peers = [name for name in names if name not in OURS]
        lines += ["", f"{threads} thread{'s' if threads > 1 else ''}; ms, then how many times as fast chainrule's best is",
                  f"{'':24}" + "".join(f"{name.replace('chainrule', 'cr'):>14}" for name in names) + f"{'floor':>9}"
                  + "".join(f"{'× ' + name:>16}" for name in peers) + f"{'× best':>9}"]
        ratios: dict[str, list[float]] = {}
        for result in chosen:
            line = f"{result['case'].split('/')[1]:24}"
            for name in names:
                found = result["contenders"].get(name, {})
                mark = "!" if found.get("disagrees") else " "
                line += f"{median(found) * 1e3:13.3f}{mark}" if found.get("rounds") else f"{'–':>13} "
            line += f"{result['floor'] * 1e3:9.3f}" if result["floor"] else f"{'–':>9}"
            rival = best(result, ours=False)
            for column, name, width in [(p, p, 16) for p in peers] + [("best", rival, 9)]:
                value = ratio(result, name) if name else None
                line += f"{value:{width}.2f}" if value else f"{'–':>{width}}"
                if value:
                    ratios.setdefault(column, []).append(value)
            lines.append(line)
        means = "".join(f"{geometric_mean(ratios.get(column, [])) or float('nan'):{16 if column != 'best' else 9}.2f}"
                        for column in [*peers, "best"])
        lines.append(f"{'geometric mean':24}{'':{14 * len(names) + 9}}{means}")
    return "\n".join(lines)
