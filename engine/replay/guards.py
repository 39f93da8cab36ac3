"""What must be as it was when a step was recorded, for a replay to do what the step would.

Arguments are compared by shape and dtype, or by value; tensors from outside by identity; and so is what the function takes from its
closure and its module, and what modules have in their attributes. A test is a piece of Python that is compiled with the program.
"""

import types
from typing import Any

from chainrule.dtypes import get_default_dtype
from chainrule.errors import describe
from chainrule.replay.notes import OUTSIDE
from chainrule.state import changes
from chainrule.tensor import Tensor

SIMPLE = (int, float, str, bool, type(None), bytes, complex)  # types of arguments that are compared by value


def alike(program: Any, recording: Any) -> list[str]:
    """What makes arguments those of this recording, where all are tensors."""
    found = [f"{program.constant(get_default_dtype)}() is {program.constant(get_default_dtype())}"]
    for i, t in enumerate(recording.inputs):
        array = t._data
        contiguous = "flags.c_contiguous" if array.flags.c_contiguous else f"strides == {array.strides}"
        history = f"x{i}._node is None" if t._node is None else f"x{i}._node is not None and x{i}._node.op is None"
        found += [f"x{i}.__class__ is {program.constant(Tensor)}", f"x{i}._data.shape == {array.shape}",
                  f"x{i}._data.dtype is {program.constant(array.dtype)}", f"x{i}._data.{contiguous}", history]
        found += [f"x{i}._data is not x{j}._data" for j in range(i)]
    return found


def around(program: Any, outer: Any) -> list[str]:
    """What the step's function takes from around it is as it was."""
    found = []
    for get, before in outer:
        now = f"{program.constant(get[0])}.cell_contents" if len(get) == 1 else f"{program.constant(get[0])}.get({get[1]!r})"
        value = program.constant(before)
        found.append(f"({now} is {value} or {program.constant(equal_numbers)}({now}, {value}))")
    return found


def unchanged(program: Any, recording: Any) -> list[tuple[str, str]]:
    """What must be as it was for a replay to do what the step would: tests, and what it means where one fails."""
    modules = program.constant(program.modules)
    found = [(f"{program.constant(changes)}.count == {modules}.count or {modules}.same()", "an attribute of a module")]
    for slot in recording.slots:
        if slot.kind == OUTSIDE:
            tensor = program.constant(slot.source, "t")
            node, what = slot.source._node, describe(slot.source)
            found.append((f"{tensor}._data is {program.constant(slot.array)}", f"the array of a {what} tensor from outside"))
            found.append((f"{tensor}._node is {'None' if node is None else program.constant(node, 'n')}",
                          f"requires_grad or the history of a {what} tensor from outside"))
    for node, none in recording.touched.items():
        if none is not None:
            found.append((f"{program.node(node)}.grad is {'None' if none else 'not None'}",
                          f"whether a leaf of shape {node.shape} has a gradient"))
            found.append((f"not {program.node(node)}.hooks", "a hook of a leaf"))
    return found


def equal_numbers(now: Any, before: Any) -> bool:
    """Whether two objects are equal and of a type that is compared by value."""
    return now.__class__ is before.__class__ and now.__class__ in SIMPLE and now == before and str(now) == str(before)


class Modules:
    """The modules that a step calls, as they are when it has been recorded."""

    def __init__(self, modules: Any) -> None:
        self.modules = list(modules)
        self.count = changes.count
        self.before = [self._of(m) for m in self.modules]

    def _of(self, module: Any) -> dict[str, Any]:
        hooks = module._hooks
        called = [] if hooks is None else [entry for kind in vars(hooks).items() for entry in kind[1].items()]
        return {**vars(module), "_hooks": called}

    def same(self) -> bool:
        """Whether all attributes are what they were; if so this is remembered."""
        if self.changed() is not None:
            return False
        self.count = changes.count
        return True

    def changed(self) -> str | None:
        """The first attribute that is not."""
        for module, before in zip(self.modules, self.before, strict=True):
            now = self._of(module)
            for name in before | now:
                usual = getattr(type(module), name, self)  # `training` is the class' until it is set
                a, b = now.get(name, usual), before.get(name, usual)
                if a is not b and not equal_numbers(a, b) and not (name == "_hooks" and a == b):
                    return f"the attribute {name} of a {type(module).__name__}"
        return None


class Same:
    """An argument that is compared by identity."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Outer:
    """What a function takes from around it: the contents of its closure and its module's names that it uses."""

    def __init__(self, function: Any) -> None:
        function = getattr(function, "__func__", function)
        self.cells: list[tuple[str, Any]] = []
        self.names: list[str] = []
        self.module: dict[str, Any] = getattr(function, "__globals__", {})
        code = getattr(function, "__code__", None)
        if code is not None:
            self.cells = list(zip(code.co_freevars, function.__closure__ or (), strict=True))
            self.names = sorted({n for c in codes(code) for n in c.co_names} & set(self.module))
        self.look()

    def _contents(self) -> list[Any]:
        return [c.cell_contents if full(c) else None for _, c in self.cells] + [self.module.get(n) for n in self.names]

    def parts(self) -> list[Any]:
        """Pairs of a place, (cell,) or (dict, name), and what is there."""
        places: list[Any] = [(c,) for _, c in self.cells] + [(self.module, n) for n in self.names]
        return [(p, s) for p, s in zip(places, self.seen, strict=True) if len(p) == 2 or full(p[0])]

    def look(self) -> None:
        """Remember what is there now."""
        self.seen = self._contents()

    def same(self) -> bool:
        """Whether it is still there."""
        return all(now is before or equal_numbers(now, before) for now, before in zip(self._contents(), self.seen, strict=True))

    def changed(self) -> str:
        """The name of the first that is not."""
        names = [n for n, _ in self.cells] + self.names
        found = zip(names, self._contents(), self.seen, strict=True)
        return next((n for n, now, before in found if now is not before), "something")


def full(cell: Any) -> bool:
    """Whether a cell of a closure holds something."""
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def codes(code: Any) -> Any:
    """A function's code and that of the functions inside it."""
    yield code
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            yield from codes(c)
