"""NumPy's functions on tensors: the values are NumPy's own, the gradients those of finite differences."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import hypothesis.extra.numpy as arrays_of
import hypothesis.strategies as st
import numpy as np
import pytest

import chainrule as cr
from chainrule.numpy_protocol.dispatch import FUNCTIONS, parameters, title
from chainrule.numpy_protocol.ufuncs import ACCUMULATE, REDUCE, ROWS

rng = np.random.default_rng(7)


def spread(*shape: int, low: float = 0.2, high: float = 0.9) -> Any:
    """Different numbers between the bounds, none two alike (so no ties), in no order."""
    count = math.prod(shape)
    return rng.permutation(np.linspace(low, high, count)).reshape(shape)


A, B, V, W = spread(3, 4), spread(3, 4, low=0.25, high=0.95), spread(4), spread(4, low=0.3, high=1.7)
T = spread(2, 3, 4, low=-1, high=1.1)
SIGNED = spread(3, 4, low=-2.13, high=2.38)
SQUARE = spread(3, 3) + 2 * np.eye(3)
BATCH = spread(2, 3, 3) + 2 * np.eye(3)
POSITIVE = SQUARE @ SQUARE.T
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])


@dataclass(frozen=True)
class Row:
    """A call, made with arrays and again with tensors in their place. `recorded`: float results must have a node."""

    name: str
    call: Callable[..., Any]
    arrays: tuple[Any, ...]
    recorded: bool = True


def row(name: str, *arrays: Any, recorded: bool = True, call: Any = None, **options: Any) -> Row:
    """A row for `np.<name>(*arrays, **options)`, or for another call."""
    function = eval(f"np.{name}") if call is None else call  # noqa: S307
    shown = ", ".join(str(np.shape(a)) for a in arrays) + "".join(f", {k}={v!r:.30}" for k, v in options.items())
    return Row(f"{name}({shown})", lambda *x: function(*x, **options), arrays, recorded)


def fixed(name: str, call: Any, *arrays: Any, recorded: bool = True) -> Row:
    """A row for any expression."""
    return Row(name, call, arrays, recorded)


ONE_TO_TWO = {"arccosh"}
UFUNCS = []
for ufunc in ROWS:
    name, predicate = ufunc.__name__, all(kinds.endswith(("?", "O")) for kinds in ufunc.types)
    if name in ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"):
        UFUNCS.append(row(name, *(np.array([5, 3, 6]), np.array([2, 1, 4]))[: ufunc.nin], recorded=False))
    elif ufunc.signature is not None:
        shapes = {"matmul": [(2, 3, 4), (4, 5)], "vecdot": [(3, 4), (4,)], "matvec": [(2, 3, 4), (4,)],
                  "vecmat": [(3,), (2, 3, 4)]}[name]
        UFUNCS.append(row(name, *[spread(*s) for s in shapes]))
    elif ufunc.nin == 1:
        UFUNCS.append(row(name, A + 1 if name in ONE_TO_TWO else A * 0.9, recorded=ufunc.nout == 1 and not predicate))
    else:
        UFUNCS += [row(name, SIGNED if name in ("copysign", "heaviside") else A, V, recorded=False),
                   row(name, A, B, recorded=not predicate and name != "heaviside")]

REDUCTIONS = [row(name, A, **options)
              for name in ("sum", "prod", "mean", "std", "var", "max", "amax", "min", "amin", "ptp", "median", "nansum",
                           "nanmean")
              for options in ({}, {"axis": 1}, {"axis": (0, -1)}, {"axis": 0, "keepdims": True})]
REDUCTIONS += [row(name, MASK, recorded=False, **options) for name in ("all", "any", "sum", "count_nonzero")
               for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True})]
REDUCTIONS += [row(name, SIGNED, recorded=False, **options) for name in ("argmax", "argmin")
               for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}, {"keepdims": True})]
REDUCTIONS += [
    row("sum", A, axis=()), row("sum", A, where=MASK, axis=0), row("sum", A, initial=2.0), row("mean", A, axis=()),
    row("prod", A, where=MASK, initial=3.0), row("max", A, where=MASK, initial=0.1, axis=1), row("min", A, initial=0.3),
    row("mean", A, where=MASK, axis=1), row("mean", T, where=MASK, axis=(0, 2)), row("any", MASK, where=MASK, recorded=False),
    row("all", MASK, where=MASK, axis=1, recorded=False), row("sum", A, dtype=np.float64), row("std", A, ddof=1, axis=1),
    row("var", A, correction=1), row("median", T, axis=1), row("median", T[:, :, :3], axis=(0, 2), keepdims=True),
    row("median", spread(5)), row("quantile", T, 0.3), row("quantile", T, [0.1, 0.75], axis=(0, 1), keepdims=True),
    row("percentile", T, 30, axis=-1), row("average", A), row("average", A, weights=V, axis=1),
    row("average", A, weights=B, keepdims=True, axis=0), row("average", A, weights=B, returned=True, recorded=False),
    row("average", A, axis=0, returned=True, recorded=False),
    row("cumsum", A), row("cumsum", A, axis=1), row("cumprod", A), row("cumprod", A, axis=0),
    row("diff", A), row("diff", A, n=2, axis=0), row("diff", A, prepend=V[:3, None], append=0.5), row("diff", MASK, recorded=False),
    *[row("quantile", T, 0.3, axis=2, method=m) for m in ("lower", "higher", "nearest", "midpoint")],
    *[fixed(f"{u.__name__}.reduce", u.reduce, A) for u in REDUCE if "logical" not in u.__name__],
    *[fixed(f"{u.__name__}.reduce axis", lambda x, u=u: u.reduce(x, axis=None, keepdims=True), A) for u in REDUCE
      if "logical" not in u.__name__],
    *[fixed(f"{u.__name__}.reduce", u.reduce, MASK, recorded=False) for u in REDUCE if "logical" in u.__name__],
    *[fixed(f"{u.__name__}.accumulate", u.accumulate, SIGNED) for u in ACCUMULATE],
    fixed("add.accumulate axis", lambda x: np.add.accumulate(x, axis=-1), T),
    fixed("subtract.outer", np.subtract.outer, A, V), fixed("power.outer", np.power.outer, V, W),
    fixed("add.reduce where", lambda x: np.add.reduce(x, axis=1, where=MASK, initial=1.0), A),
]
SHAPES = [
    row("reshape", A, (2, -1)), row("reshape", A, 12), row("ravel", A), row("transpose", T), row("transpose", T, (1, 2, 0)),
    row("matrix_transpose", T), row("swapaxes", T, 0, 2), row("moveaxis", T, 0, -1), row("moveaxis", T, (0, 1), (2, 0)),
    row("squeeze", A[:, None]), row("squeeze", A[None, :, None], axis=2), row("expand_dims", A, 1), row("expand_dims", A, (0, -1)),
    row("broadcast_to", V, (3, 4)), row("broadcast_to", V[0], 3), row("broadcast_arrays", A, V), row("atleast_1d", V[0]),
    row("atleast_2d", V), row("atleast_3d", A), row("atleast_2d", V, A),
    *[fixed(f"{n} {i}", lambda x, y, n=n, o=o: eval(f"np.{n}")([x, y], **o), A, B)
      for n in ("concatenate", "stack") for i, o in enumerate(({}, {"axis": 1}, {"axis": -1}))],
    fixed("concatenate flat", lambda x, y: np.concatenate((x, y), axis=None), A, V),
    *[fixed(n, lambda x, y, n=n: getattr(np, n)((x, y)), A, B) for n in ("hstack", "vstack", "dstack", "column_stack")],
    *[fixed(n + " 1", lambda x, y, n=n: getattr(np, n)((x, y)), V, W) for n in ("hstack", "vstack", "dstack", "column_stack")],
    row("append", A, V), row("append", A, B, axis=0),
    row("split", A, 2, axis=1), row("split", A, [1, 3], axis=1), row("split", V, [1, 2, 6]), row("split", V, [-1]),
    row("array_split", V, 3), row("array_split", A, 5, axis=1), row("hsplit", A, 2), row("vsplit", A, 3), row("hsplit", V, 2),
    row("dsplit", T, [1]), row("unstack", A, axis=1), row("tile", A, 2), row("tile", V, (3, 2)), row("tile", T, (2, 1)),
    row("repeat", A, 2), row("repeat", A, [1, 2, 0], axis=0), row("repeat", A, 3, axis=-1),
    row("flip", A), row("flip", A, axis=1), row("flip", T, axis=(0, 2)), row("fliplr", A), row("flipud", A),
    row("roll", A, 5), row("roll", A, 1, axis=1), row("roll", A, (1, 2), axis=(0, 1)), row("roll", A, 2, axis=(0, 1)),
    row("roll", A, (1, 1), axis=(1, 1)),
    *[row("pad", A, ((1, 2), (0, 3)), mode=m) for m in ("constant", "edge", "reflect", "symmetric", "wrap")],
    row("pad", A, 1), row("pad", A, (1, 2), constant_values=5.0), row("pad", A, 2, constant_values=((1, 2), (3, 4))),
    row("pad", V, 9, mode="reflect"), row("pad", V, 0), row("meshgrid", V, W), row("meshgrid", V, W[:3], V[:2], indexing="ij"),
    *[row(n, A, recorded=False) for n in ("zeros_like", "ones_like")], row("full_like", A, 2.5, recorded=False),
    row("zeros_like", A, dtype=np.int64, shape=(2, 2), recorded=False), row("copy", A), row("astype", A, np.float64),
]
CHOICES = [
    fixed("where", lambda x, y: np.where(MASK, x, y), A, B), fixed("where numbers", lambda x: np.where(x, x, 0.0), A * MASK, recorded=False),
    row("where", MASK, recorded=False), row("nonzero", MASK, recorded=False), row("argwhere", MASK, recorded=False),
    row("flatnonzero", MASK, recorded=False), row("clip", SIGNED, -0.5, 0.7), row("clip", SIGNED, -0.5, None),
    row("clip", SIGNED, A, B + 0.3), row("clip", SIGNED, max=0.5), row("clip", SIGNED),
    row("sort", SIGNED), row("sort", SIGNED, axis=0), row("sort", SIGNED, axis=None, kind="stable"),
    row("argsort", SIGNED, recorded=False), row("argsort", SIGNED, axis=None, recorded=False),
    row("unique", SIGNED), row("unique", np.array([3.0, 1, 3, 2]), return_index=True, return_inverse=True, return_counts=True,
                                 recorded=False),
    row("unique", A[[0, 1, 0]], axis=0, recorded=False), row("unique", A, axis=1),
    row("take", A, [0, 11, -1]), row("take", A, [[1, 0], [2, 2]], axis=1), row("take", A, [5, -7], axis=0, mode="wrap"),
    row("take", A, [5, -7], axis=0, mode="clip"), row("take", A, 2, axis=1), row("compress", [True, False, True], A, axis=0),
    fixed("compress", lambda x: np.compress([True, False, True], x, axis=0), A),
    fixed("take_along_axis", lambda x: np.take_along_axis(x, np.array([[1], [-1], [0]]), 1), A),
    fixed("take_along_axis flat", lambda x: np.take_along_axis(x, np.array([1, -1, 0]), None), A),
    row("isclose", A, A + 1e-9, recorded=False), row("allclose", A, A + 1e-9, recorded=False),
    row("array_equal", A, A, recorded=False), row("array_equal", A, B, recorded=False),
    row("array_equiv", np.ones((2, 3)), np.ones(3), recorded=False),
    row("nan_to_num", np.array([1.0, np.nan, np.inf, -np.inf]), nan=2.0, posinf=3.0, neginf=-4.0, recorded=False),
    row("nan_to_num", A), row("round", SIGNED), row("around", SIGNED * 10, decimals=1, recorded=False), row("fix", SIGNED),
    row("sinc", A), row("isposinf", A, recorded=False), row("isneginf", A, recorded=False), row("real", A), row("real_if_close", A),
    row("imag", A, recorded=False), row("isreal", A, recorded=False), row("iscomplex", A, recorded=False),
    row("shape", A, recorded=False), row("ndim", A, recorded=False), row("size", A, recorded=False),
    row("size", A, axis=1, recorded=False), row("iscomplexobj", A, recorded=False), row("isrealobj", A, recorded=False),
    row("array_str", A, recorded=False), row("array_repr", A, recorded=False), row("array2string", A, precision=2, recorded=False),
    row("result_type", A, np.float32, recorded=False), row("common_type", A, recorded=False),
    row("shares_memory", A, B, recorded=False), row("may_share_memory", A, B, recorded=False),
    row("min_scalar_type", A, recorded=False),
]
PRODUCTS = [
    row("dot", A, V), row("dot", A, B.T), row("dot", V, W), row("dot", T, spread(2, 4, 3)), row("dot", V[0], A), row("dot", V, B.T),
    row("vdot", A, B), row("inner", A, T), row("outer", A, V), row("kron", A, V), row("tensordot", A, T, axes=((0, 1), (1, 2))),
    row("tensordot", T, spread(3, 4, 2)), row("trace", A), row("trace", T, offset=1, axis1=1, axis2=2), row("diagonal", A, 1),
    row("diagonal", T, axis1=0, axis2=2), row("diag", V, 1), row("diag", A), row("tril", A), row("triu", T, 1),
    fixed("einsum", lambda x, y: np.einsum("ij,kj->ik", x, y, optimize=True), A, B),
    fixed("einsum lists", lambda x, y: np.einsum(x, [0, 1], y, [0, 1], [1]), A, B),
    row("linalg.norm", A), row("linalg.norm", V), row("linalg.norm", V, 3), row("linalg.norm", A, "fro"), row("linalg.norm", A, 1),
    row("linalg.norm", A, np.inf), row("linalg.norm", A, axis=1), row("linalg.norm", T, axis=(0, 2), keepdims=True),
    row("linalg.norm", T, 1, axis=(-1, 0)), row("linalg.norm", A, keepdims=True), row("linalg.norm", np.array([3, 4]), recorded=False),
    row("linalg.vector_norm", A, axis=0, ord=3), row("linalg.matrix_norm", T, ord=1, keepdims=True),
    row("linalg.inv", BATCH), row("linalg.solve", BATCH, spread(3)), row("linalg.solve", SQUARE, A),
    row("linalg.solve", spread(3, 3, 3) + 2 * np.eye(3), spread(3, 3)), row("linalg.det", BATCH),
    fixed("linalg.slogdet", lambda x: np.linalg.slogdet(x).logabsdet, BATCH),
    row("linalg.cholesky", POSITIVE), row("linalg.cholesky", POSITIVE, upper=True),
    row("linalg.matrix_power", SQUARE, 3), row("linalg.matrix_power", SQUARE, -2), row("linalg.matrix_power", SQUARE, 1),
    fixed("linalg.multi_dot", lambda x, y: np.linalg.multi_dot([x, y.T, x]), A, B),
    row("linalg.vecdot", A, B, axis=0), row("linalg.matmul", A, B.T), row("linalg.outer", V, W), row("linalg.tensordot", A, B.T, axes=1),
    row("linalg.trace", T, offset=1), row("linalg.diagonal", T), row("linalg.matrix_transpose", T),
]
ROWS_OF_ALL = UFUNCS + REDUCTIONS + SHAPES + CHOICES + PRODUCTS


def parts(result: Any) -> list[Any]:
    """The results of a call: one, or those of a tuple or list."""
    return list(result) if isinstance(result, tuple | list) and not isinstance(result, str) else [result]


def floating(a: Any) -> bool:
    """Whether an argument becomes a tensor with a gradient."""
    return isinstance(a, np.ndarray | np.float64) and a.dtype.kind == "f"


def as_tensors(given: Row, requires_grad: bool) -> list[Any]:
    """The row's arrays as tensors, other arguments (shapes, numbers) as they are."""
    return [cr.tensor(a, requires_grad=requires_grad and floating(a)) if isinstance(a, np.ndarray | np.float64) else a
            for a in given.arrays]


@pytest.mark.parametrize("given", ROWS_OF_ALL, ids=lambda r: r.name)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_the_values_are_those_of_numpy(given: Row, requires_grad: bool) -> None:
    expected, found = (parts(given.call(*x)) for x in (given.arrays, as_tensors(given, requires_grad)))
    assert len(found) == len(expected)
    for f, e in zip(found, expected):
        if isinstance(f, cr.Tensor):
            assert f.shape == np.shape(e)
            assert f.dtype == np.asarray(e).dtype or f.dtype.kind == np.asarray(e).dtype.kind == "f"
            np.testing.assert_allclose(np.asarray(f), e, rtol=1e-6 if f.dtype == np.float32 else 1e-12, atol=1e-14)
        else:
            assert f == e and type(f) is type(e)


@pytest.mark.parametrize("given", [r for r in ROWS_OF_ALL if r.recorded], ids=lambda r: r.name)
def test_the_gradients_are_those_of_finite_differences(given: Row) -> None:
    def function(*x: Any) -> Any:
        return tuple(p for p in parts(given.call(*x)) if isinstance(p, cr.Tensor) and p.dtype.kind == "f")

    inputs = as_tensors(given, True)
    assert all(p.requires_grad for p in function(*inputs))
    tensors = [i for i, x in enumerate(inputs) if isinstance(x, cr.Tensor)]

    def of_tensors(*x: Any) -> Any:
        arguments = list(inputs)
        for i, t in zip(tensors, x):
            arguments[i] = t
        return function(*arguments)

    assert cr.gradcheck(of_tensors, tuple(inputs[i] for i in tensors), complex_step=False)


def test_the_numeric_side_is_numpy_itself() -> None:
    """gradcheck evaluates the function on tensors; here the slopes come from NumPy on arrays."""
    for function in (lambda x: np.std(np.sort(x) * W), lambda x: np.sum(np.pad(np.tile(x, 2), 3, "reflect") ** 2)):
        x = cr.tensor(V, requires_grad=True)
        (slope,) = cr.grad(function(x), x)
        assert cr.check_gradient(function, lambda _: slope.numpy(), V)  # noqa: B023


def test_every_function_is_in_the_table() -> None:
    # what has no row above is tested by name below
    elsewhere = {"empty_like", "copyto", "can_cast", "save", "savez", "savez_compressed", "savetxt"}
    named = {r.name.split("(")[0].split(" ")[0] for r in ROWS_OF_ALL}
    missing = {title(f).removeprefix("np.") for f in FUNCTIONS} - named - elsewhere
    assert missing == set()


@pytest.mark.parametrize("function", FUNCTIONS, ids=title)
def test_our_parameters_have_the_names_of_numpys(function: Any) -> None:
    theirs = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in theirs.values()) or "options" in parameters(FUNCTIONS[function]):
        return
    assert set(parameters(FUNCTIONS[function])) <= set(theirs)


# ---- ufuncs: where, out, dtype

SHAPES_TOGETHER = arrays_of.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)
NUMBERS = st.floats(0.5, 2.0, width=32)


@hypothesis.given(st.data(), SHAPES_TOGETHER, st.sampled_from([np.add, np.multiply, np.arctan2, np.divide, np.less]))
@hypothesis.settings(max_examples=60, deadline=None)
def test_where_and_out(data: Any, shapes: Any, ufunc: Any) -> None:
    x, y = (data.draw(arrays_of.arrays(np.float64, s, elements=NUMBERS)) for s in shapes.input_shapes[:2])
    mask = data.draw(arrays_of.arrays(np.bool_, shapes.input_shapes[2]))
    extra = data.draw(st.sampled_from([(), (2,)]))
    held = data.draw(arrays_of.arrays(np.float64, extra + shapes.result_shape, elements=NUMBERS))
    expected = ufunc(x, y, out=held.copy(), where=mask)
    into = cr.tensor(held)
    tensors = [cr.tensor(a, requires_grad=True) for a in (x, y)]
    found = ufunc(*tensors, out=into, where=mask)
    assert found is into
    np.testing.assert_array_equal(np.asarray(into), expected)
    without = ufunc(*tensors, where=mask)
    if not extra:
        np.testing.assert_array_equal(np.asarray(without), np.where(mask, ufunc(x, y), 0))
    if ufunc is np.less:
        assert not into.requires_grad
        return
    slopes = cr.grad(into.sum(), tensors)
    expected_slopes = cr.grad((cr.where(mask, ufunc(*tensors), 0.0) + np.zeros(held.shape)).sum(), tensors)
    for s, e in zip(slopes, expected_slopes):
        np.testing.assert_allclose(s.numpy(), e.numpy(), rtol=1e-12)


@hypothesis.given(SHAPES_TOGETHER, st.sampled_from([(), (2,), (3, 1)]))
@hypothesis.settings(max_examples=60, deadline=None)
def test_out_fits_exactly_where_numpy_says(shapes: Any, held: Any) -> None:
    x, y, out = np.ones(shapes.input_shapes[0]), np.ones(shapes.input_shapes[1]), np.zeros(held)
    try:
        expected = np.add(x, y, out=out.copy())
    except ValueError:
        with pytest.raises(cr.ShapeError):
            np.add(cr.tensor(x), y, out=cr.tensor(out))
        with pytest.raises(cr.ShapeError):
            np.add(cr.tensor(x), y, out=out)
    else:
        np.testing.assert_array_equal(np.asarray(np.add(cr.tensor(x), y, out=cr.tensor(out))), expected)
        assert np.add(cr.tensor(x), y, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_where_computes_nothing_elsewhere() -> None:
    x = cr.tensor(np.array([-1.0, 0.0, 4.0]), requires_grad=True)
    y = np.log(x, where=np.asarray(x) > 0)  # a warning would be an error
    np.testing.assert_array_equal(np.asarray(y), [0, 0, np.log(4)])
    np.testing.assert_array_equal(cr.grad(y.sum(), x)[0].numpy(), [0, 0, 0.25])
    assert np.add(2.0, 3.0, out=cr.zeros(2), where=cr.tensor([True, False])).tolist() == [5, 0]
    np.testing.assert_array_equal(np.asarray(np.add(np.ones(2), 1, where=cr.tensor([True, False]))), [2, 0])
    assert np.exp(x.detach(), where=False).tolist() == [0, 0, 0]


def test_out_that_is_also_an_input() -> None:
    x = cr.tensor(V, requires_grad=True)
    y = x * 1
    np.multiply(y, y, out=y)
    np.exp(y, y)
    np.cumsum(y, out=y)
    assert y.requires_grad
    assert cr.gradcheck(lambda x: np.multiply(z := x * 1, z, out=z), (x,))
    np.testing.assert_allclose(np.asarray(y), np.cumsum(np.exp(V * V)), rtol=1e-14)
    expected = np.cumsum(np.ones(4)[::-1])[::-1] * 2 * V * np.exp(V * V)
    np.testing.assert_allclose(cr.grad(y.sum(), x)[0].numpy(), expected, rtol=1e-12)


def test_out_as_a_view_and_in_functions() -> None:
    x, whole = cr.tensor(V, requires_grad=True), cr.zeros(2, 4, dtype=np.float64)
    assert np.square(x, out=(whole[1],)).shape == (4,)
    np.testing.assert_array_equal(np.asarray(whole), [np.zeros(4), V * V])
    np.testing.assert_allclose(cr.grad(whole.sum(), x)[0].numpy(), 2 * V)
    total = cr.zeros(4, dtype=np.float64)
    assert np.sum(cr.tensor(A), 0, None, total) is total
    np.testing.assert_allclose(np.asarray(total), A.sum(0))
    array = np.zeros(4)
    assert np.mean(cr.tensor(A), axis=0, out=array) is array
    np.testing.assert_allclose(array, A.mean(0))
    assert np.add.reduce(cr.tensor(A), out=array) is array
    np.testing.assert_allclose(array, A.sum(0))
    quotient = cr.zeros(4, dtype=np.float64)
    found = np.divmod(cr.tensor(V), 0.25, out=(quotient, None))
    assert found[0] is quotient
    np.testing.assert_array_equal(np.asarray(quotient), V // 0.25)
    np.testing.assert_allclose(np.asarray(found[1]), V % 0.25)
    assert np.concatenate([cr.tensor(V), W], out=np.zeros(8)).tolist() == [*V, *W]


def test_copyto() -> None:
    x, target = cr.tensor(V, requires_grad=True), cr.zeros(2, 4, dtype=np.float64)
    np.copyto(target, x, where=[[True] * 4, [False] * 4])
    np.testing.assert_array_equal(np.asarray(target), [V, np.zeros(4)])
    assert cr.grad(target.sum(), x)[0].tolist() == [1] * 4
    bools = cr.zeros(2, dtype=cr.bool)
    np.copyto(bools, np.array([True, False]))
    assert bools.tolist() == [True, False]
    array = np.zeros(4)
    np.copyto(array, x.detach())
    np.testing.assert_array_equal(array, V)
    with pytest.raises(cr.AutogradError, match="np.positive.*detach"):
        np.copyto(array, x)


def test_dtype() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = np.exp(x, dtype=np.float64)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(np.asarray(y), np.exp(np.array([1.0, 2.0])))
    assert cr.grad(y.sum(), x)[0].dtype == np.float32
    assert np.less(x, 2, dtype=bool).tolist() == [True, False]
    assert np.add(x, 1, dtype=np.float16, casting="same_kind").dtype == np.float16
    assert np.sum(cr.tensor([1, 2]), dtype=np.float32).dtype == np.float32
    assert np.exp(cr.tensor([1, 2])).dtype == np.float32  # chainrule's table, not NumPy's
    for call in (lambda: np.add(x, 1, dtype=np.int64), lambda: np.add(x, 1, dtype=np.float16, casting="safe"),
                 lambda: np.divide(cr.tensor([1]), 2, dtype=np.int64), lambda: np.add.reduce(x, out=np.zeros((), int)),
                 lambda: np.add(x, 1, out=cr.zeros(2, dtype=cr.int64))):
        with pytest.raises(cr.DtypeError):
            call()


# ---- operators between arrays and tensors

OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "@", "<", "<=", ">", ">=", "==", "!="]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("left", [V, np.arange(1, 5), np.float64(2), np.float32(2), np.int64(2)], ids=lambda a: repr(a)[:12])
def test_operators(operator: str, left: Any) -> None:
    if operator == "@" and not np.ndim(left):
        pytest.skip("@ takes no numbers")
    t = cr.tensor(W, requires_grad=True)
    names = {"a": left, "b": W, "t": t}
    for on_tensors, on_arrays in ((f"a {operator} t", f"a {operator} b"), (f"t {operator} a", f"b {operator} a")):
        found, expected = eval(on_tensors, names), eval(on_arrays, names)
        assert isinstance(found, cr.Tensor)
        assert found.dtype == np.asarray(expected).dtype
        assert found.requires_grad == (expected.dtype.kind == "f")
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-14)


def test_numbers_of_numpy_are_as_weak_as_they_should_be() -> None:
    t = cr.tensor([1.0, 2.0])
    assert (np.float64(2) * t).dtype == (t * np.float64(2)).dtype == np.float32  # it is an instance of float
    assert (np.float64(2) + cr.tensor([1, 2])).dtype == np.float32
    assert (np.arange(2) + t).dtype == np.float32
    assert (np.zeros(2) + t).dtype == np.float64


def test_augmented_assignment() -> None:
    x, array = cr.tensor(V, requires_grad=True), W.copy()
    t = x * 2
    same = t
    t += array
    assert t is same
    np.testing.assert_allclose(np.asarray(t), 2 * V + W)
    assert cr.grad(t.sum(), x)[0].tolist() == [2] * 4
    with pytest.raises(cr.AutogradError, match="np.add.*array \\+ t"):
        array += x
    np.testing.assert_array_equal(array, W)
    kept = array
    array += cr.tensor(V)
    assert array is kept
    np.testing.assert_allclose(array, W + V)
    counts = np.arange(4)
    with pytest.raises(cr.DtypeError, match="int64"):
        counts += cr.tensor(V)
    whole = cr.tensor(np.arange(4))
    with pytest.raises(cr.DtypeError, match="float64"):
        whole += V


# ---- tensors as arrays and numbers

def test_asarray_shares_memory_and_array_copies() -> None:
    plain, recorded = cr.tensor(V), cr.tensor(V, requires_grad=True)
    assert np.shares_memory(np.asarray(plain), plain.data) and np.asarray(plain).flags.writeable
    for t in (recorded, recorded * 2):
        for view in (np.asarray(t), t.numpy(), np.array(t, copy=False)):
            assert np.shares_memory(view, t.data)
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1
        assert t.data.flags.writeable
        copy = np.array(t)
        assert not np.shares_memory(copy, t.data)
        copy[0] = 5
        assert np.asarray(t, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(plain, dtype=np.float32, copy=False)


def test_as_numbers() -> None:
    t = cr.tensor(np.array([6.25]), requires_grad=True)
    assert float(t) == 6.25 and int(t) == 6 and math.sqrt(t) == 2.5 and f"{t:.3f}" == "6.250" and bool(t)
    assert format(t[0], ">8.1f") == "     6.2" and f"{t[0] * 2:e}" == "1.250000e+01" and math.floor(t) == 6
    assert list(range(cr.tensor(3))) == [0, 1, 2] and [10, 11, 12][cr.tensor(1)] == 11
    assert np.float64(t[0]) == 6.25 and np.zeros(cr.tensor(2)).shape == (2,)
    with pytest.raises(TypeError):
        range(cr.tensor(3.0))


def test_iteration_and_testing() -> None:
    t = cr.tensor(A, requires_grad=True)
    assert [r.shape for r in t] == [(4,)] * 3 and all(r.requires_grad for r in t)
    np.testing.assert_allclose(t, A)
    np.testing.assert_allclose(A, t * 1)
    np.testing.assert_array_equal(t, A)
    np.testing.assert_array_almost_equal(t, A)
    with pytest.raises(AssertionError, match="Mismatched"):
        np.testing.assert_allclose(t, A + 1)
    assert np.array([t[0, 0].detach(), 1.0])[0] == A[0, 0]


def test_dlpack() -> None:
    t = cr.tensor(V)
    array = np.from_dlpack(t)
    assert np.shares_memory(array, t.data)
    source = V.copy()
    back = cr.from_dlpack(source)
    source[0] = 9
    assert back[0] == 9
    with pytest.raises(cr.AutogradError, match="detach"):
        np.from_dlpack(cr.tensor(V, requires_grad=True))


def test_files(tmp_path: Any) -> None:
    t = cr.tensor(A, requires_grad=True)
    np.save(tmp_path / "a.npy", t)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A)
    np.savez(tmp_path / "a.npz", first=t)
    np.savez_compressed(tmp_path / "b.npz", t)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["first"], A)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["arr_0"], A)
    np.savetxt(tmp_path / "a.txt", t)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "a.txt"), A)


def test_can_cast_and_empty_like() -> None:
    assert np.can_cast(cr.dtypes.float32, np.float64)
    assert np.empty_like(cr.tensor(A)).shape == (3, 4) and np.empty_like(cr.tensor(A), np.int8).dtype == np.int8


# ---- what is refused

t = cr.tensor(A, requires_grad=True)
REFUSED = [
    (lambda: np.histogram(t), TypeError, r"np\.histogram is not offered.*detach\(\)\.numpy\(\)"),
    (lambda: np.linalg.svd(t), TypeError, r"np\.linalg\.svd is not offered"),
    (lambda: np.linspace(t[0, 0], 1), TypeError, r"np\.linspace is not offered"),
    (lambda: np.fft.fft(t), TypeError, r"np\.fft.*fft is not offered"),
    (lambda: np.gcd(cr.tensor([4]), 2), TypeError, r"np\.gcd is not offered"),
    (lambda: np.frexp(t), TypeError, r"np\.frexp is not offered"),
    (lambda: np.add.reduceat(t, [0, 1]), TypeError, r"np\.add\.reduceat is not offered"),
    (lambda: np.add.at(t, 0, 1), TypeError, r"np\.add\.at is not offered"),
    (lambda: np.divide.reduce(t), TypeError, r"np\.divide\.reduce is not offered"),
    (lambda: np.subtract.accumulate(t), TypeError, r"np\.subtract\.accumulate is not offered"),
    (lambda: np.matmul(t, A.T, axes=[(0, 1)] * 3), TypeError, r"np\.matmul: the option axes="),
    (lambda: np.matmul(t, A.T, where=np.ones((3, 3), bool)), TypeError, "where"),
    (lambda: np.exp(t, order="F"), TypeError, r"np\.exp: the option order='F'"),
    (lambda: np.exp(t, subok=False), TypeError, "subok"),
    (lambda: np.exp(t, signature="f->f"), TypeError, "signature"),
    (lambda: np.exp(t, where=np.ones((3, 4))), cr.DtypeError, "must be bools"),
    (lambda: np.exp(t, where=np.ones((5, 4), bool)), cr.ShapeError, r"np\.exp.*do not broadcast"),
    (lambda: np.exp(t, out=np.zeros((3, 4))), cr.AutogradError, r"np\.exp.*detach"),
    (lambda: np.exp(t, out=np.zeros((3, 4)), where=A > 0.5), cr.AutogradError, r"np\.exp.*detach"),
    (lambda: np.exp(A, out=t), cr.AutogradError, r"np\.exp: in-place write to a leaf"),
    (lambda: np.exp(t, out=cr.zeros(4, dtype=np.float64)), cr.ShapeError, r"np\.exp.*does not fit|do not broadcast"),
    (lambda: np.sum(t, where=A), cr.DtypeError, "must be bools"),
    (lambda: np.max(t, where=A > 0.5), ValueError, "initial"),
    (lambda: np.add.reduce(t, order="C"), TypeError, "order"),
    (lambda: np.reshape(t, (4, 3), order="F"), TypeError, r"np\.reshape: the option order='F'"),
    (lambda: np.sort(t, order="x"), TypeError, "order"),
    (lambda: np.std(t, where=A > 0.5), TypeError, r"np\.std: the option where="),
    (lambda: np.std(t, ddof=1, correction=1), ValueError, "same"),
    (lambda: np.quantile(t, 0.5, weights=A), TypeError, "weights"),
    (lambda: np.quantile(t, 0.5, method="weibull"), ValueError, "weibull"),
    (lambda: np.clip(t, 0, 1, dtype=np.float32), TypeError, "dtype"),
    (lambda: np.clip(t, 0, 1, min=0), ValueError, "."),
    (lambda: np.pad(t, 1, mode="mean"), TypeError, "mode='mean'"),
    (lambda: np.pad(t, 1, mode="linear_ramp", end_values=1), TypeError, "end_values"),
    (lambda: np.pad(t, -1), cr.ShapeError, "negative"),
    (lambda: np.pad(t, 1, mode="edge", constant_values=3), ValueError, "constant_values"),
    (lambda: np.meshgrid(t[0], sparse=True), TypeError, "sparse"),
    (lambda: np.nan_to_num(t, copy=False), TypeError, "copy"),
    (lambda: np.squeeze(t, axis=0), cr.ShapeError, "size 3"),
    (lambda: np.split(t, 5), cr.ShapeError, "array_split"),
    (lambda: np.concatenate([t, V]), cr.ShapeError, "as many axes"),
    (lambda: np.sum(t, axis=2), IndexError, "axis 2"),
    (lambda: np.take(t, [9], axis=0), IndexError, "."),
    (lambda: np.where(A > 0.5, t), ValueError, "both"),
    (lambda: np.split(t, 2, out=A), TypeError, "out"),
    (lambda: np.nonzero(t[0, 0]), cr.ShapeError, "0-d"),
    (lambda: np.linalg.norm(t, "nuc"), ValueError, "nuc"),
    (lambda: np.multiply(np.ma.masked_array(A, A > 0.5), t), cr.DtypeError, "mask"),
    (lambda: t * np.ma.masked_array(A, A > 0.5), cr.DtypeError, "mask"),
    (lambda: np.add(t, "x"), cr.DtypeError, "add"),
    (lambda: np.where(t > 0, object(), t), cr.DtypeError, "where"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number: int) -> None:
    call, kind, message = REFUSED[number]
    with pytest.raises(kind, match=message):
        call()


def test_a_user_made_ufunc_of_a_known_name_is_not_taken_for_numpys() -> None:
    add = np.frompyfunc(lambda x, y: x - y, 2, 1)
    with pytest.raises(TypeError, match="not offered"):
        add(t, t)
