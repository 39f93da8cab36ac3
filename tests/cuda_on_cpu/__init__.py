"""CUDA C++ and CuPy on a machine without a GPU, for tests: see README.md in this folder."""

import ctypes
import os
import shutil
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_found: list[Any] = []  # whether the stand-in is used, once that is settled


def real_device() -> bool:
    """Whether CuPy is installed and has a GPU."""
    if find_spec("cupy") is None:
        return False
    try:
        ctypes.CDLL("libcuda.so.1" if sys.platform == "linux" else "nvcuda")  # the driver: without it CuPy need not be imported
    except OSError:
        return False
    import cupy

    return bool(cupy.cuda.is_available())


def missing() -> str:
    """What the simulator lacks on this machine; empty if nothing."""
    from tests.cuda_on_cpu import simulator

    if shutil.which("g++") is None:
        return "needs a CUDA device, or g++ to run the kernels on the CPU"
    try:
        simulator.include_folders()
    except RuntimeError as error:
        return f"needs a CUDA device, or CUDA's headers: {error}"
    return ""


def ensure() -> str:
    """Have `import cupy` give a CuPy that computes: the real one where there is a GPU, else the stand-in. Returns why not,
    if not."""
    if not _found:
        if real_device():
            _found.append(False)
            return ""
        from tests.cuda_on_cpu import simulator

        if reason := missing():
            if os.environ.get("CUDA_ON_CPU") == "required":
                raise RuntimeError(reason)
            return reason
        from tests.cuda_on_cpu import stand_in

        if "chainrule.kernels.cuda" in sys.modules:
            raise RuntimeError("a test imported chainrule.kernels.cuda before CuPy's stand-in was there: import it within the test")
        simulator.companions.append(_instances)
        for name in [n for n in sys.modules if n.partition(".")[0] in ("cupy", "cupyx")]:
            del sys.modules[name]
        module: Any = stand_in.make()
        sys.modules["cupy"], sys.modules["cupy.cuda"] = module, module.cuda
        sys.modules["cupyx"] = ModuleType("cupyx")  # who finds CuPy looks for that too
        _found.append(True)
        from chainrule import kernels

        kernels.connect()
        kernels.serve_several(False)  # the stand-in has two devices, of which most tests know one: the quick ways are tested too
    return ""


def _instances(code: str, options: tuple[str, ...], name: str) -> list[str]:
    """All instances of the function template, once the launch layer knows them."""
    launch: Any = sys.modules.get("chainrule.kernels.cuda.launch")
    return [kernel.expression(i) for kernel in (launch.Kernel.every if launch else [])
            if kernel.name == name.partition("<")[0] and kernel.options == options
            and (launch.FOLDER / kernel.source).read_text() == code for i in kernel.instances]


def simulated() -> bool:
    """Whether device arrays are the stand-in's."""
    return bool(_found and _found[0])


def synchronisations() -> int:
    """How often the host has waited for the device so far, as the stand-in counts; always 0 on a GPU, which cannot tell."""
    if not simulated():
        return 0
    from tests.cuda_on_cpu import stand_in

    return stand_in.SYNCHRONISATIONS[0]
