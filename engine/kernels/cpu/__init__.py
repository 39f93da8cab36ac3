"""The cpu backend: the reference overlaid with numba kernels, each imported when first asked for."""

from importlib import import_module
from typing import Any

from chainrule.kernels import reference

WHERE: dict[str, str] = {}


def __getattr__(name: str) -> Any:
    found = getattr(import_module(f"{__name__}.{WHERE[name]}"), name) if name in WHERE else getattr(reference, name)
    globals()[name] = found
    return found
