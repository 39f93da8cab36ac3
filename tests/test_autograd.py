"""backward and grad: what they compute, where they put it, and what they refuse."""

from math import comb
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.tensor import Tensor


def leaf(*values: float, dtype: Any = cr.float64) -> Tensor:
    return cr.tensor(list(values), dtype=dtype, requires_grad=True)


# ---- what backward computes


def test_gradients_of_all_paths_add_up() -> None:
    x = leaf(2.0)
    y = x * x  # 2x
    (y * x + y + x).sum().backward()  # 3x² + 2x + 1
    assert x.grad is not None and x.grad.tolist() == [17.0]


def test_grad_is_none_first_and_then_accumulates_in_place() -> None:
    x = leaf(1.0, 2.0)
    assert x.grad is None
    (x * 3).sum().backward()
    first = x.grad
    assert first is not None and first.tolist() == [3.0, 3.0] and not first.requires_grad
    (x * x).sum().backward()
    assert x.grad is first and first.tolist() == [5.0, 7.0]
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and first.tolist() == [5.0, 7.0]


def test_a_non_scalar_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(cr.AutogradError, match=r"backward\(\): the output has shape \(2,\); pass a gradient"):
        (x * 2).backward()
    with pytest.raises(cr.AutogradError, match=r"grad: the output has shape \(2,\)"):
        cr.grad(x * 2, x)
    (x * 2).backward(cr.tensor([1.0, 10.0], dtype=cr.float64))
    assert x.grad is not None and x.grad.tolist() == [2.0, 20.0]
    (x[:1] * 2).backward()  # one element is enough, whatever its shape
    assert x.grad.tolist() == [4.0, 20.0]


@pytest.mark.parametrize("given", [np.ones(3), np.ones((1, 2)), np.ones(())])
def test_a_gradient_of_another_shape_is_refused(given: Any) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(cr.ShapeError, match=r"backward\(\): the gradient has shape .*, the output \(2,\)"):
        (x * 2).backward(cr.tensor(given))
    with pytest.raises(cr.ShapeError, match=r"grad: the gradient has shape"):
        cr.grad(x * 2, x, cr.tensor(given))


def test_arrays_lists_and_other_dtypes_will_do_as_gradients() -> None:
    for given in ([1.0, 2.0], np.array([1.0, 2.0], np.float32), cr.tensor([1, 2])):
        x = leaf(1.0, 1.0)
        (x * 2).backward(given)
        assert x.grad is not None and x.grad.dtype == cr.float64 and x.grad.tolist() == [2.0, 4.0]


def test_nothing_recorded_is_an_error() -> None:
    x = leaf(1.0)
    with pytest.raises(cr.AutogradError, match=r"no operation that led here was recorded"):
        cr.tensor(1.0).backward()
    with cr.no_grad():
        y = x * 2
    with pytest.raises(cr.AutogradError, match=r"no operation that led here was recorded"):
        y.backward()
    with pytest.raises(cr.AutogradError, match="no operation that led to an output was recorded"):
        cr.grad(y, x)


def test_backward_on_a_leaf() -> None:
    x = cr.tensor(3.0, requires_grad=True)
    x.backward()
    x.backward(cr.tensor(4.0))
    assert x.grad is not None and x.grad.item() == 5.0


def test_second_backward_is_an_error_unless_retained() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(cr.AutogradError, match=r"exp a second time \(called at .*test_autograd.py:\d+.*retain_graph=True"):
        y.backward()
    z = (x + x[0]).sum()  # keeps nothing: walking again is harmless
    z.backward()
    z.backward()


def test_a_shared_part_is_freed_by_the_first_of_two_walks() -> None:
    x = leaf(1.0)
    shared = x.exp()
    a, b = (shared * 2).sum(), (shared * 3).sum()
    a.backward()
    with pytest.raises(cr.AutogradError, match="exp a second time"):
        b.backward()


def test_create_graph_retains_the_graph() -> None:
    x = leaf(1.5)
    y = (x**3).sum()
    g, = cr.grad(y, x, create_graph=True)
    y.backward()
    assert x.grad is not None and x.grad.item() == g.item()


def test_derivatives_to_the_fifth_order() -> None:
    """Of x**5 * sin(2x), against the series of its product rule."""
    x = cr.tensor(0.7, dtype=cr.float64, requires_grad=True)
    y = x**5 * (2 * x).sin()
    found = [y.item()]
    for _ in range(5):
        y, = cr.grad(y, x, create_graph=True)
        found.append(y.item())
    powers = [120 / float(np.prod(range(1, 6 - k), dtype=float)) * 0.7 ** (5 - k) if k < 5 else 120.0 for k in range(6)]
    sines = [2.0**k * np.sin(1.4 + k * np.pi / 2) for k in range(6)]
    expected = [sum(comb(n, k) * powers[k] * sines[n - k] for k in range(n + 1)) for n in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_backward_with_create_graph_gives_recorded_gradients() -> None:
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    assert first is not None and first.requires_grad and first.tolist() == [12.0]
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [12.0]  # 6x


def test_recorded_gradients_accumulate_recorded() -> None:
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    (x**2).sum().backward(create_graph=True)
    assert x.grad is not None and x.grad.tolist() == [16.0]
    assert cr.grad(x.grad.sum(), x)[0].tolist() == [14.0]  # 6x + 2


# ---- grad


def test_grad_leaves_the_leaves_alone_and_gives_a_tuple() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0)
    found = cr.grad((x.sum() * y).sum(), (x, y))
    assert isinstance(found, tuple) and [g.tolist() for g in found] == [[3.0, 3.0], [3.0]]
    assert x.grad is None and y.grad is None


def test_an_input_listed_twice_gets_two_gradients_of_their_own() -> None:
    x = leaf(2.0)
    for create_graph in (False, True):
        a, b = cr.grad((x * x).sum(), [x, x], create_graph=create_graph)
        assert a.tolist() == b.tolist() == [4.0]
        assert not np.shares_memory(a.data, b.data)


def test_several_outputs_add_up() -> None:
    x = leaf(1.0, 2.0)
    g, = cr.grad([x * 2, (x * x).sum(), x * 2], x, [cr.ones(2, dtype=cr.float64), None, cr.ones(2, dtype=cr.float64)])
    assert g.tolist() == [6.0, 8.0]
    y = x * 3
    g, = cr.grad([y, y], x, [np.ones(2), np.ones(2)])  # the same output twice
    assert g.tolist() == [6.0, 6.0]
    with pytest.raises(cr.ShapeError, match="grad: 2 outputs but 1 grad_outputs"):
        cr.grad([x.sum(), x.sum()], x, [None])


def test_unused_inputs() -> None:
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(cr.AutogradError, match="input 1 was not used to compute the outputs; pass allow_unused=True"):
        cr.grad((x * 2).sum(), [x, y])
    a, b = cr.grad((x * 2).sum(), [x, y], allow_unused=True)
    assert a.tolist() == [2.0] and b is None


def test_what_cannot_be_differentiated_by() -> None:
    x = leaf(1.0)
    with pytest.raises(cr.AutogradError, match=r"grad: an input \(float32\(1,\)\) does not require a gradient"):
        cr.grad((x * 2).sum(), cr.tensor([1.0]))
    with pytest.raises(cr.DtypeError, match="grad: an input is a float, it must be a Tensor"):
        cr.grad((x * 2).sum(), [2.0])


def test_gradient_of_an_intermediate() -> None:
    """The walk stops there: what lies below keeps what it needs for a walk of its own."""
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = (y * y).sum()
    g, = cr.grad(z, y)
    np.testing.assert_allclose(g.data, 2 * np.exp([1.0, 2.0]))
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, np.exp([1.0, 2.0]))


def test_gradients_of_an_intermediate_and_of_what_it_came_from() -> None:
    x = leaf(3.0)
    y = x * x
    gx, gy = cr.grad((y * y).sum(), [x, y])
    assert gx.tolist() == [108.0] and gy.tolist() == [18.0]


def test_backward_inputs_restricts_what_is_written() -> None:
    x, y = leaf(2.0), leaf(3.0)
    z = x * x
    (z * y).sum().backward(inputs=[x])
    assert x.grad is not None and x.grad.tolist() == [12.0] and y.grad is None
    x.grad = None
    (x * x * y).sum().backward(inputs=y)
    assert x.grad is None and y.grad is not None and y.grad.tolist() == [4.0]
    with pytest.raises(cr.AutogradError, match="does not require a gradient"):
        (x * y).sum().backward(inputs=[cr.tensor(1.0)])


def test_retain_grad() -> None:
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    (y * 3).sum().backward(retain_graph=True)
    (y * 3).sum().backward()
    assert y.grad is not None and y.grad.tolist() == [6.0]
    assert x.grad is not None and x.grad.tolist() == [24.0]
    with pytest.raises(cr.AutogradError, match="retain_grad"):
        cr.tensor(1.0).retain_grad()


# ---- hooks


def test_hooks_run_in_order_and_may_replace() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("third", g.tolist())))
    y.sum().backward()
    assert seen == [("first", [1.0, 1.0]), ("third", [10.0, 10.0])]
    assert x.grad is not None and x.grad.tolist() == [20.0, 20.0]


def test_a_hook_sees_the_whole_gradient_once() -> None:
    x = leaf(1.0)
    y = x * 1
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 2 + y * 3 + y * 4).sum().backward()
    assert seen == [[9.0]]


def test_hooks_on_leaves_change_what_is_deposited() -> None:
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 5)
    (x * 2).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [10.0]
    handle.remove()
    handle.remove()  # again does nothing
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0]


def test_a_handle_is_a_context_manager() -> None:
    x = leaf(1.0)
    with x.register_hook(lambda g: g * 5):
        assert cr.grad(x.sum(), x)[0].tolist() == [5.0]
    assert cr.grad(x.sum(), x)[0].tolist() == [1.0]


def test_hooks_are_differentiated_through() -> None:
    """Under create_graph a hook gets and gives recorded gradients."""
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    g, = cr.grad((y * 3).sum(), x, create_graph=True)  # 3x · 2x
    assert g.tolist() == [24.0]
    assert cr.grad(g.sum(), x)[0].tolist() == [24.0]  # 12x


def test_what_hooks_return() -> None:
    x = leaf(1.0, 2.0, dtype=cr.float32)
    for answer in (np.array([3.0, 4.0]), cr.tensor([3, 4]), [3.0, 4.0]):
        for create_graph in (False, True):
            with x.register_hook(lambda g, a=answer: a):
                g, = cr.grad((x * 2).sum(), x, create_graph=create_graph)
            assert g.dtype == cr.float32 and g.tolist() == [3.0, 4.0]
    x.register_hook(lambda g: g.sum())
    with pytest.raises(cr.ShapeError, match=r"a hook on AccumulateGrad returned shape \(\), the gradient has \(2,\)"):
        (x * 2).sum().backward()
    with pytest.raises(cr.AutogradError, match="register_hook"):
        cr.tensor(1.0).register_hook(print)


# ---- whose memory a gradient is


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("f", [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a.reshape(3, 2).reshape(2, 3) + b,
    lambda a, b: a.mT.mT + b.flip(0),
    lambda a, b: a.unsqueeze(0).squeeze(0) + b[:],
    lambda a, b: a.clone() + b.expand(2, 3),
    lambda a, b: cr.stack([a, b])[0] + b,
    lambda a, b: (a + b).sum(0).expand(2, 3),
    lambda a, b: cr.where(cr.tensor(True), a, b) + (a + b),
])
def test_a_gradient_has_memory_of_its_own(f: Any, create_graph: bool) -> None:
    """Writing to one changes no other, nor a value, nor what was passed to backward."""
    a = cr.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    b = cr.tensor(np.arange(6.0).reshape(2, 3) + 1, requires_grad=True)
    given = cr.tensor(np.arange(6.0).reshape(2, 3) + 2)
    y = f(a, b)
    y.retain_grad()
    y.backward(given, create_graph=create_graph)
    f(a, b).backward(given, create_graph=create_graph)
    arrays = [a.data, b.data, y.data, given.data, *[t.grad.data for t in (a, b, y)]]
    for i, grads in enumerate(arrays):
        for j in range(i):
            assert not np.shares_memory(grads, arrays[j]) or (i, j) == (2, 0)
    assert all(t.grad.data.flags.writeable for t in (a, b, y))
    found = cr.grad(f(a, b), [a, b], given, create_graph=create_graph)
    arrays = [given.data, a.data, b.data, *[g.data for g in found]]
    for i, grads in enumerate(arrays):
        assert not any(np.shares_memory(grads, other) for other in arrays[:i])


def test_a_leaf_that_is_its_own_output_copies_what_it_is_given() -> None:
    x, given = leaf(1.0, 2.0), np.array([3.0, 4.0])
    x.backward(given)
    assert x.grad is not None
    x.grad.zero_()
    assert given.tolist() == [3.0, 4.0]
    g, = cr.grad(x, x, cr.tensor(given))
    g.zero_()
    assert given.tolist() == [3.0, 4.0]


def test_a_gradient_that_a_hook_kept_is_not_written_later() -> None:
    x = leaf(1.0)
    kept: list[Tensor] = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [6.0] and [g.tolist() for g in kept] == [[2.0]] * 3


def test_assigning_grad() -> None:
    x = leaf(1.0, 2.0)
    x.grad = cr.tensor([5.0, 6.0], dtype=cr.float64)
    x.sum().backward()
    assert x.grad.tolist() == [6.0, 7.0]
    with pytest.raises(cr.ShapeError, match=r"float64\(2,\), not float64\(3,\)"):
        x.grad = cr.zeros(3, dtype=cr.float64)
    with pytest.raises(cr.AutogradError, match="does not require a gradient"):
        cr.tensor([1.0]).grad = cr.tensor([1.0])


# ---- dtypes


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_has_its_tensor_s_dtype(create_graph: bool) -> None:
    half, single, double = leaf(1.0, 2.0, dtype=cr.float16), leaf(1.0, 2.0, dtype=cr.float32), leaf(1.0, 2.0)
    ((half * single) @ double + single.double().sum()).backward(create_graph=create_graph)
    for t in (half, single, double):
        assert t.grad is not None and t.grad.dtype == t.dtype
    np.testing.assert_allclose(single.grad.data, np.array([1.0, 4.0]) + 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [cr.int64, cr.uint8, cr.bool])
def test_only_floats_require_gradients(dtype: Any) -> None:
    for make in (lambda: cr.tensor([1, 0], dtype=dtype, requires_grad=True), lambda: cr.tensor([1, 0]).to(dtype).requires_grad_()):
        with pytest.raises(cr.DtypeError, match=f"only floating-point tensors have gradients, this one is {dtype}.*float()"):
            make()


def test_integer_results_have_no_history() -> None:
    x = leaf(1.5, 2.5)
    assert not x.to(cr.int64).requires_grad and not (x > 2).requires_grad and not x.argmax().requires_grad
