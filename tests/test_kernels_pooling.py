"""Pooling and unfold of each backend, against their definitions, their adjoints and (where installed) torch."""

from collections.abc import Iterator
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import functional as F
from chainrule.kernels import cpu, reference

BACKENDS = {"reference": reference, "cpu": cpu}


@pytest.fixture(autouse=True, scope="module")
def compiled_at_every_size() -> Iterator[None]:
    """The compiled kernels also take the small shapes that tests draw, over threads."""
    with pytest.MonkeyPatch.context() as patch:
        for file, threshold in product(("pooling", "maxima"), ("SMALLEST", "SHARED")):
            patch.setattr(import_module(f"chainrule.kernels.cpu.{file}"), threshold, 1)
        yield


def output_size(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> list[int]:
    """Counted, not calculated: the windows that start inside the input or left padding and (but for ceil_mode) fit."""
    out = []
    for s, k, step, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        starts = range(0, s + p, step)
        covered = [start for start in starts if start + d * (k - 1) + 1 <= s + 2 * p]
        # with ceil_mode one more window may begin before the end, if the full ones leave something uncovered
        left_over = ceil_mode and covered[-1] + d * (k - 1) + 1 < s + 2 * p and covered[-1] + step in starts
        out.append(len(covered) + left_over)
    return out


def windows(size: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each output position, with the places inside the input that its window covers, row-major."""
    for at in product(*map(range, out)):
        places = (tuple(i * step - p + j * d for i, step, p, j, d in zip(at, stride, padding, k, dilation, strict=True))
                  for k in product(*map(range, kernel)))
        yield at, [place for place in places if all(0 <= i < s for i, s in zip(place, size, strict=True))]


@st.composite
def cases(draw: Any, dilated: bool) -> dict[str, Any]:
    dims = draw(st.sampled_from([1, 2, 2, 3]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(dims))
    dilation = tuple(draw(st.integers(1, 2 if dilated else 1)) for _ in range(dims))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    # as long as the dilated kernel itself, so that none steps over the whole input
    size = tuple(d * (k - 1) + 1 + draw(st.integers(0, 4 if dims < 3 else 2)) for k, d in zip(kernel, dilation, strict=True))
    return {"shape": (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *size), "kernel": kernel,
            "stride": tuple(draw(st.integers(1, 3)) for _ in range(dims)), "padding": padding, "dilation": dilation,
            "ceil_mode": draw(st.booleans()), "seed": draw(st.integers(0, 99)),
            "dtype": draw(st.sampled_from([np.float32, np.float64]))}


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(case=cases(dilated=True))
def test_max_pool_indices(backend: str, case: dict[str, Any]) -> None:
    settings_ = {name: case[name] for name in ("kernel", "stride", "padding", "dilation", "ceil_mode")}
    x = np.random.default_rng(case["seed"]).choice([-np.inf, -1, 0, 2, np.inf, np.nan], case["shape"]).astype(case["dtype"])
    size, out = x.shape[2:], output_size(case["shape"][2:], **settings_)
    del settings_["ceil_mode"]
    expected = np.empty((*x.shape[:2], *out), np.int64)
    for n, c in np.ndindex(*x.shape[:2]):
        for at, places in windows(size, out, **settings_):
            values = [x[(n, c, *place)] for place in places]
            nans = [place for place, value in zip(places, values, strict=True) if np.isnan(value)]
            chosen = nans[-1] if nans else places[values.index(max(values))]
            expected[(n, c, *at)] = np.ravel_multi_index(chosen, size)
    found = BACKENDS[backend].max_pool_indices(x, **settings_, ceil_mode=case["ceil_mode"])
    np.testing.assert_array_equal(found, expected, strict=True)


def check_max_pool(x: Any, geometry: dict[str, Any]) -> None:
    """The kernel in one pass, and its gradient, against choosing, taking and adding."""
    indices = reference.max_pool_indices(x, **geometry)
    found, kept = cpu.max_pool(x, **geometry)
    np.testing.assert_array_equal(found, reference.take_from_planes(x, indices), strict=True)
    g = np.random.default_rng(1).integers(-4, 5, found.shape).astype(x.dtype)
    del geometry["ceil_mode"]
    (back,) = cpu.max_pool_grad(g, x, **kept, **geometry, wanted=(True,))
    np.testing.assert_array_equal(back, reference.add_to_planes(g, indices, size=x.shape[2:]), strict=True)


SPECIAL = [-np.inf, -1, -0.0, 0, 0.5, 2, np.inf, np.nan]


@settings(max_examples=60, deadline=None)
@given(case=cases(dilated=True))
def test_max_pool_in_one_pass(case: dict[str, Any]) -> None:
    if len(case["kernel"]) < 3 and case["shape"][0]:  # what has no elements is left to the definition
        x = np.random.default_rng(case["seed"]).choice(SPECIAL, case["shape"]).astype(case["dtype"])
        check_max_pool(x, {name: case[name] for name in ("kernel", "stride", "padding", "dilation", "ceil_mode")})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("height, width", [(2, 2), (3, 7), (6, 31), (5, 32), (4, 33), (7, 70), (1, 9)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_windows_of_two_by_two(dtype: Any, height: int, width: int, ceil_mode: bool) -> None:
    x = np.random.default_rng(width).choice(SPECIAL, (3, 5, height, width)).astype(dtype)
    if height > 1 or ceil_mode:
        check_max_pool(x, {"kernel": (2, 2), "stride": (2, 2), "padding": (int(height == 1), 0), "dilation": (1, 1),
                           "ceil_mode": ceil_mode})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [9, 20, 33, 67])
@pytest.mark.parametrize("kernel, stride, padding, dilation", [
    ((3, 3), (2, 2), (1, 1), (1, 1)), ((3, 2), (1, 2), (0, 0), (1, 1)), ((2, 5), (2, 1), (1, 2), (1, 1)),
    ((3, 3), (3, 2), (1, 0), (2, 2)), ((1, 4), (1, 1), (0, 1), (1, 2)), ((2, 2), (2, 3), (0, 0), (1, 1))])
def test_windows_by_vectors(kernel: Any, stride: Any, padding: Any, dilation: Any, width: int, dtype: Any) -> None:
    """Fewer of a row than a vector has lanes, as many as several vectors, and some more."""
    x = np.random.default_rng(width).choice(SPECIAL, (2, 3, 7, width)).astype(dtype)
    check_max_pool(x, {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": width == 33})


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(case=cases(dilated=False), include=st.booleans(), divisor=st.sampled_from([None, None, 3]))
def test_average_pool_and_its_adjoint(backend: str, case: dict[str, Any], include: bool, divisor: int | None) -> None:
    xp, rng = BACKENDS[backend], np.random.default_rng(case["seed"])
    x, once = rng.standard_normal(case["shape"]).astype(case["dtype"]), (1,) * len(case["kernel"])
    geometry = {name: case[name] for name in ("kernel", "stride", "padding")}
    size, out = x.shape[2:], output_size(x.shape[2:], **geometry, dilation=once, ceil_mode=case["ceil_mode"])
    expected = np.zeros((*x.shape[:2], *out), case["dtype"])
    for at, places in windows(size, out, **geometry, dilation=once):
        count = len(places)
        if include:   # what counts is the window's part inside the padded input
            count = int(np.prod([min(i * step - p + k, s + p) - (i * step - p) for i, s, k, step, p in
                                 zip(at, size, *geometry.values(), strict=True)]))
        for place in places:
            expected[(..., *at)] += x[(..., *place)]
        expected[(..., *at)] /= divisor or count
    arguments = {**geometry, "ceil_mode": case["ceil_mode"], "count_include_pad": include, "divisor": divisor}
    y = xp.average_pool(x, **arguments)
    tolerance = 1e-5 if case["dtype"] == np.float32 else 1e-13
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance, strict=True)
    g = rng.standard_normal(y.shape).astype(case["dtype"])
    back = xp.average_pool_transpose(g, **arguments, size=size)
    assert (back.shape, back.dtype) == (x.shape, x.dtype)
    scale = np.abs(x).sum() + 1
    assert abs(np.vdot(y, g) - np.vdot(x, back)) <= tolerance * scale


@settings(max_examples=40, deadline=None)
@given(case=cases(dilated=True))
def test_unfold_and_fold(case: dict[str, Any]) -> None:
    arguments = {name: case[name] for name in ("kernel", "dilation", "padding", "stride")}
    rng = np.random.default_rng(case["seed"])
    x = rng.integers(-4, 5, case["shape"]).astype(case["dtype"])
    size, out = x.shape[2:], output_size(x.shape[2:], **arguments, ceil_mode=False)
    columns = reference.unfold(x, **arguments)
    expected = np.zeros((*x.shape[:2], *case["kernel"], *out), x.dtype)
    for at, k in product(product(*map(range, out)), product(*map(range, case["kernel"]))):
        place = tuple(i * step - p + j * d for i, step, p, j, d in
                      zip(at, case["stride"], case["padding"], k, case["dilation"], strict=True))
        if all(0 <= i < s for i, s in zip(place, size, strict=True)):
            expected[(..., *k, *at)] = x[(..., *place)]
    np.testing.assert_array_equal(columns, expected.reshape(columns.shape), strict=True)
    g = rng.integers(-4, 5, columns.shape).astype(case["dtype"])
    back = reference.fold(g, size=size, **arguments)
    assert (back.shape, back.dtype) == (x.shape, x.dtype)
    assert np.vdot(columns, g) == np.vdot(x, back)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("size, out", [((9,), (4,)), ((50, 30), (33, 29)), ((3, 2, 4), (2, 2, 5)), ((5,), (0,))])
def test_taking_and_adding_are_adjoint(backend: str, dtype: Any, size: Any, out: Any) -> None:
    xp, rng = BACKENDS[backend], np.random.default_rng(0)
    x = rng.integers(-4, 5, (*size, 3, 2)).astype(dtype).T                                          # strided (2, 3, ...)
    size = x.shape[2:]
    indices = rng.integers(0, np.prod(size), (2, 3, *out))                  # with repetitions, which are added up
    g = rng.integers(-4, 5, indices.shape).astype(dtype)
    taken, added = xp.take_from_planes(x, indices), xp.add_to_planes(g, indices, size=size)
    expected, sums = np.empty(indices.shape, dtype), np.zeros(x.shape, dtype)
    for n, c, *at in np.ndindex(*indices.shape):
        place = np.unravel_index(indices[(n, c, *at)], size)
        expected[(n, c, *at)] = x[(n, c, *place)]
        sums[(n, c, *place)] += g[(n, c, *at)]
    np.testing.assert_array_equal(taken, expected, strict=True)
    np.testing.assert_array_equal(added, sums, strict=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_adaptive_maxima(backend: str) -> None:
    x = np.random.default_rng(0).choice([-np.inf, -1, 0, 2, np.inf, np.nan], (2, 3, 7, 5))
    found = BACKENDS[backend].adaptive_max_pool_indices(x, out=(3, 4))
    for n, c, i, j in np.ndindex(2, 3, 3, 4):
        places = [(h, w) for h in range(i * 7 // 3, -(-(i + 1) * 7 // 3)) for w in range(j * 5 // 4, -(-(j + 1) * 5 // 4))]
        nans = [p for p in places if np.isnan(x[n, c, *p])]
        chosen = nans[-1] if nans else max(places, key=lambda p: x[n, c, *p])
        assert found[n, c, i, j] == chosen[0] * 5 + chosen[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_and_other_dtypes(backend: str) -> None:
    xp = BACKENDS[backend]
    geometry = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}
    average = {**geometry, "count_include_pad": True, "divisor": None}
    x = np.random.default_rng(0).integers(-9, 9, (6, 8, 3, 2)).astype(np.float64).transpose(3, 2, 1, 0)    # (2, 3, 8, 6)
    indices, mean = xp.max_pool_indices(x, **geometry, dilation=(1, 1)), xp.average_pool(x, **average)
    np.testing.assert_array_equal(indices, xp.max_pool_indices(x.copy(), **geometry, dilation=(1, 1)), strict=True)
    np.testing.assert_array_equal(mean, xp.average_pool(x.copy(), **average), strict=True)
    g = np.broadcast_to(1.0, mean.shape)
    np.testing.assert_array_equal(xp.average_pool_transpose(g, **average, size=(8, 6)), np.full((2, 3, 8, 6), 0.25), strict=True)
    for dtype in (np.float16, np.complex128):
        narrow = x.astype(dtype)
        np.testing.assert_array_equal(xp.max_pool_indices(narrow, **geometry, dilation=(1, 1)), indices, strict=True)
        np.testing.assert_array_equal(xp.average_pool(narrow, **average), mean.astype(dtype), strict=True)
        assert xp.average_pool_transpose(mean.astype(dtype), **average, size=(8, 6)).dtype == dtype


def test_maximum_pooling_with_and_without_indices() -> None:
    """The public function takes one way or the other; values, gradients and second derivatives are the same."""
    x = cr.tensor(np.random.default_rng(0).standard_normal((2, 3, 9, 11)), requires_grad=True)
    for arguments in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True}):
        one, (two, _) = F.max_pool2d(x, **arguments), F.max_pool2d(x, **arguments, return_indices=True)
        np.testing.assert_array_equal(one.data, two.data)
        gradients = [cr.grad((y**3).sum(), x, create_graph=True) for y in (one, two)]
        first, second = ([d.data for d in cr.grad((g**2).sum(), x)] for g in (g[0] for g in gradients))
        np.testing.assert_array_equal(gradients[0][0].data, gradients[1][0].data)
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_name_the_sizes(backend: str) -> None:
    xp, x = BACKENDS[backend], np.ones((1, 1, 5))
    average = {"ceil_mode": False, "count_include_pad": True, "divisor": None}
    with pytest.raises(ValueError, match=r"padding \(2,\) is more than half of the kernel \(3,\)"):
        xp.average_pool(x, kernel=(3,), stride=(1,), padding=(2,), **average)
    with pytest.raises(ValueError, match=r"kernel of size \(6,\) .* does not fit into an input of spatial size \(5,\)"):
        xp.max_pool_indices(x, kernel=(6,), stride=(1,), padding=(0,), dilation=(1,), ceil_mode=False)
    with pytest.raises(ValueError, match=r"sees nothing of an input of spatial size \(1,\)"):
        xp.max_pool_indices(x[:, :, :1], kernel=(2,), stride=(1,), padding=(1,), dilation=(2,), ceil_mode=False)
    with pytest.raises(ValueError, match=r"spatial size \(2,\) was expected, not \(3,\)"):
        xp.average_pool_transpose(x[:, :, :3], kernel=(2,), stride=(2,), padding=(0,), size=(5,), **average)
    with pytest.raises(ValueError, match=r"columns of shape \(N, C \* 2, 4\) were expected .* not \(1, 2, 3\)"):
        reference.fold(np.ones((1, 2, 3)), size=(5,), kernel=(2,), dilation=(1,), padding=(0,), stride=(1,))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_agrees_with_torch(backend: str, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch")
    functional, xp = torch.nn.functional, BACKENDS[backend]
    x = np.random.default_rng(0).choice([-1.0, 0, 2, np.nan], (2, 3, 9, 10), p=[0.3, 0.4, 0.2, 0.1])
    for kernel, stride, padding in product([(3, 2), (2, 3)], [(1, 2), (3, 3)], [(0, 0), (1, 1)]):
        geometry = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        _, indices = functional.max_pool2d(torch.tensor(x), kernel, stride, padding, 1, ceil_mode, return_indices=True)
        np.testing.assert_array_equal(xp.max_pool_indices(x, **geometry, dilation=(1, 1)), indices.numpy())
        for include in (False, True):
            mean = functional.avg_pool2d(torch.tensor(x), kernel, stride, padding, ceil_mode, include)
            found = xp.average_pool(x, **geometry, count_include_pad=include, divisor=None)
            np.testing.assert_allclose(found, mean.numpy(), rtol=1e-13)
