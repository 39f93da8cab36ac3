"""The ops namespace as the methods see it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from chainrule import names

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Axis = int | tuple[int, ...] | list[int] | None


class Operations(Protocol):
    """Whatever the name, a function that returns a Tensor: so each method has a type without a cast of its own."""

    def __getattr__(self, name: str) -> "Callable[..., Tensor]": ...


ops: Operations = names.ops
