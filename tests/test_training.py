"""fit, evaluate and predict: the loop by hand to the bit, its options, and what they say when something does not fit."""

import os
import signal
import sys
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from chainrule.optim.training import F1, Accuracy, Callback, EarlyStopping, evaluate, find_learning_rate, fit, predict

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(22, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
DATA = TensorDataset(X, Y)


def network(seed=1):
    cr.manual_seed(seed)
    return layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Dropout(0.2), layers.Linear(8, 2))


def weights(model):
    return np.concatenate([p.numpy().ravel() for p in model.parameters()])


def train(model=None, loader=None, loss_fn=None, optimizer=None, epochs=2, **options):
    model = model or network()
    loader = DataLoader(DATA, 5, shuffle=True, generator=3) if loader is None else loader
    optimizer = optimizer or optim.SGD(model.parameters(), lr=0.1)
    return model, fit(model, loader, loss_fn or layers.CrossEntropyLoss(), optimizer, epochs, **options)


class OnStep(Callback):
    """Calls a function with the run after each step, and keeps what it returned."""

    def __init__(self, function):
        self.function, self.found = function, []

    def on_step(self, run):
        self.found.append(self.function(run))


def test_fit_is_the_loop_by_hand_to_the_bit():
    validation = DataLoader(DATA, 7, generator=0)  # each loop over a loader takes a key, from the default one without this
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = StepLR(optimizer, 2, gamma=0.5)
    loader = DataLoader(DATA, 5, shuffle=True, generator=3)
    losses, rates, found, right = [], [], [], []
    for _ in range(3):
        total = hits = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            prediction = model(x)
            loss = F.cross_entropy(prediction, y)
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            total += loss.item() * len(y)
            hits += (prediction.data.argmax(1) == y.data).sum()
        losses.append(total / 22)
        right.append(hits / 22)
        rates.append(optimizer.param_groups[0]["lr"])
        model.eval()
        with cr.no_grad():
            found.append(F.cross_entropy(model(cr.tensor(X)), cr.tensor(Y)).item())
        model.train()
        scheduler.step()

    other = network()
    optimizer = optim.Adam(other.parameters(), lr=0.01)
    history = fit(other, DataLoader(DATA, 5, shuffle=True, generator=3), layers.CrossEntropyLoss(), optimizer, 3,
                  validation=validation, metrics=Accuracy(), clip_norm=0.5, scheduler=StepLR(optimizer, 2, gamma=0.5))
    assert np.array_equal(weights(model), weights(other))
    assert history["loss"] == losses and history["lr"] == rates and history["accuracy"] == right
    assert history["validation_loss"] == pytest.approx(found) and history.stopped == "epochs"
    assert list(history) == ["loss", "accuracy", "lr", "validation_loss", "validation_accuracy"]
    assert all(type(value) is float for values in history.values() for value in values)


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_accumulated_batches_make_the_step_of_the_large_one(clip_norm):
    cr.manual_seed(0)
    model = layers.Sequential(layers.Linear(4, 8), layers.ReLU(), layers.Linear(8, 2)).double()
    start = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    found = []
    for size, accumulate in ((12, 1), (4, 3), (1, 12)):  # 22 examples: the last step has 10, in 4 + 4 + 2
        model.load_state_dict(start)
        optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        steps = OnStep(lambda run: run.loss)
        history = fit(model, DataLoader(TensorDataset(X.astype(np.float64), Y), size), layers.CrossEntropyLoss(), optimizer,
                      3, accumulate=accumulate, clip_norm=clip_norm, callbacks=steps)
        found.append((weights(model), history["loss"], steps.found))
    for other in found[1:]:
        for a, b in zip(found[0], other):
            assert len(a) == len(b) and np.allclose(a, b, rtol=1e-12, atol=0)


def test_scheduler_per_step_and_plateau():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    rates = OnStep(lambda run: optimizer.param_groups[0]["lr"])
    train(model, optimizer=optimizer, scheduler=StepLR(optimizer, 1, gamma=0.5), schedule="step", callbacks=[rates])
    assert rates.found == [0.5**n for n in range(1, 11)]
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    scheduler = ReduceLROnPlateau(optimizer, mode="max", patience=1)
    seen = []
    scheduler.step = lambda metrics: seen.append(metrics)
    _, history = train(model, optimizer=optimizer, scheduler=scheduler, metrics=Accuracy(), validation=DataLoader(DATA, 22),
                       monitor="validation_accuracy")
    assert seen == history["validation_accuracy"] and len(seen) == 2


def test_a_plateau_lowers_the_rate():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    scheduler = ReduceLROnPlateau(optimizer, patience=1, factor=0.5, threshold=0.9)  # nothing is enough
    _, history = train(model, optimizer=optimizer, epochs=5, scheduler=scheduler)
    assert history["lr"] == [0.01, 0.01, 0.01, 0.005, 0.005]


def test_early_stopping_restores_the_best_weights():
    model = network()
    snapshots = []
    optimizer = optim.SGD(model.parameters(), lr=0.05)

    def spoil(run):
        snapshots.append(weights(model))
        if run.epoch == 3:
            optimizer.param_groups[0]["lr"] = -2.0  # from here on uphill

    _, history = train(model, loader=DataLoader(DATA, 22), optimizer=optimizer, epochs=50, validation=DataLoader(DATA, 22),
                       callbacks=[spoil, EarlyStopping(patience=2)])
    best = int(np.argmin(history["validation_loss"]))
    assert best == 2 and len(history["loss"]) == 5 and history.stopped == "early stopping"
    assert np.array_equal(weights(model), snapshots[best]) and not np.array_equal(weights(model), snapshots[-1])


def test_early_stopping_knows_which_way_is_up_and_counts_small_gains_as_none():
    model = network()
    values = iter([0.5, 0.6, 0.55, 0.605, 0.6, 0.9])
    metric = {"score": Score(values)}
    _, history = train(model, epochs=9, metrics=metric, monitor="score",
                       callbacks=EarlyStopping(patience=3, min_delta=0.01, restore_best=False))
    assert history["score"] == [0.5, 0.6, 0.55, 0.605, 0.6]


class Score(Accuracy):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def __deepcopy__(self, memo):
        return self

    def compute(self):
        return next(self.values)


def test_callbacks_see_the_run():
    calls = []

    class Watch(Callback):
        def on_start(self, run):
            calls.append(("start", run.epoch, run.step, run.model.training))

        def on_step(self, run):
            calls.append(("step", run.epoch, run.step, run.batch))
            assert run.loss > 0

        def on_epoch(self, run):
            calls.append(("epoch", run.epoch, run.step, sorted(run.record)))
            run.stop("enough")

        def on_end(self, run):
            calls.append(("end", run.stopped))

    model = network().eval()
    _, history = train(model, callbacks=[Watch()], epochs=7, accumulate=2)
    assert calls == [("start", 0, 0, True), ("step", 0, 1, 2), ("step", 0, 2, 4), ("step", 0, 3, 5),
                     ("epoch", 1, 3, ["loss", "lr"]), ("end", "enough")]
    assert history.stopped == "enough" and not model.training


def test_modes_come_back_module_by_module():
    model = network()
    model[2].eval()

    class Frozen(Callback):
        def on_start(self, run):
            model[0].eval()  # stays so: training mode is set once

        def on_step(self, run):
            assert not model[0].training and model[2].training

    train(model, callbacks=Frozen(), validation=DataLoader(DATA, 22))
    assert model.training and model[0].training and not model[2].training
    with pytest.raises(ZeroDivisionError):
        evaluate(model, DataLoader(DATA, 5), lambda p, t: 1 / 0)
    assert model.training and not model[2].training and cr.is_grad_enabled()


def test_evaluate_counts_every_example_alike():
    model = network()
    metric = Accuracy()
    found = evaluate(model, DataLoader(DATA, 5), layers.CrossEntropyLoss(), [metric, F1("macro"), zero_one])
    model.eval()
    prediction = model(cr.tensor(X))
    assert found["loss"] == pytest.approx(F.cross_entropy(prediction, cr.tensor(Y)).item())
    accuracy = (prediction.data.argmax(1) == Y).mean()
    assert found["accuracy"] == pytest.approx(accuracy) and found["zero_one"] == pytest.approx(1 - accuracy)
    assert list(found) == ["loss", "accuracy", "f1", "zero_one"] and metric.totals["count"] == 0
    assert list(evaluate(model, DataLoader(DATA, 5), metrics={"share": Accuracy()})) == ["share"]


def test_an_error_in_evaluation_names_the_batch():
    with pytest.raises(cr.ShapeError) as caught:
        train(validation=[(cr.zeros(3, 5), cr.zeros(3))])
    assert "in evaluation, with the batch (float32(3, 5), float32(3))" in caught.value.__notes__


def zero_one(prediction, target):
    assert not cr.is_grad_enabled()
    return (prediction.data.argmax(1) != target.data).mean()


def test_count_weighs_tokens():
    target = np.array([[1, 0, -100], [-100, -100, -100], [1, -100, -100]])
    logits = RANDOM.normal(size=(3, 2, 3)).astype(np.float32)
    batches = [(cr.tensor(logits[i: i + 1]), cr.tensor(target[i: i + 1])) for i in (0, 2)]
    tokens = lambda target: int((target != -100).sum())
    found = evaluate(layers.Sequential(), batches, layers.CrossEntropyLoss(), count=tokens)
    whole = F.cross_entropy(cr.tensor(logits), cr.tensor(target)).item()
    assert found["loss"] == pytest.approx(whole, rel=1e-6)
    gradients = []
    for parts in ([batches[0], batches[1]], [(cr.tensor(logits[[0, 2]]), cr.tensor(target[[0, 2]]))]):
        model = Scale()
        history = fit(model, parts, layers.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), 1, count=tokens,
                      accumulate=len(parts))
        gradients.append((model.factor.item(), history["loss"][0]))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-6)


class Scale(layers.Module):
    def __init__(self):
        self.factor = layers.Parameter([1.0])

    def forward(self, *inputs):
        return sum(inputs) * self.factor


def test_several_inputs():
    data = TensorDataset(np.ones((4, 2)), np.ones((4, 2)), np.full((4, 2), 3.0))
    model = Scale().double()
    fit(model, DataLoader(data, 2), layers.MSELoss(), optim.SGD(model.parameters(), lr=0.1), 20)
    assert model.factor.item() == pytest.approx(1.5, rel=1e-3)


def test_predict():
    model = network()
    both, alone = predict(model, DataLoader(DATA, 5)), predict(model, [cr.tensor(X[:20]), cr.tensor(X[20:])])
    assert both.shape == (22, 2) and not both.requires_grad and model.training
    model.eval()
    assert np.allclose(both.data, model(cr.tensor(X)).data) and np.allclose(both.data, alone.data)
    assert np.allclose(both.data, predict(model, DataLoader(TensorDataset(X), 22)).data)
    assert predict(Scale(), [(cr.ones(1), cr.ones(1))], targets=False).tolist() == [2.0]

    class Two(layers.Module):
        def forward(self, x):
            return x, [x] if len(x) == 3 else x + 1

    first, second = predict(Two(), [cr.zeros(2), cr.zeros(1)])
    assert first.tolist() == [0, 0, 0] and second.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="no tensor"):
        predict(Two(), [cr.zeros(3)])
    for call in (predict, evaluate):
        with pytest.raises(ValueError, match="no batches"):
            call(model, [])


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_loss_that_is_no_number_stops_before_the_weights_change(bad):
    x = X.copy()
    x[13] = float(bad)  # the third batch
    model = network()
    seen = OnStep(lambda run: weights(model))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"loss is nan in step 3 \(epoch 1\)") as caught:
        train(model, loader=DataLoader(TensorDataset(x, Y), 5), callbacks=[seen])
    assert len(seen.found) == 2 and np.array_equal(weights(model), seen.found[-1])
    assert "in epoch 1, step 3, with the batch (float32(5, 4), int64(5))" in caught.value.__notes__


MISTAKES = {
    "a tensor for a batch": (lambda: train(loader=DataLoader(X, 5)), TypeError,
                             r"\(input, ..., target\), the loader gave float32\(5, 4\)"),
    "inputs alone": (lambda: train(loader=DataLoader(TensorDataset(X), 5)), TypeError, "TensorDataset"),
    "a generator": (lambda: train(loader=(batch for batch in DataLoader(DATA, 5))), TypeError, "only once"),
    "a dataset": (lambda: train(loader=DATA), TypeError, "a TensorDataset, which gives no batches; pass a DataLoader"),
    "a dataset to validate": (lambda: train(validation=DATA), TypeError, "validation is a TensorDataset"),
    "single examples": (lambda: train(loader=list(DATA)), TypeError, "single examples"),
    "a tensor to predict": (lambda: predict(network(), cr.tensor(X)), TypeError, r"is float32\(22, 4\).*list of batches"),
    "checkpoints": (lambda: train(checkpoints=3), TypeError, "name of a folder"),
    "another's scheduler": (lambda: train(scheduler=StepLR(optim.SGD(network().parameters()), 1)), ValueError,
                            "for another optimizer"),
    "an empty loader": (lambda: train(loader=DataLoader(TensorDataset(X[:3], Y[:3]), 5, drop_last=True)), ValueError,
                        "no batches.*drop_last"),
    "a vector": (lambda: train(loss_fn=lambda p, t: F.cross_entropy(p, t, reduction="none")), ValueError,
                 r"returned float32\(5\).*mean"),
    "reduction none": (lambda: train(loss_fn=layers.CrossEntropyLoss(reduction="none")), ValueError, "reduction='mean'"),
    "a number": (lambda: train(loss_fn=lambda p, t: F.cross_entropy(p, t).item()), TypeError, r"without .item\(\)"),
    "a constant": (lambda: train(loss_fn=lambda p, t: F.cross_entropy(p.detach(), t)), ValueError, "no parameter"),
    "frozen": (lambda: train(network().requires_grad_(False)), ValueError, "frozen"),
    "another's optimizer": (lambda: train(optimizer=optim.SGD(network().parameters())), ValueError,
                            r"none of the model's.*SGD\(model.parameters"),
    "no parameters": (lambda: train(layers.Sequential(layers.ReLU()), optimizer=optim.SGD(network().parameters())),
                      ValueError, "nothing to train"),
    "a class of loss": (lambda: train(loss_fn=layers.CrossEntropyLoss), TypeError, r"CrossEntropyLoss\(...\)"),
    "order of arguments": (lambda: fit(network(), DataLoader(DATA), optim.SGD(network().parameters()),
                                       layers.MSELoss(), 3), TypeError, "loss_fn is SGD"),
    "optimizer": (lambda: train(optimizer=layers.MSELoss()), TypeError, "the order is fit"),
    "a class of metric": (lambda: train(metrics=[Accuracy]), TypeError, r"Accuracy\(...\)"),
    "no metric": (lambda: train(metrics=["accuracy"]), TypeError, "a metric is"),
    "metrics of one name": (lambda: train(metrics=[Accuracy(), Accuracy()]), ValueError, "'accuracy'.*dict"),
    "metric's shapes": (lambda: train(metrics=[Accuracy(dim=0)]), ValueError, "Accuracy: the prediction"),
    "monitor": (lambda: train(monitor="validation_loss"), ValueError, "no value 'validation_loss'.*are loss; pass valid"),
    "early stopping's": (lambda: train(callbacks=EarlyStopping(monitor="accuracy")), ValueError, "no value 'accuracy'"),
    "a class of callback": (lambda: train(callbacks=[EarlyStopping]), TypeError, r"with \(\)"),
    "patience": (lambda: EarlyStopping(0), ValueError, "patience=0"),
    "epochs": (lambda: train(epochs=2.5), TypeError, "epochs is 2.5"),
    "accumulate": (lambda: train(accumulate=0), ValueError, "accumulate=0"),
    "clip_norm": (lambda: train(clip_norm=0.0), ValueError, "clip_norm=0.0"),
    "schedule": (lambda: train(schedule="batch"), ValueError, "schedule='batch'"),
    "resume": (lambda: train(resume=True), ValueError, "checkpoints"),
    "count": (lambda: train(count=lambda target: 0), ValueError, "counts no examples"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_with_their_likely_fix(mistake):
    call, kind, match = MISTAKES[mistake]
    with pytest.raises(kind, match=match):
        call()


def test_a_plateau_must_go_by_something_in_the_right_direction():
    model = network()
    optimizer = optim.SGD(model.parameters())
    for options, match in (({"schedule": "step"}, "schedule='epoch'"), ({"monitor": "accuracy"}, "mode='max'")):
        with pytest.raises(ValueError, match=match):
            train(model, optimizer=optimizer, metrics=Accuracy(), scheduler=ReduceLROnPlateau(optimizer), **options)
    with pytest.raises(TypeError, match=r"LBFGS computes the loss several times.*step\(closure\)"):
        train(model, optimizer=optim.LBFGS(model.parameters()))


class Interrupt(Callback):
    """Sends Ctrl-C in the middle of a step of this number."""

    def __init__(self, step, times=1):
        self.step, self.times = step, times

    def on_step(self, run):
        if run.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_finishes_the_step_and_returns(capfd):
    handler = signal.getsignal(signal.SIGINT)
    stopping = EarlyStopping(patience=3)
    model, history = train(epochs=9, callbacks=[Interrupt(8), stopping])
    assert history.stopped == "interrupted" and len(history["loss"]) == 1
    assert "Ctrl-C again stops at once" in capfd.readouterr().err and signal.getsignal(signal.SIGINT) is handler
    assert not np.array_equal(weights(model), np.concatenate([w.numpy().ravel() for w in stopping.weights.values()]))
    with pytest.raises(KeyboardInterrupt):
        train(epochs=9, callbacks=[Interrupt(3, 2)])
    assert signal.getsignal(signal.SIGINT) is handler
    _, history = train(epochs=9, callbacks=[lambda run: os.kill(os.getpid(), signal.SIGINT)])  # between epochs
    assert history.stopped == "interrupted" and len(history["loss"]) == 1


def test_training_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train()[1]))
    thread.start()
    thread.join()
    assert len(found[0]["loss"]) == 2


def test_nothing_is_drawn_when_this_is_no_terminal(capsys):
    train(metrics=Accuracy())
    assert capsys.readouterr() == ("", "")
    train(metrics=Accuracy(), progress=True, callbacks=lambda run: run.stop("seen enough"))
    out, err = capsys.readouterr()
    assert out.startswith("epoch 1/2   loss ") and "   accuracy " in out and err == ""
    assert out.splitlines()[1] == "stopped after step 5: seen enough"


@pytest.mark.parametrize("installed", [True, False])
def test_a_terminal_gets_a_bar_where_tqdm_is_installed(installed, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    if not installed:
        monkeypatch.setattr("chainrule.optim.training.callbacks.find_spec", lambda name: None)
    train(epochs=1)
    out, err = capsys.readouterr()
    assert "epoch 1/1   loss " in out and ("5/5" in err) == installed
    train(epochs=1, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_learning_rate_that_is_found_is_good_and_leaves_no_trace():
    cr.manual_seed(2)
    x = cr.randn(200, 5)
    target = x @ cr.tensor([[1.0], [2.0], [-1.0], [0.5], [3.0]])
    loader = DataLoader(TensorDataset(x, target), 10, shuffle=True, generator=1)
    model = layers.Sequential(layers.Linear(5, 1), layers.Dropout(0.0)).eval()
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    train(model, loader, layers.MSELoss(), optimizer)
    model[0].reset_parameters()
    before = weights(model), optimizer.state_dict(), cr.random.get_rng_state(), loader.generator.get_state()
    before[1]["state"][0]["momentum_buffer"] = before[1]["state"][0]["momentum_buffer"].clone()
    found = find_learning_rate(model, loader, layers.MSELoss(), optimizer)
    after = weights(model), optimizer.state_dict(), cr.random.get_rng_state(), loader.generator.get_state()
    assert np.array_equal(before[0], after[0]) and before[2:] == after[2:] and not model.training
    assert before[1]["param_groups"] == after[1]["param_groups"]
    assert np.array_equal(before[1]["state"][0]["momentum_buffer"].data, after[1]["state"][0]["momentum_buffer"].data)
    assert found.rates[0] == pytest.approx(1e-6) and len(found.rates) == len(found.losses) < 100
    _, history = train(model, loader, layers.MSELoss(), optim.SGD(model.parameters(), lr=found.suggestion, momentum=0.5), 15)
    assert history["loss"][-1] < 0.05 * found.losses[0]
    for options, match in (({"smallest": 1.0, "largest": 0.1}, "in this order"), ({"steps": 3}, "steps=3 at least 36"),
                           ({"smallest": 10.0, "largest": 1e6}, "never fell")):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=match):
            find_learning_rate(model, loader, layers.MSELoss(), optimizer, **options)
    with pytest.raises(TypeError, match="which gives no batches"):
        find_learning_rate(model, DATA, layers.MSELoss(), optimizer)
