"""Hooks: functions that a module calls before and after its forward, and when gradients pass through it backward.

For backward hooks the tensors that enter and leave the module go through two borders in the graph, each an op that hands
its tensors on. All gradients of a border's tensors arrive together at one node, which is where the hooks are called.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from warnings import warn

from chainrule.derivatives import Handle
from chainrule.errors import ShapeError
from chainrule.fused import pick
from chainrule.graph import Node, Op, Plan, record, wrap
from chainrule.names import ops
from chainrule.state import changes, state
from chainrule.tensor import Tensor


class Entry(NamedTuple):
    """A hook, and how it wants to be called."""

    call: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False

    def after(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """Call a forward hook."""
        return self.call(module, args, kwargs, output) if self.with_kwargs else self.call(module, args, output)


class Hooks:
    """The hooks of one module, by kind and in the order in which they are called."""

    def __init__(self) -> None:
        self.before: dict[int, Entry] = {}
        self.after: dict[int, Entry] = {}
        self.backward_before: dict[int, Entry] = {}
        self.backward: dict[int, Entry] = {}

    def add(self, kind: str, entry: Entry, prepend: bool) -> Handle:
        """Put a hook last, or first where `prepend`."""
        if not callable(entry.call):
            raise TypeError(f"a hook is a function, got {type(entry.call).__name__}")
        entries: dict[int, Entry] = getattr(self, kind)
        key = max(entries, default=-1) + 1
        others = dict(entries) if prepend else {}
        if prepend:
            entries.clear()
        entries[key] = entry
        entries.update(others)
        changes.count += 1
        return Handle(entries, key)


class Hooked:
    """The part of a module that has to do with hooks. Each `register_…` returns a handle whose `remove()` takes the hook
    away; `prepend` calls it before those that were registered earlier."""

    _hooks: Hooks | None = None  # made with the first hook: a module without is called directly

    def _add_hook(self, kind: str, entry: Entry, prepend: bool) -> Handle:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add(kind, entry, prepend)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> Handle:
        """Call hook(module, args) before every forward, with the tuple of positional arguments.

        It may return other arguments (a tuple, or the single one) or None. With `with_kwargs` it is called as
        hook(module, args, kwargs) and returns (args, kwargs) or None.

        >>> import chainrule as cr
        >>> layer = cr.layers.ReLU()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: -args[0])
        >>> layer(cr.tensor([-1.0, 2.0]))
        tensor([1., 0.])
        >>> handle.remove()
        >>> layer(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        """
        return self._add_hook("before", Entry(hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> Handle:
        """Call hook(module, args, output), or hook(module, args, kwargs, output) with `with_kwargs`, after every forward.

        It may return another output, or None. With `always_call` it is called also where the forward or another hook
        raised, with the output so far (None where there is none); what it returns or raises then is left aside.

        >>> import chainrule as cr
        >>> layer = cr.layers.ReLU()
        >>> handle = layer.register_forward_hook(lambda module, args, output: print("gives", output))
        >>> y = layer(cr.tensor([-1.0, 2.0]))
        gives tensor([0., 2.])
        """
        return self._add_hook("after", Entry(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(module, grad_output) when the gradients of the module's outputs have been computed, with a tuple of
        them (None for outputs that are no tensors or were not used).

        It may return other gradients (a tuple, or the single one), which go on through the module, or None. For the
        tensors and nested tuples, lists and dicts of tensors that a module may return. See `register_full_backward_hook`.

        >>> import chainrule as cr
        >>> layer = cr.layers.ReLU()
        >>> handle = layer.register_full_backward_pre_hook(lambda module, grad_output: (10 * grad_output[0],))
        >>> x = cr.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([ 0., 10.])
        """
        return self._add_hook("backward_before", Entry(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(module, grad_input, grad_output) when the gradients of the module's inputs have been computed.

        `grad_input`: a tuple with one gradient for each positional argument of the call, None for those that are no
        tensors or need none; `grad_output` as in `register_full_backward_pre_hook`. It may return other gradients in the
        place of grad_input (a tuple, or the single one), or None. Where no positional argument requires a gradient it is
        called once those of the outputs are there. A module with backward hooks gets copies of its inputs and
        returns copies of its outputs: what it writes in place does not reach its caller's tensors.

        >>> import chainrule as cr
        >>> layer = cr.layers.ReLU()
        >>> def show(module, grad_input, grad_output):
        ...     print(grad_output[0].tolist(), "became", grad_input[0].tolist())
        >>> handle = layer.register_full_backward_hook(show)
        >>> layer(cr.tensor([-1.0, 2.0], requires_grad=True)).sum().backward()
        [1.0, 1.0] became [0.0, 1.0]
        """
        return self._add_hook("backward", Entry(hook), prepend)


def call_with_hooks(module: Any, hooks: Hooks, args: Any, kwargs: Any) -> Any:
    """module.forward(*args, **kwargs) between its hooks."""
    output, called = None, set()
    try:
        for entry in list(hooks.before.values()):
            answer = entry.call(module, args, kwargs) if entry.with_kwargs else entry.call(module, args)
            if answer is None:
                continue
            if entry.with_kwargs:
                if not (isinstance(answer, tuple) and len(answer) == 2):
                    raise TypeError(f"{type(module).__name__}: a forward pre-hook with kwargs returns None or (args, kwargs), "
                                    f"got {type(answer).__name__}")
                args, kwargs = answer
            else:
                args = answer if isinstance(answer, tuple) else (answer,)
        passage = Passage(module, hooks) if (hooks.backward or hooks.backward_before) and state.recording else None
        if passage is not None:
            args = passage.enter(args)
        output = module.forward(*args, **kwargs)
        for key, entry in list(hooks.after.items()):
            called.add(key)
            answer = entry.after(module, args, kwargs, output)
            output = output if answer is None else answer
        return output if passage is None else passage.leave(output)
    except Exception:
        for key, entry in list(hooks.after.items()):
            if entry.always and key not in called:
                try:
                    entry.after(module, args, kwargs, output)
                except Exception as another:
                    warn(f"{type(module).__name__}: a forward hook with always_call raised {another!r} after another error",
                         stacklevel=3)
        raise


class Border(Op):
    """Hands tensors on; on the way back it gives all their gradients to a function, which may change them."""

    def __init__(self, outputs: int, meet: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__("module_border", forward=lambda xp, *arrays: arrays[0], each=None)
        self.outputs, self.meet = outputs, meet

    def vjp(self, node: Node, g: Any, xp: Any, needed: Any) -> list[tuple[Node, Any]]:
        """The gradients that the function makes of those that came, one for each tensor (None for none)."""
        given = [d if d is None or isinstance(d, Tensor) else wrap(d) for d in (g if isinstance(g, list) else [g])]
        found = self.meet(given)
        return [(p, d if xp is ops else d._data) for p, d in zip(node.parents, found) if p is not None and d is not None]


class Passage:
    """One call of a module with backward hooks: what it keeps between its two borders."""

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self.module, self.hooks = module, hooks
        self.entered = False  # whether a border stands before the module, with its own time to call the hooks
        self.inputs = self.outputs = 0  # how many there are, tensors or not
        self.grad_output: tuple[Any, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The positional arguments, behind a border."""
        self.inputs = len(args)
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        self.entered = bool(places and self.hooks.backward)
        if not self.entered:
            return args

        def meet(gradients: list[Any]) -> list[Any]:
            return self.at_inputs(places, gradients)

        through = iter(border([args[i] for i in places], meet))
        return tuple(next(through) if i in places else a for i, a in enumerate(args))

    def leave(self, output: Any) -> Any:
        """The output, behind a border."""
        tensors = flat(output)
        places = [i for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
        self.outputs = len(tensors)
        if not places:
            return output

        def meet(gradients: list[Any]) -> list[Any]:
            return self.at_outputs(places, gradients)

        for i, t in zip(places, border([tensors[i] for i in places], meet)):
            tensors[i] = t
        return rebuilt(output, iter(tensors))

    def at_outputs(self, places: list[int], gradients: list[Any]) -> list[Any]:
        """The gradients of the outputs have come: call the pre-hooks, and the hooks where they have nothing to wait for."""
        grads = spread(places, gradients, self.outputs)
        for entry in list(self.hooks.backward_before.values()):
            answer = entry.call(self.module, grads)
            grads = grads if answer is None else self.replaced("a full backward pre-hook", answer, grads)
        self.grad_output = grads
        if not self.entered:
            for entry in list(self.hooks.backward.values()):
                if entry.call(self.module, (None,) * self.inputs, grads) is not None:
                    raise ShapeError(f"{type(self.module).__name__}: a full backward hook returned gradients, but no "
                                     "positional argument of the call requires one; return None")
            self.grad_output = None
        return [grads[i] for i in places]

    def at_inputs(self, places: list[int], gradients: list[Any]) -> list[Any]:
        """The gradients of the inputs have come: call the hooks."""
        grads = spread(places, gradients, self.inputs)
        for entry in list(self.hooks.backward.values()):
            answer = entry.call(self.module, grads, self.grad_output)
            grads = grads if answer is None else self.replaced("a full backward hook", answer, grads)
        self.grad_output = None  # under create_graph it leads back to here
        return [grads[i] for i in places]

    def replaced(self, what: str, answer: Any, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a hook returned in the place of gradients; ShapeError where it does not fit them."""
        found = answer if isinstance(answer, tuple) else (answer,)
        shapes = [None if g is None else tuple(g.shape) for g in grads]
        new = [None if g is None else ops.as_tensor(g) for g in found]
        if len(new) != len(grads) or any(g is not None and shape is not None and g.shape != shape
                                         for g, shape in zip(new, shapes)):
            raise ShapeError(f"{type(self.module).__name__}: {what} returned gradients of shapes "
                             f"{[None if g is None else g.shape for g in new]} in the place of {shapes}")
        return tuple(g if g is None or old is None or g.dtype == old.dtype else g.to(old.dtype)
                     for g, old in zip(new, grads))


def flat(value: Any) -> list[Any]:
    """What is inside nested tuples, lists and dicts, in order."""
    if isinstance(value, tuple | list | dict):
        return [found for v in (value.values() if isinstance(value, dict) else value) for found in flat(v)]
    return [value]


def rebuilt(value: Any, parts: Iterator[Any]) -> Any:
    """The same nest of tuples, lists and dicts with other things inside: the reverse of `flat`."""
    if isinstance(value, dict):
        return type(value)((key, rebuilt(v, parts)) for key, v in value.items())
    if isinstance(value, tuple | list):
        found = [rebuilt(v, parts) for v in value]
        return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
    return next(parts)


def spread(places: list[int], gradients: list[Any], count: int) -> tuple[Any, ...]:
    """Gradients at their places among `count`, None elsewhere."""
    found: list[Any] = [None] * count
    for i, g in zip(places, gradients):
        found[i] = g
    return tuple(found)


def border(tensors: list[Tensor], meet: Callable[[list[Any]], list[Any]]) -> list[Tensor]:
    """Copies of tensors that require gradients, above one node at which `meet` gets the gradients of all."""
    outs = [ops.clone(t.detach()) for t in tensors]
    op, nodes = Border(len(outs), meet), [t.node for t in tensors]
    if len(outs) == 1:
        record(op, Plan((), ()), (), nodes, outs[0], {}, None)
        return outs
    shared = record(op, Plan((), ()), (), nodes, wrap(outs[0]._data), {}, None)
    shared.shape = tuple(o.shape for o in outs)
    for i, out in enumerate(outs):
        record(pick, Plan((), ()), (), [shared], out, {"index": i}, None)
    return outs
