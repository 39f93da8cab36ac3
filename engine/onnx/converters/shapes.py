"""Shapes, axes, and triangles."""

from typing import Any

import numpy as np

from chainrule.onnx.table import converter


@converter("reshape")
def reshape(g: Any, use: Any, x: str) -> Any:
    """Reshape; an open size is copied (0) or left over (-1) where that says it."""
    out = g.reshape(x, use.shape, use.shapes[0])
    if use.rank() == 1 and use.shape and use.shape[0] == use.shapes[0][0] and set(use.shape[1:]) <= {1}:
        g.notes["vector", out] = x, len(use.shape) - 1  # (C,) as (C, 1, 1): what a bias looks like
    return out


@converter("move")
def move(g: Any, use: Any, x: str) -> Any:
    """Nothing: a file says nothing of devices."""
    return g.op("Identity", x)


@converter("broadcast_to")
def broadcast_to(g: Any, use: Any, x: str) -> Any:
    """Expand."""
    return g.op("Expand", x, g.ints(*use.shape))


@converter("permute_dims")
def permute_dims(g: Any, use: Any, x: str) -> Any:
    """Transpose."""
    return g.transpose(x, use["axes"])


@converter("swapaxes")
def swapaxes(g: Any, use: Any, x: str) -> Any:
    """Transpose of two axes."""
    axes = list(range(use.rank()))
    a, b = use["axis1"], use["axis2"]
    axes[a], axes[b] = axes[b], axes[a]
    return g.transpose(x, tuple(axes))


@converter("tril", "triu")
def triangle(g: Any, use: Any, x: str) -> Any:
    """Trilu."""
    return g.op("Trilu", x, g.constant(np.int64(use["k"])), upper=int(use.name == "triu"))


@converter("flip")
def flip(g: Any, use: Any, x: str) -> Any:
    """Slice with steps of -1."""
    axes = use["axis"]
    if not axes:
        return x
    count, least = len(axes), np.iinfo(np.int64).min
    return g.op("Slice", x, g.ints(*[-1] * count), g.ints(*[least + 1] * count), g.ints(*axes), g.ints(*[-1] * count))


@converter("roll")
def roll(g: Any, use: Any, x: str) -> Any:
    """Concat of two Slices for each axis."""
    for shift, axis in zip(use["shift"], use["axis"], strict=True):
        size = use.shapes[0][axis]
        if isinstance(size, int):
            shift = shift % size if size else 0
        if shift:  # the last `shift` elements come first
            tail = g.op("Slice", x, g.ints(-shift), g.ints(np.iinfo(np.int64).max), g.ints(axis))
            head = g.op("Slice", x, g.ints(0), g.ints(-shift), g.ints(axis))
            x = g.op("Concat", tail, head, axis=axis)
    return x


@converter("pad_constant")
def pad_constant(g: Any, use: Any, x: str) -> Any:
    """Pad."""
    widths = use["widths"]
    if not any(b or a for b, a in widths):
        return x
    value = g.constant(use["value"], use.dtype)
    if use.dtype == np.bool_:
        x, value = g.cast(x, np.bool_, np.int32), g.constant(int(use["value"]), np.int32)
    out = g.op("Pad", x, g.ints(*[before for before, _ in widths], *[after for _, after in widths]), value)
    return g.cast(out, np.int32, np.bool_) if use.dtype == np.bool_ else out


def to_end(rank: int, *axes: int) -> tuple[int, ...]:
    """The order of axes in which these come last."""
    return (*(a for a in range(rank) if a not in axes), *axes)


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes one."""
    return tuple(int(a) for a in np.argsort(axes))


@converter("diagonal")
def diagonal(g: Any, use: Any, x: str) -> Any:
    """Gather of the diagonal's positions in the flattened matrix."""
    axes = use["axis1"] % use.rank(), use["axis2"] % use.rank()
    rows, columns = use.fixed(tuple(use.shapes[0][a] for a in axes), "a matrix whose diagonal is taken")
    order = to_end(use.rank(), *axes)
    rest = tuple(use.shapes[0][a] for a in order[:-2])
    flat = g.reshape(g.transpose(x, order), (*rest, rows * columns))
    places = np.diagonal(np.arange(rows * columns).reshape(rows, columns), use["offset"])
    return g.op("Gather", flat, g.constant(places.astype(np.int64)), axis=len(rest))


@converter("diagonal_adjoint")
def diagonal_adjoint(g: Any, use: Any, x: str) -> Any:
    """Gather, for every place of the matrix, of its element or of a zero."""
    shape, rank = use["shape"], len(use["shape"])
    axes = use["axis1"] % rank, use["axis2"] % rank
    rows, columns = use.fixed(tuple(shape[a] for a in axes), "a matrix whose diagonal is set")
    places = np.diagonal(np.arange(rows * columns).reshape(rows, columns), use["offset"])
    source = np.full(rows * columns, len(places), np.int64)  # a zero behind the diagonal's elements
    source[places] = np.arange(len(places))
    order = to_end(rank, *axes)
    rest = tuple(shape[a] for a in order[:-2])
    padded = g.op("Pad", x, g.ints(*[0] * (rank - 1), *[0] * (rank - 2), 1))
    flat = g.op("Gather", padded, g.constant(source), axis=rank - 2)
    return g.transpose(g.reshape(flat, (*rest, rows, columns)), inverse(order))


@converter("unfold_windows")
def unfold_windows(g: Any, use: Any, x: str) -> Any:
    """Gather of all windows' positions."""
    axis, size, step = use["axis"], use["size"], use["step"]
    length = use.fixed(use.shapes[0][axis], "the axis that windows run along")
    starts = np.arange(0, length - size + 1, step)
    out = g.op("Gather", x, g.constant((starts[:, None] + np.arange(size)).astype(np.int64)), axis=axis)
    return g.transpose(out, to_end(use.rank() + 1, axis + 1))


@converter("unfold_windows_adjoint")
def unfold_windows_adjoint(g: Any, use: Any, x: str) -> Any:
    """A product with the matrix that says where each window's elements lie."""
    axis, size, step, shape = use["axis"], use["size"], use["step"], use["shape"]
    length, count = use.fixed((shape[axis], use.shapes[0][axis]), "the axis that windows run along")
    spread = np.zeros((count, size, length), use.dtype)  # window w's element k lies at w·step + k
    for w in range(count):
        spread[w, np.arange(size), w * step + np.arange(size)] = 1
    order = (*(a for a in range(use.rank() - 1) if a != axis), axis, use.rank() - 1)
    rest = tuple(shape[a] for a in range(len(shape)) if a != axis)
    flat = g.reshape(g.transpose(x, order), (*rest, count * size))
    out = g.op("MatMul", flat, g.constant(spread.reshape(count * size, length)))
    return g.transpose(out, inverse((*(a for a in range(len(shape)) if a != axis), axis)))
