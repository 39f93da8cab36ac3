"""What the tests of compiled kernels share: a function by the cpu backend, with its gradients, against NumPy in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr


def results(function: Callable[..., Any], arrays: tuple[Any, ...]) -> list[np.ndarray]:
    """The function's value at float arrays (others, such as indices, are passed as they are), and the gradients by them of a
    fixed weighting of its elements (numbers of both signs, but more than nothing on average, and exact in float32)."""
    given = [cr.Tensor(a, requires_grad=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a for a in arrays]
    leaves = [t for t in given if isinstance(t, cr.Tensor) and t.requires_grad]
    with np.errstate(all="ignore"):
        out = function(*given)
        weights = (0.5 + np.cos(np.arange(out.numel()) + 0.5)).reshape(out.shape).astype(np.float32).astype(out.dtype)
        found = cr.grad(out, leaves, cr.Tensor(weights))
    return [np.array(out.data), *[np.array(g.data) for g in found]]


def check(function: Callable[..., Any], *arrays: Any, ulps: float) -> list[np.ndarray]:
    """The results by compiled kernels, of float32 or float64 arrays, once they are found to have the same bits with one thread as
    with two, and to be within `ulps` units in the last place (of each element and of the largest, where terms cancel) of what
    NumPy computes in float64."""
    threads = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        found = results(function, arrays)
        cr.set_num_threads(2)
        shared = results(function, arrays)
    finally:
        cr.set_num_threads(threads)
    wide = tuple(a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arrays)
    with cr.backend("reference"):
        expected = results(function, wide)
    dtype = next(a.dtype for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f")
    for one, other, right in zip(found, shared, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other, strict=True)
        finite = np.abs(right[np.isfinite(right)])
        step = ulps * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(one, right, rtol=step, atol=step * finite.max(initial=1e-30))
    return found


def counted(monkeypatch: Any, namespace: Any, names: Any) -> list[bool]:
    """What each later call of kernels of a namespace returns: whether it did the work."""
    done: list[bool] = []

    def of(kernel: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> bool:
            done.append(kernel(*arguments, **options))
            return done[-1]

        return call

    for name in names:
        monkeypatch.setattr(namespace, name, of(getattr(namespace, name)))
    return done


def normal(seed: int, *shape: int, dtype: Any = np.float64) -> np.ndarray:
    """Standard normal numbers."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))
