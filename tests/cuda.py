"""What the tests of CUDA kernels share: a kernel on the device against its definition in float64 on the CPU.

Where there is no GPU the kernels run in the simulator (tests/cuda_on_cpu), in order and in shuffled order.
"""

import contextlib
from inspect import signature
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import kernels, names
from tests.cuda_on_cpu import simulated, simulator
from tests.properties import map_arrays

# relative to an element, and to the largest of its array, where terms cancel
TOLERANCE = {"float64": 1e-12, "float32": 3e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


def cuda() -> Any:
    """The namespace of the cuda backend."""
    from chainrule.kernels import cuda

    return cuda


def to_device(value: Any) -> Any:
    """The same structure with its arrays on the device."""
    import cupy

    return map_arrays(value, cupy.asarray)


def to_host(value: Any) -> Any:
    """The same structure with NumPy arrays."""
    if isinstance(value, list | tuple):
        return type(value)(map(to_host, value))
    if isinstance(value, dict):
        return {k: to_host(v) for k, v in value.items()}
    return value.get() if hasattr(value, "get") else value


@contextlib.contextmanager
def shuffled(seed: int) -> Any:
    """In the simulator threads run in a shuffled order."""
    before = simulator.Settings.order, simulator.Settings.seed
    simulator.Settings.order, simulator.Settings.seed = "shuffle", seed
    try:
        yield
    finally:
        simulator.Settings.order, simulator.Settings.seed = before


@contextlib.contextmanager
def no_synchronisation() -> Any:
    """An error where the host waits for the device. On a GPU the work is captured into a graph, during which CUDA refuses to wait,
    and then runs; so what is launched must be compiled, and its memory in the pool: do the same once before."""
    if simulated():
        from tests.cuda_on_cpu import devices

        with devices.no_synchronisation():
            yield
        return
    import cupy

    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        try:
            yield
        finally:
            graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()


def run(function: Any, *args: Any, repeatable: bool = True, **static: Any) -> Any:
    """What `function` returns of arguments on the device, as NumPy arrays. In the simulator it is run in order and in a
    shuffled order, which must give the same bits unless `repeatable` is False (for sums by atomics)."""
    found = to_host(function(*to_device(args), **to_device(static)))
    if simulated() and repeatable:
        with shuffled(seed=3):
            again = to_host(function(*to_device(args), **to_device(static)))
        one: list[Any] = []
        other: list[Any] = []
        map_arrays(found, one.append)
        map_arrays(again, other.append)
        for a, b in zip(one, other, strict=True):
            bits = [np.atleast_1d(array).view(np.uint8) for array in (a, b)]
            np.testing.assert_array_equal(*bits, "the order of threads changes the result")
    return found


def close(found: Any, expected: Any, dtype: Any, factor: float = 1.0) -> None:
    """AssertionError unless the arrays agree to the dtype's precision times `factor`, and NaN and infinities agree exactly."""
    assert found.dtype == dtype, f"{found.dtype} where {dtype} was expected"
    tolerance = TOLERANCE[str(np.dtype(dtype))] * factor
    right = np.asarray(expected, np.float64)
    finite = np.abs(right[np.isfinite(right)])
    np.testing.assert_allclose(found.astype(np.float64), right, rtol=tolerance, atol=tolerance * finite.max(initial=1e-30))


def check(name: str, *args: Any, dtype: Any = np.float32, factor: float = 1.0, repeatable: bool = True, **static: Any) -> Any:
    """A row's kernel against the reference function of that name. Float arrays of `args` are rounded to `dtype` first."""
    rounded = map_arrays(args, lambda a: a.astype(dtype) if a.dtype.kind == "f" else a)
    wide = map_arrays(rounded, lambda a: a.astype(np.float64) if a.dtype == dtype else a)
    expected = getattr(kernels.reference, name)(*wide, **static)
    found = run(getattr(cuda(), name), *rounded, repeatable=repeatable, **static)
    close(found, expected, dtype, factor)
    return found


def check_fused(name: str, *inputs: Any, dtype: Any = np.float32, factor: float = 1.0, repeatable: bool = True,
                gradients: bool = True, without: tuple[str, ...] = (), **static: Any) -> Any:
    """A fused op's pair of kernels, value and gradients, against its definition in float64. Returns the found outputs. Gradients
    are asked for by all floating-point inputs but those named in `without`."""
    op = getattr(names.ops, name)
    static = {**op.defaults, **static}
    rounded = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in inputs]
    rounded += [None] * (len(op.inputs) - len(rounded))
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == dtype else a for a in rounded]
    tensors = [cr.Tensor(a, requires_grad=a.dtype.kind == "f" and n not in without) if isinstance(a, np.ndarray) else a
               for n, a in zip(op.inputs, wide, strict=True)]
    wanted = tuple(isinstance(t, cr.Tensor) and t.requires_grad for t in tensors)
    with cr.backend("reference"):
        outs = op.definition(names.ops, *tensors, **static)
    outs = outs if isinstance(outs, tuple) else (outs,)
    weights = [np.cos(np.arange(o.numel()) + 0.5).reshape(o.shape).astype(np.float32).astype(dtype) for o in outs]
    namespace = cuda()

    def both(*arrays: Any) -> Any:
        result = getattr(namespace, name)(*arrays[: len(rounded)], **static)
        assert result is not NotImplemented, f"the kernel of {name} declined"
        extras: dict[str, Any] = {}
        if isinstance(result, tuple) and isinstance(result[-1], dict):
            result, extras = result
        found = result if isinstance(result, tuple) else (result,)
        if not gradients:
            return found, ()
        backward = getattr(namespace, name + "_grad")
        known = {**static, **dict(zip(op.inputs, arrays)), **extras, "out": found[0], "wanted": wanted}
        g = arrays[len(rounded):]
        slopes = backward(g[0] if op.outputs == 1 else list(g), *[known[p] for p in list(signature(backward).parameters)[1:]])
        assert slopes is not NotImplemented, f"the gradient kernel of {name} declined"
        return found, tuple(d for d, w in zip(slopes, wanted) if w)

    found, slopes = run(both, *rounded, *weights, repeatable=repeatable)
    for one, right in zip(found, outs, strict=True):
        close(one, right.data, dtype, factor)
    if gradients:
        with cr.backend("reference"):
            leaves = [t for t, w in zip(tensors, wanted) if w]
            expected = cr.grad(outs, leaves, [cr.Tensor(w.astype(np.float64)) for w in weights], allow_unused=True)
        for one, right in zip(slopes, expected, strict=True):
            close(one, np.zeros(one.shape) if right is None else right.data, dtype, factor)
    return found
