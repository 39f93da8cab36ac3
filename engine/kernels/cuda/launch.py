"""The one door to the GPU's compiler and launcher: a `Kernel` is a function template of a `.cu` file.

    _scale = Kernel("scale.cu", "scale", instances=[(t,) for t in FLOATS])        # template <typename T> __global__ void scale(...)
    _scale(x.dtype, grid=(blocks,), block=(256,), arguments=(x, out, x.size, 2.0))

An instance is compiled when it is first launched (NVRTC, half a second) and kept by CuPy on disk. `instances` lists all that can
be asked for, so that the checks without a GPU compile every one.

Arguments: arrays go as pointers and must be C-contiguous; None as a null pointer; a Python int as `int` (an error where it has more
than 32 bits; pass np.int64(n) for `long long`), a float as `float`, a bool as `bool`; NumPy scalars as what they are. An empty
grid launches nothing. Launches go to CuPy's current stream and never wait.
"""

from hashlib import sha1
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from chainrule.errors import KernelError

FOLDER = Path(__file__).parent
# CuPy's cache on disk knows a kernel by its source and its options, not by the headers: a word about them is an option
HEADERS = sha1(b"".join(p.read_bytes() for p in sorted(FOLDER.glob("*.cuh"))), usedforsecurity=False).hexdigest()[:16]
OPTIONS = ("-std=c++17", f"-I{FOLDER}", f"-DHEADERS_{HEADERS}")
C_TYPES = {"float16": "__half", "bfloat16": "__nv_bfloat16", "float32": "float", "float64": "double", "int32": "int",
           "int64": "long long", "uint8": "unsigned char", "bool": "bool"}
FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")


def c_name(argument: Any) -> str:
    """A template argument as C++ has it: of a dtype or its name the type's name; numbers, bools and other names (of a source's own
    types) as they are.

    >>> c_name("float16"), c_name(np.dtype("float32")), c_name(True), c_name(64), c_name("Relu")
    ('__half', 'float', 'true', '64', 'Relu')
    """
    if isinstance(argument, bool):
        return "true" if argument else "false"
    if isinstance(argument, int):
        return str(argument)
    return C_TYPES.get(str(argument), str(argument))


class Kernel:
    """A `__global__` function template of a source file, compiled for the template arguments it is called with.

    `instances`: every tuple of template arguments that it may be called with; none for a function that is no template but
    declared `extern "C"`. `options` are further ones for the compiler. Raises KernelError where compiling or launching fails,
    with the kernel, the arguments' shapes and the device.
    """

    every: list["Kernel"] = []  # all that were made, for the checks

    def __init__(self, source: str, name: str, instances: Any = (), options: tuple[str, ...] = ()) -> None:
        self.source, self.name, self.options = source, name, OPTIONS + options
        self.instances = [tuple(i) for i in instances]
        self.compiled: dict[Any, Any] = {}  # (device, *template arguments) -> function
        Kernel.every.append(self)

    def expression(self, template: tuple[Any, ...]) -> str:
        """The instance's name in C++, `name<float, 64>`."""
        return f"{self.name}<{', '.join(c_name(t) for t in template)}>" if template else self.name

    def compile(self, template: tuple[Any, ...]) -> Any:
        """The function of these template arguments on the current device."""
        allowed = [tuple(c_name(t) for t in i) for i in self.instances] or [()]
        if tuple(c_name(t) for t in template) not in allowed:
            raise KernelError(f"{self.source}: {self.expression(template)} is none of its instances")
        expression = self.expression(template)
        try:
            module = cupy.RawModule(code=(FOLDER / self.source).read_text(), options=self.options,
                                    name_expressions=(expression,) if template else None)
            return module.get_function(expression)
        except Exception as error:
            raise KernelError(f"{self.source}: compiling {expression} for {device_name()} failed: {error}") from error

    def __call__(self, *template: Any, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...],
                 shared: int = 0) -> None:
        if not prod(grid):
            return
        key = (cupy.cuda.runtime.getDevice(), *template)
        function = self.compiled.get(key)
        if function is None:
            function = self.compiled[key] = self.compile(template)
        try:
            if shared and function.max_dynamic_shared_size_bytes < shared:  # unasked 48 KiB, with what the kernel declares itself
                function.max_dynamic_shared_size_bytes = shared
            function(grid, block, tuple([self.argument(a) for a in arguments]), shared_mem=shared)
        except Exception as error:
            shapes = ", ".join(f"{a.dtype}{tuple(a.shape)}" if hasattr(a, "shape") and a.shape else repr(a) for a in arguments)
            raise KernelError(f"{self.source}: launching {self.expression(template)} on {device_name()} with grid {grid}, block "
                              f"{block}, {shared} bytes of shared memory and ({shapes}) failed: {error}") from error

    def argument(self, value: Any) -> Any:
        """What CuPy is given for an argument: see the module's text."""
        if isinstance(value, cupy.ndarray):
            if not value.flags.c_contiguous:
                raise ValueError("an array is not C-contiguous")
            return value
        if value is None:
            return np.uintp(0)
        if value.__class__ is bool:
            return np.bool_(value)
        if value.__class__ is int:
            if not -2**31 <= value < 2**31:
                raise ValueError(f"{value} does not fit an int; the tensor is too large for this kernel")
            return np.int32(value)
        return np.float32(value) if value.__class__ is float else value

    def __repr__(self) -> str:
        return f"<kernel {self.name} of {self.source}>"


def device_name() -> str:
    """The current device, as messages name it."""
    return f"cuda:{cupy.cuda.runtime.getDevice()}"


def contiguous(array: Any) -> Any:
    """The array itself, or its C-contiguous copy; None for None."""
    return None if array is None else cupy.ascontiguousarray(array)


def instances(*choices: Any) -> list[tuple[Any, ...]]:
    """All combinations of template arguments.

    >>> instances(("float32", "float64"), (True,))
    [('float32', True), ('float64', True)]
    """
    found: list[tuple[Any, ...]] = [()]
    for options in choices:
        found = list(chain.from_iterable([(*i, o) for o in options] for i in found))
    return found
