"""Functions over raw arrays, one namespace per backend; an op finds its kernel by name.

`of(array)` picks the namespace by the array's type: `cpu` for NumPy arrays. `with backend("reference")` forces one.
"""

from typing import Any

import numpy as np

from chainrule.kernels import cpu, reference
from chainrule.state import Flag, state

BACKENDS: dict[str, Any] = {"reference": reference, "cpu": cpu}
BY_TYPE: dict[type, Any] = {np.ndarray: cpu}


def of(array: Any) -> Any:
    """The kernels namespace for a raw array; TypeError for a type that no backend serves."""
    for kind in type(array).__mro__:
        if kind in BY_TYPE:
            return BY_TYPE[kind]
    raise TypeError(f"no backend computes on {type(array).__name__} objects; convert it with chainrule.tensor(...)")


def find(name: str) -> Any:
    """The function of this name in the backend that computes on NumPy arrays in this thread; None where it has none."""
    return getattr(state.backend or cpu, name, None)


class backend(Flag):
    """Force a backend in this thread: `with chainrule.backend("reference"): ...` computes everything by plain NumPy.

    Raises ValueError for a name that is not a backend.

    >>> import chainrule as cr
    >>> with cr.backend("reference"):
    ...     float(cr.tensor([3.0, 4.0]).square().sum())
    25.0
    """

    name = "backend"
    value = None

    def __init__(self, name: Any) -> None:
        if isinstance(name, str):
            if name not in BACKENDS:
                raise ValueError(f"backend({name!r}): choose one of {', '.join(BACKENDS)}")
            name = BACKENDS[name]
        super().__init__(name)
