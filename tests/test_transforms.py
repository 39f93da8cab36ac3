"""vjp, jvp, jacobian, hessian and hvp: against finite differences, against each other, against torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.tensor import Tensor


def normal(*shape: int, seed: int = 0, requires_grad: bool = False) -> Tensor:
    return cr.tensor(np.random.default_rng([seed, *shape]).normal(size=shape), requires_grad=requires_grad)


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


# ---- functions of every kind: several inputs and outputs, views, writes, fused kernels, checkpoints

def products(x: Tensor, y: Tensor) -> Any:
    return x @ y, (x * x).sum(), y.exp()


def views(x: Tensor, y: Tensor) -> Any:
    rows = x[1:].mT.reshape(-1)
    return rows[::2] * rows[1::2], y.expand(2, *y.shape).flip(0).sum(1)


def writes(x: Tensor, y: Tensor) -> Any:
    z = x * y.mT.sum(0, keepdim=True).mean()
    z[0] = x[1].sin()
    part = z[:, 1:]
    part.mul_(x[:, :-1])
    z[1, 0] = 0
    return z.exp(), part.square()


def kernels(x: Tensor, y: Tensor) -> Any:
    h = F.gelu(F.linear(x, y.mT, y[0]))
    return F.scaled_dot_product_attention(h[None], h[None], h[None] * 2), F.layer_norm(h, h.shape[1:])


def lstm(x: Tensor, y: Tensor) -> Any:
    w = cr.cat([y, y.sin(), y.cos(), y * 2]).mT  # (8, 4·rows of y): cut to what the LSTM wants below
    w_ih, w_hh = w.reshape(-1)[:24].reshape(8, 3), w.reshape(-1)[8:24].reshape(8, 2)
    zero = cr.zeros(1, 2, dtype=x.dtype)
    output, (h, c) = F.lstm(x[:, None], (zero, zero), w_ih, w_hh)
    return output, h, c


def recomputed(x: Tensor, y: Tensor) -> Any:
    a, b = cr.checkpoint(lambda s, t: ((s @ t).tanh(), cr.checkpoint(lambda u: u.exp() * s.sum(), t)), x, y)
    return a * 2, b


def branches(x: Tensor, y: Tensor) -> Any:
    values, _ = x.max(1)
    return cr.where(x > 0, x * x, x.sin()), values * y.sum(), cr.linalg.inv(x[:2, :2]), y.cumsum(0).std()


FUNCTIONS = [products, views, writes, kernels, lstm, recomputed, branches]
each_function = pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
X, Y = normal(3, 3), normal(3, 2)


def numeric_jacobian(f: Callable[..., Any], inputs: list[np.ndarray], i: int, h: float = 1e-6) -> list[np.ndarray]:
    """Central differences of each output, (*output shape, *input shape)."""
    def values(a: np.ndarray) -> list[np.ndarray]:
        return [o.data.copy() for o in as_tuple(f(*[cr.tensor(a if k == i else v) for k, v in enumerate(inputs)]))]

    columns: list[list[np.ndarray]] = []
    for index in np.ndindex(inputs[i].shape):
        up, down = inputs[i].copy(), inputs[i].copy()
        up[index] += h
        down[index] -= h
        columns.append([(p - m) / (2 * h) for p, m in zip(values(up), values(down))])
    return [np.stack(c, -1).reshape(*c[0].shape, *inputs[i].shape) for c in zip(*columns)]


@each_function
def test_jacobian_against_central_differences(f: Any) -> None:
    blocks = cr.jacobian(f, (X, Y))
    for i in range(2):
        for row, expected in zip(blocks, numeric_jacobian(f, [X.data, Y.data], i), strict=True):
            assert row[i].shape == expected.shape and not row[i].requires_grad
            np.testing.assert_allclose(row[i].data, expected, rtol=1e-6, atol=1e-7)


@each_function
def test_products_against_the_jacobian(f: Any) -> None:
    """vᵀJ and Jv are what the Jacobian says, and the outputs the function's own."""
    blocks, outputs = cr.jacobian(f, (X, Y)), f(X, Y)
    v = tuple(normal(*o.shape, seed=1) for o in outputs)
    u = (normal(3, 3, seed=2), normal(3, 2, seed=3))
    made, pulled = cr.vjp(f, (X, Y), v)
    again, pushed = cr.jvp(f, (X, Y), u)
    for a, b, o in zip(made, again, outputs, strict=True):
        np.testing.assert_array_equal(a.data, o.data)
        np.testing.assert_array_equal(b.data, o.data)
        assert not a.requires_grad and not b.requires_grad
    for i, got in enumerate(pulled):
        expected = sum(np.tensordot(w.data, row[i].data, w.ndim) for w, row in zip(v, blocks, strict=True))
        np.testing.assert_allclose(got.data, expected, rtol=1e-9, atol=1e-12)
    for got, row in zip(pushed, blocks, strict=True):
        expected = sum(np.tensordot(row[i].data, u[i].data, u[i].ndim) for i in range(2))
        np.testing.assert_allclose(got.data, expected, rtol=1e-9, atol=1e-12)


@each_function
def test_second_derivatives(f: Any) -> None:
    """The Hessian is symmetric, the Jacobian of the gradient, and what hvp multiplies by."""
    def scalar(x: Tensor, y: Tensor) -> Tensor:
        return sum((o.square().sum() for o in f(x, y)), start=cr.tensor(0.0, dtype=cr.float64))

    def gradient(x: Tensor, y: Tensor) -> Any:
        xs = x.detach().requires_grad_(), y.detach().requires_grad_()
        return cr.grad(scalar(*xs), xs)

    hessian = cr.hessian(scalar, (X, Y))
    for i in range(2):
        for j, expected in enumerate(numeric_jacobian(gradient, [X.data, Y.data], i)):
            np.testing.assert_allclose(hessian[j][i].data, expected, rtol=1e-5, atol=1e-5)
            n = hessian[i][j].data.reshape((X, Y)[i].numel(), -1)
            np.testing.assert_allclose(n, hessian[j][i].data.reshape(n.T.shape).T, rtol=1e-8, atol=1e-9)
    v = normal(3, 3, seed=4), normal(3, 2, seed=5)
    value, products_ = cr.hvp(scalar, (X, Y), v)
    assert value.item() == scalar(X, Y).item()
    for i in range(2):
        expected = sum(np.tensordot(hessian[i][j].data, v[j].data, 2) for j in range(2))
        np.testing.assert_allclose(products_[i].data, expected, rtol=1e-8, atol=1e-9)
    _, forward_over_reverse = cr.jvp(lambda x, y: cr.grad(scalar(x, y), (x, y), create_graph=True), (X, Y), v)
    for a, b in zip(forward_over_reverse, products_, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-8, atol=1e-9)


# ---- structure: what a single tensor, a tuple, an unused input give

def test_single_tensors_give_single_tensors() -> None:
    x = normal(3)
    assert isinstance(cr.jacobian(lambda x: x * 2, x), Tensor)
    assert isinstance(cr.jacobian(lambda x: x * 2, (x,)), tuple)
    assert isinstance(cr.jacobian(lambda x: (x * 2, x), x), tuple)
    assert isinstance(cr.hessian(lambda x: x.sum(), x), Tensor)
    nested = cr.hessian(lambda x: x.exp().sum(), (x,))
    assert nested[0][0].shape == (3, 3)
    assert isinstance(cr.vjp(lambda x: x.sum(), x)[1], Tensor) and isinstance(cr.vjp(lambda x: x.sum(), (x,))[1], tuple)
    assert isinstance(cr.jvp(lambda x: x * 2, x, x)[1], Tensor) and isinstance(cr.jvp(lambda x: (x * 2, x), x, x)[1], tuple)
    assert isinstance(cr.hvp(lambda x: x.sum(), x, x)[1], Tensor) and isinstance(cr.hvp(lambda x: x.sum(), (x,), (x,))[1], tuple)


def test_shapes_of_scalars_and_empty_tensors() -> None:
    zero = normal()
    assert cr.jacobian(lambda x: x * x, zero).shape == ()
    assert cr.jacobian(lambda x: x.expand(2, 3), zero).shape == (2, 3)
    assert cr.jacobian(lambda x: x.sum(), normal(2, 3)).shape == (2, 3)
    assert cr.jacobian(lambda x: x[:0], normal(3)).shape == (0, 3)
    assert cr.jacobian(lambda x: x.sum() * cr.ones(2, dtype=cr.float64), cr.zeros(0, dtype=cr.float64)).shape == (2, 0)
    assert cr.hessian(lambda x: (x**3).sum(), zero).shape == ()


def test_unused_inputs_and_constant_outputs_are_zeros() -> None:
    x, y = normal(2), normal(3)
    first, second = cr.jacobian(lambda x, y: (x * 2, cr.ones(2, dtype=cr.float64)), (x, y))
    assert first[1].shape == (2, 3) and not first[1].data.any()
    assert not second[0].data.any() and not second[1].data.any()
    assert not cr.vjp(lambda x, y: x.sum(), (x, y))[1][1].data.any()
    assert not cr.jvp(lambda x, y: (x.sum(), cr.ones(3)), (x, y), (x, y))[1][1].data.any()
    assert not cr.hessian(lambda x, y: (x * x).sum(), (x, y))[1][1].data.any()
    assert not cr.hessian(lambda x: x.sum(), x).data.any()  # linear
    assert not cr.hessian(lambda x: cr.tensor(1.0), x).data.any()
    assert not cr.hvp(lambda x: x.sum(), x, x)[1].data.any()
    assert not cr.hvp(lambda x, y: (x * x).sum(), (x, y), (x, y))[1][1].data.any()


@pytest.mark.parametrize("transform", [
    lambda f, xs, **k: cr.vjp(f, xs, **k), lambda f, xs, **k: cr.jacobian(f, xs, **k),
    lambda f, xs, **k: cr.hessian(f, xs, **k), lambda f, xs, **k: cr.hvp(f, xs, xs, **k)],
    ids=["vjp", "jacobian", "hessian", "hvp"])
def test_strict_refuses_unused_inputs(transform: Any) -> None:
    x, y = normal(2), normal(3)
    transform(lambda x, y: (x * x).sum() + (x.sum() * y * y).sum(), (x, y), strict=True)
    with pytest.raises(cr.AutogradError, match="strict=True|was not used"):
        transform(lambda x, y: (x * x).sum(), (x, y), strict=True)


def test_strict_in_forward_mode() -> None:
    x = normal(2)
    cr.jvp(lambda x: x * 2, x, x, strict=True)
    with pytest.raises(cr.AutogradError, match="strict=True"):
        cr.jvp(lambda x: (x * 2, cr.ones(2)), x, x, strict=True)


def test_create_graph_differentiates_the_result() -> None:
    x = normal(3, requires_grad=True)
    jacobian = cr.jacobian(lambda x: x**3, x, create_graph=True)
    g, = cr.grad(jacobian.sum(), x)
    np.testing.assert_allclose(g.data, 6 * x.data)
    hessian = cr.hessian(lambda x: (x**4).sum(), x, create_graph=True)
    np.testing.assert_allclose(cr.grad(hessian.sum(), x)[0].data, 24 * x.data)
    v = normal(3, seed=1, requires_grad=True)
    for transform, by_x in ((cr.vjp, 6 * x.data * v.data), (cr.jvp, 6 * x.data * v.data)):
        _, product = transform(lambda x: x**3, x, v, create_graph=True)
        gx, gv = cr.grad(product.sum(), [x, v])
        np.testing.assert_allclose(gx.data, by_x)
        np.testing.assert_allclose(gv.data, 3 * x.data**2)
    _, product = cr.hvp(lambda x: (x**4).sum(), x, v, create_graph=True)
    gx, gv = cr.grad(product.sum(), [x, v])
    np.testing.assert_allclose(gx.data, 24 * x.data * v.data)
    np.testing.assert_allclose(gv.data, 12 * x.data**2)
    for result in (cr.jacobian(lambda x: x**3, x), cr.vjp(lambda x: x**3, x, v)[1], cr.jvp(lambda x: x**3, x, v)[1]):
        assert not result.requires_grad


def test_nested_transforms() -> None:
    """The Jacobian of a Jacobian, forward over forward, and a Hessian as forward over reverse."""
    x = normal(2)
    third = cr.jacobian(lambda x: cr.jacobian(lambda x: x**3, x, create_graph=True), x)
    np.testing.assert_allclose(np.einsum("iii->i", third.data), 6 * x.data)
    ones = cr.ones(2, dtype=cr.float64)
    _, second = cr.jvp(lambda x: cr.jvp(lambda x: x**3, x, ones, create_graph=True)[1], x, ones)
    np.testing.assert_allclose(second.data, 6 * x.data)


def test_they_work_under_no_grad_and_touch_no_gradient() -> None:
    x = normal(3, requires_grad=True)
    with cr.no_grad():
        assert cr.jacobian(lambda x: x * x, x).data.any() and cr.jvp(lambda x: x * x, x, x)[1].data.any()
        assert cr.hessian(lambda x: (x * x).sum(), x).data.any()
    assert x.grad is None


def test_float32_stays_float32() -> None:
    x = normal(3).float()
    for result in (cr.jacobian(lambda x: x.exp(), x), cr.hessian(lambda x: x.exp().sum(), x), cr.jvp(lambda x: x.exp(), x, x)[1],
                   cr.vjp(lambda x: x.exp(), x, x)[1], cr.hvp(lambda x: x.exp().sum(), x, x)[1]):
        assert result.dtype == cr.float32


def test_mixed_precision_forward_mode() -> None:
    x, y = normal(3).float(), normal(3)
    _, got = cr.jvp(lambda x, y: x * y, (x, y), (cr.ones(3), cr.zeros(3)))
    assert got.dtype == cr.float64
    np.testing.assert_allclose(got.data, y.data)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda x: cr.vjp(lambda x: x * 2, x), cr.AutogradError, "vjp: v may only be left out"),
    (lambda x: cr.jvp(lambda x: x * 2, x), cr.AutogradError, "jvp: v may only be left out"),
    (lambda x: cr.vjp(lambda x: x * 2, x, cr.ones(2)), cr.ShapeError, r"vjp: vector 0 has shape \(2,\), the output has \(3,\)"),
    (lambda x: cr.jvp(lambda x: x * 2, x, cr.ones(2)), cr.ShapeError, r"jvp: vector 0 has shape \(2,\), the input has \(3,\)"),
    (lambda x: cr.jvp(lambda x: x * 2, x, (x, x)), cr.ShapeError, "jvp: 1 inputs but 2 vectors"),
    (lambda x: cr.hessian(lambda x: x * 2, x), cr.ShapeError, "hessian: the function must return a tensor with one element"),
    (lambda x: cr.hvp(lambda x: x * 2, x, x), cr.ShapeError, "hvp: the function must return a tensor with one element"),
    (lambda x: cr.jacobian(lambda x: 1.0, (x,)), cr.DtypeError, "jacobian: the function's outputs: expected tensors, got a float"),
    (lambda x: cr.jvp(cr.exp, 2.0), cr.DtypeError, "jvp: expected tensors, got a float"),
    (lambda x: cr.jacobian(lambda x, y: x, (x, 2.0)), cr.DtypeError, "jacobian: expected tensors, got a float"),
])
def test_bad_questions(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call(normal(3))


# ---- torch


@pytest.mark.peers
def test_as_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.autograd.functional

    def f(x: Any, y: Any) -> Any:
        return (x @ y).tanh(), (x * x).sum(), y.exp() * x[0, 0]

    def scalar(x: Any, y: Any) -> Any:
        return (x @ y).tanh().sum() * x[0, 1]

    def both(name: str, function: Any, *vectors: Any) -> tuple[Any, Any]:
        ours = getattr(cr, name)(function, (X, Y), *[tuple(cr.tensor(a) for a in v) for v in vectors])
        other = getattr(theirs, name)(function, tuple(torch.tensor(t.data) for t in (X, Y)),
                                      *[tuple(torch.tensor(a) for a in v) for v in vectors])
        return ours, other

    def compare(a: Any, b: Any) -> None:
        if isinstance(b, tuple):
            assert isinstance(a, tuple) and len(a) == len(b)
            for p, q in zip(a, b):
                compare(p, q)
        else:
            assert a.shape == tuple(b.shape)
            np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-9, atol=1e-12)

    v, u = [normal(*s, seed=9).data for s in ((3, 2), (), (3, 2))], [normal(3, 3, seed=8).data, normal(3, 2, seed=7).data]
    compare(*both("jacobian", f))
    compare(*both("vjp", f, v))
    compare(*both("jvp", f, u))
    compare(*both("hessian", scalar))
    compare(*both("hvp", scalar, u))
