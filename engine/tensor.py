"""Tensor: an array that remembers which operation made it."""

from typing import Any, NoReturn

import numpy as np

from chainrule.dtypes import REAL, DType, as_dtype, get_default_dtype, int64
from chainrule.dtypes import bool as bool_dtype
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.kernels import BY_TYPE, is_array
from chainrule.methods import TensorMethods
from chainrule.names import autograd
from chainrule.state import noting, special, state


class Device(str):
    """Where a tensor's elements are: a string, "cpu" or "cuda:0", with its parts as `.type` and `.index`.

    >>> Device("cpu").type, Device("cuda").index
    ('cpu', 0)
    """

    __slots__ = ()

    def __new__(cls, name: str) -> "Device":
        kind, _, index = str(name).partition(":")
        if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
            raise ValueError(f"device {name!r}: use 'cpu' or 'cuda' or 'cuda:INDEX'")
        return super().__new__(cls, kind if kind == "cpu" else f"cuda:{index or 0}")

    @property
    def type(self) -> str:
        """The kind of device, "cpu" or "cuda"."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which device of its kind; None for the CPU."""
        return int(self.partition(":")[2]) if ":" in self else None


CPU = Device("cpu")


class View:
    """Where a tensor that shares memory comes from: the tensor that owns it, and the steps from there to here."""

    __slots__ = ("base", "path", "seen")

    def __init__(self, base: "Tensor", path: tuple[Any, ...], seen: int) -> None:
        self.base, self.path, self.seen = base, path, seen


class Tensor(TensorMethods):
    """An n-dimensional array with a gradient: NumPy data, and the node of the graph that computed it.

    Made by `chainrule.tensor(values)`; every operation on tensors gives new ones. `data` is the raw array, not checked
    and not recorded. `requires_grad=True` makes a leaf, whose `grad` a later `backward()` fills.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    # _version: a list with the time of the last in-place write, shared by all tensors on the same memory. A node made before
    # that time must not use what it kept of it
    __slots__ = ("_data", "_node", "_version", "_view", "__weakref__")
    _data: Any
    _node: Any
    _version: list[int]
    _view: View | None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data = data if data.__class__ in BY_TYPE else autograd.as_tensor(data)._data
        self._node, self._version, self._view = None, [-1], None
        as_dtype(self._data.dtype)
        if requires_grad:
            self.requires_grad_()
        if special.count and (recording := noting()) is not None:
            recording.made(self)

    # ---- what it is

    @property
    def data(self) -> Any:
        """The raw array. Writing to it is neither recorded nor checked; assigning one replaces it (`p.data = array`)."""
        if special.count and state.tracer is not None:
            state.tracer.looked(self, ".data")
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if special.count and state.tracer is not None:
            state.tracer.looked(self, ".data = ...")
        value = value._data if isinstance(value, Tensor) else value if is_array(value) else np.asarray(value)
        as_dtype(value.dtype)
        node = self.node
        if node is not None:
            if node.op is not None:
                raise AutogradError("data = ...: only a leaf's data can be replaced; this tensor was computed by "
                                    f"{node.op.name}. Detach it first")
            node.shape, node.dtype = value.shape, value.dtype
        self._version[0] = autograd.tick()
        self._data, self._version, self._view = value, [-1], None

    @property
    def node(self) -> Any:
        """The node that computed this tensor, None where nothing was recorded. A view whose base was written in place
        since is a view of the *new* base: its node is made anew."""
        view = self._view
        if view is not None and view.seen != self._version[0] and (view := self.current_view()) is not None:
            view.seen = self._version[0]
            self._node = None if view.base.node is None else autograd.read_node(view.base, view.path)
        return self._node

    def current_view(self) -> View | None:
        """What this tensor is a view of; None where it owns its memory, or where its base has got other memory since
        (`base.data = ...`), so that this tensor is on its own."""
        view = self._view
        if view is not None and view.base._version is not self._version:
            self._view = view = None
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self._data.ndim)

    @property
    def dtype(self) -> DType:
        """The elements' type, a NumPy dtype."""
        dtype: DType = self._data.dtype
        return dtype

    @property
    def device(self) -> Device:
        """Where the elements are."""
        return CPU if isinstance(self._data, np.ndarray) else Device(f"cuda:{self._data.device.id}")

    @property
    def is_cuda(self) -> bool:
        """Whether the elements are on a GPU."""
        return self.device.type == "cuda"

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis (a method, as in torch)."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def nelement(self) -> int:
        """The number of elements."""
        return self.numel()

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def ndimension(self) -> int:
        """The number of axes."""
        return self.ndim

    def is_floating_point(self) -> bool:
        """Whether the dtype is a float (and gradients are possible)."""
        return self.dtype.kind in REAL

    def is_contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return bool(self._data.flags.c_contiguous)

    # ---- its place in the graph

    @property
    def requires_grad(self) -> bool:
        """Whether backward reaches this tensor. Setting it makes a leaf of a tensor that nothing recorded."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Make this a leaf whose gradient backward computes (or, with False, no longer). Returns the tensor.

        Raises DtypeError for integers and bools, AutogradError for False on a computed tensor.
        """
        node = self.node
        if requires_grad and node is None:
            if self.dtype.kind not in REAL:
                raise DtypeError(f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype}; "
                                 "convert it first, for example with .float()")
            self._node, self._view = autograd.leaf(self._data), None  # a leaf, no longer a view of something constant
        elif not requires_grad and node is not None:
            if node.op is not None:
                raise AutogradError(f"requires_grad_(False): the tensor was computed by {node.op.name}, use detach()")
            self._node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation computed this tensor."""
        node = self.node
        return node is None or node.op is None

    @property
    def grad_fn(self) -> Any:
        """The node of the operation that computed this tensor (None for leaves); see its `next_functions`."""
        return None if self.is_leaf else self.node

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that backward summed up here: None before the first backward, then it accumulates."""
        node = self.node
        if special.count and node is not None and (recording := noting()) is not None:
            recording.gradient_of(node)
        found: Tensor | None = None if node is None else node.grad
        return found

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        node = self.node
        recording = noting() if special.count else None
        if value is None:
            if node is not None:
                if recording is not None:
                    recording.gradient_set(node, None)
                node.grad = None
            return
        if node is None:
            raise AutogradError("grad = ...: this tensor does not require a gradient; call requires_grad_() first")
        value = value if isinstance(value, Tensor) else Tensor(value)
        if value.shape != self.shape or value.dtype != self.dtype:
            raise ShapeError(f"grad = ...: a gradient has the shape and dtype of its tensor, {self.dtype}{self.shape}, "
                             f"not {value.dtype}{value.shape}")
        if recording is not None:
            recording.gradient_set(node, value)
        node.grad = value

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
                 inputs: Any = None) -> None:
        """Walk the graph backward from here and add to each leaf's `grad` the derivative with respect to it.

        `gradient`: what this tensor's own derivative is, of its shape; may be left out for one element, where it is 1.
        `retain_graph` keeps the graph for another walk; `create_graph` records this walk, so that it can be derived again;
        `inputs` restricts the tensors whose `grad` is written. Raises AutogradError where nothing was recorded, where the
        graph was freed by an earlier walk, or where a value it needs was changed in place.
        """
        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Have backward fill `grad` here too, although this is not a leaf."""
        if self.node is None:
            raise AutogradError("retain_grad(): this tensor does not require a gradient")
        self.node.retain = True

    def register_hook(self, hook: Any) -> Any:
        """Call `hook(gradient)` when backward knows this tensor's gradient; what it returns, unless None, replaces it.

        Returns a handle with `remove()`.
        """
        if self.node is None:
            raise AutogradError("register_hook(): this tensor does not require a gradient")
        return autograd.add_hook(self.node, hook)

    def detach(self) -> "Tensor":
        """The same memory without the history: gradients stop here. In-place writes to either are seen by both."""
        if special.count and (recording := noting()) is not None:
            recording.slot(self)
        out = Tensor(self._data)
        out._version = self._version
        return out

    # ---- out of it, into it

    def numpy(self) -> Any:
        """The elements as a NumPy array that shares memory; read-only where the tensor is recorded (see `detach`).
        TypeError for a tensor on a GPU: `cpu()` copies it to the host."""
        return self.__array__()

    def item(self) -> Any:
        """The only element as a Python number; ShapeError for more than one."""
        if self._data.size != 1:
            raise ShapeError(f"item(): the tensor has {self._data.size} elements, shape {self.shape}; it needs exactly one")
        if special.count and state.tracer is not None:
            state.tracer.looked(self, "item()")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        if special.count and state.tracer is not None:
            state.tracer.looked(self, "tolist()")
        return self._data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"a {self.dtype} tensor cannot be an index; use an integer one")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(f"the truth value of a tensor of shape {self.shape} is ambiguous; use .any() or .all()")
        return bool(self.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise DtypeError("len(): a 0-d tensor has no length")
        return len(self._data)

    def __iter__(self) -> Any:
        if not self._data.ndim:
            raise DtypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self._data)))

    def __contains__(self, value: Any) -> bool:
        if special.count and state.tracer is not None:
            state.tracer.looked(self, "in")
        return bool((self._data == (value._data if isinstance(value, Tensor) else value)).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._data.size == 1 and spec else format(str(self), spec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if special.count and state.tracer is not None:
            state.tracer.looked(self, "numpy()")
        if self.is_cuda:
            raise TypeError(f"numpy(): the tensor is on {self.device}, NumPy's arrays are on the CPU; copy it first, with .cpu()")
        array = np.asarray(self._data, dtype=dtype) if copy is None else np.array(self._data, dtype=dtype, copy=copy)
        if self.node is not None and array is self._data:
            array = array.view()
            array.flags.writeable = False
        return array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return autograd.array_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return autograd.array_function(function, args, options)

    def __dlpack__(self, **options: Any) -> Any:
        if self.node is not None:
            raise AutogradError("__dlpack__: a recorded tensor cannot be exported, writes to it would be unseen; detach() it")
        if special.count and state.tracer is not None:
            state.tracer.looked(self, "__dlpack__()")
        return self._data.__dlpack__(**options)

    @property
    def __cuda_array_interface__(self) -> Any:
        if not self.is_cuda:
            raise AttributeError("__cuda_array_interface__: the tensor is on the CPU")
        if self.node is not None:
            raise AutogradError("__cuda_array_interface__: a recorded tensor cannot be exported, writes to it would be unseen; "
                                "detach() it")
        return self._data.__cuda_array_interface__

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __deepcopy__(self, memo: Any) -> "Tensor":
        if not self.is_leaf:
            raise AutogradError(f"deepcopy: only leaves can be copied, this tensor was computed by {self.node.op.name}; "
                                "use detach() or clone()")
        out = type(self).__new__(type(self))
        out._data, out._node, out._version, out._view = self._data.copy(), None, [-1], None
        memo[id(self)] = out
        if self.node is not None:
            out._node = autograd.leaf(out._data)
            if self.grad is not None:
                out.grad = Tensor(self.grad._data.copy())
        return out

    def __reduce__(self) -> NoReturn:
        raise DtypeError("tensors are not pickled; save them with chainrule.save or chainrule.save_file")

    # ---- how it shows

    def __repr__(self) -> str:
        array = self._data.get() if self.is_cuda else self._data
        text = np.array2string(array, precision=4, separator=", ", prefix="tensor(", floatmode="maxprec", threshold=1000)
        extra = ""
        if not self._data.size:
            extra += f", size={self.shape}"
        if self.dtype not in (get_default_dtype(), int64, bool_dtype):
            extra += f", dtype={self.dtype}"
        if self.is_cuda:
            extra += f", device='{self.device}'"
        node = self.node
        if node is not None:
            extra += f", grad_fn={node!r}" if node.op is not None else ", requires_grad=True"
        return f"tensor({text}{extra})"

    def _repr_html_(self) -> str:
        from html import escape

        made = "" if self.is_leaf else f", by {escape(repr(self.grad_fn))}"
        array = self._data.get() if self.is_cuda else self._data
        rows = f"<pre>{escape(np.array2string(array, precision=4, threshold=200))}</pre>"
        return f"<div><b>tensor</b> {self.dtype} {self.shape}{made}{rows}</div>"


def is_tensor(obj: Any) -> bool:
    """Whether the object is a Tensor (parameters are).

    >>> import chainrule as cr
    >>> cr.is_tensor(cr.tensor(1.0)), cr.is_tensor([1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)
