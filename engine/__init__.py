"""chainrule: a deep-learning engine written to be read."""

from chainrule import dtypes, kernels, names
from chainrule.derivatives import detect_anomaly, grad
from chainrule.dtypes import *  # noqa: F403
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.fused import Fused, fused
from chainrule.graph import Op, enable_grad, is_grad_enabled, no_grad
from chainrule.kernels import backend
from chainrule.ops import (
    arithmetic,
    choices,
    comparisons,
    creation,
    elementwise,
    indexing,
    matmul,
    reductions,
    scans,
    shapes,
    sorting,
    statistics,
)
from chainrule.tensor import Device, Tensor

for _n, _v in vars(names.ops).items():
    globals().setdefault(_n, _v)
