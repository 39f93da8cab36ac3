"""Element types and the rules by which they combine.

Bools give way to integers, integers to floats, whatever their sizes; within a kind the wider wins. Python scalars are
weak: they never widen a tensor of their own kind or above.

| left    | right    | result                                   |
|---------|----------|------------------------------------------|
| int64   | float32  | float32                                  |
| float32 | float64  | float64                                  |
| float16 | float32  | float32                                  |
| bool    | int64    | int64                                    |
| float32 | Python float, int, bool | float32                   |
| int64   | Python float | the default float (float32)          |
| bool    | Python int | int64                                  |
| int64 / int64, exp(int64), mean(int64) | | the default float    |
"""

from typing import Any

import numpy as np

float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)
complex128 = np.dtype(np.complex128)

# The kinds of dtypes with fractions, by NumPy's letters. "V" stands for bfloat16, which is not NumPy's own: ml_dtypes has it.
REAL = "fV"
FLOATING = "fVc"

_default = [float32]
_ORDER = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
DType = np.dtype[Any]


def bfloat16() -> DType:
    """The dtype bfloat16: float32's range with 8 digits of its fraction. It is `chainrule.bfloat16`, made when first asked for.

    Raises ImportError where the package ml_dtypes is not installed.
    """
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError('bfloat16 needs the package ml_dtypes: pip install "chainrule[cuda13]", or ml_dtypes alone') from error
    found: DType = np.dtype(ml_dtypes.bfloat16)
    return found


def get_default_dtype() -> DType:
    """The dtype that Python floats get: float32 unless `set_default_dtype` said otherwise.

    >>> get_default_dtype()
    dtype('float32')
    """
    return _default[0]


def set_default_dtype(dtype: Any) -> None:
    """Let Python floats (and `rand`, `zeros`, layers' parameters …) get `dtype`, a floating-point dtype.

    Raises TypeError where dtype is not floating-point.

    >>> set_default_dtype(float64); get_default_dtype()
    dtype('float64')
    >>> set_default_dtype(float32)
    """
    dtype = as_dtype(dtype)
    if dtype.kind not in REAL:
        raise TypeError(f"set_default_dtype({dtype}): the default dtype must be floating-point, such as float32")
    _default[0] = dtype


def as_dtype(dtype: Any) -> DType:
    """The NumPy dtype for a dtype, a NumPy scalar type, a name, or Python's float (the default), int or bool."""
    if dtype is float:
        return _default[0]
    found: DType = bfloat16() if dtype.__class__ is str and dtype == "bfloat16" else np.dtype(dtype)
    if found.kind not in _ORDER or (found.kind == "V" and found.name != "bfloat16"):
        raise TypeError(f"dtype {found} is not one that tensors have: use bfloat16, float16/32/64, an integer type or bool")
    return found


def promote(*dtypes: DType) -> DType:
    """The dtype in which values of these dtypes combine, by the table above.

    >>> promote(int64, float32), promote(float32, float64), promote(bool, int64)
    (dtype('float32'), dtype('float64'), dtype('int64'))
    """
    top = max(_ORDER[d.kind] for d in dtypes)
    result: DType = np.result_type(*[d for d in dtypes if _ORDER[d.kind] == top])
    return result


def of_scalar(value: Any, beside: DType | None) -> DType:
    """The dtype a Python scalar gets beside a tensor of dtype `beside` (None: on its own)."""
    own: DType = _default[0]
    if value is True or value is False or isinstance(value, np.bool_):
        own = bool
    elif isinstance(value, int):
        own = int64
    elif isinstance(value, complex):
        own = complex128
    if beside is not None and _ORDER[beside.kind] >= _ORDER[own.kind]:
        return beside
    return own
