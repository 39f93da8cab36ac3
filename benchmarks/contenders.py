"""The libraries that are measured, each behind the same few methods. A contender lives in a process of its own (see `worker`)."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.cases import Operation, Workload

__all__ = ["CONTENDERS", "OURS", "Contender", "available", "contender"]

Arrays = dict[str, Any]  # the first values of the parameters under their names


class Contender:
    """What a library can be asked; a method that it cannot do raises NotImplementedError.

    `module`: what has to be installed. `settings`: what is done for its speed, told in the results.
    """

    name = ""
    module = ""
    settings = ""

    def start(self, threads: int) -> None:
        """Import the library and let it use that many threads."""

    def versions(self) -> str:
        """The library's version and settings in one line."""
        try:
            number = version(self.module)
        except PackageNotFoundError:
            number = "?"
        return f"{self.module} {number}" + (f"; {self.settings}" if self.settings else "")

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        """A function that does one training step and returns the loss before it."""
        raise NotImplementedError

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        """A function that computes the operation once and returns its result, with the inputs' gradients when training."""
        raise NotImplementedError

    def arrays(self, result: Any) -> list[Any]:
        """What a step or operation returned, as NumPy arrays."""
        return [np.asarray(r) for r in (result if isinstance(result, tuple | list) else [result])]


def drawn_parameters(shapes: dict[str, Any]) -> Arrays:
    """First values for a layer's parameters: uniform between ±0.1, drawn in the order of their names."""
    rng = np.random.default_rng(1)
    return {name: rng.uniform(-0.1, 0.1, tuple(shapes[name].shape)).astype(np.float32) for name in sorted(shapes)}


def gradient_like(result: Any) -> Any:
    """The gradient of a result that the backward pass starts from."""
    return np.random.default_rng(2).standard_normal(tuple(result.shape), dtype=np.float32)


class Named(Contender):
    """chainrule and torch: one source for both, since the names are the same."""

    library: Any
    nn: Any
    functional: Any

    def optimizer(self, model: Any, lr: float) -> Any:
        """Adam."""
        raise NotImplementedError

    def place(self, array: Any, requires_grad: bool = False) -> Any:
        """A tensor with a copy of the array."""
        return self.library.tensor(array, requires_grad=requires_grad)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, quicker where the contender has a way."""
        return function

    def model(self, case: Workload, weights: Arrays) -> Any:
        """The model with the given first values."""
        model = case.model(self.nn)
        model.load_state_dict(model.state_dict() | {name: self.place(array) for name, array in weights.items()})
        return model

    def step(self, case: Workload, model: Any) -> Callable[..., Any]:
        """One training step as a function of the data."""
        optimizer = self.optimizer(model, case.lr)

        def step(*data: Any) -> Any:
            optimizer.zero_grad()
            loss = case.loss(self.functional, model, *data)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        step = self.step(case, self.model(case, weights))
        tensors = [self.place(array) for array in data]
        return lambda: step(*tensors)

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        L, F = self.library, self.functional
        gradients = case.training or case.recorded
        tensors = [self.place(array, gradients and array.dtype.kind == "f") for array in inputs]
        leaves = [t for t in tensors if t.requires_grad]
        if case.layer:
            module = case.layer(self.nn)
            module.load_state_dict({n: self.place(a) for n, a in drawn_parameters(module.state_dict()).items()})
            leaves += list(module.parameters())
            function = module
        else:
            assert case.run is not None
            run = case.run
            function = lambda *tensors: run(L, F, *tensors)
        function = self.compiled(function)
        if case.recorded:
            return lambda: function(*tensors)
        if not case.training:
            def forward() -> Any:
                with L.no_grad():
                    return function(*tensors)

            return forward
        first = function(*tensors)
        upstream = self.place(gradient_like(first))

        def forward_and_backward() -> Any:
            for leaf in leaves:
                leaf.grad = None
            result = function(*tensors)
            result.backward(upstream)
            return [result, *(leaf.grad for leaf in leaves)]

        return forward_and_backward


class ChainRule(Named):
    """chainrule as anyone would use it."""

    name = module = "chainrule"

    def start(self, threads: int) -> None:
        self.library = import_module("chainrule")
        self.nn, self.functional = import_module("chainrule.layers"), import_module("chainrule.functional")
        self.library.set_num_threads(threads)

    def optimizer(self, model: Any, lr: float) -> Any:
        return self.library.optim.Adam(model.parameters(), lr=lr)

    def arrays(self, result: Any) -> list[Any]:
        return [r.detach().numpy() for r in (result if isinstance(result, tuple | list) else [result])]


class ChainRuleCompile(ChainRule):
    """chainrule with the step recorded once and replayed."""

    name = "chainrule-compile"
    settings = "cr.compile(step)"

    def start(self, threads: int) -> None:
        super().start(threads)
        if not hasattr(self.library, "compile"):
            raise NotImplementedError("this chainrule has no cr.compile")

    def step(self, case: Workload, model: Any) -> Callable[..., Any]:
        compiled: Callable[..., Any] = self.library.compile(super().step(case, model))
        return compiled


class Torch(Named):
    """PyTorch, op by op."""

    name = module = "torch"
    settings = "eager, Adam(fused=True)"

    def start(self, threads: int) -> None:
        self.library = import_module("torch")
        self.nn, self.functional = self.library.nn, import_module("torch.nn.functional")
        self.library.set_num_threads(threads)

    def optimizer(self, model: Any, lr: float) -> Any:
        return self.library.optim.Adam(model.parameters(), lr=lr, fused=True)

    def arrays(self, result: Any) -> list[Any]:
        return [r.detach().numpy() for r in (result if isinstance(result, tuple | list) else [result])]


class TorchCompile(Torch):
    """PyTorch with model and loss compiled by inductor, forward and backward."""

    name = "torch-compile"
    settings = "torch.compile(model and loss, fullgraph=True, dynamic=False), Adam(fused=True)"

    def step(self, case: Workload, model: Any) -> Callable[..., Any]:
        optimizer = self.optimizer(model, case.lr)
        import_module("torch._dynamo").config.allow_rnn = True  # without it an LSTM is refused
        loss_of = self.library.compile(lambda *data: case.loss(self.functional, model, *data), fullgraph=True, dynamic=False)

        def step(*data: Any) -> Any:
            optimizer.zero_grad()
            loss = loss_of(*data)
            loss.backward()
            optimizer.step()
            return loss

        return step


class Jax(Contender):
    """jax: the whole step in one jit, the parameters and moments donated."""

    name = module = "jax"
    settings = "jit of the whole step, parameters and moments donated"
    jax: Any

    def start(self, threads: int) -> None:
        self.jax = import_module("jax")

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        jax, jnp = self.jax, self.jax.numpy
        loss_of = import_module("benchmarks.workloads_jax").loss_of(case.jax)
        parameters = {name: jnp.array(array) for name, array in weights.items()}
        moments = [{name: jnp.zeros_like(p) for name, p in parameters.items()} for _ in range(2)]

        def step(state: Any, *data: Any) -> Any:
            parameters, first, second, count = state
            loss, gradients = jax.value_and_grad(loss_of)(parameters, *data)
            count = count + 1
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
            rate, scale = case.lr / (1 - 0.9**count), jax.lax.rsqrt(1 - 0.999**count)
            parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + 1e-8), parameters, first, second)
            return (parameters, first, second, count), loss

        compiled = jax.jit(step, donate_argnums=0)
        state = (parameters, *moments, jnp.float32(0))
        batch = [jnp.array(array) for array in data]

        def call() -> Any:
            nonlocal state
            state, loss = compiled(state, *batch)
            return loss.block_until_ready()

        return call


class NumPy(Contender):
    """What the arithmetic costs without gradients; it takes part where a case says how."""

    name = module = "numpy"

    def operation(self, case: Operation, inputs: list[Any]) -> Callable[[], Any]:
        if case.numpy is None:
            raise NotImplementedError
        function = case.numpy
        return lambda: function(np, *inputs)


CONTENDERS: dict[str, type[Contender]] = {
    kind.name: kind for kind in (ChainRule, ChainRuleCompile, Torch, TorchCompile, Jax, NumPy)}
OURS = ("chainrule", "chainrule-compile")


def contender(name: str) -> Contender:
    """A new one of that name; ValueError for a name that there is not."""
    if name not in CONTENDERS:
        raise ValueError(f"there is no contender {name!r}; choose from {', '.join(CONTENDERS)}")
    return CONTENDERS[name]()


def available(name: str) -> bool:
    """Whether the library is installed."""
    return find_spec(contender(name).module) is not None
