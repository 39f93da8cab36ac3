"""Every kernel compiled by NVRTC as CuPy would, for sm_80 and sm_90, on a machine that needs no GPU.

    python -m tests.cuda_on_cpu.nvrtc            checks that all instances compile, and the bounds below
    python -m tests.cuda_on_cpu.nvrtc --write    writes what each uses to resources.txt, too

Needs CuPy and NVRTC (`pip install ".[cuda-check]"`), and a Python of its own, in which `cupy` is the real one.
"""

import ctypes
import hashlib
import io
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.cuda_on_cpu.simulator import BUILD, CORES, REPORT, registers

ARCHITECTURES = ("80", "90")
REGISTERS = 255  # that a thread can have
SHARED = 48 * 1024  # bytes of static shared memory that a block can have
# Kernels (source, or source and name) in which ptxas may spill registers to memory, and why. Elsewhere it must not.
SPILLS: dict[str, str] = {}


class Resources(NamedTuple):
    """What ptxas says of one instance on one architecture: registers of a thread, bytes of its stack and of what is stored there
    for want of registers, bytes of a block's static shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int


def load_nvrtc() -> None:
    """NVRTC from its wheel, which CuPy's own search misses where packages come from several folders."""
    for name in ("libnvrtc-builtins.so.*", "libnvrtc.so.*"):
        for folder in sys.path:
            found = [f for f in Path(folder or ".").glob(f"nvidia/*/lib/{name}") if ".alt." not in f.name]
            if found:
                ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)
                break


def sources() -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Of every source and its options all instances."""
    cuda = import_module("chainrule.kernels.cuda")
    for file in sorted(set(cuda.WHERE.values())):
        import_module(f"chainrule.kernels.cuda.{file}")
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kernel in import_module("chainrule.kernels.cuda.launch").Kernel.every:
        found.setdefault((kernel.source, kernel.options), []).extend(map(kernel.expression, kernel.instances or [()]))
    return found


def compile_source(source: str, options: tuple[str, ...], names: list[str], architecture: str) -> dict[str, Resources]:
    """What each instance uses; CompileException where one does not compile. Kept by a hash of all that goes in."""
    from cupy._core.core import assemble_cupy_compiler_options
    from cupy.cuda import nvrtc
    from cupy.cuda.compiler import _NVRTCProgram

    folder = import_module("chainrule.kernels.cuda.launch").FOLDER
    text = (folder / source).read_text()
    headers = "".join(p.read_text() for p in sorted(folder.glob("*.cuh")))
    key = json.dumps([text, headers, options, sorted(names), architecture, nvrtc.getVersion(), Path(__file__).read_text()])
    kept = BUILD / f"nvrtc-{hashlib.sha1(key.encode()).hexdigest()[:16]}.json"
    if kept.exists():
        return {n: Resources(*r) for n, r in json.loads(kept.read_text()).items()}
    given = assemble_cupy_compiler_options((*options, "--ptxas-options=-v"))
    given += ("-ftz=true", f"-arch=sm_{architecture}", "--device-as-default-execution-space")  # as cupy.RawModule adds them
    log = io.StringIO()
    templates = tuple(n for n in names if "<" in n)
    _, mangled = _NVRTCProgram(text, source, name_expressions=templates, method="cubin").compile(given, log)
    used = parse(log.getvalue())
    found = {name: used[(mangled or {}).get(name, name)] for name in names}
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(found))
    os.replace(unfinished, kept)
    return found


def parse(log: str) -> dict[str, Resources]:
    """ptxas's words about each entry function.

    >>> parse('''ptxas info    : Compiling entry function 'k' for 'sm_90'
    ... ptxas info    : Function properties for k
    ... ptxas         .     8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
    ... ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size, 256 bytes smem''')
    {'k': Resources(registers=40, stack=8, spilled=4, shared=256)}
    """
    found = {}
    for part in re.split(r"Compiling entry function ", log)[1:]:
        name = part.split("'")[1]
        number = {what: re.search(rf"(\d+) {what}", part[part.index(f"properties for {name}"):])
                  for what in ("registers", "bytes stack frame", "bytes spill stores", "bytes smem")}
        found[name] = Resources(*[int(n[1]) if n else 0 for n in number.values()])
    return found


def too_much(source: str, name: str, used: Resources) -> list[str]:
    """The bounds that the instance breaks."""
    may_spill = source in SPILLS or f"{source} {name.partition('<')[0]}" in SPILLS
    return [text for text, broken in (
        (f"{used.registers} registers, more than {REGISTERS}", used.registers > REGISTERS),
        (f"{used.spilled} bytes spilled, which SPILLS gives no reason for", used.spilled > 0 and not may_spill),
        (f"{used.shared} bytes of static shared memory, more than {SHARED}", used.shared > SHARED)) if broken]


def rows(found: dict[tuple[str, str, str], Resources]) -> list[str]:
    """The report's lines: an instance and for each architecture registers, stack, spilled bytes, shared memory."""
    return [f"{source:<18} {name:<64} " + " | ".join("{:>3} {:>5} {:>5} {:>6}".format(*found[source, name, a])
                                                     for a in ARCHITECTURES)
            for source, name in sorted({(s, n) for s, n, _ in found})]


def main(arguments: list[str]) -> int:
    """How many instances fail."""
    load_nvrtc()
    todo = [(source, options, names, a) for (source, options), names in sources().items() for a in ARCHITECTURES]
    found: dict[tuple[str, str, str], Resources] = {}
    problems = []

    def one(job: Any) -> Any:
        try:
            return compile_source(*job)
        except Exception as error:  # CuPy's CompileException, with NVRTC's messages
            return error

    with ThreadPoolExecutor(CORES) as pool:
        for (source, _, _, architecture), result in zip(todo, pool.map(one, todo)):
            if isinstance(result, Exception):
                problems.append(f"{source} for sm_{architecture}: {result}")
                continue
            for name, used in result.items():
                found[source, name, architecture] = used
                problems += [f"{source} {name} on sm_{architecture}: {text}" for text in too_much(source, name, used)]
    complete = {k: u for k, u in found.items() if all((*k[:2], a) in found for a in ARCHITECTURES)}
    lines = rows(complete)
    if "--write" in arguments:
        head = ["# What each instance of each kernel uses, by `python -m tests.cuda_on_cpu.nvrtc --write`: registers of a thread,",
                "# bytes of its stack, bytes spilled to it for want of registers, bytes of static shared memory; on " +
                " | on ".join(f"sm_{a}" for a in ARCHITECTURES) + "."]
        REPORT.write_text("\n".join([*head, *lines, ""]))
    elif set(registers()) != {name for _, name, _ in complete}:
        problems.append("resources.txt lists other instances than there are: run python -m tests.cuda_on_cpu.nvrtc --write")
    most = max((used.registers for used in found.values()), default=0)
    print(f"{len(found)} instances compiled for sm_{' and sm_'.join(ARCHITECTURES)}; at most {most} registers", *problems, sep="\n")
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
