"""What each thread remembers: whether it records, which backend is forced, whether it is recomputing a checkpoint, who traces."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class State(threading.local):
    """Thread-local flags; the class attributes are every thread's defaults."""

    recording: bool = True  # off inside no_grad
    backend: Any = None  # a kernels namespace forced by `with backend(...)`
    recomputing: bool = False  # a checkpoint runs its function again: running statistics stay as they are
    anomaly: bool = False  # inside detect_anomaly: look for NaN in every gradient
    tracer: Any = None  # a chainrule.tracing.Trace that wants to know of every op
    autocast: Any = None  # a chainrule.amp.Casts, inside `autocast`
    tf32: bool = False  # inside cuda.allow_tf32: tensor cores may round float32 before they multiply
    generator: Any = None  # what random draws come from inside random.drawing_from


state = State()


class Special:
    """How many flags differ from their defaults at the moment, in all threads together: while it is 0, which a look at an
    ordinary attribute tells, nobody needs to look at the slower thread-local ones."""

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count, self.lock = 0, threading.Lock()

    def add(self, n: int) -> None:
        """Count n more."""
        with self.lock:
            self.count += n


special = Special()


class Changes:
    """How often an attribute or a hook of any module was set: while it is the same, all modules are as they were."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


changes = Changes()


def noting() -> Any:
    """The recording of a compiled step that is going on in this thread (`replay.recording.Recording`), or None."""
    if special.count and (tracer := state.tracer) is not None and tracer.replays:
        return tracer
    return None


def look(function: Any, *args: Any) -> Any:
    """function(*args) with raw arrays in the place of tensors: what Python must find out from elements, such as whether
    an index is in range. A compiled step calls it again at each replay; what is no array must then come out the same."""
    recording = noting()
    if recording is not None:
        return recording.look(function, args)
    return function(*[getattr(a, "_data", a) for a in args])


def check(function: Any, *args: Any) -> None:
    """`look`, for a function that raises where elements are out of range. Of an array on a GPU that would wait for the GPU in
    the middle of a step: there it is only done inside `detect_anomaly`."""
    if state.anomaly or all(type(getattr(a, "_data", a)).__module__.partition(".")[0] != "cupy" for a in args):
        look(function, *args)


def again(function: F) -> F:
    """Decorator: a compiled step calls this function itself again at each replay, not the ops that it calls. So do
    optimizers, schedulers and random draws, which depend on what Python knows."""
    from functools import wraps

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        if special.count and (recording := noting()) is not None:
            return recording.host(function, args, options)
        return function(*args, **options)

    return called  # type: ignore[return-value]


class Flag:
    """A context manager (and decorator) that sets one of the flags and puts the former value back, per thread."""

    name = "recording"
    value: Any = False

    def __init__(self, value: Any = None) -> None:
        if value is not None:
            self.value = value
        self.before: list[Any] = []

    def __enter__(self) -> None:
        self.before.append(getattr(state, self.name))
        if self.value is not getattr(State, self.name):
            special.add(1)
        setattr(state, self.name, self.value)

    def __exit__(self, *problem: object) -> None:
        setattr(state, self.name, self.before.pop())
        if self.value is not getattr(State, self.name):
            special.add(-1)

    def __call__(self, function: Any) -> Any:
        from functools import wraps

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.value):
                return function(*args, **kwargs)

        return wrapped


class set_grad_enabled(Flag):
    """Whether to record from here on, in this thread: a call takes effect at once; `with` puts the former state back at its end.

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> with cr.set_grad_enabled(False):
    ...     (x * x).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        super().__enter__()

    def __enter__(self) -> None:
        if not self.before:  # used a second time
            super().__enter__()

    def __call__(self, function: Any) -> Any:
        """A decorator: the setting is for the function only."""
        self.__exit__()
        return super().__call__(function)


def inference_mode(mode: bool = True) -> Flag:
    """The same as `no_grad()`, or with False as `enable_grad()`: a context manager or decorator.

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> with cr.inference_mode():
    ...     (x * x).requires_grad
    False
    """
    return Flag(not mode)
