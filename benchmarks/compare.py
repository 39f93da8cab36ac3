"""What changed since an earlier run."""

import statistics
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.ranking import geometric_mean, measurable, median
from benchmarks.report import aligned, duration

__all__ = ["compared"]


def compared(old: dict[str, Any], new: dict[str, Any]) -> str:
    """A line for each of chainrule's figures that both runs have: how many times as fast it has become.

    The machine changes too: "peers" is by how much the other contenders of the case became faster, which nobody made them; a
    figure is said to have changed only where it changed more than theirs did.
    """
    before = {(result["case"], result["threads"]): result for result in old["results"]}
    table, ratios, missing = [["", "threads", "", "before", "now", "× as fast", "peers", ""]], list[float](), 0
    for result in new["results"]:
        earlier = before.get((result["case"], result["threads"]))
        if earlier is None:
            missing += 1
            continue
        pairs = {name: (earlier["contenders"][name], found) for name, found in result["contenders"].items()
                 if found.get("rounds") and earlier["contenders"].get(name, {}).get("rounds")}
        drift = [median(a) / median(b) for name, (a, b) in pairs.items() if name not in OURS]
        machine = statistics.median(drift) if drift else 1.0
        for name, (a, b) in pairs.items():
            if name not in OURS:
                continue
            value = median(a) / median(b)
            ratios.append(value)
            changed = measurable(a["rounds"], b["rounds"]) and abs(value - 1) > max(0.03, *(abs(d - 1) for d in drift), 0.0)
            note = "no measurable difference" if not changed else "faster" if value > 1 else "SLOWER"
            table.append([result["case"], str(result["threads"]), name, duration(median(a)), duration(median(b)), f"{value:.2f}",
                          f"{machine:.2f}" if drift else "–", note])
    lines = aligned(table) if len(table) > 1 else ["the two runs have no case in common"]
    if ratios:
        lines.append(f"geometric mean {geometric_mean(ratios):.2f} over {len(ratios)} figures")
    if missing:
        lines.append(f"{missing} cases are new")
    before_that, now = (found["machine"].get("gpu") or found["machine"]["processor"] for found in (old, new))
    if before_that != now:
        lines.append(f"NOT THE SAME MACHINE: {before_that}, now {now}")
    return "\n".join(lines)
