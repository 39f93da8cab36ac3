"""The contenders whose programs are written in their own words."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.cases import Operation, Update, Workload
from benchmarks.contender import Arrays, Contender, drawn_parameters, gradient_like

__all__ = ["Jax", "NumPy"]


class Jax(Contender):
    """jax: the whole step in one jit, the parameters and moments donated."""

    name = module = "jax"
    settings = "jit of the whole step, parameters and moments donated"
    jax: Any
    images = False  # whether those of the operation are NHWC inside

    def start(self, threads: int) -> None:
        self.jax = import_module("jax")

    def adam_state(self, parameters: Any) -> Any:
        """Parameters, two moments, and the number of steps."""
        zeros = self.jax.numpy.zeros_like
        return parameters, *(self.jax.tree.map(zeros, parameters) for _ in range(2)), self.jax.numpy.float32(0)

    def adam(self, state: Any, gradients: Any, lr: float) -> Any:
        """The state after a step."""
        jax, (parameters, first, second, count) = self.jax, state
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        rate, scale = lr / (1 - 0.9**count), jax.lax.rsqrt(1 - 0.999**count)
        change = lambda p, m, v: p - rate * m / (jax.numpy.sqrt(v) * scale + 1e-8)
        return jax.tree.map(change, parameters, first, second), first, second, count

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        jax, jnp = self.jax, self.jax.numpy
        loss_of = import_module("benchmarks.workloads_jax").loss_of(case.jax)

        def step(state: Any, *data: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(state[0], *data)
            return self.adam(state, gradients, case.lr), loss

        compiled = jax.jit(step, donate_argnums=0)
        state = self.adam_state({name: jnp.array(array) for name, array in weights.items()})
        batch = [jnp.array(array) for array in data]

        def call() -> Any:
            nonlocal state
            state, loss = compiled(state, *batch)
            return loss.block_until_ready()

        return call

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        if not case.jax:
            raise NotImplementedError
        self.images = case.images
        jax, jnp = self.jax, self.jax.numpy
        function = import_module("benchmarks.operations_jax").function_of(case.jax, **case.options)
        arrays = [jnp.array(a.transpose(0, 2, 3, 1) if case.images and a.ndim == 4 and i == 0 else a) for i, a in enumerate(inputs)]
        if case.layer:
            parameters = drawn_parameters(case.layer(import_module("chainrule.layers")).state_dict())
            arrays.insert(0, {name: jnp.array(array) for name, array in parameters.items()})
        if not case.training:
            forward = jax.jit(function)
            return lambda: forward(*arrays).block_until_ready()
        wanted = [i for i, a in enumerate(arrays) if isinstance(a, dict) or a.dtype.kind == "f"]
        shape = jax.eval_shape(function, *arrays).shape
        upstream = gradient_like(shape if not case.images else tuple(shape[i] for i in (0, 3, 1, 2)))
        upstream = jnp.array(upstream.transpose(0, 2, 3, 1) if case.images else upstream)

        def both(upstream: Any, *arrays: Any) -> Any:
            def of_wanted(*chosen: Any) -> Any:
                return function(*(chosen[wanted.index(i)] if i in wanted else a for i, a in enumerate(arrays)))

            result, back = jax.vjp(of_wanted, *(arrays[i] for i in wanted))
            return result, *back(upstream)

        compiled = jax.jit(both)
        return lambda: jax.block_until_ready(compiled(upstream, *arrays))

    def update(self, case: Update, parameters: list[Any], gradients: list[Any]) -> Callable[[], Any]:
        compiled = self.jax.jit(lambda state, gradients: self.adam(state, gradients, 1e-3), donate_argnums=0)
        state, arrays = self.adam_state([self.jax.numpy.array(p) for p in parameters]), list(map(self.jax.numpy.array, gradients))

        def step() -> Any:
            nonlocal state
            state = self.jax.block_until_ready(compiled(state, arrays))
            return state[0]

        return step

    def arrays(self, result: Any) -> list[Any]:
        """The images of an operation as NCHW, a layer's parameters behind its inputs; all as NumPy arrays."""
        results = list(result) if isinstance(result, tuple | list) else [result]
        layers = [r for r in results if isinstance(r, dict)]
        results = [r for r in results if not isinstance(r, dict)] + [r[name] for r in layers for name in sorted(r)]
        images = 2 if self.images else 0  # the result and the first input's gradient
        return [np.asarray(r).transpose(0, 3, 1, 2) if i < images and r.ndim == 4 else np.asarray(r) for i, r in enumerate(results)]


class NumPy(Contender):
    """What the arithmetic costs without gradients; it takes part where a case says how."""

    name = module = "numpy"

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        if case.numpy is None:
            raise NotImplementedError
        function = case.numpy
        return lambda: function(np, *inputs)
