"""Making tensors: dtypes, sharing of memory, refusals. The values are tested from the sample table."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.tensor import Tensor


def test_dtypes_follow_the_values() -> None:
    assert cr.tensor(2.5).dtype == np.float32
    assert cr.tensor([1, 2]).dtype == np.int64
    assert cr.tensor([1, 2.0]).dtype == np.float32
    assert cr.tensor(True).dtype == np.bool_
    assert cr.tensor(np.zeros(2)).dtype == np.float64
    assert cr.tensor([np.zeros(2), np.zeros(2)]).dtype == np.float64
    assert cr.tensor(np.float64(2.0)).dtype == np.float64
    assert cr.tensor([cr.zeros(2), cr.ones(2)]).tolist() == [[0, 0], [1, 1]]
    assert cr.tensor([cr.tensor(1.0, dtype=cr.float64)]).dtype == np.float64
    assert cr.full((2,), 1).dtype == np.int64 and cr.full((2,), 1.0).dtype == np.float32
    assert cr.arange(3).dtype == np.int64 and cr.arange(3.0).dtype == np.float32


def test_the_default_dtype_counts() -> None:
    cr.set_default_dtype(cr.float64)
    try:
        made = [cr.zeros(1), cr.ones(1), cr.empty(1), cr.full((1,), 0.5), cr.arange(1.0), cr.linspace(0, 1, 2),
                cr.eye(1),
                cr.rand(1), cr.randn(1), cr.tensor(1.5), cr.logspace(0, 1, 2), cr.normal(0.0, 1.0, (1,))]
    finally:
        cr.set_default_dtype(cr.float32)
    assert {t.dtype for t in made} == {np.dtype(np.float64)}


@pytest.mark.parametrize("make", [
    lambda **o: cr.zeros(2, **o), lambda **o: cr.ones(2, **o), lambda **o: cr.empty(2, **o),
    lambda **o: cr.full((2,), 1,
                                                                                                                 **o),
    lambda **o: cr.zeros_like(cr.ones(2), **o), lambda **o: cr.ones_like(cr.ones(2), **o),
    lambda **o: cr.arange(2, **o),
    lambda **o: cr.empty_like(cr.ones(2), **o), lambda **o: cr.full_like(cr.ones(2), 1, **o),
    lambda **o: cr.eye(2, **o),
    lambda **o: cr.linspace(0, 1, 2, **o), lambda **o: cr.logspace(0, 1, 2, **o), lambda **o: cr.rand(2, **o),
    lambda **o: cr.randn(2, **o), lambda **o: cr.rand_like(cr.ones(2), **o), lambda **o: cr.randn_like(cr.ones(2), **o),
    lambda **o: cr.randint(0, 2, (2,), **o), lambda **o: cr.normal(0.0, 1.0, (2,), **o),
    lambda **o: cr.tensor([1, 2], **o)])
def test_dtype_device_and_requires_grad(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(dtype=cr.float64, device="cpu", requires_grad=True)
    assert made.dtype == np.float64 and made.requires_grad and made.is_leaf
    monkeypatch.setattr(cr.cuda, "device_count", lambda: 0)
    with pytest.raises(RuntimeError, match="device='cuda'.*: CuPy "):
        make(device="cuda")


def test_integers_cannot_require_gradients() -> None:
    with pytest.raises(cr.DtypeError, match="only floating-point"):
        cr.arange(3, requires_grad=True)


def test_tensor_copies_and_as_tensor_shares() -> None:
    a = np.zeros(2)
    copied, shared, same = cr.tensor(a), cr.as_tensor(a), cr.from_numpy(a)
    a[0] = 1
    assert copied.tolist() == [0, 0] and shared.tolist() == same.tolist() == [1, 0]
    t = cr.ones(2, requires_grad=True)
    assert cr.as_tensor(t) is t
    assert not cr.tensor(t).requires_grad
    with cr.no_grad():
        t.zero_()
    assert cr.tensor(t).tolist() == [0, 0]


def test_shapes_in_every_form() -> None:
    listed = ((2, 3), [2, 3], np.array([2, 3]), cr.tensor([2, 3]))
    for made in (cr.zeros(2, 3), *map(cr.zeros, listed)):
        assert made.shape == (2, 3)
    assert cr.zeros(()).shape == cr.zeros(()).shape == ()
    assert cr.zeros(cr.tensor(3)).shape == (3,)
    with pytest.raises(cr.ShapeError, match=r"zeros: sizes cannot be negative, got \(2, -1\)"):
        cr.zeros(2, -1)


def test_refusals_name_the_function_and_the_fix() -> None:
    with pytest.raises(cr.ShapeError, match="different lengths"):
        cr.tensor([[1, 2], [3]])
    with pytest.raises(cr.DtypeError, match="numbers or bools"):
        cr.tensor(["a"])
    with pytest.raises(cr.DtypeError, match="takes a NumPy array, got list"):
        cr.from_numpy([1.0])
    with pytest.raises(ValueError, match="steps of 0"):
        cr.arange(0, 3, 0)
    with pytest.raises(ValueError, match="do not lead from 0 to -3"):
        cr.arange(0, -3)
    with pytest.raises(IndexError, match="from 0 to 3; they must be at least 0 and below"):
        cr.one_hot(cr.tensor([0, 3]), 3)
    with pytest.raises(IndexError, match="from -1 to 0"):
        cr.one_hot(cr.tensor([0, -1]), 3)
    with pytest.raises(cr.ShapeError, match="pass how many classes"):
        cr.one_hot(cr.zeros(0, dtype=cr.int64))
    with pytest.raises(cr.DtypeError, match="class indices are integers"):
        cr.one_hot(cr.tensor([0.5]))
    with pytest.raises(cr.DtypeError, match="rand: the values are real numbers"):
        cr.rand(2, dtype=cr.int64)


def test_dlpack_shares_memory_both_ways() -> None:
    t = cr.arange(6, dtype=cr.float32).reshape(2, 3)
    array = np.from_dlpack(t)
    array[0, 0] = 7
    assert t[0, 0].item() == 7
    back = cr.from_dlpack(array)
    array[1, 2] = 8
    assert back.shape == (2, 3) and back[1, 2].item() == 8
    strided = cr.from_dlpack(array.T[::2])
    assert strided.tolist() == array.T[::2].tolist() and np.shares_memory(strided.data, array)
    assert cr.from_dlpack(t).data is t.data
    with pytest.raises(cr.AutogradError, match="detach"):
        np.from_dlpack(cr.ones(2, requires_grad=True))
    with pytest.raises(cr.DtypeError, match="list objects have no __dlpack__"):
        cr.from_dlpack([1.0])


@pytest.mark.peers
def test_dlpack_with_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6.0).reshape(2, 3)
    ours = cr.from_dlpack(theirs)
    theirs[0, 1] = 9
    assert isinstance(ours, Tensor) and ours[0, 1].item() == 9
    again = torch.from_dlpack(ours)
    ours[1, 2] = 10
    assert again[1, 2] == 10 and again.data_ptr() == theirs.data_ptr()
    with pytest.raises(cr.DtypeError, match="convert it first"):
        cr.from_dlpack(torch.ones(2, dtype=torch.bfloat16))


def test_a_list_of_recorded_tensors_warns() -> None:
    """The list becomes a constant: nothing is lost without a word."""
    a = cr.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="join them with chainrule.stack"):
        assert not cr.tensor([a, a]).requires_grad
    with cr.no_grad():
        assert cr.tensor([a, a]).shape == (2, 2)
    assert cr.tensor([a.detach(), 1 * a.detach()]).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_class_takes_what_tensor_takes() -> None:
    assert cr.Tensor([1.0, 2.0]).dtype == cr.float32
    assert cr.Tensor(np.ones(2)).dtype == cr.float64
    array = np.ones(2)
    assert cr.Tensor(array).data is array
