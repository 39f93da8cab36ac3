"""Whether the tensors of a call are in one device's memory, and what happens where they are not."""

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DeviceError, describe
from chainrule.kernels import BY_TYPE
from chainrule.names import ops
from chainrule.tensor import Tensor


def together(op: Any, inputs: Any) -> tuple[Any, Any]:
    """The inputs with 0-d tensors of the CPU moved to the GPU that others are on (the same object where there are none), and
    that GPU as a context manager where it is not the current one, else None.

    Raises DeviceError where more than that would have to be moved.
    """
    arrays = [t._data for t in inputs if isinstance(t, Tensor)]
    several = next((a for a in arrays if BY_TYPE.get(a.__class__, 0) is None), None) is not None
    if len({(a.__class__, a.device.id) if several and a.__class__ is not np.ndarray else a.__class__ for a in arrays}) > 1:
        device = next(t.device for t in inputs if isinstance(t, Tensor) and t.is_cuda)
        if any(isinstance(t, Tensor) and t.device != device and (t.is_cuda or t.ndim) for t in inputs):
            where = ", ".join(f"{describe(t)} on {t.device}" for t in inputs if isinstance(t, Tensor))
            raise DeviceError(f"{op.name}: the tensors are on different devices: {where}; move them to one, with "
                              f".to({str(device)!r})")
        inputs = [ops.to(t, device) if isinstance(t, Tensor) else t for t in inputs]
    return inputs, kernels.elsewhere(next((a for a in arrays if a.__class__ is not np.ndarray), None)) if several else None
