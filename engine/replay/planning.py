"""Which notes remain, and where in memory their results lie.

What does not depend on anything that changes is folded, what nobody reads is dropped. Every other array that a kernel can be
told where to put gets a place in one block of memory, chosen by lifetime: once its last reader has run, its place goes to
another. An elementwise kernel writes over an argument that dies with it.
"""

from typing import Any

import numpy as np

from chainrule.replay.direct import Step, overwritable, steps
from chainrule.replay.notes import (
    ASSIGN,
    CONSTANT,
    COPY,
    HOST,
    KERNEL,
    OUTSIDE,
    RESULT,
    Note,
    Slot,
    Storage,
)

ALIGNMENT = 64
SMALL = 4096  # bytes up to which what the step returns is copied out of planned memory


def live(notes: list[Note], outputs: list[Slot]) -> list[Note]:
    """The notes that are left after folding constants and dropping what nobody reads."""
    rest = []
    for note in notes:
        if note.kind == KERNEL and note.outs and all(s.constant and not s.storage.written for s in note.outs):
            for slot in note.outs:
                slot.storage.kind = CONSTANT
            note.args, note.static = [], {}  # what it was computed from may go
        else:
            rest.append(note)
    read = {s.storage for s in outputs}
    found = []
    for note in reversed(rest):
        idle = note.kind == KERNEL or (note.kind == COPY and note.target is None)
        if idle and not any(s.storage in read for s in note.outs):
            continue
        if note.kind == KERNEL and not note.outs:  # it handed an argument on
            continue
        found.append(note)
        read.update(s.storage for s in note.slots())
        read.update(s.storage for s in note.mutates)
    return found[::-1]


class Plan:
    """The program's notes with their steps, and the place of every storage."""

    def __init__(self, notes: list[Note], outputs: list[Slot], inputs: set[Any]) -> None:
        self.notes = live(notes, outputs)
        self.steps: dict[Note, list[Step]] = {}
        self.same: dict[Storage, Storage] = {}  # a gradient that needs no copy -> what is computed there
        self.restored: list[Storage] = []  # constants that are written to: copied anew in each replay
        self.block = 0
        self._choose(outputs, inputs)
        self._lifetimes(outputs)
        self._gradients(inputs)
        self._place()

    # ---- what can be planned

    def _choose(self, outputs: list[Slot], inputs: set[Any]) -> None:
        gradients = {n.outs[0].storage for n in self.notes if n.kind == COPY and n.target is not None}
        for slot in outputs:
            slot.storage.taken |= slot.storage.root.nbytes > SMALL and slot.storage not in gradients
        for note in self.notes:
            if note.kind in (HOST, ASSIGN):
                for slot in note.slots():
                    slot.storage.taken = True
            if note.kind == COPY and note.target in inputs:
                note.outs[0].storage.taken = True
        storages = {s.storage for n in self.notes for s in (*n.slots(), *n.outs, *n.mutates)} | {s.storage for s in outputs}
        for storage in storages:
            if storage.kind == CONSTANT and storage.written:
                storage.planned = storage.kept = True
                self.restored.append(storage)
        for note in self.notes:
            if note.kind not in (KERNEL, COPY):
                continue
            made = steps(note)
            for storage in note.asked:
                storage.planned = bool(storage.root.nbytes) and not storage.taken
            if made is not None and all(s.storage.made is note and whole(s) and not s.storage.taken for s in note.outs):
                self.steps[note] = made
                for slot in note.outs:
                    slot.storage.planned = True

    def _lifetimes(self, outputs: list[Slot]) -> None:
        end = len(self.notes)
        for i, note in enumerate(self.notes):
            for storage in note.asked:
                storage.born = storage.dies = i
            for slot in (*note.outs, *note.slots(), *note.mutates):
                storage = slot.storage
                if storage.born < 0:
                    storage.born = i
                storage.dies = i
        for slot in outputs:
            slot.storage.dies = end

    def _gradients(self, inputs: set[Any]) -> None:
        """Gradients keep their memory from replay to replay; one that is computed for its leaf alone is computed there."""
        for i, note in enumerate(self.notes):
            if note.kind != COPY or note.target is None or note.target in inputs:
                continue
            given, out = note.args[0], note.outs[0]
            if not out.storage.planned:
                continue
            out.storage.kept = True
            source = given.storage
            if (source.planned and not source.kept and source.kind == RESULT and source.dies == i and given.array.flags.c_contiguous
                    and given.array.nbytes == source.root.nbytes):
                source.kept, source.dies = True, len(self.notes)
                self.same[out.storage] = source
                self.steps[note] = []

    # ---- where

    def _place(self) -> None:
        free: list[tuple[int, int]] = []  # (offset, size) of gaps, by offset
        dying: dict[int, list[Storage]] = {}

        def release(offset: int, size: int) -> None:
            free.append((offset, size))
            free.sort()
            joined: list[tuple[int, int]] = []
            for start, length in free:
                if joined and joined[-1][0] + joined[-1][1] == start:
                    joined[-1] = joined[-1][0], joined[-1][1] + length
                else:
                    joined.append((start, length))
            free[:] = joined

        def take(size: int) -> int:
            fits = [gap for gap in free if gap[1] >= size]
            if not fits:
                self.block += size
                return self.block - size
            gap = min(fits, key=lambda g: g[1])
            free.remove(gap)
            if gap[1] > size:
                free.append((gap[0] + size, gap[1] - size))
                free.sort()
            return gap[0]

        for i, note in enumerate(self.notes):
            for storage in dict.fromkeys([*note.asked, *(s.storage for s in note.outs)]):
                if not storage.planned or storage.kept or storage.offset >= 0:
                    continue
                over = self._overwritten(i, note, storage)
                if over is None:
                    storage.offset = take(rounded(storage.root.nbytes))
                else:
                    storage.offset, over.dies = over.offset, -2  # its memory lives on
                dying.setdefault(storage.dies, []).append(storage)
            for storage in dying.pop(i, ()):
                if storage.dies == i:
                    release(storage.offset, rounded(storage.root.nbytes))

    def _overwritten(self, i: int, note: Note, storage: Storage) -> Storage | None:
        """The storage of an argument that dies with this note and that the result can be written over."""
        if note not in self.steps:
            return None
        root, read = storage.root, note.slots()
        for slot in overwritable(note):
            other: Storage = slot.storage
            if any(s.storage is other and s is not slot for s in read):
                continue  # read in another order, too
            if (other.planned and not other.kept and other.offset >= 0 and other.dies == i and slot.array.dtype == root.dtype
                    and slot.array.strides == root.strides and slot.array.shape == root.shape
                    and slot.array.nbytes == other.root.nbytes):
                there = note.outs[0], slot  # where() begins with a copy of what lies there already
                self.steps[note] = [s for s in self.steps[note] if s.function is not np.copyto or s.args[:2] != there]
                return other
        return None

    def fixed(self, storage: Storage) -> bool:
        """Whether its arrays are the same objects in every replay."""
        return storage.planned or storage.kind == OUTSIDE or (storage.kind == CONSTANT and not storage.written)


def rounded(size: int) -> int:
    """Up to the next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def whole(slot: Slot) -> bool:
    """Whether a slot's array is all of its memory."""
    array, root = slot.array, slot.storage.root
    return bool(array.nbytes) and (array.flags.c_contiguous and array.nbytes == root.nbytes or array is root and dense(array))


def dense(array: Any) -> bool:
    """Whether an array fills its memory without gaps or overlaps, in whatever order of its axes."""
    expected = array.itemsize
    for stride, n in sorted((s, n) for s, n in zip(array.strides, array.shape) if n != 1):
        if stride != expected:
            return False
        expected *= n
    return True


def placed(array: Any, storage: Storage, shift: int = 0) -> Any:
    """An array of the recording, in the memory that is planned for its storage."""
    found = np.ndarray(array.shape, array.dtype, storage.memory, storage.offset + shift, array.strides)
    if not array.flags.writeable:
        found.flags.writeable = False
    return found


class Hand:
    """Hands planned arrays to a kernel that asks `kernels.cpu.memory` for them, in the order of the recording."""

    __slots__ = ("arrays", "at")

    def __init__(self) -> None:
        self.arrays: Any = ()
        self.at = 0

    def next(self, shape: Any, dtype: Any) -> Any:
        """The next planned array; new memory where none is planned."""
        at = self.at
        self.at = at + 1
        if at < len(self.arrays):
            found = self.arrays[at]
            sizes = shape if shape.__class__ is tuple else tuple(shape) if shape.__class__ is list else (shape,)
            if found is None or found.shape != sizes or found.dtype != dtype:
                self.at += found is not None  # so that `at` shows that something else was asked for
                return np.empty(shape, dtype)
            return found
        return np.empty(shape, dtype)
