"""CUDA C++ and CuPy on a machine without a GPU, for tests: see README.md in this folder."""

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
    import cupy

    return bool(cupy.cuda.is_available())


def ensure() -> str:
    """Have `import cupy` give a CuPy that computes: the real one where there is a GPU, else the stand-in. Returns why not,
    if not."""
    if not _found:
        if real_device():
            _found.append(False)
            return ""
        from tests.cuda_on_cpu import simulator

        reason = "needs a CUDA device, or g++ to run the kernels on the CPU" if shutil.which("g++") is None else ""
        try:
            simulator.include_folders()
        except RuntimeError as error:
            reason = reason or f"needs a CUDA device, or CUDA's headers: {error}"
        if reason:
            if os.environ.get("CUDA_ON_CPU") == "required":
                raise RuntimeError(reason)
            return reason
        from tests.cuda_on_cpu import stand_in

        for name in [n for n in sys.modules if n.partition(".")[0] in ("cupy", "cupyx")]:
            del sys.modules[name]
        module: Any = stand_in.make()
        sys.modules["cupy"], sys.modules["cupy.cuda"] = module, module.cuda
        sys.modules["cupyx"] = ModuleType("cupyx")  # who finds CuPy looks for that too
        _found.append(True)
    return ""


def simulated() -> bool:
    """Whether device arrays are the stand-in's."""
    return bool(_found and _found[0])
