"""What the layers' `extra_repr` share."""

from typing import Any


def changed(module: Any, *first: Any, **defaults: Any) -> str:
    """The arguments that are always shown, by value, and then by name each attribute that differs from its default.

    >>> from types import SimpleNamespace
    >>> changed(SimpleNamespace(eps=0.1, affine=True), 8, eps=1e-5, affine=True)
    '8, eps=0.1'
    """
    shown = [repr(value) for value in first]
    shown += [f"{name}={getattr(module, name)!r}" for name, default in defaults.items() if getattr(module, name) != default]
    return ", ".join(shown)
