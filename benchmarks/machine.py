"""What the results were measured on: the processor, the versions, and the most that the machine does of each kind of work."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which
from typing import Any

from benchmarks.processes import ROOT, cores_for, environment, program_output

__all__ = ["describe", "floor", "higher", "peaks"]

# Working sets, from the first level of cache to memory: the bandwidth differs twentyfold.
SIZES = (16 << 10, 256 << 10, 4 << 20, 16 << 20, 64 << 20, 256 << 20)


def processor() -> str:
    """Its name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    fields: dict[str, str] = {}
    for line in lines:
        field, _, value = line.partition(":")
        fields.setdefault(field.strip(), value.strip())
    name = fields.get("model name", platform.processor())
    flags = fields.get("flags", "").split()
    widest = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    family = f", family {fields['cpu family']}" if "cpu family" in fields else ""
    return f"{name}{family}" + (f", {widest.upper()}" if widest else "")


def installed(name: str) -> str:
    """The version of a package; "" where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def blas_kernel() -> str:
    """Which kernel NumPy's BLAS has chosen for this processor, once OPENBLAS_* is out of the way."""
    code = """
import ctypes, glob, os, numpy
folder = os.path.join(os.path.dirname(numpy.__file__), "..", "numpy.libs")
for path in glob.glob(os.path.join(folder, "*openblas*")):
    library = ctypes.CDLL(path)
    for name in ("scipy_openblas_get_config64_", "scipy_openblas_get_config", "openblas_get_config"):
        if hasattr(library, name):
            function = getattr(library, name)
            function.restype = ctypes.c_char_p
            print(function().decode())
            raise SystemExit
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(1), capture_output=True, text=True)
    return " ".join(done.stdout.split()) or "unknown"


def describe() -> dict[str, Any]:
    """The machine and the software."""
    commit = ""
    if which("git"):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {"processor": processor(), "cores": len(cores_for(1 << 20)) or os.cpu_count(), "system": platform.platform(),
            "python": platform.python_version(), "numpy": installed("numpy"), "numba": installed("numba"),
            "blas": blas_kernel(), "commit": commit}


def measure_peaks(threads: int, seconds: float) -> dict[str, Any]:
    """In this process: GFLOP/s of NumPy's float32 matrix product, and GB/s, read and written, within working
    sets of several sizes: the quicker of copying and of negating in place, which need not fetch what it overwrites."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    def best(function: Any) -> float:
        fastest, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            function()
            fastest = min(fastest, time.perf_counter() - start)
        return fastest

    n = 1536
    a, b, out = (np.ones((n, n), np.float32) for _ in range(3))
    flops = 2 * n**3 / min(best(lambda: np.matmul(a, b, out=out)) for _ in range(3))
    bandwidth = {}
    with ThreadPoolExecutor(threads) as pool:
        for size in SIZES:
            pieces = [np.ones(size // threads // 4, np.float32) for _ in range(threads)]
            repeats = max(1, (8 << 20) // size)

            def copy(piece: Any, repeats: int = repeats) -> None:
                half = len(piece) // 2
                for _ in range(repeats):
                    np.copyto(piece[half:2 * half], piece[:half])

            def negate(piece: Any, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    np.negative(piece, out=piece)

            rates = [repeats * size * times / best(lambda work=work, pieces=pieces: list(pool.map(work, pieces)))
                     for work, times in ((copy, 1), (negate, 2))]
            bandwidth[str(size)] = max(rates)
    return {"flops": flops, "bandwidth": bandwidth}


def peaks(threads: int, seconds: float = 0.25) -> dict[str, Any]:
    """The same in a process like those of the contenders."""
    code = f"import json; from benchmarks.machine import measure_peaks; print(json.dumps(measure_peaks({threads}, {seconds})))"
    found: dict[str, Any] = program_output(code, threads)
    return found


def higher(a: dict[str, Any], b: dict[str, Any] | None) -> dict[str, Any]:
    """The better of two measurements of the machine, each figure apart."""
    if b is None:
        return a
    return {what: {key: max(rate.get(key, 0.0), b[what].get(key, 0.0)) for key in {**rate, **b[what]}}
            if isinstance(rate, dict) else max(rate, b[what]) for what, rate in a.items()}


def floor(name: str, flops: float, moved: float, peak: dict[str, Any], precision: str = "float32") -> float | None:
    """Seconds that no program on this machine can undercut, as far as the counts of a case tell; None where it has none.

    Arithmetic and traffic (bytes `moved`) are added in a training step, whose optimizer comes after its products, and overlap in
    a single operation. The bandwidth is that of the smallest measured working set that holds the bytes.
    """
    if not flops and not moved:
        return None
    sizes = sorted((int(size), rate) for size, rate in peak["bandwidth"].items())
    rate = next((rate for size, rate in sizes if moved <= size), sizes[-1][1])
    arithmetic, traffic = flops / peak.get("flops_in", {}).get(precision, peak["flops"]), moved / rate
    return float(arithmetic + traffic if name.startswith(("workloads/", "growth/")) else max(arithmetic, traffic))
