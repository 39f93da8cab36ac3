"""Modules that hold modules or parameters: in a row, in a list, in a dict."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

from chainrule.layers.module import Module, Parameter
from chainrule.names import ops

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

Part = TypeVar("Part", Module, Parameter)


def as_parameter(value: Any) -> Parameter:
    """A parameter of a tensor, an array or a list of numbers; a parameter itself."""
    return value if isinstance(value, Parameter) else Parameter(ops.as_tensor(value))


class Indexed(Module, Generic[Part]):
    """What the lists share: parts named "0", "1", … in a row, reached by index or slice."""

    _kind: ClassVar[type] = Module

    def _put(self, name: str, part: Any) -> None:
        self.add_module(name, part)

    def __len__(self) -> int:
        return sum(1 for _ in self._own(self._kind))

    def __iter__(self) -> Iterator[Part]:
        return iter([part for _, part in self._own(self._kind)])

    def _name(self, index: int) -> str:
        names = [name for name, _ in self._own(self._kind)]
        position = index.__index__()
        if not -len(names) <= position < len(names):
            raise IndexError(f"{type(self).__name__}: index {position} is out of range, it holds {len(names)} "
                             f"{self._kind.__name__.lower()}s")
        return names[position]

    def _rename(self, parts: Iterable[Part]) -> None:
        """Hold these parts from now on, named by their places."""
        for name, _ in list(self._own(self._kind)):
            delattr(self, name)
        for i, part in enumerate(parts):
            self._put(str(i), part)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Part | Self:
        """The part at an index, or a new container of a slice, which shares the parts."""
        if isinstance(index, slice):
            return self._of(list(self._own(self._kind))[index])
        found: Part = vars(self)[self._name(index)]
        return found

    def _of(self, named: list[tuple[str, Part]]) -> Self:
        out = type(self).__new__(type(self))
        out.training = self.training
        out._rename(part for _, part in named)
        return out

    def __setitem__(self, index: int, part: Part) -> None:
        """Put another part at an index."""
        self._put(self._name(index), part)

    def __delitem__(self, index: int | slice) -> None:
        """Take parts out; those after them move up."""
        parts = list(self)
        del parts[index]
        self._rename(parts)

    def append(self, part: Part) -> Self:
        """Add a part at the end."""
        self._put(str(len(self)), part)
        return self

    def extend(self, parts: Iterable[Part]) -> Self:
        """Add parts at the end."""
        if not isinstance(parts, Iterable):
            raise TypeError(f"{type(self).__name__}: takes a list, got a single {type(parts).__name__}; pass [it]")
        for part in list(parts):
            self.append(part)
        return self

    def insert(self, index: int, part: Part) -> Self:
        """Add a part before the one at an index; those after it move down."""
        parts = list(self)
        parts.insert(index, part)
        self._rename(parts)
        return self


class Sequential(Indexed[Module]):
    """The modules one after the other: each takes what the one before it returned.

    `Sequential(a, b, c)`, or `Sequential(OrderedDict(first=a, second=b))` with names; an index gives a module, a slice
    another Sequential with the same modules under the same names.

    >>> import chainrule as cr
    >>> from chainrule.layers import Flatten, Identity
    >>> model = Sequential(Identity(), Flatten())
    >>> model(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape, model[-1], len(model[:1])
    ((1, 4), Flatten(), 1)
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def _of(self, named: list[tuple[str, Module]]) -> Self:
        out = type(self)(OrderedDict(named))
        out.training = self.training
        return out

    def forward(self, input: Any) -> Any:
        """input through all modules in order."""
        for _, module in self._own(Module):
            input = module(input)
        return input


class ModuleList(Indexed[Module]):
    """A list of modules, whose parameters are found (those of modules in a plain list would not be).

    It has no forward: loop over it.

    >>> from chainrule.layers import Identity
    >>> layers = ModuleList([Identity()]).append(Identity())
    >>> len(layers), [name for name, _ in layers.named_children()]
    (2, ['0', '1'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ParameterList(Indexed[Parameter]):
    """A list of parameters, which are found (those in a plain list would not be). Tensors and arrays become parameters.

    >>> import chainrule as cr
    >>> weights = ParameterList([cr.zeros(2, 3)]).append(cr.ones(3))
    >>> len(weights), [name for name, _ in weights.named_parameters()]
    (2, ['0', '1'])
    """

    _kind = Parameter

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values)

    def _put(self, name: str, part: Any) -> None:
        self.register_parameter(name, as_parameter(part))


class Keyed(Module, Generic[Part]):
    """What the dicts share. Keys are strings without dots that are not names of its methods; they keep their order."""

    _kind: ClassVar[type] = Module

    def __init__(self, parts: Mapping[str, Part] | Iterable[tuple[str, Part]] = ()) -> None:
        self.update(parts)

    def __getitem__(self, key: str) -> Part:
        """The part of a key; KeyError where there is none."""
        found: Any = vars(self).get(key)
        if not isinstance(found, self._kind):
            raise KeyError(f"{key!r}; the keys are {', '.join(map(repr, self)) or 'none'}")
        return cast(Part, found)

    def __setitem__(self, key: str, part: Part) -> None:
        """Put a part under a key."""
        self.add_module(key, part)  # type: ignore[arg-type]

    def __delitem__(self, key: str) -> None:
        """Take the part of a key out."""
        self.pop(key)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """The keys in order."""
        return [key for key, _ in self.items()]

    def values(self) -> list[Part]:
        """The parts in order."""
        return [part for _, part in self.items()]

    def items(self) -> list[tuple[str, Part]]:
        """(key, part) pairs in order."""
        return list(self._own(self._kind))

    def pop(self, key: str) -> Part:
        """Take the part of a key out and return it."""
        part = self[key]
        delattr(self, key)
        return part

    def update(self, parts: Mapping[str, Part] | Iterable[tuple[str, Part]]) -> None:
        """Add parts by key, from a mapping or from pairs."""
        pairs: Any = parts.items() if isinstance(parts, Mapping | Keyed) else parts
        for key, part in pairs:
            self[key] = part


class ModuleDict(Keyed[Module]):
    """A dict of modules, whose parameters are found (those of modules in a plain dict would not be).

    Keys are strings without dots that are not names of its methods; they keep their order. It has no forward.

    >>> from chainrule.layers import Identity
    >>> heads = ModuleDict({"left": Identity(), "right": Identity()})
    >>> "left" in heads, list(heads)
    (True, ['left', 'right'])
    """


class ParameterDict(Keyed[Parameter]):
    """A dict of parameters, which are found (those in a plain dict would not be). Tensors and arrays become parameters.

    >>> import chainrule as cr
    >>> weights = ParameterDict({"left": cr.zeros(2), "right": cr.ones(2)})
    >>> weights["left"]
    Parameter([0., 0.], requires_grad=True)
    """

    _kind = Parameter

    def __setitem__(self, key: str, part: Any) -> None:
        """Put a parameter under a key."""
        self.register_parameter(key, as_parameter(part))
