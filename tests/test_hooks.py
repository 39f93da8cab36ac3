"""Hooks of modules: when they are called, with what, and what they may change."""

import copy
import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import Linear, Module, ReLU, Sequential


class Pair(Module):
    """Two inputs, two outputs in a dict, and an argument that is no tensor."""

    def forward(self, a, b, scale=2.0):
        return {"product": a * b, "rest": [a * scale, "text"]}


def leaf(*values):
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


def test_forward_hooks_run_in_order_and_replace():
    layer, seen = Pair(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append(("first", len(args))))
    layer.register_forward_pre_hook(lambda m, args: (args[0] + 1, args[1]))
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {**kwargs, "scale": 5.0}), with_kwargs=True)
    layer.register_forward_pre_hook(lambda m, args: seen.append(("before all", args[0].item())), prepend=True)
    layer.register_forward_hook(lambda m, args, out: out["product"] + out["rest"][0])
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.append((kwargs["scale"], out.item())), with_kwargs=True)
    assert layer(cr.tensor(1.0), cr.tensor(10.0), scale=3.0).item() == 2 * 10 + 2 * 5
    assert seen == [("before all", 1.0), ("first", 2), (5.0, 30.0)]


def test_a_single_value_from_a_pre_hook_is_the_argument():
    layer = ReLU()
    handle = layer.register_forward_pre_hook(lambda m, args: args[0] - 1)
    assert layer(cr.tensor([0.5, 3.0])).tolist() == [0.0, 2.0]
    handle.remove()
    handle.remove()
    assert layer(cr.tensor([0.5, 3.0])).tolist() == [0.5, 3.0]
    with layer.register_forward_hook(lambda m, args, out: out * 2):
        assert layer(cr.tensor([1.0])).tolist() == [2.0]
    assert layer(cr.tensor([1.0])).tolist() == [1.0]


def test_always_called_hooks_see_the_failure():
    class Broken(Module):
        def forward(self, x):
            raise RuntimeError("broken")

    layer, seen = Broken(), []
    layer.register_forward_hook(lambda m, args, out: seen.append("usual"))
    layer.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError, match="broken") as caught:
        layer(cr.ones(1))
    assert seen == [None] and caught.value.__notes__ == ["in layer Broken()"]
    layer.register_forward_hook(lambda m, args, out: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="division by zero"), pytest.raises(RuntimeError, match="broken"):
        layer(cr.ones(1))


def test_hooks_that_do_not_fit_are_refused():
    layer = ReLU()
    with pytest.raises(TypeError, match="a hook is a function, got int"):
        layer.register_forward_hook(3)
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match=r"returns None or \(args, kwargs\)"):
        layer(cr.ones(1))
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        layer = ReLU()
        getattr(layer, register)(lambda m, *grads: cr.ones(3))
        with pytest.raises(cr.ShapeError, match=r"ReLU: a full backward .*hook returned gradients of shapes \[\(3,\)\]"):
            layer(leaf(1.0, 2.0)).sum().backward()


def test_backward_hooks_see_and_change_gradients():
    layer, seen = Pair(), []
    layer.register_full_backward_pre_hook(lambda m, out: seen.append([None if g is None else g.tolist() for g in out]))
    layer.register_full_backward_pre_hook(lambda m, out: tuple(None if g is None else 10 * g for g in out))
    layer.register_full_backward_hook(lambda m, into, out: seen.append([g if g is None else g.tolist() for g in (*into, *out)]))
    layer.register_full_backward_hook(lambda m, into, out: (into[0] + 1, None, None))
    a, b = leaf(1.0, 2.0), cr.tensor([3.0, 4.0], dtype=cr.float64)
    result = layer(a, b, 7.0)
    assert result["rest"][1] == "text"
    result["product"].sum().backward(retain_graph=True)
    assert seen == [[[1.0, 1.0], None, None], [[30.0, 40.0], None, None, [10.0, 10.0], None, None]]
    assert a.grad.tolist() == [31.0, 41.0]
    a.grad, seen[:] = None, []
    (result["product"].sum() + result["rest"][0].sum()).backward()
    assert seen[0] == [[1.0, 1.0], [1.0, 1.0], None]  # both outputs' gradients have come before the hooks are called
    assert a.grad.tolist() == [30 + 70 + 1, 40 + 70 + 1]


def test_a_hook_between_layers_changes_what_the_earlier_ones_get():
    model = Sequential(Linear(2, 2), ReLU(), Linear(2, 1))
    x = cr.tensor([[1.0, -2.0]])
    model(x).backward()
    plain = [p.grad.data.copy() for p in model.parameters()]
    model.zero_grad()
    model[2].register_full_backward_hook(lambda m, into, out: (3 * into[0],))
    model(x).backward()
    for p, before, factor in zip(model.parameters(), plain, (3, 3, 1, 1), strict=True):
        np.testing.assert_allclose(p.grad.data, factor * before, rtol=1e-6)


def test_without_inputs_that_need_gradients_the_outputs_call_the_hook():
    layer, seen = Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, into, out: seen.append((into, out[0].tolist())))
    layer(cr.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]
    layer.register_full_backward_hook(lambda m, into, out: (cr.ones(1, 2),))
    with pytest.raises(cr.ShapeError, match="no positional argument of the call requires one"):
        layer(cr.ones(1, 2)).sum().backward()


def test_backward_hooks_serve_every_derivative():
    layer, calls = Sequential(Linear(2, 2), cr.layers.Tanh()).double(), []
    layer.register_full_backward_hook(lambda m, into, out: calls.append(into[0].requires_grad))
    x = leaf(0.3, -0.4)
    assert cr.gradcheck(layer, (x,)) and cr.gradgradcheck(layer, (x,))
    calls.clear()
    first, = cr.grad(layer(x).sum(), x, create_graph=True)
    assert calls == [True]
    cr.grad(first.sum(), x)
    with cr.no_grad():
        assert not layer(x).requires_grad
    v = cr.tensor([1.0, 2.0], dtype=cr.float64)
    np.testing.assert_allclose(cr.jvp(layer, x, v)[1].data, cr.jacobian(layer, x).data @ v.data)


def test_in_place_layers_do_not_reach_through_backward_hooks():
    layer = ReLU(inplace=True)
    layer.register_full_backward_hook(lambda m, into, out: None)
    x = leaf(-1.0, 2.0)
    y = x * 1
    layer(y).sum().backward()
    assert y.tolist() == [-1.0, 2.0] and x.grad.tolist() == [0.0, 1.0]


def test_a_copy_has_the_hooks_and_a_call_keeps_nothing_alive():
    layer, seen = Sequential(Linear(2, 2)), []
    layer.register_full_backward_hook(lambda m, into, out: seen.append(m))
    twin = copy.deepcopy(layer)
    twin(leaf(1.0, 2.0).float()).sum().backward()
    assert seen == [twin]
    gc.disable()
    try:
        x = leaf(1.0, 2.0).float()
        y = layer(x)
        node = weakref.ref(y.grad_fn)
        y.sum().backward()
        del y, x
        seen.clear()
        assert node() is None  # no cycle
    finally:
        gc.enable()


@pytest.mark.peers
def test_hooks_are_called_as_torchs_are():
    torch = pytest.importorskip("torch")

    def log(module, x):
        seen = []
        numbers = lambda values: [None if v is None else np.asarray(v.detach()).round(5).tolist() for v in values]
        for i, layer in enumerate(module):
            layer.register_forward_pre_hook(lambda m, args, i=i: seen.append(("before", i, numbers(args))))
            layer.register_forward_hook(lambda m, args, out, i=i: seen.append(("after", i, numbers([*args, out]))))
            layer.register_full_backward_pre_hook(lambda m, out, i=i: seen.append(("back before", i, numbers(out))))
            layer.register_full_backward_hook(lambda m, into, out, i=i: seen.append(("back", i, numbers([*into, *out]))))
        module[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2,))
        module[1].register_full_backward_pre_hook(lambda m, out: (out[0] + 1,), prepend=True)
        module(x).sum().backward()
        return [*seen, numbers([x.grad, *[p.grad for p in module.parameters()]])]

    ours = Sequential(Linear(2, 3), cr.layers.Tanh(), Linear(3, 1)).double()
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    theirs.load_state_dict({name: torch.tensor(value.data) for name, value in ours.state_dict().items()})
    assert log(ours, leaf(0.5, -1.0)) == log(theirs, torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True))
