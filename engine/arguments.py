"""Arguments that many functions take alike: `dim` or `axis`, pairs for strides, and their checks."""

from typing import Any

from chainrule.errors import ShapeError, describe


def one_of(op: str, dim: Any, axis: Any) -> Any:
    """`dim` and `axis` are two names of one argument: the one that was given."""
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{op}: got both dim={dim} and axis={axis}, which mean the same; pass one")
    return axis


def axis_of(op: str, axis: Any, input: Any, extra: int = 0) -> int:
    """A single axis as an index from 0; IndexError where the tensor has no such axis. `extra`: axes about to be added."""
    rank = max(input.ndim + extra, 1)
    index = axis.__index__()
    if not -rank <= index < rank:
        raise IndexError(f"{op}: axis {index} is out of range for shape {tuple(input.shape)}; it has axes {-rank} to {rank - 1}")
    found: int = index % rank
    return found


def axes_of(op: str, axis: Any, input: Any) -> tuple[int, ...] | None:
    """Axes as a tuple of indices from 0, None for all. Raises IndexError for one that is not there, ShapeError for one
    named twice."""
    if axis is None or (isinstance(axis, tuple | list) and not axis):
        return None
    listed = axis if isinstance(axis, tuple | list) else (axis,)
    found = tuple(axis_of(op, a, input) for a in listed)
    if len(set(found)) != len(found):
        raise ShapeError(f"{op}: an axis appears twice in {tuple(listed)}")
    return found if input.ndim else None


def tuple_of(op: str, name: str, value: Any, length: int) -> tuple[int, ...]:
    """A number for every axis, or one for each: `3` and `(3, 3)` are the same for two axes. ShapeError for another length."""
    found = (value,) * length if not isinstance(value, tuple | list) else tuple(value)
    if len(found) == 1:
        found = found * length
    if len(found) != length:
        raise ShapeError(f"{op}: {name}={value} has {len(found)} entries, it needs one number or {length}")
    if not all(hasattr(v, "__index__") for v in found):
        raise TypeError(f"{op}: {name}={value!r} must be an integer or a tuple of {length}")
    return tuple(v.__index__() for v in found)


def scaled(value: Any, factor: Any) -> Any:
    """value · factor, for `alpha=` and the like; nothing is computed, nor recorded, for the number 1. A tensor is always
    multiplied by, also where it is 1: it may want a gradient."""
    return value if isinstance(factor, int | float) and factor == 1 else value * factor


def check_sizes(op: str, least: int = 1, **sizes: Any) -> None:
    """TypeError for a size that is not an integer, ValueError for one below `least`."""
    for name, size in sizes.items():
        if not hasattr(size, "__index__") or getattr(size, "ndim", False):
            raise TypeError(f"{op}: {name} must be an integer, got {describe(size)}")
        if size.__index__() < least:
            raise ValueError(f"{op}: {name} must be at least {least}, got {size}")


def check_numbers(op: str, **numbers: Any) -> None:
    """TypeError for a setting that is not a real number."""
    for name, number in numbers.items():
        if not isinstance(number, int | float) and not hasattr(number, "__float__") or getattr(number, "ndim", False):
            raise TypeError(f"{op}: {name} must be a number, got {describe(number)}")
