"""The libraries that are measured, each behind the same few methods. A contender lives in a process of its own (see `worker`)."""

from importlib.util import find_spec

from benchmarks.contender import Contender
from benchmarks.cuda_contenders import ChainRuleOnCuda, ChainRuleTiled, CuPy, TorchCompileOnCuda, TorchOnCuda
from benchmarks.named import ChainRule, ChainRuleCompile, Torch, TorchCompile
from benchmarks.others import Jax, NumPy
from benchmarks.small import Autograd, MyGrad, Tinygrad

__all__ = ["BASELINES", "CONTENDERS", "ON_CUDA", "OURS", "SMALL", "Contender", "available", "contender"]

CONTENDERS: dict[str, type[Contender]] = {
    kind.name: kind for kind in (ChainRule, ChainRuleCompile, Torch, TorchCompile, Jax, NumPy, MyGrad, Autograd, Tinygrad)}
ON_CUDA: dict[str, type[Contender]] = {
    kind.name: kind for kind in (ChainRuleOnCuda, ChainRuleTiled, CuPy, TorchOnCuda, TorchCompileOnCuda)}
OURS = ("chainrule", "chainrule-compile")
BASELINES = ("numpy", "chainrule-tiled")  # without gradients; a kernel that the library does not use
SMALL = ("mygrad", "autograd", "tinygrad")  # measured on the multi-layer perceptrons alone


def contender(name: str, device: str = "cpu") -> Contender:
    """A new one of that name; ValueError for a name that there is not."""
    kinds = ON_CUDA if device == "cuda" else CONTENDERS
    if name not in kinds:
        raise ValueError(f"there is no contender {name!r}; choose from {', '.join(kinds)}")
    return kinds[name]()


def available(name: str, device: str = "cpu") -> bool:
    """Whether the library is installed."""
    return find_spec(contender(name, device).module) is not None
