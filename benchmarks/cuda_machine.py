"""What a GPU is, and the most that it does: bytes copied in a second, and products of matrices in each precision."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from benchmarks.cases import TOLERANCE
from benchmarks.processes import program_output

__all__ = ["describe", "measure_peaks", "peaks", "tell"]

COPIED = 1 << 30  # bytes: far more than a cache holds
SIDE = 8192  # of the matrices


def tell() -> dict[str, Any]:
    """Of the current device and the software, in this process."""
    import cupy

    import chainrule as cr

    def version(number: int) -> str:
        return f"{number // 1000}.{number % 1000 // 10}"

    runtime = cupy.cuda.runtime
    return {"gpu": cr.cuda.get_device_name(), "compute_capability": ".".join(map(str, cr.cuda.compute_capability())),
            "gpu_memory": int(runtime.memGetInfo()[1]), "multiprocessors": runtime.getDeviceProperties(0)["multiProcessorCount"],
            "cupy": getattr(cupy, "__version__", "?"), "cuda": version(runtime.runtimeGetVersion()),
            "driver": version(runtime.driverGetVersion())}


def measure_peaks(copied: int = COPIED, side: int = SIDE, rounds: int = 5) -> dict[str, Any]:
    """In this process: FLOP/s of cuBLAS's product of two square matrices of normal numbers in every precision ("flops" is that of
    float32), and bytes a second, read and written, of copying an array."""
    import cupy
    import numpy as np

    import chainrule as cr
    from benchmarks.contender import Repeated
    from benchmarks.contenders import contender

    who = contender("chainrule", "cuda")
    who.start(0)

    def best(step: Callable[[], Any]) -> float:
        who.timed(step, 3)
        return min(who.timed(step, 3) for _ in range(rounds))

    arrays = [cupy.zeros(copied // 4, np.float32) for _ in range(2)]
    bandwidth = {str(copied): 2 * copied / best(lambda: cupy.copyto(*arrays))}
    drawn = cr.tensor(Repeated(np.random.default_rng(0)).standard_normal((side, side)), device="cuda")
    flops = {}
    for precision in TOLERANCE:
        if precision == "bfloat16" and cr.cuda.compute_capability() < (8, 0):
            continue
        a = drawn.to(getattr(cr, "float32" if precision == "tf32" else precision))
        with cr.cuda.allow_tf32() if precision == "tf32" else nullcontext():
            flops[precision] = 2 * side**3 / best(partial(cr.matmul, a, a))
    return {"flops": flops["float32"], "flops_in": flops, "bandwidth": bandwidth}


def describe() -> dict[str, Any]:
    """`tell` from a process of its own."""
    found: dict[str, Any] = program_output("import json; from benchmarks.cuda_machine import tell; print(json.dumps(tell()))", 0)
    return found


def peaks() -> dict[str, Any]:
    """`measure_peaks` from a process of its own."""
    found: dict[str, Any] = program_output(
        "import json; from benchmarks.cuda_machine import measure_peaks; print(json.dumps(measure_peaks()))", 0)
    return found
