"""Modules that hold modules: in a row, in a list, in a dict."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from chainrule.layers.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class Indexed(Module):
    """What Sequential and ModuleList share: modules named "0", "1", … in a row, reached by index or slice."""

    def __len__(self) -> int:
        return sum(1 for _ in self._own(Module))

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._own(Module)])

    def _name(self, index: int) -> str:
        names = [name for name, _ in self._own(Module)]
        position = index.__index__()
        if not -len(names) <= position < len(names):
            raise IndexError(f"{type(self).__name__}: index {position} is out of range, it holds {len(names)} modules")
        return names[position]

    def _rename(self, modules: Iterable[Module]) -> None:
        """Hold these modules from now on, named by their places."""
        for name, _ in list(self._own(Module)):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        """The module at an index, or a new container of a slice, which shares the modules."""
        if isinstance(index, slice):
            return self._of(list(self._own(Module))[index])
        found: Module = vars(self)[self._name(index)]
        return found

    def _of(self, named: list[tuple[str, Module]]) -> Self:
        out = type(self).__new__(type(self))
        out.training = self.training
        out._rename(module for _, module in named)
        return out

    def __setitem__(self, index: int, module: Module) -> None:
        """Put another module at an index."""
        self.add_module(self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        """Take modules out; those after them move up."""
        modules = list(self)
        del modules[index]
        self._rename(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at an index; those after it move down."""
        modules = list(self)
        modules.insert(index, module)
        self._rename(modules)
        return self


class Sequential(Indexed):
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


class ModuleList(Indexed):
    """A list of modules, whose parameters are found (those of modules in a plain list would not be).

    It has no forward: loop over it.

    >>> from chainrule.layers import Identity
    >>> layers = ModuleList([Identity()]).append(Identity())
    >>> len(layers), [name for name, _ in layers.named_children()]
    (2, ['0', '1'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ModuleDict(Module):
    """A dict of modules, whose parameters are found (those of modules in a plain dict would not be).

    Keys are strings without dots that are not names of its methods; they keep their order. It has no forward.

    >>> from chainrule.layers import Identity
    >>> heads = ModuleDict({"left": Identity(), "right": Identity()})
    >>> "left" in heads, list(heads)
    (True, ['left', 'right'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __getitem__(self, key: str) -> Module:
        """The module of a key; KeyError where there is none."""
        found = vars(self).get(key)
        if not isinstance(found, Module):
            raise KeyError(f"{key!r}; the keys are {', '.join(map(repr, self)) or 'none'}")
        return found

    def __setitem__(self, key: str, module: Module) -> None:
        """Put a module under a key."""
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        """Take the module of a key out."""
        self.pop(key)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """The keys in order."""
        return [key for key, _ in self._own(Module)]

    def values(self) -> list[Module]:
        """The modules in order."""
        return [module for _, module in self._own(Module)]

    def items(self) -> list[tuple[str, Module]]:
        """(key, module) pairs in order."""
        return list(self._own(Module))

    def pop(self, key: str) -> Module:
        """Take the module of a key out and return it."""
        module = self[key]
        delattr(self, key)
        return module

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules by key, from a mapping or from pairs."""
        for key, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[key] = module
