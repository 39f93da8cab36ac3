"""Making tensors: of given values, constants, ranges; and other dtypes of tensors that exist."""

import math
from typing import Any

import numpy as np

from chainrule import cuda, dtypes, kernels
from chainrule.dtypes import FLOATING, REAL
from chainrule.errors import DtypeError, ShapeError, describe, warn
from chainrule.graph import Op
from chainrule.kernels.reference.devices import array_module
from chainrule.names import autograd, ops
from chainrule.ops.devices import check_device, made
from chainrule.registry import public
from chainrule.state import check, noting, state
from chainrule.tensor import Tensor

__all__ = ["arange", "as_tensor", "astype", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full", "full_like",
           "linspace", "logspace", "one_hot", "ones", "ones_like", "tensor", "to", "zeros", "zeros_like"]

CUDA = 2  # what DLPack calls memory of a CUDA device

# ---- what the functions share


def float_dtype(name: str, dtype: Any) -> dtypes.DType:
    """A floating-point dtype, the default for None. DtypeError for another kind."""
    found = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if found.kind not in REAL:
        raise DtypeError(f"{name}: the values are real numbers, dtype {found} cannot hold them; use a float dtype")
    return found


def sizes_of(name: str, size: Any) -> tuple[int, ...]:
    """A shape given as separate numbers or as one sequence. ShapeError for negative sizes."""
    if len(size) == 1 and (getattr(size[0], "ndim", False) or not hasattr(size[0], "__index__")):
        size = tuple(size[0])
    found = tuple(n.__index__() for n in size)
    if any(n < 0 for n in found):
        raise ShapeError(f"{name}: sizes cannot be negative, got {found}")
    return found


def _number(value: Any) -> Any:
    """A Python number, also of a tensor with one element."""
    return value.item() if isinstance(value, Tensor | np.generic) or kernels.is_array(value) else value


# ---- of values

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
    if isinstance(data, Tensor) and noting() is not None:  # as an op, which the recording sees
        found: Tensor = to(data.detach(), dtype, copy=True)
        return found.requires_grad_() if requires_grad else found
    source = data._data if isinstance(data, Tensor) else data
    array = _array(source, dtype)
    if kernels.is_array(source) and array.__class__ is source.__class__ and np.may_share_memory(array, source):
        array = array.copy()
    return made("tensor", array, device, requires_grad)


@public
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor: itself if it is one (of that dtype), sharing memory with an array, else a copy.

    >>> import chainrule as cr
    >>> cr.as_tensor(2.5).dtype
    dtype('float32')
    """
    if isinstance(data, Tensor):
        return data if dtype is None and device is None else data.to(dtype=dtype, device=device)
    return made("as_tensor", _array(data, dtype), device)


def _array(data: Any, dtype: Any) -> Any:
    """What `tensor` and `as_tensor` make of something that is no tensor."""
    if isinstance(data, np.ndarray) and type(data) is not np.ndarray and isinstance(data, np.ma.MaskedArray):
        raise DtypeError("tensor: a masked array would lose its mask; fill it first, with .filled(value)")
    if kernels.is_array(data) and not isinstance(data, np.ndarray):
        kernels.of(data)  # CuPy's: from here on the backend is known
        array = data
    elif isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
    else:
        array = from_python(data, dtype is None)
    return array if dtype is None else array.astype(dtypes.as_dtype(dtype), copy=False)


def from_python(data: Any, default: bool) -> Any:
    """An array of a number or of nested lists, Python floats in the `default` dtype or as they are."""
    if isinstance(data, list | tuple) and any(isinstance(v, Tensor) for v in data):
        if state.recording and any(isinstance(v, Tensor) and v.requires_grad for v in data):
            warn("tensor: a list of tensors that require gradients becomes a constant, gradients stop there; join them with "
                 "chainrule.stack(list), or detach() them")
        data = [v.data if isinstance(v, Tensor) else v for v in data]
    try:
        array = np.asarray(data)
    except ValueError:
        raise ShapeError("tensor: the nested lists have different lengths at the same depth; pad them first") from None
    if array.dtype.kind not in FLOATING + "biu":
        raise DtypeError(f"tensor: elements must be numbers or bools, got {data!r:.60}")
    if default and array.dtype == np.float64 and not _has_numpy(data):
        array = array.astype(dtypes.get_default_dtype())
    return array


def _has_numpy(data: Any) -> bool:
    """Whether a nested list holds NumPy arrays (which keep their dtype) rather than Python numbers."""
    while isinstance(data, list | tuple):
        if not data:
            return False
        data = data[0]
    return hasattr(data, "__array__") and not isinstance(data, float)


@public
def from_numpy(ndarray: Any) -> Tensor:
    """The array as a tensor that shares its memory: a change of either is seen in both.

    Raises DtypeError for what is no NumPy array, or has elements that are not numbers.

    >>> import chainrule as cr, numpy as np
    >>> a = np.zeros(2); t = cr.from_numpy(a); a[0] = 5; t
    tensor([5., 0.], dtype=float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise DtypeError(f"from_numpy: takes a NumPy array, got {type(ndarray).__name__}; tensor() takes lists and "
                         "numbers")
    if ndarray.dtype.kind not in FLOATING + "biu":
        raise DtypeError(f"from_numpy({describe(ndarray)}): elements must be numbers or bools")
    return Tensor(ndarray)


@public
def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of another library's array, by the DLPack protocol: nothing is copied.

    Raises DtypeError for an object without the protocol, or elements (such as float8) that tensors here cannot have;
    RuntimeError for memory of a device that is none of CUDA's.

    >>> import chainrule as cr, numpy as np
    >>> a = np.arange(3.0); cr.from_dlpack(a)
    tensor([0., 1., 2.], dtype=float64)
    """
    if isinstance(ext_tensor, Tensor):
        ext_tensor.__dlpack__()  # refuses a recorded one
        return ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        raise DtypeError(f"from_dlpack: {type(ext_tensor).__name__} objects have no __dlpack__ method; pass an array "
                         "of another "
                         "library")
    try:
        if ext_tensor.__dlpack_device__()[0] == CUDA:
            return Tensor(array_module("cuda").from_dlpack(ext_tensor))
        array = np.from_dlpack(ext_tensor)
    except (BufferError, RuntimeError) as error:
        kind, number = ext_tensor.__dlpack_device__()
        if kind != 1:
            raise RuntimeError(f"from_dlpack: the memory is on device {int(kind)}:{number}, neither the CPU nor CUDA") from error
        raise DtypeError(f"from_dlpack({describe(ext_tensor)}): {error}; convert it first, for example to "
                         "float32") from error
    return Tensor(array)


# ---- constants

@public
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, given as numbers or as one tuple; of the default dtype unless given.

    >>> import chainrule as cr
    >>> cr.zeros(2, 3).shape, cr.zeros((2,), dtype=cr.int64)
    ((2, 3), tensor([0, 0]))
    """
    return _constant("zeros", size, 0.0, dtype, device, requires_grad)


@public
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, given as numbers or as one tuple; of the default dtype unless given.

    >>> import chainrule as cr
    >>> cr.ones(2)
    tensor([1., 1.])
    """
    return _constant("ones", size, 1.0, dtype, device, requires_grad)


@public
def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled; it holds zeros, so that a program that forgets to fill it behaves the same every time.

    >>> import chainrule as cr
    >>> cr.empty(2, 3).shape
    (2, 3)
    """
    return _constant("empty", size, 0.0, dtype, device, requires_grad)


@public
def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A shape filled with one value, whose kind says the dtype unless given: int64, bool, or the default float.

    >>> import chainrule as cr
    >>> cr.full((2,), 7), cr.full((), 0.5)
    (tensor([7, 7]), tensor(0.5))
    """
    value = _number(fill_value)
    dtype = dtypes.of_scalar(value, None) if dtype is None else dtype
    return _constant("full", (size,), value, dtype, device, requires_grad)


def _constant(name: str, size: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    found = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    shape = sizes_of(name, size)
    device = check_device(name, device)
    with cuda.device(device):
        module = array_module(device)
        array = module.zeros(shape, found) if isinstance(value, float) and value == 0 else module.full(shape, value, found)
    return Tensor(array, requires_grad)


@public
def detach(input: Any) -> Tensor:
    """The same memory without the history: see `Tensor.detach`."""
    found: Tensor = as_tensor(input).detach()
    return found


@public
def zeros_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, *,
               shape: Any = None) -> Tensor:
    """Zeros with the shape and dtype of `input` (or those given).

    >>> import chainrule as cr
    >>> cr.zeros_like(cr.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", input, 0, dtype, device, requires_grad, shape)


@public
def ones_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, *,
              shape: Any = None) -> Tensor:
    """Ones with the shape and dtype of `input` (or those given).

    >>> import chainrule as cr
    >>> cr.ones_like(cr.tensor([0.5, 2.0]))
    tensor([1., 1.])
    """
    return _like("ones_like", input, 1, dtype, device, requires_grad, shape)


@public
def empty_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, *,
               shape: Any = None) -> Tensor:
    """A tensor to be filled, holding zeros, with the shape and dtype of `input` (or those given).

    >>> import chainrule as cr
    >>> cr.empty_like(cr.zeros(2, 3)).shape
    (2, 3)
    """
    return _like("empty_like", input, 0, dtype, device, requires_grad, shape)


@public
def full_like(input: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, *,
              shape: Any = None) -> Tensor:
    """One value everywhere, with the shape and dtype of `input` (or those given).

    >>> import chainrule as cr
    >>> cr.full_like(cr.zeros(2), 3)
    tensor([3., 3.])
    """
    return _like("full_like", input, _number(fill_value), dtype, device, requires_grad, shape)


def _like(name: str, input: Any, value: Any, dtype: Any, device: Any, requires_grad: bool, shape: Any) -> Tensor:
    input = as_tensor(input)
    data, found = input._data, None if dtype is None else dtypes.as_dtype(dtype)
    module = array_module(None if isinstance(data, np.ndarray) else "cuda")
    array = module.zeros_like(data, found, shape=shape) if value == 0 else module.full_like(data, value, found, shape=shape)
    return made(name, array, input.device if device is None else device, requires_grad)


# ---- ranges

@public
def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """start, start + step, … below `end`; `arange(end)` starts at 0. There are ceil((end - start) / step) of them.

    int64 where all three are integers, else the default dtype. Raises ValueError where the steps lead away from the
    end.

    >>> import chainrule as cr
    >>> cr.arange(3), cr.arange(1.0, 2.0, 0.5)
    (tensor([0, 1, 2]), tensor([1. , 1.5]))
    """
    first, last, by = (_number(v) for v in ((0, start, step) if end is None else (start, end, step)))
    whole = all(isinstance(v, int) for v in (first, last, by))
    if by == 0 or (last - first) * by < 0 or not math.isfinite(last - first):
        raise ValueError(f"arange({first}, {last}, {by}): steps of {by} do not lead from {first} to {last}")
    found = (dtypes.int64 if whole else dtypes.get_default_dtype()) if dtype is None else dtypes.as_dtype(dtype)
    if whole:
        array = np.arange(first, last, by, dtype=np.int64)
    else:
        array = first + by * np.arange(math.ceil((last - first) / by), dtype=np.float64)
    return made("arange", array.astype(found), device, requires_grad)


@public
def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, evenly spaced; of the default dtype unless given.

    Raises ShapeError for a negative number of steps.

    >>> import chainrule as cr
    >>> cr.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    found = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return made("linspace", _spaced("linspace", start, end, steps).astype(found), device, requires_grad)


@public
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """base**e for `steps` exponents e from `start` to `end`, both included, evenly spaced.

    >>> import chainrule as cr
    >>> cr.logspace(0, 3, 4)
    tensor([   1.,   10.,  100., 1000.])
    """
    found = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return made("logspace", (base ** _spaced("logspace", start, end, steps)).astype(found), device, requires_grad)


def _spaced(name: str, start: Any, end: Any, steps: int) -> Any:
    sizes_of(name, (steps,))
    return np.linspace(float(_number(start)), float(_number(end)), steps)


@public
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix (n, n), or ones on the diagonal of (n, m).

    >>> import chainrule as cr
    >>> cr.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    found = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    rows, columns = sizes_of("eye", (n, n if m is None else m))
    return made("eye", np.eye(rows, columns, dtype=found), device, requires_grad)


@public
def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """For each class index a row with 1 at the index and 0 elsewhere: integers (...) -> int64 (..., num_classes).

    With num_classes=-1 there are as many as the largest index needs. Raises DtypeError for other dtypes, IndexError for
    an index that is negative or not below num_classes, ShapeError where an empty tensor leaves num_classes open.

    >>> import chainrule as cr
    >>> cr.one_hot(cr.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    index = as_tensor(tensor)._data
    if index.dtype.kind not in "iu":
        raise DtypeError(f"one_hot({describe(index)}): class indices are integers; convert them with .long()")
    if num_classes < 0:
        if num_classes != -1 or not index.size:
            raise ShapeError(f"one_hot({describe(index)}, num_classes={num_classes}): pass how many classes there are")
        num_classes = int(as_tensor(tensor).data.max()) + 1
    check(_check_hot, as_tensor(tensor), num_classes)
    same = ops.eq(ops.expand_dims(as_tensor(tensor), -1), arange(num_classes, device=as_tensor(tensor).device))
    return ops.astype(same, np.int64)  # type: ignore[no-any-return]


def _check_hot(index: Any, num_classes: int) -> None:
    """IndexError where an index is no class."""
    if index.size and (index.min() < 0 or index.max() >= num_classes):
        raise IndexError(f"one_hot({describe(index)}, num_classes={num_classes}): the indices go from {index.min()} to "
                         f"{index.max()}; they must be at least 0 and below the number of classes")


# ---- other dtypes and devices

_astype = Op("astype", word="linear", forward=lambda xp, x, *, dtype: xp.astype(x, dtype), input=lambda xp, g: g)


@public
def astype(input: Any, dtype: Any) -> Tensor:
    """The elements converted to `dtype`; the gradient is converted back. To integers and bools nothing is recorded.

    >>> import chainrule as cr
    >>> cr.astype(cr.tensor([1.7]), cr.int64)
    tensor([1])
    """
    return _astype(ops.as_tensor(input), dtype=dtypes.as_dtype(dtype))


@public
def to(input: Tensor, *where: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
    """The tensor in another dtype or on another device, or as another tensor is; itself where nothing changes.

    `copy` copies even then. Raises RuntimeError for a device that is not there.

    >>> import chainrule as cr
    >>> cr.to(cr.tensor([1.5]), cr.float64).dtype
    dtype('float64')
    """
    for target in where:
        if isinstance(target, Tensor):
            dtype, device = target.dtype, target.device
        elif isinstance(target, str) and str(target).partition(":")[0] in ("cpu", "cuda"):
            device = target
        else:
            dtype = target
    device = None if device is None else check_device("to", device)
    found = input
    if dtype is not None and dtypes.as_dtype(dtype) != found.dtype:
        found = astype(found, dtype)
    if device is not None and device != input.device:
        found = ops.move(found, device=device, source=input.device)
    return ops.clone(input) if copy and found is input else found


@public
def kernels_of(array: Any) -> Any:
    """The backend of a raw array."""
    return kernels.of(array)


autograd.as_tensor = as_tensor
