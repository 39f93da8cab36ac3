"""What is refused of views and writes: leaves, kept values that changed, overlapping views, bad indices, values that do not fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.tensor import Tensor
from tests.test_views import W, X, leaves


@pytest.mark.parametrize("write", [
    lambda t: t.add_(1.0), lambda t: t.__setitem__(0, 1.0), lambda t: t[0].zero_(), lambda t: t.T.mul_(2.0)])
def test_a_leaf_cannot_be_written_while_recording(write: Callable[[Tensor], Any]) -> None:
    x, _ = leaves()
    with pytest.raises(cr.AutogradError, match=r"(add_|setitem|zero_|mul(tiply)?_): in-place write to a leaf.*no_grad"):
        write(x)
    np.testing.assert_array_equal(x.data, X)
    with cr.no_grad():
        write(x)
    assert x.requires_grad and x.is_leaf and (x.data != X).any()


def test_a_kept_value_that_was_changed_is_named() -> None:
    x, w = leaves()
    h = x * 2.0
    y = h * w
    h[0] = 0.0
    words = r"multiply, called at .*test_views_refused\.py:\d+, in test_a_kept.*changed in place"
    with pytest.raises(cr.AutogradError, match=words):
        y.sum().backward()


@pytest.mark.parametrize("write", [
    lambda h: h.detach().add_(1.0), lambda h: h[1].mul_(2.0), lambda h: h.T[0].zero_(),
    lambda h: h.detach()[0].zero_()])
def test_writes_through_any_view_and_detach_are_noticed(write: Callable[[Tensor], Any]) -> None:
    x, w = leaves()
    h = x * 2.0
    y = h * w
    write(h)
    with pytest.raises(cr.AutogradError, match="changed in place"):
        y.sum().backward()


def test_an_index_that_was_changed_is_noticed() -> None:
    x, _ = leaves()
    index = cr.tensor([[0], [1], [2]])
    y = x.gather(1, index)
    index.zero_()
    with pytest.raises(cr.AutogradError, match="take_along_axis, called at .*changed in place"):
        y.sum().backward()
    rows = cr.tensor([0, 0, 1])
    z = x[rows]  # an index in brackets is copied
    rows.zero_()
    z.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, np.repeat([[2.0], [1.0], [0.0]], 4, axis=1))


def test_expanded_and_overlapping_views_cannot_be_written() -> None:
    x = Tensor(W.copy())
    for v in (x.expand(3, 4), x.unfold(0, 2, 1), cr.broadcast_to(x, (2, 4))[0]):
        with pytest.raises(cr.ShapeError, match="expanded or overlapping view.*clone"):
            v.add_(1.0)
    x.unfold(0, 2, 2).add_(1.0)
    np.testing.assert_allclose(x.data, W + 1)


@pytest.mark.parametrize(("index", "error", "words"), [
    (5, IndexError, r"getitem\(float64\(3, 4\).*5.*out of bounds"),
    ((0, 0, 0), IndexError, r"getitem\(float64\(3, 4\).*too many indices"),
    ([0, 7], IndexError, r"getitem\(float64\(3, 4\).*7.*out of bounds"),
    (1.5, cr.DtypeError, "1.5 is not an index"),
    ("a", cr.DtypeError, "'a' is not an index"),
    ([0.5], cr.DtypeError, "float64 array; indices are integers or bools"),
    (slice(0.5, None), cr.DtypeError, "slice's bounds are integers"),
    (np.array([True, False]), IndexError, r"getitem\(float64\(3, 4\).*boolean"),
])
def test_bad_indices_name_the_op_and_the_shape(index: Any, error: type[Exception], words: str) -> None:
    x = Tensor(X.copy())
    with pytest.raises(error, match=words):
        x[index]
    with pytest.raises(error):
        x[index] = 1.0


def test_values_that_do_not_fit() -> None:
    x = Tensor(X.copy())
    with pytest.raises(cr.ShapeError, match=r"setitem: a value of shape \(3,\) into a float64 tensor.*\(3, 4\)"):
        x[0] = Tensor(W[:3])
    with pytest.raises(cr.ShapeError, match="add_: the result has shape.*cannot grow"):
        x[0].add_(x)
    n = cr.tensor([1, 2])
    with pytest.raises(cr.DtypeError, match=r"mul(tiply)?_: a float32 result cannot be written into a int64 tensor"):
        n *= 1.5
    n[0] = 7.9  # as torch: cut off
    assert n.tolist() == [7, 2]
