"""The names that the real CuPy has, and how each may be called: names.txt, which the stand-in and the tests hold code to.

    python -m tests.cuda_on_cpu.names            compares names.txt with the installed CuPy
    python -m tests.cuda_on_cpu.names --write    writes it (CuPy needs no GPU for this)

A line is a name, or a name and the parameters of its call; every default is written None. A ufunc's line says so.
"""

import functools
import inspect
import re
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("names.txt")
MODULES = ("", "linalg", "fft", "random", "lib", "lib.stride_tricks", "cuda", "cuda.runtime")  # not cuda.cublas: no library
CLASSES = ("ndarray", "ufunc", "RawModule", "RawKernel", "cuda.Device", "cuda.Stream", "cuda.Event", "cuda.ExternalStream",
           "cuda.Graph", "cuda.MemoryPool", "cuda.MemoryPointer", "cuda.UnownedMemory", "cuda.PinnedMemoryPointer",
           "cuda.PinnedMemoryPool", "random.Generator", "random.RandomState")


def parameters(function: Any) -> str | None:
    """`(a, b=None, *, c=None)`, or None where it cannot be read. Compiled functions tell it in the first line of their text."""
    try:
        given = inspect.signature(function)
    except (ValueError, TypeError):
        found = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?$", (getattr(function, "__doc__", None) or "").partition("\n")[0])
        if not found:
            return None
        parts = []
        for part in re.split(r",\s*(?![^(\[{]*[)\]}])", found[1]):
            name, default, _ = part.partition("=")
            word = name.partition(":")[0].split()[-1:] or [""]
            parts.append(word[0] + ("=None" if default else ""))
        return "(" + ", ".join(p for p in parts if p and p != "self") + ")"
    plain = [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)
             for n, p in given.parameters.items() if n != "self"]
    return str(inspect.Signature(plain))


def real() -> list[str]:
    """The lines that the installed CuPy gives."""
    import cupy
    lines = []
    for owner in MODULES + CLASSES:
        path = "cupy" + "." * bool(owner) + owner
        value = functools.reduce(getattr, filter(None, owner.split(".")), cupy)
        if inspect.isclass(value):
            lines.append(path + (parameters(value) or ""))
        for name in dir(value):
            if name.startswith("_") and not (inspect.isclass(value) and name in ("__cuda_array_interface__", "__dlpack__")):
                continue
            member = getattr(value, name)
            if isinstance(member, cupy.ufunc):
                text = f" ufunc {member.nin} {member.nout}"
            else:
                text = callable(member) and not inspect.isclass(member) and parameters(member) or ""
            lines.append(f"{path}.{name}{text}")
    return sorted(set(lines))


def _ufunc(nin: str, nout: str) -> str:
    inputs = [f"x{i}" for i in range(int(nin))]
    outputs = ["out=None"] if nout == "1" else [f"out{i}=None" for i in range(int(nout))] + ["out=None"]
    return f"({', '.join(inputs)}, {', '.join(outputs)}, *, casting=None, dtype=None)"


@functools.cache
def known() -> dict[str, inspect.Signature | None]:
    """Every name, `cupy.linalg.norm`, with its signature where that is known."""
    found: dict[str, inspect.Signature | None] = {}
    for line in FILE.read_text().splitlines():
        if line.startswith("#"):
            continue
        name, ufunc, counts = line.partition(" ufunc ")
        name, bracket, rest = name.partition("(")
        text = _ufunc(*counts.split()) if ufunc else bracket + rest
        found[name] = inspect.signature(eval(f"lambda {text[1:-1]}: None")) if text else None
    return found


def ufuncs() -> set[str]:
    """The names of ufuncs."""
    return {line.partition(" ")[0] for line in FILE.read_text().splitlines() if " ufunc " in line}


if __name__ == "__main__":
    lines = real()
    import cupy

    text = "\n".join([f"# CuPy {cupy.__version__}, by `python -m tests.cuda_on_cpu.names --write`", *lines, ""])
    if "--write" in sys.argv:
        FILE.write_text(text)
    same = FILE.read_text() == text
    print(f"{len(lines)} names" if same else "names.txt is not what the installed CuPy gives")
    sys.exit(not same)
