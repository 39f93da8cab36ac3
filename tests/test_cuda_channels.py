"""Batch norm and group norm on the device against their definitions in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import names
from tests.cuda import check_fused, close, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
SHAPES = pytest.mark.parametrize("shape", [
    (3, 5, 16),       # packs
    (3, 5, 7),        # element by element
    (2, 3, 50, 50),   # several slabs
    (70, 3, 33),      # slabs that end within a run
    (300, 40),        # columns, several slabs and blocks
    (5, 3, 1),
])


def check_batch_norm(x: Any, weight: Any, bias: Any, dtype: Any = np.float32, factor: float = 1) -> None:
    """Result, statistics (in float32 for 16-bit arrays) and gradients."""
    x, weight, bias = (None if a is None else a.astype(dtype) for a in (x, weight, bias))
    g = (0.5 + np.cos(np.arange(x.size) + 0.5)).reshape(x.shape).astype(dtype)
    leaves = [None if a is None else cr.Tensor(a.astype(np.float64), requires_grad=True) for a in (x, weight, bias)]
    with cr.backend("reference"), np.errstate(all="ignore"):
        outs = names.ops.batch_norm.definition(names.ops, *leaves, eps=1e-5)
        given = [t for t in leaves if t is not None]
        slopes = iter(cr.grad(outs[0], given, cr.Tensor(g.astype(np.float64))))

    def both(x: Any, weight: Any, bias: Any, g: Any) -> Any:
        result, kept = cuda().batch_norm(x, weight, bias, eps=1e-5)
        return result, cuda().batch_norm_grad([g, None, None], x, weight, bias, kept["means"], kept["scales"])

    (out, *statistics), found = run(both, x, weight, bias, g)
    close(out, outs[0].data, dtype, factor)
    for one, right in zip(statistics, outs[1:], strict=True):
        close(one, right.data, np.float64 if dtype == np.float64 else np.float32, factor)
    for one, a in zip(found, (x, weight, bias), strict=True):
        if a is not None:
            close(one, next(slopes).data, dtype, factor)


@SHAPES
def test_batch_norm(shape: tuple[int, ...]) -> None:
    check_batch_norm(normal(0, *shape) * 3 + 1, normal(1, shape[1]), normal(2, shape[1]), factor=2)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 5, 16), (20, 40)])
def test_dtypes_and_no_weights(shape: tuple[int, ...], dtype: Any) -> None:
    check_batch_norm(normal(0, *shape) + 1, None, None, dtype, factor=2)
    check_batch_norm(normal(0, *shape) + 1, normal(1, shape[1]), None, dtype, factor=2)


def test_a_large_mean_costs_little_precision() -> None:
    """What rounding the mean to float32 costs, 2^-15; the difference of two large numbers would cost all."""
    x = np.round(normal(0, 64, 3, 80) * 64) / 64 + 1000
    check_batch_norm(x, None, None, factor=40)
    check_batch_norm(x.reshape(-1, 16), None, None, factor=40)


def test_batch_norm_of_what_is_not_finite_and_of_strided_memory() -> None:
    x = normal(0, 3, 5, 40)
    x[1, 3, 2], x[2, 1, 0] = np.nan, np.inf
    check_batch_norm(x, None, None)
    check_batch_norm(normal(0, 5, 40, 3).transpose(2, 0, 1), normal(1, 5), None)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 5, 16), (3, 5, 7), (4, 5)])
def test_by_running_statistics(shape: tuple[int, ...], dtype: Any) -> None:
    statistics = normal(1, 5), np.abs(normal(2, 5)) + 0.5
    for weights in ((normal(3, 5), normal(4, 5)), (None, None)):
        check_fused("batch_norm_by_running", normal(0, *shape), *statistics, *weights, dtype=dtype, eps=1e-5,
                    without=("mean", "var", "weight", "bias"), factor=2)


@DTYPES
@pytest.mark.parametrize("shape, groups", [((3, 6, 16), 2), ((3, 6, 7), 3)])
def test_group_norm(shape: tuple[int, ...], groups: int, dtype: Any) -> None:
    c = shape[1]
    check_fused("group_norm", normal(0, *shape) * 3 + 1, normal(1, c), normal(2, c), dtype=dtype, num_groups=groups, eps=1e-5,
                factor=2)


def test_groups_of_many_kinds() -> None:
    """Runs of several slabs, a group of more runs than a warp has lanes, single elements, no weights."""
    for shape, groups in (((2, 4, 50, 100), 2), ((2, 70, 3), 1), ((9, 8), 2), ((3, 4, 5), 4)):
        check_fused("group_norm", normal(0, *shape), normal(1, shape[1]), None, num_groups=groups, eps=1e-5, factor=2)
    check_fused("group_norm", normal(0, 2, 4, 5), num_groups=2, eps=1e-5)


def test_what_is_declined() -> None:
    x = to_device(normal(0, 3, 4, dtype=np.float32))
    assert cuda().batch_norm(x, x[0].astype(np.float64), None, eps=1e-5) is NotImplemented
    assert cuda().batch_norm(x[:0], None, None, eps=1e-5) is NotImplemented
    assert cuda().group_norm(x[:0], None, None, num_groups=2, eps=1e-5) is NotImplemented
    result, kept = cuda().batch_norm(x, None, None, eps=1e-5)
    assert cuda().batch_norm_grad([x, x[0], None], x, None, None, *kept.values()) is NotImplemented
    wanted = (True, True, False, False, False)
    assert cuda().batch_norm_by_running_grad(x, x, x[0], x[0], None, None, 1e-5, wanted) is NotImplemented
