"""How a public function gets into the ops namespace."""

from collections.abc import Callable
from typing import TypeVar

from chainrule.names import ops

F = TypeVar("F", bound=Callable[..., object])


def public(function: F) -> F:
    """Decorator: the function is the op of its name, for users, for methods and for definitions."""
    setattr(ops, function.__name__, function)
    return function


def alias(name: str, function: F) -> F:
    """A second name for an op: `mul = alias("mul", multiply)`."""
    setattr(ops, name, function)
    return function
