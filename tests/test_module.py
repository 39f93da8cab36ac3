"""Modules: what they find among their attributes, their state, their errors."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import (
    Dropout,
    Flatten,
    Identity,
    Linear,
    Module,
    ModuleDict,
    ModuleList,
    Parameter,
    ParameterDict,
    ParameterList,
    ReLU,
    Sequential,
    functional_call,
)


class Net(Module):
    """Children before own parameters, a buffer, and a tensor that is merely stored."""

    def __init__(self):
        self.body = Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
        self.scale = Parameter([2.0])
        self.register_buffer("mean", cr.tensor([0.5, 0.5]))
        self.register_buffer("cache", cr.tensor([1, 2]), persistent=False)
        self.last = None

    def forward(self, x):
        self.last = self.body(x)
        return self.scale * (self.last - self.mean)


def batch(*shape):
    return cr.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def test_own_parameters_come_before_children():
    names = ["scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    net = Net()
    assert [name for name, _ in net.named_parameters()] == names
    assert [p.shape for p in net.parameters()] == [(1,), (3, 4), (3,), (2, 3), (2,)]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert list(net.state_dict()) == ["scale", "mean", *names[1:]]
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert list(net.children()) == [net.body]
    assert net.get_submodule("body.2") is net.body[2]
    with pytest.raises(AttributeError, match="has no module '7'; it has: 0, 1, 2"):
        net.get_submodule("body.7")


def test_what_stands_at_a_path():
    net = Net()
    assert net.get_parameter("body.0.weight") is net.body[0].weight and net.get_buffer("mean") is net.mean
    with pytest.raises(AttributeError, match=r"get_parameter\('body.0.mean'\): .* no parameter 'mean'; it has: weight, bias"):
        net.get_parameter("body.0.mean")
    with pytest.raises(AttributeError, match=r"get_buffer\('scale'\): .* has no buffer 'scale'; it has: mean, cache"):
        net.get_buffer("scale")
    net.body[0].weight_copy, last = net.body[0].weight, net.body[2]
    assert net.get_parameter("body.0.weight_copy") is net.body[0].weight  # tied, under either name
    net.set_submodule("body.1", Linear(4, 4))
    net.set_submodule("extra", Linear(2, 2))
    assert [name for name, _ in net.named_children()] == ["body", "extra"] and list(net.body)[2] is last
    assert net.body[1].in_features == 4
    with pytest.raises(AttributeError, match="has no module 'other'"):
        net.set_submodule("other", Linear(2, 2), strict=True)
    with pytest.raises(AttributeError, match="has no module 'mean'"):
        net.set_submodule("mean", Linear(2, 2))
    for target, module in (("", net), ("body.1", [net])):
        with pytest.raises(ValueError, match="set_submodule"):
            net.set_submodule(target, module)


def test_a_stored_tensor_is_no_part_of_the_state():
    net = Net()
    net(batch(5, 4))
    assert net.last.requires_grad and "last" not in net.state_dict()


def test_a_module_without_super_init_and_with_lazy_attributes():
    class Late(Module):
        def forward(self, x):
            if not hasattr(self, "linear"):
                self.linear = Linear(4, 1)
            return self.linear(x)

    late = Late()
    assert list(late.parameters()) == []
    late(batch(2, 4))
    assert len(list(late.parameters())) == 2


@pytest.mark.parametrize(("value", "fix"), [
    ([Linear(1, 1)], r"use ModuleList\(\[...\]\)"), ((Linear(1, 1),), "ModuleList"),
    ({"a": Linear(1, 1)}, "use ModuleDict"),
    ([[1, {"a": [Linear(1, 1)]}]], "ModuleList"), ([Parameter([1.0])], "use ParameterList"),
    ({"a": Parameter([1.0])}, "use ParameterDict"),
])
def test_lists_and_dicts_that_hide_parameters_are_refused(value, fix):
    with pytest.raises(TypeError, match=fix):
        Net().layers = value


def test_a_list_filled_after_its_assignment_is_refused_when_asked():
    net = Net()
    net.layers = []
    net.layers.append(Linear(1, 1))
    with pytest.raises(TypeError, match="Net.layers is a list with a Linear in it"):
        list(net.parameters())
    net.layers = ["plain", 3]
    assert len(list(net.parameters())) == 5


def test_a_parameter_is_not_silently_replaced():
    net = Linear(2, 2)
    with pytest.raises(TypeError, match="Linear.weight is a Parameter and float32"):
        net.weight = cr.tensor([1.0])
    net.weight = Parameter([[1.0, 2.0], [3.0, 4.0]])
    assert np.allclose(net(cr.tensor([[1.0, 1.0]])).data, [3.0, 7.0] + net.bias.data)
    net.bias = None
    assert [name for name, _ in net.named_parameters()] == ["weight"]


def test_parameter():
    source = cr.tensor([1.0, 2.0])
    p = Parameter(source)
    assert p.is_leaf and p.requires_grad and np.shares_memory(p.data, source.data)
    assert repr(p) == "Parameter([1., 2.], requires_grad=True)"
    assert type(p * 2) is cr.Tensor
    assert not Parameter(source, requires_grad=False).requires_grad
    with pytest.raises(cr.DtypeError, match="floating-point"):
        Parameter([1, 2])


def test_tied_weights_are_one_parameter_under_two_names():
    net = Sequential(Linear(3, 3), Linear(3, 3))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    twin = copy.deepcopy(net)
    assert twin[1].weight is twin[0].weight is not net[0].weight
    assert "parameters" in repr(net) and "15 parameters" in repr(net)  # 9 + 3 + 3


def test_deepcopy_is_independent():
    net = Net()
    net.body[0].weight.requires_grad_(False)
    twin = copy.deepcopy(net)
    assert list(twin.state_dict()) == list(net.state_dict())
    assert all(type(p) is Parameter for p in twin.parameters())
    assert not twin.body[0].weight.requires_grad and twin.body[2].weight.requires_grad
    before = net.scale.item()
    with cr.no_grad():
        twin.scale.fill_(7.0)
        twin.register_buffer("extra", cr.tensor([1.0]))
    assert net.scale.item() == before and "extra" not in net.state_dict()
    x = batch(5, 4)
    twin(x).sum().backward()
    assert net.scale.grad is None and twin.scale.grad is not None


def test_train_eval_freeze_and_zero_grad():
    net = Sequential(Dropout(0.5), Sequential(Dropout(0.5), Linear(2, 2)))
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    net(batch(3, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert [p.grad.data.any() for p in net.parameters()] == [False, False]
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None, None]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert "6 parameters, 0 of them trained" in repr(net)


def test_apply_visits_children_first():
    seen = []
    Sequential(Linear(1, 1), Sequential(ReLU())).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_to_converts_in_place():
    net = Net()
    weight = net.body[0].weight
    net(batch(5, 4)).sum().backward()
    assert net.double() is net and net.body[0].weight is weight
    assert {p.dtype for p in net.parameters()} == {p.grad.dtype for p in net.parameters()} == {cr.float64}
    assert net.mean.dtype == cr.float64 and net.cache.dtype == cr.int64 and "mean" in net.state_dict()
    assert net(batch(5, 4).double()).dtype == cr.float64
    assert {p.dtype for p in net.half().parameters()} == {cr.float16}
    assert {p.dtype for p in net.to(cr.tensor([1.0])).parameters()} == {cr.float32}
    assert {p.dtype for p in net.to("cpu", dtype=cr.float64).float().parameters()} == {cr.float32}
    with pytest.raises(cr.DtypeError, match="floating-point"):
        net.to(cr.int64)


def test_state_dict_round_trip_keeps_the_parameters():
    a, b = Net(), Net()
    weight = b.body[0].weight
    found = b.load_state_dict({name: value.numpy() for name, value in a.double().state_dict().items()})
    assert found == ([], []) and b.body[0].weight is weight and weight.dtype == cr.float32
    assert np.array_equal(weight.data, a.body[0].weight.data.astype(np.float32))
    assert np.shares_memory(b.state_dict()["scale"].data, b.scale.data) and not b.state_dict()["scale"].requires_grad


def test_load_state_dict_lists_everything_at_once_and_loads_nothing():
    net = Net()
    state = {name: np.full(value.shape, 9.0) for name, value in net.state_dict().items()}
    del state["body.0.bias"], state["mean"]
    state |= {"body.0.weight": np.zeros((3, 5)), "scale": np.zeros(2), "gone": np.zeros(1)}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == """load_state_dict: the state does not fit this Net, nothing was loaded
  missing:
    mean
    body.0.bias
  unexpected:
    gone
  misshapen:
    scale: the module has float32(1), the state float64(2)
    body.0.weight: the module has float32(3, 4), the state float64(3, 5)"""
    with pytest.raises(RuntimeError, match="misshapen") as caught:
        net.load_state_dict(state, strict=False)
    assert "missing" not in str(caught.value)
    assert not (net.body[2].weight.data == 9).any()
    del state["body.0.weight"], state["scale"]
    found = net.load_state_dict(state, strict=False)
    assert found.missing_keys == ["scale", "mean", "body.0.weight", "body.0.bias"] and found.unexpected_keys == ["gone"]
    assert (net.body[2].weight.data == 9).all()


@pytest.mark.parametrize(("take", "put"), [("module.", "take it off"), ("", "put it in front of")])
def test_load_state_dict_sees_a_common_prefix(take, put):
    inner = Linear(2, 2)
    outer = Sequential(OrderedDict(module=Linear(2, 2)))
    target, source = (inner, outer) if take else (outer, inner)
    with pytest.raises(RuntimeError, match=f"'module.' only: {put} the state's names"):
        target.load_state_dict(source.state_dict())


def test_load_state_dict_is_seen_by_a_graph_that_kept_the_values():
    net = Linear(2, 2)
    x = batch(3, 2).requires_grad_()
    y = net(x).sum()
    net.load_state_dict(Linear(2, 2).state_dict())
    with pytest.raises(cr.AutogradError, match="changed in place"):
        y.backward()


def test_buffers():
    net = Net()
    net.mean = cr.tensor([3.0, 4.0])
    assert net.state_dict()["mean"].tolist() == [3.0, 4.0]
    net.register_buffer("mean", None)
    assert "mean" not in net.state_dict()
    for name, problem in (("a.b", "without dots"), ("forward", "already has"), ("scale", "already has")):
        with pytest.raises(KeyError, match=problem):
            net.register_buffer(name, cr.tensor([1.0]))
    with pytest.raises(TypeError, match="a buffer is a tensor, got ndarray"):
        net.register_buffer("raw", np.zeros(2))
    with pytest.raises(TypeError, match="wrap it as Parameter"):
        net.register_parameter("weight", cr.tensor([1.0]))
    with pytest.raises(TypeError, match="did you forget to create it"):
        net.add_module("act", ReLU)


def test_an_exception_names_the_layer_once():
    class Outer(Module):
        def __init__(self):
            self.net = Net()

        def forward(self, x):
            return self.net(x)

    with pytest.raises(cr.ShapeError) as caught:
        Outer()(batch(5, 7))
    assert caught.value.__notes__ == ["in layer Outer.net.body.0 (Linear(4, 3))"]
    with pytest.raises(cr.ShapeError) as caught:
        Linear(4, 3)(batch(5, 7))
    assert caught.value.__notes__ == ["in layer Linear(4, 3)"]
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(\)"):
        Module()(1)


def test_a_module_inside_itself_is_refused():
    net = Sequential(Identity())
    net.append(net)
    with pytest.raises(RecursionError, match="contains itself"):
        list(net.parameters())


def test_repr_is_a_tree_with_counts():
    assert repr(Net()) == """\
Net(                      24 parameters
  (scale): Parameter(1,)   1
  (body): Sequential(     23
    (0): Linear(4, 3)     15
    (1): ReLU()
    (2): Linear(3, 2)      8
  )
)"""
    assert repr(Linear(40, 30, bias=False)) == "Linear(40, 30, bias=False)  1,200 parameters"
    assert repr(Flatten()) == "Flatten()"


def test_sequential():
    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
    assert len(net) == 3 and net[-1] is net[2] and list(net)[1] is net[1]
    part = net[1:]
    assert type(part) is Sequential and list(part.state_dict()) == ["2.weight", "2.bias"] and part[1] is net[2]
    named = Sequential(OrderedDict(first=Linear(2, 3), second=ReLU()))
    assert list(named.state_dict()) == ["first.weight", "first.bias"] and named.second is named[1]
    net[1] = Identity()
    net.append(ReLU()).insert(0, Flatten())
    assert [type(m).__name__ for m in net] == ["Flatten", "Linear", "Identity", "Linear", "ReLU"]
    del net[0]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(IndexError, match="index 9 is out of range, it holds 4 modules"):
        net[9]
    with pytest.raises(TypeError, match="did you forget to create it"):
        Sequential(ReLU)


def test_module_list_and_dict():
    net = ModuleList([Linear(1, 2)]).extend([ReLU(), Linear(2, 1)])
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert type(net[:2]) is ModuleList and len(net[:2]) == 2
    net += [Identity()]
    assert type(net.pop()) is Identity and type(net.pop(1)) is ReLU
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    net.insert(1, ReLU())
    heads = ModuleDict({"a": Linear(1, 2), "b": ReLU()})
    heads["c"] = Linear(2, 1)
    assert heads.keys() == ["a", "b", "c"] and len(heads) == 3 and "b" in heads and "x" not in heads
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "c.weight", "c.bias"]
    assert heads.pop("b") is not None and heads.values() == [heads["a"], heads["c"]]
    with pytest.raises(KeyError, match="the keys are 'a', 'c'"):
        heads["b"]
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        heads["keys"] = ReLU()


def test_parameter_list_and_dict():
    weights = ParameterList([cr.zeros(2), np.ones(3, np.float32)]).append(Parameter([5.0]))
    assert [(name, p.shape) for name, p in weights.named_parameters()] == [("0", (2,)), ("1", (3,)), ("2", (1,))]
    assert all(type(p) is Parameter for p in weights) and weights[-1].tolist() == [5.0] and len(weights[1:]) == 2
    weights.insert(0, Parameter([7.0]))
    del weights[1]
    assert [p.shape for p in weights] == [(1,), (3,), (1,)]
    named = ParameterDict({"a": cr.zeros(2)})
    named.update([("b", cr.ones(1))])
    assert list(named.state_dict()) == named.keys() == ["a", "b"] and "a" in named and len(named) == 2
    assert ParameterDict(named)["b"] is named["b"] and named.pop("a").shape == (2,) and named.values() == [named["b"]]
    with pytest.raises(KeyError, match="the keys are 'b'"):
        named["a"]
    with pytest.raises(IndexError, match="holds 3 parameters"):
        weights[3]
    model = Sequential(Linear(1, 1))
    model.extra = named
    assert "extra.b" in model.state_dict() and "ParameterDict()" in repr(model)


def test_functional_call_differentiates_by_given_tensors_and_restores():
    net = Sequential(Linear(3, 2), Linear(2, 2))
    own = dict(net.named_parameters())
    given = {name: cr.tensor(np.full(p.shape, 0.5, np.float32), requires_grad=True) for name, p in own.items()}
    x = batch(4, 3)
    out = functional_call(net, given, (x,))
    hidden = x.data.sum(1, keepdims=True) * 0.5 + 0.5
    assert np.allclose(out.data, np.repeat(hidden + 0.5, 2, axis=1), rtol=1e-5)
    out.sum().backward()
    assert all(g.grad is not None for g in given.values()) and all(p.grad is None for p in own.values())
    assert dict(net.named_parameters()) == own or all(p is own[n] for n, p in net.named_parameters())
    with pytest.raises(cr.ShapeError):
        functional_call(net, given, (batch(4, 9),))
    assert all(p is own[name] for name, p in net.named_parameters())
    with pytest.raises(AttributeError, match="Sequential has no parameter or buffer 2.weight; it has 0.weight"):
        functional_call(net, {"2.weight": x}, (x,))


def test_functional_call_replaces_ties_and_buffers_and_takes_keywords():
    net = Net()
    out = functional_call(net, {"scale": cr.tensor([0.0]), "mean": cr.tensor([1.0, 1.0])}, kwargs={"x": batch(2, 4)})
    assert not out.data.any() and net.mean.tolist() == [0.5, 0.5]
    tied = Sequential(Linear(2, 2, bias=False), Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    out = functional_call(tied, {"0.weight": cr.tensor([[2.0, 0.0], [0.0, 2.0]])}, cr.tensor([1.0, 3.0]))
    assert out.tolist() == [4.0, 12.0]
