"""Matrix products of the cpu kernels: `matmul`, and the linear map with its gradients. Integers: every sum is exact."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.kernels import cpu

matmul_file = import_module("chainrule.kernels.cpu.matmul")


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy multiplies nothing, whatever the size."""
    for name in ("matmul", "linear"):
        file = import_module(f"chainrule.kernels.cpu.{name}")
        monkeypatch.setattr(file, "SMALLEST", 1)
        monkeypatch.setattr(file, "np", _WithoutMatmul())


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The kernels refer to `np`, too: they are compiled before a test puts something else in its place."""
    for dtype in (np.float32, np.float64):
        cpu.matmul(np.ones((300, 300), dtype), np.ones((300, 300), dtype))


class _WithoutMatmul:
    def __getattr__(self, name: str) -> Any:
        if name == "matmul":
            raise AssertionError("NumPy was asked to multiply matrices")
        return getattr(np, name)


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = cr.get_num_threads()
    cr.set_num_threads(n)
    yield
    cr.set_num_threads(before)


def integers(rng: Any, *shape: int, dtype: Any = np.float64) -> Any:
    return rng.integers(-4, 5, shape).astype(dtype)


def forms(x: Any) -> list[Any]:
    """The same matrices, or parts of them, lying differently in memory."""
    turned = np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    wider = np.zeros((*x.shape[:-2], x.shape[-2] + 3, x.shape[-1] + 5), x.dtype)
    wider[..., 2:-1, 4:-1] = x
    spread = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    spread[..., ::2] = x
    readonly = x.copy()
    readonly.flags.writeable = False
    return [x, turned, wider[..., 2:-1, 4:-1], spread[..., ::2], x[..., ::-1, :].copy()[..., ::-1, :], readonly]


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "depth", "columns"), [
    (1, 1, 1), (1, 300, 500), (300, 500, 1), (300, 1, 500), (65, 64, 63), (33, 1000, 17), (16, 2000, 40), (501, 70, 260),
    (200, 513, 700)])
def test_matrices_of_all_forms(rows: int, depth: int, columns: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = integers(rng, rows, depth, dtype=dtype), integers(rng, depth, columns, dtype=dtype)
    expected = (a.astype(np.int64) @ b.astype(np.int64)).astype(dtype)
    for i, first in enumerate(forms(a)):
        for j, second in enumerate(forms(b)):
            if i == 0 or j == 0 or i == j:
                np.testing.assert_array_equal(cpu.matmul(first, second), expected, strict=True)


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize(("first", "second"), [
    ((3, 5), (3, 5)), ((3, 1), (5,)), ((70,), (1,)), ((), (7,)), ((7,), ()), ((2, 3, 4), (3, 1)), ((2, 1, 4), (2, 3, 1)),
    ((2, 1, 2, 1), (1, 2, 1, 2)), ((1, 1), ())])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(9, 8, 7), (40, 130, 70)])
def test_batches_broadcast(first: Any, second: Any, rows: int, depth: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    a, b = integers(rng, *first, rows, depth), integers(rng, *second, depth, columns)
    expected = np.matmul(a.astype(np.int64), b.astype(np.int64)).astype(float)
    for x, y in zip(forms(a), forms(b)[1:] + forms(b)[:1], strict=True):
        np.testing.assert_array_equal(cpu.matmul(x, y), expected, strict=True)


@pytest.mark.usefixtures("only_ours")
def test_heads_inside_of_tokens() -> None:
    # (N, H, T, D) each, cut out of one projection (N, T, 3, H, D)
    q, k, _ = integers(np.random.default_rng(0), 4, 50, 3, 5, 32).transpose(2, 0, 3, 1, 4)
    np.testing.assert_array_equal(cpu.matmul(q, k.swapaxes(-1, -2)), np.matmul(q, k.swapaxes(-1, -2)), strict=True)


@pytest.mark.parametrize(("first", "second"), [((0, 4), (4, 5)), ((3, 0), (0, 5)), ((3, 4), (4, 0)), ((0, 300, 40), (40, 50)),
                                               ((2, 300, 0), (2, 0, 400)), ((0, 64, 64), (1, 64, 64))])
def test_sizes_of_zero(first: Any, second: Any) -> None:
    a, b = np.ones(first), np.ones(second)
    np.testing.assert_array_equal(cpu.matmul(a, b), np.matmul(a, b), strict=True)


def test_large_products_are_never_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matmul", "linear"):
        monkeypatch.setattr(import_module(f"chainrule.kernels.cpu.{name}"), "np", _WithoutMatmul())
    x, w = (cr.ones(n, 128, dtype=cr.float32, requires_grad=True) for n in (100, 96))
    (x @ w.mT).sum().backward()
    F.linear(x.reshape(4, 25, 128), w).sum().backward()
    (x.reshape(4, 25, 128) @ w.mT.contiguous()).sum().backward()
    assert x.grad[3, 7].item() == 3 * 96 and w.grad[3, 7].item() == 300


def test_other_dtypes_and_misfits_go_to_numpy() -> None:
    a = np.arange(90_000).reshape(300, 300) % 7
    for dtype in (np.int64, np.complex64, np.dtype(">f4")):
        np.testing.assert_array_equal(cpu.matmul(a.astype(dtype), a.astype(dtype)), a @ a)
    with pytest.raises(ValueError, match="mismatch"):
        cpu.matmul(np.ones((300, 299)), np.ones((300, 300)))
    with pytest.raises(ValueError, match="broadcast"):
        cpu.matmul(np.ones((2, 90, 90)), np.ones((3, 90, 90)))
    raw = np.zeros(4 * 90_000 + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(300, 300)
    unaligned[:] = a
    np.testing.assert_array_equal(cpu.matmul(unaligned, unaligned), a @ a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy(dtype: Any) -> None:
    """Every element within depth · eps of the exact product, in units of |a| @ |b|."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((70, 3000)), rng.standard_normal((3000, 90))
    a, b = a.astype(dtype), b.astype(dtype)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    bound = 100 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
    assert (np.abs(cpu.matmul(a, b) - exact) < bound).all()
    bias = cpu.linear_grad(b, a.T.copy(), np.ones((90, 70), dtype), np.ones(90, dtype), (False, True, True))[2]
    assert (np.abs(bias - b.astype(np.longdouble).sum(0)) < 10 * np.finfo(dtype).eps * np.abs(b).sum(0)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value: float) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(150, 80), (90, 80), (90,)])
    x[70, 3] = w[5, 0] = b[8] = value
    with np.errstate(invalid="ignore"):
        for found, expected in [(cpu.matmul(x, w.T), x @ w.T), (cpu.linear(x, w, b), x @ w.T + b),
                                (cpu.linear_grad(x @ w.T, x, w, b, (True, True, True))[2], (x @ w.T).sum(0))]:
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            np.testing.assert_array_equal(found == np.inf, expected == np.inf)


def test_same_bits_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, w, b, g = (rng.standard_normal(shape, np.float32) for shape in [(301, 260), (333, 260), (333,), (301, 333)])
    heads = rng.standard_normal((5, 3, 70, 50), np.float32)

    def results() -> list[Any]:
        return [cpu.linear(x, w, b), *cpu.linear_grad(g, x, w, b, (True, True, True)), cpu.matmul(x, w.T),
                cpu.matmul(heads, heads.swapaxes(-1, -2))]

    with threads(1):
        alone = results()
    with threads(2):
        together = results()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.usefixtures("only_ours")
def test_gradient_of_matrices_that_a_batch_shares() -> None:
    rng = np.random.default_rng(0)
    x, w, g = integers(rng, 5, 20, 30), integers(rng, 30, 40), integers(rng, 5, 20, 40)
    a, b = cr.tensor(x, requires_grad=True), cr.tensor(w, requires_grad=True)
    (a @ b).backward(cr.tensor(g))
    np.testing.assert_array_equal(a.grad.numpy(), np.einsum("btn,kn->btk", g, w))
    np.testing.assert_array_equal(b.grad.numpy(), np.einsum("btk,btn->kn", x, g))


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("wanted", [(True, True, True), (True, False, True), (False, True, False), (False, False, True)])
def test_gradients_of_the_linear_map_in_all_forms(wanted: tuple[bool, bool, bool]) -> None:
    rng = np.random.default_rng(0)
    x, w, b, g = integers(rng, 300, 130), integers(rng, 90, 130), integers(rng, 90), integers(rng, 300, 90)
    expected = [g @ w, g.T @ x, g.sum(0)]
    for own_x, own_w, own_g in zip(forms(x), forms(w)[::-1], forms(g), strict=True):
        found = cpu.linear_grad(own_g, own_x, own_w, b, wanted)
        for one, other, asked in zip(found, expected, wanted, strict=True):
            if asked:
                np.testing.assert_array_equal(one, other, strict=True)
            else:
                assert one is None


@pytest.mark.parametrize("turned", [False, True])
def test_gradients_are_not_copied_on_their_way_to_the_leaves(turned: bool) -> None:
    """Nor where the weight is stored (in, out), and its gradient arrives through a transposition."""
    x, bias = cr.randn(4, 50, 64, requires_grad=True), cr.randn(96, requires_grad=True)
    weight = cr.randn(64, 96, requires_grad=True) if turned else cr.randn(96, 64, requires_grad=True)
    out = F.linear(x, weight.mT if turned else weight, bias)
    op, made = out.node.op, []
    forward, backward, asks = op.pairs[cpu]

    def noted(*arguments: Any) -> Any:
        found = backward(*arguments)
        made.extend(array.ctypes.data for array in found)  # while they are alive, nothing else lies there
        return found

    op.pairs[cpu] = forward, noted, asks
    try:
        out.backward(cr.ones(4, 50, 96))
    finally:
        op.pairs[cpu] = forward, backward, asks
    assert [t.grad.data.ctypes.data for t in (x, weight, bias)] == made
    assert all(t.grad.data.flags.c_contiguous for t in (x, weight, bias))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (3,), (0,), (2, 0, 5), (20, 32), (1, 4000)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear_and_its_gradients(dtype: Any, lead: tuple[int, ...], with_bias: bool) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias, g = (rng.integers(-4, 5, shape).astype(dtype) for shape in [(*lead, 24), (40, 24), (40,), (*lead, 40)])
    bias = bias if with_bias else None
    expected = x @ weight.T + (bias if with_bias else 0)
    np.testing.assert_array_equal(cpu.linear(x, weight, bias), expected.astype(dtype), strict=True)
    gradients = cpu.linear_grad(g, x, weight, bias, (True, True, True))
    rows = g.reshape(-1, 40) if g.size else np.zeros((0, 40), dtype)
    columns = x.reshape(-1, 24) if x.size else np.zeros((0, 24), dtype)
    for found, expected in zip(gradients, (g @ weight, rows.T @ columns, rows.sum(0)), strict=True):
        if found is None:
            assert bias is None
        else:
            np.testing.assert_array_equal(found, expected, strict=True)
    assert cpu.linear_grad(g, x, weight, bias, (False, False, False)) == (None, None, None)


def test_linear_takes_strided_arrays_and_declines_other_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.integers(-4, 5, shape).astype(np.float32) for shape in [(96, 130), (96, 128), (256,)])
    x, weight, bias = x.T[::-1], weight.T, bias[::2]
    np.testing.assert_array_equal(cpu.linear(x, weight, bias), x @ weight.T + bias, strict=True)
    assert cpu.linear(x.astype(np.float16), weight.astype(np.float16), None) is NotImplemented
    assert cpu.linear(x.astype(np.float64), weight, None) is NotImplemented
    assert cpu.linear_grad(x, x.astype(np.float64), weight, None, (True, True, False)) is NotImplemented
    with pytest.raises(ValueError, match=r"x of shape \(130, 95\) has 95 features, but the weight of shape \(128, 96\)"):
        cpu.linear(x[:, 1:], weight, bias)
    monkeypatch.setattr(matmul_file, "USABLE", False)
    assert cpu.linear(x, weight, bias) is NotImplemented
    np.testing.assert_array_equal(cpu.matmul(x, weight.T), x @ weight.T, strict=True)
