"""Module: the base of every layer and model, and Parameter, the tensors that training changes.

A module is a plain object. Its parameters and its children are found by looking at its attributes whenever they are
asked for: nothing has to be declared, no bookkeeping can go stale, and `super().__init__()` may be forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any, NamedTuple, Self

import numpy as np

from chainrule import dtypes
from chainrule.derivatives import clear_gradients
from chainrule.dtypes import REAL
from chainrule.errors import DtypeError, describe
from chainrule.graph import no_grad
from chainrule.layers.hooks import Hooked, call_with_hooks
from chainrule.layers.paths import Paths, add_path, prefix_hint
from chainrule.names import ops
from chainrule.state import changes, noting, special
from chainrule.tensor import Tensor

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module finds among its attributes, and that optimizers change: a leaf that requires a gradient.

    `data`: a tensor (its memory is shared, its history is left behind), an array or nested lists. Raises DtypeError for
    integers where `requires_grad`.

    >>> Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = ops.as_tensor(data)
        super().__init__(source, requires_grad)
        self._version = source._version  # the same memory, so the same count of writes

    def __repr__(self) -> str:
        return "Parameter" + super().__repr__().removeprefix("tensor")


class Incompatible(NamedTuple):
    """What `load_state_dict(strict=False)` returns: the names that did not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def find_inside(value: Any) -> Any:
    """The first Module or Parameter inside nested lists, tuples, sets and dicts, or None."""
    if isinstance(value, Module | Parameter):
        return value
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return None
    return next((found for v in value if (found := find_inside(v)) is not None), None)


def refuse_containers(module: "Module", name: str, value: Any) -> None:
    """TypeError where a plain list or dict would hide modules or parameters from training, saving and conversion."""
    found = find_inside(value)
    if found is None:
        return
    kind = "a dict" if isinstance(value, dict) else f"a {type(value).__name__}"
    part = "Module" if isinstance(found, Module) else "Parameter"
    fix = f"use {part}Dict({{...}})" if isinstance(value, dict) else f"use {part}List([...])"
    raise TypeError(f"{type(module).__name__}.{name} is {kind} with a {type(found).__name__} in it, which "
                    f"parameters() and state_dict() would not see; {fix}")


class Module(Hooked, Paths):
    """The base class of layers and models: assign parameters and other modules to attributes, and define `forward`.

    Parameters and modules are found among the attributes; own parameters come before those of children, whatever the
    order of assignment. Other tensors that belong to the state (running statistics, tables) are named with
    `register_buffer`; a tensor merely stored in an attribute is not part of it. A list or dict holding modules or
    parameters raises TypeError: ModuleList, ModuleDict, ParameterList and ParameterDict are for that.

    >>> import chainrule as cr
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter([2.0])
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> scale = Scale()
    >>> scale(cr.tensor([3.0])).tolist(), [name for name, _ in scale.named_parameters()]
    ([6.0], ['factor'])
    """

    training: bool = True  # whether dropout and the like are on; see `train` and `eval`
    _buffer_names: Mapping[str, bool] = {}  # name -> whether state_dict has it; modules with buffers make their own

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign an attribute.

        Raises TypeError for a list or dict that hides modules or parameters, and for another value where a parameter
        was (the optimizer would go on with the old one).
        """
        if isinstance(value, list | tuple | dict | set | frozenset):
            refuse_containers(self, name, value)
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(f"{type(self).__name__}.{name} is a Parameter and {describe(value)} is not; write into it "
                            f"under no_grad() with {name}.copy_(value), or assign Parameter(value)")
        object.__setattr__(self, name, value)
        changes.count += 1

    def __delattr__(self, name: str) -> None:
        """Take an attribute away."""
        object.__delattr__(self, name)
        changes.count += 1

    # ---- computing

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define `def forward(self, x): ...`")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """forward(*args, **kwargs) between the module's hooks. An exception from inside a layer says, in a note, which layer
        that was."""
        if special.count and (recording := noting()) is not None:
            recording.entered(self)
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, self._hooks, args, kwargs)
        except Exception as error:
            add_path(error, self)
            raise

    # ---- what is inside

    def _own(self, kind: Any) -> Iterator[tuple[str, Any]]:
        """The attributes that are of this class; TypeError where a list that was filled later hides some."""
        for name, value in list(vars(self).items()):
            if isinstance(value, kind):
                yield name, value
            elif value.__class__ in (list, dict) and value:
                first = next(iter(value.values() if isinstance(value, dict) else value))
                if isinstance(first, Module | Parameter):  # appended after the assignment
                    refuse_containers(self, name, value)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """(name, module) of the modules directly inside this one; one with two names comes once."""
        seen = set()
        for name, child in self._own(Module):
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator["Module"]:
        """The modules directly inside this one."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, "Module"]]:
        """(path, module) of this module, whose path is "", and of all inside it, outer before inner.

        One that occurs at several places comes once, or under each path where `remove_duplicate` is False.
        """
        seen = set()

        def visit(path: str, module: "Module", outer: tuple["Module", ...]) -> Iterator[tuple[str, "Module"]]:
            if module in outer:
                raise RecursionError(f"{path!r}: the module contains itself")
            if remove_duplicate and module in seen:
                return
            seen.add(module)
            yield path, module
            for name, child in module._own(Module):
                yield from visit(f"{path}.{name}" if path else name, child, (*outer, module))

        return visit(prefix, self, ())

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, find: Any, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in find(module):
                if not (remove_duplicate and value in seen):
                    seen.add(value)
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of all parameters, own ones first; a tied one once, or under each name where
        `remove_duplicate` is False. `recurse=False` leaves out those of modules inside."""
        return self._named(lambda module: module._own(Parameter), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimizer is given.

        >>> from chainrule.layers import Linear
        >>> [p.shape for p in Linear(3, 2).parameters()]
        [(2, 3), (2,)]
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor) of all buffers."""
        return self._named(lambda module: module._own_buffers(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _own_buffers(self, persistent: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, saved in self._buffer_names.items():
            value = vars(self).get(name)
            if value is not None and (saved or not persistent):
                yield name, value

    # ---- adding by name

    def _check_name(self, name: str, kind: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{name!r} cannot name a part of {type(self).__name__}: a name is a string without dots")
        taken = vars(self).get(name)
        other = taken is not None and (not isinstance(taken, kind) or isinstance(taken, Parameter) and kind is Tensor)
        if other or hasattr(type(self), name):
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}; choose another name")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Name a tensor that belongs to the module's state without being trained; it becomes the attribute `name`.

        It moves along with `to`, and `state_dict` has it where `persistent`. Raises KeyError for a name that is taken,
        TypeError for what is not a tensor.
        """
        self._check_name(name, Tensor)
        if tensor is not None and (not isinstance(tensor, Tensor) or isinstance(tensor, Parameter)):
            raise TypeError(f"register_buffer({name!r}): a buffer is a tensor, got {type(tensor).__name__}")
        object.__setattr__(self, "_buffer_names", {**self._buffer_names, name: persistent})
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as assigning the parameter to the attribute `name`; for names that are computed."""
        self._check_name(name, Parameter)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter({name!r}): got {type(param).__name__}, wrap it as Parameter(...)")
        setattr(self, name, param)

    def add_module(self, name: str, module: "Module | None") -> None:
        """The same as assigning the module to the attribute `name`; for names that are computed."""
        self._check_name(name, Module)
        if module is not None and not isinstance(module, Module):
            what = f"the class {module.__name__}" if isinstance(module, type) else f"a {type(module).__name__}"
            hint = "; did you forget to create it, with ()?" if isinstance(module, type) else \
                "; did you forget the * before it?" if isinstance(module, list | tuple) else ""
            raise TypeError(f"{type(self).__name__}: {name!r} is to be a module, got {what}{hint}")
        setattr(self, name, module)

    # ---- modes and conversions

    def train(self, mode: bool = True) -> Self:
        """Training mode, in which dropout drops and batch norm uses the batch's statistics, here and inside."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode: `train(False)`. Gradients are recorded all the same; see `no_grad`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with `set_to_none=False` fill them with zeros in place."""
        clear_gradients(self.parameters(), set_to_none)

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call `function` with every module inside, innermost first, and with this one: for initialisation."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, *where: Any, dtype: Any = None, device: Any = None) -> Self:
        """Convert the floating-point parameters and buffers, in place, to a dtype, a device, or those of a tensor.

        The Parameter objects stay the same, so that optimizers keep them. Raises DtypeError for a dtype that is not
        floating-point.
        """
        for target in where:
            if isinstance(target, Tensor):
                dtype, device = target.dtype, target.device
            elif isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda"):
                device = target
            else:
                dtype = target
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)).kind not in REAL:
            raise DtypeError(f"to({dtype}): parameters are floating-point; integer buffers keep their dtype")

        def convert(tensor: Tensor) -> Tensor:
            return tensor.to(dtype=dtype if tensor.is_floating_point() else None, device=device)

        with no_grad():
            for parameter in self.parameters():
                gradient, parameter.grad = parameter.grad, None
                parameter.data = convert(parameter)
                if gradient is not None:
                    parameter.grad = convert(gradient)
            for module in self.modules():
                for name, buffer in module._own_buffers():
                    setattr(module, name, convert(buffer))
        return self

    def cpu(self) -> Self:
        """Parameters and buffers on the CPU: `to("cpu")`."""
        return self.to("cpu")

    def cuda(self, device: int = 0) -> Self:
        """Parameters and buffers on a GPU: `to("cuda:0")`."""
        return self.to(f"cuda:{device}")

    def double(self) -> Self:
        """Parameters and buffers as float64: `to(float64)`."""
        return self.to(dtypes.float64)

    def float(self) -> Self:
        """Parameters and buffers as float32: `to(float32)`."""
        return self.to(dtypes.float32)

    def half(self) -> Self:
        """Parameters and buffers as float16: `to(float16)`."""
        return self.to(dtypes.float16)

    # ---- the state, by name

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers under all their names, in torch's order: module by module."""
        for path, module in self.named_modules(remove_duplicate=False):
            for name, tensor in [*module._own(Parameter), *module._own_buffers(persistent=True)]:
                yield f"{path}.{name}" if path else name, tensor

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """All parameters and persistent buffers by path; a tied one under each of its names.

        The tensors are detached and share memory with the module: they follow further training. `save_file` and
        `load_state_dict` take such a dict; to keep a snapshot, `copy.deepcopy` it.

        >>> from chainrule.layers import Linear, Sequential
        >>> list(Sequential(Linear(2, 3), Linear(3, 1)).state_dict())
        ['0.weight', '0.bias', '1.weight', '1.bias']
        """
        return OrderedDict((prefix + name, tensor.detach()) for name, tensor in self._state())

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Incompatible:
        """Copy values, tensors or arrays by name, into the parameters and buffers; dtypes are converted.

        Returns (missing_keys, unexpected_keys), both empty where `strict`. Raises RuntimeError, which lists all that is
        misshapen and, where `strict`, all that is missing or unexpected; then nothing has been copied.
        """
        if not isinstance(state_dict, Mapping):
            kind = "module, take its state_dict()" if isinstance(state_dict, Module) else "path, load the file first" \
                if isinstance(state_dict, str | PathLike) else type(state_dict).__name__
            raise TypeError(f"load_state_dict: takes a dict of tensors by name, got a {kind}")
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        values = {name: value if isinstance(value, Tensor) else np.asarray(value)
                  for name, value in state_dict.items() if name in own}
        misshapen = [f"{name}: the module has {describe(own[name])}, the state {describe(value)}"
                     for name, value in values.items() if tuple(value.shape) != own[name].shape]
        problems = [("misshapen", misshapen)]
        if strict:
            problems = [("missing", missing), ("unexpected", unexpected), *problems]
        text = "".join(f"\n  {kind}:" + "".join(f"\n    {entry}" for entry in entries)
                       for kind, entries in problems if entries)
        if text:
            raise RuntimeError(f"load_state_dict: the state does not fit this {type(self).__name__}, nothing was "
                               f"loaded{text}"
                               + prefix_hint(missing, unexpected))
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return Incompatible(missing, unexpected)

    # ---- how it shows

    def extra_repr(self) -> str:
        """The arguments that `repr` shows between the parentheses; subclasses define it."""
        return ""

    def head(self) -> str:
        """The module in a few words, such as `Linear(64, 10)`; a container is its class name."""
        extra = self.extra_repr()
        return type(self).__name__ if not extra and any(self.children()) else f"{type(self).__name__}({extra})"

    def __repr__(self) -> str:
        """The tree of modules with the number of parameters of each, tied ones counted once."""
        rows: list[tuple[str, int]] = []

        def visit(label: str, module: "Module", depth: int) -> None:
            children = list(module._own(Module))
            pad = "  " * depth
            count = sum(p.numel() for p in module.parameters())
            if not children:
                rows.append((f"{pad}{label}{module.head()}", count))
                return
            rows.append((f"{pad}{label}{type(module).__name__}({module.extra_repr()}", count))
            rows.extend((f"{pad}  ({name}): Parameter{p.shape}", p.numel()) for name, p in module._own(Parameter))
            for name, child in children:
                visit(f"({name}): ", child, depth + 1)
            rows.append((pad + ")", 0))

        visit("", self, 0)
        total, trained = rows[0][1], sum(p.numel() for p in self.parameters() if p.requires_grad)
        width, digits = max(len(text) for text, _ in rows), len(f"{total:,}")
        lines = [f"{text:{width}}  {count:{digits},}" if count else text for text, count in rows]
        if total:
            lines[0] += " parameters" + (f", {trained:,} of them trained" if trained != total else "")
        return "\n".join(lines)
