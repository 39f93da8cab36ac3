"""Convolution with 3 × 3 kernels by a quarter of the multiplications: Winograd's F(4 × 4, 3 × 3).

A polynomial product of degree 5 is determined by its values at 6 points. So 4 outputs of a 3-element filter, 12
multiplications if done directly, need 6: inputs d (6) and filter g (3) are evaluated at the points 0, 1, -1, 2, -2, ∞ by the
matrices Bᵀ and G, multiplied there, and Aᵀ brings 4 outputs back. In two dimensions,

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          Y (4, 4), d (6, 6), g (3, 3): 36 multiplications for 144

With channels, ⊙ is at each of the 36 points a matrix product over the input channels, tiles (T, C) @ filters (C, O) (Lavin and
Gray, "Fast algorithms for convolutional neural networks", 2015). A vector's lanes are channels (polynomials.py).

- **The convolution**: a task is the tiles of a few images or of a band of one, and a part of the outputs.
- **Its adjoint in the input** is the convolution with the kernels mirrored, input and output channels exchanged, padded by
  2 - padding.
- **Its adjoint in the weight**: what is linear in g is turned around: with dM = A dY Aᵀ at the points,

      dg = Gᵀ [ Σ dM ⊙ (Bᵀ d B) ] G,         at each point a product (O, T) @ (T, C) over all tiles of all images.

  A task is a share of the tiles, with sums of its own, and a part of the outputs and of the inputs.

It differs from the definition by rounding: numbers up to 20 times as large are added on the way, so that errors are 10 to 20
times those of a direct sum (in float32 2e-6 to 1.3e-5 of the largest output, for 4 to 256 channels; tests bound it). NaN and
infinity would spread through their tile, and large numbers overflow sooner: where an output is not finite, the caller takes the
direct way.

Floor: 36 / 16 multiplications an output, for whole tiles of 4 × 4: at 14 × 14 are 12 % of rows and of columns for nothing.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.polynomials import (
    POINTS,
    evaluate_gradient,
    evaluate_input,
    evaluate_kernels,
    gather,
    interpolate,
    interpolate_kernels,
    scatter,
)
from chainrule.kernels.cpu.vectors import OUTPUTS, VECTOR, columns_narrow, columns_wide, rows_narrow, rows_wide

__all__ = ["lanes", "winograd", "winograd_weight"]

TILES = 64  # that a task transforms at a time
PART = 128  # channels of a part, where there are more
TASKS = 8


@jit
def _read(x: Any, image: Any, channel: Any, top: int, bottom: int, places: Any, shift: int, plane: Any) -> None:
    """plane[places + shift] = the rows from top to bottom of an image's channels from `channel` on, as many as lanes."""
    channels, height, width = x.shape[1:]
    lanes, size, source = VECTOR // x.itemsize, height * width, x.reshape(-1)
    for at in range(top * width, bottom * width, lanes):
        gather(source, (image * channels + channel) * size + at, size, min(lanes, channels - channel), size - at, places, at,
               plane, shift * lanes)


@jit
def _inputs(x: Any, image: int, left: int, right: int, top: int, here: int, across: int, padding: Any, places: Any, columns: int,
            plane: Any, values: Any, to: int, line: int, pitch: int) -> None:
    """values[to + point * pitch + tile * line + channel - left] = Bᵀ d B of `here` rows of tiles from `top` on."""
    lanes = VECTOR // x.itemsize
    first, last = max(0, 4 * top - padding[0]), min(x.shape[2], 4 * (top + here) + 2 - padding[0])
    for channel in range(left, right, lanes):
        _read(x, image, channel, first, last, places, (padding[0] - 4 * top) * columns + padding[1], plane)
        for tile in range(here * across):
            i, j = tile // across, tile % across
            evaluate_input(plane, 4 * (i * columns + j) * lanes, columns * lanes, values, to + tile * line + channel - left, pitch)


@tasks
def _filters(block: int, weight: Any, outer: int, inner: int, count: int, mirrored: bool, out: Any) -> None:
    """out (36, blocks, C, lanes) = G g Gᵀ of the kernels; output o's and input c's is at o * outer + c * inner of weight."""
    blocks, channels, lanes = out.shape[1:]
    for c in range(channels):
        evaluate_kernels(weight, block * lanes * outer + c * inner, outer, min(lanes, count - block * lanes), mirrored,
                         out.reshape(-1), (block * channels + c) * lanes, blocks * channels * lanes)


@jit
def _sum_over_channels(out: Any, to: int, rows: int, vectors: int, values: Any, at: int, line: int, kernels: Any, first: int,
                       channels: int) -> None:
    """out (rows, vectors, lanes) = values (rows, channels), rows `line` apart, @ kernels (vectors, channels, lanes)."""
    lanes = VECTOR // out.itemsize
    gap, run = channels * lanes, vectors * lanes
    for block in range(0, vectors, 2):
        for tile in range(0, rows, OUTPUTS):
            row = min(tile, rows - OUTPUTS)  # the last ones may be done twice
            target, source, place = to + row * run + block * lanes, at + row * line, first + block * gap
            if block + 1 < vectors:
                rows_wide(out, target, run, values, source, line, kernels, place, lanes, gap, channels, True)
            else:
                rows_narrow(out, target, run, values, source, line, kernels, place, lanes, gap, channels, True)


@tasks
def _convolve(task: int, x: Any, filters: Any, bias: Any, y: Any, padding: Any, places: Any, back: Any, columns: int, images: int,
              band: int, part: int, check: Any) -> None:
    """y (N, O, OH, OW) = the convolution of x (N, C, H, W) + bias; a task is `part` blocks of outputs, and `images` images or
    `band` rows of tiles of one. check (tasks, lanes) of zeros: becomes NaN where an output is not finite."""
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = y.shape[1], y.shape[2], y.shape[3]
    blocks, lanes = filters.shape[1], filters.shape[3]
    down, across = (out_height + 3) // 4, (out_width + 3) // 4
    parts, bands = (blocks + part - 1) // part, (down + band - 1) // band
    begin, unit = task % parts * part, task // parts
    first, top = unit // bands * images, unit % bands * band
    vectors, count, here = min(part, blocks - begin), min(images, batch - first), min(band, down - top)
    # one block of channels, padded, in the order (rows, columns, channels)
    plane = np.zeros((4 * here + 4 + lanes // min(width, out_width)) * columns * lanes, x.dtype)
    each = here * across
    tiles = count * each
    rows, line, run = max(tiles, OUTPUTS), (channels + lanes - 1) // lanes * lanes, vectors * lanes
    pitch, distance = rows * line + lanes, rows * run + lanes  # odd, so that the points are not all in one set of the cache
    values, products = np.empty(POINTS * pitch, x.dtype), np.empty(POINTS * distance, x.dtype)
    if tiles < rows:
        values[:] = 0
    for n in range(count):
        _inputs(x, first + n, 0, channels, top, here, across, padding, places, columns, plane, values, n * each * line, line, pitch)
    kernels, gap = filters.reshape(-1), channels * lanes
    for point in range(POINTS):
        _sum_over_channels(products, point * distance, rows, vectors, values, point * pitch, line, kernels,
                           (point * blocks + begin) * gap, channels)
    target, found, seen = y.reshape(-1), plane[:4 * here * 4 * across * lanes], check.reshape(-1)
    size, wide = out_height * out_width, 4 * across
    for n in range(count):
        for block in range(vectors):
            o = (begin + block) * lanes
            for tile in range(each):
                i, j = tile // across, tile % across
                interpolate(products, (n * each + tile) * run + block * lanes, distance, bias, o, found,
                            4 * (i * wide + j) * lanes, wide * lanes, seen, task * lanes)
            last = min(out_height, 4 * (top + here)) * out_width
            for at in range(4 * top * out_width, last, lanes):
                scatter(found, -4 * top * wide * lanes, back, at, target, ((first + n) * outputs + o) * size + at, size,
                        min(lanes, outputs - o), last - at)


@jit
def _sum_over_tiles(out: Any, to: int, pitch: int, slopes: Any, first: int, run: int, values: Any, at: int, line: int, tiles: int,
                    fresh: bool) -> None:
    """out (run, line), rows `pitch` apart, (+)= slopes (tiles, run).T @ values (tiles, line), each from its place on."""
    lanes = VECTOR // out.itemsize
    for left in range(0, line, 2 * lanes):
        if left + lanes < line:
            for o in range(0, run, OUTPUTS):
                columns_wide(out, to + o * pitch + left, pitch, slopes, first + o, run, values, at + left, line, lanes, tiles,
                             fresh)
        else:
            for o in range(0, run, 2 * OUTPUTS):
                columns_narrow(out, to + o * pitch + left, pitch, slopes, first + o, run, values, at + left, line, lanes, tiles,
                               fresh)


@tasks
def _correlate(task: int, x: Any, y: Any, padding: Any, places: Any, back: Any, columns: int, images: int, band: int, parts: Any,
               sums: Any, totals: Any) -> None:
    """sums (shares, 36, O, C) = each share's part of Σ dM ⊙ (Bᵀ d B), O and C in whole vectors or more; totals (shares, O) of
    zeros += the sums of y, if it has elements. parts: how many outputs and how many inputs a task has."""
    batch, outputs, out_height, out_width = y.shape
    channels, width, lanes = x.shape[1], x.shape[3], VECTOR // x.itemsize
    shares, wide_o, wide_c = sums.shape[0], sums.shape[2], sums.shape[3]
    blocks = (channels + parts[1] - 1) // parts[1]
    across_parts = (outputs + parts[0] - 1) // parts[0] * blocks
    share, o, c = task // across_parts, task % across_parts // blocks * parts[0], task % blocks * parts[1]
    right, bottom = min(channels, c + parts[1]), min(outputs, o + parts[0])
    down, across = (out_height + 3) // 4, (out_width + 3) // 4
    bands = (down + band - 1) // band
    plane = np.zeros((4 * band + 4 + lanes // width) * columns * lanes, x.dtype)
    given = np.zeros((4 * band + 2 + lanes // out_width) * 4 * across * lanes, x.dtype)
    most = images * band * across
    line, run = min(parts[1], wide_c - c), min(parts[0], wide_o - o)
    pitch, distance = most * line + lanes, most * run + lanes
    values, slopes = np.empty(POINTS * pitch, x.dtype), np.empty(POINTS * distance, x.dtype)
    result = sums.reshape(-1)
    units = (batch + images - 1) // images * bands
    begin, end = share * units // shares, (share + 1) * units // shares
    for unit in range(begin, end):
        first, top = unit // bands * images, unit % bands * band
        count, here = min(images, batch - first), min(band, down - top)
        each = here * across
        if bands > 1:
            plane[:] = 0  # what is padding in one band is not in the next
            given[:] = 0
        for n in range(count):
            _inputs(x, first + n, c, right, top, here, across, padding, places, columns, plane, values, n * each * line, line,
                    pitch)
            for channel in range(o, bottom, lanes):
                _read(y, first + n, channel, 4 * top, min(out_height, 4 * (top + here)), back, -4 * top * 4 * across, given)
                for tile in range(each):
                    i, j = tile // across, tile % across
                    evaluate_gradient(given, 16 * (i * across) * lanes + 4 * j * lanes, 4 * across * lanes, slopes,
                                      (n * each + tile) * run + channel - o, distance)
        tiles = count * each
        if totals.size > 0 and c == 0:
            for tile in range(tiles):
                at = np.uint64(7 * distance + tile * run)  # at the point (1, 1) a polynomial is the sum of its coefficients
                for j in range(np.uint64(bottom - o)):
                    totals[share, np.uint64(o) + j] += slopes[at + j]
        for point in range(POINTS):
            to = ((share * POINTS + point) * wide_o + o) * wide_c + c
            _sum_over_tiles(result, to, wide_c, slopes, point * distance, run, values, point * pitch, line, tiles, unit == begin)


@tasks
def _kernels(o: int, sums: Any, weight: Any) -> None:
    """weight (O, C, 3, 3)[o] = Gᵀ u G of the sums over shares (shares, 36, O, C)."""
    shares, wide_o, wide_c = sums.shape[0], sums.shape[2], sums.shape[3]
    channels, lanes = weight.shape[1], VECTOR // weight.itemsize
    for point in range(POINTS):
        total = sums[0, point, o]
        for share in range(1, shares):
            other = sums[share, point, o]
            for c in range(np.uint64(wide_c)):
                total[c] += other[c]
    for c in range(0, channels, lanes):
        interpolate_kernels(sums.reshape(-1), o * wide_c + c, wide_o * wide_c, weight.reshape(-1), (o * channels + c) * 9,
                            min(lanes, channels - c))


def lanes(dtype: Any) -> int:
    """How many channels are worked on at once."""
    return VECTOR // int(dtype.itemsize)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _places(height: int, width: int, columns: int, lanes: int) -> Any:
    """Where each position of a plane lies when its rows are `columns` apart, and as many more as a vector reaches beyond."""
    position = np.arange(height * width + lanes)
    return position // width * columns + position % width


@lru_cache(maxsize=512)
def _plan(batch: int, size: tuple[int, int], out: tuple[int, int], padding: int, lanes: int) -> Any:
    """How many images, or rows of tiles of one, are worked on together, into how many units that cuts all, and the tables."""
    down, across = -(-out[0] // 4), -(-out[1] // 4)
    images = max(1, min(batch, TILES // (down * across)))
    band = down if images > 1 else min(down, max(1, TILES // across))
    band = -(-down // -(-down // band))
    columns = max(4 * across + 2, padding + size[1])
    units = -(-batch // images) * -(-down // band)
    return images, band, units, columns, _places(*size, columns, lanes), _places(*out, 4 * across, lanes)


def winograd(x: Any, weight: Any, bias: Any, y: Any, padding: tuple[int, int], adjoint: bool, serial: bool) -> bool:
    """y (N, O, OH, OW) = the convolution of x (N, C, H, W) with weight (O, C, 3, 3), + bias (O,) if it has elements.

    If `adjoint`, of weight (C, O, 3, 3), mirrored. False where an output is not finite, and may not be the definition's.
    """
    (batch, channels), outputs, wide = x.shape[:2], y.shape[1], lanes(x.dtype)
    blocks = -(-outputs // wide)
    filters = np.empty((POINTS, blocks, channels, wide), x.dtype)
    outer, inner = (9, 9 * outputs) if adjoint else (9 * channels, 9)
    (_filters.serial if serial or blocks * channels < 64 else _filters)(
        blocks, weight.reshape(-1), outer, inner, outputs, adjoint, filters)
    images, band, units, columns, places, back = _plan(batch, x.shape[2:], y.shape[2:], padding[1], wide)
    part = max(-(-blocks // -(-TASKS // units)), min(blocks, PART // wide))
    tasks = units * -(-blocks // part)
    shift, check = np.zeros(blocks * wide, x.dtype), np.zeros((tasks, wide), x.dtype)
    shift[:len(bias)] = bias
    (_convolve.serial if serial else _convolve)(tasks, x, filters, shift, y, padding, places, back, columns, images, band, part,
                                                check)
    return not np.isnan(check).any()


def winograd_weight(x: Any, y: Any, padding: tuple[int, int], bias: bool, serial: bool) -> tuple[Any, Any]:
    """The adjoint in the weight at x (N, C, H, W) and y (N, O, OH, OW): (O, C, 3, 3); and if `bias`, y's sums (O,)."""
    (batch, channels), outputs, wide = x.shape[:2], y.shape[1], lanes(x.dtype)
    images, band, units, columns, places, back = _plan(batch, x.shape[2:], y.shape[2:], padding[1], wide)
    inner, outer = _up(channels, wide), _up(outputs, max(wide, 2 * OUTPUTS))
    parts = min(PART, outer), min(PART, inner)
    cut = -(-outputs // parts[0]) * -(-channels // parts[1])
    shares = max(1, min(units, -(-TASKS // cut)))
    sums = np.empty((shares, POINTS, outer, inner), x.dtype)
    totals = np.zeros((shares, outputs if bias else 0), x.dtype)
    (_correlate.serial if serial else _correlate)(shares * cut, x, y, padding, places, back, columns, images, band, parts, sums,
                                                  totals)
    weight = np.empty((outputs, channels, 3, 3), x.dtype)
    (_kernels.serial if serial or outputs * channels < 1024 else _kernels)(outputs, sums, weight)
    return weight, totals.sum(0) if bias else None
