"""The object that `chainrule.compile` returns: it finds the recording that fits a call, or makes one."""

import threading
import types
from functools import update_wrapper
from typing import Any

import numpy as np

from chainrule import dtypes
from chainrule.errors import CompileError, describe, warn
from chainrule.graph import wrap
from chainrule.layers.module import Module
from chainrule.replay.guards import SIMPLE, Outer, Same
from chainrule.replay.notes import ASSIGN, OUTSIDE, flat
from chainrule.replay.program import Program
from chainrule.replay.recording import Recording
from chainrule.state import special, state
from chainrule.tensor import Tensor

VARIANTS = 8  # recordings kept for one kind of arguments, which differ in what the step found outside
MANY = 16  # recordings after which a warning asks whether something changes that should not


class Compiled:
    """A step that is recorded once for each kind of arguments and then replayed; see `chainrule.compile`."""

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise TypeError(f"compile({describe(function)}): takes the function to record")
        self.function = function
        self.programs: dict[Any, list[Program]] = {}
        self.reasons: list[str] = []  # why each recording was made
        self.replays = 0
        self._lock = threading.Lock()
        self._owner: Any = None
        self._last: Program | None = None
        self._outer = Outer(function)
        if hasattr(function, "__name__"):
            update_wrapper(self, function)
        self.name: str = getattr(function, "__name__", type(function).__name__)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A compiled method: of each instance a compiled step of its own."""
        if instance is None:
            return self
        made = Compiled(types.MethodType(self.function, instance))
        try:
            instance.__dict__[self.name] = made
        except AttributeError:
            pass
        return made

    def __deepcopy__(self, memo: Any) -> "Compiled":
        """A step without recordings; of an object that is being copied, that of the copy."""
        owner = getattr(self.function, "__self__", None)
        copy = memo.get(id(owner))
        return Compiled(self.function if copy is None else types.MethodType(self.function.__func__, copy))

    def __call__(self, *args: Any, **options: Any) -> Any:
        me = threading.get_ident()
        if self._owner == me and (not special.count or state.tracer is None):
            raise CompileError(f"compile: {self.name} was called from inside its own replay")
        program = self._last
        if (program is not None and not special.count and not options and len(args) == program.count and program.fits is not None
                and program.fits(*args)):  # the quick way, for tensors like the last
            with self._lock:
                self._owner = me
                try:
                    self.replays += 1
                    return program.run(args)
                finally:
                    self._owner = None
        if special.count and (state.tracer is not None or state.anomaly or state.recomputing):
            return self.function(*args, **options)  # inside another recording it is part of that
        with self._lock:
            self._owner = me
            try:
                return self._find(args, options)
            finally:
                self._owner = None

    def _find(self, args: Any, options: Any) -> Any:
        inputs: list[Tensor] = []
        key = self._key(args, options, inputs)
        found = self.programs.get(key)
        if found is not None and self._outer.same():
            for program in found:
                if program.valid(*inputs):
                    if program is not found[0]:
                        found.remove(program)
                        found.insert(0, program)
                    self._last = program
                    self.replays += 1
                    return program.run(inputs)
        return self._record(key, inputs, args, options)

    # ---- which recording

    def _key(self, args: Any, options: Any, inputs: list[Tensor]) -> Any:
        """What decides which recording serves a call; collects the tensors among the arguments."""
        key = [self._part(a, inputs) for a in args]
        if options:
            key += [(name, self._part(options[name], inputs)) for name in sorted(options)]
        if len(inputs) > 1:
            seen = {id(t._data): i for i, t in enumerate(inputs)}
            if len(seen) < len(inputs):  # one tensor given twice
                key.append(tuple(seen[id(t._data)] for t in inputs))
        key.append(dtypes.get_default_dtype())
        if special.count:
            key += [state.recording, state.backend]
        return tuple(key)

    def _part(self, value: Any, inputs: list[Tensor]) -> Any:
        if isinstance(value, Tensor):
            if value.__class__ is not Tensor:  # a parameter: itself, not what has its shape
                return Same(value)
            inputs.append(value)
            array, node = value._data, value._node
            return (array.shape, array.dtype, None if array.flags.c_contiguous else array.strides,
                    None if node is None else node.op is None)
        if value.__class__ in SIMPLE:
            return value.__class__, value if value else str(value)  # 0.0 and -0.0 are equal
        if value.__class__ in (tuple, list):
            return value.__class__, tuple(self._part(v, inputs) for v in value)
        if value.__class__ is dict:
            return dict, tuple((k, self._part(v, inputs)) for k, v in value.items())
        if isinstance(value, np.ndarray):
            raise CompileError(f"compile: {self.name} was given a NumPy array, {describe(value)}, whose values a recording "
                               "would not see change; pass a tensor, from chainrule.from_numpy or chainrule.tensor")
        return Same(value)

    def _record(self, key: Any, inputs: list[Tensor], args: Any, options: Any) -> Any:
        """Run the step and note what it does."""
        reason = self._reason(key, inputs)
        if not self._outer.same():
            self.programs.clear()
            self._outer.look()
        recording = Recording(inputs)
        for value in (*args, *options.values(), *self._outer.seen, getattr(self.function, "__self__", self.function)):
            if isinstance(value, Module):
                recording.modules |= dict.fromkeys(value.modules())
        with recording:
            result = self.function(*args, **options)
        simple = not options and not special.count and len(args) == len(inputs)
        program = Program(recording, result, self.name, simple, self._outer.parts())
        own = {id(t) for t in inputs} | {id(s.source) for s in recording.slots if s.kind == OUTSIDE}
        answer = detached(result, own)
        returned = {recording.known.get(id(t._data)) for t in flat(result) if isinstance(t, Tensor)}
        del result  # a view holds the tensor that it is a view of
        kept = escaped(recording, returned)
        del recording
        if kept is not None:
            kept.refuse()
        variants = self.programs.setdefault(key, [])
        variants.insert(0, program)
        del variants[VARIANTS:]
        self.reasons.append(reason)
        self._last = program
        if len(self.reasons) == MANY:
            warn(f"compile: {self.name} has been recorded {MANY} times, the last time because {reason}. A step gains nothing from "
                 "being compiled where it is recorded anew each time")
        return answer

    def _reason(self, key: Any, inputs: list[Tensor]) -> str:
        if not self.reasons:
            return "it was called for the first time"
        if not self._outer.same():
            return f"{self._outer.changed()} is another object than before"
        if key in self.programs:
            return f"{self.programs[key][0].why(inputs) or 'something'} is not as it was"
        return "the arguments differ in shape, dtype or value from those before"

    # ---- what can be seen of it

    @property
    def code(self) -> str:
        """The program that ran last, as Python source."""
        if self._last is None:
            raise CompileError(f"compile: {self.name} has not been called yet, so there is no program")
        return self._last.code

    def report(self) -> str:
        """What was recorded, and why: a line for each recording and one for the program that ran last."""
        lines = [f"{self.name}: {len(self.reasons)} recording{'s' * (len(self.reasons) != 1)}, {self.replays} "
                 f"replay{'s' * (self.replays != 1)}"]
        lines += [f"  recorded because {reason}" for reason in self.reasons]
        if self._last is not None:
            p = self._last
            lines.append(f"  the last program: {p.calls} calls, {p.planned:,} bytes planned for arrays of {p.total:,}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.report()}>"


def detached(value: Any, given: set[int]) -> Any:
    """What the step returns, without a history: a replay has none."""
    if isinstance(value, Tensor):
        return value if id(value) in given else wrap(value._data)
    if value.__class__ in (tuple, list):
        return value.__class__(detached(v, given) for v in value)
    if value.__class__ is dict:
        return {k: detached(v, given) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(detached(v, given) for v in value))
    return value


class Escaped:
    """A tensor of the step that something still holds after it."""

    def __init__(self, place: str, shape: Any) -> None:
        self.place, self.shape = place, shape

    def refuse(self) -> None:
        """CompileError."""
        raise CompileError(f"compile: a tensor of shape {self.shape}, computed at {self.place}, is still held after the step "
                           "(by an attribute, a list, a closure): a replay would not put it there. Return it from the step "
                           "instead")


def escaped(recording: Recording, returned: set[Any]) -> Escaped | None:
    """The first tensor that depends on the inputs, was not returned, and is still alive; `returned`: slots."""
    returned |= {n.args[0] for n in recording.notes if n.kind == ASSIGN}

    def find() -> Escaped | None:
        for reference in recording.computed_tensors:
            t = reference()
            slot = None if t is None else recording.known[id(t._data)]
            if slot is not None and slot not in returned:
                if not slot.constant or slot.storage.written:
                    place = slot.source.where() if hasattr(slot.source, "where") else "an unknown place"
                    return Escaped(place, t.shape)
        return None

    found = find()
    if found is not None:
        import gc

        gc.collect()
        found = find()
    return found
