"""What is recorded, by which thread and backend; backward in several threads; the search for NaN."""

import threading
from typing import Any

import pytest

import chainrule as cr
from chainrule.tensor import Tensor


def leaf(*values: float, dtype: Any = cr.float64) -> Tensor:
    return cr.tensor(list(values), dtype=dtype, requires_grad=True)


# ---- recording on and off


def test_set_grad_enabled_holds_from_the_call_on() -> None:
    x = leaf(1.0)
    cr.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    with cr.enable_grad(), cr.set_grad_enabled(False):
        assert not (x * 2).requires_grad
        cr.set_grad_enabled(True)
        assert (x * 2).requires_grad
    assert not (x * 2).requires_grad  # as before the with
    cr.set_grad_enabled(True)
    assert (x * 2).requires_grad
    with cr.set_grad_enabled(False), cr.set_grad_enabled(True):
        assert (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_set_grad_enabled_and_inference_mode_decorate() -> None:
    x = leaf(1.0)
    for mode in (cr.set_grad_enabled(False), cr.inference_mode()):
        double = mode(lambda: x * 2)
        assert (x * 2).requires_grad and not double().requires_grad and not double().requires_grad
        assert (x * 2).requires_grad
    with cr.no_grad(), cr.inference_mode(False):
        assert (x * 2).requires_grad


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    with cr.no_grad():
        assert not (x * 2).requires_grad and not cr.is_grad_enabled()
        with cr.enable_grad():
            assert (x * 2).requires_grad
            with cr.no_grad():
                assert not (x * 2).requires_grad
            assert cr.is_grad_enabled()
        assert not cr.is_grad_enabled()
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), cr.no_grad():
        raise ZeroDivisionError
    assert cr.is_grad_enabled()


def test_one_object_entered_twice() -> None:
    off = cr.no_grad()
    with off, off:
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()


def test_as_decorators() -> None:
    x = leaf(1.0)

    @cr.no_grad()
    def evaluate(depth: int) -> bool:
        """Doc."""
        inner = evaluate(depth - 1) if depth else False
        return inner or (x * 2).requires_grad

    @cr.enable_grad()
    def train() -> bool:
        return (x * 2).requires_grad

    assert evaluate(3) is False and cr.is_grad_enabled() and evaluate.__doc__ == "Doc."
    with cr.no_grad():
        assert train() is True and not cr.is_grad_enabled()


def test_backward_under_no_grad() -> None:
    x = leaf(2.0)
    y = (x**3).sum()
    with cr.no_grad():
        y.backward(retain_graph=True)
        g, = cr.grad(y, x, create_graph=True)
        assert not cr.is_grad_enabled()
    assert x.grad is not None and x.grad.tolist() == [12.0] and g.requires_grad


def test_a_failing_backward_leaves_recording_as_it_was() -> None:
    x = leaf(2.0)
    x.register_hook(lambda g: g.sum().item() / 0)
    with pytest.raises(ZeroDivisionError):
        (x * 2).sum().backward()
    assert cr.is_grad_enabled() and (x * 2).requires_grad


def test_requires_grad_of_leaves() -> None:
    x = cr.tensor([1.0])
    y = x * 2
    x.requires_grad = True
    assert x.is_leaf and x.requires_grad and not y.requires_grad and x.requires_grad_() is x
    z = x * 2
    assert not z.is_leaf and z.grad_fn is not None and x.grad_fn is None
    with pytest.raises(cr.AutogradError, match="computed by multiply, use detach"):
        z.requires_grad_(False)
    x.requires_grad_(False)
    assert not (x * 2).requires_grad
    assert z.detach().is_leaf and not z.detach().requires_grad


def test_next_functions_lead_to_the_leaves() -> None:
    x = leaf(1.0)
    node = (x.exp() + 1).grad_fn
    assert node.name == "Add"
    (above, index), (other, _) = node.next_functions
    assert above.name == "Exp" and index == 0 and other is None
    assert above.next_functions[0][0].name == "AccumulateGrad"


# ---- threads


def in_threads(n: int, work: Any) -> list[Any]:
    """work(i) in n threads at once; their results, or the first exception."""
    results: list[Any] = [None] * n
    problems: list[BaseException] = []
    barrier = threading.Barrier(n)

    def run(i: int) -> None:
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if problems:
        raise problems[0]
    return results


def test_independent_graphs_in_threads() -> None:
    def work(i: int) -> list[list[float]]:
        found = []
        for k in range(30):
            x = leaf(float(i), float(k))
            for _ in range(5):
                y = (x * x * i).sum()
            y.backward()
            assert x.grad is not None
            found.append(x.grad.tolist())
        return found

    for i, found in enumerate(in_threads(6, work)):
        assert found == [[2.0 * i * i, 2.0 * i * k] for k in range(30)]


def test_threads_that_share_leaves_add_up() -> None:
    w = cr.ones(1000, dtype=cr.float64, requires_grad=True)
    in_threads(6, lambda i: [(w * (i + 1)).sum().backward() for _ in range(50)])
    assert w.grad is not None and (w.grad.data == 50 * 21).all()


def test_flags_are_per_thread() -> None:
    x = leaf(1.0)
    inside = threading.Barrier(2)

    def work(i: int) -> tuple[bool, Any]:
        from chainrule.state import state

        if i == 0:
            with cr.no_grad(), cr.backend("reference"):
                inside.wait()
                found = (x * 2).requires_grad, state.backend
                inside.wait()
        else:
            inside.wait()
            found = (x * 2).requires_grad, state.backend
            inside.wait()
        return found

    assert in_threads(2, work) == [(False, cr.kernels.reference), (True, None)]
    with cr.no_grad():
        assert in_threads(1, lambda i: cr.is_grad_enabled()) == [True]


# ---- the backend that was used


def test_a_backend_can_be_forced_and_is_remembered_for_backward() -> None:
    with pytest.raises(ValueError, match="backend\\('quick'\\): choose one of reference, cpu"):
        cr.backend("quick")
    x = leaf(1.0)
    with cr.backend("reference"):
        y = x.exp()
    assert y.grad_fn.kernels is cr.kernels.reference
    assert x.exp().grad_fn.kernels is cr.kernels.cpu


# ---- NaN


def test_detect_anomaly_names_the_op_and_the_place() -> None:
    x = leaf(0.0)
    y = (x.sqrt() * 0).sum()
    with pytest.raises(cr.AutogradError, match=r"derivative of sqrt, called at .*test_recording.py:\d+, in test_detect.*NaN"):
        with cr.detect_anomaly():
            y.backward()
