"""How the cost grows: training steps of one GPT whose depth, width, batch or length is varied; see `plot.growth` for the figure."""

from dataclasses import replace

from benchmarks.cases import Workload
from benchmarks.workloads import gpt_case

__all__ = ["AXES", "BASE", "GROWTH"]

# What is varied, and the values; the others stay at BASE.
AXES = {"depth": (1, 2, 4, 8, 16), "width": (32, 64, 128, 256, 512), "batch": (1, 4, 8, 16, 64), "length": (16, 64, 128, 256, 512)}
BASE = {"depth": 4, "width": 128, "batch": 8, "length": 64}


def grown(name: str, **changed: int) -> Workload:
    """The base with some of its sizes changed."""
    size = BASE | changed
    title = ", ".join(f"{what} {n}" for what, n in size.items())
    case = gpt_case("", f"GPT, {title}", size["batch"], 65, size["width"], size["depth"], 4, size["length"])
    return replace(case, name=f"growth/{name}", growth=True)


GROWTH = [grown("base"), *(grown(f"{axis}-{value}", **{axis: value}) for axis, values in AXES.items() for value in values
                           if value != BASE[axis])]
