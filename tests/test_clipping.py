"""Clipping of gradients: norms of all kinds, gradients that are not finite, torch's values."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.optim import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

RANDOM = np.random.default_rng(0)
GRADIENTS = [RANDOM.normal(size=shape) for shape in ((3, 2), (4,), (), (0, 2))]


def parameters(gradients=GRADIENTS, dtype=np.float64):
    made = []
    for g in gradients:
        p = cr.tensor(np.zeros(np.shape(g), dtype), requires_grad=True)
        p.grad = cr.tensor(np.array(g, dtype))
        made.append(p)
    return [*made, cr.tensor(np.ones(2), requires_grad=True)]  # one without a gradient


def flat(made):
    return np.concatenate([p.grad.data.ravel() for p in made if p.grad is not None])


@pytest.mark.parametrize("p", [1, 2, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_norms(p, dtype):
    made, whole = parameters(dtype=dtype), np.concatenate([g.ravel() for g in GRADIENTS])
    expected = np.linalg.norm(whole, p)
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    before = [t.grad for t in made]
    norm = clip_grad_norm_((t for t in made), 0.5, p)
    assert norm.shape == () and norm.dtype == dtype and np.allclose(norm.item(), expected, rtol=tolerance)
    assert np.allclose(flat(made), whole * 0.5 / (expected + 1e-6), rtol=tolerance)
    assert all(t.grad is g for t, g in zip(made, before)) and {t.grad.dtype for t in made[:-1]} == {np.dtype(dtype)}
    assert np.allclose(get_total_norm([t.grad for t in made[:-1]], str(p)).item(), 0.5, rtol=1e-4)


def test_small_gradients_stay():
    made = parameters()
    before = flat(made)
    assert clip_grad_norm_(made, 100.0).item() < 100
    assert np.array_equal(flat(made), before)
    assert clip_grad_norm_(made[0], 0.0).item() > 0 and not made[0].grad.data.any()


def test_a_norm_known_already():
    one, other = parameters(), parameters()
    norm = clip_grad_norm_(one, 0.5)
    clip_grads_with_norm_(other, 0.5, norm)
    assert np.array_equal(flat(one), flat(other))


def test_large_and_half_precision_gradients_do_not_overflow():
    made = parameters([[3e30, 4e30]], np.float32)
    assert math.isclose(clip_grad_norm_(made, 1.0).item(), 5e30, rel_tol=1e-6)
    assert np.allclose(flat(made), [0.6, 0.8])
    made = parameters([[3e-30, 4e-30]], np.float32)
    assert math.isclose(clip_grad_norm_(made, 1.0).item(), 5e-30, rel_tol=1e-6)
    made = parameters([[300.0, 400.0]], np.float16)
    assert clip_grad_norm_(made, 1.0).dtype == np.float16 and np.allclose(flat(made), [0.6, 0.8], atol=1e-3)


@pytest.mark.parametrize(("value", "expected"), [(np.nan, [np.nan, np.nan]), (np.inf, [np.nan, 0.0])])
def test_gradients_that_are_not_finite(value, expected):
    made = parameters([[value, 1.0]])
    with pytest.raises(RuntimeError, match="the norm of the gradients .* so they cannot be clipped"):
        clip_grad_norm_(made, 1.0, error_if_nonfinite=True)
    with pytest.raises(RuntimeError, match="error_if_nonfinite=False"):
        get_total_norm([made[0].grad], error_if_nonfinite=True)
    assert np.array_equal(flat(made), [value, 1.0], equal_nan=True)  # untouched
    with np.errstate(invalid="ignore"):
        norm = clip_grad_norm_(made, 1.0)
    assert not math.isfinite(norm.item()) and np.array_equal(flat(made), expected, equal_nan=True)


def test_values():
    made = parameters()
    before, kept = flat(made), [t.grad for t in made]
    assert clip_grad_value_(made, 0.4) is None
    assert np.array_equal(flat(made), before.clip(-0.4, 0.4)) and all(t.grad is g for t, g in zip(made, kept))


def test_a_recorded_gradient_is_not_changed_behind_the_graph():
    x = cr.tensor([2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    penalty = (x.grad**2).sum()
    clip_grad_norm_(x, 1.0)
    assert abs(x.grad.item() - 1) < 1e-6
    with pytest.raises(cr.AutogradError, match="changed in place"):
        penalty.backward()


def test_errors_and_warnings():
    made = parameters()
    for call, text in ((lambda: clip_grad_norm_(made, -1.0), "max_norm=-1.0 must not be negative"),
                       (lambda: clip_grad_norm_(made, 1.0, norm_type=0), "norm_type=0.0 must be positive"),
                       (lambda: get_total_norm([], -math.inf), "norm_type=-inf must be positive"),
                       (lambda: clip_grad_value_(made, -1.0), "clip_value=-1.0 must not be negative")):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="clip_grad_norm_: number 1 is a tuple, it must be a tensor; pass model.parameters"):
        clip_grad_norm_([made[0], ("name", made[1])], 1.0)
    spent = (t for t in made)
    list(spent)
    for call in (lambda: clip_grad_norm_(spent, 1.0), lambda: clip_grad_value_(spent, 1.0)):
        with pytest.warns(UserWarning, match="there are no parameters to clip"):
            call()
    assert get_total_norm([]).item() == 0 and clip_grad_norm_(made[-1], 1.0).item() == 0


@pytest.mark.peers
@pytest.mark.parametrize("p", [0.5, 1, 2, 3, math.inf])
def test_torchs_values(p):
    torch = pytest.importorskip("torch")
    gradients = GRADIENTS[:3]  # torch has no largest element of an empty one
    ours, theirs = parameters(gradients), [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for t, g in zip(theirs, gradients):
        t.grad = torch.tensor(g)
    norms = clip_grad_norm_(ours, 0.3, p).item(), torch.nn.utils.clip_grad_norm_(theirs, 0.3, p).item()
    assert np.allclose(*norms, rtol=1e-13)
    assert np.allclose(flat(ours), np.concatenate([t.grad.numpy().ravel() for t in theirs]), rtol=1e-13)
