"""Runs CUDA C++ on the CPU: `RawModule` compiles a source by g++ against the headers in shim/ and stands in for CuPy's.

Each CUDA thread is a fiber that runs until it meets a barrier, a warp collective or its end; blocks run one after the other. See
README.md for what that finds. `order` and `mode` say in which order threads run and what the compiler adds.
"""

import ctypes
import functools
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SHIM = HERE / "shim"
BUILD = Path(os.environ.get("CUDA_ON_CPU_BUILD", Path(__file__).parents[2] / ".pytest_cache" / "cuda_on_cpu"))
FLAGS = {
    "fast": ("-O2", "-mavx2", "-mfma", "-ffp-contract=fast"),
    "asan": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize=vptr", "-DSIM_ASAN", "-fno-omit-frame-pointer",
             "--param=asan-stack=1"),
    "tsan": ("-O1", "-g", "-fsanitize=thread", "-DSIM_TSAN"),
}
ORDERS = ("forward", "reverse", "shuffle")
DYNAMIC_LIMIT = 232448  # bytes of shared memory: what one block may have on sm_90


class Settings:
    """How kernels are run: `mode` a key of FLAGS, `order` one of ORDERS, with a seed."""

    mode = os.environ.get("CUDA_ON_CPU_MODE", "fast")
    order = os.environ.get("CUDA_ON_CPU_ORDER", "forward")
    seed = 1


@functools.cache
def include_folders() -> tuple[str, ...]:
    """Where CUDA's headers are: in the wheels nvidia-cuda-runtime and cupy, or in an installed toolkit."""
    folders = [Path(p) for p in sys.path] + [Path("/usr/local")]
    places = ("nvidia/cu13/include", "cuda/include", "cupy/_core/include/cupy/_cccl/libcudacxx", "cuda/include/cccl")
    found = {header: next((f / p for p in places for f in folders if (f / p / header).exists()), None)
             for header in ("cuda_fp16.h", "nv/target")}
    missing = [header for header, folder in found.items() if folder is None]
    if missing:
        raise RuntimeError(f"the CUDA headers {', '.join(missing)} were not found; install chainrule[cuda-check]")
    return tuple(str(folder) for folder in found.values())


def _run(command: list[str], text: str = "") -> str:
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError("g++ failed:\n" + result.stderr)
    return result.stderr


def _cached(path: Path, make: Any) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        make(str(unfinished))
        os.replace(unfinished, path)
    return path


def _runtime(mode: str) -> Path:
    """The part of the shim that schedules the fibers, compiled once a mode and never instrumented."""
    shim = SHIM / "cudashim.h"
    key = hashlib.sha1((shim.read_text() + mode).encode()).hexdigest()[:12]
    defines = [f for f in FLAGS[mode] if f.startswith("-DSIM")]
    return _cached(BUILD / f"runtime_{mode}_{key}.o", lambda out: _run(
        ["g++", "-std=c++17", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-DSIM_RUNTIME", *defines,
         *[f"-I{i}" for i in include_folders()], "-x", "c++", "-c", str(shim), "-o", out]))


class Function:
    """Called as a CuPy kernel is: `function(grid, block, arguments, shared_mem=bytes)`."""

    def __init__(self, module: "RawModule", name: str, symbol: str) -> None:
        self.name, self.module = name, module
        self.call = getattr(module.library, "sim_call_" + symbol)
        signature = getattr(module.library, "sim_sig_" + symbol)
        signature.restype = ctypes.c_char_p
        self.signature = signature().decode().split()
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def _pointers(self, arguments: Any) -> tuple[Any, Any]:
        if len(arguments) != len(self.signature):
            raise RuntimeError(f"{self.name}: {len(arguments)} arguments given, the kernel has {len(self.signature)}: "
                               f"{self.signature}")
        keep, pointers = [], (ctypes.c_void_p * max(1, len(arguments)))()
        for i, (value, wanted) in enumerate(zip(arguments, self.signature)):
            array = getattr(value, "_a", value)
            if isinstance(array, np.ndarray):
                dtype = array.dtype.kind + str(array.dtype.itemsize)
                size = str(array.dtype.itemsize)
                if wanted[0] != "P" or wanted[1:] not in ("v0", dtype, "s" + size):
                    raise RuntimeError(f"{self.name}: argument {i} is a {array.dtype} array, the kernel has {wanted}")
                if not array.flags.c_contiguous:
                    raise RuntimeError(f"{self.name}: argument {i} is not contiguous")
                held = np.array([array.ctypes.data], np.uint64)
            else:  # CuPy's rule: an int is an int64, a float a float64, NumPy scalars are what they are
                held = np.array([np.int64(value) if type(value) is int else np.float64(value) if type(value) is float else value])
                dtype = held.dtype.kind.replace("V", "s") + str(held.dtype.itemsize)  # "V": a structure, passed by value
                if dtype != wanted and not (wanted[0] == "P" and held.dtype == np.uint64 and not held[0]):
                    raise RuntimeError(f"{self.name}: argument {i} is passed as {held.dtype}, the kernel has {wanted}")
            keep.append(held)
            pointers[i] = held.ctypes.data
        return keep, pointers

    def __call__(self, grid: Any, block: Any, arguments: Any, *, shared_mem: int = 0, stream: Any = None) -> None:
        g = [max(1, int(n)) for n in (*grid, 1, 1)[:3]]
        b = [max(1, int(n)) for n in (*block, 1, 1)[:3]]
        if b[0] * b[1] * b[2] > 1024 or b[2] > 64:
            raise RuntimeError(f"{self.name}: block {b} has more than 1024 threads")
        if g[0] > 2**31 - 1 or g[1] > 65535 or g[2] > 65535:
            raise RuntimeError(f"{self.name}: grid {g} is too large")
        if shared_mem > self.max_dynamic_shared_size_bytes or self.max_dynamic_shared_size_bytes > DYNAMIC_LIMIT:
            raise RuntimeError(f"{self.name}: {shared_mem} bytes of dynamic shared memory, "
                               f"{self.max_dynamic_shared_size_bytes} allowed")
        keep, pointers = self._pointers(arguments)
        m = self.module
        error = m.library.sim_launch(self.call, pointers, (ctypes.c_uint * 3)(*g), (ctypes.c_uint * 3)(*b),
                                     ctypes.c_size_t(shared_mem), ORDERS.index(Settings.order), ctypes.c_uint64(Settings.seed),
                                     m.shared, len(m.shared) // 2, m.dynamic, ctypes.c_size_t(DYNAMIC_LIMIT if m.dynamic else 0))
        if error:
            raise RuntimeError(f"{self.name}: {error.decode()}")


class RawModule:
    """Stands in for cupy.RawModule: of the options, -D, -I and -std count."""

    def __init__(self, *, code: str, options: Any = (), name_expressions: Any = None) -> None:
        mode = Settings.mode
        names = list(name_expressions or ()) or re.findall(
            r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(', code)
        dynamic: dict[str, str] = {}
        for kind, name in re.findall(r"extern\s+__shared__\s+((?:__align__\(\d+\)\s*)?[\w: ]+?)\s+(\w+)\s*\[\s*\]", code):
            dynamic[name] = re.sub(r"__align__\(\d+\)\s*", "", kind)
        body = re.sub(r"extern(\s+)__shared__", r"extern\1", code)
        self.symbols = {n: re.sub(r"\W", "_", n) for n in names}
        tail = "".join(f"alignas(1024) {t} {n}[{DYNAMIC_LIMIT} / sizeof({t})];\n" for n, t in dynamic.items())
        tail += "".join(f"SIM_EXPORT({s}, {n})\n" for n, s in self.symbols.items())
        text = f'#line 1 "kernel.cu"\n{body}\n#line 1 "simulator-tail"\n{tail}'
        given = [o for o in options if o.startswith(("-D", "-std", "-I"))]
        command = ["g++", *given, *FLAGS[mode], "-Wall", "-Wno-unknown-pragmas", "-Wno-attributes", "-fPIC", "-shared", f"-I{SHIM}",
                   *[f"-I{i}" for i in include_folders()], "-include", "cudashim.h", "-x", "c++", "-",
                   "-x", "none", str(_runtime(mode))]
        headers = "".join(p.read_text() for p in sorted(SHIM.iterdir()))
        folders = [Path(o[2:]) for o in given if o.startswith("-I")]
        headers += "".join(p.read_text() for f in folders for p in sorted(f.glob("*.cuh")))
        key = hashlib.sha1((text + " ".join(command) + headers).encode()).hexdigest()[:16]
        library = _cached(BUILD / f"kernel_{mode}_{key}.so", lambda out: _run([*command, "-o", out], text))
        self.library = ctypes.CDLL(str(library))
        self.library.sim_launch.restype = ctypes.c_char_p
        # __shared__ arrays are function-local statics: their addresses are needed to fill them with NaN before each block
        places, functions = {}, set()  # (a lambda in a kernel is a local name too, but no memory)
        for line in subprocess.run(["nm", "-S", str(library)], capture_output=True, text=True).stdout.splitlines():
            part = line.split()
            if len(part) == 4:
                places[part[3]] = int(part[0], 16), int(part[1], 16)
                if part[2] in "tTwW":
                    functions.add(part[3])
        base = ctypes.cast(self.library.sim_launch, ctypes.c_void_p).value - places["sim_launch"][0]
        others = ("7sim_sig", "sim_launch", "run_block", "_ZGV", "8sim_pipe")
        static = [(base + a, size) for n, (a, size) in places.items()
                  if n.startswith("_ZZ") and n not in functions and not any(o in n for o in others)]
        self.shared = (ctypes.c_uint64 * (2 * len(static)))(*[x for pair in static for x in pair])
        used = [n for n in dynamic if n in places]
        self.dynamic = ctypes.c_void_p(base + places[used[0]][0]) if used else None

    def get_function(self, name: str) -> Function:
        """The kernel of that name (expression)."""
        return Function(self, name, self.symbols[name])
