"""Shapes, layouts and dtypes that nobody thought of: drawn by hypothesis, checked against NumPy and by gradcheck."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.tensor import Tensor

few = settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
FLOATS = [cr.float16, cr.float32, cr.float64]
DTYPES = [cr.bool, cr.uint8, cr.int8, cr.int32, cr.int64, *FLOATS]
sizes = st.sampled_from([2, 3, 1, 2, 3, 0])
shapes = st.sampled_from([2, 3, 1, 2, 3, 0]).flatmap(lambda rank: st.tuples(*[sizes] * rank))
seeds = st.integers(0, 10**6)


@st.composite
def broadcasting(draw: Any, count: int = 2) -> list[tuple[int, ...]]:
    """Shapes that broadcast: of a common one, some axes 1, some leading ones left out."""
    common = draw(shapes)
    found = []
    for _ in range(count):
        shape = tuple(1 if draw(st.booleans()) else n for n in common)
        found.append(shape[draw(st.sampled_from([0, 0, 0, *range(len(shape) + 1)])) :])
    return found


def spread(seed: int, *shape: int) -> np.ndarray:
    """Values from [0.4, 2.4), no two alike: no kink, no tie, no zero among them."""
    n = int(np.prod(shape, dtype=int))
    return (0.4 + 2 * (np.random.default_rng(seed).permutation(n) + 0.5) / max(n, 1)).reshape(shape)


@st.composite
def laid_out(draw: Any, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """An array of this shape in some layout: axes swapped, strides negative or with gaps, inside a larger array."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -2])) for _ in shape]
    offsets = [draw(st.integers(0, 1)) for _ in shape]
    memory = np.zeros([shape[a] * 2 + 1 for a in order], dtype)
    view = memory.transpose(np.argsort(order)) if shape else memory
    index = []
    for n, step, offset in zip(shape, steps, offsets, strict=True):
        taken = slice(offset, offset + n * abs(step) - (abs(step) - 1) if n else offset, abs(step))
        index.append(taken)
    view = view[tuple(index)][tuple(slice(None, None, -1 if s < 0 else 1) for s in steps)] if shape else view
    assert view.shape == shape
    view[...] = spread(draw(seeds), *shape).astype(dtype)
    return view


def check(f: Any, arrays: list[np.ndarray], expected: Any, second: bool = False) -> None:
    """f's value is NumPy's, its gradient the numeric one, both unchanged by how the arrays lie in memory."""
    with np.errstate(all="ignore"):
        value = expected(*[np.ascontiguousarray(a).reshape(a.shape) for a in arrays])
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    out = f(*leaves)
    assert out.shape == np.shape(value) and out.dtype == np.float64
    np.testing.assert_allclose(out.data, value, rtol=1e-12, atol=1e-14)
    assert cr.gradcheck(f, leaves, complex_step=False, check_strides=False)
    found = cr.grad(out, leaves, np.ones(out.shape), allow_unused=True)
    plain = [Tensor(np.ascontiguousarray(a).reshape(a.shape), requires_grad=True) for a in arrays]
    again = cr.grad(f(*plain), plain, np.ones(out.shape), allow_unused=True)
    for a, b in zip(found, again, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-14)
    if second:
        assert cr.gradgradcheck(f, plain, check_strides=False)


UNARY = ["exp", "log", "sqrt", "sin", "cos", "tanh", "square", "negative", "abs", "reciprocal", "expm1", "log1p", "arctan", "sinh"]
BINARY = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "arctan2", "hypot", "logaddexp"]


@pytest.mark.parametrize("name", UNARY + BINARY)
@settings(few, max_examples=15)
@given(data=st.data())
def test_elementwise(name: str, data: Any) -> None:
    drawn = data.draw(broadcasting(1 if name in UNARY else 2))
    arrays = [data.draw(laid_out(s)) for s in drawn]
    if name in ("maximum", "minimum"):
        arrays[1] = arrays[1] * 1.01 + 0.003  # no ties between the two
    check(getattr(cr, name), arrays, getattr(np, name), second=name not in ("maximum", "minimum", "abs"))


@few
@given(st.data())
def test_compositions_that_use_an_input_twice(data: Any) -> None:
    first, second, third = data.draw(broadcasting(3))
    arrays = [data.draw(laid_out(s)) for s in (first, second, third)]
    check(lambda a, b, c: (a * b + c) * a / (b + c), arrays, lambda a, b, c: (a * b + c) * a / (b + c), second=True)


REDUCTIONS = ["sum", "mean", "prod", "amax", "amin", "var", "logsumexp"]


def reduce_numpy(name: str, a: np.ndarray, axis: Any, keepdims: bool) -> Any:
    if name == "logsumexp":
        return np.log(np.exp(a).sum(axis=axis, keepdims=keepdims))
    return getattr(np, name)(a, axis=axis, keepdims=keepdims, **({"ddof": 1} if name == "var" else {}))


@few
@given(st.data())
def test_reductions(data: Any) -> None:
    name = data.draw(st.sampled_from(REDUCTIONS))
    shape = data.draw(shapes)
    rank = len(shape)
    axes = data.draw(st.none() | st.lists(st.integers(-rank, rank - 1), unique_by=lambda a: a % rank, min_size=1,
                                          max_size=1 if name == "prod" else rank).map(tuple)) if rank else None
    counted = [shape[a] for a in (range(rank) if axes is None else axes)]
    least = {"amax": 1, "amin": 1, "mean": 1, "logsumexp": 1, "var": 2}.get(name, 0)
    if int(np.prod(counted, dtype=int)) < least or (name in ("amax", "amin") and 0 in shape):
        return
    axis = axes[0] if axes is not None and name == "prod" else axes
    if axes is None and name == "logsumexp":
        axis = tuple(range(rank))
    keepdims = data.draw(st.booleans()) and axis is not None
    array = data.draw(laid_out(shape))
    options = {} if axis is None else {"axis": axis, "keepdims": keepdims}
    check(lambda a: getattr(cr, name)(a, **options), [array], lambda a: reduce_numpy(name, a, axis, keepdims),
          second=name in ("sum", "mean", "prod", "var", "logsumexp"))


@few
@given(st.data())
def test_matmul(data: Any) -> None:
    """1-D against 1-D to stacks against stacks, sizes of 0 among them."""
    n, m, k = [data.draw(sizes) for _ in range(3)]
    left, right = data.draw(st.sampled_from([((n,), (n,)), ((n, m), (m,)), ((m,), (m, k)), ((n, m), (m, k))]))
    if data.draw(st.booleans()):
        a, b = data.draw(broadcasting(2))
        left, right = (*a[-2:], n, m), (*b[-2:], m, k)
    arrays = [data.draw(laid_out(s)) for s in (left, right)]
    check(lambda a, b: a @ b, arrays, lambda a, b: a @ b, second=True)


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """An index of NumPy's: slices, integers, None, an ellipsis, integer arrays, a mask; in bounds."""
    index: list[Any] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        kinds = ["slice", "slice", "none"] + (["integer", "array"] if n else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "none":
            index.append(None)
            kind = "slice"
        if kind == "slice":
            edge = st.none() | st.integers(-4, 4)
            index.append(slice(draw(edge), draw(edge), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "integer":
            index.append(draw(st.integers(-n, n - 1)))
        else:
            index.append(np.array(draw(st.lists(st.integers(-n, n - 1), min_size=2, max_size=2))))
    if draw(st.booleans()):
        index.append(Ellipsis)
    return tuple(index)


@few
@given(st.data())
def test_getitem(data: Any) -> None:
    array = data.draw(laid_out(data.draw(shapes)))
    index = data.draw(indices(array.shape)) if data.draw(st.integers(0, 4)) else spread(data.draw(seeds), *array.shape) > 1.2
    check(lambda a: a[index] * 2, [array], lambda a: a[index] * 2, second=True)


@few
@given(st.data())
def test_setitem(data: Any) -> None:
    """A write through an index, of a value that broadcasts: both gradients, and NumPy's values."""
    array = data.draw(laid_out(data.draw(shapes)))
    index = data.draw(indices(array.shape))
    if any(isinstance(i, np.ndarray) and len(set((i % n).tolist())) < len(i)
           for i, n in zip([i for i in index if i is not None and i is not Ellipsis], array.shape)):
        return  # which of two values stays is not defined
    part = array[index]
    shape = tuple(1 if data.draw(st.booleans()) else n for n in part.shape)[data.draw(st.integers(0, part.ndim)) :]

    def write(a: Any, v: Any, copy: Any) -> Any:
        b = copy(a)
        b[index] = v * v
        return b * b

    check(lambda a, v: write(a, v, cr.clone), [array, data.draw(laid_out(shape))],
          lambda a, v: write(a, v, np.copy))


@few
@given(st.data())
def test_shapes(data: Any) -> None:
    """Chains of views, whatever they start from."""
    array = data.draw(laid_out(data.draw(shapes)))
    steps: list[tuple[str, Any]] = []
    shape = array.shape
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["permute", "reshape", "flip", "unsqueeze", "broadcast"]))
        rank = len(shape)
        if kind == "permute" and rank:
            steps.append(("permute", tuple(data.draw(st.permutations(range(rank))))))
        elif kind == "flip" and rank:
            steps.append(("flip", data.draw(st.integers(0, rank - 1))))
        elif kind == "unsqueeze" and rank < 5:
            steps.append(("unsqueeze", data.draw(st.integers(0, rank))))
        elif kind == "broadcast" and rank < 5:
            steps.append(("broadcast", (2, *shape)))
        else:
            steps.append(("reshape", (int(np.prod(shape, dtype=int)),)))
        shape = np_steps(np.zeros(shape), steps[-1:]).shape
        if int(np.prod(shape)) > 50:
            break

    def ours(a: Tensor) -> Tensor:
        for name, argument in steps:
            a = getattr(a, {"broadcast": "broadcast_to"}.get(name, name))(argument)
        return a * a

    check(ours, [array], lambda a: np_steps(a, steps) ** 2)


def np_steps(a: Any, steps: Any) -> Any:
    for name, argument in steps:
        a = {"permute": np.transpose, "flip": np.flip, "unsqueeze": np.expand_dims, "broadcast": np.broadcast_to,
             "reshape": np.reshape}[name](a, argument)
    return a


@few
@given(st.data())
def test_joining(data: Any) -> None:
    shape = data.draw(st.lists(sizes, min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    arrays = []
    for _ in range(data.draw(st.integers(1, 3))):
        shape[axis] = data.draw(sizes)
        arrays.append(data.draw(laid_out(tuple(shape))))
    check(lambda *a: cr.cat(a, axis) ** 2, arrays, lambda *a: np.concatenate(a, axis) ** 2, second=True)
    same = [arrays[0], *(data.draw(laid_out(arrays[0].shape)) for _ in range(2))]
    check(lambda *a: cr.stack(a, axis), same, lambda *a: np.stack(a, axis))


@few
@given(st.data())
def test_dtypes_of_values_and_gradients(data: Any) -> None:
    """Any two dtypes, shapes and layouts: the result's dtype is the table's, the value NumPy's in that dtype, each gradient has
    its input's dtype and shape."""
    left, right = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(DTYPES))
    a, b = [data.draw(laid_out(s, d)) for s, d in zip(data.draw(broadcasting(2)), (left, right), strict=True)]
    x, y = [Tensor(v, requires_grad=v.dtype.kind == "f") for v in (a, b)]
    name = data.draw(st.sampled_from(["add", "multiply", "divide", "maximum"]))
    common = cr.dtypes.promote(left, right) if name != "divide" or "f" in left.kind + right.kind else cr.float32
    with np.errstate(all="ignore"):  # integers divided by 0
        out = getattr(cr, name)(x, y)
        expected = getattr(np, name)(a.astype(common), b.astype(common))
    assert out.dtype == common
    np.testing.assert_array_equal(out.data, expected)
    wanted = [t for t in (x, y) if t.requires_grad]
    if wanted:
        for t, g in zip(wanted, cr.grad(out, wanted, np.ones(out.shape)), strict=True):
            assert g.dtype == t.dtype and g.shape == t.shape


@pytest.mark.peers
@few
@given(st.data())
def test_indexing_as_torch(data: Any) -> None:
    """Where torch has the index (it has no negative steps), values and gradients are the same."""
    torch = pytest.importorskip("torch")
    array = np.ascontiguousarray(data.draw(laid_out(data.draw(shapes.filter(len)))))
    index = data.draw(indices(array.shape))
    if any(isinstance(i, slice) and (i.step or 1) < 0 for i in index):
        return
    theirs = torch.tensor(array.copy(), requires_grad=True)
    result = theirs[tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)]
    ours = Tensor(array, requires_grad=True)
    out = ours[index]
    assert out.shape == tuple(result.shape)
    np.testing.assert_array_equal(out.data, result.detach().numpy())
    weights = spread(3, *out.shape)
    g, = cr.grad(out, ours, weights)
    h, = torch.autograd.grad(result, theirs, torch.tensor(weights))
    np.testing.assert_allclose(g.data, h.numpy(), rtol=1e-12)
