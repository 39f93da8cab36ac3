"""Mistakes in shapes, dtypes and indices: what is raised, that it names the op and the shapes, and what it advises."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule.errors import broadcast_advice, describe

z = cr.zeros
integers = cr.tensor([0, 1])

SHAPES: list[tuple[str, Callable[[], Any], str]] = [
    ("operator", lambda: z(2, 3) + z(4, 3),
     r"add\(float32\(2, 3\), float32\(4, 3\)\): axis -2 has sizes 2 and 4, .* unsqueeze"),
    ("method", lambda: z(2, 3).mul(z(2, 2)), r"multiply\(float32\(2, 3\), float32\(2, 2\)\): axis -1 has sizes 2 and 3"),
    ("three inputs", lambda: cr.where(z(2) > 0, z(3), z(2)),
     r"where\(bool\(2\), float32\(3\), float32\(2\)\): axis -1 has sizes 2 and 3"),
    ("in place", lambda: z(2).add_(z(3)), "add.*float32.*2.*3"),
    ("in place broadcast", lambda: z(2).add_(z(3, 2)), r"\(3, 2\)"),
    ("matmul", lambda: z(2, 3) @ z(2, 3), r"matmul\(float32\(2, 3\), float32\(2, 3\)\): .*transpose the second, other.mT"),
    ("matmul of a number", lambda: z(2, 3) @ cr.tensor(1.0),
     r"matmul\(float32\(2, 3\), float32\(\)\): .* use \* for scaling"),
    ("matmul of stacks", lambda: z(4, 2, 3) @ z(5, 3, 2), r"matmul.*the leading axes \(4,\) and \(5,\) do not broadcast"),
    ("bmm", lambda: cr.bmm(z(2, 3), z(3, 2)), r"bmm\(float32\(2, 3\), float32\(3, 2\)\): .* matmul takes all forms"),
    ("mv", lambda: cr.mv(z(2, 3), z(2)), r"mv\(float32\(2, 3\), float32\(2\)\): .*transpose the first"),
    ("dot", lambda: cr.dot(z(2), z(3)), r"dot\(float32\(2\), float32\(3\)\)"),
    ("outer", lambda: cr.outer(z(2, 2), z(2)), r"outer.*flatten others"),
    ("einsum", lambda: cr.einsum("ij,jk", z(2, 3), z(2, 3)), "index 'j' has size 3 in operand 0 .* but 2 in operand 1"),
    ("cat", lambda: cr.cat([z(2, 3), z(2, 2)]), r"cat: tensor 1 has shape \(2, 2\), the first \(2, 3\)"),
    ("stack", lambda: cr.stack([z(2), z(3)]), r"stack: tensor 1 has shape \(3,\), the first \(2,\)"),
    ("split", lambda: z(5).split([2, 2]), r"split: sizes \[2, 2\] add up to 4; axis 0 of shape \(5,\) has 5"),
    ("reshape", lambda: z(2, 3).reshape(4, 2),
     r"reshape: shape \(2, 3\) has 6 elements, which do not fit into shape \(4, 2\)"),
    ("expand", lambda: z(2, 3).expand(4, 3), r"expand: shape \(2, 3\) does not expand to \(4, 3\): axis 0"),
    ("permute", lambda: z(2, 3).permute(0, 0), r"permute: \(0, 0\) does not name each of the 2 axes of shape \(2, 3\)"),
    ("axis twice", lambda: z(2, 3).sum((0, 0)), r"sum: an axis appears twice"),
    ("empty reduction", lambda: z(0).amax(), r"amax: the input has shape \(0,\), no elements"),
    ("setitem", lambda: z(2, 3).__setitem__(0, z(4)),
     r"setitem: a value of shape \(4,\) into a float32 tensor of shape \(2, 3\)"),
    ("item", lambda: z(2).item(), r"item\(\): the tensor has 2 elements"),
    ("bool", lambda: bool(z(2)), r"the truth value of a tensor of shape \(2,\) is ambiguous; use .any\(\) or .all\(\)"),
    ("topk", lambda: z(3).topk(5), r"topk: k=5, but axis 0 of shape \(3,\) has 3 elements"),
    ("inverse", lambda: cr.linalg.inv(z(2, 3)), r"inv\(float32\(2, 3\)\): takes square matrices"),
    ("linear", lambda: F.linear(z(2, 3), z(4, 5)),
     r"linear: the input of shape \(2, 3\) ends in 3 features, .*\(4, 5\).* takes 5"),
    ("conv2d", lambda: F.conv2d(z(1, 3, 5, 5), z(2, 4, 3, 3)),
     r"conv2d: .*\(1, 3, 5, 5\) has 3 channels, .*\(2, 4, 3, 3\).* takes 4"),
    ("cross_entropy", lambda: F.cross_entropy(z(2, 3), cr.tensor([0, 1, 2])),
     r"cross_entropy: .*\(3,\).*\(2, 3\).* need shape \(2,\)"),
    ("layer_norm", lambda: F.layer_norm(z(2, 3), (4,)), r"layer_norm: .*\(2, 3\) does not end in normalized_shape=\(4,\)"),
    ("lstm", lambda: F.lstm(z(2, 1, 3), (z(1, 4), z(1, 4)), z(16, 5), z(16, 4)), r"lstm: w_ih must be of shape \(16, 3\)"),
    ("attention", lambda: F.scaled_dot_product_attention(z(2, 3), z(2, 4), z(2, 3)),
     "query and key must agree in the last axis"),
    ("cross", lambda: cr.cross(z(4, 3), z(2, 4, 3)), r"cross: shapes \(4, 3\) and \(2, 4, 3\); .* equally many axes"),
    ("bincount", lambda: cr.bincount(integers, z(3)), r"bincount: the weights have shape \(3,\), the input \(2,\)"),
    ("bincount of a matrix", lambda: cr.bincount(integers.reshape(1, 2)), r"bincount: the input is int64\(1, 2\), .* a vector"),
    ("diff", lambda: cr.diff(z()), "diff: the input has no axis"),
    ("fill_diagonal_", lambda: z(2, 3, 3).fill_diagonal_(1), r"fill_diagonal_: a tensor of shape \(2, 3, 3\)"),
    ("ragged", lambda: cr.tensor([[1, 2], [3]]), "nested lists have different lengths"),
]
DTYPES: list[tuple[str, Callable[[], Any], str]] = [
    ("text", lambda: cr.exp("x"), "exp: expected a tensor, an array or a number, got str 'x'"),  # type: ignore[arg-type]
    ("None", lambda: z(2) + None, "add: expected a tensor, an array or a number, got NoneType None"),
    ("None first", lambda: cr.multiply(None, z(2)), "multiply: expected a tensor, an array or a number, got NoneType"),
    ("a dict", lambda: z(2) * {}, "multiply: expected a tensor, an array or a number, got dict"),
    ("bitwise", lambda: z(2) & z(2), r"bitwise_and\(float32\(2\), float32\(2\)\): it does not take these element types"),
    ("invert", lambda: ~z(2), r"bitwise_not\(float32\(2\)\): it does not take these element types"),
    ("an index that is none", lambda: z(3)[1.5], "getitem: 1.5 is not an index; use integers, slices"),
    ("a name as an index", lambda: z(3)["a"], "getitem: 'a' is not an index"),
    ("a float as a list index", lambda: [1, 2][z(1)], "a float32 tensor cannot be an index"),  # type: ignore[call-overload]
    ("embedding", lambda: F.embedding(z(1), z(3, 2)),
     r"embedding: the indices are float32, they must be integers; use .long\(\)"),
    ("len", lambda: len(cr.tensor(1.0)), r"len\(\): a 0-d tensor has no length"),
    ("iteration", lambda: list(cr.tensor(1.0)), "iteration over a 0-d tensor"),
    ("gradient of integers", lambda: integers.requires_grad_(), "only floating-point tensors have gradients"),
]
INDICES: list[tuple[str, Callable[[], Any], str]] = [
    ("integer", lambda: z(2, 3)[5], r"getitem\(float32\(2, 3\), index=5\): index 5 is out of bounds for axis 0 with size 2"),
    ("too many", lambda: z(2, 3)[0, 0, 0], r"getitem\(float32\(2, 3\), index=\(0, 0, 0\)\): too many indices"),
    ("tensor", lambda: z(3)[cr.tensor([5])], r"getitem\(float32\(3\), index=int64\(1\)\): index 5 is out of bounds"),
    ("mask", lambda: z(3)[cr.tensor([True, False])],
     r"getitem\(float32\(3\), index=bool\(2\)\): boolean index did not match"),
    ("reduction", lambda: z(2, 3).sum(2), r"sum: axis 2 is out of range for shape \(2, 3\); it has axes -2 to 1"),
    ("transpose", lambda: z(2, 3).transpose(0, 2), r"transpose: axis 2 is out of range for shape \(2, 3\)"),
    ("softmax", lambda: F.softmax(z(2, 3), 5), r"softmax: axis 5 is out of range for shape \(2, 3\)"),
    ("unsqueeze", lambda: z(2).unsqueeze(5), r"unsqueeze: axis 5 is out of range for shape \(2,\)"),
    ("gather", lambda: z(2, 3).gather(1, cr.tensor([[3], [0]])),
     r"gather: index 3 is out of range for axis 1 of shape \(2, 3\)"),
    ("class", lambda: F.cross_entropy(z(2, 3), cr.tensor([0, 5])),
     "cross_entropy: target 5 at position .* out of range for 3 classes"),
    ("embedding", lambda: F.embedding(cr.tensor([7]), z(3, 2)), "embedding: index 7 at position .* a weight of 3 rows"),
    ("setitem", lambda: z(3).__setitem__(7, 1.0), r"setitem: .*float32 tensor of shape \(3,\).*index 7 is out of bounds"),
]
ROWS = [(f"{kind.__name__}-{r[0]}", kind, *r[1:]) for kind, rows in
        ((cr.ShapeError, SHAPES), (cr.DtypeError, DTYPES), (IndexError, INDICES)) for r in rows]


@pytest.mark.parametrize(("kind", "call", "words"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_the_message_names_op_shapes_and_the_fix(kind: type[Exception], call: Callable[[], Any], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "ufunc" not in str(caught.value)  # no bare message of NumPy's


def test_they_are_the_exceptions_that_python_programmers_catch() -> None:
    for ours, theirs in ((cr.ShapeError, ValueError), (cr.DtypeError, TypeError), (cr.AutogradError, RuntimeError)):
        assert issubclass(ours, theirs)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("dtype", [cr.float32, cr.float64, cr.int64], ids=str)
def test_every_way_through_an_elementwise_op_explains_itself(dtype: Any, requires_grad: bool) -> None:
    """The quick way and the general one."""
    left = cr.zeros(2, 3, dtype=cr.float32, requires_grad=requires_grad)
    with pytest.raises(cr.ShapeError, match=rf"add\(float32\(2, 3\), {dtype}\(4, 3\)\): axis -2 has sizes 2 and 4"):
        left + cr.zeros(4, 3, dtype=dtype)


def test_the_cause_is_not_repeated() -> None:
    """The reader sees one traceback, not NumPy's and ours."""
    with pytest.raises(cr.ShapeError) as caught:
        z(2, 3) + z(4, 3)
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_advice_on_broadcasting() -> None:
    assert broadcast_advice([(2, 3), (4, 3)]).startswith("axis -2 has sizes 2 and 4")
    assert broadcast_advice([(3,), (2, 4), (1, 1)]).startswith("axis -1 has sizes 3 and 4")
    assert broadcast_advice([(2, 3), (3,)]) == "check the arguments"


def test_descriptions_are_short() -> None:
    assert describe(z(2, 3)) == "float32(2, 3)" and describe(np.zeros(())) == "float64()"
    assert len(describe(list(range(1000)))) == 60


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss], ids=lambda f: f.__name__)
def test_a_loss_that_broadcasts_n_1_against_n_warns(loss: Any) -> None:
    with pytest.warns(UserWarning, match=r"\(4, 1\).*\(4,\)"):
        loss(z(4, 1), z(4))
    loss(z(4), z(4))


def test_an_error_inside_a_layer_says_in_which() -> None:
    model = cr.layers.Sequential(cr.layers.Linear(3, 4), cr.layers.Sequential(cr.layers.ReLU(), cr.layers.Linear(5, 2)))
    with pytest.raises(cr.ShapeError, match=r"linear: the input of shape \(2, 4\) ends in 4 features") as caught:
        model(z(2, 3))
    assert any("in layer Sequential.1.1 (Linear" in note for note in caught.value.__notes__)


def test_a_failed_call_changes_nothing() -> None:
    """No half-written memory, no version that went up: backward still works."""
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    w = y.exp()
    with pytest.raises(cr.ShapeError):
        y.add_(z(3))
    with pytest.raises(cr.ShapeError):
        y[:] = z(3)
    assert y.tolist() == [1.0, 2.0]
    w.sum().backward()
    assert x.grad is not None


def test_changing_a_leaf_in_place_says_what_to_do() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    with pytest.raises(cr.AutogradError, match=r"in-place write to a leaf .*no_grad\(\), or to a clone\(\)"):
        x.add_(1)
