"""NumPy's functions on tensors: the values are NumPy's own, the gradients those of finite differences."""

import inspect
import math
from typing import Any

import hypothesis
import hypothesis.extra.numpy as arrays_of
import hypothesis.strategies as st
import numpy as np
import pytest

import chainrule as cr
from chainrule.numpy_protocol.dispatch import FUNCTIONS, parameters, title
from tests.numpy_calls import ROWS_OF_ALL, A, Row, V, W


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
@pytest.mark.parametrize("left", [V, np.arange(1, 5), np.float64(2), np.float32(2), np.int64(2)],
                         ids=lambda a: repr(a)[:12])
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
