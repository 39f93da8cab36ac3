"""The reference backend: plain NumPy for every op.

Each family of kernels has a file of its own, whose `__all__` says what it gives; a name that no file has is NumPy's own
(`reference.exp` is `numpy.exp`). These functions are the meaning of every op: the other backends are tested against them.
"""

from typing import Any

import numpy

from chainrule.kernels.reference.activations import *
from chainrule.kernels.reference.convolution import *
from chainrule.kernels.reference.devices import *
from chainrule.kernels.reference.elementwise import *
from chainrule.kernels.reference.embedding import *
from chainrule.kernels.reference.indexing import *
from chainrule.kernels.reference.linalg import *
from chainrule.kernels.reference.losses import *
from chainrule.kernels.reference.pooling import *
from chainrule.kernels.reference.random import *
from chainrule.kernels.reference.reductions import *
from chainrule.kernels.reference.resampling import *
from chainrule.kernels.reference.shapes import *
from chainrule.kernels.reference.windows import *


def __getattr__(name: str) -> Any:
    """NumPy's function of that name; AttributeError where there is none."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(numpy, name)
    globals()[name] = found
    return found
