"""What users get wrong with layers and optimizers: the message names the layer, the value and the fix."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers, optim

x, model = cr.ones(2, 3), layers.Linear(3, 4)

MISTAKES = [
    ("a negative size", lambda: layers.Linear(-1, 4), ValueError, "Linear: in_features must be at least 0, got -1"),
    ("a size that is no integer", lambda: layers.Linear(3, 4.5), TypeError, "Linear: out_features must be an integer, got 4.5"),
    ("negative channels", lambda: layers.Conv2d(-3, 4, 3), ValueError, "Conv2d: in_channels must be at least 0, got -3"),
    ("no numbers", lambda: layers.Conv2d(3, 4, "3"), TypeError, "Conv2d: kernel_size='3' must be an integer or a tuple of 2"),
    ("a padding in words", lambda: layers.ReflectionPad2d("same"), TypeError, "ReflectionPad2d: padding='same' must be an integer"),
    ("negative features", lambda: layers.BatchNorm1d(-3), ValueError, "BatchNorm1d: num_features must be at least 0, got -3"),
    ("a slope in words", lambda: layers.LeakyReLU("x"), TypeError, "LeakyReLU: negative_slope must be a number, got 'x'"),
    ("a bound in words", lambda: layers.RReLU("x"), TypeError, "RReLU: lower must be a number, got 'x'"),
    ("division by beta", lambda: layers.Softplus(beta=0), ValueError, "Softplus: beta is 0, it divides"),
    ("division by alpha", lambda: layers.CELU(0), ValueError, "CELU: alpha is 0, it divides"),
    ("a negative threshold", lambda: layers.Softshrink(-1), ValueError, "Softshrink: lambd=-1 must not be negative"),
    ("an unknown form", lambda: layers.GELU("erf"), ValueError, "GELU: approximate='erf'; it is 'none' or 'tanh'"),
    ("a layer to fill", lambda: layers.init.xavier_uniform_(model), TypeError,
     r"init: takes a tensor .* got a Linear; pass its weight, linear\.weight"),
    ("a layer for a constant", lambda: layers.init.zeros_(model), TypeError, "constant_: takes a tensor .* got a Linear"),
    ("a model for a draw", lambda: layers.init.trunc_normal_(layers.ReLU()), TypeError, "trunc_normal_: .* got a ReLU$"),
    ("a negative width", lambda: layers.Embedding(10, -4), ValueError, "Embedding: embedding_dim must be at least 0, got -4"),
    ("no features", lambda: layers.Bilinear(0, 1, 1), ValueError, "Bilinear: in1_features must be at least 1, got 0"),
    ("no table", lambda: layers.Embedding.from_pretrained([1.0, 2.0]), cr.ShapeError, r"shape \(2,\), it needs two axes"),
    ("a class", lambda: layers.Sequential(model, layers.ReLU), TypeError,
     r"Sequential: '1' is to be a module, got the class ReLU; did you forget to create it, with \(\)\?"),
    ("a list", lambda: layers.Sequential([model]), TypeError, r"got a list; did you forget the \* before it\?"),
    ("a single module", lambda: layers.ModuleList(model), TypeError, r"ModuleList: takes a list, got a single Linear; pass \[it\]"),
    ("inputs for settings", lambda: layers.ReLU(x), TypeError, r"ReLU: got a tensor .* call it: ReLU\(\)\(\.\.\.\)"),
    ("inputs for an axis", lambda: layers.Softmax(x), TypeError, "Softmax: got a tensor where it takes settings"),
    ("inputs for a probability", lambda: layers.Dropout(x), TypeError, "Dropout: got a tensor where it takes settings"),
    ("inputs of a loss", lambda: layers.MSELoss(x, x), TypeError, r"make the layer first, then call it: MSELoss\(\)\(\.\.\.\)"),
    ("weight and target", lambda: layers.CrossEntropyLoss(x, x), TypeError, "CrossEntropyLoss: got a tensor"),
    ("a module for its state", lambda: model.load_state_dict(layers.Linear(3, 4)), TypeError, r"a module, take its state_dict\(\)"),
    ("a path for a state", lambda: model.load_state_dict("model.safetensors"), TypeError, "a path, load the file first"),
    ("a list for a state", lambda: model.load_state_dict([x]), TypeError, "takes a dict of tensors by name, got a list"),
    ("a module to optimize", lambda: optim.SGD(model), TypeError, r"SGD: .* got a Linear; pass model.parameters\(\)$"),
    ("a method to optimize", lambda: optim.SGD(model.parameters), TypeError, r"pass model.parameters\(\), with \(\)"),
    ("one beta", lambda: optim.Adam(model.parameters(), betas=0.9), ValueError, "Adam: betas=0.9 must be two numbers"),
    ("a string", lambda: optim.Adam(model.parameters(), lr="1e-3"), TypeError, "Adam: lr='1e-3' is a string"),
    ("a module to clip", lambda: optim.clip_grad_norm_(model, 1.0), TypeError,
     r"takes tensors, got a Linear; pass model.parameters\(\)"),
]


@pytest.mark.parametrize(("call", "error", "match"), [pytest.param(*case, id=name) for name, *case in MISTAKES])
def test_a_mistake_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


WARNED = [
    ("shapes", lambda: layers.MSELoss()(cr.ones(3, 1), cr.ones(3))),
    ("former arguments", lambda: layers.MSELoss(size_average=False)(x, x)),
    ("no axis", lambda: layers.Softmax()(x)),
    ("a softmax inside a model", lambda: layers.Sequential(layers.LogSoftmax())(x)),
    ("dropout after one layer", lambda: layers.LSTM(2, 3, dropout=0.5)),
    ("a list that requires gradients", lambda: layers.Parameter([cr.ones((), requires_grad=True)])),
]


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in WARNED])
def test_warnings_point_at_the_users_line(call):
    with pytest.warns(UserWarning) as caught:
        call()
    assert {(w.filename, w.lineno) for w in caught} == {(__file__, call.__code__.co_firstlineno)}


def test_sizes_may_be_numpys_integers():
    size = np.prod([2, 3])
    assert layers.LSTM(size, 4)(cr.zeros(1, 6))[0].shape == (1, 4)
    assert layers.Linear(size, np.int32(4))(cr.zeros(6)).shape == (4,)


def test_sums_and_differences_take_a_factor():
    a, b = cr.tensor([1.0, 2.0], requires_grad=True), cr.tensor([3.0, 4.0], requires_grad=True)
    out = a.add(b, alpha=2).sub(b, alpha=0.5)
    assert out.tolist() == [5.5, 8.0]
    out.sum().backward()
    assert a.grad.tolist() == [1.0, 1.0] and b.grad.tolist() == [1.5, 1.5]
    average = cr.tensor([1.0, 2.0])
    assert average.mul_(0.5).add_(b.detach(), alpha=0.5).sub_(1, alpha=2).tolist() == [0.0, 1.0]


def test_a_factor_that_is_a_tensor_gets_its_gradient_also_at_1():
    x, y, index = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]), cr.tensor([0, 1])
    for call in (lambda factor: x.add(y, alpha=factor), lambda factor: cr.addcmul(x, y, cr.ones(2), value=factor),
                 lambda factor: cr.addcdiv(x, y, cr.ones(2), value=factor),
                 lambda factor: cr.index_add(x, 0, index, y, alpha=factor)):
        factor = cr.tensor(1.0, requires_grad=True)
        call(factor).sum().backward()
        assert factor.grad is not None and factor.grad.item() == 7.0
