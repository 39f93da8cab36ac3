"""The three convolution maps of each backend, against their definition and against each other.

Values are small integers, so that every sum is exact in float32 and results can be compared without a tolerance.
"""

from collections.abc import Iterator
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.kernels import cpu, reference
from chainrule.kernels.cpu.jit import Tasks

BACKENDS = {"reference": reference, "cpu": cpu}


@pytest.fixture(autouse=True, scope="module")
def compiled_at_every_size() -> Iterator[None]:
    """The compiled kernels also take the small shapes that tests draw, over threads."""
    with pytest.MonkeyPatch.context() as patch:
        for threshold in ("SMALLEST", "SHARED"):
            patch.setattr(import_module("chainrule.kernels.cpu.convolution"), threshold, 1)
        yield


def integers(seed: int, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def by_definition(x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """y[n, o, i] = sum over c, k of weight[o, c, k] * x[n, c, i * stride - padding + k * dilation], as it is written."""
    outputs, inner, *kernel = weight.shape
    size = x.shape[2:]
    out = [(s + 2 * p - d * (k - 1) - 1) // step + 1
           for s, k, step, p, d in zip(size, kernel, stride, padding, dilation, strict=True)]
    y = np.zeros((x.shape[0], outputs, *out), x.dtype)
    for o, at in product(range(outputs), product(*map(range, out))):
        first = o // (outputs // groups) * inner
        for k in product(*map(range, kernel)):
            place = [i * step - p + j * d for i, step, p, j, d in zip(at, stride, padding, k, dilation, strict=True)]
            if all(0 <= i < s for i, s in zip(place, size, strict=True)):
                y[(slice(None), o, *at)] += x[(slice(None), slice(first, first + inner), *place)] @ weight[(o, slice(None), *k)]
    return y


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    """Shapes and settings of a convolution whose kernel fits; often with rows at the end that no window covers."""
    dims = draw(st.sampled_from([1, 2, 2, 3]))

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, padding, dilation = sizes(1, 3), sizes(1, 3), sizes(0, 2), sizes(1, 2)
    size = tuple(max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 5 if dims < 3 else 2))
                 for k, p, d in zip(kernel, padding, dilation, strict=True))
    groups, inner, share = (draw(st.integers(1, 3)) for _ in range(3))
    return {"x": (draw(st.integers(0, 3)), groups * inner, *size), "weight": (groups * share, inner, *kernel),
            "settings": {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
            "dtype": draw(st.sampled_from([np.float32, np.float64])), "seed": draw(st.integers(0, 99))}


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_maps_agree_with_the_definition_and_are_adjoint(backend: str, case: dict[str, Any]) -> None:
    xp = BACKENDS[backend]
    x, weight = integers(case["seed"], case["x"], case["dtype"]), integers(case["seed"] + 1, case["weight"], case["dtype"])
    y = xp.convolution(x, weight, **case["settings"])
    np.testing.assert_array_equal(y, by_definition(x, weight, **case["settings"]), strict=True)
    g = integers(case["seed"] + 2, y.shape, case["dtype"])
    in_x = xp.convolution_transpose(g, weight, **case["settings"], size=x.shape[2:])
    in_weight = xp.convolution_weight(x, g, **case["settings"], size=weight.shape[2:])
    assert (in_x.shape, in_x.dtype) == (x.shape, x.dtype)
    assert (in_weight.shape, in_weight.dtype) == (weight.shape, weight.dtype)
    assert np.vdot(y, g) == np.vdot(x, in_x) == np.vdot(weight, in_weight)


# Shapes that the kernels cut: several tiles of rows, blocks of channels, shares of the images; the last four are depthwise.
LARGE = [
    ((2, 70, 41, 50), (8, 70, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 64, 70, 33), (16, 32, 3, 3), (2, 3), (2, 0), (1, 2), 2),
    ((1, 300, 5000), (4, 300, 3), (1,), (1,), (1,), 1),
    ((17, 3, 20, 20), (5, 3, 5, 4), (1, 1), (2, 2), (1, 1), 1),
    ((3, 24, 12, 12), (24, 1, 3, 3), (1, 1), (1, 1), (1, 1), 24),
    ((5, 3, 31, 20), (6, 1, 3, 4), (2, 3), (2, 1), (2, 1), 3),
    ((4, 7, 500), (14, 1, 5), (1,), (4,), (2,), 7),
    ((1, 2, 90, 70), (2, 1, 3, 3), (1, 1), (1, 1), (1, 1), 2),
]


@pytest.mark.parametrize("x_shape, weight_shape, stride, padding, dilation, groups", LARGE)
def test_tiles_and_blocks_cover_everything(x_shape: Any, weight_shape: Any, stride: Any, padding: Any, dilation: Any,
                                           groups: int) -> None:
    arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, weight = integers(0, x_shape, np.float32), integers(1, weight_shape, np.float32)
    y = reference.convolution(x, weight, **arguments)
    g = integers(2, y.shape, np.float32)
    for name, first, second, more in (("convolution", x, weight, {}),
                                      ("convolution_transpose", g, weight, {"size": x_shape[2:]}),
                                      ("convolution_weight", x, g, {"size": weight_shape[2:]})):
        found = getattr(cpu, name)(first, second, **arguments, **more)
        np.testing.assert_array_equal(found, getattr(reference, name)(first, second, **arguments, **more), strict=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_arrays_give_what_contiguous_ones_give(backend: str) -> None:
    xp, arguments = BACKENDS[backend], {"stride": (1, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    x = integers(0, (9, 8, 4, 2), np.float64).transpose(3, 2, 1, 0)[:, ::-1, ::2]                  # (2, 4, 4, 9)
    weight = integers(1, (3, 3, 4, 6), np.float64).transpose(3, 2, 0, 1)                           # (6, 4, 3, 3)
    y = xp.convolution(x, weight, **arguments)
    np.testing.assert_array_equal(y, xp.convolution(x.copy(), weight.copy(), **arguments))
    g = np.broadcast_to(np.float64(2), y.shape)                                                    # strides of zero
    for found, expected in (
            (xp.convolution_transpose(g, weight, **arguments, size=(4, 9)),
             xp.convolution_transpose(g.copy(), weight.copy(), **arguments, size=(4, 9))),
            (xp.convolution_weight(x, g, **arguments, size=(3, 3)),
             xp.convolution_weight(x.copy(), g.copy(), **arguments, size=(3, 3)))):
        np.testing.assert_array_equal(found, expected, strict=True)


def test_what_may_not_be_written_compiles_nothing_anew() -> None:
    arguments = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    x, weight, bias = (integers(i, s, np.float32) for i, s in enumerate(((2, 3, 5, 5), (4, 3, 3, 3), (4,))))
    expected = cpu.affine_convolution(x, weight, bias, **arguments)
    cpu.affine_convolution_grad(expected, x, weight, **arguments, wanted=(True,) * 3)
    kernels = [tasks for tasks in Tasks.made if tasks.__module__.endswith("direct")]
    before = [len(tasks.compiled.signatures) for tasks in kernels]
    for array in (x, weight, bias):
        array.flags.writeable = False
    np.testing.assert_array_equal(cpu.affine_convolution(x, weight, bias, **arguments), expected)
    cpu.affine_convolution_grad(np.broadcast_to(np.float32(1), expected.shape), x, weight, **arguments, wanted=(True,) * 3)
    assert all(before) and [len(tasks.compiled.signatures) for tasks in kernels] == before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.dtype(np.float32).newbyteorder()])
def test_other_dtypes(backend: str, dtype: Any) -> None:
    xp, arguments = BACKENDS[backend], {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    x, weight = integers(0, (2, 3, 5, 5), dtype), integers(1, (4, 3, 3, 3), dtype)
    if dtype == np.complex128:
        x, weight = x + 1j * integers(2, x.shape, dtype), weight - 1j * integers(3, weight.shape, dtype)
    y = xp.convolution(x, weight, **arguments)
    assert y.dtype == np.result_type(x, weight)
    np.testing.assert_array_equal(y, by_definition(x, weight, **arguments))


@pytest.mark.parametrize("shape, kernel, settings_", [
    ((5, 3, 20, 21), (7, 3, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
    ((3, 4, 50), (4, 1, 5), {"stride": (2,), "padding": (2,), "dilation": (2,), "groups": 4}),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convolution_and_bias(shape: Any, kernel: Any, settings_: Any, dtype: Any) -> None:
    """The affine kernel has the bits of its definition; the gradient of the bias comes with that of the weight."""
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in (shape, kernel, kernel[:1]))
    y = cpu.affine_convolution(x, weight, bias, **settings_)
    apart = cpu.convolution(x, weight, **settings_) + bias.reshape(-1, *(1,) * (len(shape) - 2))
    np.testing.assert_array_equal(y, apart, strict=True)
    g = integers(1, y.shape, dtype)
    for wanted in product((False, True), repeat=3):
        found = cpu.affine_convolution_grad(g, x, weight, **settings_, wanted=wanted)
        assert tuple(d is not None for d in found) == wanted
    np.testing.assert_array_equal(found[2], g.sum((0, *range(2, g.ndim))), strict=True)
    np.testing.assert_array_equal(found[1], cpu.convolution_weight(x, g, **settings_, size=kernel[2:]))
    np.testing.assert_array_equal(found[0], cpu.convolution_transpose(g, weight, **settings_, size=shape[2:]))


@pytest.mark.parametrize("groups", [1, 4])
def test_the_number_of_threads_does_not_change_the_bits(groups: int) -> None:
    arguments = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": groups}
    rng = np.random.default_rng(0)
    x, weight, g = (rng.standard_normal(s).astype(np.float32) for s in ((9, 4, 40, 40), (16, 4 // groups, 3, 3), (9, 16, 40, 40)))

    def all_three() -> list[bytes]:
        return [cpu.convolution(x, weight, **arguments).tobytes(),
                cpu.convolution_transpose(g, weight, **arguments, size=(40, 40)).tobytes(),
                cpu.convolution_weight(x, g, **arguments, size=(3, 3)).tobytes()]

    before = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        alone = all_three()
        cr.set_num_threads(2)
        assert all_three() == alone
    finally:
        cr.set_num_threads(before)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_as_in_the_definition(backend: str, value: float) -> None:
    """Also where the kernels work on positions between the rows, and in padding that they have and the definition has not."""
    arguments = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    xp, rng = BACKENDS[backend], np.random.default_rng(0)
    x, weight, g = (rng.integers(1, 5, s).astype(np.float32) for s in ((2, 3, 12, 12), (4, 3, 3, 3), (2, 4, 12, 12)))
    x[0, 1, 5, 0] = value                                       # is not seen by the kernels' last column
    found = xp.convolution_weight(x, g, **arguments, size=(3, 3))
    finite = np.ones((4, 3, 3, 3), bool)
    finite[:, 1, :, :2] = False
    np.testing.assert_array_equal(np.isfinite(found), finite)
    weight[2, 1, 0, 0] = value                                  # adds to inputs that lie below and right of it
    found = xp.convolution_transpose(g, weight, **arguments, size=(12, 12))
    finite = np.ones(found.shape, bool)
    finite[:, 1, :11, :11] = False
    np.testing.assert_array_equal(np.isfinite(found), finite)


def test_float16_is_added_up_in_float32() -> None:
    ones = np.ones((1, 4096, 1), np.float16)   # in float16, 2048 + 1 is 2048
    y = reference.convolution(ones, ones, stride=(1,), padding=(0,), dilation=(1,), groups=1)
    assert y.dtype == np.float16 and y.item() == 4096


@pytest.mark.parametrize("backend", BACKENDS)
def test_not_a_number_stays_in_its_windows(backend: str) -> None:
    x, weight = np.zeros((1, 1, 40, 40), np.float32), np.ones((8, 1, 3, 3), np.float32)
    x[0, 0, 10, 10], x[0, 0, 20, 20] = np.nan, np.inf
    y = BACKENDS[backend].convolution(x, weight, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)
    expected = np.zeros((8, 40, 40), np.float32)
    expected[:, 9:12, 9:12], expected[:, 19:22, 19:22] = np.nan, np.inf
    np.testing.assert_array_equal(y[0], expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_name_the_shapes(backend: str) -> None:
    xp, arguments = BACKENDS[backend], {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1}
    x, weight = np.ones((1, 2, 4)), np.ones((3, 2, 3))
    with pytest.raises(ValueError, match=r"does not fit into an input of spatial size \(2,\)"):
        xp.convolution(x[:, :, :2], weight, **arguments)
    with pytest.raises(ValueError, match=r"1 input channels in 1 groups do not fit a weight of shape \(3, 2, 3\)"):
        xp.convolution(x[:, :1], weight, **arguments)
    with pytest.raises(ValueError, match=r"a y of shape \(1, 3, 2\) belongs to .* not one of shape \(1, 3, 4\)"):
        xp.convolution_transpose(np.ones((1, 3, 4)), weight, **arguments, size=(4,))
    with pytest.raises(ValueError, match=r"a y of shape \(1, 3, 2\) belongs to .* not one of shape \(2, 3, 2\)"):
        xp.convolution_weight(x, np.ones((2, 3, 2)), **arguments, size=(3,))
