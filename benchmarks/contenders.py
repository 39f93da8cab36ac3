"""The libraries that are measured, each behind the same few methods. A contender lives in a process of its own (see `worker`)."""

from importlib.util import find_spec

from benchmarks.contender import Contender
from benchmarks.named import ChainRule, ChainRuleCompile, Torch, TorchCompile
from benchmarks.others import Jax, NumPy
from benchmarks.small import Autograd, MyGrad, Tinygrad

__all__ = ["CONTENDERS", "OURS", "SMALL", "Contender", "available", "contender"]

CONTENDERS: dict[str, type[Contender]] = {
    kind.name: kind for kind in (ChainRule, ChainRuleCompile, Torch, TorchCompile, Jax, NumPy, MyGrad, Autograd, Tinygrad)}
OURS = ("chainrule", "chainrule-compile")
SMALL = ("mygrad", "autograd", "tinygrad")  # measured on the multi-layer perceptrons alone


def contender(name: str) -> Contender:
    """A new one of that name; ValueError for a name that there is not."""
    if name not in CONTENDERS:
        raise ValueError(f"there is no contender {name!r}; choose from {', '.join(CONTENDERS)}")
    return CONTENDERS[name]()


def available(name: str) -> bool:
    """Whether the library is installed."""
    return find_spec(contender(name).module) is not None
