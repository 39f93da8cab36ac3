"""The reference backend: plain NumPy for every op.

A name that none of these files defines is NumPy's own function of that name.
"""

from typing import Any

import numpy

from chainrule.kernels.reference.activations import *  # noqa: F403
from chainrule.kernels.reference.elementwise import *  # noqa: F403
from chainrule.kernels.reference.indexing import *  # noqa: F403


def __getattr__(name: str) -> Any:
    found = getattr(numpy, name)
    globals()[name] = found
    return found
