"""Exported files: names, axes, modes; and what is refused, with the op, the layer and a way out."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers
from chainrule.layers import Module
from chainrule.onnx.sizes import Axes, Mismatch, Size, merge
from tests.onnx_runs import onnx, run, session


def kinds(written: Any) -> list[str]:
    return [node.op_type for node in written.graph.node]


def sizes(value: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def network() -> Module:
    return layers.Sequential(layers.Conv2d(1, 4, 3), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2), layers.Dropout(0.5),
                             layers.Flatten(), layers.Linear(36, 3))


def test_names_axes_and_metadata(tmp_path: Path) -> None:
    model = network()
    written = cr.onnx.export(model, cr.randn(2, 1, 8, 8), tmp_path / "model.onnx")
    assert kinds(written) == ["Conv", "BatchNormalization", "Relu", "MaxPool", "Reshape", "Gemm"]
    graph = written.graph
    state = {name: t.data for name, t in model.state_dict().items() if t.dtype.kind == "f"}
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    assert set(state) <= set(stored)
    for name, array in state.items():
        np.testing.assert_array_equal(stored[name], array)
    assert [(v.name, sizes(v)) for v in graph.input] == [("input", ["batch", 1, 8, 8])]
    assert [(v.name, sizes(v)) for v in graph.output] == [("output", ["batch", 3])]
    assert written.producer_name == "chainrule" and written.producer_version == cr.__version__
    assert [(o.domain, o.version) for o in written.opset_import] == [("", 20)] and written.ir_version == 9
    assert graph.node[0].name == "/0/Conv"
    assert onnx.load(tmp_path / "model.onnx") == written


def test_an_open_file_is_written_to(tmp_path: Path) -> None:
    with open(tmp_path / "model.onnx", "wb") as file:
        written = cr.onnx.export(layers.Linear(3, 2), cr.zeros(4, 3), file)
    assert kinds(onnx.load(tmp_path / "model.onnx")) == kinds(written) == ["Gemm"]


def test_modes_state_and_randomness_are_left_alone() -> None:
    model = network()
    model[1].eval()
    before, modes = {n: t.data.copy() for n, t in model.state_dict().items()}, [m.training for m in model.modules()]
    cr.onnx.export(model, cr.randn(2, 1, 8, 8), dynamic_axes={})
    assert [m.training for m in model.modules()] == modes
    assert all((t.data == before[n]).all() for n, t in model.state_dict().items())
    with pytest.raises(Exception, match="conv2d"):
        cr.onnx.export(model, cr.randn(2, 3, 8, 8))
    assert [m.training for m in model.modules()] == modes
    cr.manual_seed(1)
    cr.onnx.export(lambda x: x * 2, cr.ones(2))
    drawn = cr.rand(3)
    cr.manual_seed(1)
    assert (drawn == cr.rand(3)).all()


def test_equal_constants_are_one_and_unused_nodes_none() -> None:
    written = cr.onnx.export(lambda x: ((x + 1.5) * 1.5, x.exp())[0], cr.randn(2, 3))
    assert kinds(written) == ["Add", "Mul"] and len(written.graph.initializer) == 1


def test_a_tied_parameter_is_one_initializer() -> None:
    class Tied(Module):
        def __init__(self) -> None:
            self.embedding, self.out = layers.Embedding(5, 3), layers.Linear(3, 5, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, tokens: Any) -> Any:
            return self.out(self.embedding(tokens))

    written = run(Tied(), ((cr.tensor([[1, 2], [3, 4]]),), {}), [((cr.tensor([[0, 2]]),), {})])
    assert [t.name for t in written.graph.initializer] == ["embedding.weight"]


def test_inputs_and_outputs_have_the_names_of_the_arguments() -> None:
    def function(x: Any, pair: Any, scale: float, mask: Any = None) -> Any:
        return {"total": (x + pair[0] + pair[1]) * scale, "chosen": cr.where(mask, x, 0.0), "same": x}

    given = (cr.randn(2, 3), (cr.randn(2, 3), cr.randn(3)), 2.0), {"mask": cr.tensor([[True], [False]])}
    written = run(function, given, [given])
    assert [v.name for v in written.graph.input] == ["x", "pair_0", "pair_1", "mask"]
    assert [v.name for v in written.graph.output] == ["total", "chosen", "same"]
    assert [sizes(v)[0] for v in written.graph.input] == ["batch", "batch", 3, "batch"]


def test_keywords_that_a_function_only_passes_on_keep_their_names() -> None:
    def function(*xs: Any, **more: Any) -> Any:
        return xs[0] + xs[1] * more["scale"]

    written = cr.onnx.export(function, (cr.ones(2), cr.ones(2)), keywords={"scale": cr.ones(2)})
    assert [v.name for v in written.graph.input] == ["xs_0", "xs_1", "scale"]


def test_one_tensor_given_twice_is_two_inputs() -> None:
    attention = layers.MultiheadAttention(4, 2, batch_first=True)
    x, y, z = cr.randn(2, 3, 4), cr.randn(5, 3, 4), cr.randn(5, 3, 4)
    written = run(attention, ((x, x, x), {}), [((x, x, x), {}), ((y, z, z), {})])
    assert [v.name for v in written.graph.input] == ["query", "key", "value"]


def test_sizes_follow_the_open_axes() -> None:
    def function(x: Any) -> Any:
        n, t, c = x.shape
        flat = x.reshape(n * t, c) + cr.arange(n * t).reshape(-1, 1) / (n + 2 * t)
        later = cr.tensor(np.where(np.tri(t, dtype=bool), 0, -np.inf).astype(np.float32)), cr.tensor(~np.tri(t, t, -1, dtype=bool))
        return flat.reshape(n, t * c), cr.full((t, n + 1), 3.0), x[:, : t - 1].sum((1, 2)) / n, later, cr.arange(1, t + 1)

    example = cr.randn(2, 5, 3)
    others = [((cr.randn(n, t, 3),), {}) for n, t in ((2, 5), (7, 4), (1, 9))]
    written = run(function, ((example,), {}), others, dynamic_axes={"x": {0: "batch", 1: "time"}})
    assert sizes(written.graph.input[0]) == ["batch", "time", 3]
    assert sizes(written.graph.output[2]) == ["batch"]


def test_polynomials_in_the_open_axes() -> None:
    axes = Axes({"a": (2, 3, 5), "b": (7, 6, 5)})
    values = lambda f: tuple(f(t["a"], t["b"]) for t in axes.traces)
    assert axes.polynomial(values(lambda a, b: 4 * a * b - a + 3)) == {("a", "b"): 4, ("a",): -1, (): 3}
    assert axes.polynomial(values(lambda a, b: a * a)) is None
    assert axes.polynomial(values(lambda a, b: b // 2)) is None
    assert merge([(1, 2, slice(3)), (1, 4, slice(5))]) == (1, Size((2, 4)), slice(Size((3, 5))))
    with pytest.raises(Mismatch):
        merge([0.5, 0.25])


def test_in_place_writes() -> None:
    def function(x: Any) -> Any:
        out = cr.zeros(x.shape[0], 4, 3)
        out[:, 1:3] = x
        out[:, 0, 1] += 2
        view = out.transpose(1, 2)[:, 2]
        view[:, [3, 0]] = 9.0
        copy = x.clone()
        copy[copy > 0] = -1.0
        copy.mul_(2).reshape(-1)  # the reshape is not used
        return out, view * 1, copy

    run(function, ((cr.randn(2, 2, 3),), {}), [((cr.randn(n, 2, 3),), {}) for n in (2, 5)])

    def first_row(x: Any) -> Any:
        x = x + 0
        x[0], x[:, None][:, 0, 1:] = 1.0, 2.0
        return x

    run(first_row, ((cr.randn(2, 3),), {}), [((cr.randn(n, 3),), {}) for n in (2, 5)])
    said = refused(lambda x: cr.zeros(3, x.shape[0]).index_fill(1, cr.tensor([0]), 1.0) + x[-1:, :1], cr.randn(2, 3))
    assert "a write to a part of an axis that is open" in said


def test_images_of_any_size() -> None:
    model = layers.Sequential(layers.Conv2d(1, 3, 3, stride=2, padding=1), layers.AdaptiveAvgPool2d(1), layers.Flatten(),
                              layers.Linear(3, 2))
    run(model, ((cr.randn(2, 1, 8, 8),), {}), [((cr.randn(3, 1, 12, 10),), {})],
        dynamic_axes={"input": {0: "batch", 2: "height", 3: "width"}})
    said = refused(layers.AdaptiveMaxPool2d(1), cr.randn(2, 1, 8, 8), dynamic_axes={"input": {2: "height"}})
    assert "an option of MaxPool would be an open size" in said


def test_own_fused_ops_fall_apart_and_own_ops_can_be_converted() -> None:
    @cr.fused
    def swish(xp: Any, x: Any, *, beta: float = 1.0) -> Any:
        return x / (1 + xp.exp(-beta * x))

    given = [((cr.randn(4, 3),), {})]
    run(lambda x: swish(x, beta=2.0), ((cr.randn(2, 3),), {}), given)
    relu = cr.Op("relu", forward=lambda xp, x: xp.maximum(x, 1.0), x=None)  # not the relu of the table
    run(relu, ((cr.randn(2, 3),), {}), given)
    sort = cr.Op("own_sort", forward=lambda xp, x: np.sort(np.asarray(x)), x=None)
    with pytest.raises(cr.onnx.ExportError, match=r"own_sort\(float32\(2, 3\)\) .*chainrule.onnx.converter\('own_sort'\)"):
        cr.onnx.export(sort, cr.randn(2, 3))

    @cr.onnx.converter("own_sort")
    def convert(g: Any, use: Any, x: str) -> Any:
        return g.op("TopK", x, g.ints(use.shapes[0][-1]), largest=0, outputs=2)[0]

    try:
        run(sort, ((cr.randn(2, 3),), {}), given)
    finally:
        del cr.onnx.table.converters["own_sort"]


# ---- what is refused


class Stochastic(Module):
    def __init__(self) -> None:
        self.first, self.noisy = layers.Linear(3, 3), Always()

    def forward(self, x: Any) -> Any:
        return self.noisy(self.first(x))


class Always(Module):
    def forward(self, x: Any) -> Any:
        return F.dropout(x, 0.5)


def refused(model: Any, *example: Any, **options: Any) -> str:
    with pytest.raises(cr.onnx.ExportError) as error:
        cr.onnx.export(model, example, **options)
    return str(error.value)


def test_random_draws() -> None:
    said = refused(Stochastic(), cr.randn(2, 3))
    assert re.match(r"onnx.export: in layer Stochastic.noisy \(Always\(\)\): dropout\(float32\(2, 3\)\) .*draws random", said)
    assert "drawn at random" in refused(lambda x: x + cr.randn(3), cr.randn(2, 3))
    assert "draws random numbers" in refused(lambda x: x + cr.bernoulli(cr.ones(3)), cr.randn(2, 3))  # 1, each time


def test_no_counterpart() -> None:
    said = refused(lambda x: cr.linalg.inv(x), cr.randn(2, 3, 3))
    assert "inv(float32(2, 3, 3)) has no ONNX counterpart" in said and "outside of layers" in said


def test_what_a_trace_cannot_see() -> None:
    assert "was computed from the inputs" in refused(lambda x: x + cr.tensor(np.sort(x.data)), cr.randn(2, 3))
    assert "was computed from the inputs" in refused(lambda x: x + cr.tensor(x.data.max()), cr.randn(2, 3), dynamic_axes={})
    with pytest.warns(UserWarning, match="a number is taken out"):
        assert "in the inputs" in refused(lambda x: x * x.max().item(), cr.randn(2, 3))


def test_control_flow_over_an_open_axis() -> None:
    def function(x: Any) -> Any:
        return sum((x[i] for i in range(len(x))), cr.zeros(3))

    said = refused(function, cr.randn(2, 3))
    assert "a file has one fixed sequence of ops" in said and "dynamic_axes={}" in said
    run(function, ((cr.randn(2, 3),), {}), [((cr.randn(2, 3),), {})], dynamic_axes={})


def test_a_size_that_is_no_polynomial() -> None:
    said = refused(lambda x: cr.ones(x.shape[0] ** 2, 2).sum() * x, cr.randn(2, 3))
    assert "no sum of products of the dynamic axes (batch)" in said


def test_examples_that_do_not_fit() -> None:
    assert "no tensor among the arguments" in refused(lambda x: x, 3.0)
    assert "returns no tensors" in refused(lambda x: 3, cr.ones(2))
    assert "the inputs are x" in refused(lambda x: x, cr.ones(2), dynamic_axes={"y": {0: "batch"}})
    assert "no elements along" in refused(lambda x: x * 2, cr.ones(0, 2))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"chainrule\[onnx\]"):
        cr.onnx.export(layers.Linear(3, 2), cr.zeros(4, 3))


def test_float64_and_float16_keep_their_types() -> None:
    for dtype in (cr.float64, cr.float16):
        model = layers.Linear(3, 2).to(dtype)
        written = cr.onnx.export(model, cr.randn(2, 3).to(dtype))
        x = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
        (found,) = session(written).run(None, {"input": x})
        assert found.dtype == dtype
        with cr.no_grad():
            np.testing.assert_allclose(found, model(cr.tensor(x)).data, rtol=1e-2 if dtype == cr.float16 else 1e-12)
