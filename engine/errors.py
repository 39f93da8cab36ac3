"""The errors chainrule raises, and how it words them: the op, the shapes and dtypes, the likely fix."""

import sys
import warnings
from typing import Any


class ShapeError(ValueError):
    """Shapes that do not fit an operation."""


class DtypeError(TypeError):
    """Element types that an operation cannot take."""


class AutogradError(RuntimeError):
    """A derivative that cannot be computed: a freed graph, a value changed in place, no path to an input."""


class CompileError(RuntimeError):
    """What a compiled step cannot do: follow what Python decides from elements, or repeat what left it unseen."""


class DeviceError(RuntimeError):
    """Tensors of one operation in the memories of several devices."""


class KernelError(RuntimeError):
    """A CUDA kernel that could not be compiled or launched."""


class LinAlgError(RuntimeError):
    """A matrix that is singular, or not positive-definite, where that matters."""


class FileError(ValueError):
    """A file that is damaged, truncated, or not of the format it should have."""


def describe(value: Any) -> str:
    """A short word for an argument in a message: `float32(3, 4)` for arrays and tensors, the value for the rest.

    >>> import numpy as np
    >>> describe(np.zeros((3, 4), np.float32)), describe(2.5)
    ('float32(3, 4)', '2.5')
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{dtype}({', '.join(map(str, shape))})"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def broadcast_advice(shapes: list[tuple[int, ...]]) -> str:
    """Which axes of the shapes do not broadcast, and what to do about it."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    for axis in range(-1, -rank - 1, -1):
        sizes = sorted({s[axis] for s in padded} - {1})
        if len(sizes) > 1:
            return (
                f"axis {axis} has sizes {' and '.join(map(str, sizes))}, which do not broadcast (equal sizes or 1 do); "
                "insert an axis with unsqueeze or reshape one of them"
            )
    return "check the arguments"


def explain(op: Any, inputs: Any, static: dict[str, Any], error: Exception) -> Exception:
    """The error to raise when the kernel of `op` failed on these inputs: it names the op, all shapes, the likely fix."""
    described = ", ".join(describe(t) for t in inputs)
    options = "".join(f", {k}={describe(v)}" for k, v in static.items() if v is not None)
    shapes = [tuple(t.shape) for t in inputs if hasattr(t, "shape")]
    text = str(error)
    if op.broadcasts and len(shapes) > 1 and "broadcast" in text:
        advice = broadcast_advice(shapes)
    elif isinstance(error, TypeError) and "not supported for the input types" in text:
        advice = "it does not take these element types; convert first, for example with .long(), .bool() or .double()"
    elif op.name == "matmul" and len(shapes) == 2:
        advice = "the last axis of the first must equal the second to last of the second; transpose one with .mT?"
    else:
        advice = text.strip() or type(error).__name__
    kind: type[Exception] = ShapeError
    if isinstance(error, IndexError):
        kind = IndexError
    elif isinstance(error, TypeError):
        kind = DtypeError
    elif not isinstance(error, ValueError):
        kind = type(error)
    if not isinstance(error, (ValueError, TypeError, IndexError)) or isinstance(error, ShapeError | DtypeError):
        return error
    return kind(f"{op.name}({described}{options}): {advice}")


def warn(message: str) -> None:
    """A UserWarning that points at the line of the caller: the nearest one outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "chainrule":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
