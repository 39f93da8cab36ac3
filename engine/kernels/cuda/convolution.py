"""Convolution and its two adjoints in one and two dimensions, as matrix products whose operands are gathered where they lie.

The three maps are those of the reference (`chainrule.kernels.reference.convolution` states what they compute). By which method:

- **cuBLAS** (matmul.py): kernels of one element at stride 1 are products of matrices as they lie, forward and in the input.
- **convolution_direct.cu**: groups of few channels, depthwise convolution among them.
- **convolution_tensor.cu**: float16 and bfloat16, and float32 where tf32 is allowed, by tensor cores, from copies of the arrays in
  which channels run fastest.
- **convolution.cu**: float32 and float64 by multiply-adds.
- **The definition**: three dimensions, other dtypes, arrays of 2^31 elements and more, 16-bit floats on a GPU before sm_80.

The adjoint in the weight is a sum over all positions of all images: they are shared out among blocks, whose partial sums are added
up in a fixed order. How they are shared out depends on shapes alone.

Where a window reaches beyond the source, a zero is multiplied with the weight, as by the reference forward; here it is so backward
too, so that an infinite weight makes NaN at the border of the gradient, where the reference has none.
"""

from functools import cache
from math import prod
from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda import definitions
from chainrule.kernels.cuda.arrays import THREADS, blocks, like, served, wide
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances
from chainrule.kernels.cuda.matmul import multiply, tf32
from chainrule.kernels.cuda.planes import extents
from chainrule.kernels.cuda.sums import add_parts, sum_of_channels
from chainrule.kernels.reference.convolution import check_arguments
from chainrule.kernels.reference.windows import Sizes

TILES = [(dtype, r) for dtype, r in (("float32", 4), ("float32", 8), ("float64", 4))]
_convolve = Kernel("convolution.cu", "convolve", [(*t, backward) for t in TILES for backward in (False, True)])
_correlate = Kernel("convolution.cu", "correlate", TILES)
_convolve_direct = Kernel("convolution_direct.cu", "convolve_direct", instances(FLOATS + HALVES, (False, True)))
_correlate_direct = Kernel("convolution_direct.cu", "correlate_direct", instances(FLOATS + HALVES))
_convolve_tensor = Kernel("convolution_tensor.cu", "convolve_tensor", instances((*HALVES, "float32"), (2, 4), (False, True)))
_correlate_tensor = Kernel("convolution_tensor.cu", "correlate_tensor", instances((*HALVES, "float32"), (2, 4)))
_channels_last = Kernel("convolution_tensor.cu", "channels_last", instances((*HALVES, "float32")))
_add_turned_parts = Kernel("convolution_tensor.cu", "add_turned_parts", instances((*HALVES, "float32")))

FEW = 8  # channels of a group, of input and of output, up to which groups go the direct way
BLOCKS = 264  # two for each of an H100's multiprocessors: tiles are made small, and positions shared out, to have as many
SHARED = 480  # bytes of shared memory for each line of a tile of tensor_tile.cuh
SHARE = 512  # positions that a block of the adjoint in the weight sums over at least


class Geometry:
    """The sizes of one convolution: x (N, G C, *S), weight (G O, C, *K), y (N, G O, *out)."""

    def __init__(self, x_shape: Any, weight_shape: Any, out: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> None:
        self.images, self.groups = x_shape[0], groups
        self.inputs, self.outputs = weight_shape[1], weight_shape[0] // groups
        self.x, self.y, self.stride, kernel = tuple(x_shape[2:]), tuple(out), tuple(stride), tuple(weight_shape[2:])
        self.taps = prod(kernel)
        self.pointwise = self.taps == groups == max(self.stride) == 1 and max(padding) == 0
        self.extents = extents(self.x, self.y, kernel, self.stride, tuple(padding), tuple(dilation))

    def direct(self) -> bool:
        """Whether its groups are too small for tiles."""
        return self.groups > 1 and max(self.inputs, self.outputs) <= FEW

    def positions(self, backward: bool) -> int:
        """How many positions the target has, of all images; backward, of the first phase."""
        sizes = [-(-n // s) for n, s in zip(self.x, self.stride, strict=True)] if backward else self.y
        return int(self.images * prod(sizes))


def _takes(*arrays: Any) -> bool:
    return (served(*arrays) and arrays[0].ndim in (3, 4) and all(a is None or a.size < 2**31 for a in arrays)
            and (str(arrays[0].dtype) in FLOATS or _has_tensor_cores(cupy.cuda.runtime.getDevice())))


@cache
def _has_tensor_cores(device: int) -> bool:
    """Whether the device has those that tensor_tile.cuh is written for, of sm_80 and later."""
    return int(cupy.cuda.Device(device).compute_capability) >= 80


def _by_tensor_cores(dtype: Any) -> bool:
    return str(dtype) in HALVES or (tf32(dtype) and _has_tensor_cores(cupy.cuda.runtime.getDevice()))


def _filled_up(channels: int, dtype: Any) -> int:
    """The number of channels as a multiple of 16 bytes."""
    chunk = 16 // dtype.itemsize
    return int(-(-channels // chunk) * chunk)


def _turned(x: Any, images: int, groups: int, channels: int) -> Any:
    """x (images, groups, channels, positions) -> (images, positions, groups, channels filled up)."""
    filled, positions = _filled_up(channels, x.dtype), x.size // max(1, images * groups * channels)
    out = cupy.empty((images, positions, groups, filled), x.dtype)
    _channels_last(x.dtype, grid=(images * groups * -(-positions // 32), -(-filled // 32)), block=(THREADS,),
                   arguments=(contiguous(x), out, groups, channels, filled, positions))
    return out


def _run(source: Any, weight: Any, bias: Any, target: Any, g: Geometry, backward: bool, turned: Any = None) -> Any:
    """target = the convolution of the source (+ bias), or backward its adjoint of the source; `turned`: see `_turned_y`."""
    sources, targets = (g.outputs, g.inputs) if backward else (g.inputs, g.outputs)
    source, weight, bias, dtype = contiguous(source), contiguous(weight), contiguous(bias), target.dtype
    if g.pointwise:
        return _pointwise(source, weight, bias, target, backward)
    if g.direct():
        _convolve_direct(dtype, backward, grid=blocks(target.size), block=(THREADS,),
                         arguments=(source, weight, bias, target, target.size, sources, targets, g.groups, *g.extents))
        return target
    side, grid = _tiles(dtype, targets, g.positions(backward), g.groups * (prod(g.stride) if backward else 1))
    if _by_tensor_cores(dtype):
        source = _turned(source, g.images, g.groups, sources) if turned is None else turned
        weight = _turned(weight, g.groups, 1, sources) if backward else _turned(weight, g.groups * g.outputs, 1, sources)
        _convolve_tensor(dtype, side // 32, backward, grid=grid, block=(THREADS,), shared=SHARED * side,
                         arguments=(source, weight, bias, target, g.images, source.shape[-1], targets, g.groups, *g.extents))
        return target
    _convolve(dtype, side // 16, backward, grid=grid, block=(THREADS,),
              arguments=(source, weight, bias, target, g.images, sources, targets, g.groups, *g.extents))
    return target


def _pointwise(source: Any, weight: Any, bias: Any, target: Any, backward: bool) -> Any:
    """target (N, O, *S) = weight (O, C) @ source (N, C, *S) + bias, or backward with the weight transposed."""
    matrix, columns = weight.reshape(weight.shape[:2]), prod(target.shape[2:])
    if bias is not None:
        target[...] = bias.reshape(-1, *(1,) * (target.ndim - 2))
    multiply(matrix.T if backward else matrix, source.reshape(*source.shape[:2], columns),
             target.reshape(*target.shape[:2], columns), add=bias is not None)
    return target


def _tiles(dtype: Any, rows: int, columns: int, many: int) -> tuple[int, tuple[int, int, int]]:
    """The side of a tile, and the grid, for `many` products (rows, columns): large tiles where there are enough of them."""
    def grid(side: int) -> tuple[int, int, int]:
        return -(-columns // side), -(-rows // side), many

    small = str(dtype) == "float64" or rows <= 64 or columns <= 64 or prod(grid(128)) < BLOCKS
    return (64, grid(64)) if small else (128, grid(128))


def _turned_y(y: Any, g: Geometry) -> Any:
    """The copy of y with channels last that both adjoints read where they go by tensor cores, else None."""
    tiles = not (g.direct() or g.pointwise) and _by_tensor_cores(y.dtype)
    return _turned(y, g.images, g.groups, g.outputs) if tiles else None


def _weight(x: Any, y: Any, weight: Any, g: Geometry, turned: Any = None) -> Any:
    """weight = the adjoint in the weight; `turned`: see `_turned_y`."""
    x, y, dtype = contiguous(x), contiguous(y), weight.dtype
    if g.direct():
        _correlate_direct(dtype, grid=(weight.size,), block=(THREADS,),
                          arguments=(x, y, weight, g.images, g.inputs, g.outputs, g.groups, *g.extents))
        return weight
    tensor = _by_tensor_cores(dtype)
    inputs = _filled_up(g.inputs, dtype) if tensor else g.inputs
    side, (columns, rows, _) = _tiles(dtype, g.outputs, inputs * g.taps, g.groups)
    share, splits = _shares(g.positions(False), columns * rows * g.groups)
    if tensor:
        x, y = _turned(x, g.images, g.groups, g.inputs), _turned(y, g.images, g.groups, g.outputs) if turned is None else turned
        part = cupy.empty((splits, weight.shape[0], g.taps, inputs), np.float32)
        _correlate_tensor(dtype, side // 32, grid=(columns, rows, g.groups * splits), block=(THREADS,), shared=SHARED * side,
                          arguments=(x, y, part, g.images, inputs, g.outputs, y.shape[-1], g.groups, share, *g.extents))
        _add_turned_parts(dtype, grid=blocks(weight.size), block=(THREADS,),
                          arguments=(part, weight, splits, weight.shape[0], g.inputs, inputs, g.taps))
        return weight
    part = weight[None] if splits == 1 else cupy.empty((splits, *weight.shape), wide(dtype))
    _correlate(dtype, side // 16, grid=(columns, rows, g.groups * splits), block=(THREADS,),
               arguments=(x, y, part, g.images, g.inputs, g.outputs, g.groups, share, *g.extents))
    return weight if splits == 1 else add_parts(part, weight)


def _shares(positions: int, tiles: int) -> tuple[int, int]:
    """How many positions each block sums over, a multiple of 64, and into how many shares that divides them."""
    splits = max(1, min(-(-BLOCKS // max(1, tiles)), positions // SHARE))
    share = max(64, -(-positions // splits) + 63 & ~63)
    return share, max(1, -(-positions // share))


def convolution(x: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """x (N, C, *S), weight (O, C / groups, *K) -> (N, O, *out); see the reference."""
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    found = affine_convolution(x, weight, None, **settings)
    return definitions.find("convolution")(x, weight, **settings) if found is NotImplemented else found


def affine_convolution(x: Any, weight: Any, bias: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """convolution + bias (O,), if there is one: a result is a sum that begins at its channel's bias, and is rounded once."""
    if not _takes(x, weight, bias):
        return NotImplemented
    out = check_arguments("convolution", x.shape, weight.shape, stride, padding, dilation, groups)
    target = cupy.empty((x.shape[0], weight.shape[0], *out), x.dtype)
    return _run(x, weight, bias, target, Geometry(x.shape, weight.shape, out, stride, padding, dilation, groups), False)


def convolution_transpose(y: Any, weight: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, size: Sizes) -> Any:
    """The adjoint in x: y (N, O, *out), weight (O, C / groups, *K) -> (N, C, *size); see the reference."""
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _takes(y, weight):
        return definitions.find("convolution_transpose")(y, weight, size=size, **settings)
    shape = (y.shape[0], weight.shape[1] * groups, *size)
    out = check_arguments("convolution_transpose", shape, weight.shape, **settings, y_shape=y.shape)
    return _run(y, weight, None, cupy.empty(shape, y.dtype), Geometry(shape, weight.shape, out, **settings), True)


def convolution_weight(x: Any, y: Any, *, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, size: Sizes) -> Any:
    """The adjoint in the weight: x (N, C, *S), y (N, O, *out) -> (O, C / groups, *size); see the reference."""
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _takes(x, y):
        return definitions.find("convolution_weight")(x, y, size=size, **settings)
    shape = (y.shape[1], x.shape[1] // max(1, groups), *size)
    out = check_arguments("convolution_weight", x.shape, shape, **settings, y_shape=y.shape)
    return _weight(x, y, cupy.empty(shape, x.dtype), Geometry(x.shape, shape, out, **settings))


def affine_convolution_grad(g: Any, x: Any, weight: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                            wanted: tuple[bool, bool, bool]) -> Any:
    """The gradients (x, weight, bias) of <g, affine_convolution(x, weight, bias)>; None where not wanted."""
    if not _takes(g, x, weight):
        return NotImplemented
    geometry = Geometry(x.shape, weight.shape, g.shape[2:], stride, padding, dilation, groups)
    turned = _turned_y(g, geometry) if wanted[0] and wanted[1] else None
    return (_run(g, weight, None, like(x), geometry, True, turned) if wanted[0] else None,
            _weight(x, g, like(weight), geometry, turned) if wanted[1] else None,
            sum_of_channels(g) if wanted[2] else None)
