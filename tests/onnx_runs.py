"""Exporting a model and comparing what onnxruntime makes of the file with what the model computes."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.onnx.export import leaves

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


def session(written: Any) -> Any:
    """An onnxruntime session for a model, on one core."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(written.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: Any, example: tuple[Any, Any], calls: Any, tolerance: float = 1.0, dynamic_axes: Any = None) -> Any:
    """Export by the example, a pair of arguments and keywords, and compare on other calls."""
    written = cr.onnx.export(model, example[0], keywords=example[1], dynamic_axes=dynamic_axes)
    ready = session(written)
    if isinstance(model, cr.layers.Module):
        model.eval()
    for arguments, keywords in calls:
        named = {name: t for name, t in keywords.items() if isinstance(t, cr.Tensor)}
        names = [value.name for value in written.graph.input if value.name not in named]
        named |= dict(zip(names, leaves(arguments), strict=True))
        found = ready.run(None, {name: np.array(t.data, order="C") for name, t in named.items()})
        with cr.no_grad():
            expected = [t.data for t in leaves(model(*arguments, **keywords))]
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape, (a.dtype, a.shape, b.dtype, b.shape)
            scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0))) if b.dtype.kind == "f" else 1.0
            np.testing.assert_allclose(a, b, rtol=1e-4 * tolerance, atol=1e-5 * tolerance * scale)
    return written
