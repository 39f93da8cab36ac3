"""Maximum pooling in one pass: the maxima and, in a byte each, which of its window's elements it was; and the adjoint.

A task is a few (image, channel) planes. Windows one or two apart are found a vector at a time, as many as it has lanes: of two
apart every second element is picked out of two vectors by a shuffle, and of a window's elements the largest is kept with its
number. Those that reach beyond the sides, or are further apart, are found one at a time. 2 × 2 windows side by side, the
commonest, have a form of their own, in which both halves of the shuffle are used; their adjoint puts the gradient where the
number says and zeros beside it, and so writes every element once.

Floor: reading x and writing y. It differs from its definition, which finds int64 positions
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
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.planes import is_plane, pair, plane
from chainrule.kernels.cpu.vectors import Code
from chainrule.kernels.reference.pooling import pooled_size
from chainrule.kernels.reference.windows import Sizes

SMALLEST = 1 << 12  # inputs of fewer elements are left to the definition
SHARED = 1 << 15  # from this many on, threads share the work
TASK = 1 << 14  # a task has about this many elements

_BYTE = ir.IntType(8)


def _better(builder: Any, value: Any, best: Any) -> Any:
    """Whether a value takes the place of the best so far: it is larger, or a NaN."""
    return builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))


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
                    better = _better(builder, value, best)
                    best, number = builder.select(better, value, best), builder.select(better, own, number)
            code.store_some(best, builder.gep(out, [j]), left)
            code.store_some(number, builder.gep(which, [j]), left)
        return context.get_dummy_value()

    number = types.int64
    return types.void(x, number, number, y, choice, number, number), build


def _windows(stride: int) -> Any:
    @intrinsic
    def windows(typing: Any, x: Any, at: Any, row: Any, column: Any, rows: Any, columns: Any, first: Any, y: Any, choice: Any,
                to: Any, count: Any) -> Any:
        """y[to + j] = the largest of x[at + j * stride + r * row + s * column] for r < rows, s < columns; j < count.

        choice[to + j]: which of them it was, counted from `first`. Of equal ones the first counts; a NaN counts as largest, the
        last one of several.
        """
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, at, row, column, rows, columns, first, y, choice, to, count = values
            kinds = signature.args
            code = Code(context, builder, kinds[0])
            origin = code.pointer(kinds[0], x, at)
            out, which = code.pointer(kinds[7], y, to), code.pointer(kinds[8], choice, to)
            best, number = (cgutils.alloca_once(builder, kind) for kind in (code.vector, code.bytes))

            def found(j: Any, left: Any) -> None:
                """The windows from j on: as many as lanes, or where not None `left` of them."""
                begin = builder.gep(origin, [builder.mul(j, count.type(stride))])
                builder.store(code.load_apart(begin, stride, left), best)
                builder.store(code.numbers(builder.trunc(first, _BYTE)), number)
                with cgutils.for_range(builder, rows, intp=count.type) as r:
                    line = builder.gep(begin, [builder.mul(r.index, row)])
                    start = builder.add(first, builder.mul(r.index, columns))
                    with cgutils.for_range(builder, columns, intp=count.type) as s:
                        place = builder.gep(line, [builder.mul(s.index, column)])
                        value, old = code.load_apart(place, stride, left), builder.load(best)
                        better = _better(builder, value, old)
                        own = code.numbers(builder.trunc(builder.add(start, s.index), _BYTE))
                        builder.store(builder.select(better, value, old), best)
                        builder.store(builder.select(better, own, builder.load(number)), number)
                for array, values in ((out, best), (which, number)):
                    code.store_some(builder.load(values), builder.gep(array, [j]), left)

            code.sweep(count, found)
            return context.get_dummy_value()

        number = types.int64
        return types.void(x, number, number, number, number, number, number, y, choice, number, number), build
    return windows


_windows_side_by_side, _windows_two_apart = _windows(1), _windows(2)


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


@jit
def _one(x: Any, top: int, left: int, kernel: Any, dilation: Any) -> tuple[Any, int]:
    """The largest of a window of x (H, W) that may reach beyond it, and its number; 0 and 255 where it sees nothing."""
    found, best = 255, x.dtype.type(0)
    for kh in range(kernel[0]):
        row = top + kh * dilation[0]
        if row < 0 or row >= x.shape[0]:
            continue
        for kw in range(kernel[1]):
            column = left + kw * dilation[1]
            if column < 0 or column >= x.shape[1]:
                continue
            value = x[row, column]
            if found == 255 or value > best or np.isnan(value):
                best, found = value, kh * kernel[1] + kw
    return best, found


@tasks
def _maxima(task: int, x: Any, y: Any, choice: Any, planes: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
            halves: bool) -> None:
    """y (P, OH, OW) = the maxima of the windows of x (P, H, W), choice (P, OH, OW) their numbers; 255 where one sees nothing."""
    height, width = x.shape[1], x.shape[2]
    out_height, out_width = y.shape[1], y.shape[2]
    source, target, numbers = x.reshape(-1), y.reshape(-1), choice.reshape(-1)
    # windows from `begin` to `end` are inside from left to right
    begin = min(out_width, (padding[1] + stride[1] - 1) // stride[1])
    end = max(begin, min(out_width, (width - 1 - (kernel[1] - 1) * dilation[1] + padding[1]) // stride[1] + 1))
    if stride[1] > 2:
        end = begin
    for p in range(task * planes, min(x.shape[0], (task + 1) * planes)):
        seen = x[p]
        for i in range(out_height):
            if halves:
                _halve(source, (p * height + 2 * i) * width, width, target, numbers, (p * out_height + i) * out_width, out_width)
                continue
            top = i * stride[0] - padding[0]
            low = (max(0, -top) + dilation[0] - 1) // dilation[0]  # the kernel's rows from `low` to `high` are inside
            high = min(kernel[0], (height - 1 - top) // dilation[0] + 1)
            last = end if low < high else begin
            at = (p * height + top + low * dilation[0]) * width + begin * stride[1] - padding[1]
            first, to, row = low * kernel[1], (p * out_height + i) * out_width + begin, dilation[0] * width
            if stride[1] == 1:
                _windows_side_by_side(source, at, row, dilation[1], high - low, kernel[1], first, target, numbers, to, last - begin)
            else:
                _windows_two_apart(source, at, row, dilation[1], high - low, kernel[1], first, target, numbers, to, last - begin)
            for side in ((0, begin), (last, out_width)):
                for j in range(side[0], side[1]):
                    y[p, i, j], choice[p, i, j] = _one(seen, top, j * stride[1] - padding[1], kernel, dilation)


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
         (pair(1, kernel), pair(1, stride), pair(0, padding), pair(1, dilation),
          _halves(x.shape[2:], out, kernel, stride, padding, dilation)))
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
         (pair(1, kernel), pair(1, stride), pair(0, padding), pair(1, dilation),
          _halves(x.shape[2:], g.shape[2:], kernel, stride, padding, dilation)))
    return (found,)


def _run(kernel: Any, x: Any, arrays: Any, geometry: Any) -> None:
    planes = max(1, TASK // max(1, prod(x.shape[2:])))
    form = kernel if x.size >= SHARED else kernel.serial
    form(-(-prod(x.shape[:2]) // planes), *arrays, planes, *geometry)
