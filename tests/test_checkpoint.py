"""checkpoint: the same numbers for less memory, and an error where they would not be the same."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.derivatives import history
from chainrule.tensor import Tensor


def normal(*shape: int, requires_grad: bool = True, seed: int = 0) -> Tensor:
    return cr.tensor(np.random.default_rng([seed, *shape]).normal(size=shape), requires_grad=requires_grad)


def gradients(f: Any, leaves: list[Tensor]) -> list[np.ndarray]:
    found = cr.grad(f().square().sum(), leaves)
    return [g.data for g in found]


def test_the_same_gradients_also_for_what_is_closed_over() -> None:
    x, w, b = normal(4, 3), normal(3, 3, seed=1), normal(3, seed=2)

    def block(t: Tensor) -> Tensor:
        return (t @ w + b).tanh() * b

    plain = gradients(lambda: block(block(x)), [x, w, b])
    again = gradients(lambda: cr.checkpoint(block, cr.checkpoint(block, x)), [x, w, b])
    for a, e in zip(again, plain, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12)


def test_gradients_of_only_some() -> None:
    x, w = normal(4, 3), normal(3, 3, seed=1)
    y = cr.checkpoint(lambda t: (t @ w).tanh(), x).sum()
    g, = cr.grad(y, w, retain_graph=True)
    np.testing.assert_allclose(g.data, cr.grad((x @ w).tanh().sum(), w)[0].data)
    y.backward(inputs=[x])
    assert x.grad is not None and w.grad is None


def test_only_parameters_require_gradients() -> None:
    """torch's older checkpoint loses them when no argument requires one."""
    w = normal(3, 3)
    x = normal(2, 3, requires_grad=False)
    y = cr.checkpoint(lambda t: t @ w, x)
    y.sum().backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.data, np.tile(x.data.sum(0)[:, None], 3))


def test_nothing_of_the_inside_is_kept() -> None:
    x = normal(1000)

    def deep(t: Tensor) -> Tensor:
        for _ in range(50):
            t = t.sin()
        return t

    def measured(f: Any) -> tuple[int, int]:
        tracemalloc.start()
        try:
            y = f(x)
            kept = tracemalloc.get_traced_memory()[0]
            nodes = len([n for n in history([y.node], 0) if n.op is not None])
        finally:
            tracemalloc.stop()
        return kept, nodes

    plain, nodes = measured(deep)
    saved, one = measured(lambda x: cr.checkpoint(deep, x))
    assert (nodes, one) == (50, 1)
    assert plain > 50 * x.data.nbytes and saved < 5 * x.data.nbytes


def test_dropout_draws_the_same_mask_again_and_the_stream_goes_on() -> None:
    x = cr.ones(1000, dtype=cr.float64, requires_grad=True)
    cr.manual_seed(3)
    y = cr.checkpoint(lambda t: F.dropout(t, 0.5) * F.dropout(t, 0.5), x)
    after = cr.rand(1).item()
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, 2 * y.data)  # y is x² times both masks
    following = cr.rand(1).item()
    cr.manual_seed(3)
    F.dropout(x, 0.5), F.dropout(x, 0.5)
    assert [cr.rand(1).item(), cr.rand(1).item()] == [after, following]  # the recomputation took no draws


def test_running_statistics_are_updated_once() -> None:
    x = normal(8, 3)
    mean, variance = cr.zeros(3, dtype=cr.float64), cr.ones(3, dtype=cr.float64)
    y = cr.checkpoint(lambda t: F.batch_norm(t, mean, variance, training=True), x)
    once = mean.tolist(), variance.tolist()
    assert once[0] != [0.0, 0.0, 0.0]
    (y * normal(8, 3, requires_grad=False, seed=4)).sum().backward()
    assert (mean.tolist(), variance.tolist()) == once
    assert x.grad is not None and x.grad.data.any()


def test_several_outputs_and_a_tuple_of_one() -> None:
    x = normal(3)
    a, i, b = cr.checkpoint(lambda t: (t.sin(), t.argmax(), t * t), x)
    assert not i.requires_grad and a.requires_grad
    (a.sum() * 2 + b.sum()).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, 2 * np.cos(x.data) + 2 * x.data)
    (only,) = cr.checkpoint(lambda t: (t.exp(),), x)
    np.testing.assert_allclose(cr.grad(only.sum(), x)[0].data, np.exp(x.data))
    a, _, b = cr.checkpoint(lambda t: (t.sin(), t.argmax(), t * t), x)
    np.testing.assert_allclose(cr.grad(b.sum(), x)[0].data, 2 * x.data)  # one output unused


def test_an_output_that_is_an_input() -> None:
    x = normal(3)
    same, double = cr.checkpoint(lambda t: (t, t * 2), x)
    (same.sum() + double.sum()).backward()
    assert x.grad is not None and x.grad.tolist() == [3.0, 3.0, 3.0]
    x.grad = None
    cr.checkpoint(lambda t: t, x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_an_output_that_was_closed_over() -> None:
    x = normal(3)
    h = x * 2
    a, b = cr.checkpoint(lambda t: (t.exp(), h), x)
    (a.sum() + b.sum()).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, np.exp(x.data) + 2)


@pytest.mark.parametrize("f", [
    lambda x: cr.checkpoint(lambda t: t.sin() * t, x),
    lambda x: cr.checkpoint(lambda t: cr.checkpoint(lambda s: s.exp() * s, t) * t.sum(), x),
    lambda x: cr.checkpoint(lambda t: (t.sin(), t.exp()), x),
    lambda x: cr.checkpoint(lambda t: t[1:] * t[:-1], x * x) ** 2,
    lambda x: cr.checkpoint(lambda t, scale: (x * t).cumsum(0) * scale, x, scale=3.0),
], ids=["one", "nested", "several", "views", "closure and options"])
def test_checkpoints_pass_every_check(f: Any) -> None:
    """First and second derivatives, reverse and forward."""
    x = normal(4)
    assert cr.gradcheck(f, (x,), check_forward_ad=True)
    if f(x) is not None:
        assert cr.gradgradcheck(f, (x,))


def test_third_order() -> None:
    x = cr.tensor([0.7], dtype=cr.float64, requires_grad=True)
    y = cr.checkpoint(lambda t: t**5, x)
    for _ in range(3):
        y, = cr.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(y.data, 60 * 0.7**2)


def test_fused_kernels_inside() -> None:
    x, w = normal(2, 5, 4), normal(4, 4, seed=1)

    def block(t: Tensor) -> Tensor:
        h = F.layer_norm(F.linear(t, w), (4,))
        return F.scaled_dot_product_attention(h, h, h)

    for a, e in zip(gradients(lambda: cr.checkpoint(block, x), [x, w]), gradients(lambda: block(x), [x, w]), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)


def test_the_backend_of_the_forward_pass_is_used_again() -> None:
    x = normal(3)
    seen: list[Any] = []

    def f(t: Tensor) -> Tensor:
        y = t.exp()
        seen.append(y.node.kernels)
        return y

    with cr.backend("reference"):
        y = cr.checkpoint(f, x)
    y.sum().backward()
    assert seen == [cr.kernels.reference] * 2


def test_under_no_grad_it_is_a_call() -> None:
    x = normal(3)
    calls: list[Any] = []
    with cr.no_grad():
        y = cr.checkpoint(lambda t: calls.append(t.requires_grad) or t * 2, x)  # type: ignore[func-returns-value]
    assert not y.requires_grad and len(calls) == 1
    z = cr.checkpoint(lambda t: t * 2, x.detach())  # nothing to derive
    assert not z.requires_grad


def test_backward_under_no_grad() -> None:
    x = normal(3)
    y = cr.checkpoint(lambda t: t.exp(), x).sum()
    with cr.no_grad():
        y.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, np.exp(x.data))


@pytest.mark.parametrize("change", ["argument", "kept parameter", "parameter that no formula keeps", "constant", "buffer"])
def test_a_value_changed_in_between_is_an_error(change: str) -> None:
    """Also where no derivative of the first run kept it: the second run would compute something else."""
    h = normal(3) * 1
    values = {"argument": h, "kept parameter": normal(3, seed=1), "parameter that no formula keeps": normal(3, seed=2),
              "constant": normal(3, requires_grad=False, seed=3), "buffer": normal(3, requires_grad=False, seed=4)}

    def f(t: Tensor) -> Tensor:
        h = t * values["kept parameter"] + values["parameter that no formula keeps"] + values["constant"]
        return h.exp() + values["buffer"]

    y = cr.checkpoint(f, h)
    with cr.no_grad():
        values[change].mul_(1.01)
    with pytest.raises(cr.AutogradError, match="checkpoint, called at .*test_checkpoint.py:.*changed in place"):
        y.sum().backward()


def test_a_function_that_is_not_deterministic_is_an_error() -> None:
    numbers = iter([1.0, 2.0])
    y = cr.checkpoint(lambda t: (t * next(numbers)).exp(), normal(3))
    with pytest.raises(cr.AutogradError, match="gave something else when it ran again"):
        y.sum().backward()


def test_infinities_and_nan_are_the_same_again() -> None:
    x = cr.tensor([np.inf, np.nan, 1.0], dtype=cr.float64, requires_grad=True)
    cr.checkpoint(lambda t: t * 2, x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_second_backward_is_an_error_unless_retained() -> None:
    x = normal(3)
    y = cr.checkpoint(lambda t: t.exp(), x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, 2 * np.exp(x.data))
    with pytest.raises(cr.AutogradError, match=r"backward through checkpoint a second time \(called at .*test_checkpoint.py"):
        y.backward()


def test_an_exception_in_the_recomputation_leaves_everything_as_it_was() -> None:
    calls: list[int] = []

    def f(t: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return F.dropout(t, 0.5)

    y = cr.checkpoint(f, normal(3))
    state = cr.random.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert cr.is_grad_enabled() and cr.random.get_rng_state() == state
    from chainrule.state import state as flags

    assert not flags.recomputing


def test_it_must_return_tensors() -> None:
    with pytest.raises(cr.DtypeError, match="checkpoint: the function returned a list; it must return tensors"):
        cr.checkpoint(lambda t: [t], normal(3))


def test_writes_inside() -> None:
    x = normal(4)

    def f(t: Tensor) -> Tensor:
        h = t * 2
        h[1:] *= t[:-1]
        h[0].zero_()
        return h.exp()

    np.testing.assert_allclose(gradients(lambda: cr.checkpoint(f, x), [x])[0], gradients(lambda: f(x), [x])[0])


def test_hooks_inside_and_outside_run_once_each_walk() -> None:
    x = normal(3)
    outside: list[Any] = []
    inside: list[Any] = []
    h = x * 2
    h.register_hook(lambda g: outside.append(g.tolist()))

    def f(t: Tensor) -> Tensor:
        y = t * 3
        if y.requires_grad:
            y.register_hook(lambda g: inside.append(g.tolist()))
        return y

    cr.checkpoint(f, h).sum().backward()
    assert outside == [[3.0, 3.0, 3.0]] and inside == [[1.0, 1.0, 1.0]]


def test_a_training_step_of_a_model_in_pieces() -> None:
    """The optimizer sees the same gradients, layer by layer checkpointed or not."""
    cr.manual_seed(0)
    layers = [cr.layers.Linear(5, 5) for _ in range(3)]
    x = normal(4, 5).float()
    results = []
    for call in (lambda layer, t: layer(t), cr.checkpoint):
        h = x
        for layer in layers:
            layer.zero_grad()
            h = call(layer, h).relu()
        h.sum().backward()
        results.append([layer.weight.grad.data.copy() for layer in layers])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
