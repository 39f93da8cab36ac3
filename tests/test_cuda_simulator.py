"""The simulator of CUDA kernels finds planted mistakes, and finds none in correct kernels."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu
from tests.cuda_on_cpu import sanitize, simulator

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(cuda_on_cpu.missing()), reason=cuda_on_cpu.missing()),
              pytest.mark.skipif(simulator.Settings.mode != "fast", reason="chooses the mode itself")]
HEAD = 'extern "C" __global__ void k(float* x) {'
T = "const int t = threadIdx.x;"

# name: the body of a kernel of two blocks of 64 threads over 128 floats, dynamic shared memory, the message (None: it is correct)
KERNELS: dict[str, tuple[str, int, str | None]] = {
    "barrier in a branch": (f"{T} if (t < 32) __syncthreads(); x[t] = 1;", 0, "divergent barrier: 32 of 64 threads"),
    "two barriers": (f"{T} if (t < 32)\n __syncthreads(); else\n __syncthreads();", 0,
                     "divergent barrier.*kernel.cu:2.*kernel.cu:3"),
    "shuffle after a return": (f"{T} if (t >= 40) return; x[t] = __shfl_down_sync(~0u, x[t], 1);", 0,
                               "(lane 8 .* has exited|56 have ended.*at a warp collective)"),
    "shuffle from outside the mask": (f"{T} if (t < 16) x[t] = __shfl_down_sync(0xffffu, x[t], 1);", 0,
                                      "reads lane 16, which is not"),
    "not in its mask": (f"{T} x[t] = __shfl_xor_sync(0xffffu, x[t], 1);", 0, r"calling lane (1[6-9]|2\d|3\d) is not in its mask"),
    "two collectives": (f"{T} if (t & 1)\n __syncwarp(); else\n __any_sync(~0u, t);", 0, "another collective"),
    "width of a shuffle": (f"{T} x[t] = __shfl_xor_sync(~0u, x[t], 1, 12);", 0, "width 12"),
    "trap": ("if (threadIdx.x == 5) __trap();", 0, r"thread \(5,0,0\): kernel.cu:1: __trap"),
    "past dynamic shared memory": (f"extern __shared__ float s[]; {T} s[t] = 1; __syncthreads();", 200, "wrote past its 200 bytes"),
    "misaligned cp.async": (
        f"#include <cuda_pipeline.h>\n{HEAD} __shared__ float s[64]; __pipeline_memcpy_async(&s[0], &x[1], 16);", 0, "alignment"),
    "reversal": (f"__shared__ float s[64]; {T} s[t] = x[t]; __syncthreads(); x[t] = s[63 - t];", 0, None),
    "a warp's sum": (f"{T} float v = t; for (int i = 16; i; i >>= 1) v += __shfl_xor_sync(~0u, v, i); x[t] = v;", 0, None),
    "every collective": (
        f"{T} const unsigned odd = __ballot_sync(~0u, t & 1); const int many = __syncthreads_count(t < 10);"
        "if (odd != 0xaaaaaaaau || many != 10 || !__any_sync(~0u, t == 3 || t == 40) || __all_sync(~0u, t & 1)"
        " || !__syncthreads_or(t == 9) || __syncthreads_and(t != 9) || __reduce_max_sync(~0u, t) != (t | 31)"
        " || __match_any_sync(~0u, t / 4 * 1.) != 0xfu << (t & 28)"
        " || __shfl_sync(~0u, 2. * t, 3, 8) != 2. * ((t & ~7) + 3)) __trap();",
        0, None),
}


def launch(code: str, *arguments: Any, grid: Any = (2,), block: Any = (64,), shared: int = 0, **settings: Any) -> None:
    """Compiles and runs the kernel `k`."""
    function = simulator.RawModule(code=code).get_function("k")
    function(grid, block, arguments, shared_mem=shared)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("order", simulator.ORDERS)
def test_mistakes_are_found_and_nothing_else(name: str, order: str, monkeypatch: Any) -> None:
    body, shared, message = KERNELS[name]
    monkeypatch.setattr(simulator.Settings, "order", order)
    code = body + "}" if HEAD in body else f"{HEAD}{body}}}"
    if message is None:
        launch(code, np.zeros(128, np.float32), shared=shared)
    else:
        with pytest.raises(RuntimeError, match="(?s)^k: block .*" + message):
            launch(code, np.zeros(128, np.float32), shared=shared)


def test_memory_that_nobody_wrote_is_not_a_number() -> None:
    x = np.zeros(64, np.float32)
    launch(HEAD + "__shared__ float s[64]; const int t = threadIdx.x; if (t % 2) s[t] = 1; x[t] += s[t]; }", x, grid=(1,))
    np.testing.assert_array_equal(x, np.where(np.arange(64) % 2, 1, np.nan))
    x[:] = 0
    launch(HEAD + "extern __shared__ float s[]; x[threadIdx.x] += s[threadIdx.x]; s[threadIdx.x] = 1; }", x, shared=256)
    assert np.isnan(x).all()


@pytest.mark.parametrize("wait", ["", "__pipeline_wait_prior(1);", "__pipeline_wait_prior(0);"])
def test_a_copy_has_arrived_only_when_it_was_waited_for(wait: str) -> None:
    x = np.arange(128, dtype=np.float32)
    launch(f"#include <cuda_pipeline.h>\n{HEAD} __shared__ __align__(16) float s[2][64]; {T}"
           "__pipeline_memcpy_async(&s[0][t], &x[t], 4); __pipeline_commit();"
           "__pipeline_memcpy_async(&s[1][t], &x[t + 64], 4, t == 63 ? 4 : 0); __pipeline_commit();"
           f"{wait} __syncthreads(); x[t] = s[0][t ^ 1]; x[64 + t] = s[1][t ^ 1]; }}", x, grid=(1,))
    right = np.arange(128, dtype=np.float32)
    right[127] = 0
    right = right.reshape(-1, 2)[:, ::-1].reshape(-1)
    np.testing.assert_array_equal(x[:64], right[:64] if wait else np.nan)
    np.testing.assert_array_equal(x[64:], right[64:] if "(0)" in wait else np.nan)


def test_the_order_of_threads_shows_a_missing_barrier(monkeypatch: Any) -> None:
    code = f"{HEAD} __shared__ float s[64]; {T} s[t] = x[t]; x[t] = s[63 - t]; }}"
    found = []
    for order in simulator.ORDERS:
        monkeypatch.setattr(simulator.Settings, "order", order)
        x = np.arange(64, dtype=np.float32)
        launch(code, x, grid=(1,))
        found.append(x)
    assert not np.array_equal(found[0], found[1], equal_nan=True)


SCALE = 'extern "C" __global__ void k(float* x, int n, float a, const __half* h) { if (threadIdx.x < n) x[threadIdx.x] *= a; }'
X, N, A, H = np.ones(64, np.float32), np.int32(64), np.float32(2), np.ones(3, np.float16)


@pytest.mark.parametrize("arguments, message", [
    ((X, 64, A, H), "argument 1 is passed as int64, the kernel has i4"),
    ((X, N, 2.0, H), "argument 2 is passed as float64, the kernel has f4"),
    ((X.astype(np.float64), N, A, H), "argument 0 is a float64 array, the kernel has Pf4"),
    ((X, N, A, X), "argument 3 is a float32 array, the kernel has Ps2"),
    ((np.ones(128, np.float32)[::2], N, A, H), "argument 0 is not contiguous"),
    ((X, N, A), "3 arguments given, the kernel has 4"),
    ((N, N, A, H), "argument 0 is passed as int32"),
])
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(message)):
        launch(SCALE, *arguments)


def test_right_arguments() -> None:
    x = np.ones(64, np.float32)
    launch(SCALE, x, N, A, np.uintp(0), grid=(1,))
    np.testing.assert_array_equal(x, 2)


@pytest.mark.parametrize("options, message", [
    ({"block": (2048,)}, "more than 1024 threads"), ({"block": (1, 1, 128)}, "more than 1024 threads"),
    ({"grid": (1, 70000)}, "too large"), ({"shared": 100_000}, "100000 bytes of dynamic shared memory"),
])
def test_launches_that_are_too_large(options: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        launch(SCALE, X, N, A, H, **options)


# The mode "races". None: correct.
RACES: dict[str, tuple[str, str | None]] = {
    "no barrier": ("__shared__ float s[64]; s[t] = x[t];\n x[t] = s[63 - t];",
                   r"race: (reads|writes) at kernel.cu:[12] shared memory that thread .* (wrote|read) at kernel.cu:[12]"),
    "all write the same": ("__shared__ float s;\n s = 1; __syncthreads(); x[t] = s;", "race: writes at kernel.cu:2 shared"),
    "a warp reads what another wrote": ("__shared__ float s[64]; s[t] = 1; __syncwarp();\n x[t] = s[t ^ 32];", "race"),
    "half a warp is synchronised": (
        "__shared__ float s[64]; s[t] = 1; __syncwarp(t & 16 ? 0xffff0000u : 0xffffu);\n x[t] = s[t ^ 16];", "race"),
    "global": ("x[t / 2] += 1;", "race: .* global memory"),
    "between blocks": ("x[t] = 1;", r"block \(1,0,0\) .* race: writes .* that block \(0,0,0\) thread"),
    "an atomic and a plain write": ("if (t == 3) x[0] = 1; else atomicAdd(&x[0], 1.f);", "race"),
    "neighbouring bytes": ("reinterpret_cast<char*>(x)[t + blockIdx.x * 64] = 1;", None),
    "a warp": ("__shared__ float s[64]; s[t] = x[t + 64 * blockIdx.x]; __syncwarp();\n x[t + 64 * blockIdx.x] = s[t ^ 1];", None),
    "a chain of collectives": (
        "__shared__ float s[64]; s[t] = 1; __syncwarp(3u << (t & 30)); __syncwarp(); x[t + 64 * blockIdx.x] = s[t ^ 31];", None),
    "atomics": ("__shared__ float s; if (t == 0) s = 0; __syncthreads(); atomicAdd(&s, 1.f); __syncthreads();"
                "if (t == 0) x[blockIdx.x] = s;", None),
    "the last block adds up": (
        "__shared__ bool last; unsigned* done = reinterpret_cast<unsigned*>(x + 100);"
        "if (t == 0) { x[blockIdx.x] = 1; __threadfence();"
        "last = atomicAdd(done, 1u) == 1; } __syncthreads(); if (last && t == 1) x[50] = x[0] + x[1];", None),
    "the last block adds up without a fence": (
        "__shared__ bool last; unsigned* done = reinterpret_cast<unsigned*>(x + 100);"
        "if (t == 0) { x[blockIdx.x] = 1;"
        "last = atomicAdd(done, 1u) == 1; } __syncthreads(); if (last && t == 1) x[50] = x[0] + x[1];", "race: reads"),
}


@pytest.mark.parametrize("name", RACES)
def test_races(name: str, monkeypatch: Any) -> None:
    body, message = RACES[name]
    monkeypatch.setattr(simulator.Settings, "mode", "races")
    x = np.zeros(128, np.float32)
    if message is None:
        launch(f"{HEAD}{T}{body}}}", x)
    else:
        with pytest.raises(RuntimeError, match="(?s)" + message):
            launch(f"{HEAD}{T}{body}}}", x)


# The mode "asan": the body after `const int t`, over 64 floats with 256 bytes of dynamic shared memory, and the message.
BOUNDS = "(overflow|out of bounds)(.|\n)*kernel.cu:2"
OUTSIDE: dict[str, tuple[str, str]] = {
    "correct": ("extern __shared__ float s[]; s[t] = x[t]; __syncthreads(); x[t] = s[63 - t];", "finished"),
    "global": ("\n x[t + 1] = x[t];", "heap-buffer-overflow (.|\n)*kernel.cu:2"),
    "shared": ("__shared__ float s[64]; s[t] = x[t]; __syncthreads();\n x[t] = s[t + 1];", BOUNDS),
    "dynamic shared": ("extern __shared__ float s[]; s[t] = x[t]; __syncthreads();\n x[t] = s[t + 1];", "poison(.|\n)*kernel.cu:2"),
    "local": ("float a[4]; for (int i = 0; i < 4; i++) a[i] = i;\n x[t] = a[(t & 3) + (t == 63)];", BOUNDS),
    "misaligned": ("if (t == 0) {\n const float4 v = *reinterpret_cast<float4*>(x + 1); x[0] = v.x + v.w; }", "misaligned"),
    "too far a shift": ("\n x[t] = 1 << t;", "shift exponent"),
}
ASAN = """
import sys, numpy as np
from tests.cuda_on_cpu import simulator
x = np.ones(64, np.float32)
simulator.RawModule(code=sys.stdin.read()).get_function("k")((1,), (64,), (x,), shared_mem=256)
print("finished")
"""


@pytest.mark.parametrize("name", OUTSIDE)
def test_memory_outside_an_array(name: str) -> None:
    body, message = OUTSIDE[name]
    result = subprocess.run([sys.executable, "-c", ASAN], input=f"{HEAD}{T}{body}}}", env=sanitize.environment("asan"), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[1])
    assert re.search(message, result.stdout), result.stdout
    assert (result.returncode == 0) == (name == "correct")


def test_too_many_registers(monkeypatch: Any) -> None:
    launch(SCALE, X, N, A, H, grid=(1,))
    monkeypatch.setattr(simulator, "registers", lambda: {"k": 65})
    launch(SCALE, X, N, A, H, grid=(1,), block=(896,))
    with pytest.raises(RuntimeError, match="72 registers for each of 1024 threads"):
        launch(SCALE, X, N, A, H, grid=(1,), block=(1024,))
