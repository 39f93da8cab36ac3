"""Schedules of the learning rate: torch's rates and momenta, resuming to the same bits, their errors."""

import copy
import inspect
import json
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.optim import SGD, Adam, Rprop, lr_scheduler
from chainrule.optim.averaging import SWALR
from tests.optim_answers import read, torchs
from tests.optim_samples import SCHEDULES, Schedule, digest, schedule


def sgd(lr=1.0, groups=1, **options):
    return SGD([{"params": [cr.tensor([1.0], requires_grad=True)]} for _ in range(groups)], lr, **options)


def rates(scheduler, steps):
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_every_schedule_has_rows():
    public = {name for name in dir(lr_scheduler) if inspect.isclass(getattr(lr_scheduler, name))} - {"LRScheduler"}
    assert {sample.name.partition("-")[0] for sample in SCHEDULES} == public | {"SWALR"}


@pytest.mark.parametrize("sample", SCHEDULES, ids=str)
def test_rates_are_torchs(sample):
    stored, expected = read(sample)
    assert stored == digest(sample), "the row has changed: python -m tests.optim_answers"
    ours = Schedule(sample, cr).follow(sample.steps)
    assert np.allclose(ours, expected, rtol=1e-12, atol=1e-14)
    assert len(np.unique(expected[:, 0])) > 1 or sample.name == "SWALR-at-once"


@pytest.mark.peers
@pytest.mark.parametrize("sample", SCHEDULES, ids=str)
def test_rates_are_torchs_live(sample):
    pytest.importorskip("torch")
    assert np.allclose(Schedule(sample, cr).follow(sample.steps), torchs(sample), rtol=1e-12, atol=1e-14)


@pytest.mark.peers
@pytest.mark.parametrize("sample", [s for s in SCHEDULES if "Cycl" in s.name], ids=str)
def test_the_first_beta_is_cycled_as_torchs(sample):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Schedule(sample, torch, "Adam").follow(sample.steps)
    assert np.allclose(Schedule(sample, cr, "Adam").follow(sample.steps), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.peers
@pytest.mark.parametrize("name", [*sorted({sample.name.partition("-")[0] for sample in SCHEDULES})])
def test_arguments_are_torchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = (getattr(m.swa_utils if name == "SWALR" else m.lr_scheduler, name) for m in (optim, torch.optim))
    ours, theirs = ([(key, p.default) for key, p in inspect.signature(c).parameters.items()] for c in (ours, theirs))
    assert ours == theirs


@pytest.mark.parametrize("sample", SCHEDULES, ids=str)
@pytest.mark.parametrize("way", ["file", "json"])
def test_resumes_to_the_same_bits(sample, way, tmp_path):
    whole = Schedule(sample, cr)
    whole.follow(9)
    state = {"optimizer": whole.optimizer.state_dict(), "scheduler": whole.scheduler.state_dict()}
    if way == "file":
        cr.save(state, tmp_path / "state")
        state = cr.load(tmp_path / "state")
    else:
        state = json.loads(json.dumps(state))
    resumed = Schedule(sample, cr)
    resumed.optimizer.load_state_dict(state["optimizer"])
    resumed.scheduler.load_state_dict(state["scheduler"])
    resumed.t = whole.t
    assert resumed.scheduler.get_last_lr() == whole.scheduler.get_last_lr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whole.follow(20).tobytes() == resumed.follow(20).tobytes()


def test_a_state_is_a_copy():
    run = Schedule(next(s for s in SCHEDULES if s.name == "SequentialLR"), cr)
    state = run.scheduler.state_dict()
    before = copy.deepcopy(state)
    run.follow(3)
    assert state == before
    run.scheduler.load_state_dict(state)
    run.follow(3)
    assert state == before


RESUMABLE = [s for s in SCHEDULES if not s.metrics and not s.name.startswith(("Sequential", "Chained", "Multiplicative", "SWA"))]


@pytest.mark.parametrize("sample", RESUMABLE, ids=str)
def test_goes_on_after_a_last_epoch(sample):
    """A scheduler made with last_epoch, for an optimizer whose state was loaded, goes on as the one before would have."""
    expected = Schedule(sample, cr).follow(30)
    whole, resumed = Schedule(sample, cr), Schedule(sample, cr)
    whole.follow(9)
    resumed.optimizer.load_state_dict(whole.optimizer.state_dict())
    again = schedule(sample.name, sample.text[:-1] + ", last_epoch=8)")
    resumed.scheduler = again.make(optim, resumed.optimizer)
    assert np.allclose(resumed.follow(21), expected[9:], rtol=1e-12, atol=1e-14)


def test_last_epoch_needs_initial_rates():
    with pytest.raises(KeyError, match="StepLR: group 0 has no initial_lr, so the schedule cannot go on after step 3"):
        lr_scheduler.StepLR(sgd(), 2, last_epoch=3)
    given = SGD([{"params": [cr.tensor([1.0], requires_grad=True)], "initial_lr": 1.0}], lr=0.5)
    assert lr_scheduler.StepLR(given, 2, 0.5, last_epoch=1).get_last_lr() == [0.5]


def test_warns_when_the_optimizer_has_not_stepped():
    optimizer = sgd()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) was called before optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    chained = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(sgd(), 1)])
    with pytest.warns(UserWarning, match="before optimizer.step"):
        chained.step()
    made_before = lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        made_before.step()


def test_a_rate_changed_by_hand_stays_changed():
    optimizer = sgd(0.5)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = 4.0
    assert rates(scheduler, 1) == [0.5] and scheduler.get_last_lr() == [2.0]


@pytest.mark.parametrize("make", [lambda o: lr_scheduler.ExponentialLR(o, 0.0), lambda o: lr_scheduler.ConstantLR(o, 0.0, 3),
                                  lambda o: lr_scheduler.PolynomialLR(o, 2), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 2)])
def test_factors_of_zero(make):
    found = rates(make(sgd()), 6)
    assert np.isfinite(found).all() and 0.0 in found
    if found[0] == 0:
        assert found == [0, 0, 0, 1, 1, 1]


def test_restarts_take_fractions_of_epochs():
    optimizer = sgd()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    found = []
    for moment in (0, 0.5, 1.5, 2, 4, 5.5, 6, 13.5):
        scheduler.step(moment)
        found.append(scheduler.get_last_lr()[0])
    assert np.allclose(found, [(1 + np.cos(np.pi * share)) / 2 for share in (0, 0.25, 0.75, 0, 0.5, 0.875, 0, 7.5 / 8)])
    assert scheduler.last_epoch == 13
    with pytest.raises(ValueError, match="epoch=-1 must not be negative"):
        scheduler.step(-1)


def test_one_cycle_ends():
    scheduler = lr_scheduler.OneCycleLR(sgd(), 1.0, 4, cycle_momentum=False)
    rates(scheduler, 4)
    with pytest.raises(ValueError, match="OneCycleLR: step 5 of a schedule with total_steps=4"):
        rates(scheduler, 1)
    at_once = lr_scheduler.OneCycleLR(sgd(), 1.0, 10, pct_start=0.1, cycle_momentum=False)  # a first phase without length
    assert at_once.get_last_lr() == [1.0]


def test_sequences_nest():
    def make():
        optimizer = sgd()
        warm = lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)
        down = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.5), lr_scheduler.StepLR(optimizer, 2, 0.1)])
        inner = lr_scheduler.SequentialLR(optimizer, [warm, down], [2])
        last = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ConstantLR(optimizer, 0.25, 1),
                                                     lr_scheduler.ExponentialLR(optimizer, 0.5)], [2])
        return lr_scheduler.SequentialLR(optimizer, [inner, last], [5])

    expected = [0.5, 0.75, 1.0, 0.5, 0.025, 0.25, 1.0, 1.0, 0.5]
    whole = make()
    assert np.allclose(rates(whole, 9), expected)
    whole, resumed = make(), make()
    rates(whole, 4)
    resumed.optimizer.load_state_dict(whole.optimizer.state_dict())
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    assert np.allclose(rates(resumed, 5), expected[4:])


def test_a_plateau_of_negative_metrics():
    """Relative to the magnitude, so that a worse value is never the better one."""
    scheduler = lr_scheduler.ReduceLROnPlateau(sgd(), patience=0, threshold=0.1)
    for value in (-1.0, -0.95):
        scheduler.step(cr.tensor(value))
    assert scheduler.get_last_lr() == [0.1] and scheduler.best == -1.0
    scheduler.step(float("nan"))
    assert scheduler.get_last_lr() == [pytest.approx(0.01)]


ERRORS = [
    (lambda: lr_scheduler.StepLR([1], 2), TypeError, "StepLR: the first argument is the optimizer, got list"),
    (lambda: lr_scheduler.ReduceLROnPlateau([1]), TypeError, "the first argument is the optimizer, got list"),
    (lambda: lr_scheduler.StepLR(sgd(), 0), ValueError, "step_size=0 must be positive"),
    (lambda: lr_scheduler.LambdaLR(sgd(), 0.5), TypeError, "lr_lambda is a function of the step, got float"),
    (lambda: lr_scheduler.LambdaLR(sgd(), [abs, abs]), ValueError, "lr_lambda has 2 values, the optimizer 1 groups"),
    (lambda: lr_scheduler.ConstantLR(sgd(), 1.5), ValueError, "factor=1.5"),
    (lambda: lr_scheduler.LinearLR(sgd(), 0.0), ValueError, "start_factor=0.0 must be above 0"),
    (lambda: lr_scheduler.LinearLR(sgd(), 0.5, 2.0), ValueError, "end_factor=2.0"),
    (lambda: lr_scheduler.PolynomialLR(sgd(), 0), ValueError, "total_iters=0 must be positive"),
    (lambda: lr_scheduler.CosineAnnealingLR(sgd(), 0), ValueError, "T_max=0 must be positive"),
    (lambda: lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 2.5), ValueError, "T_0=2.5 must be a positive integer"),
    (lambda: lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 2, 0), ValueError, "T_mult=0 must be a positive integer"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), ValueError, "pass total_steps, or epochs and steps_per_epoch"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 0), ValueError, "the number of steps is 0"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 9, pct_start=2.0), ValueError, "pct_start=2.0"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 9, anneal_strategy="exp"), ValueError, "must be one of cos, linear"),
    (lambda: lr_scheduler.OneCycleLR(Rprop([cr.tensor([1.0], requires_grad=True)]), 1.0, 9), ValueError,
     "Rprop has no momentum; pass cycle_momentum=False"),
    (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 1.0, 0), ValueError, "step_size_up=0 and step_size_down=0 must be positive"),
    (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 1.0, mode="square"), ValueError, "mode='square'"),
    (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 1.0, scale_mode="steps"), ValueError, "scale_mode='steps'"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), "low"), ValueError, "mode='low' must be min or max"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "factor=1.0"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), threshold_mode="x"), ValueError, "threshold_mode='x' must be rel or abs"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), min_lr=[0.1, 0.2]), ValueError, "min_lr has 2 values"),
    (lambda: lr_scheduler.SequentialLR(sgd(), [], []), ValueError, "there are no schedulers"),
    (lambda: lr_scheduler.SequentialLR(sgd(), [lr_scheduler.StepLR(sgd(), 1)], []), ValueError, "made for another optimizer"),
    (lambda: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(sgd())]), TypeError, "that needs no metric"),
    (lambda: SWALR(sgd(), 0.1, anneal_strategy="exp"), ValueError, "must be cos or linear"),
    (lambda: SWALR(sgd(), 0.1, -1), ValueError, "anneal_epochs=-1 must not be negative"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_errors_of_sequences_states_and_groups():
    optimizer = sgd()
    parts = [lr_scheduler.StepLR(optimizer, 1), lr_scheduler.ConstantLR(optimizer), lr_scheduler.ConstantLR(optimizer)]
    for milestones, options, text in (([1], {}, "3 schedulers need 2 milestones, got 1"), ([3, 2], {}, "must increase"),
                                      ([1, 2], {"last_epoch": 3}, r"call load_state_dict\(\)")):
        with pytest.raises(ValueError, match=text):
            lr_scheduler.SequentialLR(optimizer, parts, milestones, **options)
    with pytest.raises(ValueError, match="StepLR.load_state_dict: the state has .*factor.*; this scheduler's has .*gamma"):
        parts[0].load_state_dict(parts[1].state_dict())
    chained = lr_scheduler.ChainedScheduler(parts)
    with pytest.raises(ValueError, match="the state is of 1 schedulers, there are 3"):
        chained.load_state_dict(lr_scheduler.ChainedScheduler(parts[:1]).state_dict())
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    plateau.step(1.0)
    optimizer.add_param_group({"params": [cr.tensor([1.0], requires_grad=True)]})
    optimizer.step()
    for step in (parts[0].step, lambda: plateau.step(2.0)):
        with pytest.raises(ValueError, match="2 groups of parameters, it had 1 when the scheduler was made"):
            step()


def test_schedules_follow_adam_through_training():
    """The momentum that a cycle sets is the one that Adam uses."""
    p = cr.tensor([1.0], requires_grad=True)
    optimizer = Adam([p], lr=0.1)
    lr_scheduler.OneCycleLR(optimizer, 0.1, 10, base_momentum=0.5, max_momentum=0.6)
    assert optimizer.param_groups[0]["betas"] == (0.6, 0.999)
    p.grad = cr.tensor([1.0])
    optimizer.step()
    assert np.allclose(optimizer.state[p]["exp_avg"], 0.4)
