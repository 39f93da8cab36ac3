"""Calls of NumPy's functions, with arguments: made with arrays, and again with tensors in their place."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.numpy_protocol.ufuncs import ACCUMULATE, REDUCE, ROWS

rng = np.random.default_rng(7)


def spread(*shape: int, low: float = 0.2, high: float = 0.9) -> Any:
    """Different numbers between the bounds, none two alike (so no ties), in no order."""
    count = math.prod(shape)
    return rng.permutation(np.linspace(low, high, count)).reshape(shape)


A, B, V, W = spread(3, 4), spread(3, 4, low=0.25, high=0.95), spread(4), spread(4, low=0.3, high=1.7)
T = spread(2, 3, 4, low=-1, high=1.1)
SIGNED = spread(3, 4, low=-2.13, high=2.38)
SQUARE = spread(3, 3) + 2 * np.eye(3)
BATCH = spread(2, 3, 3) + 2 * np.eye(3)
POSITIVE = SQUARE @ SQUARE.T
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])


@dataclass(frozen=True)
class Row:
    """A call, made with arrays and again with tensors in their place. `recorded`: float results must have a node."""

    name: str
    call: Callable[..., Any]
    arrays: tuple[Any, ...]
    recorded: bool = True


def row(name: str, *arrays: Any, recorded: bool = True, call: Any = None, **options: Any) -> Row:
    """A row for `np.<name>(*arrays, **options)`, or for another call."""
    function = eval(f"np.{name}") if call is None else call  # noqa: S307
    shown = ", ".join(str(np.shape(a)) for a in arrays) + "".join(f", {k}={v!r:.30}" for k, v in options.items())
    return Row(f"{name}({shown})", lambda *x: function(*x, **options), arrays, recorded)


def fixed(name: str, call: Any, *arrays: Any, recorded: bool = True) -> Row:
    """A row for any expression."""
    return Row(name, call, arrays, recorded)


ONE_TO_TWO = {"arccosh"}
UFUNCS = []
for ufunc in ROWS:
    name, predicate = ufunc.__name__, all(kinds.endswith(("?", "O")) for kinds in ufunc.types)
    if name in ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"):
        UFUNCS.append(row(name, *(np.array([5, 3, 6]), np.array([2, 1, 4]))[: ufunc.nin], recorded=False))
    elif ufunc.signature is not None:
        shapes = {"matmul": [(2, 3, 4), (4, 5)], "vecdot": [(3, 4), (4,)], "matvec": [(2, 3, 4), (4,)],
                  "vecmat": [(3,), (2, 3, 4)]}[name]
        UFUNCS.append(row(name, *[spread(*s) for s in shapes]))
    elif ufunc.nin == 1:
        UFUNCS.append(row(name, A + 1 if name in ONE_TO_TWO else A * 0.9, recorded=ufunc.nout == 1 and not predicate))
    else:
        UFUNCS += [row(name, SIGNED if name in ("copysign", "heaviside") else A, V, recorded=False),
                   row(name, A, B, recorded=not predicate and name != "heaviside")]

REDUCTIONS = [row(name, A, **options)
              for name in ("sum", "prod", "mean", "std", "var", "max", "amax", "min", "amin", "ptp", "median", "nansum",
                           "nanmean")
              for options in ({}, {"axis": 1}, {"axis": (0, -1)}, {"axis": 0, "keepdims": True})]
REDUCTIONS += [row(name, MASK, recorded=False, **options) for name in ("all", "any", "sum", "count_nonzero")
               for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True})]
REDUCTIONS += [row(name, SIGNED, recorded=False, **options) for name in ("argmax", "argmin")
               for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}, {"keepdims": True})]
REDUCTIONS += [
    row("sum", A, axis=()), row("sum", A, where=MASK, axis=0), row("sum", A, initial=2.0), row("mean", A, axis=()),
    row("prod", A, where=MASK, initial=3.0), row("max", A, where=MASK, initial=0.1, axis=1), row("min", A, initial=0.3),
    row("mean", A, where=MASK, axis=1), row("mean", T, where=MASK, axis=(0, 2)),
    row("any", MASK, where=MASK, recorded=False),
    row("all", MASK, where=MASK, axis=1, recorded=False), row("sum", A, dtype=np.float64),
    row("std", A, ddof=1, axis=1),
    row("var", A, correction=1), row("median", T, axis=1), row("median", T[:, :, :3], axis=(0, 2), keepdims=True),
    row("median", spread(5)), row("quantile", T, 0.3), row("quantile", T, [0.1, 0.75], axis=(0, 1), keepdims=True),
    row("percentile", T, 30, axis=-1), row("average", A), row("average", A, weights=V, axis=1),
    row("average", A, weights=B, keepdims=True, axis=0), row("average", A, weights=B, returned=True, recorded=False),
    row("average", A, axis=0, returned=True, recorded=False),
    row("cumsum", A), row("cumsum", A, axis=1), row("cumprod", A), row("cumprod", A, axis=0),
    row("diff", A), row("diff", A, n=2, axis=0), row("diff", A, prepend=V[:3, None], append=0.5),
    row("diff", MASK, recorded=False),
    *[row("quantile", T, 0.3, axis=2, method=m) for m in ("lower", "higher", "nearest", "midpoint")],
    *[fixed(f"{u.__name__}.reduce", u.reduce, A) for u in REDUCE if "logical" not in u.__name__],
    *[fixed(f"{u.__name__}.reduce axis", lambda x, u=u: u.reduce(x, axis=None, keepdims=True), A) for u in REDUCE
      if "logical" not in u.__name__],
    *[fixed(f"{u.__name__}.reduce", u.reduce, MASK, recorded=False) for u in REDUCE if "logical" in u.__name__],
    *[fixed(f"{u.__name__}.accumulate", u.accumulate, SIGNED) for u in ACCUMULATE],
    fixed("add.accumulate axis", lambda x: np.add.accumulate(x, axis=-1), T),
    fixed("subtract.outer", np.subtract.outer, A, V), fixed("power.outer", np.power.outer, V, W),
    fixed("add.reduce where", lambda x: np.add.reduce(x, axis=1, where=MASK, initial=1.0), A),
]
SHAPES = [
    row("reshape", A, (2, -1)), row("reshape", A, 12), row("ravel", A), row("transpose", T),
    row("transpose", T, (1, 2, 0)),
    row("matrix_transpose", T), row("swapaxes", T, 0, 2), row("moveaxis", T, 0, -1), row("moveaxis", T, (0, 1), (2, 0)),
    row("squeeze", A[:, None]), row("squeeze", A[None, :, None], axis=2), row("expand_dims", A, 1),
    row("expand_dims", A, (0, -1)),
    row("broadcast_to", V, (3, 4)), row("broadcast_to", V[0], 3), row("broadcast_arrays", A, V),
    row("atleast_1d", V[0]),
    row("atleast_2d", V), row("atleast_3d", A), row("atleast_2d", V, A),
    *[fixed(f"{n} {i}", lambda x, y, n=n, o=o: eval(f"np.{n}")([x, y], **o), A, B)
      for n in ("concatenate", "stack") for i, o in enumerate(({}, {"axis": 1}, {"axis": -1}))],
    fixed("concatenate flat", lambda x, y: np.concatenate((x, y), axis=None), A, V),
    *[fixed(n, lambda x, y, n=n: getattr(np, n)((x, y)), A, B) for n in ("hstack", "vstack", "dstack", "column_stack")],
    *[fixed(n + " 1", lambda x, y, n=n: getattr(np, n)((x, y)), V, W)
    for n in ("hstack", "vstack", "dstack", "column_stack")],
    row("append", A, V), row("append", A, B, axis=0),
    row("split", A, 2, axis=1), row("split", A, [1, 3], axis=1), row("split", V, [1, 2, 6]), row("split", V, [-1]),
    row("array_split", V, 3), row("array_split", A, 5, axis=1), row("hsplit", A, 2), row("vsplit", A, 3),
    row("hsplit", V, 2),
    row("dsplit", T, [1]), row("unstack", A, axis=1), row("tile", A, 2), row("tile", V, (3, 2)), row("tile", T, (2, 1)),
    row("repeat", A, 2), row("repeat", A, [1, 2, 0], axis=0), row("repeat", A, 3, axis=-1),
    row("flip", A), row("flip", A, axis=1), row("flip", T, axis=(0, 2)), row("fliplr", A), row("flipud", A),
    row("roll", A, 5), row("roll", A, 1, axis=1), row("roll", A, (1, 2), axis=(0, 1)), row("roll", A, 2, axis=(0, 1)),
    row("roll", A, (1, 1), axis=(1, 1)),
    *[row("pad", A, ((1, 2), (0, 3)), mode=m) for m in ("constant", "edge", "reflect", "symmetric", "wrap")],
    row("pad", A, 1), row("pad", A, (1, 2), constant_values=5.0), row("pad", A, 2, constant_values=((1, 2), (3, 4))),
    row("pad", V, 9, mode="reflect"), row("pad", V, 0), row("meshgrid", V, W),
    row("meshgrid", V, W[:3], V[:2], indexing="ij"),
    *[row(n, A, recorded=False) for n in ("zeros_like", "ones_like")], row("full_like", A, 2.5, recorded=False),
    row("zeros_like", A, dtype=np.int64, shape=(2, 2), recorded=False), row("copy", A), row("astype", A, np.float64),
]
CHOICES = [
    fixed("where", lambda x, y: np.where(MASK, x, y), A, B),
    fixed("where numbers", lambda x: np.where(x, x, 0.0), A * MASK, recorded=False),
    row("where", MASK, recorded=False), row("nonzero", MASK, recorded=False), row("argwhere", MASK, recorded=False),
    row("flatnonzero", MASK, recorded=False), row("clip", SIGNED, -0.5, 0.7), row("clip", SIGNED, -0.5, None),
    row("clip", SIGNED, A, B + 0.3), row("clip", SIGNED, max=0.5), row("clip", SIGNED),
    row("sort", SIGNED), row("sort", SIGNED, axis=0), row("sort", SIGNED, axis=None, kind="stable"),
    row("argsort", SIGNED, recorded=False), row("argsort", SIGNED, axis=None, recorded=False),
    row("unique", SIGNED), row("unique", np.array([3.0, 1, 3, 2]), return_index=True, return_inverse=
      True, return_counts=True,
                                 recorded=False),
    row("unique", A[[0, 1, 0]], axis=0, recorded=False), row("unique", A, axis=1),
    row("take", A, [0, 11, -1]), row("take", A, [[1, 0], [2, 2]], axis=1), row("take", A, [5, -7], axis=0, mode="wrap"),
    row("take", A, [5, -7], axis=0, mode="clip"), row("take", A, 2, axis=1),
    row("compress", [True, False, True], A, axis=0),
    fixed("compress", lambda x: np.compress([True, False, True], x, axis=0), A),
    fixed("take_along_axis", lambda x: np.take_along_axis(x, np.array([[1], [-1], [0]]), 1), A),
    fixed("take_along_axis flat", lambda x: np.take_along_axis(x, np.array([1, -1, 0]), None), A),
    row("isclose", A, A + 1e-9, recorded=False), row("allclose", A, A + 1e-9, recorded=False),
    row("array_equal", A, A, recorded=False), row("array_equal", A, B, recorded=False),
    row("array_equiv", np.ones((2, 3)), np.ones(3), recorded=False),
    row("nan_to_num", np.array([1.0, np.nan, np.inf, -np.inf]), nan=2.0, posinf=3.0, neginf=-4.0, recorded=False),
    row("nan_to_num", A), row("round", SIGNED), row("around", SIGNED * 10, decimals=1, recorded=False),
    row("sinc", A), row("isposinf", A, recorded=False), row("isneginf", A, recorded=False), row("real", A),
    row("real_if_close", A),
    row("imag", A, recorded=False), row("isreal", A, recorded=False), row("iscomplex", A, recorded=False),
    row("shape", A, recorded=False), row("ndim", A, recorded=False), row("size", A, recorded=False),
    row("size", A, axis=1, recorded=False), row("iscomplexobj", A, recorded=False), row("isrealobj", A, recorded=False),
    row("array_str", A, recorded=False), row("array_repr", A, recorded=False),
    row("array2string", A, precision=2, recorded=False),
    row("result_type", A, np.float32, recorded=False), row("common_type", A, recorded=False),
    row("shares_memory", A, B, recorded=False), row("may_share_memory", A, B, recorded=False),
    row("min_scalar_type", A, recorded=False),
]
PRODUCTS = [
    row("dot", A, V), row("dot", A, B.T), row("dot", V, W), row("dot", T, spread(2, 4, 3)), row("dot", V[0], A),
    row("dot", V, B.T),
    row("vdot", A, B), row("inner", A, T), row("outer", A, V), row("kron", A, V),
    row("tensordot", A, T, axes=((0, 1), (1, 2))),
    row("tensordot", T, spread(3, 4, 2)), row("trace", A), row("trace", T, offset=1, axis1=1, axis2=2),
    row("diagonal", A, 1),
    row("diagonal", T, axis1=0, axis2=2), row("diag", V, 1), row("diag", A), row("tril", A), row("triu", T, 1),
    fixed("einsum", lambda x, y: np.einsum("ij,kj->ik", x, y, optimize=True), A, B),
    fixed("einsum lists", lambda x, y: np.einsum(x, [0, 1], y, [0, 1], [1]), A, B),
    row("linalg.norm", A), row("linalg.norm", V), row("linalg.norm", V, 3), row("linalg.norm", A, "fro"),
    row("linalg.norm", A, 1),
    row("linalg.norm", A, np.inf), row("linalg.norm", A, axis=1), row("linalg.norm", T, axis=(0, 2), keepdims=True),
    row("linalg.norm", T, 1, axis=(-1, 0)), row("linalg.norm", A, keepdims=True),
    row("linalg.norm", np.array([3, 4]), recorded=False),
    row("linalg.vector_norm", A, axis=0, ord=3), row("linalg.matrix_norm", T, ord=1, keepdims=True),
    row("linalg.inv", BATCH), row("linalg.solve", BATCH, spread(3)), row("linalg.solve", SQUARE, A),
    row("linalg.solve", spread(3, 3, 3) + 2 * np.eye(3), spread(3, 3)), row("linalg.det", BATCH),
    fixed("linalg.slogdet", lambda x: np.linalg.slogdet(x).logabsdet, BATCH),
    row("linalg.cholesky", POSITIVE), row("linalg.cholesky", POSITIVE, upper=True),
    row("linalg.matrix_power", SQUARE, 3), row("linalg.matrix_power", SQUARE, -2),
    row("linalg.matrix_power", SQUARE, 1),
    fixed("linalg.multi_dot", lambda x, y: np.linalg.multi_dot([x, y.T, x]), A, B),
    row("linalg.vecdot", A, B, axis=0), row("linalg.matmul", A, B.T), row("linalg.outer", V, W),
    row("linalg.tensordot", A, B.T, axes=1),
    row("linalg.trace", T, offset=1), row("linalg.diagonal", T), row("linalg.matrix_transpose", T),
]
ROWS_OF_ALL = UFUNCS + REDUCTIONS + SHAPES + CHOICES + PRODUCTS
