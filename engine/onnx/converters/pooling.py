"""Pooling, windows as columns, interpolation."""

from math import prod
from typing import Any

import numpy as np

from chainrule.kernels.reference.pooling import adaptive_windows
from chainrule.onnx.converters.shapes import inverse, to_end
from chainrule.onnx.graph import Unsupported
from chainrule.onnx.table import converter


def windows(use: Any, dilation: Any) -> dict[str, Any]:
    """Kernel, strides and padding. With ceil_mode the last window may reach beyond the end: instead of ONNX's ceil_mode, of which
    programs have had different ideas, the end is padded by just as much."""
    kernel, stride, padding = use["kernel"], use["stride"], use["padding"]
    ends = padding
    if use["ceil_mode"]:
        sizes, outs = use.fixed(use.shapes[0][2:] + use.shape[2:], "an axis pooled with ceil_mode"), use.shape[2:]
        ends = tuple(max((o - 1) * s + d * (k - 1) + 1 - n - p, p if o == (n + 2 * p - d * (k - 1) - 1) // s + 1 else 0)
                     for o, s, d, k, n, p in zip(outs, stride, dilation, kernel, sizes, padding, strict=False))
    return {"kernel_shape": kernel, "strides": stride, "pads": (*padding, *ends)}


@converter("max_pool_indices")
def max_pool_indices(g: Any, use: Any, x: str) -> Any:
    """MaxPool's second output, counted within the plane; take_from_planes takes the first."""
    values, places = g.op("MaxPool", x, dilations=use["dilation"], outputs=2, **windows(use, use["dilation"]))
    # ONNX counts through the whole tensor, here positions count within each plane
    size: Any = 1
    for n in use.shapes[0][2:]:
        size = n * size
    indices = g.op("Mod", places, g.constant(size, np.int64))
    g.notes["maxima", x, indices] = values
    return indices


@converter("adaptive_max_pool_indices")
def adaptive_max_pool_indices(g: Any, use: Any, x: str) -> Any:
    """Window by window: the position of the largest, among the plane's positions."""
    size = use.fixed(use.shapes[0][2:], "a plane that is pooled adaptively")
    place = np.arange(prod(size), dtype=np.int64).reshape(size)
    flat = g.reshape(x, (*use.shapes[0][:2], prod(size)))
    found = []
    for at in np.ndindex(*use["out"]):
        window = place[tuple(slice(*adaptive_windows(n, o)[i]) for n, o, i in zip(size, use["out"], at, strict=True))].reshape(-1)
        best = g.op("ArgMax", g.op("Gather", flat, g.constant(window), axis=2), axis=2, keepdims=1)
        found.append(g.op("Gather", g.constant(window), best))
    indices = g.op("Concat", *found, axis=2) if len(found) > 1 else found[0]
    return g.reshape(indices, use.shape)


@converter("take_from_planes")
def take_from_planes(g: Any, use: Any, x: str, indices: str) -> Any:
    """MaxPool's first output, or GatherElements from flattened planes."""
    known = g.notes.get(("maxima", x, indices))
    if known is not None:
        return known
    lead = use.shape[:2]
    flat = [g.reshape(t, (*lead, _volume(shape[2:]))) for t, shape in zip((x, indices), use.shapes, strict=True)]
    return g.reshape(g.op("GatherElements", *flat, axis=2), use.shape)


@converter("add_to_planes")
def add_to_planes(g: Any, use: Any, x: str, indices: str) -> Any:
    """ScatterElements that adds, into flattened planes of zeros."""
    lead, size = use.shape[:2], use["size"]
    flat = [g.reshape(t, (*lead, _volume(use.shapes[0][2:]))) for t in (x, indices)]
    zeros = g.op("Expand", g.constant(0, use.dtype), g.ints(*lead, _volume(size)))
    return g.reshape(g.op("ScatterElements", zeros, flat[1], flat[0], axis=2, reduction="add"), use.shape)


def _volume(sizes: Any) -> Any:
    total: Any = 1
    for n in sizes:
        total = n * total
    return total


@converter("average_pool")
def average_pool(g: Any, use: Any, x: str) -> Any:
    """AveragePool, GlobalAveragePool where one window is all there is."""
    divisor, padding = use["divisor"], use["padding"]
    if use["kernel"] == use.shapes[0][2:] and divisor is None and not any(padding):
        return g.op("GlobalAveragePool", x)
    counts = divisor is not None or use["count_include_pad"]
    found = windows(use, (1,) * len(padding))
    if divisor is not None and use["ceil_mode"]:
        raise Unsupported("ceil_mode together with divisor_override")
    if counts and any(padding):  # the padding counts, what ceil_mode adds does not: so pad first
        x = g.op("Pad", x, g.ints(0, 0, *padding, 0, 0, *padding))
        rank = len(padding)
        found["pads"] = (0,) * rank + tuple(max(e - p, 0) for e, p in zip(found["pads"][rank:], padding, strict=True))
    out = g.op("AveragePool", x, count_include_pad=0, **found)
    return out if divisor is None else g.op("Mul", out, g.constant(prod(use["kernel"]) / divisor, use.dtype))


@converter("unfold")
def unfold(g: Any, use: Any, x: str) -> Any:
    """The windows' positions are known: one Gather from each padded plane."""
    kernel, dilation, padding, stride = use["kernel"], use["dilation"], use["padding"], use["stride"]
    batch, channels, *size = use.shapes[0]
    size = use.fixed(tuple(size), "an image that is unfolded")
    padded = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
    if any(padding):
        x = g.op("Pad", x, g.ints(0, 0, *padding, 0, 0, *padding))
    place = np.arange(prod(padded), dtype=np.int64).reshape(padded)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded, dilation, kernel, stride, strict=True)]
    rows = [place[tuple(slice(i * d, i * d + (c - 1) * s + 1, s) for i, d, c, s in zip(at, dilation, counts, stride, strict=True))]
            .reshape(-1) for at in np.ndindex(*kernel)]
    flat = g.reshape(x, (batch, channels, prod(padded)))
    return g.reshape(g.op("Gather", flat, g.constant(np.stack(rows)), axis=2), (batch, channels * prod(kernel), prod(counts)))


@converter("fold")
def fold(g: Any, use: Any, x: str) -> Any:
    """Col2Im."""
    return g.op("Col2Im", x, g.ints(*use["size"]), g.ints(*use["kernel"]), dilations=use["dilation"], pads=use["padding"] * 2,
                strides=use["stride"])


@converter("resample")
def resample(g: Any, use: Any, x: str) -> Any:
    """One input element for each output element is a Gather; sums of several are a product with the (small) matrix."""
    axis, taps, rank = use["axis"], use["taps"], use.rank()
    if len(taps.to) == taps.rows and (taps.weights == 1).all() and (taps.to == np.arange(taps.rows)).all():
        return g.op("Gather", x, g.constant(taps.of), axis=axis)
    matrix = np.zeros((taps.columns, taps.rows), use.dtype)
    np.add.at(matrix, (taps.of, taps.to), taps.weights.astype(use.dtype))
    order = to_end(rank, axis)
    return g.transpose(g.op("MatMul", g.transpose(x, order), g.constant(matrix)), inverse(order))
