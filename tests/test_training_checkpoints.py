"""Checkpoints: a run that was killed, again and again, ends with the bits of one that was not."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.optim.lr_scheduler import CosineAnnealingLR
from chainrule.optim.training import F1, Accuracy, Callback, Checkpoints, CSVLog, EarlyStopping, fit
from chainrule.serialization import FileError

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(30, 6)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
EPOCHS = 5


class Noisy(TensorDataset):
    """Draws something for each batch."""

    def batch(self, indices):
        x, y = super().batch(indices)
        return x + 0.1 * cr.randn(*x.shape), y


class Count:
    """Something of the user's own that belongs to the run."""

    def __init__(self):
        self.steps = 0

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class Plain:
    """A loader without a state, which shuffles by the default generator when a loop begins."""

    def __iter__(self):
        order = cr.randperm(30).numpy()
        for start in range(0, 30, 4):
            yield X[order[start: start + 4]], Y[order[start: start + 4]]


def run(folder, on_step=None, callbacks=(), loader=None, resume=True, seed=0, epochs=EPOCHS, every=2, plain=False,
        accumulate=3, min_delta=0.0, **options):
    """A run with everything that has a state: (weights, history, text of the log, count)."""
    cr.manual_seed(seed)
    model = layers.Sequential(layers.Linear(6, 8), layers.Dropout(0.3), layers.ReLU(), layers.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    count, log = Count(), folder.with_suffix(".csv")

    class Step(Callback):
        def on_step(self, run):
            count.steps += 1
            if on_step is not None:
                on_step(run)

    loader = loader or (Plain() if plain else DataLoader(Noisy(X, Y), 4, shuffle=True, generator=None if accumulate == 4 else seed,
                                                       num_workers=1))
    checkpoints = Checkpoints(folder, every=every, keep=2, best=True, also={"count": count})
    with cr.backend("reference"):
        history = fit(model, loader, layers.CrossEntropyLoss(), optimizer, epochs, checkpoints=checkpoints, resume=resume,
                      validation=DataLoader(TensorDataset(X, Y), 16), metrics=[Accuracy(), F1()], accumulate=accumulate,
                      scheduler=CosineAnnealingLR(optimizer, EPOCHS * 3), schedule="step", clip_norm=1.0,
                      callbacks=[EarlyStopping(2, min_delta=min_delta), CSVLog(log), Step(), *callbacks], **options)
    values = [p.numpy().copy() for p in model.parameters()]
    return values, history, log.read_text() if log.exists() else "", count.steps


def same(a, b):
    return (all(map(np.array_equal, a[0], b[0])) and dict(a[1]) == dict(b[1]) and a[1].stopped == b[1].stopped
            and a[2:] == b[2:])


# 8 batches in an epoch: steps of 3, 3 and 2, or of 4 and 4.
@pytest.fixture(scope="module", params=[{}, {"accumulate": 4}, {"plain": True}], ids=str)
def whole(request, tmp_path_factory):
    """(options, what the run ends with if nothing happens to it)."""
    return request.param, run(tmp_path_factory.mktemp("whole") / "run", every=None, **request.param)


CHILD = """
import os, sys
from pathlib import Path
from tests.test_training_checkpoints import run
import chainrule as cr
def step(run):
    print(run.step, flush=True)
weights, history, log, count = run(Path(sys.argv[1]), step)
cr.save([weights, dict(history), history.stopped, log, count], sys.argv[2])
"""


def test_killed_at_random_moments(tmp_path):
    expected = run(tmp_path / "whole")
    random, kills = np.random.default_rng(), 0
    folder, end = tmp_path / "run", tmp_path / "end"
    root = Path(__file__).parent.parent
    while not end.exists():
        child = subprocess.Popen([sys.executable, "-c", CHILD, folder, end], stdout=subprocess.PIPE, cwd=root,
                                 text=True)
        with child:
            for _ in range(random.integers(1, 5) if kills < 3 else 10**6):
                if not child.stdout.readline():
                    break
            else:
                time.sleep(random.uniform(0, 0.004))
                child.kill()
                kills += 1
        assert child.returncode in (0, -signal.SIGKILL), child.returncode
    weights, history, stopped, log, count = cr.load(end)
    found = History(history, stopped)
    assert 1 <= kills <= 3  # a run may come to its end before its third
    assert same(expected, ([w.numpy() for w in weights], found, log, count))
    assert not [path for path in folder.iterdir() if path.suffix != ".safetensors"]


class History(dict):
    def __init__(self, values, stopped):
        super().__init__(values)
        self.stopped = stopped


class Crash(Exception):
    pass


@pytest.mark.parametrize("every", [1, None])
def test_a_crash_at_each_step(whole, tmp_path, every):
    options, expected = whole
    for at in range(1, expected[3], 5):  # in all parts of an epoch
        def crash(run, at=at):
            if run.step == at and not run.resumed:
                raise Crash

        folder = tmp_path / str(at)
        with pytest.raises(Crash):
            run(folder, crash, every=every, **options)
        assert same(expected, run(folder, every=every, **options)), at


def test_an_interrupt_saves_and_the_run_goes_on(whole, tmp_path, capsys):
    options, expected = whole

    folder = tmp_path / "run"

    def interrupt(run):
        if run.step in (2, 3, 4):  # in the middle and at the end of an epoch
            os.kill(os.getpid(), signal.SIGINT)

    for step in (2, 3, 4):
        found = run(folder, interrupt, every=None, progress=True, **options)
        assert found[1].stopped == "interrupted" and found[3] == step
        assert Checkpoints(folder).files()[-1].name == f"step-{step:09d}.safetensors"
    assert same(expected, run(folder, every=None, progress=True, **options))
    out, latest = capsys.readouterr().out, folder / "step-000000004.safetensors"
    assert f"stopped after step 4: interrupted; saved as {latest}, from which resume=True goes on" in out
    assert "going on from " in out and ", step 5\n" in out


def test_more_epochs_go_on_from_a_finished_run(tmp_path):
    folder = tmp_path / "run"
    first = run(folder, epochs=2)
    again = run(folder, epochs=2)  # nothing to do
    assert same(first, again)
    more = run(folder, epochs=3)
    assert len(more[1]["loss"]) == 3 and more[1]["loss"][:2] == first[1]["loss"]
    assert same(more, run(tmp_path / "other", epochs=3))


def test_early_stopping_stays_stopped(tmp_path):
    expected = run(tmp_path / "run", epochs=20, min_delta=0.03)
    assert expected[1].stopped == "early stopping" and len(expected[1]["loss"]) < 20
    assert same(expected, run(tmp_path / "run", epochs=20, min_delta=0.03))


def test_an_epoch_in_which_it_was_told_to_stop_is_finished_all_the_same(tmp_path):
    def stop(run):
        if run.step == 4:
            run.stop("enough")

    def stop_and_crash(run):
        stop(run)
        if run.step == 5:
            raise Crash

    expected = run(tmp_path / "whole", stop, every=1)
    with pytest.raises(Crash):
        run(tmp_path / "run", stop_and_crash, every=1)
    assert expected[1].stopped == "enough" and len(expected[1]["loss"]) == 2
    assert same(expected, run(tmp_path / "run", stop, every=1))


def test_the_latest_and_the_best_are_kept(tmp_path):
    folder = tmp_path / "run"
    _, history, _, _ = run(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3 and names[0] == "best.safetensors"
    best = int(np.argmin(history["validation_loss"]))
    state = cr.load(Checkpoints(folder).best_file)
    assert state["run"]["epoch"] == best + 1 and state["run"]["history"]["loss"] == history["loss"][: best + 1]
    model = layers.Sequential(layers.Linear(6, 8), layers.Dropout(0.3), layers.ReLU(), layers.Linear(8, 2))
    model.load_state_dict(state["model"])


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    folder = tmp_path / "run"
    expected = run(tmp_path / "whole")
    run(folder, epochs=3)
    older, newer = Checkpoints(folder).files()
    for damage in (lambda b: b[:-3], lambda b: b[:-3] + bytes([b[-3] ^ 4]) + b[-2:], lambda b: b""):
        newer.write_bytes(damage(newer.read_bytes()))
        with pytest.warns(UserWarning, match=f"{newer.name}: .*the checkpoint before it is taken"):
            run(folder, epochs=3)
        assert newer.with_suffix(".damaged").exists() and newer.exists()  # done again
    assert same(expected, run(folder))
    for path in Checkpoints(folder).files():
        path.write_bytes(b"nothing")
    for _ in range(2):
        with warnings.catch_warnings(), pytest.raises(FileError, match="all checkpoints in .* are damaged"):
            warnings.simplefilter("ignore", UserWarning)
            run(folder)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".step-000000004.safetensors.0a1b2c3d.tmp").write_bytes(b"half")
    (folder / ".tmpWrou03").write_bytes(b"half")
    (folder / "notes.txt").write_text("the user's")
    run(folder, epochs=1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors", "notes.txt", "step-000000002.safetensors", "step-000000003.safetensors"]


def test_a_folder_in_use_and_another_run_are_refused(tmp_path):
    folder = tmp_path / "run"
    run(folder, epochs=1, resume=False)
    with pytest.raises(FileExistsError, match="step-000000003.safetensors; pass resume=True"):
        run(folder, epochs=2, resume=False)
    with pytest.raises(ValueError, match="differ in 'callback 1 EarlyStopping'; to go on"):
        run(folder, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="DataLoader: the state was saved where"):
        run(folder, loader=DataLoader(TensorDataset(X[:8], Y[:8]), 4))
    for options in ({"keep": 0}, {"every": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Checkpoints(folder, **options)
    with pytest.raises(TypeError, match=r"'average': 3.* has no state_dict"):
        Checkpoints(folder, also={"average": 3})
