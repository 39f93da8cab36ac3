"""chainrule: a deep-learning engine written to be read.

A `Tensor` records the graph of the operations that computed it; `backward()` walks that graph and applies the chain rule.

>>> import chainrule as cr
>>> x = cr.tensor([1.0, 2.0], requires_grad=True)
>>> y = (x * x).sum()
>>> y.backward()
>>> x.grad
tensor([2., 4.])

Names follow torch wherever torch has them; `cr.functional`, `cr.layers` and `cr.optim` are torch.nn.functional, torch.nn and
torch.optim in small. `docs/how-it-works.md` says in which order to read the source.
"""

from typing import TYPE_CHECKING, Any

from chainrule import amp, cuda, data, dtypes, functional, layers, linalg, numpy_protocol, ops, optim, random
from chainrule.amp import GradScaler, autocast
from chainrule.checkpoint import checkpoint
from chainrule.derivatives import detect_anomaly, grad
from chainrule.drawing import draw_graph
from chainrule.dtypes import (
    bool,
    complex128,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from chainrule.errors import AutogradError, CompileError, DeviceError, DtypeError, KernelError, ShapeError
from chainrule.functional.similarity import cdist
from chainrule.fused import Fused, fused
from chainrule.gradcheck import GradcheckError, check_gradient, gradcheck, gradgradcheck
from chainrule.graph import Op, enable_grad, is_grad_enabled, no_grad
from chainrule.kernels import backend
from chainrule.layers.stateless import functional_call
from chainrule.ops.activations import *
from chainrule.ops.arithmetic import *
from chainrule.ops.axes import *
from chainrule.ops.choices import *
from chainrule.ops.comparisons import *
from chainrule.ops.creation import *
from chainrule.ops.devices import *
from chainrule.ops.diagonals import *
from chainrule.ops.einsum import *
from chainrule.ops.elementwise import *
from chainrule.ops.indexing import argwhere, masked_fill, masked_select, nonzero, unique
from chainrule.ops.joining import *
from chainrule.ops.linalg import cholesky, cross, det, inverse, logdet, matrix_power, slogdet
from chainrule.ops.matmul import *
from chainrule.ops.padding import *
from chainrule.ops.random import *
from chainrule.ops.reductions import *
from chainrule.ops.scans import *
from chainrule.ops.scattering import *
from chainrule.ops.shapes import *
from chainrule.ops.sorting import *
from chainrule.ops.statistics import *
from chainrule.random import Generator, manual_seed
from chainrule.replay import compile
from chainrule.serialization import load, load_file, save, save_file
from chainrule.state import inference_mode, set_grad_enabled
from chainrule.tensor import Device, Tensor, is_tensor
from chainrule.threads import get_num_threads, set_num_threads
from chainrule.transforms import hessian, hvp, jacobian, jvp, vjp

if TYPE_CHECKING:
    from chainrule import onnx as onnx

    bfloat16: dtypes.DType
else:
    def __getattr__(name: str) -> Any:
        """`chainrule.onnx` is imported when it is first used, and so is what has bfloat16: few programs do."""
        if name == "onnx":
            from importlib import import_module

            return import_module("chainrule.onnx")
        if name == "bfloat16":
            return dtypes.bfloat16()
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")

__version__ = "0.1.0"
