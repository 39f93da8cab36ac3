"""From the rounds of a case to what may be said: who is compared, the ratios, and whether a difference was measurable."""

import math
import statistics
from typing import Any

from benchmarks.cases import TOLERANCE
from benchmarks.contenders import BASELINES, OURS

__all__ = ["agreeing", "best", "geometric_mean", "measurable", "median", "ratio", "ranked", "verdict"]


def close(a: list[float], b: list[float], tolerance: float) -> bool:
    """Whether two contenders computed the same, relative to the largest of the outputs."""
    if len(a) != len(b) or not all(map(math.isfinite, (*a, *b))):
        return False
    scale = max(map(abs, (*a, *b)), default=0.0)
    return all(abs(x - y) <= tolerance * scale for x, y in zip(a, b))


def agreeing(outputs: dict[str, list[float]], tolerance: float = TOLERANCE["float32"]) -> set[str]:
    """The contenders of the largest group that computed the same: the others are not ranked.

    With two groups of the same size nobody knows who is right, and nobody is ranked; a single contender is.
    """
    groups = {frozenset(b for b in outputs if close(outputs[a], outputs[b], tolerance)) for a in outputs}
    largest = max(map(len, groups), default=0)
    candidates = [group for group in groups if len(group) == largest]
    return set(candidates[0]) if len(candidates) == 1 else set()


def median(found: dict[str, Any]) -> float:
    """Seconds: the median of the rounds' minima."""
    return float(statistics.median(found["rounds"]))


def ranked(result: dict[str, Any]) -> dict[str, float]:
    """Seconds of each contender of a case that may be compared."""
    return {name: median(found) for name, found in result["contenders"].items()
            if found.get("rounds") and not found.get("disagrees")}


def best(result: dict[str, Any], ours: bool) -> str | None:
    """The fastest of chainrule's contenders, or of the others; what is only there to compare with is not a rival."""
    times = {name: seconds for name, seconds in ranked(result).items() if (name in OURS) == ours and name not in BASELINES}
    return min(times, key=times.__getitem__) if times else None


def ratio(result: dict[str, Any], peer: str, own: str | None = None) -> float | None:
    """How many times as fast as `peer` chainrule's fastest contender (or `own`) is; None where one of them is not ranked."""
    times, own = ranked(result), own or best(result, ours=True)
    return times[peer] / times[own] if own in times and peer in times else None


def measurable(a: list[float], b: list[float]) -> bool:
    """Whether the rounds of two contenders tell them apart.

    Either one was the faster in every round (of five fair rounds, all fall to the same side once in sixteen times), though both
    may have drifted; or no round of one lies among those of the other, the slowest of each apart, which something else disturbed.
    """
    pairs = list(zip(a, b))
    if all(x < y for x, y in pairs) or all(x > y for x, y in pairs):
        return True
    a, b = (sorted(rounds)[:-1] if len(rounds) > 2 else sorted(rounds) for rounds in (a, b))
    return a[-1] < b[0] or b[-1] < a[0]


def verdict(result: dict[str, Any], peer: str | None = None) -> str:
    """"1.31 × torch", "0.80 × jax", "no measurable difference to torch", or "" where there is nothing to compare."""
    own, peer = best(result, ours=True), peer or best(result, ours=False)
    if own is None or peer is None:
        return ""
    value = ratio(result, peer)
    if value is None:
        return ""
    if not measurable(result["contenders"][own]["rounds"], result["contenders"][peer]["rounds"]):
        return f"no measurable difference to {peer}"
    return f"{value:.2f} × {peer}"


def geometric_mean(values: list[float]) -> float | None:
    """None of nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
