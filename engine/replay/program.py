"""A recording made into a program: straight-line Python, whose names are arrays and kernels bound beforehand.

`Program.code` is that source; it can be printed and read. Names: `x0` is an argument of the step, `a…` an array that is the same
object in every replay (a parameter, planned memory, a view of either), `v…` an array made anew, `n…` the node of a leaf, where
its gradient is, `g…` that gradient. Everything else is a kernel by its name.
"""

import itertools
import keyword
import linecache
import weakref
from typing import Any

import numpy as np

from chainrule.errors import CompileError
from chainrule.graph import tick, wrap
from chainrule.kernels.cpu import memory
from chainrule.random import key_of
from chainrule.replay.direct import ADD_REDUCE, Seen, Step
from chainrule.replay.guards import Modules, alike, around, unchanged
from chainrule.replay.joining import Joiner, Line
from chainrule.replay.notes import (
    ACCUMULATE,
    ASSIGN,
    CHECK,
    COPY,
    DRAW,
    GRADIENT,
    HOST,
    INPUT,
    KEY,
    OUTSIDE,
    RESULT,
    WRITE,
    Note,
    Slot,
    Storage,
    flat,
)
from chainrule.replay.planning import SMALL, Hand, Plan, placed
from chainrule.replay.recording import Recording
from chainrule.tensor import Tensor

NUMBERED = {"c", "n", "t", "out", "now", "hand", "valid", "replay"}  # hints that are not names by themselves
_numbers = itertools.count(1).__next__


class Program:
    """What replays a recording: `run(inputs)`, while `valid(inputs)`."""

    def __init__(self, recording: Recording, result: Any, name: str, simple: bool, outer: Any) -> None:
        self.name, self.outer = name, outer
        leaves = all(t._node is None or t._node.op is None for t in recording.inputs)
        self.simple = simple and leaves and len({id(t._data) for t in recording.inputs}) == len(recording.inputs)
        self.count = len(recording.inputs)
        outputs = [t for t in flat(result) if isinstance(t, Tensor)]
        given = {id(t): i for i, t in enumerate(recording.inputs)}
        returned = [recording.slot(t) for t in outputs if id(t) not in given]
        self._nodes = {node: slot.source for node, slot in recording.leaves.items() if slot.kind == INPUT}
        self.plan = Plan(recording.notes, returned, set(self._nodes))
        self.names: dict[str, Any] = {"wrap": wrap, "tick": tick, "asarray": np.asarray}
        self._named: dict[int, str] = {}
        for name in ("copyto", "add", "matmul"):
            self.names[name] = getattr(np, name)
            self._named[id(self.names[name])] = name
        self._kept: list[Any] = []  # what `_named` knows by id
        self.lines: list[Line] = []
        self.held: dict[Storage, list[str]] = {}  # the names of arrays made anew, by their memory
        self._bind()
        self.recording = recording
        self._given = given
        self._write(result)
        self._compile()
        self.calls = sum(n.kind not in (DRAW, ASSIGN) for n in self.plan.notes)
        del self.recording, self._given, self.outer

    # ---- names

    def constant(self, value: Any, hint: str = "c") -> str:
        """The name of an object."""
        found = self._named.get(id(value))
        if found is None:
            found = hint if hint.isidentifier() and not keyword.iskeyword(hint) else "c"
            if found in self.names or found in NUMBERED or found[0] in "axvg" and found[1:].isdigit():
                found = next(n for k in itertools.count(1) if (n := f"{found}_{k}") not in self.names)
            self.names[found], self._named[id(value)] = value, found
            self._kept.append(value)
        return found

    def _bind(self) -> None:
        """Give every planned storage its memory."""
        plan = self.plan
        block = np.empty(plan.block + 64, np.uint8)
        shift = -block.ctypes.data % 64
        self.planned = plan.block
        self.total = 0
        storages = [s for n in plan.notes for s in (*(o.storage for o in n.outs), *n.asked)]
        for storage in dict.fromkeys([*storages, *plan.restored]):
            if not storage.planned or storage in plan.same:
                continue
            size = storage.root.nbytes
            self.total += size
            if storage.kept:
                own = np.empty(size + 64, np.uint8)
                start = -own.ctypes.data % 64
                storage.memory, storage.offset = own[start : start + size], 0
                self.planned += size
            else:
                start = shift + storage.offset
                storage.memory, storage.offset = block[start : start + size], 0
        for storage, source in plan.same.items():
            storage.memory, storage.offset = source.memory, 0

    def array(self, slot: Slot) -> Any:
        """The array that a slot of fixed storage is in every replay."""
        storage = slot.storage
        if not storage.planned:
            return slot.array
        return placed(slot.array, storage, slot.shift)

    def expression(self, value: Any, host: bool = False) -> str:
        """An argument as source."""
        if isinstance(value, Slot):
            return self._host(value) if host else self.slot(value)
        if isinstance(value, Seen):
            return self._seen(value)
        if value is None or value is Ellipsis or value.__class__ in (bool, int, str):
            return repr(value)
        if value.__class__ is float:
            return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
        if value.__class__ is tuple:
            return "(" + "".join(self.expression(v, host) + ", " for v in value).rstrip() + ")"
        if value.__class__ is list:
            return "[" + ", ".join(self.expression(v, host) for v in value) + "]"
        if value.__class__ is dict:
            return "{" + ", ".join(f"{k!r}: {self.expression(v, host)}" for k, v in value.items()) + "}"
        if value.__class__ is slice:
            return f"slice({', '.join(self.expression(v, host) for v in (value.start, value.stop, value.step))})"
        if isinstance(value, np.dtype):
            return self.constant(value, str(value))
        return self.constant(value)

    def slot(self, slot: Slot) -> str:
        """A slot's name."""
        if slot.kind == KEY:
            return f"key{slot.index}"
        if not self.plan.fixed(slot.storage):
            return f"v{slot.index}"
        name = f"a{slot.index}"
        if name not in self.names:
            self.names[name] = self.array(slot)
        return name

    def _seen(self, seen: Seen) -> str:
        """An array transposed, or as another dtype."""
        name = self.slot(seen.slot)
        if not self.plan.fixed(seen.slot.storage):
            return f"{name}.view({seen.as_dtype!r})" if seen.as_dtype else f"{name}.T"
        array = self.array(seen.slot)
        name += f"_{seen.as_dtype}" if seen.as_dtype else "T"
        self.names[name] = array.view(seen.as_dtype) if seen.as_dtype else array.T
        return name

    def _host(self, slot: Slot) -> str:
        """A tensor for a function of Python's."""
        return f"x{slot.source}" if slot.kind == INPUT else f"wrap({self.slot(slot)})"

    def node(self, node: Any) -> str:
        """Where a leaf's gradient is."""
        return f"x{self._nodes[node]}._node" if node in self._nodes else self.constant(node, "n")

    # ---- source

    def line(self, text: str, note: Note | None = None, step: Step | None = None) -> None:
        """Append a line of the program."""
        self.lines.append(Line(text, note, step))

    def _hold(self, slot: Slot, text: str, note: Note) -> None:
        """Append a line that gives an array made anew its name."""
        self.line(f"v{slot.index} = {text}", note)
        if slot.storage.kind == RESULT:
            self.held.setdefault(slot.storage, []).append(f"v{slot.index}")

    def _write(self, result: Any) -> None:
        recording = self.recording
        for slot in recording.slots:
            if slot.kind == INPUT and slot.storage.dies >= 0:
                self.line(f"v{slot.index} = x{slot.source}._data")
            elif slot.kind == GRADIENT and slot.storage.dies >= 0:
                self.line(f"v{slot.index} = {self.node(slot.source)}.grad._data")
        for storage in self.plan.restored:
            whole = self.constant(placed(storage.root, storage), "restored")
            self.line(f"copyto({whole}, {self.constant(storage.snapshot)})")
        self.position = -1
        for note in self.plan.notes:
            self.position += 1
            {DRAW: self._draw, CHECK: self._look, HOST: self._call, COPY: self._deposit, ACCUMULATE: self._accumulate,
             ASSIGN: self._assign, WRITE: self._change}.get(note.kind, self._kernel)(note)
            self._release(note)
        stamped = dict.fromkeys(self._stamps())
        if stamped:
            self.line("now = tick()")
            for name in stamped:
                self.line(f"{name}[0] = now")
        self.line(f"return {self._returned(result)}")

    def _release(self, note: Note) -> None:
        """Let go of new arrays after their last use, so that the next ones get their memory."""
        for storage in dict.fromkeys(s.storage for s in (*note.slots(), *note.outs)):
            if storage in self.held and storage.dies == self.position and storage.root.nbytes > SMALL:
                self.line(f"del {', '.join(self.held.pop(storage))}")

    def _stamps(self) -> Any:
        """The counters of writes of memory from outside, which a graph made outside may depend on."""
        for slot in self.recording.slots:
            if slot.storage.written and slot.kind == OUTSIDE:
                yield self.constant(slot.source, "t") + "._version"
            elif slot.storage.written and slot.kind == INPUT:
                yield f"x{slot.source}._version"
        for note in self.plan.notes:
            if note.kind == COPY and note.outs and self.plan.fixed(note.outs[0].storage) and note.target is not None:
                yield f"g{note.outs[0].index}._version"

    def _comment(self, note: Note) -> str:
        shapes = ", ".join(f"{s.array.dtype}{list(s.array.shape)}" for s in note.outs if s.array is not None)
        return f"  # {shapes}" if shapes else ""

    def _step(self, step: Step, name: str) -> str:
        arguments = [self.expression(a) for a in step.args] + [f"{k}={self.expression(v)}" for k, v in step.options.items()]
        function = step.function
        hint = "add_reduce" if function is ADD_REDUCE else getattr(function, "__name__", None) or name
        return f"{self.constant(function, hint)}({', '.join(arguments)})"

    def _kernel(self, note: Note) -> None:
        plan = self.plan
        if note in plan.steps:
            for step in plan.steps[note]:
                self.line(self._step(step, note.name) + self._comment(note), note, step)
            return
        pending = [(s, p) for s, p in zip(note.outs, note.paths, strict=True) if not plan.fixed(s.storage)]
        given = {s.storage for s in note.slots()}
        if not pending and all(s.storage in given for s in note.outs):
            return  # a view of memory that stays where it is
        call = self._step(Step(note.function, tuple(note.args), note.static), note.name)
        if note.asked:
            arrays = [placed(s.root, s) if s.planned else None for s in note.asked]
            self.line(f"hand.arrays, hand.at = {self.constant(tuple(arrays), 'places')}, 0", note)
        if not pending:
            self.line(call + self._comment(note), note)
        elif [p for _, p in pending] == [()]:
            slot = pending[0][0]
            self._hold(slot, (f"asarray({call})" if not slot.array.shape else call) + self._comment(note), note)
        else:
            self.line(f"out = {call}" + self._comment(note), note)
            for slot, path in pending:
                part = f"out{''.join(f'[{p!r}]' for p in path)}"
                self._hold(slot, f"asarray({part})" if not slot.array.shape else part, note)
            self.line("del out")
        if note.asked:
            self.line(f"if hand.at != {len(note.asked)}: otherwise('a kernel asks for other memory')", note)
            self.line("hand.arrays = ()", note)

    def _draw(self, note: Note) -> None:
        self.names["key_of"] = key_of
        self.line(f"key{note.outs[0].index} = key_of({self.expression(note.args[0])})", note)

    def _look(self, note: Note) -> None:
        call = self._step(Step(note.function, tuple(note.args)), note.name)
        if note.outs:
            slot = note.outs[0]
            self._hold(slot, call + self._comment(note), note)
            self.line(f"if v{slot.index}.shape != {slot.array.shape!r}: otherwise()", note)
        elif note.expected is None:
            self.line(call, note)
        else:
            self.line(f"if {call} != {self.expression(note.expected)}: otherwise()", note)

    def _call(self, note: Note) -> None:
        arguments = [self.expression(a, True) for a in note.args]
        arguments += [f"{k}={self.expression(v, True)}" for k, v in note.static.items()]
        call = f"{self.constant(note.function, note.function.__name__)}({', '.join(arguments)})"
        if not note.outs:
            self.line(call, note)
            return
        self.line(f"out = {call}", note)
        for slot, path in zip(note.outs, note.paths, strict=True):
            self._hold(slot, f"out{''.join(f'[{p}]' for p in path)}._data{self._comment(note)}", note)
            self.line(f"if v{slot.index}.shape != {slot.array.shape!r}: otherwise()", note)

    def _deposit(self, note: Note) -> None:
        out = note.outs[0]
        self._kernel(note)
        if note.target is None:
            return
        if self.plan.fixed(out.storage):
            self.slot(out)
            self.names[f"g{out.index}"] = wrap(self.array(out))
            self.line(f"{self.node(note.target)}.grad = g{out.index}" + self._comment(note), note)
        else:
            self.line(f"{self.node(note.target)}.grad = wrap({self.slot(out)})" + self._comment(note), note)

    def _accumulate(self, note: Note) -> None:
        target = note.args[0]
        self.line(self._step(Step(note.function, tuple(note.args), note.static), note.function.__name__), note)
        if target.kind == GRADIENT:
            self.line(f"{self.node(target.source)}.grad._version[0] = tick()", note)

    def _assign(self, note: Note) -> None:
        value = note.args[0]
        self.line(f"{self.node(note.target)}.grad = {'None' if value is None else f'wrap({self.slot(value)})'}", note)

    def _change(self, note: Note) -> None:
        target, value = note.args[:2]
        step = Step(note.function, tuple(note.args), note.static)
        if len(note.args) == 3 and note.args[2] == ():
            step = Step(np.copyto, (target, value, "unsafe"))
        self.line(self._step(step, note.name), note)

    def _returned(self, value: Any) -> str:
        """What the step returns, as source."""
        if isinstance(value, Tensor):
            if id(value) in self._given:
                return f"x{self._given[id(value)]}"
            slot = self.recording.slot(value)
            if slot.kind == OUTSIDE and slot.source is value:
                return self.constant(value, "t")
            name = self.slot(slot)
            if slot.kind == OUTSIDE or (not slot.storage.planned and slot.storage.kind in (OUTSIDE, INPUT)):
                return f"wrap({name})"
            return f"wrap({name}.copy())" if self.plan.fixed(slot.storage) else f"wrap({name})"
        if value.__class__ in (tuple, list, dict):
            parts = [self._returned(v) for v in (value.values() if isinstance(value, dict) else value)]
            if isinstance(value, dict):
                return "{" + ", ".join(f"{self.expression(k)}: {p}" for k, p in zip(value, parts, strict=True)) + "}"
            return f"({''.join(p + ', ' for p in parts)})" if isinstance(value, tuple) else f"[{', '.join(parts)}]"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{self.constant(value.__class__, value.__class__.__name__)}({', '.join(self._returned(v) for v in value)})"
        if isinstance(value, np.ndarray):
            raise CompileError("compile: the step returns a NumPy array, which would be the same in every replay; return a tensor")
        return self.expression(value)

    # ---- running

    def _compile(self) -> None:
        inputs = ", ".join(f"x{i}" for i in range(len(self.recording.inputs)))
        joiner = Joiner(lambda slot: self.array(slot) if self.plan.fixed(slot.storage) else None, self.slot, self.constant)
        self.lines = joiner.joined(self.lines)
        self.names["loops"], self._kept = joiner.loops.run, [*self._kept, *joiner.kept]
        body = "\n".join(f"    {line.text}" for line in self.lines)
        self.code = f"def replay({inputs}):\n{body}\n"
        self.modules = Modules(self.recording.modules)
        self.guards = unchanged(self, self.recording)
        guard = " and ".join(f"({test})" for test, _ in self.guards)
        source = self.code + f"\n\ndef valid({inputs}):\n    return {guard}\n"
        if self.simple:
            tests = " and ".join([*alike(self, self.recording), *around(self, self.outer), guard])
            source += f"\n\ndef fits({inputs}):\n    return {tests}\n"
        self.filename = f"<replay {_numbers()} of {self.name}>"
        weakref.finalize(self, linecache.cache.pop, self.filename, None)
        linecache.cache[self.filename] = len(source), None, source.splitlines(True), self.filename
        self.hand = Hand()
        self.names |= {"hand": self.hand, "otherwise": self._otherwise}
        exec(compile(source, self.filename, "exec"), self.names)
        self.replay, self.valid, self.fits = self.names["replay"], self.names["valid"], self.names.get("fits")

    def why(self, inputs: Any) -> str | None:
        """What is not as it was, where something is not."""
        names = self.names | {f"x{i}": t for i, t in enumerate(inputs)}
        for test, meaning in self.guards:
            if not eval(test, names):
                return self.modules.changed() or meaning
        return None

    @staticmethod
    def _otherwise(what: str = "Python finds something else in the values (another number of elements, another decision)") -> None:
        raise CompileError(f"compile: {what} than when the step was recorded; take this part out of the compiled step")

    def run(self, inputs: Any) -> Any:
        """Replay."""
        before, memory.plan.source = memory.plan.source, self.hand
        try:
            with np.errstate(all="ignore"):
                return self.replay(*inputs)
        except Exception as error:
            self._explain(error)
            raise
        finally:
            memory.plan.source, self.hand.arrays = before, ()

    def _explain(self, error: Exception) -> None:
        """Add to an error which call of the step it came from."""
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.filename:
                number = trace.tb_lineno - 2
                notes = [line.note for line in self.lines for _ in line.text.split("\n")]
                note = notes[number] if 0 <= number < len(notes) else None
                if note is not None:
                    error.add_note(f"in {note.name}, called at {note.where()}, while a compiled step was replayed")
                return
            trace = trace.tb_next
