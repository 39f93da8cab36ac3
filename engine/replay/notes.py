"""What a recording consists of: arrays, and calls that compute them.

A `Slot` stands for one array of the recorded run: views are slots of their own on the same *storage*, the array that owns
the memory. A `Note` is one call of a kernel over raw arrays (or one of the few other things that a step does), in the
order of the run. Memory is real: a note that writes in place changes what later notes read.

The arrays of the recorded run end when those of an eager run would. What is noted of one is an *outline*: an array of its shape,
dtype and strides that has no memory.
"""

import weakref
from typing import Any

import numpy as np

# where a slot's array comes from
INPUT = "input"  # an argument of the step
OUTSIDE = "outside"  # a tensor that existed before: a parameter, a buffer
CONSTANT = "constant"  # made during the step from Python's numbers
GRADIENT = "gradient"  # of a leaf, from before the step
KEY = "key"  # of a random draw: no array
RESULT = "result"  # a note computed it

# what a note does
KERNEL = "kernel"  # computes arrays, and nothing else
WRITE = "write"  # writes into an array
CHECK = "look"  # lets Python look at elements
HOST = "host"  # calls a Python function that does as it likes
DRAW = "draw"  # draws the key of random numbers
COPY = "copy"  # a gradient arrives at a leaf that has none: a copy of its own
ACCUMULATE = "accumulate"  # … at one that has
ASSIGN = "assign"  # a leaf's gradient is set, or forgotten


class Slot:
    """One array of the recorded run."""

    __slots__ = ("index", "array", "shift", "kind", "source", "storage", "constant")

    def __init__(self, index: int, array: Any, shift: int, kind: str, source: Any, storage: Any, constant: bool) -> None:
        self.index, self.kind = index, kind
        self.array = array  # its outline, where a replay computes it anew
        self.shift = shift  # where in its memory the array begins, in bytes
        self.source = source  # of an input its number, of outside memory the tensor, of a gradient its leaf, of a result the note
        self.storage = storage
        self.constant = constant  # the same in every replay, unless its storage is written to

    def __repr__(self) -> str:
        return f"<{self.kind} {self.index}>"


class Storage:
    """Memory that slots share: who owns it, when it is used, and whether it can be planned."""

    __slots__ = ("root", "kind", "written", "snapshot", "made", "born", "dies", "taken", "planned", "kept", "offset", "memory")

    def __init__(self, root: Any, kind: str) -> None:
        self.root = root  # the array that owns the memory; of what a replay computes anew, its outline
        self.kind = kind
        self.written = False  # whether a note writes into it after it was made
        self.snapshot: Any = None  # of a constant that is written to: its elements before
        self.made: Any = None  # of results: the note
        self.born = self.dies = -1  # positions in the program
        self.taken = False  # whether somebody may hold it after the step: it must be new memory each time
        self.planned = False
        self.kept = False  # planned, but not shared with others: a gradient
        self.offset = -1
        self.memory: Any = None  # where it is planned: the bytes


class Note:
    """One call."""

    __slots__ = ("kind", "function", "args", "static", "outs", "paths", "mutates", "name", "place", "asked", "target", "expected")

    def __init__(self, kind: str, function: Any, args: list[Any], static: dict[str, Any], name: str, place: Any) -> None:
        self.kind, self.function, self.args, self.static, self.name, self.place = kind, function, args, static, name, place
        self.outs: list[Slot] = []
        self.paths: list[Any] = []  # for each, where it is in what the function returns: () for the whole
        self.mutates: list[Slot] = []
        self.asked: list[Storage] = []  # the arrays that the kernel asked memory.empty for
        self.target: Any = None  # the leaf of a gradient
        self.expected: Any = None  # what a look has to find again

    def slots(self) -> list[Slot]:
        """All slots that it reads."""
        return [s for a in (*self.args, *self.static.values()) for s in inside(a)]

    def where(self) -> str:
        """`file:line, in function`."""
        code, instruction = self.place
        line = next((n for start, end, n in code.co_lines() if n and start <= instruction < end), 0)
        return f"{code.co_filename}:{line}, in {code.co_name}"


def inside(value: Any) -> list[Slot]:
    """The slots inside a nested argument."""
    if isinstance(value, Slot):
        return [value]
    if isinstance(value, tuple | list):
        return [s for v in value for s in inside(v)]
    if isinstance(value, dict):
        return [s for v in value.values() for s in inside(v)]
    if isinstance(value, slice):
        return inside((value.start, value.stop, value.step))
    return []


def address(array: Any) -> int:
    """Where an array begins."""
    return int(array.__array_interface__["data"][0])


def outline(array: Any) -> Any:
    """An array of the same shape, dtype and strides over the memory of one element. It is not to be read."""
    return np.lib.stride_tricks.as_strided(np.empty(1, array.dtype), array.shape, array.strides, writeable=array.flags.writeable)


class Known(dict[int, Any]):
    """What is known of arrays, by their identity, for as long as each of them lives: then its number may be another's."""

    def __init__(self) -> None:
        super().__init__()
        self._watched: dict[int, Any] = {}

    def enter(self, array: Any, found: Any) -> None:
        """Remember something of an array."""
        key, me = id(array), weakref.ref(self)  # not self, which would be a cycle

        def forget(_: Any) -> None:
            if (known := me()) is not None:
                del known[key], known._watched[key]

        self[key], self._watched[key] = found, weakref.ref(array, forget)


def cast(array: Any, dtype: Any) -> Any:
    """The array in another dtype."""
    return array.astype(dtype)


def copied(array: Any) -> Any:
    """A copy in C order."""
    return np.array(array, order="C")


def owner(array: Any) -> Any:
    """The array that owns an array's memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def flat(value: Any) -> list[Any]:
    """What is inside nested tuples, lists and dicts."""
    if isinstance(value, tuple | list):
        return [v for part in value for v in flat(part)]
    if isinstance(value, dict):
        return [v for part in value.values() for v in flat(part)]
    return [value]
