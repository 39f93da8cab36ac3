"""python -m benchmarks --device cuda: every case runs at a small size and computes what the CPU does. No test asserts speed."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import cuda_machine, machine, plot, report, table, worker
from benchmarks import run as running
from benchmarks.__main__ import contenders, main
from benchmarks.cases import Case, Operation, Workload, all_cases
from benchmarks.contenders import contender
from benchmarks.cuda_cases import cuda_cases
from benchmarks.processes import ROOT, Failed
from benchmarks.ranking import close
from benchmarks.worker import Bench
from tests.checkout import run
from tests.cuda_on_cpu import simulated

pytestmark = pytest.mark.gpu
SMALL = {case.name: case for case in cuda_cases(small=True)}
PEAKS = {"flops": 1e12, "flops_in": {"float32": 1e12, "tf32": 2e12, "float16": 4e12, "bfloat16": 4e12}, "bandwidth": {"1": 1e11}}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step is warm-up enough."""
    monkeypatch.setattr(worker, "WARM", 0.0)
    monkeypatch.setattr(worker, "COMPARED_STEPS", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models' first values are."""
    return tmp_path_factory.mktemp("weights")


def bench(name: str, device: str) -> Bench:
    who = contender(name, device)
    who.sample = 0.0
    return Bench(who, 1 if device == "cpu" else 0, device)


def outputs(case: Case, name: str, device: str, folder: Path) -> list[float]:
    weights = str(running.initial_weights(case, folder)) if isinstance(case, Workload) else None
    found = bench(name, device)
    told: list[float] = found.prepare_case(case, weights)["outputs"]
    assert found.round(0.0)["seconds"] >= 0 and found.memory()["peak"] >= 0
    return told


def test_the_small_cases_are_all_of_them() -> None:
    def kinds(cases: Any) -> set[Any]:
        return {("-".join(word for word in case.name.split("-") if not word[0].isdigit()), case.precision) for case in cases}

    assert kinds(SMALL.values()) == kinds(all_cases("cuda").values())
    assert {case.precision for case in SMALL.values()} == {"float32", "tf32", "float16", "bfloat16"}


@pytest.mark.parametrize("name", SMALL)
def test_every_case_computes_what_the_cpu_does(name: str, folder: Path) -> None:
    case = SMALL[name]
    found = outputs(case, "chainrule", "cuda", folder)
    assert found and np.isfinite(found).all()
    expected = outputs(replace(case, precision="float32"), "chainrule", "cpu", folder)
    assert close(found, expected, case.tolerance), (found, expected)
    if isinstance(case, Operation) and case.twin:
        assert close(found, outputs(case, "chainrule-tiled", "cuda", folder), case.tolerance)
    if isinstance(case, Operation) and case.numpy and not (simulated() and case.precision == "tf32"):
        assert close(found, outputs(case, "cupy", "cuda", folder), case.tolerance)


# PyTorch in a process of its own, on the CPU where it finds no GPU.
TORCH = """
import json, sys, time
import torch
from benchmarks import cuda_contenders, worker
from benchmarks.contenders import contender
from benchmarks.cuda_cases import cuda_cases

class Event:
    def __init__(self, enable_timing):
        assert enable_timing
    def record(self):
        self.time = time.perf_counter()
    def synchronize(self):
        pass
    def elapsed_time(self, end):
        return 1e3 * (end.time - self.time)

if not torch.cuda.is_available():
    autocast = torch.autocast
    cuda_contenders.OnCuda.device = "cpu"
    torch.autocast = lambda device, dtype: autocast("cpu", dtype=dtype)
    torch.cuda.is_available, torch.cuda.max_memory_allocated, torch.cuda.Event = lambda: True, lambda: 1, Event
    torch.cuda.synchronize = torch.cuda.empty_cache = torch.cuda.reset_peak_memory_stats = lambda: None
worker.WARM, worker.COMPARED_STEPS = 0.0, 2
bench = worker.Bench(contender("torch", "cuda"), 0, "cuda")
bench.who.sample = 0.0
found = {}
for case in cuda_cases(small=True):
    if case.name not in sys.argv[2].split(","):
        continue
    start = time.perf_counter()
    weights = f"{sys.argv[1]}/{case.name.removesuffix('-' + case.precision).replace('/', '-')}.npz"
    found[case.name] = bench.prepare_case(case, weights)["outputs"]
    bench.memory()
    print(case.name, f"{time.perf_counter() - start:.2f} s")
print(json.dumps(found))
"""


@pytest.mark.peers
def test_torch_computes_the_same(folder: Path) -> None:
    pytest.importorskip("torch")
    training = {f"{case.name.removesuffix(case.precision)}training-{case.precision}": case.name for case in SMALL.values()}
    forward = {training[name] for name in SMALL if name in training}  # what the training cases compute too
    ours = {name: outputs(case, "chainrule", "cuda", folder) for name, case in SMALL.items() if name not in forward}
    printed = run([sys.executable, "-c", TORCH, folder, ",".join(ours)], ROOT, OMP_NUM_THREADS="1")
    found = json.loads(printed.splitlines()[-1])
    assert [name for name in ours if not close(found[name], ours[name], SMALL[name].tolerance)] == [], printed


def test_what_a_contender_cannot_do_it_says() -> None:
    with pytest.raises(NotImplementedError):
        bench("cupy", "cuda").prepare_case(SMALL["operations/softmax-float32"])
    with pytest.raises(NotImplementedError):
        bench("chainrule-tiled", "cuda").prepare_case(SMALL["operations/adam-gpt2"])


class InProcess:
    """A contender's worker, without a process."""

    def __init__(self, name: str, threads: int, timeout: float = 0.0, device: str = "cpu") -> None:
        self.bench, self.alive = bench(name, device), True
        self.ready = self.bench.ready

    def ask(self, do: str, **arguments: Any) -> Any:
        try:
            if do == "prepare":
                return json.loads(json.dumps(self.bench.prepare_case(SMALL[arguments.pop("case")], **arguments)))
            return json.loads(json.dumps(getattr(self.bench, do)(**arguments)))
        except NotImplementedError as error:
            raise Failed(f"not implemented: {error}") from None

    def close(self) -> None:
        self.alive = False


def test_a_run_from_the_command_to_table_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.processes.Worker", InProcess)
    monkeypatch.setattr("benchmarks.__main__.selected", lambda only, device: {
        name: SMALL[name] for name in ("workloads/mlp-bfloat16", "operations/matmul-24-float32", "operations/adam-gpt2")})
    monkeypatch.setattr(cuda_machine, "describe", cuda_machine.tell)
    monkeypatch.setattr(cuda_machine, "peaks", lambda: PEAKS)
    file = tmp_path / "found.json"
    assert main(["--device", "cuda", "--quick", "--peers", "cupy", "--json", str(file), "--within", "600"]) == 0
    results = running.load(file)
    mlp, product, adam = results["results"]
    assert set(mlp["contenders"]) == set(adam["contenders"]) == {"chainrule"}
    assert set(product["contenders"]) == {"chainrule", "chainrule-tiled", "cupy"}
    assert not any(found["disagrees"] for found in product["contenders"].values())
    assert mlp["floor"] == pytest.approx(mlp["flops"] / 4e12 + mlp["bytes"] / 1e11, rel=1e-5)
    assert product["floor"] == pytest.approx(max(product["flops"] / 1e12, product["bytes"] / 1e11), rel=1e-5)
    printed = capsys.readouterr().out
    assert results["machine"]["gpu"] in printed and "4 TFLOP/s bfloat16" in printed and "of the floor, " in printed

    assert table.page(results) == table.GPU
    lines = table.markdown(results).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == [f"| {case['title']}" for case in results["results"]]
    assert results["machine"]["gpu"] in lines[-1]
    assert "GPU" in report.summary(results)
    pytest.importorskip("matplotlib")
    assert [path.name for path in plot.draw(results, tmp_path / "gpu.svg")] == ["gpu.svg", "gpu-operations.svg"]


def test_no_case_is_begun_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.Worker", InProcess)
    monkeypatch.setattr(cuda_machine, "describe", dict)
    monkeypatch.setattr(cuda_machine, "peaks", lambda: PEAKS)
    said: list[str] = []
    settings = running.Settings(["chainrule"], [0], device="cuda", within=0.0, say=said.append)
    assert running.run(SMALL, settings, print)["results"] == [] and "left out" in said[-1]


def test_contenders() -> None:
    assert contenders("none", "cuda") == ["chainrule", "chainrule-tiled"]
    assert contenders("cupy", "cuda") == ["chainrule", "chainrule-tiled", "cupy"]
    with pytest.raises(ValueError, match="choose from chainrule, chainrule-tiled, cupy, torch"):
        contenders("jax", "cuda")


def test_what_the_device_does() -> None:
    found = cuda_machine.measure_peaks(copied=1 << 12, side=32, rounds=1)
    assert set(found["flops_in"]) == {"float32", "tf32", "float16", "bfloat16"} and found["bandwidth"]["4096"] > 0
    assert machine.higher(found, found) == found
    better = machine.higher(found, PEAKS)
    assert better["flops_in"]["tf32"] == 2e12 and better["bandwidth"]["1"] == 1e11 and better["bandwidth"]["4096"] > 0


def test_the_page_has_the_table_of_the_committed_results() -> None:
    text = table.GPU.read_text(encoding="utf-8")
    source = table.source_of(text)
    assert source is not None
    if source.exists():
        assert table.replaced(text, running.load(source), source) == text, "run python -m benchmarks --table FILE"
    else:
        assert source == ROOT / "nothing"
