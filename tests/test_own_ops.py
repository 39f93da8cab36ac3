"""What operations of one's own can do, besides what docs/own-ops.md shows (tests/test_docs.py runs it)."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import graph, names
from chainrule.tensor import Tensor


def leaf(*values: float) -> Tensor:
    return cr.tensor(list(values), dtype=cr.float64, requires_grad=True)


def test_own_ops_stay_out_of_the_table() -> None:
    before = set(graph.table), set(vars(names.ops))
    cr.Op("exp", forward=lambda xp, x: xp.exp(x), x=lambda xp, g, out: g * out)
    cr.fused(lambda xp, x: x * x)
    assert (set(graph.table), set(vars(names.ops))) == before
    with pytest.raises(ValueError, match="the table has a row of this name already"):
        cr.Op("exp", x=lambda xp, g, out: g * out)


def test_an_op_takes_arrays_lists_and_numbers() -> None:
    double = cr.Op("double", forward=lambda xp, x: x * 2, x=lambda xp, g: g * 2)
    assert double([1.0, 2.0]).tolist() == [2.0, 4.0]
    assert double(np.ones(2)).dtype == cr.float64
    assert double(3.0).item() == 6.0
    with pytest.raises(cr.DtypeError, match="double: expected a tensor, an array or a number, got str"):
        double("text")


def test_only_what_formulas_ask_for_is_kept() -> None:
    x = leaf(1.0, 2.0)
    by_shape = cr.Op("by_shape", forward=lambda xp, x: xp.sum(x), x=lambda xp, g, x_shape: xp.broadcast_to(g, x_shape))
    by_out = cr.Op("by_out", forward=lambda xp, x: xp.exp(x), x=lambda xp, g, out: g * out)
    assert by_shape(x).grad_fn.kept == ()
    assert [k is x.data for k in by_out(x).grad_fn.kept] == [False]
    assert cr.gradcheck(by_shape, (x,)) and cr.gradgradcheck(by_shape, (x,)) and cr.gradgradcheck(by_out, (x,))


def test_a_formula_may_not_ask_for_another_input_s_shape() -> None:
    with pytest.raises(ValueError, match="the formula of 'a' asks for 'b_shape'; it may only ask for a_shape"):
        cr.Op("bad", forward=lambda xp, a, b: a, a=lambda xp, g, b_shape: g, b=None)


def test_variadic_ops_and_position() -> None:
    weigh = cr.Op("weigh", forward=lambda xp, *a: sum((i + 1) * v for i, v in enumerate(a)),
                  each=lambda xp, g, position: (position + 1) * g)
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    assert weigh(a, b, c).tolist() == [14.0]
    assert [g.item() for g in cr.grad(weigh(a, b, c).sum(), [a, b, c])] == [1.0, 2.0, 3.0]
    assert cr.gradcheck(weigh, (a, b, c), check_forward_ad=True)


def test_words_are_shortcuts_to_forward_mode() -> None:
    """An elementwise op pushes tangents through its own formulas; a plain one through its transposed vjp: the same."""
    found = []
    for word in ("", "elementwise"):
        op = cr.Op("cube", word=word, forward=lambda xp, x: x**3, x=lambda xp, g, x: 3 * g * x * x)
        found.append(cr.jvp(op, leaf(1.0, 2.0), leaf(1.0, 10.0))[1].tolist())
        assert cr.gradcheck(op, (leaf(1.0, 2.0),), check_forward_ad=True)
    assert found == [[3.0, 120.0]] * 2


def test_integers_can_be_converted_first() -> None:
    op = cr.Op("half", floats=True, forward=lambda xp, x: x * 0.5, x=lambda xp, g: g * 0.5)
    assert op(cr.tensor([1, 2])).dtype == cr.float32


def test_an_error_in_forward_names_the_op_and_its_inputs() -> None:
    op = cr.Op("picky", forward=lambda xp, a, b: xp.matmul(a, b), a=lambda xp, g, b: g @ b.mT, b=lambda xp, g, a: a.mT @ g)
    with pytest.raises(cr.ShapeError, match=r"picky\(float64\(2\), float64\(3\)\)"):
        op(leaf(1.0, 2.0), leaf(1.0, 2.0, 3.0))


def test_own_kernels_for_a_fused_op() -> None:
    """A pair of kernels in the backend's namespace is used, and may decline."""
    calls: list[str] = []

    @cr.fused
    def my_square_sum(xp: Any, x: Any, y: Any, *, scale: float = 1.0) -> Any:
        return xp.sum(x * x * y) * scale

    def kernel(x: Any, y: Any, *, scale: float) -> Any:
        if x.size > 3:
            return NotImplemented
        calls.append("forward")
        return np.asarray((x * x * y).sum() * scale), {"double": 2 * x}

    def kernel_grad(g: Any, y: Any, double: Any, scale: float, wanted: tuple[bool, ...]) -> Any:
        calls.append(f"backward {wanted}")
        return (g * scale * double * y if wanted[0] else None), (g * scale * (double / 2) ** 2 if wanted[1] else None)

    from chainrule.kernels import cpu

    my_square_sum.pairs[cpu] = kernel, kernel_grad, ("y", "double", "scale", "wanted")
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    cr.grad(my_square_sum(x, y, scale=2.0), [x])
    assert calls == ["forward", "backward (True, False)"]
    assert cr.gradcheck(lambda x, y: my_square_sum(x, y, scale=2.0), (x, y), complex_step=False, check_forward_ad=True)
    assert cr.gradgradcheck(my_square_sum, (x, y))  # by the definition
    calls.clear()
    four = leaf(1.0, 2.0, 3.0, 4.0)
    assert cr.gradcheck(my_square_sum, (four, four * 1), complex_step=False) and calls == []


def test_fused_ops_with_several_outputs_and_optional_inputs() -> None:
    @cr.fused(outputs=2)
    def sum_and_difference(xp: Any, a: Any, b: Any, bias: Any = None) -> Any:
        return a + b if bias is None else a + b + bias, a - b

    a, b, bias = leaf(1.0, 2.0), leaf(3.0, 5.0), leaf(10.0)
    assert [t.tolist() for t in sum_and_difference(a, b)] == [[4.0, 7.0], [-2.0, -3.0]]
    assert cr.gradcheck(sum_and_difference, (a, b, bias), check_forward_ad=True)
    assert cr.gradgradcheck(lambda a, b: sum_and_difference(a, b)[0] * a, (a, b))
