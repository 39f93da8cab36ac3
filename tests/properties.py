"""From a row of the sample table to functions and inputs: what the property tests share."""

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import names
from chainrule.tensor import Tensor
from tests.samples.table import Sample


def resolve(root: Any, name: str) -> Callable[..., Any]:
    """The function at a dotted name; `Tensor.f` is the method f of its first argument."""
    first, _, rest = name.partition(".")
    if first == "Tensor":
        return lambda self, *args, **kwargs: getattr(self, rest)(*args, **kwargs)
    if root is cr and not hasattr(cr, first):
        root = names.ops  # a row that users do not call by itself
    for part in name.split("."):
        root = getattr(root, part)
    found: Callable[..., Any] = root
    return found


def map_arrays(value: Any, f: Callable[[np.ndarray], Any]) -> Any:
    """The same structure of lists, tuples and dicts with f applied to each array."""
    if isinstance(value, np.ndarray):
        return f(value)
    if isinstance(value, list | tuple):
        return type(value)(map_arrays(v, f) for v in value)
    if isinstance(value, dict):
        return {k: map_arrays(v, f) for k, v in value.items()}
    return value


class Case:
    """A sample's function of its float inputs alone, and those inputs, on a device."""

    def __init__(self, sample: Sample, device: str = "cpu") -> None:
        self.sample, self.device = sample, device
        self.arrays: list[np.ndarray] = []
        map_arrays((sample.args, sample.kwargs), lambda a: self.arrays.append(a) if a.dtype.kind == "f" else None)

    def fill(self, inputs: Any, other: Callable[[np.ndarray], Any]) -> tuple[Any, Any]:
        """The arguments with `inputs` in place of the float arrays, `other` applied to integer and bool ones."""
        given = iter(inputs)
        filled: tuple[Any, Any] = map_arrays((self.sample.args, self.sample.kwargs),
                                             lambda a: next(given) if a.dtype.kind == "f" else other(a))
        return filled

    def leaves(self, dtype: Any = np.float64, requires_grad: bool = True) -> tuple[Tensor, ...]:
        """The float inputs as tensors."""
        return tuple(self.place(a.astype(dtype)).requires_grad_(requires_grad) for a in self.arrays)

    def place(self, array: np.ndarray) -> Tensor:
        """The array as a tensor on the device."""
        return Tensor(array).to(self.device)

    def all(self, *inputs: Any) -> tuple[Tensor, ...]:
        """All tensors the function returns for these float inputs, seeded."""
        cr.manual_seed(7)
        args, kwargs = self.fill(inputs, lambda a: self.place(a.copy()))
        return flatten(resolve(cr, self.sample.name)(*args, **kwargs), Tensor)

    def __call__(self, *inputs: Any) -> tuple[Tensor, ...]:
        """The floating-point tensors among them, which have gradients."""
        return tuple(t for t in self.all(*inputs) if t.dtype.kind in "fc")

    def values_and_gradients(self, dtype: Any = np.float64) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The outputs, and the gradients of a fixed weighting of the differentiable ones."""
        leaves = self.leaves(dtype, self.sample.differentiable)
        outputs = self.all(*leaves)
        values = [np.array(t.detach().cpu().data) for t in outputs]
        if not self.sample.differentiable or not leaves:
            return values, []
        roots = [t for t in outputs if t.requires_grad]
        found = cr.grad(roots, leaves, [Tensor(weights(t.shape).astype(t.dtype)).to(t.device) for t in roots], allow_unused=True)
        return values, [np.zeros(x.shape, x.dtype) if g is None else np.array(g.cpu().data)
                        for g, x in zip(found, leaves, strict=True)]


def weights(shape: Any) -> np.ndarray:
    """Output gradients that are all different: the same for every framework."""
    return np.cos(np.arange(int(np.prod(shape, dtype=int)), dtype=np.float64) + 0.5).reshape(shape)


def flatten(value: Any, kind: type) -> tuple[Any, ...]:
    """The objects of a kind in nested tuples and lists, in order; Python numbers and bools as arrays."""
    if isinstance(value, kind):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(v for part in value for v in flatten(part, kind))
    return ()


def torch_answers(sample: Sample) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """torch's outputs and gradients for a sample, in float64; None where it has no counterpart."""
    if sample.torch is None:
        return None
    import torch

    case = Case(sample)
    leaves = [torch.tensor(a, requires_grad=sample.differentiable) for a in case.arrays]
    # in-place methods do not take leaves
    args, kwargs = case.fill([x.clone() if sample.differentiable else x for x in leaves], torch.tensor)
    if callable(sample.torch):
        result = sample.torch(torch, *args, **kwargs)
    else:
        name = sample.torch or sample.name
        root, name = (torch.nn, name) if name.startswith("functional.") else (torch, name)
        result = resolve(root, name)(*args, **kwargs)
    outputs = flatten(result, torch.Tensor)
    values = [o.detach().numpy().copy() for o in outputs]
    roots = [o for o in outputs if o.requires_grad]
    if not sample.differentiable or not leaves or not roots:
        return values, []
    found = torch.autograd.grad(roots, leaves, [torch.tensor(weights(tuple(o.shape))) for o in roots], allow_unused=True)
    return values, [np.zeros(a.shape) if g is None else g.numpy().copy() for g, a in zip(found, case.arrays, strict=True)]
