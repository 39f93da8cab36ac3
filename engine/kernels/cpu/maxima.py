"""Maximum pooling in one pass: the maxima and, in a byte each, which of its window's elements it was; and the adjoint.

A task is a few (image, channel) planes. Windows of 2 × 2 side by side, the commonest, are found a vector at a time: two rows
are read, their even and odd columns told apart by shuffles, and of the four the largest is kept with its number. Their
adjoint puts the gradient where the number says and zeros beside it, and so writes every element once.

Floor: reading x and writing a quarter of it. It differs from its definition, which finds int64 positions
(`max_pool_indices`) and then takes, in what is kept alone: one byte for each window.
"""

from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainrule.kernels.cpu import memory
from chainrule.kernels.cpu.jit import tasks
from chainrule.kernels.cpu.planes import is_plane, pair, plane
from chainrule.kernels.cpu.vectors import Code
from chainrule.kernels.reference.pooling import pooled_size
from chainrule.kernels.reference.windows import Sizes

SMALLEST = 1 << 12  # inputs of fewer elements are left to the definition
SHARED = 1 << 15  # from this many on, threads share the work
TASK = 1 << 14  # a task has about this many elements

_BYTE = ir.IntType(8)


@intrinsic
def _halve(typing: Any, x: Any, at: Any, width: Any, y: Any, choice: Any, to: Any, count: Any) -> Any:
    """y[to + j] = the largest of x[at + 2 j], x[at + 2 j + 1] and the same in the row `width` further on; j < count.

    choice[to + j]: which of the four it was. Of equal ones the first counts; a NaN counts as largest, the last one of several.
    """
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, at, width, y, choice, to, count = values
        kinds = signature.args
        code = Code(context, builder, kinds[0])
        rows = [code.pointer(kinds[0], x, at), code.pointer(kinds[0], x, at, width)]
        out, which = code.pointer(kinds[3], y, to), code.pointer(kinds[4], choice, to)
        with cgutils.for_range_slice(builder, count.type(0), count, count.type(code.lanes), count.type) as (j, _):
            left = builder.sub(count, j)
            best = number = None
            for r, row in enumerate(rows):
                for s, value in enumerate(code.load_pairs(row, j, left)):
                    own = code.numbers(2 * r + s)
                    if best is None:
                        best, number = value, own
                        continue
                    better = builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))
                    best, number = builder.select(better, value, best), builder.select(better, own, number)
            code.store_some(best, builder.gep(out, [j]), left)
            code.store_some(number, builder.gep(which, [j]), left)
        return context.get_dummy_value()

    number = types.int64
    return types.void(x, number, number, y, choice, number, number), build


@intrinsic
def _double(typing: Any, g: Any, choice: Any, at: Any, x: Any, to: Any, width: Any, count: Any) -> Any:
    """The adjoint of _halve: x's four elements of each window j < count = g[at + j] where choice[at + j] says, else 0."""
    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        g, choice, at, x, to, width, count = values
        kinds = signature.args
        code = Code(context, builder, kinds[0])
        rows = [code.pointer(kinds[3], x, to), code.pointer(kinds[3], x, to, width)]
        given, which = code.pointer(kinds[0], g, at), code.pointer(kinds[1], choice, at)
        zero = ir.Constant(code.vector, None)
        with cgutils.for_range_slice(builder, count.type(0), count, count.type(code.lanes), count.type) as (j, _):
            left = builder.sub(count, j)
            value = code.load_some(builder.gep(given, [j]), left, code.vector)
            number = code.load_some(builder.gep(which, [j]), left, code.bytes)
            for r, row in enumerate(rows):
                even, odd = (builder.select(builder.icmp_unsigned("==", number, code.numbers(2 * r + s)), value, zero)
                             for s in (0, 1))
                code.store_pairs(even, odd, row, j, left)
        return context.get_dummy_value()

    number = types.int64
    return types.void(g, choice, number, x, number, number, number), build


@tasks
def _maxima(task: int, x: Any, y: Any, choice: Any, planes: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
            halves: bool) -> None:
    """y (P, OH, OW) = the maxima of the windows of x (P, H, W), choice (P, OH, OW) their numbers; 255 where one sees nothing."""
    height, width = x.shape[1], x.shape[2]
    out_height, out_width = y.shape[1], y.shape[2]
    source, target, numbers = x.reshape(-1), y.reshape(-1), choice.reshape(-1)
    for p in range(task * planes, min(x.shape[0], (task + 1) * planes)):
        for i in range(out_height):
            if halves:
                to = (p * out_height + i) * out_width
                _halve(source, (p * height + 2 * i) * width, width, target, numbers, to, out_width)
                continue
            top = i * stride[0] - padding[0]
            for j in range(out_width):
                left = j * stride[1] - padding[1]
                found, best = 255, x.dtype.type(0)
                for kh in range(kernel[0]):
                    row = top + kh * dilation[0]
                    if row < 0 or row >= height:
                        continue
                    for kw in range(kernel[1]):
                        column = left + kw * dilation[1]
                        if column < 0 or column >= width:
                            continue
                        value = x[p, row, column]
                        if found == 255 or value > best or np.isnan(value):
                            best, found = value, kh * kernel[1] + kw
                y[p, i, j], choice[p, i, j] = best, found


@tasks
def _spread(task: int, g: Any, choice: Any, x: Any, planes: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
            halves: bool) -> None:
    """The adjoint of _maxima: x (P, H, W) = zeros, with every element of g (P, OH, OW) added where its maximum was."""
    height, width = x.shape[1], x.shape[2]
    out_height, out_width = g.shape[1], g.shape[2]
    source, target, numbers = g.reshape(-1), x.reshape(-1), choice.reshape(-1)
    for p in range(task * planes, min(x.shape[0], (task + 1) * planes)):
        if not halves or 2 * out_height < height or 2 * out_width < width:
            x[p] = 0
        for i in range(out_height):
            if halves:
                at = (p * out_height + i) * out_width
                _double(source, numbers, at, target, (p * height + 2 * i) * width, width, out_width)
                continue
            for j in range(out_width):
                number = np.int64(choice[p, i, j])
                row = i * stride[0] - padding[0] + number // kernel[1] * dilation[0]
                column = j * stride[1] - padding[1] + number % kernel[1] * dilation[1]
                x[p, row, column] += g[p, i, j]


def _halves(size: Sizes, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> bool:
    """Whether the windows are 2 × 2, side by side and inside."""
    return (len(size) == 2 and {*kernel, *stride} == {2} and {*padding} == {0} and {*dilation} == {1}
            and out == (size[0] // 2, size[1] // 2))


def _planes(array: Any) -> Any:
    """(N, C, W) or (N, C, H, W) -> (N * C, H, W)."""
    array = plane(array)
    return array.reshape(-1, *array.shape[2:])


def max_pool(x: Any, *, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Any:
    """The maximum of each window: x (N, C, *S) -> (N, C, *out), and {"choice": which of the window's elements it was}.

    >>> x = np.arange(4096.).reshape(1, 1, 64, 64)
    >>> y, kept = max_pool(x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)
    >>> y[0, 0, 0, :2], kept["choice"][0, 0, 0, :2]
    (array([65., 67.]), array([3, 3], dtype=uint8))
    """
    if x.size < SMALLEST or not is_plane(x) or prod(kernel) >= 255:
        return NotImplemented
    out = pooled_size("max_pool", x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    y, choice = memory.empty((*x.shape[:2], *out), x.dtype), memory.empty((*x.shape[:2], *out), np.uint8)
    _run(_maxima, x, (_planes(x), _planes(y), _planes(choice)),
         (pair(1, kernel), pair(1, stride), pair(0, padding), pair(1, dilation)),
         _halves(x.shape[2:], out, kernel, stride, padding, dilation))
    if max(dilation) > 1 and choice.size and choice.max() == 255:  # only a dilated window can step over the input
        raise ValueError(f"max_pool: a window of kernel {tuple(kernel)} with dilation {tuple(dilation)} and padding "
                         f"{tuple(padding)} sees nothing of an input of spatial size {tuple(x.shape[2:])}")
    return y, {"choice": choice}


def max_pool_grad(g: Any, x: Any, choice: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                  wanted: tuple[bool]) -> Any:
    """The gradient of <g, max_pool(x)>: each element of g added to the place of its maximum.

    >>> x, g = np.zeros((1, 1, 2, 4)), np.ones((1, 1, 1, 2))
    >>> max_pool_grad(g, x, np.array([[[[2, 1]]]], np.uint8), (2, 2), (2, 2), (0, 0), (1, 1), (True,))
    (array([[[[0., 0., 0., 1.],
             [1., 0., 0., 0.]]]]),)
    """
    found = memory.empty(x.shape, x.dtype)
    _run(_spread, x, (_planes(g), _planes(choice), _planes(found)),
         (pair(1, kernel), pair(1, stride), pair(0, padding), pair(1, dilation)),
         _halves(x.shape[2:], g.shape[2:], kernel, stride, padding, dilation))
    return (found,)


def _run(kernel: Any, x: Any, arrays: Any, geometry: Any, halves: bool) -> None:
    planes = max(1, TASK // max(1, prod(x.shape[2:])))
    form = kernel if x.size >= SHARED else kernel.serial
    form(-(-prod(x.shape[:2]) // planes), *arrays, planes, *geometry, halves)
