"""torch's constructor arguments, kept in torch_signatures.json: `python -m tests.torch_signatures` writes it (needs torch)."""

import inspect
import json
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import chainrule

FILE = Path(__file__).with_name("torch_signatures.json")
PLACES = {"layers": "torch.nn", "layers.init": "torch.nn.init", "layers.utils": "torch.nn.utils", "optim": "torch.optim",
          "optim.lr_scheduler": "torch.optim.lr_scheduler", "optim.swa_utils": "torch.optim.swa_utils",
          "data": "torch.utils.data"}


def plain(default: Any) -> Any:
    """A default as JSON has it: a function is its name, a tuple a list, no default the word "required"."""
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, list | tuple):
        return [plain(value) for value in default]
    if default is None or isinstance(default, bool | int | float | str):
        return default
    return getattr(default, "__name__", type(default).__name__)


def arguments(function: Any) -> list[list[Any]]:
    """[name, kind, default] of each argument."""
    return [[name, argument.kind.name, plain(argument.default)]
            for name, argument in inspect.signature(function).parameters.items()]


def public(module: Any) -> dict[str, Any]:
    """The classes and functions of a module, by name, that it or a module inside it defines."""
    return {name: value for name, value in vars(module).items()
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__.startswith(module.__name__)}


def shared(place: str) -> dict[str, tuple[Any, Any]]:
    """name -> (ours, torch's) of the classes and functions at a place that both have."""
    theirs = public(import_module(PLACES[place]))
    return {name: (value, theirs[name]) for name, value in public(attrgetter(place)(chainrule)).items() if name in theirs}


def main() -> None:
    """Write torch's arguments of all that we have too."""
    places = []
    for place in PLACES:
        rows = [f"  {json.dumps(name)}: {json.dumps(arguments(theirs))}" for name, (_, theirs) in sorted(shared(place).items())]
        places.append(f" {json.dumps(place)}: {{\n" + ",\n".join(rows) + "}")
    FILE.write_text("{\n" + ",\n".join(places) + "\n}\n")


if __name__ == "__main__":
    main()
