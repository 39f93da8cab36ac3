"""Arrays begin at whole cache lines, and are otherwise like any other array."""

import gc
import os
import pickle
import threading
import tracemalloc
from contextvars import Context
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.test_kernels_jit import run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="NumPy's allocator is left as it is")
import_module("chainrule.kernels.cpu.jit")

SIZES = [0, 1, 7, 8, 9, 63, 64, 1000, 1024, 4097, 100_003, 3 << 20]


def starts(*arrays: Any) -> set[int]:
    return {array.ctypes.data % 64 for array in arrays}


def allocator(array: Any) -> Any:
    return np._core.multiarray.get_handler_name(array)  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
def test_arrays_begin_at_lines_and_own_their_memory(size: int) -> None:
    many = [np.empty(size, np.uint8) for _ in range(9)]  # NumPy's, so that other blocks lie between
    some = [np.zeros(size, np.uint8), np.ones(size, np.uint8) + 1, np.array(b"a" * size), cr.zeros(size).data, *many]
    assert starts(*some) == {0}
    assert all(array.base is None and array.flags.owndata and allocator(array) == "chainrule" for array in some)
    assert not some[0].any() and (some[1] == 2).all()


@pytest.mark.parametrize("size", [s for s in SIZES if s])
def test_an_array_keeps_its_contents_when_it_is_resized(size: int) -> None:
    rng = np.random.default_rng(size)
    contents = rng.integers(0, 256, size, np.uint8)
    array, held = contents.copy(), []
    for other in (size + 1, 3 * size + 100, size + 17, 40 * size, size):
        held.append(np.empty(size + 8, np.uint8))  # what comes next in the heap, so that a block must move
        array.resize(other, refcheck=False)
        np.testing.assert_array_equal(array[:size], contents)
        assert not array[size:].any()
        assert starts(array) == {0}
    array.resize(size // 2, refcheck=False)
    np.testing.assert_array_equal(array, contents[: size // 2])


def test_read_text_and_pickles() -> None:
    """These grow their arrays as they read."""
    numbers = np.arange(10_000.0)
    np.testing.assert_array_equal(np.fromiter(iter(numbers.tolist()), float), numbers)
    np.testing.assert_array_equal(np.fromstring(" ".join(map(str, numbers.tolist())), float, sep=" "), numbers)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(numbers)), numbers)


def test_memory_is_given_back_and_counted() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        array: Any = np.empty(1 << 20, np.uint8)
        assert 0 <= tracemalloc.get_traced_memory()[0] - before - (1 << 20) < 10_000
        del array
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()
    assert run("""
from resource import RUSAGE_SELF, getrusage
import numpy as np
import chainrule.kernels.cpu.jit
def turn():
    for n in range(1, 3000, 7):
        a = np.ones(n * 16); a.resize(n * 8, refcheck=False); b = np.zeros(n * 20)
turn()
before = getrusage(RUSAGE_SELF).ru_maxrss
for _ in range(20): turn()
print(getrusage(RUSAGE_SELF).ru_maxrss - before < 20_000)
""") == "True"


def test_too_much_is_refused_as_ever() -> None:
    with pytest.raises(MemoryError):
        np.empty(1 << 60, np.uint8)
    array = np.arange(10)
    with pytest.raises(MemoryError):
        array.resize(1 << 57, refcheck=False)
    assert array.tolist() == list(range(10))


def test_every_thread_that_runs_kernels_has_it() -> None:
    found: list[Any] = []

    def work() -> None:
        found.append(allocator(np.empty(5)))
        x = cr.tensor(np.ones((600, 400)))
        found.append(allocator(cr.relu(x).data))
        found.append(allocator(np.empty(5)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["default_allocator", "chainrule", "chainrule"]


def test_arrays_of_both_allocators_live_side_by_side() -> None:
    """One is freed, and resized, by the functions that made it."""
    plain = Context().run(lambda: [np.arange(size) for size in SIZES])
    assert {allocator(array) for array in plain} == {"default_allocator"}
    for array in plain:
        array.resize(array.size + 1000, refcheck=False)
        assert allocator(array) == "default_allocator"
    del plain, array
    gc.collect()


def test_arrays_may_outlive_everything() -> None:
    assert run("""
import builtins, sys, threading
import numpy as np
import chainrule as cr
first = np.ones(1000)
import chainrule.kernels.cpu.jit
builtins.kept = [np.ones(n) for n in (1, 100, 100000, 10000000)]
sys.kept = cr.relu(cr.ones(100000))
cycle = [np.ones(1000)]; cycle.append(cycle)
print("end")
""") == "end"


def test_another_allocator_is_left_alone() -> None:
    """One that was set before (here by this very code, under another name)."""
    assert run("""
import ctypes
from importlib import import_module
import numpy as np
name = np._core.multiarray.get_handler_name
api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
api.PyCapsule_New.restype, api.PyCapsule_New.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
table = api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None)
def entry(place): return ctypes.c_void_p.from_address(table + 8 * place).value
default = ctypes.py_object.from_address(entry(306)).value
theirs = ctypes.create_string_buffer(ctypes.string_at(api.PyCapsule_GetPointer(default, b"mem_handler"), 168))
theirs[:6] = b"theirs"
theirs[6] = 0
capsule = api.PyCapsule_New(ctypes.addressof(theirs), b"mem_handler", None)
ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(entry(304))(capsule)
import_module("chainrule.kernels.cpu.jit")
print(name(np.empty(3)))
ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(entry(304))(default)
""") == "theirs"
