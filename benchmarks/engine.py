"""What the engine itself costs: recording an operation, walking back, importing the library, the first step.

Every call is on 4 × 4 float32, where the arithmetic costs next to nothing: what is left is the call.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, Program

__all__ = ["ENGINE"]

CHAIN = 100  # multiplications


def two_small(rng: Any) -> list[Any]:
    """x and y (4, 4)."""
    return [rng.standard_normal((4, 4), dtype=np.float32) for _ in range(2)]


def call(name: str, function: Callable[[Any, Any, Any], Any]) -> Operation:
    """One recorded operation, which NumPy has under the same name."""
    return Operation(f"engine/{name}", f"{name}, 4 × 4, recorded", run=lambda L, F, x, y: function(L, x, y), inputs=two_small,
                     numpy=function, recorded=True, counted=1)


def chain(L: Any, x: Any, y: Any) -> Any:
    """x ** (CHAIN + 1), by multiplications."""
    z = x
    for _ in range(CHAIN):
        z = z * x
    return z


def chain_and_back(L: Any, F: Any, x: Any, y: Any) -> Any:
    """The chain, and the gradient of its sum."""
    x.grad = None
    chain(L, x, y).backward(y.detach())
    return x.grad


def numpy_chain_and_back(np: Any, x: Any, y: Any) -> Any:
    """The same arithmetic by hand."""
    kept, z = [], x
    for _ in range(CHAIN):
        kept.append(z)
        z = z * x
    gradient, total = y, None
    for z in reversed(kept):
        term = gradient * z
        total = term if total is None else total + term
        gradient = gradient * x
    return total + gradient


IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"

# The first training step of a new process, the library's import included: what someone waits who starts a script.
FIRST_STEP = """
import time
start = time.perf_counter()
from benchmarks.cases import all_cases
from benchmarks.contenders import contender
import numpy as np
case, who = all_cases()["workloads/cnn"], contender("{}")
who.start(1)
data = case.data(np.random.default_rng(0))
model = case.model(who.nn)
step = who.step(case, model)
step(*[who.place(array) for array in data])
print(time.perf_counter() - start)
"""

ENGINE: list[Case] = [
    call("multiply(x, y)", lambda L, x, y: L.multiply(x, y)),
    call("x * y", lambda L, x, y: x * y),
    call("x + y", lambda L, x, y: x + y),
    call("x * 2.0", lambda L, x, y: x * 2.0),
    call("exp(x)", lambda L, x, y: L.exp(x)),
    call("tanh(x)", lambda L, x, y: L.tanh(x)),
    call("x @ y", lambda L, x, y: x @ y),
    call("x.sum()", lambda L, x, y: x.sum()),
    call("x.reshape(16)", lambda L, x, y: x.reshape(16)),
    Operation("engine/chain", f"{CHAIN} multiplications, 4 × 4, recorded", run=lambda L, F, x, y: chain(L, x, y), inputs=two_small,
              numpy=chain, recorded=True, counted=CHAIN),
    Operation("engine/chain-and-back", f"{CHAIN} multiplications, 4 × 4, forward and backward", run=chain_and_back,
              inputs=two_small, numpy=numpy_chain_and_back, recorded=True, counted=CHAIN),
    Program("engine/import", "import, in a fresh process",
            programs={name: IMPORT.format(name) for name in ("numpy", "chainrule", "torch", "jax")}),
    Program("engine/first-step", "first training step of the CNN in a fresh process, import included, kernels cached",
            programs={name: FIRST_STEP.format(name) for name in ("chainrule", "torch")}),
    Program("engine/first-step-cold", "the same with no kernel compiled before", cold=True,
            programs={"chainrule": FIRST_STEP.format("chainrule")}),
]
