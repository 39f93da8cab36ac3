"""Attention on the device against its definition in float64: every tile, mask and way that inputs may lie."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule.functional import scaled_dot_product_attention as attention
from tests.cuda import check_fused, close, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu
NAME = "scaled_dot_product_attention"
BFLOAT16: Any = ml_dtypes.bfloat16


def inputs(length: int, keys: int, lead: tuple[int, ...] = (2,), heads: tuple[int, ...] | None = None, size: int = 32,
           width: int | None = None) -> list[np.ndarray]:
    """query (..., length, size), key (..., keys, size), value (..., keys, width)."""
    heads = lead if heads is None else heads
    return [normal(0, *lead, length, size), normal(1, *heads, keys, size), normal(2, *heads, keys, width or size)]


def compare(given: list[Any], mask: Any = None, dtype: Any = np.float32, **options: Any) -> Any:
    """Value and gradients, but the mask's, are the definition's."""
    return check_fused(NAME, *given, *([] if mask is None else [mask]), dtype=dtype, factor=2, without=("attn_mask",),
                       **{"scale": given[0].shape[-1] ** -0.5, **options})


@pytest.mark.parametrize(("dtype", "size", "length", "keys"), [
    (np.float32, 32, 140, 70), (np.float32, 128, 70, 70), (np.float16, 64, 140, 150), (np.float16, 128, 40, 70),
    (BFLOAT16, 96, 70, 40)])
@pytest.mark.parametrize("causal", [False, True])
def test_sizes_of_heads(dtype: Any, size: int, length: int, keys: int, causal: bool) -> None:
    """Several blocks of queries and several tiles of keys, the last of each not full."""
    compare(inputs(length, keys, (1,), size=size), dtype=dtype, is_causal=causal)


@pytest.mark.parametrize(("length", "keys"), [(2, 3), (33, 127), (140, 33)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_lengths_that_differ(dtype: Any, length: int, keys: int) -> None:
    """Under causality keys beyond the last query are seen by none: their gradients are zero."""
    given = inputs(length, keys, (1,), size=32 if dtype is np.float32 else 64)
    compare(given, dtype=dtype)
    compare(given, dtype=dtype, is_causal=True)


@pytest.mark.parametrize(("dtype", "size", "width"), [
    (np.float32, 5, 32), (np.float32, 30, 2), (np.float32, 12, 28), (np.float16, 64, 50), (np.float16, 40, 56)])
def test_sizes_that_are_padded(dtype: Any, size: int, width: int) -> None:
    """With rows of whole pieces of 16 bytes and others."""
    compare(inputs(20, 40, (1,), size=size, width=width), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(2, 2, 30, 70), (1, 2, 1, 70), (2, 1, 30, 1)])
def test_masks(dtype: Any, shape: tuple[int, ...]) -> None:
    """Of bools and of numbers, with axes that serve all."""
    given = inputs(30, 70, (2, 2), size=32 if dtype is np.float32 else 64)
    compare(given, np.random.default_rng(0).random(shape) < 0.5, dtype)
    compare(given, normal(3, *shape), dtype)


@pytest.mark.parametrize(("lead", "heads", "options"), [
    ((), (), {}), ((3,), (2, 3), {}), ((2, 3), (3,), {}), ((2, 3), (1, 1), {}), ((2, 1, 2), (1, 3, 2), {}),
    ((2, 2, 2), (2, 1, 2), {}), ((2, 4), (2, 2), {"enable_gqa": True}), ((2, 4), (1, 2), {"enable_gqa": True}),
    ((6,), (1,), {"enable_gqa": True, "is_causal": True})])
def test_leading_axes(lead: Any, heads: Any, options: Any) -> None:
    """None, several, repeated one way and the other, and heads shared by several queries."""
    compare(inputs(9, 11, lead, heads), **options)


def test_shared_heads_walk_over_several_tiles() -> None:
    compare(inputs(70, 140, (1, 4), (1, 2), size=64), dtype=np.float16, enable_gqa=True)
    compare(inputs(140, 70, (1, 4), (1, 2)), np.random.default_rng(0).random((1, 4, 140, 70)) < 0.3, enable_gqa=True)


def test_inputs_that_lie_in_other_ways() -> None:
    """Heads cut out of one projection are read and written where they lie; reversed, turned and shifted ones give the same too."""
    import cupy

    def results(given: Any, mask: Any) -> Any:
        forward, backward = getattr(cuda(), NAME), getattr(cuda(), NAME + "_grad")
        options: Any = {"is_causal": False, "scale": 0.2, "enable_gqa": False}
        out, extras = forward(*given, mask, dropout_p=0.0, random_key=None, **options)
        g = cupy.cos(out)
        return out, *backward(g, *given, mask, out, extras["lse"], *options.values(), (True, True, True, False))[:3]

    projected = to_device([normal(0, 2, 70, 3, 4, 32, dtype=np.float32)])[0]
    mask, = to_device([np.random.default_rng(0).random((70, 70)) < 0.7])
    cut = projected.transpose(2, 0, 3, 1, 4)  # (N, T, 3, H, D) -> three of (N, H, T, D)
    plain = [cupy.ascontiguousarray(a) for a in cut]
    expected = [a.get() for a in results(plain, mask)]
    found = results(list(cut), mask.T.copy().T)
    assert all(a.transpose(0, 2, 1, 3).flags.c_contiguous for a in found), "joining the heads copies"
    shifted = cupy.empty(plain[0].size + 1, np.float32)[1:].reshape(plain[0].shape)  # no multiple of 16 bytes
    shifted[...] = plain[0]
    reversed_ = cupy.ascontiguousarray(plain[1][..., ::-1, :])[..., ::-1, :]
    turned = cupy.ascontiguousarray(plain[2].swapaxes(-1, -2)).swapaxes(-1, -2)
    for arrays in (found, results([shifted, reversed_, turned], mask)):
        for a, right in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(a.get(), right)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("additive", [False, True])
def test_queries_that_see_nothing(dtype: Any, additive: bool) -> None:
    """Zeros, and gradients of zero."""
    mask: Any = np.random.default_rng(0).random((70, 80)) < 0.5
    mask[[0, 3, 69]] = False
    mask[:, :40] &= np.arange(70)[:, None] > 20  # the first tile is hidden from some
    given = inputs(70, 80, (1,), size=32 if dtype is np.float32 else 64)
    out, = compare(given, np.where(mask, 0.0, -np.inf) if additive else mask, dtype)
    assert not out[:, [0, 3, 69]].any() and np.isfinite(out.astype(np.float32)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(dtype: Any, value: float) -> None:
    """A query with NaN or infinity spoils its own row and no other's; one among the keys spoils all."""
    query, key, val = (a.astype(dtype) for a in inputs(70, 80, (1,), size=32 if dtype is np.float32 else 64))
    options: Any = {"dropout_p": 0.0, "random_key": None, "is_causal": False, "scale": 1.0, "enable_gqa": False}
    query[0, 3, 1] = value
    out, _ = run(getattr(cuda(), NAME), query, key, val, None, **options)
    assert np.isnan(out[0, 3]).all() and np.isfinite(np.delete(out, 3, axis=1)).all()
    query[0, 3, 1], key[0, 70, 0] = 1, np.nan
    assert np.isnan(run(getattr(cuda(), NAME), query, key, val, None, **options)[0]).all()


def test_scores_far_apart() -> None:
    """Scores of thousands that grow from tile to tile: neither overflow nor NaN, the largest takes all."""
    query, key = np.full((3, 1), 1000, np.float32), np.linspace(-5, 5, 200, dtype=np.float32)[:, None]
    value = normal(0, 200, 2, dtype=np.float32)
    out, = compare([query, key, value], scale=1.0, gradients=False)
    close(out, np.broadcast_to(value[-1], (3, 2)), np.float32)
    compare([query, key, value], scale=-1.0, gradients=False)


def test_a_device_with_little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide heads of float32 are left to the definition, others are not."""
    from chainrule.kernels.cuda import attention as wrapper

    monkeypatch.setattr(wrapper, "_room", lambda device: 99 * 1024)
    options: Any = {"dropout_p": 0.0, "random_key": None, "is_causal": False, "scale": 1.0, "enable_gqa": False}
    for dtype, size, taken in ((np.float32, 128, False), (np.float32, 32, True), (np.float16, 64, True)):
        given = to_device([a.astype(dtype) for a in inputs(3, 4, size=size)])
        assert (getattr(cuda(), NAME)(*given, None, **options) is not NotImplemented) is taken


def test_what_the_kernel_does_not_take() -> None:
    """float64, larger heads, dropout, no keys: by the definition; and so the gradient of an additive mask."""
    forward = getattr(cuda(), NAME)
    options: Any = {"dropout_p": 0.0, "random_key": None, "is_causal": False, "scale": 1.0, "enable_gqa": False}
    small, large, none = inputs(3, 4), inputs(3, 4, size=129), inputs(3, 0)
    for given, other in ((small, {}), ([a.astype(np.float32) for a in large], {}), ([a.astype(np.float32) for a in none], {}),
                         ([a.astype(np.float32) for a in small], {"dropout_p": 0.5})):
        assert forward(*to_device(given), None, **{**options, **other}) is NotImplemented
    given, mask = [cr.Tensor(a.astype(np.float32)) for a in small], normal(3, 3, 1).astype(np.float32)
    found = []
    for device in ("cpu", "cuda"):
        leaf = cr.Tensor(mask).to(device).detach()
        leaf.requires_grad = True
        slope, = cr.grad(cr.sum(cr.square(attention(*[t.to(device) for t in given], leaf))), leaf)
        found.append(slope.to("cpu").numpy())
    assert found[0].any()
    np.testing.assert_allclose(*found, atol=1e-5)
