"""Samples of chainrule.ops: indexing, scattering, writes."""

from typing import Any

import numpy as np

from tests.samples.table import integers, mask, normal, sample

INDICES: dict[str, Any] = {
    "integer": 1,
    "negative": -2,
    "numbers": (1, 2, 0),
    "slice": slice(1, 3),
    "step": (slice(None), slice(None, None, 2)),
    "none": (None, slice(None), None, 1),
    "ellipsis": (Ellipsis, 0),
    "everything": Ellipsis,
    "nothing": (),
    "none left": slice(2, 2),
    "list": [0, 2, 2],
    "arrays": (np.array([0, 2, 0]), np.array([1, 0, 1])),
    "array of two axes": np.array([[0, 1], [2, 0]]),
    "apart": (np.array([0, 1, 1]), slice(1, None), np.array([1, 0, 0])),
    "array and number": (1, np.array([2, 2, 0])),
    "mask": np.array([True, False, True]),
    "mask of two axes": np.arange(9).reshape(3, 3) % 2 == 0,
    "mask and array": (np.array([True, False, True]), np.array([0, 1])),
    "all": True,
}

READ = [sample("getitem", normal(3, 3, 2), index, torch=lambda torch, x, i: x[i], label=label)
        for label, index in INDICES.items()] + [
    sample("getitem", normal(5), slice(None, None, -2), torch=lambda torch, x, i: x.flip(0)[::2], label="backwards"),
    sample("getitem", normal(), (None, Ellipsis), torch=lambda torch, x, i: x[i], label="0-d"),
    sample("getitem", normal(), (), torch=lambda torch, x, i: x[i], label="0-d itself"),
    sample("getitem", normal(0, 3), (slice(None), 1), torch=lambda torch, x, i: x[i], label="empty"),
    sample("getitem_adjoint", normal(2), index=[1, 1], shape=(3,),
           torch=lambda torch, x, index, shape: torch.zeros(3, dtype=x.dtype).index_add(0, torch.tensor(index), x)),
    sample("masked_fill", normal(3, 4), mask(3, 4), 2.0),
    sample("masked_fill", normal(3, 4), mask(4), normal(), label="0-d value"),
    sample("masked_fill", normal(4), mask(3, 1), -1, label="broadcast"),
    sample("masked_select", normal(3, 4), mask(3, 4)),
    sample("masked_select", normal(3, 1), mask(4), label="broadcast"),
    sample("nonzero", integers(0, 2, 3, 4), differentiable=False),
    sample("nonzero", integers(0, 2, 3, 4), as_tuple=True, differentiable=False, label="tuple"),
    sample("unique", integers(0, 4, 3, 4), differentiable=False),
    sample("unique", integers(0, 4, 3, 4), return_inverse=True, return_counts=True, differentiable=False, label="all"),
    sample("unique", integers(0, 2, 5, 2), dim=0, differentiable=False, label="dim"),
]

ALONG = [
    sample("gather", normal(3, 4), 1, integers(0, 4, 3, 5)),
    sample("gather", normal(3, 4), 0, integers(0, 3, 2, 3), label="shorter"),
    sample("gather", normal(2, 3, 4), -2, integers(0, 3, 2, 3, 4), label="negative"),
    sample("gather", normal(3, 4), 1, integers(0, 4, 3, 0), label="empty"),
    sample("gather", normal(), 0, np.array(0), label="0-d"),
    sample("take_along_dim", normal(3, 4), integers(0, 4, 3, 1), dim=1),
    sample("take_along_dim", normal(1, 4), integers(0, 4, 3, 2), dim=-1, label="broadcast"),
    sample("take_along_dim", normal(3, 4), integers(0, 12, 2, 2), label="flat"),
    sample("take_along_axis", normal(3, 4), integers(0, 4, 3, 5), axis=1,
           torch=lambda torch, x, i, axis: torch.gather(x, axis, i)),
    sample("add_along_axis", normal(3, 5), integers(0, 4, 3, 5), axis=1, shape=(3, 4),
           torch=lambda torch, x, i, axis, shape: torch.zeros(shape, dtype=x.dtype).scatter_add(axis, i, x)),
    sample("scatter", normal(3, 4), 1, np.array([[2, 0], [1, 3], [0, 1]]), normal(3, 2)),
    sample("scatter", normal(3, 4), 0, np.array([[2, 0, 1]]), normal(2, 4), label="longer source",
           torch=lambda torch, x, dim, i, src: x.scatter(dim, i, src[:1, :3])),
    sample("scatter", normal(3, 4), -1, np.array([[2, 0], [1, 3]]), 1.5, label="number"),
    sample("scatter", normal(), 0, np.array(0), normal(), label="0-d"),
    sample("put_along", normal(3, 4), np.array([[2, 0], [1, 3], [0, 1]]), normal(3, 2), axis=1,
           torch=lambda torch, x, i, v, axis: x.scatter(axis, i, v)),
    sample("scatter_add", normal(3, 4), 1, integers(0, 4, 3, 6), normal(3, 6)),
    sample("scatter_add", normal(3, 4), 0, integers(0, 3, 5, 2), normal(6, 3), label="longer source",
           torch=lambda torch, x, dim, i, src: x.scatter_add(dim, i, src[:5, :2])),
    sample("index_select", normal(3, 4), 1, np.array([3, 0, 3])),
    sample("index_select", normal(3, 4), 0, np.array([], np.int64), label="empty"),
    sample("take", normal(3, 4), integers(0, 3, 2, 2), axis=0, torch=lambda torch, x, i, axis: x[i]),
    sample("take", normal(3, 4), np.array([-1, 0, -1]), axis=1, torch=lambda torch, x, i, axis: x[:, i],
           label="negative"),
    sample("take_adjoint", normal(2, 3, 4), integers(0, 3, 2, 3), axis=0, shape=(3, 4),
           torch=lambda torch, x, i, axis, shape: torch.zeros(
               shape, dtype=x.dtype).index_add(0, i.reshape(-1), x.reshape(-1, 4))),
    sample("take_adjoint", normal(2, 3), np.array([2, 0, 2]), axis=1, shape=(2, 4),
           torch=lambda torch, x, i, axis, shape: torch.zeros(shape, dtype=x.dtype).index_add(1, i, x), label="axis 1"),
    sample("index_add", normal(3, 4), 0, np.array([2, 0, 2, 2]), normal(4, 4)),
    sample("index_add", normal(3, 4), -1, np.array([1]), normal(3, 1), alpha=-2.0, label="alpha"),
    sample("index_copy", normal(3, 4), 0, np.array([2, 0]), normal(2, 4)),
    sample("index_fill", normal(3, 4), 1, np.array([2, 0]), 1.5),
    sample("index_fill", normal(3, 4), 1, np.array([2, 0]), normal(), label="0-d value"),
]

PATH = (("swapaxes", {"axis1": 0, "axis2": 1}), ("getitem", {"index": slice(1, 3)}),
        ("getitem", {"index": (slice(None), 0)}))

WRITTEN = [
    sample("read", normal(3, 4), path=PATH, torch=lambda torch, x, path: x.T[1:3, 0]),
    sample("write", normal(3, 4), normal(2), path=PATH, torch=lambda torch, x, v, path: _written(x, v)),
    sample("write", normal(3, 4), normal(), path=PATH, torch=lambda torch, x, v, path: _written(x, v),
           label="broadcast"),
    sample("write", normal(3, 4), normal(5),
           path=(("reshape", {"shape": (12,)}), ("getitem", {"index": [0, 2, 4, 6, 8]})),
           torch=None, label="positions"),
]


def _written(x: Any, v: Any) -> Any:
    x.T[1:3, 0] = v
    return x


COUNTED = [
    sample("argwhere", np.array([[1, 0], [0, 2]]), differentiable=False),
    sample("bincount", integers(0, 5, 7), differentiable=False),
    sample("bincount", integers(0, 3, 7), minlength=6, differentiable=False, label="minlength"),
    sample("bincount", integers(0, 3, 7), normal(7), minlength=2, label="weights",
           torch=lambda torch, x, w, minlength: torch.zeros(int(x.max()) + 1, dtype=w.dtype).index_add(0, x, w)),
    sample("Tensor.take", normal(3, 4), np.array([[0, -1], [5, 5]])),
    sample("Tensor.fill_diagonal_", np.ones((5, 3), np.int64), 7, differentiable=False, label="tall"),
    sample("Tensor.fill_diagonal_", np.ones((8, 3), np.int64), 7, wrap=True, differentiable=False, label="wrapped"),
    sample("Tensor.fill_diagonal_", np.ones((2, 6), np.int64), 7, wrap=True, differentiable=False, label="wide"),
    sample("Tensor.fill_diagonal_", np.ones((3, 3, 3), np.int64), 7, differentiable=False, label="cube"),
]

SAMPLES = READ + ALONG + WRITTEN + COUNTED
