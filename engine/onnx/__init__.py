"""Models as ONNX files, which onnxruntime and other programs run without chainrule.

`export` traces a model and converts every op by the table of `converters`; docs/onnx.md tells how, and what is supported.
Needs the extra `onnx`.
"""

from chainrule.onnx import converters as _converters
from chainrule.onnx.export import ExportError, export
from chainrule.onnx.graph import Graph, Unsupported
from chainrule.onnx.table import Use, converter

__all__ = ["ExportError", "Graph", "Unsupported", "Use", "converter", "export"]
