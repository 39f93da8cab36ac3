"""The generator Philox4x32-10 compiled, with the bits of kernels/reference/random.py, and dropout that makes its mask on the way.

Element i of a draw is a function of the key and i alone, so that chunks of elements are drawn by any thread. In dropout the
mask is never in memory, forward or backward: it is drawn again, which takes less time than to read it.
"""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.cpu import jit
from chainrule.kernels.cpu.arrays import FLOATS, flat
from chainrule.kernels.cpu.exponential import inlined
from chainrule.kernels.cpu.memory import empty
from chainrule.kernels.reference import random as reference

BLOCKS = 1 << 12  # counters of a task, with four elements each
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
FIRST, SECOND = reference.MULTIPLIERS
WEYL0, WEYL1 = map(np.uint64, reference.WEYL)


@inlined
def _words(block: Any, seed: Any, draw: Any) -> Any:
    """The four words for the counter (block, draw) under the seed: see `reference.philox_rounds`."""
    c0, c1, c2, c3 = block & LOW, block >> HALF, draw & LOW, draw >> HALF
    k0, k1 = seed & LOW, seed >> HALF
    for _ in range(10):
        p0, p1 = c0 * FIRST, c2 * SECOND
        c0, c1 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW
        c2, c3 = (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL0) & LOW, (k1 + WEYL1) & LOW
    return c0, c1, c2, c3


@jit.tasks
def _draw(task: int, out: Any, seed: Any, draw: Any) -> None:
    """out (4 · blocks): the words one after the other."""
    begin, one = np.uint64(task * BLOCKS), np.uint64(1)
    for i in range(min(np.uint64(BLOCKS), np.uint64(out.size >> 2) - begin)):
        block = begin + i
        place = block << np.uint64(2)
        out[place], out[place + one], out[place + np.uint64(2)], out[place + np.uint64(3)] = _words(block, seed, draw)


@jit.tasks
def _drop(task: int, x: Any, out: Any, seed: Any, draw: Any, least: Any, scale: Any) -> None:
    """out = x · scale where the element's word is at least `least`, x · 0 elsewhere; arrays of 4 · blocks elements."""
    begin, one, zero = np.uint64(task * BLOCKS), np.uint64(1), x.dtype.type(0)
    for i in range(min(np.uint64(BLOCKS), np.uint64(out.size >> 2) - begin)):
        block = begin + i
        a, b, c, d = _words(block, seed, draw)
        first = block << np.uint64(2)
        second, third, fourth = first + one, first + np.uint64(2), first + np.uint64(3)
        out[first] = x[first] * (scale if a >= least else zero)
        out[second] = x[second] * (scale if b >= least else zero)
        out[third] = x[third] * (scale if c >= least else zero)
        out[fourth] = x[fourth] * (scale if d >= least else zero)


def philox(key: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Random bits, uint32 of `shape`: a pure function of the key (seed, draw), two 64-bit integers."""
    size = prod(shape)
    blocks = -(-size // 4)
    out = empty(4 * blocks, np.uint32)
    _draw(-(-blocks // BLOCKS), out, *map(np.uint64, key))
    return out[:size].reshape(shape)


# numbers are made of the bits as the reference makes them

def random_uniform(key: tuple[int, int], shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform on [0, 1)."""
    return reference.random_uniform(key, shape, dtype, philox)


def random_normal(key: tuple[int, int], shape: tuple[int, ...], dtype: Any) -> Any:
    """Standard normal."""
    return reference.random_normal(key, shape, dtype, philox)


def random_integers(key: tuple[int, int], shape: tuple[int, ...], low: int, high: int) -> Any:
    """Integers of [low, high), int64."""
    return reference.random_integers(key, shape, low, high, philox)


def dropout(x: Any, *, key: tuple[int, int], p: float, scale: float, shape: tuple[int, ...]) -> Any:
    """x times `scale` where the key's bits say keep (with probability 1 - p), times 0 elsewhere.

    In one pass where the mask has x's shape; where it broadcasts, as the reference.
    """
    if x.shape != shape or x.dtype not in FLOATS or not x.size:
        return reference.dropout(x, key=key, p=p, scale=scale, shape=shape, bits=philox)
    values = flat(x)
    blocks, rest = -(-x.size // 4), -x.size % 4
    if rest:  # the last block is not whole
        values = np.concatenate([values, np.zeros(rest, x.dtype)])
    out = empty(4 * blocks, x.dtype)
    _drop(-(-blocks // BLOCKS), values, out, *map(np.uint64, key), np.uint64(reference.least(p)), x.dtype.type(scale))
    return (out[:x.size] if rest else out).reshape(shape)
