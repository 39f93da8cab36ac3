"""The run: every contender of a case is prepared, then all are asked for rounds in turn; results are saved as they come."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cuda_machine, machine
from benchmarks.cases import Case, Operation, Program, Workload
from benchmarks.contenders import SMALL
from benchmarks.processes import Failed, Pool, Worker, program_output
from benchmarks.ranking import agreeing
from benchmarks.report import threads_title

__all__ = ["Settings", "initial_weights", "load", "rounded", "run", "save"]

FORMAT = 1
PAUSE = 0.06  # seconds between two contenders' turns: thread pools spin for a while after work


@dataclass(frozen=True)
class Settings:
    """How much is measured. `seconds`: of a round of one contender on a workload; other cases get a third. `add`: to what the
    file `json` has. `device`: "cpu", or "cuda" for the current GPU, where `threads` is [0]. `within`: seconds after which no
    further case is begun."""

    contenders: list[str]
    threads: list[int]
    rounds: int = 5
    seconds: float = 0.4
    json: Path | None = None
    add: bool = False
    device: str = "cpu"
    within: float = float("inf")
    say: Callable[[str], None] = field(default=lambda text: print(text, flush=True))


def initial_weights(case: Workload, folder: Path) -> Path:
    """A file with the first values of the model's parameters, the same for all contenders."""
    import numpy as np

    import chainrule as cr
    from chainrule import layers

    path = folder / f"{case.name.removesuffix('-' + case.precision).replace('/', '-')}.npz"
    if not path.exists():
        cr.manual_seed(0)
        arrays: dict[str, Any] = {name: p.detach().numpy() for name, p in case.model(layers).named_parameters()}
        np.savez(path, **arrays)
    return path


def load(path: Path) -> dict[str, Any]:
    """Results from a file; ValueError for what is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as results: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path} holds no results of this version of the benchmarks")
    return found


def rounded(value: Any) -> Any:
    """All numbers in it with six digits: no measurement has more."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def save(results: dict[str, Any], path: Path | None) -> None:
    """Write the results, one case a line, so that an interrupted run has what it had."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    lines = ",\n".join(json.dumps(rounded(result), ensure_ascii=False) for result in results["results"])
    rest = json.dumps({name: value for name, value in results.items() if name != "results"}, ensure_ascii=False)
    temporary.write_text(f'{rest[:-1]}, "results": [\n{lines}\n]}}\n', encoding="utf-8")
    os.replace(temporary, path)


def measure(case: Case, workers: dict[str, Worker], settings: Settings, weights: Path | None) -> dict[str, dict[str, Any]]:
    """What each worker found for the case; a worker that fails is told of and left out."""
    found: dict[str, dict[str, Any]] = {}
    arguments: dict[str, Any] = {"weights": str(weights)} if weights else {}
    for name, worker in workers.items():
        try:
            found[name] = worker.ask("prepare", case=case.name, **arguments) | {"rounds": []}
        except Failed as error:
            found[name] = {"error": str(error)}
    alive = [name for name in found if "error" not in found[name]]
    whole = isinstance(case, Workload) and not case.growth
    seconds = settings.seconds if whole else settings.seconds / 3
    agreed = agreeing({name: found[name]["outputs"] for name in alive}, case.tolerance)
    for name in alive:
        found[name]["disagrees"] = name not in agreed
    if len(agreed) == len(alive) and not isinstance(case, Workload):  # else they tell who computed what
        for name in alive:
            del found[name]["outputs"]
    for _ in range(settings.rounds if whole or not isinstance(case, Workload) else min(3, settings.rounds)):
        for name in alive:
            if "error" in found[name]:
                continue
            time.sleep(PAUSE)
            try:
                least = 3 if found[name]["seconds"] < 0.3 else 2
                found[name]["rounds"].append(workers[name].ask("round", seconds=seconds, least=least)["seconds"])
            except Failed as error:
                found[name] |= {"error": str(error)}
    for name in alive:
        with suppress(Failed):
            found[name]["peak"] = workers[name].ask("memory")["peak"]
    return found


def measure_programs(case: Program, settings: Settings, threads: int, folder: Path) -> dict[str, dict[str, Any]]:
    """The seconds that the programs print, in turn; once unmeasured, so that files are in memory and kernels compiled."""
    found: dict[str, dict[str, Any]] = {name: {"rounds": []} for name in case.programs if name in (*settings.contenders, "numpy")}
    rounds = min(2, settings.rounds) if case.cold else settings.rounds
    for i in range(rounds if case.cold else rounds + 1):
        for name in found:
            variables = {"NUMBA_CACHE_DIR": str(folder / f"kernels-{name}-{i}")} if case.cold else {}
            with suppress(Failed):
                seconds = program_output(case.programs[name], threads, **variables)
                if i or case.cold:
                    found[name]["rounds"].append(seconds)
                else:
                    found[name]["first"] = seconds
    return found


def taking_part_on_cuda(case: Case, contenders: list[str]) -> list[str]:
    """Those of the contenders on a GPU to which the case means anything."""
    left_out = set() if isinstance(case, Workload) or isinstance(case, Operation) and case.fused else {"torch-compile"}
    for name, function in (("chainrule-tiled", "twin"), ("cupy", "numpy")):
        if getattr(case, function, None) is None:
            left_out.add(name)
    return [name for name in contenders if name not in left_out]


def taking_part(case: Case, contenders: list[str]) -> list[str]:
    """Those of the contenders to which the case means anything, and NumPy where it is the base line."""
    if isinstance(case, Workload):
        compiled_anew = {"torch-compile"} if case.growth else set()  # half a minute for each size
        return [name for name in contenders if (case.small or name not in SMALL) and name not in compiled_anew]
    left_out = {"chainrule-compile", *SMALL}  # steps are compiled, not single operations
    if not isinstance(case, Operation) or not case.fused:
        left_out.add("torch-compile")
    if isinstance(case, Operation) and case.counted:
        left_out.add("jax")  # it records nothing at run time
    names = [name for name in contenders if name not in left_out and name != "numpy"]
    return [*names, "numpy"] if isinstance(case, Operation) and case.numpy else names


def measure_in(pool: Pool, case: Case, settings: Settings, weights: Path | None) -> dict[str, dict[str, Any]]:
    """The case measured by the pool's workers."""
    names = (taking_part_on_cuda if settings.device == "cuda" else taking_part)(case, settings.contenders)
    workers = pool.of(names)
    found = measure(case, workers, settings, weights)
    for name, worker in workers.items():
        found[name] |= {"resident": worker.ready["resident"], "versions": worker.ready["versions"]}
        if settings.device == "cuda" and not found[name].get("error", "not implemented").startswith("not implemented"):
            worker.close()  # after an error of CUDA nothing else works in that process; the next case starts another
    return {name: found.get(name) or {"error": pool.failed.get(name, "it did not start")} for name in names}


def remember_peak(results: dict[str, Any], threads: int, settings: Settings) -> None:
    """Measure what the machine can do, before and after the cases: the best of it counts, and all floors are told for that."""
    peak = cuda_machine.peaks() if settings.device == "cuda" else machine.peaks(threads, min(0.25, settings.seconds))
    results["peaks"][str(threads)] = machine.higher(peak, results["peaks"].get(str(threads)))
    for result in results["results"]:
        if result["threads"] == threads:
            set_floor(result, results["peaks"])


def set_floor(result: dict[str, Any], peaks: dict[str, Any]) -> None:
    """For the peaks of its number of threads."""
    result["floor"] = machine.floor(result["case"], result["flops"], result["bytes"], peaks[str(result["threads"])],
                                    result.get("precision", "float32"))


def run(cases: dict[str, Case], settings: Settings, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure all cases with each number of threads; `show` is called with every result when it is there.

    A workload has processes of its own, so that its peak of memory is its own; operations share theirs, and on a GPU, which tells
    what a step allocates, so do workloads.
    """
    told = machine.describe() | (cuda_machine.describe() if settings.device == "cuda" else {})
    results: dict[str, Any] = {"format": FORMAT, "device": settings.device, "machine": told,
                               "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                               "rounds": settings.rounds, "seconds": settings.seconds, "peaks": {}, "results": []}
    if settings.add and settings.json and settings.json.exists():
        results = load(settings.json) | {"machine": results["machine"], "date": results["date"]}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for threads in settings.threads:
            remember_peak(results, threads, settings)
            with Pool(threads, settings.device) as shared:
                for i, case in enumerate(cases.values(), 1):
                    if time.perf_counter() - start > settings.within:
                        settings.say(f"{len(cases) - i + 1} cases are left out: the {settings.within:.0f} s of --within are over")
                        break
                    settings.say(f"[{i}/{len(cases)}, {threads_title(threads)}, {time.perf_counter() - start:.0f} s] {case.name}")
                    if isinstance(case, Program):
                        contenders = measure_programs(case, settings, threads, folder)
                    elif isinstance(case, Workload) and settings.device == "cpu":
                        with Pool(threads) as alone:
                            contenders = measure_in(alone, case, settings, initial_weights(case, folder))
                    else:
                        weights = initial_weights(case, folder) if isinstance(case, Workload) else None
                        contenders = measure_in(shared, case, settings, weights)
                    result = {"case": case.name, "title": case.title, "threads": threads, "flops": case.flops, "bytes": case.bytes,
                              "floor": None, "contenders": contenders}
                    if settings.device == "cuda":
                        result["precision"] = case.precision
                    set_floor(result, results["peaks"])
                    if isinstance(case, Operation) and case.counted:
                        result["counted"] = case.counted
                    others = [r for r in results["results"] if (r["case"], r["threads"]) != (case.name, threads)]
                    results["results"] = [*others, result]
                    results["took"] = time.perf_counter() - start
                    save(results, settings.json)
                    show(result)
            remember_peak(results, threads, settings)
            save(results, settings.json)
    return results
