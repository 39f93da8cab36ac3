"""Sizes that are open: numbers that differ between traces because they follow from the batch.

A function is traced several times, with its dynamic axes at different sizes. A number that is the same in all traces is a
constant; one that differs is a `Size`, which knows its value in each. From the values at the corners of a cube (each axis at
one of two sizes) follows the one polynomial, linear in every axis, that takes them: 4·batch, batch·time, time + 1. One trace
more, with all axes at a third size, tells whether that is the rule.
"""

from itertools import combinations
from math import prod
from typing import Any

import numpy as np

__all__ = ["Array", "Axes", "Mismatch", "Size", "merge"]


class Mismatch(Exception):
    """The traces differ in something that is no size."""


class Axes:
    """The dynamic axes, by name, and their sizes in each trace: first all corners of the cube, then one for a check.

    >>> axes = Axes({"batch": (2, 3, 5), "time": (4, 6, 7)})
    >>> axes.traces
    [{'batch': 2, 'time': 4}, {'batch': 3, 'time': 4}, {'batch': 2, 'time': 6}, {'batch': 3, 'time': 6}, {'batch': 5, 'time': 7}]
    >>> axes.polynomial((9, 13, 13, 19, 36))
    {('batch', 'time'): 1, (): 1}
    """

    def __init__(self, sizes: dict[str, tuple[int, int, int]]) -> None:
        self.sizes, self.names = sizes, tuple(sizes)
        corners = range(2 ** len(sizes))
        self.traces = [{name: sizes[name][corner >> i & 1] for i, name in enumerate(sizes)} for corner in corners]
        if sizes:
            self.traces.append({name: three[2] for name, three in sizes.items()})

    def polynomial(self, values: tuple[int, ...]) -> dict[tuple[str, ...], int] | None:
        """The coefficients by product of axes of the number that has these values in the traces; None where no polynomial with
        whole coefficients has."""
        subsets = [s for count in range(len(self.names), -1, -1) for s in combinations(range(len(self.names)), count)]
        found: dict[tuple[int, ...], float] = {}
        for s in subsets:  # the largest products first: the differences along all their axes leave those alone
            corners = [c for count in range(len(s) + 1) for c in combinations(s, count)]
            difference = sum((-1) ** (len(s) - len(c)) * values[sum(1 << i for i in c)] for c in corners)
            steps = prod(self.sizes[self.names[i]][1] - self.sizes[self.names[i]][0] for i in s)
            larger = sum(found[u] * prod(self.sizes[self.names[i]][0] for i in u if i not in s) for u in found if set(s) < set(u))
            found[s] = difference / steps - larger
        terms = {tuple(self.names[i] for i in s): int(c) for s, c in found.items() if c}
        if any(c != int(c) for c in found.values()) or values[-1] != sum(
                c * prod(self.traces[-1][name] for name in product) for product, c in terms.items()):
            return None
        return terms


class Size:
    """A number with a value for every trace. Arithmetic works on all of them.

    >>> Size((6, 9, 15)) // 3
    Size(2, 3, 5)
    >>> Size((6, 9, 15)) - Size((5, 8, 14))
    1
    """

    __slots__ = ("values",)

    def __init__(self, values: tuple[int, ...]) -> None:
        self.values = values

    def _with(self, other: Any, f: Any) -> Any:
        others = other.values if isinstance(other, Size) else (other,) * len(self.values)
        return merge([f(a, b) for a, b in zip(self.values, others, strict=True)])

    def __add__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a * b)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a // b)

    def __neg__(self) -> Any:
        return 0 - self

    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and other.values == self.values

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return f"Size({', '.join(map(str, self.values))})"


class Array:
    """A constant array that differs between traces: one for every trace."""

    __slots__ = ("arrays",)

    def __init__(self, arrays: list[Any]) -> None:
        self.arrays = arrays


def merge(values: Any) -> Any:
    """One value for those that the traces have at the same place: the same, or a Size, or an Array; inside tuples and slices
    too. Raises Mismatch for others that differ."""
    first = values[0]
    if all(v is first for v in values):
        return first
    if any(type(v) is not type(first) for v in values):
        raise Mismatch(f"{values[0]!r} in one trace, {next(v for v in values if type(v) is not type(first))!r} in another")
    if isinstance(first, int) and not isinstance(first, bool):
        return first if all(v == first for v in values) else Size(tuple(values))
    if isinstance(first, tuple | list):
        if any(len(v) != len(first) for v in values):
            raise Mismatch(f"{len(values[0])} and {len(values[1])} entries")
        return type(first)(merge(v) for v in zip(*values, strict=True))
    if isinstance(first, slice):
        return slice(*(merge([getattr(v, part) for v in values]) for part in ("start", "stop", "step")))
    if isinstance(first, np.ndarray):
        same = all(v.shape == first.shape and v.dtype == first.dtype and v.tobytes() == first.tobytes() for v in values)
        return first if same else Array(values)
    if hasattr(first, "__dict__"):  # an object such as the taps of resample
        if all(isinstance(merge([vars(v)[n] for v in values]), type(p)) for n, p in vars(first).items() if not n.startswith("_")):
            return first
        raise Mismatch("an option depends on the sizes")
    if all(v == first or (v != v and first != first) for v in values):
        return first
    raise Mismatch(f"{values[0]!r} in one trace, {next(v for v in values if v != first)!r} in another")
