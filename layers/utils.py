"""Weights computed from other parameters, and all parameters as one vector: the names of torch.nn.utils."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph import no_grad
from chainrule.layers.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.layers.module import Module, Parameter
from chainrule.names import ops
from chainrule.state import state
from chainrule.tensor import Tensor

__all__ = ["parameters_to_vector", "remove_spectral_norm", "remove_weight_norm", "spectral_norm",
           "vector_to_parameters", "weight_norm"]

Layer = TypeVar("Layer", bound=Module)


# ---- attributes that are computed

def set_computed(module: Module, computed: dict[str, Callable[[Any], Tensor]]) -> None:
    """Have these attributes of one module computed, and recorded, whenever they are looked at.

    The module gets a class of its own, derived from the one it had, on which each of them is a property. So they are
    never stale, nothing keeps their graph alive, and copies of the module compute their own. An empty dict gives the
    former class back.
    """
    plain = getattr(type(module), "_plain", type(module))
    names = {name: property(function) for name, function in computed.items()}
    own = {"__doc__": plain.__doc__, "__module__": plain.__module__, "_plain": plain, "_computed": computed, **names}
    object.__setattr__(module, "__class__", type(plain.__name__, (plain,), own) if computed else plain)


def computed_of(module: Module) -> dict[str, Callable[[Any], Tensor]]:
    """Which attributes of the module are computed, and how."""
    found: dict[str, Callable[[Any], Tensor]] = getattr(type(module), "_computed", {})
    return found


def take_out(op: str, module: Module, name: str) -> Parameter:
    """The parameter of that name, which the module has no longer. AttributeError where there is none."""
    found = vars(module).get(name)
    if not isinstance(found, Parameter):
        has = ", ".join(n for n, _ in module.named_parameters(recurse=False)) or "none"
        why = "is computed already" if name in computed_of(module) else "is no parameter"
        raise AttributeError(f"{op}: {name!r} of {module.head()} {why}; its own parameters are: {has}")
    delattr(module, name)
    return found


def give_back(op: str, kind: str, module: Layer, name: str, parts: tuple[str, ...]) -> Layer:
    """Make a computed attribute a parameter again, with its value now, and drop what it was computed from."""
    if name not in computed_of(module) or not all(hasattr(module, part) for part in parts):
        raise ValueError(f"{op}: {name!r} of {module.head()} has no {kind}")
    with no_grad():
        value = getattr(module, name)
    set_computed(module, {n: f for n, f in computed_of(module).items() if n != name})
    for part in parts:
        delattr(module, part)
    module._buffer_names = {n: saved for n, saved in module._buffer_names.items() if n not in parts}
    setattr(module, name, Parameter(value.detach()))
    return module


# ---- weight norm

def norm_but(v: Any, dim: int | None) -> Any:
    """The Euclidean norm over all axes but `dim`, which stays with the others at size 1; of everything for None."""
    axes = tuple(a for a in range(v.ndim) if a != dim)
    return ops.sqrt(ops.sum(ops.square(v), None if dim is None else axes, keepdim=dim is not None)) if axes else ops.abs(v)


def weight_norm(module: Layer, name: str = "weight", dim: int | None = 0) -> Layer:
    """Have the parameter `name` computed as w = g · v / ‖v‖: its length and its direction are trained apart.

    The parameter is replaced by `name_v`, of its shape, which starts as the parameter was, and `name_g`, one norm for
    each index of axis `dim` (for each output by default; axes of size 1 elsewhere), or for None or −1 a single one. The
    attribute `name` is then computed, and recorded, whenever it is looked at. Returns the module. Call it before the
    optimizer is given the parameters.

    Raises AttributeError where the module has no such parameter, IndexError for an axis that it has not. Salimans &
    Kingma (2016), "Weight normalization: a simple reparameterization to accelerate training of deep neural networks".

    >>> from chainrule.layers import Linear
    >>> layer = weight_norm(Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()], layer.weight.shape
    ([('bias', (2,)), ('weight_g', (2, 1)), ('weight_v', (2, 3))], (2, 3))
    """
    axis = None if dim == -1 else dim  # as in torch, -1 is no axis counted from the end
    given = vars(module).get(name)
    if isinstance(given, Parameter) and axis is not None and not 0 <= axis < given.ndim:
        raise IndexError(f"weight_norm: dim={dim} is no axis of {name} of shape {given.shape}; use 0 to {given.ndim - 1}, "
                         "or None for one norm of it all")
    weight = take_out("weight_norm", module, name).detach()
    module.register_parameter(name + "_g", Parameter(norm_but(weight, axis)))
    module.register_parameter(name + "_v", Parameter(weight))

    def compute(own: Any) -> Tensor:
        g, v = getattr(own, name + "_g"), getattr(own, name + "_v")
        found: Tensor = v * (g / norm_but(v, axis))
        return found

    set_computed(module, computed_of(module) | {name: compute})
    return module


def remove_weight_norm(module: Layer, name: str = "weight") -> Layer:
    """Make the weight-normalised parameter `name` a plain one again, with the value it has. Returns the module.

    Raises ValueError where it has no weight norm.

    >>> from chainrule.layers import Linear
    >>> layer = remove_weight_norm(weight_norm(Linear(3, 2)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    return give_back("remove_weight_norm", "weight norm", module, name, (name + "_g", name + "_v"))


# ---- spectral norm

class PowerIteration:
    """A forward pre-hook: in training, `times` steps towards the singular vectors u, v of W's largest singular value."""

    def __init__(self, name: str, dim: int, times: int, eps: float) -> None:
        self.name, self.dim, self.times, self.eps = name, dim, times, eps

    def matrix(self, weight: Any) -> Any:
        """The weight as a matrix, (size of axis dim, all the rest)."""
        first = weight if self.dim == 0 else ops.moveaxis(weight, self.dim, 0)
        return ops.reshape(first, (first.shape[0], -1))

    def unit(self, x: Any) -> Any:
        """x / ‖x‖."""
        return x / ops.clamp(ops.sqrt(ops.sum(ops.square(x))), self.eps)

    def step(self, module: Any, times: int) -> None:
        """v = Wᵀu / ‖Wᵀu‖, u = Wv / ‖Wv‖, over and over."""
        u, v = (getattr(module, self.name + end) for end in ("_u", "_v"))
        with no_grad():
            w = self.matrix(getattr(module, self.name + "_orig").detach())
            for _ in range(times):
                ops.write_into(v, self.unit(ops.matmul(w.mT, u)))
                ops.write_into(u, self.unit(ops.matmul(w, v)))

    def __call__(self, module: Any, args: Any) -> None:
        if module.training and not state.recomputing:
            self.step(module, self.times)

    def weight(self, module: Any) -> Any:
        """W / σ with σ = uᵀWv; copies of u and v, since the graph needs them when they have moved on."""
        weight = getattr(module, self.name + "_orig")
        u, v = (getattr(module, self.name + end).clone() for end in ("_u", "_v"))
        return weight / ops.sum(u * ops.matmul(self.matrix(weight), v))


def spectral_norm(module: Layer, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Layer:
    """Have the parameter `name` divided by its largest singular value σ, so that the layer stretches nothing.

    The parameter is replaced by `name_orig`; the attribute `name` is computed, and recorded, as W / σ whenever it is
    looked at. W is seen as a matrix of axis `dim` (0, or 1 for transposed convolutions, unless given) by all the rest.
    σ = uᵀWv with the buffers `name_u` and `name_v`, which every forward in training moves by `n_power_iterations` steps
    of the power method towards the singular vectors. Returns the module.

    Raises AttributeError where the module has no such parameter, ValueError for fewer than one step. Miyato et al.
    (2018), "Spectral normalization for generative adversarial networks".

    >>> import chainrule as cr
    >>> generator = cr.manual_seed(0)
    >>> layer = spectral_norm(cr.layers.Linear(3, 2), n_power_iterations=50)
    >>> y = layer(cr.ones(1, 3))
    >>> import numpy as np
    >>> round(float(np.linalg.norm(layer.weight.detach().numpy(), 2)), 3)
    1.0
    """
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations={n_power_iterations} must be at least 1")
    if dim is None:
        dim = int(isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d))
    weight = take_out("spectral_norm", module, name)
    iteration = PowerIteration(name, dim, n_power_iterations, eps)
    rows, columns = iteration.matrix(weight.detach()).shape
    module.register_parameter(name + "_orig", weight)
    for end, size in (("_u", rows), ("_v", columns)):
        drawn = ops.empty(size, dtype=weight.dtype).normal_()
        module.register_buffer(name + end, iteration.unit(drawn))
    set_computed(module, computed_of(module) | {name: iteration.weight})
    module.register_forward_pre_hook(iteration)
    return module


def remove_spectral_norm(module: Layer, name: str = "weight") -> Layer:
    """Make the parameter `name` a plain one again, with the value it has. Returns the module.

    Raises ValueError where it has no spectral norm.

    >>> from chainrule.layers import Linear
    >>> list(remove_spectral_norm(spectral_norm(Linear(3, 2))).state_dict())
    ['bias', 'weight']
    """
    give_back("remove_spectral_norm", "spectral norm", module, name, (name + "_orig", name + "_u", name + "_v"))
    assert module._hooks is not None
    for key, entry in list(module._hooks.before.items()):
        if isinstance(entry.call, PowerIteration) and entry.call.name == name:
            del module._hooks.before[key]
    return module


# ---- all parameters in a row

def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, each in C order, as one vector; recorded.

    Raises ValueError where there are none.

    >>> from chainrule.layers import Linear
    >>> parameters_to_vector(Linear(3, 2).parameters()).shape
    (8,)
    """
    flat = [ops.reshape(p, (-1,)) for p in parameters]
    if not flat:
        raise ValueError("parameters_to_vector: there are no parameters")
    found: Tensor = ops.cat(flat, dim=0)
    return found


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector into parameters, in the order of `parameters_to_vector`. ShapeError for another number of elements.

    >>> import chainrule as cr
    >>> layer = cr.layers.Linear(2, 1)
    >>> vector_to_parameters(cr.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    listed, vec = list(parameters), ops.as_tensor(vec)
    total = sum(p.numel() for p in listed)
    if vec.shape != (total,):
        raise ShapeError(f"vector_to_parameters: the vector has shape {vec.shape}, the parameters {total} elements")
    with no_grad():
        for p, part in zip(listed, np.split(vec.data, np.cumsum([p.numel() for p in listed])[:-1]), strict=True):
            p.copy_(Tensor(part.reshape(p.shape)))
