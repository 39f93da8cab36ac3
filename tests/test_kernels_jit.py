"""The wrapper of numba: its cache, its threads, and the lazy namespace.

What could abort or hang a process runs in a process of its own.
"""

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.kernels import cpu

cache = import_module("chainrule.kernels.cpu.cache")
jit = import_module("chainrule.kernels.cpu.jit")
pools = import_module("chainrule.kernels.cpu.pool")

PROGRAM = """
from importlib import import_module
import numpy as np
from chainrule.kernels import cpu
cache, pools = import_module("chainrule.kernels.cpu.cache"), import_module("chainrule.kernels.cpu.pool")
product = import_module("chainrule.kernels.cpu.matmul")._products
x, weight, bias = np.arange(128 * 96.).reshape(128, 96) % 7, np.arange(128 * 96.).reshape(128, 96) % 5, np.arange(128.)
expected = x @ weight.T + bias     # integers: every sum is exact
def right():
    return np.array_equal(cpu.linear(x, weight, bias), expected)
def hits(form):
    return sum(form.stats.cache_hits.values()), sum(form.stats.cache_misses.values())
"""


def run(program: str, options: tuple[str, ...] = (), **environment: str) -> str:
    """What a program prints in a new process with two threads; it must end well and write no errors."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, timeout=120, check=False,
                          env=variables | {"NUMBA_NUM_THREADS": "2"} | environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def folders(path: Path) -> dict[str, str]:
    """An environment in which every per-user folder lies under the path."""
    return dict.fromkeys(["HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"], str(path))


def test_asking_for_a_kernel_imports_numba_and_nothing_before_does() -> None:
    assert run("""
import sys
from chainrule.kernels import cpu
assert cpu.cos is __import__("numpy").cos and cpu.unfold
assert "numba" not in sys.modules
assert cpu.linear_grad
assert "numba" in sys.modules
assert callable(cpu.linear)     # the function, though importing its file has bound a module of that name
print("ok")
""") == "ok"


def test_every_name_in_the_table_is_a_kernel() -> None:
    for name, where in cpu.WHERE.items():
        import_module(f"chainrule.kernels.cpu.{where}")
        kernel = getattr(cpu, name)
        assert callable(kernel) and kernel.__module__ == f"chainrule.kernels.cpu.{where}"
    with pytest.raises(AttributeError, match="no_such_kernel"):
        cpu.no_such_kernel  # noqa: B018


def test_cache_folder_is_named_by_all_sources(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text("a")
    (tmp_path / "helper.py").write_text("b")
    before = cache.source_hash(tmp_path)
    assert before == cache.source_hash(tmp_path)
    (tmp_path / "helper.py").write_text("c")
    assert cache.source_hash(tmp_path) != before
    folder = cache.cache_folder()
    assert folder is None or folder.name == cache.source_hash(Path(cache.__file__).parent)


def test_cache_is_read_by_the_next_process_and_a_damaged_one_replaced(tmp_path: Path) -> None:
    program = PROGRAM + "\nprint(right(), *hits(product.compiled))"
    assert run(program, **folders(tmp_path)) == "True 0 1"
    assert run(program, **folders(tmp_path)) == "True 1 0"
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".nbi", ".nbc")]
    assert files and all(cache.source_hash(Path(cache.__file__).parent) in path.parts for path in files)
    for path in files:
        path.write_bytes(path.read_bytes()[:50])
    assert run(program, **folders(tmp_path)) == "True 0 1"


def test_runs_uncached_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, under which there can be no folder")
    program = PROGRAM + "\nprint(right(), cache.cache_folder())"
    assert run(program, ("-W", "error"), **folders(tmp_path / "file" / "cache")) == "True None"


def test_python_threads_may_call_a_parallel_kernel_at_once() -> None:
    assert run(PROGRAM + """
import threading
barrier, results = threading.Barrier(3), []
def work():
    barrier.wait()
    results.extend([right() for _ in range(200)])
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(results), all(results))
""") == "600 True"


def test_whoever_comes_while_a_job_runs_does_its_own_alone() -> None:
    """The pool is taken: nobody is asked to help, nobody waits, and the result is right."""
    assert run(PROGRAM + """
assert right()
pool = pools.pool
pool.words[pools.LOCK // 8] = 1
before = list(pool.words[pools.FUNCTION // 8 : pools.SLEEPING // 8])
print(right(), list(pool.words[pools.FUNCTION // 8 : pools.SLEEPING // 8]) == before)
pool.words[pools.LOCK // 8] = 0
print(right(), list(pool.words[pools.FUNCTION // 8 : pools.SLEEPING // 8]) == before, pool.words[pools.LOCK // 8])
""") == "True True\nTrue False 0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_pool_of_its_own_even_if_the_lock_was_held() -> None:
    assert run("import warnings; warnings.simplefilter('ignore', DeprecationWarning)" + PROGRAM + """
import os, threading
assert right()
former = pools.pool
former.words[pools.LOCK // 8] = 1     # as another thread may hold it, which does not exist in the child
child = os.fork()
if child == 0:
    mine = threading.active_count()
    fine = right() and right() and pools.pool is not former and mine == 1 and threading.active_count() == 2
    os._exit(0 if fine else 1)
former.words[pools.LOCK // 8] = 0
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), right())
""") == "0 True"


def test_workers_sleep_when_there_is_nothing_to_do_and_come_back() -> None:
    assert run(PROGRAM + """
import time
pool, asleep = pools.pool, pools.SLEEPING // 8
def until(count):
    end = time.perf_counter() + 20
    while pool.words[asleep] != count and time.perf_counter() < end:
        assert count == 1 or right()   # a call wakes them
        time.sleep(0.001 if count else 0)
    return pool.words[asleep] == count
print(pool.words[asleep], right(), until(1), until(0), until(1), until(0), right())
""") == "1 True True True True True True"


def test_workers_are_patient_though_another_thread_keeps_the_interpreter_busy() -> None:
    """A worker that gave up at once would be asleep at every call."""
    assert run(PROGRAM + """
import threading, time
busy = True
def work():
    while busy: pass
threading.Thread(target=work).start()
right()
patience = pools.pool._patience
print(0.1 < pools._wait(patience) / (1e9 * pools.PATIENCE) < 10)
busy = False
""") == "True"


@jit.tasks
def _note(task: int, found: Any, who: Any, rounds: int) -> None:
    """found[task] += 1, after some work."""
    total = 0.0
    for i in range(rounds):
        total += np.sqrt(float(i))
    who[task] = total
    found[task] += 1


def test_every_task_is_done_once_by_any_number_of_threads() -> None:
    before = jit.get_num_threads()
    try:
        for threads in (1, 2, 3):
            jit.set_num_threads(threads)
            for count in (0, 1, 2, 5, 300):
                found, who = np.zeros(300, np.int64), np.zeros(300)
                for _ in range(20):
                    _note(count, found, who, 200)
                np.testing.assert_array_equal(found, np.where(np.arange(300) < count, 20, 0))
    finally:
        jit.set_num_threads(before)


@jit.tasks
def _fails(task: int, found: Any) -> None:
    if task == 3:
        raise ValueError
    found[task] = 1


def test_a_task_that_fails_is_reported() -> None:
    found = np.zeros(8)
    with pytest.raises(MemoryError, match="_fails: a task of the kernel failed"):
        _fails(8, found)
    with pytest.raises(MemoryError, match="_fails"):
        _fails.serial(8, found)
    np.testing.assert_array_equal(found, [1, 1, 1, 0, 1, 1, 1, 1])


def test_number_of_threads() -> None:
    before = jit.get_num_threads()
    try:
        jit.set_num_threads(1)
        assert jit.get_num_threads() == 1
        jit.set_num_threads(10_000)
        assert 1 <= jit.get_num_threads() < 10_000
        with pytest.raises(ValueError, match="at least 1, not 0"):
            jit.set_num_threads(0)
    finally:
        jit.set_num_threads(before)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("convolution", "pooling"):
        monkeypatch.setattr(import_module(f"chainrule.kernels.cpu.{name}"), "SHARED", 1)
    rng = np.random.default_rng(0)
    x, g, weight = (rng.standard_normal(shape, np.float32) for shape in [(3, 5, 12, 12), (3, 7, 12, 12), (7, 5, 3, 3)])
    rows, matrix = rng.standard_normal((301, 64), np.float32), rng.standard_normal((80, 64), np.float32)
    arguments = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    pool = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True}
    average = {**pool, "count_include_pad": False, "divisor": None}
    images = rng.standard_normal((5, 4, 23, 23), np.float32)

    def results() -> list[Any]:
        return [cpu.convolution(x, weight, **arguments), cpu.convolution_transpose(g, weight, **arguments, size=(12, 12)),
                cpu.convolution_weight(x, g, **arguments, size=(3, 3)), cpu.linear(rows, matrix, None),
                cpu.max_pool_indices(images, **pool, dilation=(1, 1)), cpu.average_pool(images, **average),
                cpu.average_pool_transpose(images[:, :, :12, :12].repeat(4, 0), **average, size=(23, 23))]

    shared = results()
    before = jit.get_num_threads()
    try:
        jit.set_num_threads(1)
        serial = results()
    finally:
        jit.set_num_threads(before)
    for one, other in zip(shared, serial, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
@pytest.mark.parametrize("said", [False, True])
def test_memory_that_was_freed_is_kept_unless_the_user_said_otherwise(said: bool) -> None:
    """Arrays of 40 MB (10,000 pages) are taken and freed again and again."""
    faults = run("""
import resource
import numpy as np
from chainrule.kernels.cpu import memory
def step():
    return [np.ones(1 << 20, np.float32) for _ in range(10)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
""", **({"MALLOC_TRIM_THRESHOLD_": "100000"} if said else {}))
    assert (int(faults) < 100) == (not said)


@jit.jit
def _first_not_a_number(x: Any) -> int:
    for i in range(x.size):
        if x[i] != x[i]:
            return i
    return -1


@jit.jit
def _total(x: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        total += x[i]
    return total


def test_fast_math_keeps_not_a_number_and_infinity() -> None:
    assert _first_not_a_number.stats.cache_path is None   # a kernel that no hash covers is not cached
    assert _first_not_a_number(np.array([0, np.inf, np.nan, 1])) == 2
    assert _total(np.array([1, np.inf, 2] * 9)) == np.inf
    assert np.isnan(_total(np.array([1, np.inf, -np.inf] * 9)))


def test_results_of_several_threads_are_their_own() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((128, 96))
    inputs = [rng.standard_normal((70 + i, 96)) for i in range(4)]
    found: dict[int, Any] = {}

    def work(i: int) -> Callable[[], None]:
        return lambda: found.__setitem__(i, cpu.linear(inputs[i], weight, None))

    threads = [threading.Thread(target=work(i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, x in enumerate(inputs):
        np.testing.assert_allclose(found[i], x @ weight.T, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_what_a_step_frees_is_kept_for_the_next() -> None:
    """No page is asked of the system again."""
    assert run("""
from resource import RUSAGE_SELF, getrusage
import chainrule
import numpy as np
def faults():
    arrays = [np.ones(1 << 20) for _ in range(5)]
    del arrays
    return getrusage(RUSAGE_SELF).ru_minflt
first = faults()
print(faults() - first < 1000)     # five times 8 MB are 10,000 pages
""") == "True"
