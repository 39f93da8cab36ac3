"""What a backend's package is: a module whose functions stand in other files, some of them called as their file is."""

from types import ModuleType
from typing import Any


class Namespace(ModuleType):
    """The class of a backend's package, which has `WHERE`: by the name of each kernel the name of its file.

    Importing a file binds it to its package under its own name; a kernel of that name goes before its file.
    """

    WHERE: dict[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in self.WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)
