"""chainrule and PyTorch as contenders."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from benchmarks.cases import Operation, Update, Workload
from benchmarks.contender import Arrays, Contender, drawn_parameters, gradient_like

__all__ = ["ChainRule", "ChainRuleCompile", "Torch", "TorchCompile"]


class Named(Contender):
    """chainrule and torch: one source for both, since the names are the same."""

    library: Any
    nn: Any
    functional: Any

    def optimizer(self, parameters: Any, lr: float) -> Any:
        """Adam."""
        raise NotImplementedError

    def place(self, array: Any, requires_grad: bool = False) -> Any:
        """A tensor with a copy of the array."""
        return self.library.tensor(array, requires_grad=requires_grad)

    def move(self, module: Any) -> Any:
        """The module where it is to compute."""
        return module

    def lowered(self, case: Workload) -> AbstractContextManager[Any]:
        """Inside, products of the forward pass are computed in the case's precision."""
        return nullcontext()

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, quicker where the contender has a way."""
        return function

    def model(self, case: Workload, weights: Arrays) -> Any:
        """The model with the given first values."""
        model = self.move(case.model(self.nn))
        model.load_state_dict(model.state_dict() | {name: self.place(array) for name, array in weights.items()})
        return model

    def step(self, case: Workload, model: Any) -> Callable[..., Any]:
        """One training step as a function of the data."""
        optimizer = self.optimizer(model.parameters(), case.lr)
        loss_of = self.compiled(lambda *data: case.loss(self.functional, model, *data))

        def step(*data: Any) -> Any:
            optimizer.zero_grad()
            with self.lowered(case):
                loss = loss_of(*data)
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
            module = self.move(case.layer(self.nn))
            module.load_state_dict({n: self.place(a) for n, a in drawn_parameters(module.state_dict()).items()})
            leaves += [p for _, p in sorted(module.named_parameters())]
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
        upstream = self.place(gradient_like(tuple(first.shape)))

        def forward_and_backward() -> Any:
            for leaf in leaves:
                leaf.grad = None
            result = function(*tensors)
            result.backward(upstream)
            return [result, *(leaf.grad for leaf in leaves)]

        return forward_and_backward

    def update(self, case: Update, parameters: list[Any], gradients: list[Any]) -> Callable[[], Any]:
        tensors = [self.place(array, requires_grad=True) for array in parameters]
        for tensor, gradient in zip(tensors, gradients):
            tensor.grad = self.place(gradient)
        optimizer = self.optimizer(tensors, 1e-3)

        def step() -> Any:
            optimizer.step()
            return tensors

        return step


class ChainRule(Named):
    """chainrule as anyone would use it."""

    name = module = "chainrule"

    def start(self, threads: int) -> None:
        self.library = import_module("chainrule")
        self.nn, self.functional = import_module("chainrule.layers"), import_module("chainrule.functional")
        self.library.set_num_threads(threads)

    def optimizer(self, parameters: Any, lr: float) -> Any:
        return self.library.optim.Adam(parameters, lr=lr)

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
    settings = "eager, Adam(fused=True), channels_last for the images of workloads"

    def start(self, threads: int) -> None:
        self.library = import_module("torch")
        self.nn, self.functional = self.library.nn, import_module("torch.nn.functional")
        self.library.set_num_threads(threads)

    def optimizer(self, parameters: Any, lr: float) -> Any:
        return self.library.optim.Adam(parameters, lr=lr, fused=True)

    def workload(self, case: Workload, weights: Arrays, data: list[Any]) -> Callable[[], Any]:
        model, tensors = self.model(case, weights), [self.place(array) for array in data]
        if tensors[0].ndim == 4:  # a fifth quicker with convolutions
            last = self.library.channels_last
            model, tensors[0] = model.to(memory_format=last), tensors[0].to(memory_format=last)
        step = self.step(case, model)
        return lambda: step(*tensors)

    def arrays(self, result: Any) -> list[Any]:
        return [r.detach().numpy() for r in (result if isinstance(result, tuple | list) else [result])]


class TorchCompile(Torch):
    """PyTorch with model and loss compiled by inductor, forward and backward."""

    name = "torch-compile"
    settings = "torch.compile(model and loss, dynamic=False), else as eager"

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.library.compiler.reset()  # else the cases' functions count as recompilations of one
        found: Callable[..., Any] = self.library.compile(function, dynamic=False)
        return found
