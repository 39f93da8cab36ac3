"""Images and their parts: windows as columns, interpolation, and pixels from channels, with torch's signatures."""

import math
from typing import Any

import numpy as np

from chainrule.dtypes import FLOATING
from chainrule.errors import DtypeError, ShapeError
from chainrule.functional.pooling import area_taps
from chainrule.functional.windows import Sizes, batched, sizes_of, unbatched, windows
from chainrule.kernels.reference.resampling import Taps
from chainrule.names import ops
from chainrule.ops import pooling as rows
from chainrule.tensor import Tensor

__all__ = ["fold", "interpolate", "pixel_shuffle", "pixel_unshuffle", "unfold", "upsample", "upsample_bilinear",
           "upsample_nearest"]

# how many spatial axes each mode of interpolation takes
RANKS = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
         "bicubic": (2,), "trilinear": (3,)}


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of an image as columns ("im2col").

    input (N, C, H, W) or (C, H, W), zero outside. Returns (N, C * KH * KW, L) for L windows in row-major order; a
    column holds a window's elements, channel by channel. Raises ShapeError where the kernel does not fit.

    >>> import chainrule as cr
    >>> unfold(cr.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[1., 2.],
            [2., 3.]])
    """
    input, keep = batched("unfold", input, 2)
    kernel, dilation, padding, stride = _columns("unfold", kernel_size, dilation, padding, stride)
    windows("unfold", input.shape[2:], kernel, stride, padding, dilation)
    return unbatched(rows.unfold(input, kernel=kernel, dilation=dilation, padding=padding, stride=stride), keep)


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
         stride: Any = 1) -> Tensor:
    """Columns added up where their windows lay ("col2im"), the adjoint of `unfold`: overlaps add, so it is no inverse.

    input (N, C * KH * KW, L) or (C * KH * KW, L). Returns (N, C, *output_size). Raises ShapeError where the columns are
    not as many or as long as `unfold` makes them of an image of that size.

    >>> import chainrule as cr
    >>> fold(cr.tensor([[1.0, 2.0], [20.0, 30.0]]), (1, 3), (1, 2))
    tensor([[[ 1., 22., 30.]]])
    """
    input, keep = batched("fold", input, 1)
    kernel, dilation, padding, stride = _columns("fold", kernel_size, dilation, padding, stride)
    size = sizes_of("fold", "output_size", output_size, 2, 1)
    length, depth = math.prod(windows("fold", size, kernel, stride, padding, dilation)), math.prod(kernel)
    if input.shape[1] % depth or input.shape[2] != length:
        raise ShapeError(f"fold: the input has shape {input.shape}; for output_size={size} and kernel_size={kernel} it "
                         f"must be (batch, channels * {depth}, {length}), a column for each window")
    output = rows.fold(input, size=size, kernel=kernel, dilation=dilation, padding=padding, stride=stride)
    return unbatched(output, keep)


def _columns(op: str, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    return (sizes_of(op, "kernel_size", kernel, 2, 1), sizes_of(op, "dilation", dilation, 2, 1),
            sizes_of(op, "padding", padding, 2, 0), sizes_of(op, "stride", stride, 2, 1))


# ---- interpolation: along each axis a sparse matrix


def _nearest(size: int, out: int, factor: float | None, exact: bool) -> Taps:
    """Every output takes one input: that at its left edge, or (exact) at its middle."""
    # torch computes these positions in float32, and rounding decides between neighbours
    scale = np.float32(1 / factor) if factor else np.float32(size) / np.float32(max(out, 1))
    places = np.arange(out, dtype=np.float32)
    of = (places + np.float32(0.5 if exact else 0)) * scale
    return Taps(out, size, np.arange(out), np.minimum(np.floor(of).astype(np.int64), size - 1), np.ones(out))


def _coordinates(size: int, out: int, factor: float | None, align_corners: bool) -> Any:
    """Where the outputs lie among the inputs: corners on corners, or edges on edges."""
    places = np.arange(out, dtype=np.float64)
    if align_corners:
        return places * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (places + 0.5) * (1 / factor if factor else size / max(out, 1)) - 0.5


def _linear(size: int, out: int, at: Any) -> Taps:
    """Every output between its two neighbours, weighted by how near they are."""
    at = np.maximum(at, 0)
    left = np.minimum(np.floor(at).astype(np.int64), size - 1)
    right, share = np.minimum(left + 1, size - 1), np.minimum(np.maximum(at - left, 0), 1)
    return Taps(out, size, np.tile(np.arange(out), 2), np.concatenate([left, right]),
                np.concatenate([1 - share, share]))


def _cubic(size: int, out: int, at: Any) -> Taps:
    """Every output from four neighbours, by the cubic convolution of Keys (1981) with a = -0.75; edges are repeated."""
    a, first = -0.75, np.floor(at).astype(np.int64)
    t = at - first

    def near(d: Any) -> Any:  # up to a distance of 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:  # from 1 to 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
    places = [np.clip(first + k, 0, size - 1) for k in (-1, 0, 1, 2)]
    return Taps(out, size, np.tile(np.arange(out), 4), np.concatenate(places), np.concatenate(weights))


def _taps(mode: str, size: int, out: int, factor: float | None, align_corners: bool) -> Taps:
    if mode.startswith("nearest"):
        return _nearest(size, out, factor, mode == "nearest-exact")
    if mode == "area":
        return area_taps(size, out)
    at = _coordinates(size, out, factor, align_corners)
    return _cubic(size, out, at) if mode == "bicubic" else _linear(size, out, at)


def _target(op: str, spatial: Sizes, size: Any, scale_factor: Any) -> tuple[Sizes, tuple[float | None, ...]]:
    """The output's size, and the scale factors where they were given."""
    rank = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: pass either size or scale_factor, got size={size} and scale_factor={scale_factor}")
    if size is not None:
        return sizes_of(op, "size", size, rank, 1), (None,) * rank
    factors = tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor,) * rank
    if len(factors) != rank or any(f <= 0 for f in factors):
        raise ShapeError(f"{op}: scale_factor={scale_factor} must be a positive number, or {rank} of them")
    out = tuple(math.floor(n * float(f)) for n, f in zip(spatial, factors))
    if 0 in out:
        raise ShapeError(f"{op}: scale_factor={scale_factor} leaves nothing of an input of spatial size {spatial}")
    return out, tuple(map(float, factors))


def interpolate(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:
    """Resize the spatial axes: out = M_height @ input @ M_width^T, a sparse matrix along each axis.

    input (N, C, L), (N, C, H, W) or (N, C, D, H, W); `size` is that of the output, or `scale_factor` times the
    input's, rounded down. Modes: "nearest", "nearest-exact", "area" (adaptive average pooling), "linear" (one axis),
    "bilinear", "bicubic" (two), "trilinear" (three). The latter four may have `align_corners=True`: the corner
    elements' centres map onto each other, otherwise the corners' outer edges do. With `recompute_scale_factor`
    positions follow from the sizes alone, not from the given factor. Antialiasing is not offered. Raises ShapeError
    or ValueError for sizes, modes and options that do not fit, DtypeError for integers.

    >>> import chainrule as cr
    >>> x = cr.tensor([[[1.0, 3.0]]])
    >>> interpolate(x, scale_factor=2), interpolate(x, 3, mode="linear", align_corners=True)
    (tensor([[[1., 1., 3., 3.]]]), tensor([[[1., 2., 3.]]]))
    """
    input = ops.as_tensor(input)
    if mode not in RANKS:
        raise ValueError(f"interpolate: mode={mode!r} must be one of {', '.join(RANKS)}")
    spatial = input.shape[2:]
    if len(spatial) not in RANKS[mode] or 0 in spatial:
        raise ShapeError(f"interpolate: the input has shape {input.shape}; mode={mode!r} takes (batch, channels) and "
                         f"{' or '.join(map(str, RANKS[mode]))} spatial axes with elements")
    if input.dtype.kind not in FLOATING:
        raise DtypeError(f"interpolate: the input is {input.dtype}, it must be floating-point; convert it with "
                         ".float()")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners is an option of the linear and cubic modes, not of mode={mode!r}")
    if antialias:
        raise ValueError("interpolate: antialias=True is not offered; mode='area' averages, which also avoids aliasing")
    if recompute_scale_factor and size is not None:
        raise ValueError("interpolate: recompute_scale_factor needs a scale_factor, not a size")
    out, factors = _target("interpolate", spatial, size, scale_factor)
    for axis, (n, o, factor) in enumerate(zip(spatial, out, factors), 2):
        # where a factor led to the same size (or, of images' nearest elements, to twice that), the sizes count
        if recompute_scale_factor or (o == n and "linear" in mode) or (
                mode == "nearest" and len(spatial) > 1 and o in (n, 2 * n)):
            factor = None
        if o != n or factor not in (None, 1.0):
            input = rows.resample(input, axis=axis, taps=_taps(mode, n, o, factor, bool(align_corners)))
    return input


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:
    """Another name of `interpolate`.

    >>> import chainrule as cr
    >>> upsample(cr.tensor([[[1.0, 3.0]]]), 4)
    tensor([[[1., 1., 3., 3.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` by the nearest element.

    >>> import chainrule as cr
    >>> upsample_nearest(cr.tensor([[[1.0, 3.0]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    """
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` of images (N, C, H, W), bilinear and with corners aligned.

    >>> import chainrule as cr
    >>> upsample_bilinear(cr.tensor([[[[1.0, 3.0]]]]), (1, 3))
    tensor([[[[1., 2., 3.]]]])
    """
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- pixels and channels


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Every r x r channels become r x r pixels: (*, C r², H, W) -> (*, C, H r, W r), for r = `upscale_factor`.

    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network" (2016). Raises ShapeError where r² does not divide the channels.

    >>> import chainrule as cr
    >>> pixel_shuffle(cr.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    input, r = _image("pixel_shuffle", input), _factor("pixel_shuffle", "upscale_factor", upscale_factor)
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise ShapeError(f"pixel_shuffle: the input of shape {input.shape} has {channels} channels, which must be a "
                         f"multiple of upscale_factor² = {r * r}")
    n = len(lead)
    parts = ops.reshape(input, (*lead, channels // (r * r), r, r, height, width))      # (*, C, r, r, H, W)
    parts = ops.permute_dims(parts, axes=(*range(n + 1), n + 3, n + 1, n + 4, n + 2))  # (*, C, H, r, W, r)
    found: Tensor = ops.reshape(parts, (*lead, channels // (r * r), height * r, width * r))
    return found


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`: (*, C, H r, W r) -> (*, C r², H, W), for r = `downscale_factor`.

    Raises ShapeError where r does not divide height and width.

    >>> import chainrule as cr
    >>> pixel_unshuffle(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).shape
    (4, 1, 1)
    """
    input, r = _image("pixel_unshuffle", input), _factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    *lead, channels, height, width = input.shape
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle: height and width of an input of shape {input.shape} must be multiples of "
                         f"downscale_factor={r}")
    n = len(lead)
    parts = ops.reshape(input, (*lead, channels, height // r, r, width // r, r))       # (*, C, H, r, W, r)
    parts = ops.permute_dims(parts, axes=(*range(n + 1), n + 2, n + 4, n + 1, n + 3))  # (*, C, r, r, H, W)
    found: Tensor = ops.reshape(parts, (*lead, channels * r * r, height // r, width // r))
    return found


def _image(op: str, input: Any) -> Tensor:
    found: Tensor = ops.as_tensor(input)
    if found.ndim < 3:
        raise ShapeError(f"{op}: the input has shape {found.shape}, it must end in (channels, height, width)")
    return found


def _factor(op: str, name: str, factor: Any) -> int:
    if not isinstance(factor, int) or factor < 1:
        raise ValueError(f"{op}: {name}={factor!r} must be an integer of at least 1")
    return factor
