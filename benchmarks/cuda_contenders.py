"""The contenders on a GPU: chainrule, its own kernel for matrix products, CuPy, and PyTorch eager and compiled.

All are timed by CUDA events around calls that do not wait for one another. Of short ones one call goes ahead of the first event, so
that the GPU has work while Python prepares the next: what is measured is the GPU's time, or Python's where that takes longer.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, Update, Workload
from benchmarks.contender import Arrays, Contender
from benchmarks.named import ChainRule, Named, Torch, TorchCompile

__all__ = ["ChainRuleOnCuda", "ChainRuleTiled", "CuPy", "TorchCompileOnCuda", "TorchOnCuda"]

SAMPLED = 1 << 16  # elements of a result that are brought to the host to be compared


class OnCuda(Named):
    """What chainrule and PyTorch share on a GPU. `dtype`: of the inputs of the case at hand, the library's."""

    device = "cuda"
    sample = 1e-2
    dtype: Any = None

    def tf32(self, allowed: bool) -> None:
        """Whether float32 is multiplied by tensor cores from now on, where that is a setting of the process."""

    def begin(self, case: Case) -> None:
        """Settings for a case. A training step's parameters and inputs stay float32."""
        lowered = case.precision in ("float16", "bfloat16") and isinstance(case, Operation)
        self.dtype = getattr(self.library, case.precision if lowered else "float32")
        self.tf32(case.precision == "tf32")

    def lowered(self, case: Workload) -> AbstractContextManager[Any]:
        if case.precision not in ("float16", "bfloat16"):
            return nullcontext()
        found: AbstractContextManager[Any] = self.library.autocast("cuda", dtype=getattr(self.library, case.precision))
        return found

    def rounding(self, case: Case, step: Callable[[], Any]) -> Callable[[], Any]:
        """The step as the case's precision has it, where that is not a setting of the process."""
        return step

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        self.begin(case)
        return self.rounding(case, super().workload(case, weights, data))

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        self.begin(case)
        return self.rounding(case, super().operation(case, inputs))

    def update(self, case: Update, parameters: list[Any], gradients: list[Any]) -> Callable[[], Any]:
        self.begin(case)
        return super().update(case, parameters, gradients)

    def move(self, module: Any) -> Any:
        return module.to(self.device, self.dtype)

    def place(self, array: Any, requires_grad: bool = False) -> Any:
        """On the device; floats in the case's dtype."""
        placed = self.library.tensor(array, device=self.device)
        placed = placed.to(self.dtype) if array.dtype.kind == "f" else placed
        return placed.requires_grad_() if requires_grad else placed

    def arrays(self, result: Any) -> list[Any]:
        """About `SAMPLED` elements of each result, evenly spread: more would take longer to compare than to compute."""
        found = []
        for r in result if isinstance(result, tuple | list) else [result]:
            flat = r.detach().reshape(-1)
            found.append(flat[:: flat.shape[0] // SAMPLED | 1].to(self.library.float32).cpu().numpy())
        return found


def by_events(events: Any, elapsed: Callable[[Any, Any], float], step: Callable[[], Any], number: int) -> float:
    """Seconds per call over `number` calls, between two events; `elapsed` gives milliseconds."""
    start, end = events(), events()
    if number > 1:
        step()
    start.record()
    for _ in range(number):
        step()
    end.record()
    end.synchronize()
    return elapsed(start, end) / 1e3 / number


class ByCuPy(Contender):
    """Events and memory of what computes through CuPy."""

    def timed(self, step: Callable[[], Any], number: int) -> float:
        cuda = import_module("cupy").cuda
        return by_events(cuda.Event, cuda.get_elapsed_time, step, number)

    def release(self) -> None:
        import_module("cupy").get_default_memory_pool().free_all_blocks()

    def peak(self, step: Callable[[], Any]) -> int:
        cupy: Any = import_module("cupy")
        used = most = cupy.get_default_memory_pool().used_bytes()

        class Watch(cupy.cuda.MemoryHook):  # type: ignore[name-defined, misc, unused-ignore]
            """Adds up what is taken and given back."""

            def malloc_postprocess(self, **told: Any) -> None:
                nonlocal used, most
                used += told["mem_size"]
                most = max(most, used)

            def free_postprocess(self, **told: Any) -> None:
                nonlocal used
                used -= told["mem_size"]

        with Watch():
            step()
        return int(most)


class ChainRuleOnCuda(ByCuPy, OnCuda, ChainRule):
    """chainrule as anyone would use it."""

    def start(self, threads: int) -> None:
        self.library = import_module("chainrule")
        self.nn, self.functional = import_module("chainrule.layers"), import_module("chainrule.functional")
        if not self.library.cuda.is_available():
            raise NotImplementedError(self.library.cuda.why_not())

    def rounding(self, case: Case, step: Callable[[], Any]) -> Callable[[], Any]:
        if case.precision != "tf32":
            return step

        def rounded() -> Any:
            with self.library.cuda.allow_tf32():
                return step()

        return rounded


class OverArrays(ChainRuleOnCuda):
    """Operations on raw arrays of CuPy."""

    def function(self, case: Operation) -> Callable[..., Any] | None:
        """What computes the case from arrays; None where nothing does."""
        raise NotImplementedError

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        self.begin(case)
        function = self.function(case)
        if function is None:
            raise NotImplementedError
        arrays = [self.place(array).data for array in inputs]
        return self.rounding(case, lambda: function(*arrays))

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        raise NotImplementedError

    def update(self, case: Update, parameters: list[Any], gradients: list[Any]) -> Callable[[], Any]:
        raise NotImplementedError

    def arrays(self, result: Any) -> list[Any]:
        flat = result.reshape(-1)
        return [flat[:: flat.shape[0] // SAMPLED | 1].astype(np.float32).get()]


class ChainRuleTiled(OverArrays):
    """The kernels of our own that are there to be read."""

    name = "chainrule-tiled"
    settings = "tiled_matmul, which the library does not use"

    def function(self, case: Operation) -> Callable[..., Any] | None:
        return case.twin


class CuPy(OverArrays):
    """CuPy's functions, which call cuBLAS."""

    name = module = "cupy"

    def versions(self) -> str:
        return f"cupy {getattr(import_module('cupy'), '__version__', '?')}"

    def tf32(self, allowed: bool) -> None:
        """As CUPY_TF32=1 does at its import."""
        core = getattr(import_module("cupy"), "_core", None)
        if hasattr(core, "set_compute_type"):
            kinds = import_module("cupy._core._routines_linalg")
            core.set_compute_type(np.float32, kinds.COMPUTE_TYPE_TF32 if allowed else kinds.COMPUTE_TYPE_DEFAULT)
        elif allowed:
            raise NotImplementedError("this CuPy cannot be told to use tf32")

    def function(self, case: Operation) -> Callable[..., Any] | None:
        run, cupy = case.numpy, import_module("cupy")
        return None if run is None else lambda *arrays: run(cupy, *arrays)


class TorchOnCuda(OnCuda, Torch):
    """PyTorch, op by op."""

    def start(self, threads: int) -> None:
        self.library = import_module("torch")
        self.nn, self.functional = self.library.nn, import_module("torch.nn.functional")
        if not self.library.cuda.is_available():
            raise NotImplementedError(f"torch {self.library.__version__} finds no CUDA device")

    def tf32(self, allowed: bool) -> None:
        self.library.backends.cuda.matmul.allow_tf32 = self.library.backends.cudnn.allow_tf32 = allowed

    def timed(self, step: Callable[[], Any], number: int) -> float:
        cuda = self.library.cuda
        return by_events(lambda: cuda.Event(enable_timing=True), lambda start, end: start.elapsed_time(end), step, number)

    def release(self) -> None:
        self.library.cuda.empty_cache()

    def peak(self, step: Callable[[], Any]) -> int:
        self.library.cuda.synchronize()
        self.library.cuda.reset_peak_memory_stats()
        step()
        return int(self.library.cuda.max_memory_allocated())


class TorchCompileOnCuda(TorchOnCuda, TorchCompile):
    """PyTorch with model and loss compiled by inductor, forward and backward."""
