"""What a compiled step sees change, what it refuses, and what is left after an error."""

import threading
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.tensor import Tensor


def floats(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.data.tobytes() == b.data.tobytes()


# ---- what makes it record anew


def test_other_shapes_dtypes_numbers_and_modes_are_recorded_anew() -> None:
    weight = cr.tensor([2.0], requires_grad=True)

    @cr.compile
    def step(x: Tensor, factor: float = 1.0) -> Tensor:
        return (x * weight).sum() * factor if x.ndim == 1 else x.sum() * factor

    calls: list[Any] = [((floats(0, 3),), {}), ((floats(0, 4),), {}), ((floats(0, 3).double(),), {}), ((floats(0, 3), 2.0), {}),
                        ((floats(0, 3),), {"factor": 2.0}), ((floats(0, 3, 3),), {}), ((floats(0, 3, 3).mT,), {}),
                        ((floats(0, 3), -0.0), {}), ((floats(0, 3), 0.0), {})]
    for repeat in range(2):
        for count, (args, options) in enumerate(calls, 1):
            assert same(step(*args, **options), step.function(*args, **options).detach())
            assert len(step.reasons) == (count if repeat == 0 else len(calls))
    with cr.no_grad():
        step(floats(0, 3))
    assert len(step.reasons) == len(calls) + 1
    assert "recorded because it was called for the first time" in step.report()


def test_dropout_and_batch_norm_follow_the_mode_and_a_changed_attribute() -> None:
    model = layers.Sequential(layers.BatchNorm1d(4), layers.Dropout(0.5))
    step = cr.compile(lambda x: model(x))
    x = floats(0, 6, 4)

    def check(recordings: int) -> None:
        for _ in range(2):
            statistics = [t.clone() for t in model.buffers()]
            cr.manual_seed(1)
            ours = step(x)
            for t, before in zip(model.buffers(), statistics):
                t.copy_(before)
            cr.manual_seed(1)
            assert same(ours, model(x).detach())
            assert len(step.reasons) == recordings

    check(1)
    model.eval()
    check(2)
    model.train()
    check(2)  # the first recording fits again
    model[1].p = 0.25
    check(3)
    assert "the attribute p of a Dropout" in step.report()
    handle = model.register_forward_hook(lambda module, args, output: output * 2)
    check(4)
    handle.remove()
    check(4)


def test_frozen_and_replaced_parameters_are_seen() -> None:
    layer = layers.Linear(3, 2)

    @cr.compile
    def step(x: Tensor) -> Tensor:
        layer.zero_grad()
        loss = layer(x).square().sum()
        loss.backward()
        return loss

    def check(recordings: int) -> None:
        for seed in range(2):
            ours = step(floats(seed, 5, 3))
            gradients = [p.grad for p in layer.parameters()]
            copies = [None if g is None else g.clone() for g in gradients]
            assert same(ours, step.function(floats(seed, 5, 3)).detach())
            for copy, p in zip(copies, layer.parameters(), strict=True):
                assert (copy is None) == (p.grad is None) and (copy is None or same(copy, p.grad))
        assert len(step.reasons) == recordings

    check(1)
    layer.load_state_dict({"weight": floats(7, 2, 3), "bias": floats(8, 2)})
    check(1)  # the same memory, other values: just read
    layer.weight.data = floats(9, 2, 3).data
    check(2)
    assert "the array of a float32(2, 3) tensor" in step.report()
    layer.bias.requires_grad_(False)
    check(3)
    layer.bias = layers.Parameter(cr.zeros(2))
    check(4)


def test_names_from_around_are_seen() -> None:
    factor, table = 2.0, cr.tensor([1.0, 2.0])

    @cr.compile
    def step(x: Tensor) -> Tensor:
        return x * factor + table

    x = floats(0, 2)
    assert same(step(x), x * 2.0 + table)
    factor = 3.0
    assert same(step(x), x * 3.0 + table)
    table = cr.tensor([5.0, 6.0])
    assert same(step(x), x * 3.0 + table)
    table.add_(1.0)
    assert same(step(x), x * 3.0 + table)
    assert len(step.reasons) == 3 and "table is another object" in step.report()


def test_a_gradient_from_before_the_step_is_added_to() -> None:
    w, v = (cr.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))

    def body(p: Tensor, x: Tensor) -> None:
        (p * x).sum().backward()

    step, eager = cr.compile(lambda x: body(w, x)), lambda x: body(v, x)
    for i in range(6):
        if i == 4:
            w.grad = v.grad = None
        step(floats(i, 2)), eager(floats(i, 2))
        assert same(w.grad, v.grad)
    assert len(step.reasons) == 2 and step.replays == 4
    held = w.grad
    w.grad = cr.ones(2)
    v.grad = cr.ones(2)
    step(floats(9, 2)), eager(floats(9, 2))
    assert same(w.grad, v.grad) and w.grad is not held


def test_inputs_may_be_leaves_and_are_not_mixed_up() -> None:
    @cr.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = (x * y).sum()
        loss.backward()
        return loss

    for seed in range(3):
        x, y = floats(seed, 3).requires_grad_(), floats(seed + 10, 3)
        assert same(step(x, y), (x.detach() * y).sum()) and same(x.grad, y)
    first = x.grad.clone()
    step(floats(5, 3).requires_grad_(), floats(6, 3))
    assert same(x.grad, first)  # an input's gradient is its own
    square = cr.compile(lambda a, b: (a * b).sum())
    x, y = floats(0, 3), floats(1, 3)
    assert same(square(x, x), (x * x).sum()) and same(square(x, y), (x * y).sum()) and same(square(y, y), (y * y).sum())


# ---- what the user holds


def test_results_are_new_memory_and_gradients_are_not() -> None:
    w = floats(0, 40, 40).requires_grad_()

    @cr.compile
    def step(x: Tensor) -> Any:
        w.grad = None
        y = x @ w
        loss = y.square().sum()
        loss.backward()
        return {"loss": loss, "y": y, "row": y[0], "part": w.grad[0], "x": x, "w": w, "pair": (1, None, "text")}

    x = floats(1, 40, 40)
    first, second = step(x), step(x)
    copies = {k: t.clone() for k, t in second.items() if isinstance(t, Tensor)}
    gradient = w.grad
    assert gradient is not None
    before = gradient.clone()
    step(floats(2, 40, 40))
    for name in ("loss", "y", "row", "part", "x"):
        assert same(second[name], copies[name]) and same(first[name], copies[name])
    assert second["x"] is x and second["w"] is w and second["pair"] == (1, None, "text")
    assert np.shares_memory(second["y"].data, second["row"].data)
    assert w.grad is gradient and not same(gradient, before)  # as the documents say
    assert second["loss"].requires_grad is False


def test_memory_is_shared_by_lifetime() -> None:
    def step(x: Tensor) -> Tensor:
        for _ in range(20):
            x = x * 1.5 + 1.0
        return x.sum()

    compiled = cr.compile(step)
    x = floats(0, 100, 100)
    compiled(x), compiled(x)
    program = compiled._last
    assert program is not None and program.total >= 40 * x.data.nbytes and program.planned <= 2 * x.data.nbytes
    assert same(compiled(x), step(x))


def test_constants_are_folded_and_what_nobody_reads_is_dropped() -> None:
    def step(x: Tensor) -> Tensor:
        mask = cr.arange(4).unsqueeze(0) <= cr.arange(4).unsqueeze(1)
        _ = (x * 3).exp()
        counts = cr.zeros(4)
        counts[1:] += x[0, 1:]
        return x.masked_fill(~mask, 0.0) + counts

    compiled = cr.compile(step)
    for seed in range(3):
        assert same(compiled(floats(seed, 4, 4)), step(floats(seed, 4, 4)))
    assert "exp(" not in compiled.code and "less_equal(" not in compiled.code and "zeros" not in compiled.code


# ---- refusals


def taken_out(x: Tensor) -> Any:
    return x.sum().item()


def decided(x: Tensor) -> Any:
    return x if x.sum() > 0 else -x


REFUSALS: dict[str, Any] = {
    "item": (taken_out, r"item\(\) of a float32 tensor of shape \(\), at .*in taken_out: .*Return the tensor"),
    "if": (decided, r"item\(\) .*in decided"),
    "float": (lambda x: float(x.sum()), r"item\(\)"),
    "tolist": (lambda x: x.tolist(), r"tolist\(\)"),
    "numpy": (lambda x: x.numpy().sum(), r"numpy\(\)"),
    "asarray": (lambda x: Tensor(np.asarray(x) + 1), r"numpy\(\)"),
    "data": (lambda x: x.data.sum(), r"\.data of"),
    "in": (lambda x: 1.0 in x, "in of"),
    "format": (lambda x: f"{x.sum():.3f}", r"item\(\)"),
    "of lists": (lambda x: cr.tensor([x.sum(), x.sum()]), r"\.data of"),
    "nonzero": (lambda x: x.nonzero(), r"\.data of"),
    "a mask": (lambda x: x[x > 0], "indexed with a mask"),
    "an array": (lambda x: np.ones(3), "returns a NumPy array"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_python_would_decide_is_refused(name: str) -> None:
    function, message = REFUSALS[name]
    with pytest.raises(cr.CompileError, match=f"compile: .*{message}"):
        cr.compile(function)(floats(0, 4))
    function(floats(0, 4))  # outside nothing is refused


def test_numbers_of_constants_may_be_taken() -> None:
    step = cr.compile(lambda x: x * cr.tensor([2.0, 3.0]).sum().item())
    step(floats(0, 3))
    assert same(step(floats(1, 3)), floats(1, 3) * 5.0)


def test_arrays_histories_and_hooks_are_refused() -> None:
    with pytest.raises(cr.CompileError, match=r"was given a NumPy array, float64\(3\)"):
        cr.compile(lambda x: cr.tensor(x))(np.zeros(3))
    w = floats(0, 3).requires_grad_()
    with pytest.raises(cr.CompileError, match="backward leads out of the step, to multiply"):
        cr.compile(lambda x: x.sum().backward())(w * 2)
    w.register_hook(lambda g: g)
    with pytest.raises(cr.CompileError, match="a leaf has a hook"):
        cr.compile(lambda x: (x * w).sum().backward())(floats(1, 3))
    with pytest.raises(TypeError, match="takes the function"):
        cr.compile(3)  # type: ignore[arg-type]


def test_what_python_keeps_is_refused() -> None:
    kept: list[Any] = []
    layer = layers.Linear(2, 2)

    def appended(x: Tensor) -> Tensor:
        y = layer(x)
        kept.append(y.detach())
        return y.sum()

    def attribute(x: Tensor) -> Tensor:
        layer.last = layer(x)
        return layer.last.sum()

    for step in (appended, attribute):
        with pytest.raises(cr.CompileError, match=rf"shape \(3, 2\), computed at .*in {step.__name__}, is still held"):
            cr.compile(step)(floats(0, 3, 2))


def test_a_step_that_changes_all_the_time_warns() -> None:
    step = cr.compile(lambda x, factor: x * factor)
    with pytest.warns(UserWarning, match="has been recorded 16 times, the last time because the arguments differ"):
        for i in range(16):
            step(floats(0, 2), float(i))


# ---- errors


def test_an_error_names_its_place_and_leaves_what_an_eager_step_leaves() -> None:
    def make() -> Any:
        cr.manual_seed(3)
        norm, head = layers.BatchNorm1d(4), layers.Linear(4, 3)
        optimizer = optim.SGD([*norm.parameters(), *head.parameters()], lr=0.1)

        def step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(head(norm(x)), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, layers.ModuleList([norm, head])

    (eager, one), (body, two) = make(), make()
    step = cr.compile(body)
    for i, classes in enumerate(([0, 1, 2, 0], [1, 1, 0, 2], [0, 1, 3, 0], [2, 2, 2, 1])):
        x, y = floats(i, 4, 4), cr.tensor(classes)
        if 3 in classes:
            with pytest.raises(IndexError, match="target 3 at position") as problem:
                step(x, y)
            assert any("while a compiled step was replayed" in note and "in step" in note for note in problem.value.__notes__)
            with pytest.raises(IndexError, match="target 3 at position"):
                eager(x, y)
        else:
            assert same(step(x, y), eager(x, y).detach())
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
            assert same(a, b)
    assert step.replays == 3


def test_embedding_rows_out_of_range_are_found_in_a_replay() -> None:
    table = floats(0, 5, 2)
    step = cr.compile(lambda i: F.embedding(i, table))
    step(cr.tensor([0, 4]))
    for wrong in ([0, 5], [-1, 0]):
        with pytest.raises(IndexError, match="is out of range for a weight of 5 rows"):
            step(cr.tensor(wrong))
    assert same(step(cr.tensor([3, 4])), table[cr.tensor([3, 4])])


def test_a_graph_from_before_notices_that_a_replay_wrote() -> None:
    running, w = cr.zeros(2), cr.tensor([1.0, 2.0], requires_grad=True)
    step = cr.compile(lambda x: running.add_(x))
    step(cr.ones(2))
    outside = (w * running).sum()
    step(cr.ones(2))
    assert running.tolist() == [2.0, 2.0]
    with pytest.raises(cr.AutogradError, match="changed in place"):
        outside.backward()


# ---- around it


def test_nested_methods_threads_and_random_draws() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.inner = cr.compile(lambda x: x * 2)

        @cr.compile
        def step(self, x: Tensor) -> Tensor:
            return self.inner(x) + cr.rand(3) + F.dropout(x, 0.5) + cr.randn_like(x)

    trainer, other = Trainer(), Trainer()
    x = floats(0, 3)
    for _ in range(3):
        cr.manual_seed(4)
        ours = [trainer.step(x), trainer.step(x), other.step(x)]
        cr.manual_seed(4)
        for mine in ours:
            assert same(mine, x * 2 + cr.rand(3) + F.dropout(x, 0.5) + cr.randn_like(x))
    assert trainer.step is not other.step and trainer.inner.reasons == []
    copied = deepcopy(trainer)
    assert copied.step is not trainer.step and copied.step.function.__self__ is copied and copied.step.reasons == []

    step = cr.compile(lambda x: ((x * 2).exp() + x).sum(1))
    inputs = [floats(i, 30, 30) for i in range(4)]
    expected = [step.function(x) for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(50) if not same(step(inputs[i]), expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_lbfgs_runs_its_closure_in_every_replay() -> None:
    def trained(compiled: bool) -> list[float]:
        w = cr.tensor([3.0, -2.0], requires_grad=True)
        optimizer = optim.LBFGS([w], lr=0.5, max_iter=3)

        def step(target: Tensor) -> Any:
            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = (w - target).square().sum()
                loss.backward()
                return loss

            return optimizer.step(closure)

        function = cr.compile(step) if compiled else step
        return [float(function(cr.tensor([1.0, 1.0]))) for _ in range(3)] + w.tolist()

    assert trained(True) == trained(False)
