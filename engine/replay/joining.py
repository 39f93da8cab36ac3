"""Neighbouring small NumPy calls of a program joined to one call of compiled code (see `chainrule.kernels.cpu.loops`).

A step that is a ufunc, a sum or a copy, of arrays that are the same objects in every replay, is a row of a table; a run of such
steps is one line of the program, which walks the table. Arrays that are new each time (the step's inputs) are copied to a
place of their own first. The bits stay the same, since a row calls the loop that NumPy's call would have called.
"""

from typing import Any

import numpy as np

from chainrule.replay.direct import ADD_REDUCE, Seen, Step
from chainrule.replay.notes import Slot

LARGEST = 1 << 13  # elements: beyond, what a call from Python costs is nothing beside its work
FEWEST = 3  # steps that are worth being joined


class Line:
    """A line of a program: its source, the note it comes from, and its step where it is nothing but that."""

    __slots__ = ("text", "note", "step")

    def __init__(self, text: str, note: Any = None, step: Step | None = None) -> None:
        self.text, self.note, self.step = text, note, step


class Joiner:
    """Turns the lines of a program into fewer ones. `array(slot)` is the array that a slot is in every replay, or None."""

    def __init__(self, array: Any, name: Any, constant: Any) -> None:
        from chainrule.kernels.cpu import loops  # here, since it imports numba

        self.loops = loops
        self.usable = loops.usable()
        self.array, self.name, self.constant = array, name, constant
        self.kept: list[Any] = []  # arrays whose addresses stand in tables

    def joined(self, lines: list[Line]) -> list[Line]:
        """The lines with every run of small steps in one."""
        found: list[Line] = []
        run: list[Line] = []
        rows, copies = self.loops.Loops(), dict[Slot, Any]()
        for line in [*lines, Line("")]:
            before = len(rows.rows)
            if self.usable and line.step is not None and self._append(rows, line.step, copies):
                run.append(line)
                continue
            del rows.rows[before:]
            if len(run) >= FEWEST:
                found += self._line(run, rows, copies)
            else:
                found += run
            if line.text:
                found.append(line)
            run, rows, copies = [], self.loops.Loops(), {}
        return found

    def _line(self, run: list[Line], rows: Any, copies: dict[Slot, Any]) -> list[Line]:
        """The lines that take the place of a run."""
        table = rows.table()
        self.kept += [table, *copies.values()]
        made = [Line(f"copyto({self.constant(copy, 'copy')}, {self.name(slot)})", run[0].note) for slot, copy in copies.items()]
        text = [f"loops({self.constant(table, 'table')})  # these {len(run)} calls:", *(f"    #     {line.text}" for line in run)]
        return [*made, Line("\n".join(text), run[0].note)]

    def _value(self, argument: Any, dtype: Any, copies: dict[Slot, Any]) -> Any:
        """An argument as the array that it is in every replay; None where there is none."""
        if isinstance(argument, Seen):
            found = self._value(argument.slot, dtype, copies)
            return None if found is None else found.view(argument.as_dtype) if argument.as_dtype else found.T
        if isinstance(argument, Slot):
            found = self.array(argument)
            if found is None and argument.array is not None and argument.array.size <= LARGEST and argument.array.dtype != object:
                found = copies.get(argument)
                if found is None:
                    found = copies[argument] = np.empty_like(argument.array, order="C", subok=False)
            return found
        if isinstance(argument, np.ndarray):
            return argument
        return np.asarray(argument, dtype) if argument.__class__ in (int, float) and dtype.kind == "f" else None

    def _append(self, rows: Any, step: Step, copies: dict[Slot, Any]) -> bool:
        """Add the rows of a step; False where it has none."""
        function, args, options = step
        known, arrays, done = set(copies), [], False
        if function is np.copyto:
            target, source, *rest = args
            into = self.array(target)
            if into is not None:
                arrays = [into, self._value(source, into.dtype, copies)]
                if len(rest) > 1:
                    arrays.append(self._value(rest[1], np.dtype(bool), copies))
                done = self._fit(arrays) and rows.copy(*arrays)
        elif function is ADD_REDUCE:
            x, axis, _, out, *_ = args
            arrays = [self._value(x, np.dtype(float), copies), self.array(out)]
            done = self._fit(arrays) and rows.total(arrays[0], axis, arrays[1])
        elif isinstance(function, np.ufunc) and set(options) == {"out"} and isinstance(options["out"], Slot):
            arrays = [*(self._value(a, self._dtype(args), copies) for a in args), self.array(options["out"])]
            done = self._fit(arrays) and rows.add(function, tuple(arrays[:-1]), arrays[-1])
        if done:
            self.kept += arrays
        else:
            for slot in set(copies) - known:
                del copies[slot]
        return bool(done)

    @staticmethod
    def _dtype(args: Any) -> Any:
        """What Python numbers become beside the other arguments."""
        found = {a.array.dtype for a in (b.slot if isinstance(b, Seen) else b for b in args) if isinstance(a, Slot)}
        return found.pop() if len(found) == 1 else np.dtype(object)

    @staticmethod
    def _fit(arrays: Any) -> bool:
        return all(a is not None and a.size <= LARGEST for a in arrays)
