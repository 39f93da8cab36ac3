"""Contenders in processes of their own, which are asked in turn and sleep in between."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Failed", "Pool", "Worker", "cores_for", "environment", "program_output"]

ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """What a contender answered instead of a result, or that it answered nothing."""


def cores_for(threads: int) -> list[int]:
    """The cores that every contender is kept on: as many as there are threads, so that no library takes more; 0 are all of them,
    for which nothing is said."""
    return sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_getaffinity") else []


def environment(threads: int) -> dict[str, str]:
    """The environment of all contenders: no OPENBLAS_* settings, and the number of threads in every library's own words. 0: that
    of contenders on a GPU."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if threads == 0:
        return found
    found |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    found |= {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no pool of compilers that would stay beside the measurements
    found |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if threads == 1:
        found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return found


class Worker:
    """One contender's process. `ready`: what it told after its start."""

    def __init__(self, name: str, threads: int, timeout: float = 120.0, device: str = "cpu") -> None:
        self.name = name
        cores = ",".join(map(str, cores_for(threads)))
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.worker", name, str(threads), cores, device],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=environment(threads), cwd=ROOT)
        self.pending = b""
        try:
            self.ready = self._answer(timeout)
        except Failed:
            self.close()
            raise

    def ask(self, do: str, timeout: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """The answer to one request; Failed where there is none."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Failed(self._last_words()) from None
        return self._answer(timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.pending:
                if not selector.select(timeout):
                    self.process.kill()
                    raise Failed(f"no answer in {timeout:.0f} s")
                piece = os.read(self.process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise Failed(self._last_words())
                self.pending += piece
        line, self.pending = self.pending.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise Failed(found["error"])
        return found

    def _last_words(self) -> str:
        try:
            code: int | str = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "no answer"
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with {code}" + (f": {lines[-1][:300]}" if lines else "")

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the process, which ends by itself at the end of its input."""
        assert self.process.stdin is not None
        try:
            with suppress(OSError):  # what was not yet written to a process that is gone
                self.process.stdin.close()
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


class Pool:
    """The workers of a run: started when they are first asked for, and again when they died. They end with the context."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        self.threads, self.device, self.workers = threads, device, dict[str, Worker]()
        self.failed: dict[str, str] = {}  # why a contender cannot start: it is not tried again

    def of(self, names: list[str]) -> dict[str, Worker]:
        """Those of these contenders that run."""
        for name in names:
            if name not in self.failed and (name not in self.workers or not self.workers[name].alive):
                if name in self.workers:
                    self.workers.pop(name).close()
                try:
                    self.workers[name] = Worker(name, self.threads, device=self.device)
                except Failed as error:
                    self.failed[name] = str(error)
        return {name: self.workers[name] for name in names if name in self.workers and name not in self.failed}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.close()


def program_output(code: str, threads: int, **variables: str) -> Any:
    """Run Python code in a fresh process, on the contenders' cores, and return what its last line says in JSON."""
    cores = cores_for(threads)
    place = f"import os; os.sched_setaffinity(0, {cores!r})\n" if cores else ""
    try:
        done = subprocess.run([sys.executable, "-c", place + code], env=environment(threads) | variables, cwd=ROOT,
                              capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Failed("no answer in 600 s") from None
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1][:300])
    return json.loads(done.stdout.splitlines()[-1])
