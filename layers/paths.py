"""What stands at a path such as "encoder.0.weight", and paths in messages."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.layers.module import Module, Parameter
    from chainrule.tensor import Tensor


class Paths:
    """The part of a module that finds and replaces by path."""

    def get_submodule(self, target: str) -> "Module":
        """The module at a path such as "encoder.0"; "" is this one. Raises AttributeError where there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            inside = vars(module).get(name)
            if not isinstance(inside, Paths):
                has = ", ".join(n for n, _ in module.named_children()) or "none"
                raise AttributeError(f"get_submodule({target!r}): {module.head()} has no module {name!r}; it has: "
                                     f"{has}")
            module = inside
        found: Module = module
        return found

    def get_parameter(self, target: str) -> "Parameter":
        """The parameter at a path such as "encoder.0.weight". Raises AttributeError where there is none.

        >>> from chainrule.layers import Linear, Sequential
        >>> Sequential(Linear(3, 2)).get_parameter("0.weight").shape
        (2, 3)
        """
        module, name = self._around(target)
        found: Parameter = pick("get_parameter", target, module, name, dict(module.named_parameters("", False, False)))
        return found

    def get_buffer(self, target: str) -> "Tensor":
        """The buffer at a path such as "1.running_mean". Raises AttributeError where there is none."""
        module, name = self._around(target)
        found: Tensor = pick("get_buffer", target, module, name, dict(module.named_buffers("", False, False)))
        return found

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put a module in the place of the one at a path, or, unless `strict`, at a new name in a module that is there.

        Raises AttributeError for a path that is not there or holds something else, ValueError for the path "" and for
        what is no module.

        >>> from chainrule.layers import Linear, ReLU, Sequential, Tanh
        >>> model = Sequential(Linear(3, 2), ReLU())
        >>> model.set_submodule("1", Tanh()); model[1]
        Tanh()
        """
        if not target:
            raise ValueError("set_submodule: the path is empty; a module cannot replace itself")
        if not isinstance(module, Paths):
            raise ValueError(f"set_submodule({target!r}): takes a module, got a {type(module).__name__}")
        outer, name = self._around(target)
        there = getattr(outer, name, None)
        if not isinstance(there, Paths) and (strict or there is not None):
            outer.get_submodule(name)  # says what is there
        setattr(outer, name, module)

    def _around(self, target: str) -> "tuple[Module, str]":
        """The module that has what a path names, and its name there."""
        outer, _, name = target.rpartition(".")
        return self.get_submodule(outer), name


def pick(call: str, target: str, module: "Module", name: str, parts: dict[str, Any]) -> Any:
    """The part of that name; AttributeError, with the names there are, where there is none."""
    if name not in parts:
        kind = call.removeprefix("get_")
        raise AttributeError(f"{call}({target!r}): {module.head()} has no {kind} {name!r}; it has: {', '.join(parts) or 'none'}")
    return parts[name]


def prefix_hint(missing: list[str], unexpected: list[str]) -> str:
    """A hint where the names differ by a common prefix only, such as "module." from a wrapper."""
    if missing and unexpected and len(missing) == len(unexpected):
        for longer, shorter, fix in ((unexpected, missing, "take it off"), (missing, unexpected, "put it in front of")):
            prefix = longer[0][: len(longer[0]) - len(shorter[0])]
            if prefix and [prefix + name for name in shorter] == longer:
                return f"\n  the names differ by the prefix {prefix!r} only: {fix} the state's names"
    return ""


def add_path(error: Exception, module: "Module") -> None:
    """Note on an exception passing through `module` where it came from: "in layer Sequential.2 (Linear(64, 10))".

    There is one note, which grows at its front on the way out, module by module. An exception remembers the innermost
    layer (for its description), the outermost so far (for its place in the next), and the note.
    """
    notes: list[str] = error.__dict__.setdefault("__notes__", [])
    inner, outer, path, note = getattr(error, "_layer", (module, module, "", None))
    if outer is not module:
        name = next((n for n, m in module.named_modules() if m is outer), None)
        if name is not None:
            path = f"{name}.{path}" if path else name
    place = f"{type(module).__name__}.{path} ({inner.head()})" if path else inner.head()
    if note in notes:
        notes.remove(note)
    note = f"in layer {place}"
    notes.append(note)
    error._layer = inner, module, path, note  # type: ignore[attr-defined]
