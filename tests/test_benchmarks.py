"""python -m benchmarks: it runs, compares what it should, and fails with a word of help. No test asserts speed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import ranking, report
from benchmarks.__main__ import main
from benchmarks.cases import Workload, all_cases, selected
from benchmarks.processes import Failed, Pool, Worker, environment
from benchmarks.worker import fingerprint
from tests.checkout import ROOT, run


def result(**seconds: list[float]) -> dict:
    """A case with the rounds of each contender."""
    return {"case": "workloads/x", "title": "X", "threads": 1, "floor": None,
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
    (["--only", "mlp-huge"], "workloads/mlp-tiny"), (["--peers", "thinc"], "choose from"), (["--device", "cuda"], "only cpu"),
    (["--threads", "0"], "at least 1")])
def test_wrong_words_exit_with_2_and_help(arguments, told, capsys):
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == "" and told in error


def test_patterns_select_by_part_and_wildcard():
    assert set(selected("mlp")) == {"workloads/mlp-tiny", "workloads/mlp-small", "workloads/mlp-large"}
    assert list(selected("*/gpt-large,tiny")) == ["workloads/mlp-tiny", "workloads/gpt-large"]  # the order of measuring
    assert selected(None) == all_cases()


def test_who_disagrees_is_not_ranked():
    outputs = {"chainrule": [1.0, 0.5], "torch": [1.0, 0.5001], "jax": [1.0, 0.6]}
    assert ranking.agreeing(outputs) == {"chainrule", "torch"}
    assert ranking.agreeing(outputs | {"jax": [1.0, float("nan")]}) == {"chainrule", "torch"}
    assert ranking.agreeing({"chainrule": [1.0], "jax": [2.0]}) == set()  # nobody knows who is right
    found = result(chainrule=[2.0] * 5, torch=[3.0] * 5, jax=[1.0] * 5)
    found["contenders"]["jax"]["disagrees"] = True
    assert ranking.best(found, ours=False) == "torch" and ranking.ratio(found, "jax") is None
    assert "NOT RANKED" in report.rows(found)


def test_a_ratio_needs_a_difference_in_every_round():
    assert ranking.verdict(result(chainrule=[1.0, 1.1, 1.0], torch=[2.0, 2.2, 2.1])) == "2.10 × torch"
    assert ranking.verdict(result(chainrule=[1.0, 1.1, 1.0], torch=[1.1, 1.0, 1.1])) == "no measurable difference to torch"
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


@pytest.mark.parametrize("name", [c.name for c in all_cases().values() if isinstance(c, Workload)])
def test_traffic_counts_every_parameter(name):
    from chainrule import layers

    case = all_cases()[name]
    parameters = sum(p.numel() for p in case.model(layers).parameters())
    assert case.bytes == pytest.approx(28 * parameters, rel=0.02)


@pytest.mark.peers
@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_peers_compute_the_same(peer, tmp_path):
    pytest.importorskip(peer)
    file = tmp_path / "found.json"
    run([sys.executable, "-m", "benchmarks", "--quick", "--peers", peer, "--only", "mlp-tiny,lstm", "--json", file], ROOT)
    assert [c.get("disagrees") for r in json.loads(file.read_text())["results"] for c in r["contenders"].values()
            if not c.get("error")] == [False] * 4


def test_an_unknown_contender_is_an_answer_not_a_crash():
    with pytest.raises(Failed, match="choose from"):
        Worker("nobody", 1)
