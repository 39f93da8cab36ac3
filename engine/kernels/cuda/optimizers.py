"""Optimizers' rules for all parameters of a group in one launch, and gradients clipped in one pass (optimizers.cu).

The functions are those of the cpu backend, with its arguments: a flat list of arrays (for every parameter itself, its gradient,
its state) and coefficients, one row or one for each parameter. They return False, and have written nothing, where they cannot
take the arrays (see `table`). Nothing waits for the device: `sum_of_squares` returns an array of shape () in its memory, and
`scale_and_clamp` takes such a factor.
"""

from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import THREADS, number, served, wide
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, instances

_SWITCH = (False, True)
_sgd = Kernel("optimizers.cu", "sgd_step", instances(FLOATS + HALVES, _SWITCH, _SWITCH))
_adam = Kernel("optimizers.cu", "adam_step", instances(FLOATS + HALVES, _SWITCH))
_rmsprop = Kernel("optimizers.cu", "rmsprop_step", instances(FLOATS + HALVES, _SWITCH, _SWITCH))
_limit = Kernel("optimizers.cu", "scale_and_clamp", instances(FLOATS + HALVES))
_squares = Kernel("optimizers.cu", "sum_of_squares", instances(FLOATS + HALVES))
_total = Kernel("optimizers.cu", "total_of")
BLOCKS = 4096  # as many of them keep any GPU busy
_tables: dict[Any, tuple[Any, ...]] = {}  # the last table of each list of arrays


def chunk_of(total: int) -> int:
    """Elements of a block: 1024, or twice as many until there are no more than `BLOCKS`, up to 65536.

    >>> chunk_of(5000), chunk_of(10**7), chunk_of(10**10)
    (1024, 4096, 65536)
    """
    chunk = 4 * THREADS
    while chunk < 1 << 16 and total > BLOCKS * chunk:
        chunk *= 2
    return chunk


def table(arrays: list[Any], columns: int) -> Any:
    """Where the arrays lie, for optimizers.cu: (the table on the device, its number of rows, elements in a chunk, blocks), for a
    flat list of `columns` arrays a row. None where the arrays cannot be used: those of a row must have one shape, all of them be
    C-contiguous and on one device, parameters and gradients of one floating-point dtype, and the others of the dtype that `wide`
    gives.

    The table goes to the device without waiting for it, and only where an address has changed since the last call: gradients
    are new arrays in every step, but often lie where the last ones did.
    """
    dtype = arrays[0].dtype
    if not served(arrays[0]):
        return None
    state, device, sizes, addresses = wide(dtype), arrays[0].device.id, [], []
    for start in range(0, len(arrays), columns):
        shape = arrays[start].shape
        sizes.append(arrays[start].size)
        for column in range(columns):
            a = arrays[start + column]
            if a.__class__ is not cupy.ndarray or a.shape != shape or a.dtype != (dtype if column < 2 else state) \
                    or not a.flags.c_contiguous or a.device.id != device:
                return None
            addresses.append(a.data.ptr)
    key = device, columns, len(addresses), addresses[0]
    known = _tables.get(key)
    if known is None or known[0] != addresses or known[1] != sizes:
        chunk = chunk_of(sum(sizes))
        blocks = -(-np.array(sizes, np.int64) // chunk)
        rows = np.empty((len(sizes), 2 + columns), np.int64)
        rows[:, 0], rows[:, 1] = np.cumsum(blocks) - blocks, sizes
        rows[:, 2:] = np.array(addresses, np.uint64).reshape(len(sizes), columns).view(np.int64)
        whole = np.concatenate([rows.reshape(-1), np.repeat(np.arange(len(sizes)), blocks)])
        if len(_tables) > 256:
            _tables.clear()
        known = _tables[key] = addresses, sizes, (cupy.asarray(whole), len(sizes), chunk, int(blocks.sum()))
    return known[2]


def _step(kernel: Kernel, arrays: list[Any], columns: int, coefficients: Any, *switches: bool) -> bool:
    """Call a kernel for the rows of the arrays; once, or once for each set of coefficients. False where it cannot take them."""
    dtype = arrays[0].dtype
    with arrays[0].device:
        if len(coefficients) == 1:
            parts = {tuple(coefficients[0]): arrays}
        else:
            parts = {}
            for row, numbers in enumerate(coefficients):
                parts.setdefault(tuple(numbers), []).extend(arrays[row * columns : (row + 1) * columns])
        tables = [(table(part, columns), numbers) for numbers, part in parts.items()]
        if any(where is None or part[0].dtype != dtype for (where, _), part in zip(tables, parts.values(), strict=True)):
            return False
        for (where, rows, chunk, blocks), numbers in tables:
            kernel(dtype, *switches, grid=(blocks,), block=(THREADS,), arguments=(
                where, rows, chunk, *[number(n, dtype) for n in numbers]))
    return True


def sgd_step(arrays: list[Any], coefficients: Any, *, momentum: bool, nesterov: bool) -> bool:
    """`optim.sgd.sgd` for arrays p, g and, with momentum, its buffer. Coefficients: ±1, weight_decay, momentum,
    1 − dampening, lr."""
    return _step(_sgd, arrays, 3 if momentum else 2, coefficients, momentum, nesterov)


def adam_step(arrays: list[Any], coefficients: Any, *, amsgrad: bool) -> bool:
    """`optim.adam.adam` for arrays p, g, m, v and, with amsgrad, the largest v. Coefficients: ±1, the weight decay in the
    gradient, the factor of p before the step, 1 − β₁, β₂, 1 − β₂, 1 / √(1 − β₂ᵗ), ε, lr / (1 − β₁ᵗ)."""
    return _step(_adam, arrays, 5 if amsgrad else 4, coefficients, amsgrad)


def rmsprop_step(arrays: list[Any], coefficients: Any, *, centered: bool, momentum: bool) -> bool:
    """`optim.rmsprop.rmsprop` for arrays p, g, v, with `centered` the mean, and with `momentum` its buffer. Coefficients: ±1,
    weight_decay, α, 1 − α, ε, momentum, lr."""
    return _step(_rmsprop, arrays, 3 + centered + momentum, coefficients, centered, momentum)


def sum_of_squares(arrays: list[Any]) -> Any:
    """Σ x² over all elements of the arrays, in float64, as an array of shape (); None where it cannot take them."""
    with arrays[0].device:
        found = table(arrays, 1)
        if found is None:
            return None
        where, rows, chunk, blocks = found
        sums, total = cupy.empty(blocks, np.float64), cupy.empty((), np.float64)
        _squares(arrays[0].dtype, grid=(blocks,), block=(THREADS,), arguments=(where, rows, chunk, sums))
        _total(grid=(1,), block=(THREADS,), arguments=(sums, blocks, total))
    return total


def scale_and_clamp(arrays: list[Any], factor: Any, limit: float) -> bool:
    """x ← min(max(factor · x, −limit), limit) for all elements of the arrays, in place; False where it cannot take them. The
    factor is a number, or a float64 array of shape () on the device."""
    with arrays[0].device:
        found = table(arrays, 1)
        if found is None:
            return False
        where, rows, chunk, blocks = found
        given = factor if isinstance(factor, cupy.ndarray) else None
        _limit(arrays[0].dtype, grid=(blocks,), block=(THREADS,), arguments=(
            where, rows, chunk, given, np.float64(1 if given is not None else factor), np.float64(limit)))
    return True
