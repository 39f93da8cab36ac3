"""python -m benchmarks: it runs, compares what it should, and fails with a word of help. No test asserts speed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import compare, plot, ranking, report, table
from benchmarks.__main__ import main
from benchmarks.cases import Workload, all_cases, selected
from benchmarks.cuda_cases import cuda_cases
from benchmarks.processes import Failed, Pool, Worker, environment
from benchmarks.run import Settings, load, rounded, save
from benchmarks.run import run as run_cases
from benchmarks.worker import fingerprint
from tests.checkout import ROOT, run


def result(**seconds: list[float]) -> dict:
    """A case with the rounds of each contender."""
    return {"case": "workloads/x", "title": "X", "threads": 1, "floor": None, "flops": 0.0, "bytes": 0.0,
            "contenders": {name.replace("_", "-"): {"rounds": rounds, "first": 1.0} for name, rounds in seconds.items()}}


def test_a_run_prints_and_writes_what_it_found(tmp_path):
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--peers", "none", "--only", "mlp-tiny,engine/x + y", "--json", file]
    printed = run(command, ROOT, OPENBLAS_CORETYPE="Haswell")
    found = json.loads(file.read_text())
    assert [r["case"] for r in found["results"]] == ["workloads/mlp-tiny", "engine/x + y"]
    tiny, plus = found["results"]
    assert tiny["contenders"]["chainrule"]["rounds"][0] > 0 and tiny["contenders"]["chainrule"]["peak"] > 0
    assert len(tiny["contenders"]["chainrule"]["outputs"]) == 5  # the losses of the first steps
    assert np.diff(tiny["contenders"]["chainrule"]["outputs"]).max() < 0  # of one batch: they fall
    assert set(plus["contenders"]) >= {"chainrule", "numpy"}
    assert found["machine"]["processor"] and found["peaks"]["1"]["flops"] > 0
    assert report.summary(found) in printed and found["machine"]["processor"] in printed


@pytest.mark.parametrize(("arguments", "told"), [
    (["--only", "mlp-huge"], "workloads/mlp-tiny"), (["--peers", "thinc"], "choose from"),
    (["--threads", "0"], "at least 1"), (["--threads", "two"], "numbers"), (["--add"], "--json"), (["--rounds", "0"], "at least 1"),
    (["--compare", "nowhere.json"], "nowhere.json"), (["--from", "pyproject.toml"], "pyproject.toml")])
def test_wrong_words_exit_with_2_and_help(arguments, told, capsys):
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == "" and told in error


def test_a_gpu_is_asked_for_where_there_is_none(monkeypatch, capsys):
    monkeypatch.setattr("chainrule.cuda.device_count", lambda: 0)
    assert main(["--device", "cuda"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("--device cuda: CuPy ")


def test_patterns_select_by_part_and_wildcard():
    assert set(selected("mlp")) == {"workloads/mlp-tiny", "workloads/mlp-small", "workloads/mlp-large"}
    assert list(selected("*/gpt-large,tiny")) == ["workloads/mlp-tiny", "workloads/gpt-large"]  # the order of measuring
    assert selected(None) == all_cases()


@pytest.fixture
def found() -> dict:
    """Results of a run with each kind of case, in two numbers of threads."""
    operation = result(chainrule=[1e-6] * 3, torch=[2e-6] * 3, numpy=[5e-7] * 3)
    growth = [result(chainrule=[1.0] * 3, torch=[1.1] * 3) | {"case": f"growth/{name}"}
              for name in ("base", "depth-8", "length-512")]
    engine = operation | {"case": "engine/x + y", "counted": 1}
    cases = [result(chainrule=[3.0, 3.1, 3.2], torch=[6.2, 6.1, 6.3], torch_compile=[5.0] * 3),
             operation | {"case": "operations/exp"}, engine, *growth]
    machine = {"processor": "P", "cores": 2, "system": "S", "python": "3", "numpy": "2", "numba": "0", "blas": "B", "commit": ""}
    return {"format": 1, "machine": machine, "date": "2026-01-02 03:04 UTC", "rounds": 3, "seconds": 0.4,
            "peaks": {"1": {"flops": 1e11, "bandwidth": {"1024": 1e10}}},
            "results": [r | {"threads": threads} for threads in (1, 2) for r in cases]}


def test_results_go_to_a_file_and_back(found, tmp_path, capsys):
    save(found, tmp_path / "new" / "found.json")
    assert load(tmp_path / "new" / "found.json") == found
    assert main(["--from", str(tmp_path / "new" / "found.json")]) == 0  # nothing is measured
    assert report.summary(found) in capsys.readouterr().out
    (tmp_path / "other.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="no results of this version"):
        load(tmp_path / "other.json")


def test_the_tables_tell_what_was_found(found):
    told = report.summary(found)
    workload = next(line for line in told.splitlines() if line.startswith("x "))
    assert workload.split()[1:4] == ["3100", "6200", "5000"] and workload.split()[-3:] == ["2.00", "1.61", "1.61"]
    assert "500 ns" in next(line for line in told.splitlines() if line.startswith("x + y"))  # over NumPy


def test_adding_keeps_what_the_file_has(found, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.machine.peaks", lambda threads, seconds: found["peaks"]["1"])
    save(found, tmp_path / "found.json")
    settings = Settings(["chainrule"], [1], rounds=1, seconds=0.01, json=tmp_path / "found.json", add=True, say=lambda text: None)
    seen = []
    run_cases(selected("engine/x + y"), settings, seen.append)
    added = load(tmp_path / "found.json")["results"]
    assert len(added) == len(found["results"]) and added[-1] == rounded(seen[0])
    assert set(seen[0]["contenders"]) == {"chainrule", "numpy"}
    assert [r for r in found["results"] if r not in added] == [found["results"][2]]  # the one that was measured again


def test_comparing_sees_a_change_and_takes_the_machine_into_account(found):
    same = compare.compared(found, found)
    assert "SLOWER" not in same and "faster" not in same and "geometric mean 1.00" in same
    slower = json.loads(json.dumps(found))
    slower["results"][0]["contenders"]["chainrule"]["rounds"] = [6.0, 6.2, 6.4]
    lines = compare.compared(found, slower).splitlines()
    assert [line.split()[0] for line in lines if "SLOWER" in line] == ["workloads/x"]
    assert [line.split()[0] for line in compare.compared(slower, found).splitlines() if line.endswith("faster")] == ["workloads/x"]
    for name in ("torch", "torch-compile"):  # everything is slower: it is the machine
        slower["results"][0]["contenders"][name]["rounds"] = [12.4] * 3
    assert "SLOWER" not in compare.compared(found, slower)
    slower["machine"]["processor"] = "Q"
    assert "NOT THE SAME MACHINE" in compare.compared(found, slower)
    assert "no case in common" in compare.compared(found | {"results": []}, found)


def test_the_table_replaces_what_stands_between_its_marks(found):
    text = "a\n<!-- from old.json, by `python -m benchmarks --table` -->\nold\n<!-- end of the table -->\nb\n"
    once = table.replaced(text, found, ROOT / "benchmarks" / "x.json")
    assert once.startswith("a\n<!-- from benchmarks/x.json,") and once.endswith("<!-- end of the table -->\nb\n")
    assert "| X | 2 | 3100 | – | 6200 | 5000 | – | 1.61 | 2.00 |" in once and "old" not in once
    assert table.replaced(once, found, ROOT / "benchmarks" / "x.json") == once
    assert table.source_of(once) == ROOT / "benchmarks" / "x.json"
    with pytest.raises(ValueError, match="no place"):
        table.replaced("nothing", found, ROOT / "x.json")


def test_the_readme_has_the_table_of_the_committed_results():
    text = table.README.read_text(encoding="utf-8")
    source = table.source_of(text)
    if source is not None:
        assert table.replaced(text, load(source), source) == text, "run python -m benchmarks --table"


def test_pictures_are_drawn_of_what_there_is(found, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = plot.draw(found, tmp_path / "speed.svg")
    assert [path.name for path in drawn] == ["speed.svg", "speed-operations.svg", "speed-growth.svg"]
    assert all(path.stat().st_size > 5000 for path in drawn)
    assert plot.draw(found | {"results": found["results"][:1]}, tmp_path / "one.png") == [tmp_path / "one.png"]


def test_who_disagrees_is_not_ranked():
    outputs = {"chainrule": [1.0, 0.5], "torch": [1.0, 0.5001], "jax": [1.0, 0.6]}
    assert ranking.agreeing(outputs) == {"chainrule", "torch"}
    assert ranking.agreeing(outputs | {"jax": [1.0, float("nan")]}) == {"chainrule", "torch"}
    assert ranking.agreeing({"chainrule": [1.0], "jax": [2.0]}) == set()  # nobody knows who is right
    found = result(chainrule=[2.0] * 5, torch=[3.0] * 5, jax=[1.0] * 5)
    found["contenders"]["jax"]["disagrees"] = True
    assert ranking.best(found, ours=False) == "torch" and ranking.ratio(found, "jax") is None
    assert "NOT RANKED" in report.rows(found)


def test_a_ratio_needs_a_difference_that_the_spread_does_not_swallow():
    assert ranking.verdict(result(chainrule=[1.0, 1.1, 1.0], torch=[2.0, 2.2, 2.1])) == "2.10 × torch"
    assert ranking.verdict(result(chainrule=[1.0, 1.1, 1.0], torch=[1.1, 1.0, 1.1])) == "no measurable difference to torch"
    drifting, disturbed = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 9.0, 1.0, 1.0]
    assert ranking.verdict(result(chainrule=drifting, torch=[1.1, 2.1, 3.1, 4.1, 5.1])) == "1.03 × torch"  # in every round
    assert ranking.verdict(result(chainrule=disturbed, torch=[2.0] * 5)) == "2.00 × torch"  # but for one round
    assert ranking.verdict(result(chainrule=disturbed, torch=[0.9, 0.9, 1.1, 0.9, 1.1])).startswith("no measurable")
    assert ranking.verdict(result(chainrule=[3.0], chainrule_compile=[1.0], torch=[2.0])) == "2.00 × torch"  # the faster of ours
    assert ranking.geometric_mean([1.0, 4.0]) == pytest.approx(2.0) and ranking.geometric_mean([]) is None


def test_results_are_told_apart_by_value_and_by_order():
    a = np.arange(12.0).reshape(3, 4)
    assert fingerprint([a]) == fingerprint([a.copy()]) != fingerprint([a[::-1]])
    assert fingerprint([a]) != fingerprint([a * 1.01])


def test_a_contender_that_fails_leaves_the_others():
    with Pool(1) as pool:
        assert set(pool.of(["chainrule", "nobody"])) == {"chainrule"} and "nobody" in pool.failed["nobody"]
        worker = pool.of(["chainrule"])["chainrule"]
        with pytest.raises(Failed, match="KeyError"):
            worker.ask("prepare", case="workloads/none")
        assert worker.alive
        worker.process.kill()
        with pytest.raises(Failed, match="ended with -9"):
            worker.ask("round", seconds=0.0)
        assert pool.of(["chainrule"])["chainrule"].alive  # started again


def test_a_worker_keeps_out_what_libraries_print():
    code = ("from benchmarks import worker, contenders\n"
            "contenders.ChainRule.versions = lambda self: print('noise') or 'v'\nworker.main()")
    done = subprocess.run([sys.executable, "-c", code, "chainrule", "1", ""], cwd=ROOT, env=environment(1), input="",
                          capture_output=True, text=True)
    assert json.loads(done.stdout)["versions"] == "v" and "noise" in done.stderr


def test_openblas_settings_are_cleared(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE" not in environment(2) and environment(2)["OMP_NUM_THREADS"] == "2"


WORKLOADS = [case for case in (*all_cases().values(), *cuda_cases(small=True)) if isinstance(case, Workload)]


@pytest.mark.parametrize("case", [case for case in WORKLOADS if case.name != "workloads/transformer-float32"  # too small for 2 %
                                  and case.precision == "float32"], ids=lambda case: case.name)
def test_traffic_counts_every_parameter(case):
    from chainrule import layers

    parameters = sum(p.numel() for p in case.model(layers).parameters())
    assert case.bytes == pytest.approx(28 * parameters, rel=0.02)


@pytest.mark.peers
@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_peers_compute_the_same(peer, tmp_path):
    pytest.importorskip(peer)
    file = tmp_path / "found.json"
    run([sys.executable, "-m", "benchmarks", "--quick", "--peers", peer, "--json", file,
         "--only", "mlp-tiny,workloads/lstm,linear-gelu,gru-128-training,conv2d-narrow-training"], ROOT)
    found = [(r["case"], name, c.get("disagrees")) for r in json.loads(file.read_text())["results"]
             for name, c in r["contenders"].items() if not c.get("error")]
    assert [row for row in found if row[2] is not False] == []
    assert sum(name == peer for _, name, _ in found) == sum(name == "chainrule" for _, name, _ in found) == 6


def test_an_unknown_contender_is_an_answer_not_a_crash():
    with pytest.raises(Failed, match="choose from"):
        Worker("nobody", 1)
