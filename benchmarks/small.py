"""Libraries that were written to teach, as contenders for the multi-layer perceptrons, in words of their own."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.cases import Workload
from benchmarks.contender import Arrays, Contender

__all__ = ["Autograd", "MyGrad", "Tinygrad"]


class NumPyAdam:
    """Adam over a dict of arrays, in place, with as few temporaries as NumPy allows."""

    def __init__(self, parameters: Arrays, lr: float) -> None:
        self.lr, self.count, self.parameters = lr, 0, parameters
        self.moments = {name: (np.zeros_like(p), np.zeros_like(p), np.empty_like(p)) for name, p in parameters.items()}

    def step(self, gradients: Arrays) -> None:
        """Change the parameters."""
        self.count += 1
        rate, scale = self.lr / (1 - 0.9**self.count), (1 - 0.999**self.count) ** -0.5
        for name, p in self.parameters.items():
            g, (m, v, scratch) = gradients[name], self.moments[name]
            m *= 0.9
            m += np.multiply(g, 0.1, out=scratch)
            v *= 0.999
            np.multiply(g, g, out=scratch)
            v += np.multiply(scratch, 0.001, out=scratch)
            np.sqrt(v, out=scratch)
            scratch *= scale
            scratch += 1e-8
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            p -= scratch


def layers_of(parameters: Arrays) -> list[str]:
    """The names "0", "2", … of the linear layers."""
    return [str(2 * i) for i in range(len(parameters) // 2)]


class Autograd(Contender):
    """Functions of NumPy arrays that are traced at each call."""

    name = module = "autograd"
    settings = "value_and_grad of the loss, Adam in NumPy"

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        anp = import_module("autograd.numpy")
        layers, (x, y) = layers_of(weights), data
        squares = case.jax == "mlp_mse"
        rows = np.arange(len(x))

        def loss_of(p: Any) -> Any:
            h = x
            for i, layer in enumerate(layers):
                h = anp.dot(h, anp.transpose(p[f"{layer}.weight"])) + p[f"{layer}.bias"]
                h = h if i == len(layers) - 1 else anp.maximum(h, 0)
            if squares:
                return anp.mean(anp.square(h - y))
            h = h - anp.max(h, 1, keepdims=True)
            return anp.mean(anp.log(anp.sum(anp.exp(h), 1)) - h[rows, y])

        both, optimizer = import_module("autograd").value_and_grad(loss_of), NumPyAdam(weights, case.lr)

        def step() -> Any:
            loss, gradients = both(weights)
            optimizer.step(gradients)
            return loss

        return step


class MyGrad(Contender):
    """Tensors around NumPy arrays."""

    name = module = "mygrad"
    settings = "Adam in NumPy"

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        mg, losses = import_module("mygrad"), import_module("mygrad.nnet.losses")
        relu = import_module("mygrad.nnet.activations").relu
        layers, (x, y) = layers_of(weights), data
        tensors = {name: mg.tensor(array, copy=False) for name, array in weights.items()}
        optimizer = NumPyAdam({name: t.data for name, t in tensors.items()}, case.lr)
        squares = case.jax == "mlp_mse"

        def step() -> Any:
            h = x
            for i, layer in enumerate(layers):
                h = mg.matmul(h, tensors[f"{layer}.weight"].T) + tensors[f"{layer}.bias"]
                h = h if i == len(layers) - 1 else relu(h)
            loss = mg.mean(mg.square(h - y)) if squares else losses.softmax_crossentropy(h, y)
            loss.backward()
            optimizer.step({name: t.grad for name, t in tensors.items()})
            for t in tensors.values():
                t.null_grad()
            return loss.item()

        return step


class Tinygrad(Contender):
    """Lazy tensors whose kernels are compiled (by clang or LLVM, which have to be installed) and replayed by TinyJit."""

    name = module = "tinygrad"
    settings = "TinyJit of the whole step"

    def start(self, threads: int) -> None:
        device = import_module("tinygrad").Device.DEFAULT
        if device not in ("CPU", "LLVM", "CLANG"):
            raise NotImplementedError(f"its device is {device}; on the processor it needs clang or LLVM")

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        tinygrad = import_module("tinygrad")
        Tensor, layers = tinygrad.Tensor, layers_of(weights)
        p = {name: Tensor(array).realize() for name, array in weights.items()}
        x, y = (Tensor(array.astype(np.int32) if array.dtype.kind == "i" else array).realize() for array in data)
        optimizer = import_module("tinygrad.nn.optim").Adam(list(p.values()), lr=case.lr)
        squares, training = case.jax == "mlp_mse", import_module("tinygrad.helpers").Context

        def whole() -> Any:
            optimizer.zero_grad()
            h = x
            for i, layer in enumerate(layers):
                h = h.linear(p[f"{layer}.weight"].T, p[f"{layer}.bias"])
                h = h if i == len(layers) - 1 else h.relu()
            loss = (h - y).square().mean() if squares else h.sparse_categorical_crossentropy(y)
            loss.backward()
            return loss.realize(*optimizer.schedule_step())

        compiled = tinygrad.TinyJit(whole)

        def step() -> Any:
            with training(TRAINING=1):
                return compiled().numpy()

        return step
