"""The graph: no recursion, no cycles, nothing kept longer than needed, and errors that name the place in the user's file."""

import gc
import inspect
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import derivatives
from chainrule import functional as F
from chainrule.derivatives import history
from chainrule.tensor import Tensor

DEEP = 200_000


def normal(*shape: int, requires_grad: bool = True, seed: int = 0) -> Tensor:
    return cr.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=requires_grad)


# ---- depth


@pytest.mark.parametrize("step", [
    lambda h, x: h + x,  # keeps nothing
    lambda h, x: h * 0.999,
    lambda h, x: h.reshape(1),  # a chain of views
], ids=["add", "multiply", "view"])
def test_depth(step: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Forward, backward and deallocation of a chain deeper than any recursion limit."""
    x = cr.tensor([1.0], dtype=cr.float64, requires_grad=True)
    h = x * 1
    for _ in range(DEEP if step(h, x)._view is None else 2_000):
        h = step(h, x)
    h.sum().backward(retain_graph=True)
    assert x.grad is not None and np.isfinite(x.grad.data).all()
    found = weakref.ref(h.node)
    del h
    assert found() is None


def test_depth_of_forward_mode_and_of_recorded_walks() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(5_000):
            x = x * 1.0001 + 0.1 * x.detach()
        return x

    x = cr.tensor([1.0], dtype=cr.float64)
    _, forward = cr.jvp(chain, x, cr.ones(1, dtype=cr.float64))
    _, reverse = cr.vjp(chain, x, cr.ones(1, dtype=cr.float64))
    np.testing.assert_allclose(forward.data, reverse.data, rtol=1e-12)
    np.testing.assert_allclose(forward.data, 1.0001**5000, rtol=1e-9)
    x = cr.tensor([1.00001], dtype=cr.float64, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * x
    g, = cr.grad(y.sum(), x, create_graph=True)
    second, = cr.grad(g.sum(), x)
    np.testing.assert_allclose(second.data, 5001 * 5000 * 1.00001**4999, rtol=1e-8)


def test_depth_of_repeated_writes() -> None:
    x = cr.ones(3, dtype=cr.float64, requires_grad=True)
    y = x.clone()
    for _ in range(20_000):
        y[1] *= 1.0
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 1.0, 1.0]


# ---- nothing is left


class Watched(np.ndarray):
    """An array that can be counted while it lives."""


def model_views(x: Tensor, w: Tensor) -> Tensor:
    h = (x @ w).mT[1:].reshape(-1).unsqueeze(0)
    first, second = h[:, ::2], h[:, 1::2]
    return first.sum() + second.square().sum()


def model_writes(x: Tensor, w: Tensor) -> Tensor:
    h = x @ w
    h[0] = h[1] * 2
    h[:, 1:].mul_(3)
    h += 1
    part = h[1:]
    part[0].zero_()
    return h.exp().sum() + part.sum()


def model_fused(x: Tensor, w: Tensor) -> Tensor:
    h = F.linear(x, w.mT, w[0])
    h = F.gelu(F.layer_norm(h, (4,)))
    attended = F.scaled_dot_product_attention(h[None], h[None], h[None])
    return attended.sum() + F.cross_entropy(h, cr.tensor([0, 1, 2]))


def model_picks(x: Tensor, w: Tensor) -> Tensor:
    values, indices = (x @ w).max(1)
    steps = (x @ w)[:, None]
    zero = cr.zeros(1, 2, dtype=cr.float64)
    output, (h, c) = F.lstm(steps, (zero, zero), w.repeat(2, 1), w.repeat(2, 1)[:, :2])
    return values.sum() + output.sum() + c.sum()


def model_checkpoint(x: Tensor, w: Tensor) -> Tensor:
    h = cr.checkpoint(lambda t: F.dropout((t @ w).tanh(), 0.5), x)
    a, b = cr.checkpoint(lambda t: (t * 2, cr.checkpoint(lambda s: s.exp(), t)), h)
    return a.sum() + b.sum()


def model_hooks(x: Tensor, w: Tensor) -> Tensor:
    h = x @ w
    h.register_hook(lambda g: g * 2)
    h.retain_grad()
    return (h * h).sum()


def model_convolution(x: Tensor, w: Tensor) -> Tensor:
    images = (x @ w).reshape(1, 1, 3, 4)
    h = F.conv2d(images, w.reshape(1, 1, 4, 4)[..., :2, :2], padding=1)
    return F.max_pool2d(h, 2).sum() + F.batch_norm(h, None, None, training=True).sum()


MODELS = [model_views, model_writes, model_fused, model_picks, model_checkpoint, model_hooks, model_convolution]


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def first_order(loss: Tensor, x: Tensor, w: Tensor) -> None:
    loss.backward()


def second_order(loss: Tensor, x: Tensor, w: Tensor) -> None:
    found = cr.grad(loss, [x, w], create_graph=True)
    sum(g.square().sum() for g in found).backward()  # type: ignore[union-attr]


def nothing(loss: Tensor, x: Tensor, w: Tensor) -> None:
    pass


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("derive", [nothing, first_order, second_order])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_nothing_is_left_after_a_step(model: Any, derive: Any, backend: str, no_collector: None) -> None:
    """With the garbage collector off, all nodes are gone when the loss is, and so is the memory of all arrays."""
    x, w = normal(3, 4), normal(4, 4, seed=1)

    def step() -> list[Any]:
        with cr.backend(backend):
            loss = model(x, w)
            nodes = [weakref.ref(n) for n in history([loss.node], 0) if n.op is not None]
            arrays = [weakref.ref(a) for n in history([loss.node], 0) for a in n.kept or () if type(a) is np.ndarray
                      and a is not x.data and a is not w.data]
            derive(loss, x, w)
        return nodes + arrays

    found = step()
    assert len(found) > 4
    assert [r() for r in found if r() is not None and r() is not x.data and r() is not w.data] == []
    for t in (x, w):
        assert derive is nothing or t.grad is not None
        assert t.grad is None or not t.grad.requires_grad


def test_transforms_leave_nothing(no_collector: None) -> None:
    before = sum(type(o).__name__ == "Node" for o in gc.get_objects())
    x = normal(3)
    w = normal(4, 4, seed=1)
    cr.jvp(lambda x: (x * x).exp(), x, x.detach())
    cr.hessian(lambda x: x.exp().sum(), x)
    cr.jacobian(lambda x: x[:2] * x[1:], x)
    cr.hvp(lambda x: (x**3).sum(), x, x.detach())
    cr.jvp(lambda w: model_picks(normal(3, 4), w), w, w.detach())
    cr.gradcheck(lambda x: x.exp(), (x,))
    cr.gradgradcheck(lambda x: x.exp(), (x,))
    del x, w
    assert sum(type(o).__name__ == "Node" for o in gc.get_objects()) == before


def test_an_error_leaves_nothing(no_collector: None) -> None:
    x = normal(3)
    y = x.exp()
    z = y * 2
    y.detach().zero_()
    node = weakref.ref(y.node)
    with pytest.raises(cr.AutogradError):
        z.exp().sum().backward()
        y.sum().backward()
    with pytest.raises(cr.AutogradError):
        y.sum().backward()
    del y, z
    assert node() is None


def test_what_was_kept_is_freed_as_the_walk_passes() -> None:
    """A hook nearer to the leaves finds what the nodes above it had kept gone, while the loss is still there."""
    x = normal(1000)
    first = x * 2
    middle = first.exp()
    last = middle.sin()
    loss = (last * last).sum()
    kept = [weakref.ref(middle.data), weakref.ref(last.data)]
    del middle, last
    alive: list[list[bool]] = []
    first.register_hook(lambda g: alive.append([r() is not None for r in kept]))
    x.register_hook(lambda g: alive.append([r() is not None for r in kept]))
    assert all(r() is not None for r in kept)
    loss.backward()
    assert alive == [[True, False], [False, False]] or alive == [[False, False], [False, False]]


def test_retain_graph_keeps_it() -> None:
    x = normal(10)
    y = x.exp()
    loss = y.sum()
    kept = weakref.ref(y.data)
    del y
    loss.backward(retain_graph=True)
    assert kept() is not None
    loss.backward()
    assert kept() is None


def test_intermediate_gradients_are_freed_too() -> None:
    """A long chain's walk holds a few gradients at a time, not all of them."""
    import tracemalloc

    x = normal(100_000)
    y = x
    for _ in range(30):
        y = y + x  # keeps nothing
    tracemalloc.start()
    try:
        y.backward(np.ones(100_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * x.data.nbytes


def test_what_no_formula_asks_for_is_not_kept() -> None:
    x = normal(10)
    kept: list[weakref.ref[Any]] = []

    def f() -> Tensor:
        a = x + 1
        b = a.sum()  # asks for a shape
        kept.append(weakref.ref(a.data))
        c = x.exp()
        kept.append(weakref.ref(c.data))
        return b + (c - 1).sum()

    loss = f()
    assert [r() is None for r in kept] == [True, False] and loss.requires_grad


# ---- a value changed in place


def line() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def complaint(y: Tensor) -> str:
    with pytest.raises(cr.AutogradError) as caught:
        y.sum().backward()
    return str(caught.value)


CALLS: list[tuple[str, str, Callable[[Tensor], tuple[Tensor, int]]]] = [
    ("operator", "multiply", lambda x: (x * x, line())),
    ("reflected operator", "divide", lambda x: (2.0 / x, line())),
    ("matmul operator", "matmul", lambda x: (x @ x, line())),
    ("method", "exp", lambda x: (x.exp().exp(), line())),
    ("function", "tanh", lambda x: (cr.tanh(cr.tanh(x)), line())),
    ("method of a reduction", "amax", lambda x: (x.amax(1), line())),
    ("functional", "softmax", lambda x: (F.softmax(x, -1), line())),
    ("index", "getitem", lambda x: (x[cr.tensor([0, 2, 1])] * x, line())),
    ("ufunc", "sin", lambda x: (np.sin(x), line())),
    ("NumPy function", "multiply", lambda x: (np.multiply(x, x), line())),
    ("checkpoint", "checkpoint", lambda x: (cr.checkpoint(lambda t: t * t, x), line())),
    ("layer", "linear", lambda x: (cr.layers.Linear(3, 3).double()(x), line())),
]


@pytest.mark.parametrize(("how", "op", "call"), CALLS, ids=[c[0] for c in CALLS])
def test_the_line_named_is_the_user_s(how: str, op: str, call: Any) -> None:
    """Whatever way an op was called, its message names this file and the line of the call."""
    x = normal(3, 3) * 1
    y, expected = call(x)
    nodes = [n for n in history([y.node], x.node.order + 1) if n.op is not None]
    assert nodes and all(n.place().startswith(f"{__file__}:{expected}, in ") for n in nodes)
    x.detach().mul_(2)
    y.detach().mul_(2)
    text = complaint(y)
    if how not in ("index", "method", "function"):
        assert text.startswith(f"{op}, called at {__file__}:{expected}, in ")
    assert f"{__file__}:{expected}" in text and "changed in place" in text


def test_the_message_names_the_changed_value_and_a_way_out() -> None:
    x = cr.ones(2, 3, requires_grad=True)
    y = x.exp()
    y += 1
    y.detach()[0] = 5
    text = complaint((y * 1).exp())
    assert text.startswith("exp, called at") and "(float32(2, 3))" in text and "clone()" in text


def test_a_place_inside_nested_functions_and_several_lines() -> None:
    x = normal(3)

    def inner(t: Tensor) -> Tensor:
        return (t
                .sin()
                .exp())

    y = inner(x)
    _, first = inspect.getsourcelines(inner)
    assert re.search(rf"{re.escape(__file__)}:{first + 3}, in inner", y.node.place())
    assert re.search(rf"{re.escape(__file__)}:{first + 2}, in inner", y.node.parents[0].place())


def test_a_layer_s_line_is_where_the_model_was_called() -> None:
    model = cr.layers.Sequential(cr.layers.Linear(3, 4), cr.layers.ReLU(), cr.layers.Linear(4, 1)).double()
    y, expected = model(normal(2, 3)), line()
    places = {n.place().partition(", in")[0] for n in history([y.node], 0) if n.op is not None}
    assert places == {f"{__file__}:{expected}"}


def test_writes_before_the_value_was_used_are_fine() -> None:
    x = normal(3)
    y = x * 1
    y += 1
    y.exp().sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, np.exp(x.data + 1))


def test_a_write_to_what_was_not_kept_is_fine() -> None:
    x = normal(3)
    y = x * 2
    z = y + 1
    y.zero_()
    z.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0] * 3


def test_optimizer_step_between_forward_and_backward_is_noticed() -> None:
    layer = cr.layers.Linear(3, 3)
    loss = layer(normal(2, 3).float()).sum()
    other = layer(cr.ones(1, 3)).sum()
    other.backward()
    cr.optim.SGD(layer.parameters(), lr=0.1).step()
    x = cr.ones(1, 3, requires_grad=True)
    kept = layer(x).sum()
    with cr.no_grad():
        layer.weight.mul_(2)
    with pytest.raises(cr.AutogradError, match="linear, called at .*test_graph_hygiene.py.*changed in place"):
        kept.backward()
    assert loss.requires_grad


def test_a_leafs_gradient_is_the_array_that_its_formula_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else holds it, so it need not be copied: also where the leaf comes right after the node that gave it."""
    made: list[int] = []
    own = derivatives.own
    monkeypatch.setattr(derivatives, "own", lambda g, owned: (made.append(id(g)), own(g, owned))[1])
    monkeypatch.setattr(derivatives, "_ALONE", derivatives._ALONE + 1)  # the line above holds it too
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for function in (cr.sin, cr.relu, cr.functional.gelu):
        x.grad = None
        function(x).sum().backward()
        assert x.grad is not None and id(x.grad.data) == made.pop()
