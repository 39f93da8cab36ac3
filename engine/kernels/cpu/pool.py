"""The threads that share a kernel's tasks: a pool of our own, in compiled code.

A kernel is a `body(task, *arguments)`, to be called for task = 0, 1, …, n - 1 in any order (`jit.tasks` makes one). The
thread that calls it and the pool's workers claim task numbers from one counter until there are none left.

A worker that has nothing to do spins: it watches a word in memory, so that it begins within a microsecond of being asked.
After half a millisecond it goes to sleep, and takes tens of microseconds to come back; nobody waits for one who sleeps:
it joins when it has woken up, if there is work left. The words:

    IDLE -> GIVEN    by the thread that has work, in one atomic step: the worker is now part of the job
    GIVEN -> IDLE    by the worker, when no task is left; the thread that has the job waits for this
    IDLE -> ASLEEP   by the worker, in one atomic step: from then on it cannot be given work

One job runs at a time. A second thread that comes with a job meanwhile does its tasks alone, by the same compiled code. In a
forked child, which has none of the threads, the pool begins anew.

Why not numba's `prange`: its layer `workqueue` takes 70 to 100 µs to begin (this pool 1 µs) and aborts the process when two
threads enter it at once, its OpenMP layer does not survive a fork, and every kernel must be compiled twice.
"""

import atexit
import contextlib
import os
import platform
import threading
import time
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainrule.kernels.cpu.cache import jit

PATIENCE = 5e-4  # seconds that a worker spins before it goes to sleep

# ---- what the hardware offers, on 64-bit words given by their address

_WORD, _BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
_TASK = ir.FunctionType(ir.IntType(32), [_BYTES, _WORD])  # a job's function: (its arguments, task) -> whether it failed
_PAUSE = {"x86_64": ("llvm.x86.sse2.pause", []), "amd64": ("llvm.x86.sse2.pause", []),
          "aarch64": ("llvm.aarch64.hint", [1]), "arm64": ("llvm.aarch64.hint", [1])}.get(platform.machine().lower())
_sched_yield: Any = types.ExternalFunction("sched_yield", types.int32()) if os.name == "posix" else None


def _at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def _load(context: Any, address: Any) -> Any:
    return types.int64(types.int64), lambda c, builder, s, a: builder.load_atomic(_at(builder, a[0]), "acquire", 8)


@intrinsic
def _store(context: Any, address: Any, value: Any) -> Any:
    def build(c: Any, builder: Any, s: Any, a: Any) -> Any:
        builder.store_atomic(a[1], _at(builder, a[0]), "release", 8)
        return c.get_dummy_value()

    return types.void(types.int64, types.int64), build


@intrinsic
def _add(context: Any, address: Any, value: Any) -> Any:
    """Adds; returns what was there before."""
    return types.int64(types.int64, types.int64), lambda c, builder, s, a: builder.atomic_rmw(
        "add", _at(builder, a[0]), a[1], "seq_cst")


@intrinsic
def _swap(context: Any, address: Any, before: Any, after: Any) -> Any:
    """Writes `after` where there is `before`; returns whether it was."""
    return types.boolean(types.int64, types.int64, types.int64), lambda c, builder, s, a: builder.extract_value(
        builder.cmpxchg(_at(builder, a[0]), a[1], a[2], "seq_cst", "seq_cst"), 1)


@intrinsic
def _pause(context: Any) -> Any:
    """Tells the processor that this thread is waiting in a loop."""
    def build(c: Any, builder: Any, s: Any, a: Any) -> Any:
        if _PAUSE:
            name, numbers = _PAUSE
            hint = ir.FunctionType(ir.VoidType(), [ir.IntType(32)] * len(numbers))
            builder.call(cgutils.get_or_insert_function(builder.module, hint, name), [ir.IntType(32)(n) for n in numbers])
        return c.get_dummy_value()

    return types.void(), build


if _sched_yield is not None:
    @jit
    def _give_way() -> None:
        _sched_yield()
else:
    @jit
    def _give_way() -> None:
        _pause()


@intrinsic
def _call(context: Any, function: Any, data: Any, task: Any) -> Any:
    """Calls a job's function, given by its address; returns whether it failed."""
    def build(c: Any, builder: Any, s: Any, a: Any) -> Any:
        target = builder.inttoptr(a[0], _TASK.as_pointer())
        return builder.sext(builder.call(target, [builder.inttoptr(a[1], _BYTES), a[2]]), _WORD)

    return types.int64(types.int64, types.int64, types.int64), build


@intrinsic
def package(context: Any, body: Any, arguments: Any) -> Any:
    """The addresses of a function (arguments, task) that calls `body(task, *arguments)`, and of the tuple `arguments`.

    The tuple lies on the caller's stack: it is there until the caller returns.
    """
    called = body.get_call_type(context, (types.int64, *arguments.types), {})

    def build(ctx: Any, builder: Any, signature: Any, values: Any) -> Any:
        compiled = body.dispatcher.overloads[called.args]
        ctx.active_code_library.add_linking_library(compiled.library)
        data = cgutils.alloca_once_value(builder, values[1])
        function = ir.Function(builder.module, _TASK, name=builder.function.name + ".task")
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        given = inner.load(inner.bitcast(function.args[0], data.type))
        each = [function.args[1], *(inner.extract_value(given, i) for i in range(len(arguments.types)))]
        callee = ctx.declare_function(builder.module, compiled.fndesc)
        status, _ = ctx.call_conv.call_function(inner, callee, called.return_type, called.args, each)
        inner.ret(inner.zext(status.is_error, ir.IntType(32)))
        return ctx.make_tuple(builder, signature.return_type,
                              [builder.ptrtoint(function, _WORD), builder.ptrtoint(data, _WORD)])

    return types.UniTuple(types.int64, 2)(body, arguments), build


# ---- the pool's words, each group on a cache line of its own (bytes from the pool's address)

LOCK, FUNCTION, DATA, TASKS, NEXT, FAILED, SLEEPING, FIRST_WORKER, LINE = 0, 64, 72, 80, 128, 192, 256, 320, 64
ASLEEP, IDLE, GIVEN = 0, 1, 2


@jit
def _work_off(pool: int, function: int, data: int, tasks: int) -> None:
    """Claim tasks and do them until there are none left."""
    while True:
        task = _add(pool + NEXT, 1)
        if task >= tasks:
            return
        if _call(function, data, task):
            _store(pool + FAILED, 1)


@jit
def run(pool: int, threads: int, function: int, data: int, tasks: int) -> Any:
    """Do all tasks of a job, with up to `threads` threads; returns 1 where one failed, else 0."""
    failed = 0
    if threads <= 1 or tasks <= 1 or not _swap(pool + LOCK, 0, 1):
        for task in range(tasks):
            failed |= _call(function, data, task)
        return failed
    _store(pool + FUNCTION, function)
    _store(pool + DATA, data)
    _store(pool + TASKS, tasks)
    _store(pool + FAILED, 0)
    _store(pool + NEXT, 0)
    while True:
        for worker in range(threads - 1):  # also those who have woken up meanwhile
            word = pool + FIRST_WORKER + LINE * worker
            if _load(word) == IDLE:
                _swap(word, IDLE, GIVEN)
        task = _add(pool + NEXT, 1)
        if task >= tasks:
            break
        if _call(function, data, task):
            _store(pool + FAILED, 1)
    for worker in range(threads - 1):
        word, waited = pool + FIRST_WORKER + LINE * worker, 0
        while _load(word) == GIVEN:
            _pause()
            waited += 1
            if waited > 10_000:  # it may be waiting for this very processor
                _give_way()
    failed = _load(pool + FAILED)
    _store(pool + LOCK, 0)
    return failed


@jit
def _serve(pool: int, worker: int, patience: int) -> None:
    """A worker's time awake: it returns when it has had nothing to do for `patience` turns."""
    word, waited = pool + FIRST_WORKER + LINE * worker, 0
    _add(pool + SLEEPING, -1)
    _store(word, IDLE)
    while True:
        if _load(word) == GIVEN:
            _work_off(pool, _load(pool + FUNCTION), _load(pool + DATA), _load(pool + TASKS))
            _store(word, IDLE)
            waited = 0
        else:
            _pause()
            if not _load(pool + LOCK):  # while a job runs, whoever has it looks for helpers again after each task
                waited += 1
            if waited > patience and _swap(word, IDLE, ASLEEP):
                _add(pool + SLEEPING, 1)
                return


class Pool:
    """`most - 1` workers, none of which exists before it is needed; `address` is that of the words."""

    def __init__(self, most: int) -> None:
        self.workers = most - 1
        words: Any = np.zeros((FIRST_WORKER + LINE * most) // 8 + 8, np.int64)
        self.address = -(-words.ctypes.data // LINE) * LINE  # on a cache line
        self.words = memoryview(words)[(self.address - words.ctypes.data) // 8 :]
        self.words[SLEEPING // 8] = self.workers
        self._bells: list[Any] = []  # a lock for each worker, held while there is nothing to wake up for
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._patience = 0  # in turns of waiting
        self._ended = False

    def wake(self, threads: int) -> None:
        """Start or wake the first `threads - 1` workers that are not awake."""
        with self._starting:
            if not self._patience:
                self._patience = _turns(PATIENCE)
            while len(self._bells) < threads - 1 and not self._ended:
                bell = threading.Lock()
                self._bells.append(bell)
                thread = threading.Thread(target=self._live, args=(len(self._bells) - 1, bell), daemon=True,
                                          name=f"chainrule-{len(self._bells)}")
                self._threads.append(thread)
                bell.acquire()
                thread.start()
            for worker in range(threads - 1):
                if worker < len(self._bells) and self.words[(FIRST_WORKER + LINE * worker) // 8] == ASLEEP:
                    with contextlib.suppress(RuntimeError):  # it was rung already
                        self._bells[worker].release()

    def _live(self, worker: int, bell: Any) -> None:
        while not self._ended:
            _serve(self.address, worker, self._patience)
            bell.acquire()

    def end(self) -> None:
        """Let the workers end, as they must before the interpreter does."""
        self._ended = True
        for bell in self._bells:
            with contextlib.suppress(RuntimeError):
                bell.release()
        for thread in self._threads:
            thread.join(1)


if hasattr(time, "CLOCK_MONOTONIC"):
    # Not by Python's clock: between two looks at it another thread may hold the interpreter's lock for milliseconds.
    _clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
    _CLOCK = np.int32(time.CLOCK_MONOTONIC)

    @jit
    def _wait(turns: int) -> Any:
        """Wait for so many turns; returns how many nanoseconds it took."""
        clock = np.zeros((2, 2), np.int64)
        _clock_gettime(_CLOCK, clock[0].ctypes.data)
        for _ in range(turns):
            _pause()
        _clock_gettime(_CLOCK, clock[1].ctypes.data)
        return (clock[1, 0] - clock[0, 0]) * 1_000_000_000 + clock[1, 1] - clock[0, 1]
else:
    def _wait(turns: int) -> Any:
        """How many nanoseconds so many turns of waiting take; a guess where the system has no such clock."""
        return 40 * turns


def _turns(seconds: float) -> int:
    """How many turns of waiting take so long, by the shortest of several trials."""
    return max(1, int(seconds * 1e9 * 1000 / max(1, min(_wait(1000) for _ in range(5)))))


def _begin() -> None:
    """The pool of this process; a forked child gets one of its own."""
    global pool
    pool = Pool(int(numba.config.NUMBA_NUM_THREADS))


pool: Pool
_begin()
atexit.register(lambda: pool.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)
