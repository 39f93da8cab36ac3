"""Recording a step: it runs once, eagerly and for real, and every kernel call over raw arrays is noted.

Ops report here because the recording is the thread's tracer (`state.tracer`); the places in the engine that ask
`state.noting()` are the whole of the interface. Arrays are known by identity, for as long as they live. On the way back the
walk hands Tensors to the derivative formulas, so that each of their steps is a call of an op and is noted too; with the same
kernels it gives the same bits as the walk over raw arrays.
"""

import weakref
from functools import partial
from typing import Any

import numpy as np

from chainrule.errors import CompileError, describe
from chainrule.graph import call_site, tick, wrap
from chainrule.kernels.cpu import memory
from chainrule.kernels.reference.indexing import write_into as write_array
from chainrule.replay.notes import (
    ACCUMULATE,
    ASSIGN,
    CHECK,
    CONSTANT,
    COPY,
    DRAW,
    GRADIENT,
    HOST,
    INPUT,
    KERNEL,
    KEY,
    OUTSIDE,
    RESULT,
    WRITE,
    Known,
    Note,
    Slot,
    Storage,
    address,
    cast,
    copied,
    outline,
    owner,
)
from chainrule.state import Flag
from chainrule.tensor import Tensor


class _Tracing(Flag):
    name = "tracer"
    value = None


class _Off(_Tracing):
    """Inside, nothing is noted: a function is called that replays call as well."""

    def __enter__(self) -> None:
        super().__enter__()
        self.source, memory.plan.source = memory.plan.source, None

    def __exit__(self, *problem: object) -> None:
        memory.plan.source = self.source
        super().__exit__(*problem)


class Recording:
    """What is noted while a step runs inside `with recording:`."""

    replays = True  # see state.noting

    def __init__(self, inputs: list[Tensor]) -> None:
        self.begun = tick()  # nodes made before are not of the step
        self.inputs = inputs
        self.notes: list[Note] = []
        self.slots: list[Slot] = []
        self.known = Known()  # the slot of an array
        self.storages = Known()  # the storage of an array that owns its memory
        self.leaves: dict[Any, Slot] = {}  # nodes of leaves from before the step
        self.touched: dict[Any, bool | None] = {}  # such leaves: whether there was no gradient; None where that was not looked at
        self.keys: dict[Any, Slot] = {}
        self.modules: dict[Any, None] = {}
        self.computed_tensors: list[Any] = []  # weak references
        self.asked: list[Any] = []  # what the kernel that runs asked memory.empty for
        self.count = 0
        for i, t in enumerate(inputs):
            if id(t._data) not in self.known:
                self._slot(t._data, INPUT, i, False)
            self._leaf(t, self.known[id(t._data)])

    def __enter__(self) -> "Recording":
        self._flag = _Tracing(self)
        self._flag.__enter__()
        memory.plan.source = self
        return self

    def __exit__(self, *problem: object) -> None:
        memory.plan.source = None
        self._flag.__exit__(*problem)

    def next(self, shape: Any, dtype: Any) -> Any:
        """See kernels.cpu.memory."""
        out = np.empty(shape, dtype)
        self.asked.append(out)
        return out

    # ---- slots

    def _slot(self, array: Any, kind: str, source: Any, constant: bool) -> Slot:
        if not isinstance(array, np.ndarray):
            raise CompileError(f"compile: a tensor on a GPU, {describe(array)}, is used at {self._here()}; compiled steps run on "
                               "the CPU only. Call the function itself: the GPU works while Python goes ahead")
        root = owner(array)
        storage = self._storage(root, kind, constant)
        real = constant or storage.kind in (OUTSIDE, CONSTANT)
        found = Slot(self.count, array if real else outline(array), address(array) - address(root), kind, source, storage, constant)
        self.count += 1
        self.slots.append(found)
        self.known.enter(array, found)
        return found

    def _storage(self, root: Any, kind: str, constant: bool = False) -> Storage:
        """The storage of an array that owns its memory."""
        found: Storage | None = self.storages.get(id(root))
        if found is None:
            found = Storage(root if constant or kind in (OUTSIDE, CONSTANT) else outline(root), kind)
            self.storages.enter(root, found)
        return found

    def _leaf(self, tensor: Tensor, slot: Slot) -> None:
        node = tensor._node
        if node is not None and node.op is None and node.order < self.begun:
            self.leaves.setdefault(node, slot)

    def slot(self, tensor: Tensor) -> Slot:
        """The slot of a tensor's array; of one that was never seen, that is from before the step, a new one."""
        found: Slot | None = self.known.get(id(tensor._data))
        if found is None:
            found = self._slot(tensor._data, OUTSIDE, tensor, False)
        self._leaf(tensor, found)
        return found

    def _constant(self, slot: Slot) -> bool:
        return slot.constant and not slot.storage.written

    def made(self, tensor: Tensor) -> None:
        """A tensor was made of an array that no op computed."""
        array = tensor._data
        if id(array) in self.known:  # detach()
            self.computed_tensors.append(weakref.ref(tensor))
            return
        storage = self.storages.get(id(owner(array)))
        if storage is not None and storage.kind != CONSTANT:
            raise CompileError(f"compile: a tensor is made of the raw memory of another, at {self._here()}, which a replay cannot "
                               "follow; use ops on the tensor")
        self._slot(array, CONSTANT, None, True)

    def _here(self) -> str:
        return Note(KERNEL, None, [], {}, "", call_site(1)).where()

    def looked(self, tensor: Tensor, by: str) -> None:
        """Python is about to see a tensor's elements."""
        slot = self.known.get(id(tensor._data))
        if slot is not None and self._constant(slot):
            return
        what = "is from before the step, and may have changed by the next" if slot is None or slot.kind == OUTSIDE else \
            "depends on what the step is given"
        raise CompileError(f"compile: {by} of a {tensor.dtype} tensor of shape {tensor.shape}, at {self._here()}: its value "
                           f"{what}, and a replay would go on with the value of now. Return the tensor and look at it outside, "
                           "or take the decision before the step and pass it as an argument")

    def open(self, tensor: Tensor) -> bool:
        """Whether nothing may follow from a tensor's present elements."""
        return not self._constant(self.slot(tensor))

    # ---- notes

    def note(self, kind: str, function: Any, args: list[Any], static: dict[str, Any], name: str) -> Note:
        """Append a note; what the kernel asked memory.empty for since the last one is its."""
        found = Note(kind, function, args, static, name, call_site(2))
        found.asked, self.asked = [self._storage(array, RESULT) for array in self.asked], []
        self.notes.append(found)
        return found

    def _result(self, note: Note, array: Any, path: Any = ()) -> None:
        """An array that a note computed: one that is known already is an argument handed on."""
        if id(array) not in self.known:
            constant = note.kind == KERNEL and all(self._constant(s) for s in note.slots())
            slot = self._slot(array, RESULT, note, constant)
            if slot.storage.kind == RESULT and slot.storage.made is None:
                slot.storage.made = note
            note.outs.append(slot)
            note.paths.append(path)

    def _static(self, value: Any, name: str = "") -> Any:
        """A keyword with slots in the place of index arrays and random keys."""
        if name.endswith("key") and value in self.keys:
            return self.keys[value]
        if isinstance(value, np.ndarray):
            return self.known.get(id(value), value)
        if value.__class__ in (tuple, list):
            return value.__class__(self._static(v) for v in value)
        if value.__class__ is dict:
            return {k: self._static(v, k) for k, v in value.items()}
        return value

    def _argument(self, given: Any, array: Any) -> Any:
        """What a kernel got for an input: a slot, or a number."""
        if not isinstance(given, Tensor):
            return array
        slot = self.slot(given)
        if array is given._data:
            return slot
        if id(array) not in self.known:  # it was brought to the dtype of the others
            self._result(self.note(KERNEL, cast, [slot, array.dtype], {}, "astype"), array)
        return self.known[id(array)]

    def called(self, op: Any, inputs: Any, arrays: Any, static: dict[str, Any], out: Tensor, xp: Any) -> None:
        """A row of the table computed `out`."""
        asked, self.asked = self.asked, []
        args = [self._argument(t, a) for t, a in zip(inputs, arrays, strict=True)]
        self.asked = asked
        if op.name == "getitem":
            self._refuse_masks(static)
        function = getattr(xp, op.name) if op.forward is None else partial(op.forward, xp)
        note = self.note(KERNEL, function, args, self._static(static), op.name)
        self._result(note, out._data)
        self.computed_tensors.append(weakref.ref(out))

    def _refuse_masks(self, static: dict[str, Any]) -> None:
        index = static["index"]
        for part in index if isinstance(index, tuple) else (index,):
            slot = self.known.get(id(part))
            if slot is not None and part.dtype.kind == "b" and not self._constant(slot):
                raise CompileError(f"compile: a tensor is indexed with a mask at {self._here()}: how many elements that gives "
                                   "depends on the mask's values. Use where() or masked_fill(), whose shapes do not")

    def computed(self, op: Any, kernel: Any, tensors: list[Any], static: dict[str, Any], outs: Any, extras: Any) -> None:
        """A fused op's kernel computed `outs`."""
        args = [self.slot(t) if isinstance(t, Tensor) else t for t in tensors]
        note = self.note(KERNEL, kernel, args, self._static(static), op.name)
        before = (0,) if extras is not None else ()
        for i, out in enumerate(outs):
            self._result(note, out._data, before if op.outputs == 1 else (*before, i))
            self.computed_tensors.append(weakref.ref(out))
        for name, value in (extras or {}).items():
            self._extra(note, value, (-1, name))

    def _extra(self, note: Note, value: Any, path: Any) -> None:
        """What a kernel wants to be kept: an array, or a tuple of them."""
        if isinstance(value, np.ndarray):
            self._result(note, value, path)
        elif isinstance(value, tuple | list):
            for i, v in enumerate(value):
                self._extra(note, v, (*path, i))
        elif not (value is None or value.__class__ in (int, bool, str)):
            raise CompileError(f"compile: the kernel {note.name} keeps a {type(value).__name__}, which a replay could not follow")

    def gradients_computed(self, op: Any, kernel: Any, g: Any, arguments: list[Any]) -> Any:
        """Call a fused op's gradient kernel, noted; returns its results as tensors."""
        parts = g if isinstance(g, list) else [g]
        given, raw = [None if d is None else self.slot(d) for d in parts], [None if d is None else d._data for d in parts]
        result = kernel(raw if isinstance(g, list) else raw[0], *arguments)
        if result is NotImplemented:
            self.asked = []
            return result
        args = [given if isinstance(g, list) else given[0], *[self._static(a) for a in arguments]]
        note = self.note(KERNEL, kernel, args, {}, op.name + "_grad")
        found = []
        for i, d in enumerate(result):
            if d is not None:
                d = wrap(d)
                self._result(note, d._data, (i,))
            found.append(d)
        return tuple(found)

    # ---- writes

    def _written(self, slot: Slot) -> None:
        storage = slot.storage
        if storage.kind == CONSTANT and storage.snapshot is None:
            storage.snapshot = storage.root.copy()
        storage.written = True

    def written(self, op: Any, target: Tensor, value: Any, path: Any) -> None:
        """The part of `target` that `path` shows is about to be overwritten with `value`."""
        slot = self.slot(target)
        entry = self.slot(value) if isinstance(value, Tensor) else value
        if isinstance(entry, Slot) and entry.storage is slot.storage:
            copy = self.note(KERNEL, copied, [entry], {}, "copy")
            self._result(copy, value._data.copy())
            entry = copy.outs[0]
        self._written(slot)
        note = self.note(WRITE, write_array, [slot, entry, self._static(tuple(path))], {}, "write")
        note.mutates.append(slot)

    def added(self, node: Any, name: str, target: Tensor, g: Tensor) -> None:
        """Add a part's gradient to an array of the walk's own, in place, noted."""
        kernel, slot, part = getattr(node.kernels, name), self.slot(target), self.slot(g)
        self._written(slot)
        kernel(target._data, g._data, **node.static)
        note = self.note(WRITE, kernel, [slot, part], self._static(node.static), name)
        note.mutates.append(slot)

    def indexed(self, tensor: Tensor, array: Any) -> None:
        """`array` is a copy of a tensor's elements, made to index with."""
        self._result(self.note(KERNEL, copied, [self.slot(tensor)], {}, "index"), array)

    # ---- what Python does

    def look(self, function: Any, args: Any) -> Any:
        """See state.look."""
        entries = [self.slot(a) if isinstance(a, Tensor) else self._static(a) for a in args]
        with _Off():
            result = function(*[a._data if isinstance(a, Tensor) else a for a in args])
        if all(self._constant(s) for s in Note(CHECK, None, entries, {}, "", None).slots()):
            if isinstance(result, np.ndarray) and id(result) not in self.known:
                self._slot(result, CONSTANT, None, True)
            return result
        note = self.note(CHECK, function, entries, {}, getattr(function, "__name__", "look").strip("_"))
        if isinstance(result, np.ndarray):
            self._result(note, result)
        else:
            note.expected = result
        return result

    def host(self, function: Any, args: Any, options: Any) -> Any:
        """See state.again."""
        args = [list(a) if hasattr(a, "__next__") else a for a in args]
        entries, named = [self._given(a) for a in args], {k: self._given(v) for k, v in options.items()}
        with _Off():
            result = function(*args, **options)
        note = self.note(HOST, function, entries, named, function.__qualname__)
        results = result if isinstance(result, tuple) else (result,)
        for i, t in enumerate(results):
            if isinstance(t, Tensor):
                self._result(note, t._data, (i,) if isinstance(result, tuple) else ())
            elif t is not None:
                raise CompileError(f"compile: {function.__qualname__} gave {t!r:.60}, with which every replay would go on")
        return result

    def _given(self, value: Any) -> Any:
        """An argument of a function that replays call: computed tensors as slots, those from before as they are."""
        if isinstance(value, Tensor):
            slot = self.known.get(id(value._data))
            return value if slot is None or slot.kind in (OUTSIDE, CONSTANT) else slot
        if value.__class__ in (tuple, list):
            return value.__class__(self._given(v) for v in value)
        return value

    def drawn(self, generator: Any, key: Any) -> None:
        """A random key was drawn."""
        if key not in self.keys:  # a checkpoint draws the same again
            note = self.note(DRAW, None, [generator], {}, "key")
            slot = self.keys[key] = Slot(self.count, None, 0, KEY, note, Storage(None, KEY), False)
            self.count += 1
            note.outs.append(slot)
            note.paths.append(())

    def entered(self, module: Any) -> None:
        """A module is called."""
        self.modules[module] = None

    # ---- gradients of leaves

    def walked(self, node: Any) -> None:
        """The walk back comes to a node."""
        if node.op is not None and node.order < self.begun:
            raise CompileError(f"compile: backward leads out of the step, to {node.op.name} called at {node.place()} before it; "
                               "detach() what the step is given, or compute it inside")
        if node.op is None and node.order < self.begun and node.hooks:
            raise CompileError("compile: a leaf has a hook, which a replay would not call; remove it, or change the gradient in "
                               "the step")

    def _outside(self, node: Any) -> bool:
        return bool(node.order < self.begun)

    def gradient_of(self, node: Any) -> None:
        """A leaf's gradient is about to be read."""
        if self._outside(node) and node not in self.touched:
            self.touched[node] = node.grad is None
        if node.grad is not None and id(node.grad._data) not in self.known:
            self._slot(node.grad._data, GRADIENT, node, False)

    def gradient_set(self, node: Any, value: Tensor | None) -> None:
        """A leaf's gradient is about to be set."""
        if self._outside(node):
            self.touched.setdefault(node, None)
            note = self.note(ASSIGN, None, [None if value is None else self.slot(value)], {}, "grad")
            note.target = node

    def deposit(self, node: Any, d: Tensor) -> None:
        """The walk's gradient arrives at a leaf, or where retain_grad() was called."""
        slot = self.slot(d)
        self.gradient_of(node)
        if node.grad is None:
            node.grad = wrap(copied(d._data))
            note = self.note(COPY, copied, [slot], {}, "grad")
            self._result(note, node.grad._data)
        else:
            target = self.known[id(node.grad._data)]
            self._written(target)
            np.add(node.grad._data, d._data, out=node.grad._data)
            node.grad._version[0] = tick()
            note = self.note(ACCUMULATE, np.add, [target, slot], {"out": target}, "grad")
            note.mutates.append(target)
        note.target = node if self._outside(node) else None

    def accumulated(self, node: Any, kernel: Any, g: Tensor, x: Any) -> bool:
        """Let a product add a gradient to that of a leaf, noted; returns whether it did."""
        self.gradient_of(node)
        target = self.known[id(node.grad._data)]
        done = bool(kernel(node.grad._data, g._data, x))
        if done:
            self._written(target)
            note = self.note(ACCUMULATE, kernel, [target, self.slot(g), self._static(x)], {}, "grad")
            note.mutates.append(target)
        return done
