"""The table of engine/dtypes.py, row by row and then for every pair of dtypes; gradients' dtypes with it."""

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import dtypes
from chainrule.tensor import Tensor

FLOATS = [cr.float16, cr.float32, cr.float64]
INTEGERS = [cr.uint8, cr.int8, cr.int16, cr.int32, cr.int64]
ALL = [cr.bool, *INTEGERS, *FLOATS]
PAIRS = list(itertools.product(ALL, ALL))


def of(dtype: Any) -> Tensor:
    return cr.tensor([1, 2]).to(dtype)


ROWS: list[tuple[str, str, Any, Any]] = [  # the table's left and right columns, and the call and dtype they stand for
    ("int64", "float32", lambda: of(cr.int64) + of(cr.float32), cr.float32),
    ("float32", "float64", lambda: of(cr.float32) + of(cr.float64), cr.float64),
    ("float16", "float32", lambda: of(cr.float16) + of(cr.float32), cr.float32),
    ("bool", "int64", lambda: of(cr.bool) + of(cr.int64), cr.int64),
    ("float32", "Python float, int, bool", lambda: (of(cr.float32) + 1.5) * 2 + True, cr.float32),
    ("int64", "Python float", lambda: of(cr.int64) + 1.5, cr.float32),
    ("bool", "Python int", lambda: of(cr.bool) + 1, cr.int64),
    ("int64 / int64, exp(int64), mean(int64)", "",
     lambda: of(cr.int64) / of(cr.int64) + of(cr.int64).exp() + of(cr.int64).mean(), cr.float32),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]} and {r[1]}" for r in ROWS])
def test_the_documented_rows(row: Any) -> None:
    assert row[2]().dtype == row[3]


def test_every_row_of_the_document_is_tested() -> None:
    assert dtypes.__doc__ is not None
    lines = [line for line in dtypes.__doc__.splitlines() if line.startswith("|")][2:]
    cells = [tuple(c.strip() for c in line.strip("|").split("|"))[:2] for line in lines]
    assert cells == [row[:2] for row in ROWS]


def expected(left: Any, right: Any) -> Any:
    """The rule: the higher kind wins, within a kind the wider."""
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    if rank[left.kind] != rank[right.kind]:
        return left if rank[left.kind] > rank[right.kind] else right
    return np.promote_types(left, right)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_pairs(left: Any, right: Any) -> None:
    wanted = expected(left, right)
    assert dtypes.promote(left, right) == wanted
    for f in (lambda a, b: a * b, cr.add, lambda a, b: a @ b, lambda a, b: cr.cat([a, b]), lambda a, b: cr.stack([a, b]),
              lambda a, b: cr.where(cr.tensor([True, False]), a, b), cr.maximum):
        assert f(of(left), of(right)).dtype == wanted
    quotient = cr.div(of(left), of(right)).dtype
    assert quotient == (wanted if wanted.kind == "f" else cr.float32)
    assert (of(left) < of(right)).dtype == cr.bool
    zero_d = of(right)[0]  # 0-d tensors promote like any
    assert zero_d.ndim == 0 and (of(left) * zero_d).dtype == wanted


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize(("scalar", "kind"), [(True, 0), (2, 1), (2.5, 2), (np.float64(2.5), 2)],
                         ids=["bool", "int", "float", "np"])
def test_python_scalars_are_weak(dtype: Any, scalar: Any, kind: int) -> None:
    own = {"b": 0, "u": 1, "i": 1, "f": 2}[dtype.kind]
    wanted = dtype if own >= kind else [cr.bool, cr.int64, cr.float32][kind]
    for f in (lambda t: t * scalar, lambda t: cr.multiply(scalar, t), lambda t: cr.maximum(t, scalar)):
        assert f(of(dtype)).dtype == wanted
    assert (of(dtype) == scalar).dtype == cr.bool


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_float_functions_of_every_dtype(dtype: Any) -> None:
    wanted = dtype if dtype.kind == "f" else cr.float32
    for f in (cr.exp, cr.sqrt, cr.sin, cr.sigmoid, cr.erf, lambda t: t / t, lambda t: t.logsumexp(0)):
        assert f(of(dtype)).dtype == wanted
    for f in (lambda t: t[0], lambda t: t.reshape(2, 1), cr.clone, lambda t: t.flip(0)):
        assert f(of(dtype)).dtype == dtype
    assert of(dtype).sum().dtype == (cr.int64 if dtype.kind in "biu" else dtype)


def test_values_are_not_rounded_on_the_way() -> None:
    """A Python float has 53 bits where the dtype does; int64 beside float64 keeps its own."""
    assert cr.tensor(0.1, dtype=cr.float64).item() == 0.1
    assert cr.tensor([0.1, 1], dtype=cr.float64).tolist() == [0.1, 1.0]
    assert cr.as_tensor([0.1], dtype=cr.float64).tolist() == [0.1]
    assert (of(cr.float64) * 0.1).tolist() == [0.1, 0.2]
    assert cr.full((1,), 0.1, dtype=cr.float64).tolist() == [0.1]
    assert (cr.tensor([2**53 - 1]) * cr.tensor([1.0], dtype=cr.float64)).tolist() == [float(2**53 - 1)]
    assert cr.tensor([2**62]).tolist() == [2**62]


def test_what_python_values_become() -> None:
    assert cr.tensor(1.0).dtype == cr.tensor([1, 2, 3.0]).dtype == cr.float32
    assert cr.tensor(1).dtype == cr.tensor([True, 2]).dtype == cr.int64
    assert cr.tensor(True).dtype == cr.bool
    assert cr.tensor(np.ones(2)).dtype == cr.float64 and cr.tensor(np.ones(2, np.float16)).dtype == cr.float16
    with pytest.raises(TypeError, match="float16/32/64, an integer type or bool"):
        cr.tensor([1], dtype="datetime64[s]")
    with pytest.raises(cr.DtypeError, match="numbers or bools"):
        cr.tensor("text")


def test_the_default_dtype() -> None:
    try:
        cr.set_default_dtype(cr.float64)
        assert cr.tensor(0.1).item() == 0.1 and cr.zeros(1).dtype == cr.float64
        assert (of(cr.int64) / 2).dtype == cr.float64 and of(cr.int64).exp().dtype == cr.float64
        assert (of(cr.float32) * 0.5).dtype == cr.float32
    finally:
        cr.set_default_dtype(cr.float32)
    with pytest.raises(TypeError, match="must be floating-point"):
        cr.set_default_dtype(cr.int64)


@pytest.mark.parametrize(("left", "right"), list(itertools.product(FLOATS, FLOATS)), ids=str)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_have_their_tensors_dtypes(left: Any, right: Any, create_graph: bool) -> None:
    a, b = of(left).requires_grad_(), of(right).requires_grad_()
    for f in (lambda: a * b, lambda: a @ b, lambda: cr.cat([a, b]), lambda: (a.sum() + b).exp(), lambda: cr.where(a > 1, a, b)):
        out = f()
        ga, gb = cr.grad(out.sum(), [a, b], create_graph=create_graph)
        assert out.dtype == expected(left, right) and (ga.dtype, gb.dtype) == (left, right)


def test_float16_sums_do_not_saturate_halfway() -> None:
    """They accumulate in float32: ones add up beyond 2048, where float16 steps by two."""
    assert cr.ones(4099, dtype=cr.float16).sum().item() == 4100.0  # 4099 rounded
    assert cr.ones(3000, dtype=cr.float16).mean().item() == 1.0
    x = cr.ones(1, dtype=cr.float16, requires_grad=True)
    x.expand(4000).sum().backward()
    assert x.grad is not None and x.grad.item() == 4000.0


def test_casts_carry_gradients() -> None:
    x = cr.tensor([1.5, 2.5], dtype=cr.float32, requires_grad=True)
    (x.double() * x.half().double()).sum().backward()
    assert x.grad is not None and x.grad.dtype == cr.float32 and x.grad.tolist() == [3.0, 5.0]


@pytest.mark.peers
def test_pairs_as_torch() -> None:
    torch = pytest.importorskip("torch")
    for left, right in PAIRS:
        ours, theirs = [getattr(torch, str(d)) for d in (left, right)]
        result = torch.tensor([1, 2]).to(ours) * torch.tensor([1, 2]).to(theirs)
        assert str(result.dtype) == f"torch.{(of(left) * of(right)).dtype}"
        for scalar in (True, 2, 2.5):
            assert str((torch.tensor([1, 2]).to(ours) * scalar).dtype) == f"torch.{(of(left) * scalar).dtype}"
