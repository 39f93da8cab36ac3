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


def run(model: Any, example: tuple[Any, ...], *others: tuple[Any, ...], keywords: Any = None, tolerance: float = 1.0,
        dynamic_axes: Any = None, other_keywords: Any = None) -> Any:
    """Export by the example, and compare on the others."""
    keywords = keywords or {}
    written = cr.onnx.export(model, example, keywords=keywords, dynamic_axes=dynamic_axes)
    ready = session(written)
    keywords = other_keywords or keywords
    for given in others:
        named = {name: t for name, t in keywords.items() if isinstance(t, cr.Tensor)}
        names = [value.name for value in written.graph.input if value.name not in named]
        named |= dict(zip(names, leaves(given), strict=True))
        feed = {name: np.ascontiguousarray(t.data) if t.ndim else t.data for name, t in named.items()}
        found = ready.run(None, feed)
        if isinstance(model, cr.layers.Module):
            model.eval()
        with cr.no_grad():
            expected = [t.data for t in leaves(model(*given, **keywords))]
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape, (a.dtype, a.shape, b.dtype, b.shape)
            scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0))) if b.dtype.kind == "f" else 1.0
            np.testing.assert_allclose(a, b, rtol=1e-4 * tolerance, atol=1e-5 * tolerance * scale)
    return written
