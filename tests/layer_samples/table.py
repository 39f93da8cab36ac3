"""What a row of the table of layers is, and how a layer is built and called from it: ours or torch's, to compare them."""

import hashlib
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

import chainrule as cr


@dataclass(frozen=True)
class LayerSample:
    """A layer, and what it is called with.

    `name` is the class in chainrule.layers, and in torch.nn unless `torch` says another, a function of (torch, *args, **kwargs)
    that makes the module, or None where torch has none. Among the constructor's arguments arrays become tensors and rows of this
    table become layers. `inputs` are the positional arguments of the call, `call` those by name: float arrays are inputs to
    differentiate by, integer and bool arrays become tensors, None and numbers stay, tuples are taken apart.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]
    call: dict[str, Any] = field(default_factory=dict)
    torch: Any = ""
    train: bool = True  # in training mode; layers that draw random numbers are compared in evaluation mode
    onnx: bool = True  # can be exported
    differentiable: bool = True
    tolerance: float = 1.0  # times the usual one
    label: str = ""

    def __str__(self) -> str:
        return f"{self.name}{'-' + self.label if self.label else ''}"


def layer(name: str, *args: Any, inputs: Any, call: Any = None, torch: Any = "", train: bool = True, onnx: bool = True,
          differentiable: bool = True, tolerance: float = 1.0, label: str = "", **kwargs: Any) -> LayerSample:
    """A row: `layer("Linear", 3, 2, bias=False, inputs=[normal(4, 3)])`."""
    return LayerSample(name, args, kwargs, tuple(inputs), call or {}, torch, train, onnx, differentiable, tolerance, label)


def replace(value: Any, convert: Any) -> Any:
    """`value` with `convert` applied to each array and row of the table inside tuples, lists and dicts."""
    if isinstance(value, np.ndarray | LayerSample):
        return convert(value)
    if isinstance(value, dict):
        return {key: replace(v, convert) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replace(v, convert) for v in value)
    return value


def flat(value: Any) -> list[Any]:
    """The tensors inside nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [found for v in value for found in flat(v)]
    return [value] if hasattr(value, "shape") else []


def digest(sample: LayerSample) -> str:
    """A fingerprint of a row: answers to another one are stale."""
    parts: list[bytes] = []

    def note(a: Any) -> Any:
        if isinstance(a, LayerSample):
            return digest(a)
        parts.append(np.round(a.astype(np.float64), 9).tobytes() + str(a.shape).encode())
        return "array"

    rest = replace((sample.name, sample.args, sample.kwargs, sample.inputs, sample.call, sample.train), note)
    text = repr(rest) if " at 0x" not in repr(rest) else sample.name  # functions have no lasting repr
    return hashlib.sha256(text.encode() + b"".join(parts)).hexdigest()[:16]


def values_for(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values that a parameter or buffer is given in comparisons: a function of its name and shape."""
    rng = np.random.default_rng(crc32(f"{name}{tuple(shape)}".encode()))
    drawn = rng.normal(size=shape) * 0.5
    return np.asarray(np.abs(drawn) + 0.5 if name.endswith(("running_var", "weight_g", "original0")) else drawn)


def build(sample: LayerSample, dtype: Any = np.float64) -> Any:
    """Our layer, in this dtype and with its own first values."""
    def convert(value: Any) -> Any:
        if isinstance(value, LayerSample):
            return build(value, dtype)
        return cr.tensor(value.astype(dtype) if value.dtype.kind == "f" else value)

    made = getattr(cr.layers, sample.name)(*replace(sample.args, convert), **replace(sample.kwargs, convert))
    return made.to(cr.float64 if dtype == np.float64 else cr.float32).train(sample.train)


def fill(module: Any) -> Any:
    """Give all floating-point parameters and buffers the values of `values_for`; returns the module."""
    state = module.state_dict()
    module.load_state_dict({name: values_for(name, tuple(t.shape)) for name, t in state.items() if t.dtype.kind == "f"},
                           strict=False)
    return module


@dataclass
class Answer:
    """What a layer computed: outputs, gradients of Σ w·output by inputs and by parameters, and the state afterwards."""

    outputs: list[np.ndarray]
    inputs: list[np.ndarray]
    parameters: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def upstream(i: int, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of output number i, which the layer is asked to pass back."""
    return values_for(f"upstream{i}", shape)


def ours(sample: LayerSample, module: Any, dtype: Any = np.float64, device: str = "cpu") -> Answer:
    """Call our layer, which is on this device, and walk back."""
    leaves: list[Any] = []

    def convert(value: Any) -> Any:
        t = cr.tensor(value.astype(dtype) if value.dtype.kind == "f" else value, device=device)
        if value.dtype.kind == "f" and sample.differentiable:
            leaves.append(t.requires_grad_())
        return t

    outputs = [t for t in flat(module(*replace(sample.inputs, convert), **replace(sample.call, convert)))]
    floats = [(i, t) for i, t in enumerate(outputs) if t.requires_grad]
    if floats and sample.differentiable:
        sum((t * cr.tensor(upstream(i, t.shape).astype(dtype), device=device)).sum() for i, t in floats).backward()
    host = lambda t: t.detach().cpu().data
    zeros = lambda t: np.zeros(t.shape, t.data.dtype) if t.grad is None else host(t.grad)
    return Answer([host(t) for t in outputs], [zeros(t) for t in leaves],
                  {name: zeros(p) for name, p in module.named_parameters()} if sample.differentiable else {},
                  {name: host(t).copy() for name, t in module.state_dict().items()})


def build_torch(sample: LayerSample) -> Any:
    """torch's layer, in float64 and with its own first values."""
    import torch

    def convert(value: Any) -> Any:
        return build_torch(value) if isinstance(value, LayerSample) else torch.tensor(value)

    args, kwargs = replace(sample.args, convert), replace(sample.kwargs, convert)
    if callable(sample.torch):
        made = sample.torch(torch, *args, **kwargs)
    else:
        made = getattr(torch.nn, sample.torch or sample.name)(*args, **kwargs)
    return made.double().train(sample.train)


def theirs(sample: LayerSample, module: Any) -> Answer:
    """Call torch's layer, filled by `fill`'s values, and walk back."""
    import torch

    state = module.state_dict()
    module.load_state_dict({name: torch.tensor(values_for(name, tuple(t.shape))) if t.is_floating_point() else t
                            for name, t in state.items()})
    leaves: list[Any] = []

    def convert(value: Any) -> Any:
        t = torch.tensor(value)
        if value.dtype.kind == "f" and sample.differentiable:
            leaves.append(t.requires_grad_())
        return t

    outputs = flat(module(*replace(sample.inputs, convert), **replace(sample.call, convert)))
    floats = [(i, t) for i, t in enumerate(outputs) if t.requires_grad]
    if floats and sample.differentiable:
        sum((t * torch.tensor(upstream(i, tuple(t.shape)))).sum() for i, t in floats).backward()
    zeros = lambda t: np.zeros(tuple(t.shape)) if t.grad is None else t.grad.detach().numpy()
    return Answer([t.detach().numpy() for t in outputs], [zeros(t) for t in leaves],
                  {name: zeros(p) for name, p in module.named_parameters()} if sample.differentiable else {},
                  {name: t.detach().numpy().copy() for name, t in module.state_dict().items()})


def first_values(make: Any, seed: Any, count: int = 40) -> dict[str, np.ndarray]:
    """(mean, standard deviation, largest magnitude, number) of each parameter's first values, over `count` fresh layers."""
    drawn: dict[str, list[np.ndarray]] = {}
    seed(0)
    for _ in range(count):
        for name, p in make().named_parameters():
            drawn.setdefault(name, []).append(np.asarray(p.detach(), dtype=np.float64).ravel().copy())
    pooled = {name: np.concatenate(values) for name, values in drawn.items()}
    return {name: np.array([v.mean(), v.std(), np.abs(v).max(initial=0), v.size]) for name, v in pooled.items() if v.size}
