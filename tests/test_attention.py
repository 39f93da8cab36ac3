"""Scaled dot-product attention: the blockwise kernel against the definition, masks, dropout, unusual sizes, errors."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.functional import scaled_dot_product_attention as attention
from chainrule.kernels import cpu
from chainrule.ops import attention as rows
from chainrule.tensor import Tensor

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}  # of values around 1: sums of a few hundred terms, in another order


def draw(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def inputs(length: int, keys: int, lead: tuple[int, ...] = (2, 3), heads: tuple[int, ...] = (),
           dtype: Any = np.float64) -> Any:
    """query (..., length, 4), key (..., keys, 4), value (..., keys, 5)."""
    heads = heads or lead
    return (draw(*lead, length, 4, dtype=dtype), draw(*heads, keys, 4, dtype=dtype, seed=1),
            draw(*heads, keys, 5, dtype=dtype, seed=2))


def answers(arrays: Any, mask: Any = None, **options: Any) -> list[Any]:
    """The output and the gradients of query, key, value."""
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    out = attention(*leaves, attn_mask=mask, **options)
    seed = Tensor(np.cos(np.arange(out.data.size)).reshape(out.shape).astype(out.dtype))
    return [out.data, *(g.data for g in cr.grad(out, leaves, seed))]


def compare(arrays: Any, mask: Any = None, **options: Any) -> list[Any]:
    """The kernel against the definition; returns the kernel's answers."""
    with cr.backend("reference"):
        slow = answers(arrays, mask, **options)
    fast = answers(arrays, mask, **options)
    dtype = arrays[0].dtype.type
    for a, b in zip(fast, slow, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        scale = max(1, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)
    return fast


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("length", "keys"), [(1, 1), (5, 3), (64, 128), (65, 129), (150, 300), (200, 40)])
def test_kernel_computes_its_definition(length: int, keys: int, dtype: Any) -> None:
    """One block, blocks exactly full, blocks and a rest; plain, causal, scaled, masked."""
    given = inputs(length, keys, dtype=dtype)
    compare(given)
    compare(given, is_causal=True)
    compare(given, scale=0.3)
    rng = np.random.default_rng(3)
    compare(given, rng.random((length, keys)) < 0.5)
    compare(given, rng.random((2, 1, 1, keys)) < 0.5)
    compare(given, draw(3, length, 1, dtype=dtype))
    compare(given, draw(2, 1, length, keys, dtype=dtype))


@pytest.mark.parametrize(("lead", "heads", "options"), [
    ((), (), {}), ((7,), (7,), {}), ((2, 1), (2, 3), {}), ((3,), (2, 3), {}), ((2, 3), (3,), {}), ((2, 3), (1, 1), {}),
    ((2, 6), (2, 3), {"enable_gqa": True}), ((6,), (1,), {"enable_gqa": True, "is_causal": True}),
    ((2, 4), (1, 2), {"enable_gqa": True}),
])
def test_leading_axes(lead: Any, heads: Any, options: Any) -> None:
    """None, one, several, broadcasting one way and the other, and heads shared by several queries."""
    compare(inputs(9, 11, lead, heads), **options)


def test_the_kernel_is_what_runs() -> None:
    """Nothing above compares the definition with itself."""
    query, key, value = inputs(3, 4)
    assert attention(Tensor(query, requires_grad=True), key, value).grad_fn.op is rows.scaled_dot_product_attention
    assert cpu.scaled_dot_product_attention.__module__ == "chainrule.kernels.cpu.attention"


def test_strided_inputs() -> None:
    """Heads cut out of (N, L, heads * E), as layers do."""
    given = inputs(70, 70, (2, 3), dtype=np.float32)
    strided = [np.ascontiguousarray(a.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for a in given]
    assert not strided[0].flags.c_contiguous
    for a, b in zip(answers(strided), answers(given), strict=True):
        np.testing.assert_array_equal(a, b)


def test_heads_of_one_projection_are_read_and_written_where_they_lie() -> None:
    """(N, T, 3, H, D) -> three (N, H, T, D), and a result that is (N, T, H, D) in memory: joining the heads copies nothing."""
    projected = draw(2, 70, 3, 4, 8, dtype=np.float32)
    cut = projected.transpose(2, 0, 3, 1, 4)
    strided, plain = [answers(given, is_causal=True) for given in (list(cut), [np.ascontiguousarray(a) for a in cut])]
    for a, b in zip(strided, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    assert strided[0].transpose(0, 2, 1, 3).flags.c_contiguous
    x = Tensor(projected.reshape(2, 70, 96), requires_grad=True)
    query, key, value = x.reshape(2, 70, 3, 4, 8).permute(2, 0, 3, 1, 4)
    joined = attention(query, key, value, is_causal=True).transpose(1, 2).reshape(2, 70, 32)
    seed = np.cos(np.arange(plain[0].size)).reshape(plain[0].shape).astype(np.float32).transpose(0, 2, 1, 3).reshape(2, 70, 32)
    joined.backward(Tensor(seed))
    for i, gradient in enumerate(plain[1:]):
        np.testing.assert_array_equal(x.grad.numpy().reshape(2, 70, 3, 4, 8).transpose(2, 0, 3, 1, 4)[i], gradient)


@pytest.mark.parametrize(("lead", "heads", "options"), [
    ((), (), {}), ((2,), (2,), {"is_causal": True}), ((4,), (1,), {"enable_gqa": True, "is_causal": True}), ((3,), (1,), {})])
@pytest.mark.parametrize(("length", "keys"), [(300, 517), (517, 300)])
def test_few_heads_whose_keys_are_several_tasks(lead: Any, heads: Any, options: Any, length: int, keys: int) -> None:
    given = inputs(length, keys, lead, heads)
    compare(given, **options)
    if not options:
        compare(given, np.random.default_rng(0).random((length, keys)) < 0.01)  # many see nothing


def test_sizes_and_masks_drawn_at_random() -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        length, keys, size, width = (int(n) for n in rng.integers(1, [260, 260, 70, 70]))
        batch, heads = (int(n) for n in rng.integers(1, 4, 2))
        given = [draw(batch, n, heads, m).transpose(0, 2, 1, 3) if rng.random() < 0.5 else draw(batch, heads, n, m)
                 for n, m in ((length, size), (keys, size), (keys, width))]
        if rng.random() < 0.3:
            given[1] = given[1][:, :, ::-1]
        shape = [n if rng.random() < 0.7 else 1 for n in (batch, heads, length, keys)]
        mask = [None, rng.random(shape) < 0.7, draw(*shape)][int(rng.integers(3))]
        if mask is not None and rng.random() < 0.3:
            mask = np.asfortranarray(mask)
        compare(given, mask, is_causal=mask is None and bool(rng.integers(2)))


def test_same_bits_with_any_number_of_threads() -> None:
    given, mask = inputs(200, 260, (2, 3), dtype=np.float32), np.random.default_rng(0).random((200, 260)) < 0.5
    before, found = cr.get_num_threads(), []
    for threads in (1, 2):
        cr.set_num_threads(threads)
        found.append([*answers(given), *answers(given, is_causal=True), *answers(given, mask),
                      *answers([a[0, :1] for a in given], is_causal=True)])
    cr.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("additive", [False, True])
def test_a_query_that_sees_nothing(backend: str, additive: bool) -> None:
    """Zeros, and gradients of zero; the other queries are as without it. So for second derivatives."""
    query, key, value = inputs(150, 140, (2,))
    mask = np.random.default_rng(0).random((150, 140)) < 0.5
    mask[[0, 70, 149]] = False
    given: Any = np.where(mask, 0.0, -np.inf) if additive else mask
    with cr.backend(backend):
        out, *gradients = answers((query, key, value), given)
        assert not out[:, [0, 70, 149]].any() and not gradients[0][:, [0, 70, 149]].any()
        assert all(np.isfinite(g).all() for g in gradients)
        seeing = np.setdiff1d(np.arange(150), [0, 70, 149])
        alone = answers((query[:, seeing], key, value), given[seeing])[0]
        np.testing.assert_allclose(out[:, seeing], alone, atol=1e-12)
        leaf = Tensor(query[:, :3], requires_grad=True)
        first, = cr.grad(cr.sum(cr.square(attention(leaf, key, value, given[:3]))), leaf, create_graph=True)
        second, = cr.grad(cr.sum(cr.square(first)), leaf)
        assert np.isfinite(second.data).all() and second.data[:, 1:].any() and not second.data[:, 0].any()


def test_additive_mask_with_infinities_is_the_bool_mask() -> None:
    given, mask = inputs(5, 7), np.random.default_rng(0).random((5, 7)) < 0.6
    for a, b in zip(answers(given, mask), answers(given, np.where(mask, 0.0, -np.inf)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradient_of_the_mask() -> None:
    """An additive mask is an input as any: by the definition, since the kernel declines."""
    query, key, value = inputs(3, 4)
    found = []
    for backend in ("cpu", "reference"):
        with cr.backend(backend):
            mask = Tensor(draw(3, 1, 4), requires_grad=True)
            found.append(cr.grad(cr.sum(cr.square(attention(query, key, value, mask))), mask)[0].data)
    assert found[0].any()
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value: float) -> None:
    """A query with NaN or infinity spoils its own output and no other's; one among the keys spoils all."""
    query, key, value_ = inputs(70, 6, (1,))
    query[0, 3, 1] = value
    with np.errstate(invalid="ignore"):
        out = attention(query, key, value_).data
        assert np.isnan(out[0, 3]).all() and np.isfinite(np.delete(out, 3, axis=1)).all()
        query[0, 3, 1], key[0, 2, 0] = 1.0, np.nan
        assert np.isnan(attention(query, key, value_).data).all()


@pytest.mark.parametrize(("length", "keys", "lead"), [(0, 3, (2,)), (3, 0, (2,)), (3, 4, (0,))])
def test_empty(length: int, keys: int, lead: Any) -> None:
    """No queries, no keys (zeros), no batch."""
    out, *gradients = compare(inputs(length, keys, lead))
    assert out.shape == (*lead, length, 5) and not out.any()
    assert [g.shape for g in gradients] == [a.shape for a in inputs(length, keys, lead)]


def test_scores_far_apart() -> None:
    """Scores of thousands: neither overflow nor NaN, the largest takes all."""
    for dtype in (np.float32, np.float64):
        query = np.full((3, 1), 1000, dtype)
        key = np.linspace(-5, 5, 200, dtype=dtype)[:, None]
        value = draw(200, 2, dtype=dtype)
        out, *gradients = answers((query, key, value), scale=1.0)
        np.testing.assert_allclose(out, np.broadcast_to(value[-1], (3, 2)), rtol=1e-6)
        assert all(np.isfinite(g).all() for g in gradients)


def test_dropout() -> None:
    """Weights are dropped with the probability, the rest grow; the mask is the key's, in the backward pass too."""
    size = 200
    zeros, ones = np.zeros((size, 1)), np.ones((size, 1))
    query = Tensor(zeros, requires_grad=True)

    def dropped(value: Any, key: tuple[int, int]) -> Any:
        return rows.scaled_dot_product_attention(query, zeros, value, random_key=key, dropout_p=0.25)

    weights = dropped(np.eye(size), (1, 2)).data
    assert set(np.unique(np.round(weights * size, 6))) == {0.0, round(1 / 0.75, 6)}
    assert abs(np.mean(weights == 0) - 0.25) < 0.01  # 40,000 draws: a standard deviation is 0.002
    np.testing.assert_array_equal(weights, dropped(np.eye(size), (1, 2)).data)
    assert (weights != dropped(np.eye(size), (1, 3)).data).any()
    value = Tensor(ones, requires_grad=True)
    out = dropped(value, (1, 2))
    np.testing.assert_allclose(cr.grad(cr.sum(out), value)[0].data[:, 0], weights.sum(0))
    first, second = (attention(zeros, zeros, ones, dropout_p=0.5).data for _ in range(2))
    assert (first != second).any()
    seeded = []
    for _ in range(2):
        cr.manual_seed(5)
        seeded.append(attention(zeros, zeros, ones, dropout_p=0.5).data)
    np.testing.assert_array_equal(*seeded)
    assert not attention(zeros, zeros, ones, dropout_p=1.0).data.any()


def test_half_and_mixed_precision() -> None:
    """What the kernel declines is computed by the definition."""
    given = inputs(5, 6)
    half = attention(*[a.astype(np.float16) for a in given])
    assert half.dtype == np.float16
    np.testing.assert_allclose(half.data, attention(*given).data, atol=1e-2)
    assert attention(given[0].astype(np.float32), *given[1:]).dtype == np.float64


def test_errors_say_what_does_not_fit() -> None:
    query, key, value = inputs(3, 4, (2, 6))
    with pytest.raises(cr.ShapeError, match="must agree in the last axis"):
        attention(query, key[..., :3], value)
    with pytest.raises(cr.ShapeError, match="each key has one value"):
        attention(query, key, value[..., :3, :])
    with pytest.raises(cr.ShapeError, match="leading axes do not broadcast; .* pass enable_gqa=True"):
        attention(query, key[:, :2], value[:, :2])
    with pytest.raises(cr.ShapeError, match="must be a multiple of the key's 4"):
        attention(query, key[:, :4], value[:, :4], enable_gqa=True)
    with pytest.raises(cr.ShapeError, match="must have the axes"):
        attention(query, key[0, 0, 0], value)
    with pytest.raises(cr.ShapeError, match=r"must broadcast to \(2, 6, 3, 4\)"):
        attention(query, key, value, np.ones((4, 3), bool))
    with pytest.raises(cr.DtypeError, match="attn_mask is int64"):
        attention(query, key, value, np.ones((3, 4), np.int64))
    with pytest.raises(cr.DtypeError, match="must be of floats"):
        attention(query, key, np.ones((2, 6, 4, 5), np.int64))
    with pytest.raises(ValueError, match="exclude each other"):
        attention(query, key, value, np.ones((3, 4), bool), is_causal=True)
    with pytest.raises(ValueError, match="probability"):
        attention(query, key, value, dropout_p=1.5)
