"""Making tensors."""

from typing import Any

import numpy as np

from chainrule import dtypes, kernels
from chainrule.graph import Op
from chainrule.names import autograd, ops
from chainrule.registry import public
from chainrule.tensor import Tensor


@public
def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists, an array or a tensor.

    Python floats give the default dtype (float32), ints int64, bools bool; arrays keep theirs. Raises ShapeError for
    ragged lists, DtypeError for what is not a number.

    >>> import chainrule as cr
    >>> cr.tensor([[1, 2], [3, 4.5]])
    tensor([[1. , 2. ],
            [3. , 4.5]])
    """
    found = as_tensor(data, dtype)
    out = Tensor(found._data.copy() if found._data is _raw(data) or np.may_share_memory(found._data, _raw(data)) else found._data)
    if device is not None:
        out = out.to(device)
    return out.requires_grad_() if requires_grad else out


def _raw(data: Any) -> Any:
    return data._data if isinstance(data, Tensor) else data if isinstance(data, np.ndarray) else np.zeros(0)


@public
def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a tensor: itself if it is one (of that dtype), sharing memory with an array, else a copy.

    >>> import chainrule as cr
    >>> cr.as_tensor(2.5).dtype
    dtype('float32')
    """
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
    else:
        array = from_python(data)
    if dtype is not None:
        array = array.astype(dtypes.as_dtype(dtype), copy=False)
    return Tensor(array)


def from_python(data: Any) -> Any:
    """An array of a number or of nested lists, Python floats in the default dtype."""
    from chainrule.errors import DtypeError, ShapeError

    if isinstance(data, list | tuple) and any(isinstance(v, Tensor) for v in data):
        data = [np.asarray(v) for v in data]
    try:
        array = np.asarray(data)
    except ValueError:
        raise ShapeError("tensor: the nested lists have different lengths at the same depth; pad them first") from None
    if array.dtype.kind not in "biufc":
        raise DtypeError(f"tensor: elements must be numbers or bools, got {data!r:.60}")
    if array.dtype == np.float64 and not _has_numpy(data):
        array = array.astype(dtypes.get_default_dtype())
    return array


def _has_numpy(data: Any) -> bool:
    """Whether a nested list holds NumPy arrays (which keep their dtype) rather than Python numbers."""
    while isinstance(data, list | tuple):
        if not data:
            return False
        data = data[0]
    return isinstance(data, np.ndarray | np.generic) and not isinstance(data, float)


@public
def kernels_of(array: Any) -> Any:
    """The backend of a raw array."""
    return kernels.of(array)


_astype = Op("astype", word="linear", forward=lambda xp, x, *, dtype: xp.astype(x, dtype), input=lambda xp, g: g)


@public
def astype(input: Any, dtype: Any) -> Tensor:
    """The elements converted to `dtype`; the gradient is converted back. To integers and bools nothing is recorded."""
    return _astype(ops.as_tensor(input), dtype=dtypes.as_dtype(dtype))


@public
def to(input: Tensor, *where: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """See `Tensor.to`."""
    from chainrule.tensor import Device

    for target in where:
        if isinstance(target, Tensor):
            dtype, device = target.dtype, target.device
        elif isinstance(target, str) and str(target).partition(":")[0] in ("cpu", "cuda"):
            device = target
        else:
            dtype = target
    if device is not None and Device(device) != input.device:
        raise RuntimeError(f"to({str(device)!r}): there is no cuda backend in this version; tensors stay on the CPU")
    if dtype is None or dtypes.as_dtype(dtype) == input.dtype:
        return input
    return astype(input, dtype)


@public
def zeros_like(input: Any, dtype: Any = None, *, shape: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape and dtype of `input` (or those given)."""
    return _like(np.zeros_like, input, dtype, shape, requires_grad)


@public
def ones_like(input: Any, dtype: Any = None, *, shape: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape and dtype of `input` (or those given)."""
    return _like(np.ones_like, input, dtype, shape, requires_grad)


def _like(make: Any, input: Any, dtype: Any, shape: Any, requires_grad: bool) -> Tensor:
    data = as_tensor(input)._data
    return Tensor(make(data, dtype=None if dtype is None else dtypes.as_dtype(dtype), shape=shape), requires_grad)


autograd.as_tensor = as_tensor
