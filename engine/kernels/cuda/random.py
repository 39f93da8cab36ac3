"""Philox4x32-10 on the device: the same bits as kernels/reference/random.py, numbers made of them, and dropout with its mask drawn
on the way (random.cu). Uniform numbers, integers and masks are alike to the bit; normal ones but for log, sin and cos.
"""

from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import THREADS, blocks, like, served, wide
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.reference import random as reference

_EACH = instances(FLOATS + HALVES)
_words = Kernel("random.cu", "draw_words")
_uniform = Kernel("random.cu", "draw_uniform", _EACH)
_normal = Kernel("random.cu", "draw_normal", _EACH)
_integers = Kernel("random.cu", "draw_integers")
_drop = Kernel("random.cu", "drop", _EACH)


def _drawn(kernel: Kernel, template: tuple[Any, ...], key: tuple[int, int], shape: tuple[int, ...], dtype: Any, each: int,
           *others: Any) -> Any:
    """A new array filled by a kernel whose threads make `each` elements."""
    out = cupy.empty(shape, dtype)
    kernel(*template, grid=blocks(prod(shape), each), block=(THREADS,),
           arguments=(out, np.int64(out.size), *map(np.uint64, key), *others))
    return out


def philox(key: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Random bits, uint32 of `shape`: a pure function of the key (seed, draw), two 64-bit integers."""
    return _drawn(_words, (), key, shape, np.uint32, 4)


def random_uniform(key: tuple[int, int], shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform on [0, 1)."""
    dtype = np.dtype(dtype)
    return _drawn(_uniform, (dtype,), key, shape, dtype, 2 if dtype == np.float64 else 4, reference.digits(dtype))


def random_normal(key: tuple[int, int], shape: tuple[int, ...], dtype: Any) -> Any:
    """Standard normal."""
    dtype = np.dtype(dtype)
    return _drawn(_normal, (dtype,), key, shape, dtype, 2 if dtype == np.float64 else 4)


def random_integers(key: tuple[int, int], shape: tuple[int, ...], low: int, high: int) -> Any:
    """Integers of [low, high), int64."""
    return _drawn(_integers, (), key, shape, np.int64, 2, np.uint64(low % 2**64), np.uint64((high - low) % 2**64))


def dropout(x: Any, *, key: tuple[int, int], p: float, scale: float, shape: tuple[int, ...]) -> Any:
    """x times `scale` where the key's bits say keep (with probability 1 - p), times 0 elsewhere.

    In one pass where the mask has x's shape; where it broadcasts, it is drawn first.
    """
    if x.shape != shape or not served(x):
        return definitions.find("dropout")(x, key=key, p=p, scale=scale, shape=shape, bits=philox)
    out = like(x)
    rounded = wide(x.dtype).type(x.dtype.type(scale))  # to the array's own type, as the definition's product has it
    _drop(x.dtype, grid=blocks(x.size, 8 if x.dtype.itemsize == 2 else 4), block=(THREADS,), arguments=(
        contiguous(x), out, np.int64(x.size), *map(np.uint64, key), np.uint64(reference.least(p)), rounded))
    return out
