"""Random bits that are a pure function of a key, and numbers and masks made of them.

The generator is Philox4x32-10: J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(2011). It maps a counter of four 32-bit words and a key of two to four words that look random, by ten rounds of
multiplications; so element i of a draw can be computed without those before it, and comes out the same everywhere.
"""

from math import prod
from typing import Any

import numpy as np

__all__ = ["dropout", "philox", "random_integers", "random_normal", "random_uniform"]

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85  # what the key's words grow by from round to round
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
CHUNK = 4096  # counters at a time: the words stay in the cache


def philox_rounds(counter: Any, key: tuple[int, int]) -> Any:
    """Four output words for each counter: uint32 (4, n) -> uint32 (4, n), under a key of two 32-bit words."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (p1 >> HALF) ^ c1 ^ np.uint64(k0), p1 & LOW
        c2, c3 = (p0 >> HALF) ^ c3 ^ np.uint64(k1), p0 & LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def philox(key: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Random bits, uint32 of `shape`: a pure function of the key (seed, draw), two 64-bit integers.

    Element i (in C order) is word i % 4 for the counter (i // 4, draw), each of 64 bits, under the seed as the key.
    """
    seed, draw = key
    size = prod(shape)
    blocks = -(-size // 4)
    out = np.empty((blocks, 4), np.uint32)
    for start in range(0, blocks, CHUNK):
        index = np.arange(start, min(start + CHUNK, blocks), dtype=np.uint64)
        counter = (index & LOW, index >> HALF, draw & 0xFFFFFFFF, draw >> 32)
        out[start:start + CHUNK] = philox_rounds(np.broadcast_arrays(*counter), (seed & 0xFFFFFFFF, seed >> 32)).T
    return out.reshape(-1)[:size].reshape(shape)


# `bits` draws: a backend that draws the same bits more quickly passes its own function.

def digits(dtype: Any) -> int:
    """Of how many bits a uniform number is made: as many as the dtype's significand has."""
    return {"float16": 11, "bfloat16": 8, "float64": 53}.get(str(dtype), 24)


def random_uniform(key: tuple[int, int], shape: tuple[int, ...], dtype: Any, bits: Any = philox) -> Any:
    """Uniform on [0, 1): multiples of 2^-8, 2^-11, 2^-24 or 2^-53 for bfloat16, float16, 32, 64, each as likely."""
    dtype = np.dtype(dtype)
    if dtype == np.float64:
        words = bits(key, (*shape, 2))
        high, low = words[..., 0] >> 5, words[..., 1] >> 6
        return np.asarray((high * 67108864.0 + low) * 2.0**-53)
    kept = digits(dtype)
    return np.asarray((bits(key, shape) >> (32 - kept)).astype(np.float32) * np.float32(2.0**-kept)).astype(dtype)


def random_normal(key: tuple[int, int], shape: tuple[int, ...], dtype: Any, bits: Any = philox) -> Any:
    """Standard normal, by the transformation of Box and Muller (1958): sqrt(-2 log u) times cos and sin of 2πv.

    The bits under it are the same everywhere; log, cos and sin may differ in the last place between processors.
    """
    dtype = np.dtype(dtype)
    size = prod(shape)
    pairs = -(-size // 2)
    if dtype == np.float64:
        u, v = 1 - random_uniform(key, (pairs, 2), dtype, bits).T  # in (0, 1]: the logarithm is finite
    else:
        words = bits(key, (pairs, 2)).T
        u = (words[0].astype(np.float64) + 0.5).astype(np.float32) * np.float32(2.0**-32)
        v = (words[1] >> 8).astype(np.float32) * np.float32(2.0**-24)
    radius, angle = np.sqrt(-2 * np.log(u)), v * u.dtype.type(2 * np.pi)
    out = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1)[:size].reshape(shape)
    return np.asarray(out.astype(dtype, copy=False))


def random_integers(key: tuple[int, int], shape: tuple[int, ...], low: int, high: int, bits: Any = philox) -> Any:
    """Integers of [low, high), int64, from 64 bits each: the remainder's bias is below (high - low) / 2^64."""
    words = bits(key, (*shape, 2)).astype(np.uint64)
    numbers = np.asarray(words[..., 0] << HALF | words[..., 1])
    span = high - low
    if span < 2**64:
        numbers = numbers % np.uint64(span)
    with np.errstate(over="ignore"):  # a single number would warn
        return (numbers + np.uint64(low % 2**64)).astype(np.int64)  # modulo 2^64, as int64 arithmetic is


def least(p: float) -> int:
    """Words below this are dropped: a share p of them."""
    return min(round(p * 2**32), 2**32)


def dropout(x: Any, *, key: tuple[int, int], p: float, scale: float, shape: tuple[int, ...], bits: Any = philox) -> Any:
    """x times `scale` where the key's bits say keep (with probability 1 - p), times 0 elsewhere.

    `shape` is the mask's, which broadcasts to x's: one decision for many elements.
    """
    keep = bits(key, shape) >= np.uint64(least(p))
    return x * np.multiply(keep, scale, dtype=x.dtype)
