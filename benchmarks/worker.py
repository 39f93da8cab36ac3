"""The process of one contender: it reads a request from standard input, answers on standard output, and sleeps in between.

Requests and answers are lines of JSON; `{"do": "round", "seconds": 0.4}` is answered by `{"seconds": 0.00123, …}`. What the
libraries print goes to standard error.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, Update, Workload, all_cases
from benchmarks.contender import Repeated
from benchmarks.contenders import Contender, contender

__all__ = ["Bench", "fingerprint", "main", "resident"]

COMPARED_STEPS = 5  # of a training run: their losses are compared
WARM = 0.2  # seconds of calls before the first sample


def resident(field: str = "VmRSS") -> int:
    """Bytes that this process has in memory (VmHWM: had at most); 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def forget_peak() -> None:
    """Let VmHWM start again from what is in memory now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass


def fingerprint(arrays: list[Any]) -> list[float]:
    """Two numbers for each array, by which results are compared: the root mean square, and the mean with random signs."""
    found = []
    for array in arrays:
        values = np.asarray(array, dtype=np.float64).ravel()
        signs = np.random.default_rng(values.size).integers(0, 2, values.size) * 2.0 - 1
        scale = float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
        found += [scale, float(np.sum(values * signs)) / max(values.size, 1) ** 0.5]
    return found


class Bench:
    """What the requests do: one method each."""

    def __init__(self, who: Contender, threads: int, device: str = "cpu") -> None:
        self.who, self.device, self.number = who, device, 1
        start = time.perf_counter()
        who.start(threads)
        self.ready = {"import": time.perf_counter() - start, "versions": who.versions(), "resident": resident()}
        self.step: Callable[[], Any] = lambda: None

    def prepare(self, case: str, weights: str | None = None) -> dict[str, Any]:
        """The case of that name; `weights` are a file."""
        return self.prepare_case(all_cases(self.device)[case], weights)

    def prepare_case(self, chosen: Case, weights: str | None = None) -> dict[str, Any]:
        """Build the case, take the first steps (compiling, where that is done), and keep what they returned."""
        self.step = lambda: None
        gc.collect()
        self.who.release()
        rng: Any = np.random.default_rng(0)
        rng = Repeated(rng) if self.device == "cuda" else rng
        start = time.perf_counter()
        if isinstance(chosen, Workload):
            with np.load(str(weights)) as file:
                self.step = self.who.workload(chosen, dict(file), chosen.data(rng))
        elif isinstance(chosen, Operation):
            self.step = self.who.operation(chosen, chosen.inputs(rng))
        elif isinstance(chosen, Update):
            parameters, gradients = ([rng.standard_normal(s, dtype=np.float32) for s in chosen.shapes] for _ in range(2))
            self.step = self.who.update(chosen, parameters, gradients)
        first = time.perf_counter()
        results = [self.who.arrays(self.step())]
        first = time.perf_counter() - first
        if isinstance(chosen, Workload):
            results += [self.who.arrays(self.step()) for _ in range(COMPARED_STEPS - 1)]
            outputs = [float(np.asarray(array).item()) for arrays in results for array in arrays]
        else:
            outputs = fingerprint(results[0])[:: 2 if chosen.drawn else 1]
        warm = time.perf_counter()
        while time.perf_counter() - warm < WARM:
            self.sample(1)
        self.number, once = 1, max(self.sample(1), 1e-9)
        least = self.who.sample
        while once * self.number < least:
            self.number = max(2 * self.number, min(int(least / once), 10 * self.number))
            once = max(self.sample(self.number), 1e-9)
        forget_peak()
        return {"warmup": time.perf_counter() - start, "first": first, "outputs": outputs, "seconds": once}

    def sample(self, number: int) -> float:
        """Seconds per call over `number` calls."""
        return self.who.timed(self.step, number)

    def round(self, seconds: float, least: int = 3) -> dict[str, Any]:
        """The fastest of as many samples as fit into that time, which other work on the machine disturbed least."""
        end = time.perf_counter() + seconds
        found: list[float] = []
        while len(found) < least or time.perf_counter() < end:
            found.append(self.sample(self.number))
        return {"seconds": min(found), "samples": len(found)}

    def memory(self) -> dict[str, Any]:
        """The peak since the warm-up, or on a device that of one step. The case is let go of: others may need the memory."""
        found = self.who.peak(self.step)
        self.step = lambda: None
        gc.collect()
        self.who.release()
        return {"peak": resident("VmHWM") if found is None else found}


def main() -> None:
    """Serve requests until the input ends. Arguments: the contender, threads, the cores to stay on, and the device."""
    name, threads, cores = sys.argv[1], int(sys.argv[2]), [int(core) for core in sys.argv[3].split(",") if core]
    device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)

    def answer(function: Callable[[], Any]) -> Any:
        try:
            found = function()
        except NotImplementedError as error:
            found = {"error": f"not implemented{': ' if str(error) else ''}{error}"}
            print(json.dumps(found), file=answers)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a library raises is told, and the others go on
            text = " ".join(str(error).split())
            found = {"error": f"{type(error).__name__}: {text[:300]}"}
            print(json.dumps(found), file=answers)
            return None
        print(json.dumps(found.ready if isinstance(found, Bench) else found), file=answers)
        return found

    bench = answer(lambda: Bench(contender(name, device), threads, device))
    for line in sys.stdin if bench else ():
        request = json.loads(line)
        answer(partial(getattr(bench, request.pop("do")), **request))


if __name__ == "__main__":
    main()
