"""Matrix products over all threads: a private OpenBLAS, one call for each task, instead of a BLAS with threads of its own.

A *job* is a product, or a batch of them, and is cut into tasks along rows and columns of its result. Each task packs its own part
of both operands anew, so the cut is coarse (see `_cut`), and along the side where less is packed twice. Several jobs can be
done in one launch: the backward pass of a linear layer is two. What a matrix is to BLAS, an address, the distance of its
rows and whether it is transposed, is read off the strides: views such as `x.mT` or a part of the columns are not copied.

x @ weight.T for few rows goes to fewrows.py, products of few multiplications to NumPy. Those of more never do, whatever their
layout: the threads of NumPy's BLAS and ours would fight.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.kernels.cpu import fewrows
from chainrule.kernels.cpu.addresses import KNOWN, SCALARS, data, part
from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.blas import AVAILABLE, gemm
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.memory import empty

USABLE = AVAILABLE and KNOWN
# Products of fewer multiplications are NumPy's; from 2**18 on its BLAS uses several threads.
SMALLEST = 1 << 18
LIKE = {dtype: np.empty(0, dtype) for dtype in SCALARS}  # an array of the dtype, for kernels to see it by

# A job is a row of integers. Matrices are given as the `id` of their array object.
(END,                # the number of the first task that is not its own
 BATCH, INNER, GROUP,  # entries in all, along the inner one of two batch axes, and in one task
 DOWN, ACROSS,       # tasks along rows and columns
 ROWS, COLUMNS, DEPTH,  # of op(a) @ op(b), (rows, depth) @ (depth, columns)
 A, LDA, TRANSPOSED_A, OUTER_A, INNER_A,  # array, distance of rows, whether it lies as (depth, rows), strides of the batch
 B, LDB, TRANSPOSED_B, OUTER_B, INNER_B,
 C,                  # the result, C-contiguous
 BIAS,               # (columns,), added to every row; or 0
 SUMS,               # takes the sums over depth of the operand's columns: of a where it lies as (depth, rows), else of b; or 0
 ADDS,               # whether the product is added to what is in the result
 FIELDS) = range(24)

ROWS_AT_ONCE = 64  # summed before they are added to the rest: rounding errors grow with that number, not with the depth


@tasks
def _products(task: int, jobs: Any, like: Any) -> None:
    """Part of the product of the job that has this task."""
    number, first = 0, 0
    while task >= jobs[number, END]:
        first = jobs[number, END]
        number += 1
    job, size = jobs[number], like.itemsize
    rows, columns, depth, lda, ldb = job[ROWS], job[COLUMNS], job[DEPTH], job[LDA], job[LDB]
    block, piece = (task - first) // (job[DOWN] * job[ACROSS]), (task - first) % (job[DOWN] * job[ACROSS])
    down, across = piece // job[ACROSS], piece % job[ACROSS]
    # multiples of 16, with which BLAS's kernels are at their best
    top, left = (down * rows // job[DOWN]) & ~15, (across * columns // job[ACROSS]) & ~15
    bottom = rows if down + 1 == job[DOWN] else ((down + 1) * rows // job[DOWN]) & ~15
    right = columns if across + 1 == job[ACROSS] else ((across + 1) * columns // job[ACROSS]) & ~15
    width = right - left
    start_a = top if job[TRANSPOSED_A] else top * lda
    start_b = left * ldb if job[TRANSPOSED_B] else left
    for entry in range(block * job[GROUP], min((block + 1) * job[GROUP], job[BATCH])):
        outer, inner = entry // job[INNER], entry % job[INNER]
        a = data(job[A]) + size * (outer * job[OUTER_A] + inner * job[INNER_A] + start_a)
        b = data(job[B]) + size * (outer * job[OUTER_B] + inner * job[INNER_B] + start_b)
        c = data(job[C]) + size * ((entry * rows + top) * columns + left)
        gemm(job[TRANSPOSED_A] != 0, job[TRANSPOSED_B] != 0, bottom - top, width, depth, 1.0,
             part(a, 0, 1, like), lda, part(b, 0, 1, like), ldb, 1.0 if job[ADDS] else 0.0, part(c, 0, 1, like), columns)
        if job[BIAS]:
            bias = part(data(job[BIAS]), left, right, like)
            for i in range(bottom - top):
                line = part(c, i * columns, i * columns + width, like)
                for j in range(np.uint64(width)):  # unsigned positions are vectorised
                    line[j] += bias[j]
        if job[SUMS] and (across if job[TRANSPOSED_A] else down) == 0:
            if job[TRANSPOSED_A]:
                _sum_rows(a, lda, depth, part(data(job[SUMS]), top, bottom, like))
            else:
                _sum_rows(b, ldb, depth, part(data(job[SUMS]), left, right, like))


@jit
def _sum_rows(address: int, distance: int, rows: int, out: Any) -> None:
    """out (n,) = the sum of the rows, n long, of the matrix at the address."""
    some = np.empty_like(out)
    out[:] = 0
    for begin in range(0, rows, ROWS_AT_ONCE):
        some[:] = 0
        for row in range(begin, min(begin + ROWS_AT_ONCE, rows)):
            line = part(address, row * distance, row * distance + out.size, out)
            for j in range(np.uint64(out.size)):
                some[j] += line[j]
        for j in range(np.uint64(out.size)):
            out[j] += some[j]


def _cut(rows: int, columns: int, depth: int) -> tuple[int, int]:
    """Into how many tasks a product is cut, along its rows and along its columns.

    1 to 16 by its size. Down means that b is packed that often, across that a is, which costs half as much; pieces below 16 rows
    or 32 columns are slow.
    """
    work = rows * columns * depth
    wanted = 1 if work < 1 << 20 else 2 if work < 1 << 25 else 4 if work < 1 << 27 else 8 if work < 1 << 31 else 16
    most_down, most_across = max(1, rows // 16), max(1, columns // 32)
    cuts = [(down, wanted // down) for down in (1, 2, 4, 8, 16) if down <= wanted]
    found = [cut for cut in cuts if cut[0] <= most_down and cut[1] <= most_across]
    if not found:
        return (min(wanted, most_down), 1) if rows >= columns else (1, min(wanted, most_across))
    return min(found, key=lambda cut: 2 * cut[0] * columns + cut[1] * rows)


@lru_cache(4096)
def job(rows: int, columns: int, depth: int, lda: int, transposed_a: bool, ldb: int, transposed_b: bool,
        batch: tuple[int, ...] = (1, 1, 0, 0, 0, 0)) -> Any:
    """The row of integers of one job, without arrays: a copy is filled in. batch: (entries, entries along the inner axis,
    a's strides along outer and inner axis, b's)."""
    row = np.zeros((1, FIELDS), np.int64)
    work = rows * columns * depth
    down, across = _cut(rows, columns, depth) if batch[0] == 1 or work >= 1 << 22 else (1, 1)
    group = max(1, (1 << 20) // max(1, work)) if down * across == 1 else 1
    row[0] = (-(-batch[0] // group) * down * across, batch[0], batch[1], group, down, across, rows, columns, depth,
              0, lda, transposed_a, batch[2], batch[3], 0, ldb, transposed_b, batch[4], batch[5], 0, 0, 0, 0)
    return row


def run(jobs: Any, dtype: Any) -> None:
    """Do the jobs; whoever calls holds their arrays."""
    _products(int(jobs[-1, END]), jobs, LIKE[dtype])


def layout(matrix: Any) -> tuple[Any, int, bool]:
    """(array, distance of rows, whether transposed): the last two axes of an array as BLAS takes them; a copy where it cannot."""
    rows, columns = matrix.shape[-2:]
    across, size = matrix.strides[-1], matrix.itemsize
    down = matrix.strides[-2]
    if across == size or columns == 1:
        if rows == 1 or (down >= columns * size and not down % size):
            return matrix, (columns if rows == 1 else down // size), False
    if down == size or rows == 1:
        if columns == 1 or (across >= rows * size and not across % size):
            return matrix, (rows if columns == 1 else across // size), True
    return np.ascontiguousarray(matrix), columns, False


def declines(*arrays: Any) -> bool:
    """Whether the kernels cannot take these arrays: they must be all float32 or all float64, in the machine's order, aligned.
    None stands for an array that is not there."""
    dtype = arrays[0].dtype
    if not USABLE or dtype not in SCALARS:
        return True
    for array in arrays:
        if array is not None and ((array.dtype is not dtype and array.dtype != dtype) or not array.flags.aligned):
            return True
    return False


def product(a: Any, b: Any, bias: Any = None) -> Any:
    """a (M, K) @ b (K, N) + bias (N,) or None, matrices of any strides that `declines` does not decline."""
    (rows, depth), columns = a.shape, b.shape[1]
    if rows * depth * columns < SMALLEST:
        out = np.matmul(a, b)
        return out if bias is None else np.add(out, bias, out=out)
    (a, lda, transposed_a), (b, ldb, transposed_b) = layout(a), layout(b)
    if transposed_b and fewrows.takes(rows, columns, depth, a.itemsize) and a.flags.carray and b.T.flags.carray:
        return fewrows.product(a, b.T, None if bias is None else plain(bias))
    jobs = job(rows, columns, depth, lda, transposed_a, ldb, transposed_b).copy()
    out = empty((rows, columns), a.dtype)
    jobs[0, A], jobs[0, B], jobs[0, C] = id(a), id(b), id(out)
    if bias is not None:
        bias = np.ascontiguousarray(bias)
        jobs[0, BIAS] = id(bias)
    run(jobs, a.dtype)
    return out


def matmul(a: Any, b: Any) -> Any:
    """The kernel of the row `matmul`: (..., M, K) @ (..., K, N) -> (..., M, N), leading axes broadcast.

    >>> matmul(np.ones((2, 1, 3)), np.ones((3, 1))).shape
    (2, 1, 1)
    """
    if a.ndim < 2 or b.ndim < 2 or max(a.size * b.shape[-1], b.size * a.shape[-2]) < SMALLEST \
            or a.shape[-1] != b.shape[-2] or declines(a, b):
        return np.matmul(a, b)
    if a.ndim == b.ndim == 2:
        return product(a, b)
    (rows, depth), columns = a.shape[-2:], b.shape[-1]
    if b.ndim == 2 and a.flags.c_contiguous:  # the entries of the batch are further rows
        return product(a.reshape(-1, depth), b).reshape(*a.shape[:-1], columns)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (a, lda, transposed_a), (b, ldb, transposed_b) = layout(a), layout(b)
    axes = _batch(lead, a, b)
    if axes is None:  # more than two axes whose strides do not fit together
        a, b = (np.ascontiguousarray(np.broadcast_to(x, lead + x.shape[-2:])) for x in (a, b))
        (a, lda, transposed_a), (b, ldb, transposed_b) = layout(a), layout(b)
        axes = _batch(lead, a, b)
    jobs = job(rows, columns, depth, lda, transposed_a, ldb, transposed_b, axes).copy()
    out = empty((*lead, rows, columns), a.dtype)
    jobs[0, A], jobs[0, B], jobs[0, C] = id(a), id(b), id(out)
    run(jobs, a.dtype)
    return out


def _batch(lead: tuple[int, ...], a: Any, b: Any) -> tuple[int, ...] | None:
    """The leading axes as two: (entries, entries along the inner axis, a's strides along both, b's); None where they are more."""
    size = a.itemsize
    found: list[list[int]] = []  # [length, a's stride, b's stride], outermost first
    for axis, n in enumerate(lead):
        if n == 1:
            continue
        steps = []
        for x in (a, b):
            own = axis - len(lead) + x.ndim - 2
            steps.append(0 if own < 0 or x.shape[own] == 1 else x.strides[own])
        if found and all(found[-1][1 + i] == n * steps[i] for i in range(2)):
            found[-1] = [found[-1][0] * n, *steps]
        else:
            found.append([n, *steps])
    if len(found) > 2 or any(step % size for _, *steps in found for step in steps):
        return None
    outer, inner = ([[1, 0, 0]] * 2 + found)[-2:]
    return (outer[0] * inner[0], inner[0], outer[1] // size, inner[1] // size, outer[2] // size, inner[2] // size)
