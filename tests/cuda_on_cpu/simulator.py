"""Runs CUDA C++ on the CPU: `RawModule` compiles a source by g++ against the headers in shim/ and stands in for CuPy's.

Each CUDA thread is a fiber that runs until it meets a barrier, a warp collective or its end; blocks run one after the other. See
README.md for what that finds. `Settings` says in which order threads run and what the compiler adds.
"""

import ctypes
import functools
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.cuda_on_cpu import devices

HERE = Path(__file__).parent
SHIM = HERE / "shim"
REPORT = HERE / "resources.txt"  # by nvrtc.py
BUILD = Path(os.environ.get("CUDA_ON_CPU_BUILD", Path(__file__).parents[2] / ".pytest_cache" / "cuda_on_cpu"))
COMMON = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-fno-threadsafe-statics",
          "-mavx2", "-mfma", "-ffp-contract=fast", "-Wall",
          "-Wno-unknown-pragmas", "-Wno-attributes", "-Wno-unused-function", "-Wno-comment")
MODES = {
    "fast": ("-O1",),
    "asan": ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize=vptr", "-fno-sanitize-recover=all",
             "-fno-omit-frame-pointer", "-DSIM_ASAN"),
    "races": ("-O1", "-g1", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0", "-DSIM_RACES"),
}
ORDERS = ("forward", "reverse", "shuffle")
DYNAMIC_LIMIT = 232448  # bytes of shared memory: what one block may have on sm_90
INSTANCES_A_COMPILE = 8
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings:
    """How kernels are run: `mode` a key of MODES, `order` one of ORDERS, with a seed."""

    mode = os.environ.get("CUDA_ON_CPU_MODE", "fast")
    order = os.environ.get("CUDA_ON_CPU_ORDER", "forward")
    seed = 1


# Given a source's text, the options and a kernel's name expression: which others to compile together with it.
companions: list[Callable[[str, tuple[str, ...], str], Iterable[str]]] = []


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


@functools.cache
def registers() -> dict[str, int]:
    """Of every instance in the report of nvrtc.py the most registers that a thread has."""
    lines = [line for line in REPORT.read_text().splitlines() if line and line[0] != "#"] if REPORT.exists() else []
    parts = [re.split(r" {2,}", line.partition(" ")[2].strip(), maxsplit=1) for line in lines]
    return {name: max(int(part.split()[0]) for part in used.split("|")) for name, used in parts}


# ---- compiling

def _gxx(*arguments: str, text: str = "") -> None:
    result = subprocess.run(["g++", *arguments], input=text, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError("g++ failed:\n" + result.stderr)


def _key(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()[:16]


def _cached(path: Path, make: Callable[[str], None]) -> Path:
    """The file, made under another name and then moved, so that a run beside this one never sees half of it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{os.getpid()}-{path.name}")
        make(str(unfinished))
        os.replace(unfinished, path)
    return path


@functools.cache
def _shim_text() -> str:
    return "".join(p.read_text() for p in sorted(SHIM.iterdir()) if p.is_file())


def _flags(mode: str) -> list[str]:
    return [*COMMON, *MODES[mode], f"-I{SHIM}", *[f"-I{folder}" for folder in include_folders()]]


@functools.cache
def _precompiled(mode: str) -> Path:
    """The folder of the precompiled header: half a second once in place of a quarter for every compile."""
    folder = BUILD / f"header-{mode}-{_key(_shim_text(), *_flags(mode))}"
    _cached(folder / "cudashim.h.gch", lambda out: _gxx(*_flags(mode), "-x", "c++-header", str(SHIM / "cudashim.h"), "-o", out))
    return folder


@functools.cache
def _runtime(mode: str) -> Any:
    """The library that schedules the fibers, to which kernels' libraries are linked; each mode has its own."""
    defines = [f for f in MODES[mode] if f.startswith("-DSIM")]
    flags = ["-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-fvisibility=hidden", *defines,
             *[f"-I{folder}" for folder in (SHIM, *include_folders())]]
    path = _cached(BUILD / f"runtime-{mode}-{_key(_shim_text(), *flags)}.so",
                   lambda out: _gxx(*flags, str(SHIM / "runtime.cpp"), "-o", out))
    library = ctypes.CDLL(str(path))
    library.path = path
    library.sim_launch.restype = ctypes.c_char_p
    return library


def _symbol(expression: str) -> str:
    """A kernel's name expression as part of a C name."""
    return re.sub(r"\W", "_", expression)


class Library:
    """Compiled instances of a source: their functions, and where their shared arrays are."""

    def __init__(self, path: Path) -> None:
        self.path, self.code = path, ctypes.CDLL(str(path))
        self.base = 0
        self.places: dict[str, tuple[int, int]] = {}  # symbol -> address, size
        self.arrays: list[str] = []  # symbols of static variables within functions
        for line in subprocess.run(["nm", "-S", str(path)], capture_output=True, text=True, check=True).stdout.splitlines():
            if len(part := line.split()) == 4:
                self.places[part[3]] = int(part[0], 16), int(part[1], 16)
                if part[2] in "bBdD" and part[3].startswith("_ZZ") and not re.search(r"\dsim_", part[3]):
                    self.arrays.append(part[3])

    def kernel(self, symbol: str) -> tuple[Any, list[str], Any, Any]:
        """The function that calls it, the types of its parameters, and addresses and sizes: of its shared arrays, and of the flags
        by which g++ remembers that they were constructed.

        `__shared__` arrays are static variables within functions: `_ZZ` function `E` name. Those of other kernels of the library
        are left out, those of functions that several kernels call are not.
        """
        call = getattr(self.code, "sim_call_" + symbol)
        signature, address = getattr(self.code, "sim_signature_" + symbol), getattr(self.code, "sim_address_" + symbol)
        signature.restype, address.restype = ctypes.c_char_p, ctypes.c_void_p
        self.base = ctypes.cast(call, ctypes.c_void_p).value - self.places["sim_call_" + symbol][0]  # type: ignore[operator]
        entries = {self._offset(n.removeprefix("sim_address_")): n for n in self.places if n.startswith("sim_address_")}
        names = {n for n, (a, _) in self.places.items() if a in entries and n.startswith("_Z")}
        mine = {n for n in names if self.places[n][0] == address() - self.base}
        shared = []
        for name in self.arrays:
            if not any(name.startswith("_ZZ" + other[2:] + "E") for other in names - mine):
                shared += [self.base + self.places[name][0], self.places[name][1]]
        guards = [x for n, (place, size) in self.places.items() if n.startswith("_ZGV") for x in (self.base + place, size)]
        return call, signature().decode().split(), _pairs(shared), _pairs(guards)

    def _offset(self, symbol: str) -> int:
        address = getattr(self.code, "sim_address_" + symbol)
        address.restype = ctypes.c_void_p
        return int(address()) - self.base


def _pairs(numbers: list[int]) -> Any:
    return (ctypes.c_uint64 * len(numbers))(*numbers)


@functools.cache
def _library(path: Path) -> Library:
    return Library(path)


def _with_lines(message: str) -> str:
    """A message of the runtime with source lines in place of `@library+0xoffset`."""
    def line(found: re.Match[str]) -> str:
        offset = hex(int(found[2], 16) - 1)  # the return address is past the call
        result = subprocess.run(["addr2line", "-e", found[1], offset], capture_output=True, text=True).stdout.strip()
        return Path(result.split(" ")[0]).name.replace("<stdin>", "kernel.cu") or found[0]

    return re.sub(r"@(\S+)\+(0x[0-9a-f]+)", line, message)


class RawModule:
    """Stands in for cupy.RawModule: of the options, -D, -I and -std count."""

    def __init__(self, *, code: str, options: Any = (), backend: str = "nvrtc", name_expressions: Any = None) -> None:
        self.mode, self.code = Settings.mode, code
        if self.mode not in MODES:
            raise ValueError(f"CUDA_ON_CPU_MODE is {self.mode!r}, none of {', '.join(MODES)}")
        self.asked = tuple(options)
        self.options = [o for o in options if o.startswith(("-D", "-std", "-I"))]
        # Dynamic shared memory: all its names are one array, the runtime's.
        self.body = re.sub(r"extern\s+([^;{]*?)__shared__\s+([^;{]*?)(\w+)\s*\[\s*\]\s*;",
                           r'extern \1 \2 \3[] __asm__("sim_dynamic_shared");', code)
        self.names = list(name_expressions or ()) or re.findall(
            r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(', code)

    def get_function(self, name: str) -> "Function":
        """The kernel of that name (expression)."""
        if name not in self.names:
            raise RuntimeError(f"no kernel {name} in this module, which has {', '.join(self.names)}")
        path = self.build(name)
        return Function(name, self.mode, path, *_library(path).kernel(_symbol(name)))

    def build(self, name: str) -> Path:
        """The library that has the kernel, compiled with all instances that its source is known to be asked for."""
        together = sorted({name, *self.names, *[n for more in companions for n in more(self.code, self.asked, name)]})
        count = -(-len(together) // INSTANCES_A_COMPILE)
        groups = [together[i::count] for i in range(count)]
        _runtime(self.mode), _precompiled(self.mode)
        with ThreadPoolExecutor(CORES) as pool:
            paths = list(pool.map(self._compile, groups))
        return next(path for path, group in zip(paths, groups) if name in group)

    def _compile(self, names: list[str]) -> Path:
        tail = "".join(f"SIM_EXPORT({_symbol(n)}, {n})\n" for n in names)
        text = f'#line 1 "kernel.cu"\n{self.body}\n#line 1 "simulator-tail"\n{tail}'
        command = [f"-I{_precompiled(self.mode)}", *self.options, *_flags(self.mode), "-include", "cudashim.h", "-x", "c++", "-"]
        folders = [Path(o[2:]) for o in self.options if o.startswith("-I")]
        headers = "".join(p.read_text() for f in folders for p in sorted(f.glob("*.cuh")))

        runtime = str(_runtime(self.mode).path)

        def make(out: str) -> None:
            _gxx(*command, "-c", "-o", out + ".o", text=text)
            # AddressSanitizer's library must be loaded before Python is; of ThreadSanitizer's the runtime takes the place.
            _gxx("-shared", *(["-fsanitize=address,undefined"] if self.mode == "asan" else []), out + ".o", runtime, "-o", out)
            os.unlink(out + ".o")

        return _cached(BUILD / f"kernel-{self.mode}-{_key(text, headers, _shim_text(), runtime, *command)}.so", make)


class Function:
    """Called as a CuPy kernel is: `function(grid, block, arguments, shared_mem=bytes)`."""

    def __init__(self, name: str, mode: str, path: Path, call: Any, signature: list[str], shared: Any, guards: Any) -> None:
        self.name, self.mode, self.path = name, mode, path
        self.call, self.signature, self.shared, self.guards = call, signature, shared, guards
        self.max_dynamic_shared_size_bytes = 48 * 1024 - sum(shared[1::2])  # what the kernel declares itself counts

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0, enable_cooperative_groups: bool = False,
                 stream: Any = None) -> None:
        g = [max(1, int(n)) for n in (*grid, 1, 1)[:3]]
        b = [max(1, int(n)) for n in (*block, 1, 1)[:3]]
        if b[0] * b[1] * b[2] > 1024 or b[2] > 64:
            raise RuntimeError(f"{self.name}: block {b} has more than 1024 threads")
        if g[0] > 2**31 - 1 or g[1] > 65535 or g[2] > 65535:
            raise RuntimeError(f"{self.name}: grid {g} is too large")
        warps, count = -(-b[0] * b[1] * b[2] // 32), -(-registers().get(self.name, 0) // 8) * 8
        if warps * 32 * count > 65536:
            raise RuntimeError(f"{self.name}: too many resources requested for launch: {count} registers for each of {warps * 32} "
                               "threads, where a block has 65536 (__launch_bounds__ tells the compiler the number of threads)")
        fixed = sum(self.shared[1::2])
        if shared_mem > self.max_dynamic_shared_size_bytes or self.max_dynamic_shared_size_bytes + fixed > DYNAMIC_LIMIT:
            raise RuntimeError(f"{self.name}: {shared_mem} bytes of dynamic shared memory and {fixed} of static, "
                               f"{self.max_dynamic_shared_size_bytes} of dynamic allowed")
        held, pointers = self._pointers(args)
        error = _runtime(self.mode).sim_launch(
            self.call, pointers, (ctypes.c_uint * 3)(*g), (ctypes.c_uint * 3)(*b), ctypes.c_size_t(shared_mem),
            ORDERS.index(Settings.order), ctypes.c_uint64(Settings.seed), self.shared, len(self.shared) // 2,
            self.guards, len(self.guards) // 2)
        if error:
            raise RuntimeError(f"{self.name}: {_with_lines(error.decode())}")

    def _pointers(self, arguments: Any) -> tuple[Any, Any]:
        """The addresses of the arguments' values, and what keeps those alive; RuntimeError where a type is not the parameter's."""
        if len(arguments) != len(self.signature):
            raise RuntimeError(f"{self.name}: {len(arguments)} arguments given, the kernel has {len(self.signature)}: "
                               f"{self.signature}")
        held, pointers = [], (ctypes.c_void_p * max(1, len(arguments)))()
        for i, (value, wanted) in enumerate(zip(arguments, self.signature)):
            array = getattr(value, "_a", value)
            if hasattr(value, "_device") and value._device != devices.current():
                raise RuntimeError(f"{self.name}: argument {i} is on device {value._device}, the kernel runs on device "
                                   f"{devices.current()}")
            if isinstance(array, np.ndarray):
                dtype, size = array.dtype.kind + str(array.dtype.itemsize), str(array.dtype.itemsize)
                if wanted[0] != "P" or wanted[1:] not in ("v0", dtype, "s" + size):
                    raise RuntimeError(f"{self.name}: argument {i} is a {array.dtype} array, the kernel has {wanted}")
                if not array.flags.c_contiguous:
                    raise RuntimeError(f"{self.name}: argument {i} is not contiguous")
                one = np.array([array.ctypes.data], np.uint64)
            else:  # CuPy's rule: an int is an int64, a float a float64, NumPy scalars are what they are
                one = np.array([np.int64(value) if type(value) is int else np.float64(value) if type(value) is float else value])
                dtype = one.dtype.kind.replace("V", "s") + str(one.dtype.itemsize)
                if dtype != wanted and not (wanted[0] == "P" and one.dtype == np.uint64 and not one[0]):
                    raise RuntimeError(f"{self.name}: argument {i} is passed as {one.dtype}, the kernel has {wanted}")
            held.append(one)
            pointers[i] = one.ctypes.data
        return held, pointers
