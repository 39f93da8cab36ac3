"""The stand-in for CuPy is as strict as CuPy; and the code that runs over CuPy uses names and arguments that CuPy has."""

import ast
import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu
from tests.cuda_on_cpu import devices, names

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "engine" / "kernels"


@pytest.fixture
def xp() -> Any:
    """The stand-in, in place of CuPy."""
    if reason := cuda_on_cpu.ensure():
        pytest.skip(reason)
    if not cuda_on_cpu.simulated():
        pytest.skip("CuPy is there")
    import cupy

    return cupy


@pytest.mark.parametrize("use", [
    lambda xp, a, h: a + h, lambda xp, a, h: h + a, lambda xp, a, h: np.asarray(a), lambda xp, a, h: xp.add(a, h),
    lambda xp, a, h: a.__iadd__(h), lambda xp, a, h: a.__setitem__(0, h), lambda xp, a, h: xp.concatenate([a, h]),
    lambda xp, a, h: xp.where(h > 0, a, a), lambda xp, a, h: a @ h, lambda xp, a, h: h.__iadd__(a), lambda xp, a, h: xp.sum(h),
    lambda xp, a, h: np.array([a, a]), lambda xp, a, h: a.set(a), lambda xp, a, h: xp.take(a, np.array([0])),
])
@pytest.mark.gpu
def test_host_and_device_do_not_mix(xp: Any, use: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        use(xp, xp.asarray(np.ones(3)), np.ones(3))


@pytest.mark.parametrize("use", [
    lambda xp, a: xp.errstate, lambda xp, a: xp.testing_of_names, lambda xp, a: a.ctypes, lambda xp, a: a.resize(3),
    lambda xp, a: xp.add.identity_of, lambda xp, a: xp.linalg.lapack_lite,
])
@pytest.mark.gpu
def test_names_that_cupy_has_not(xp: Any, use: Any) -> None:
    with pytest.raises(AttributeError):
        use(xp, xp.ones(3))


@pytest.mark.parametrize("use", [
    lambda xp, a: xp.sum(a, initial=0), lambda xp, a: xp.add(a, a, where=a > 0), lambda xp, a: a.max(initial=0),
    lambda xp, a: a.item(0),
    lambda xp, a: xp.clip(a, min=0), lambda xp, a: np.add.reduce(a), lambda xp, a: np.matmul(a, a),
    lambda xp, a: np.add.at(a, 0, 1),
    lambda xp, a: xp.maximum.reduce(a), lambda xp, a: xp.maximum.accumulate(a), lambda xp, a: xp.count_nonzero(a, keepdims=True),
    lambda xp, a: xp.array([None, "a"], dtype=object),
])
@pytest.mark.gpu
def test_what_cupy_does_not_do(xp: Any, use: Any) -> None:
    with pytest.raises((TypeError, NotImplementedError, ValueError)):
        use(xp, xp.ones(3))


WAITING = [
    lambda xp, a: float(a[0]), lambda xp, a: bool((a > 0).all()), lambda xp, a: a.get(), lambda xp, a: a.tolist(),
    lambda xp, a: a[a > 0], lambda xp, a: xp.nonzero(a), lambda xp, a: xp.where(a), lambda xp, a: xp.unique(a),
    lambda xp, a: int(a.sum()), lambda xp, a: a[0].item(),
    lambda xp, a: a.__setitem__(a > 1, a[:2]), lambda xp, a: xp.asnumpy(a), lambda xp, a: range(3)[a[:1].astype(int)[0]],
    lambda xp, a: xp.cuda.Device().synchronize(), lambda xp, a: xp.cuda.Stream.null.synchronize(), lambda xp, a: xp.allclose(a, a),
    lambda xp, a: list(range(int(a[0]))), lambda xp, a: xp.repeat(a, a.astype(int)),
]
FREE = [
    lambda xp, a: a + 1, lambda xp, a: a.sum(), lambda xp, a: a[1:].reshape(1, -1), lambda xp, a: a.__setitem__(a > 0, 2.0),
    lambda xp, a: len(a),
    lambda xp, a: xp.where(a > 0, a, 0), lambda xp, a: xp.asarray(np.ones(3)), lambda xp, a: a.shape, lambda xp, a: a.T @ a,
    lambda xp, a: a.set(np.zeros(4)), lambda xp, a: xp.cuda.Stream().record(), lambda xp, a: xp.take(a, xp.array([0, 1])),
]


@pytest.mark.parametrize("use", WAITING)
@pytest.mark.gpu
def test_what_makes_the_host_wait(xp: Any, use: Any) -> None:
    a = xp.asarray(np.array([1.0, 2.0, 0.0, 3.0]))
    before = devices.SYNCHRONISATIONS[0]
    use(xp, a)
    assert devices.SYNCHRONISATIONS[0] > before
    with pytest.raises(RuntimeError, match="waits"), devices.no_synchronisation():
        use(xp, a)


@pytest.mark.parametrize("use", FREE)
@pytest.mark.gpu
def test_what_does_not_make_it_wait(xp: Any, use: Any) -> None:
    a = xp.asarray(np.array([1.0, 2.0, 0.0, 3.0]))
    before = devices.SYNCHRONISATIONS[0]
    with devices.no_synchronisation():
        use(xp, a)
    assert devices.SYNCHRONISATIONS[0] == before


@pytest.mark.gpu
def test_results_are_device_arrays(xp: Any) -> None:
    a = xp.arange(6, dtype=np.int32).reshape(2, 3)
    assert type(a.sum()) is xp.ndarray and a.sum().shape == () and type(a[0, 0]) is xp.ndarray
    assert a.T.base is a.base and xp.may_share_memory(a, a[1:]) and (a + 1).base is None
    assert (a * 2.5).dtype == np.float64 and (xp.ones(2, np.float32) * 2.5).dtype == np.float32
    assert xp.add(a, 1, out=a) is a and a[0, 1] == 2
    h = np.ones(3)
    d = xp.asarray(h)
    h[:] = 5
    assert d.get().tolist() == [1, 1, 1] and xp.asarray(d) is d and xp.array(d) is not d


@pytest.mark.gpu
def test_numbers_are_as_cuda_has_them(xp: Any) -> None:
    zero = xp.zeros(2, np.int32)
    assert (xp.ones(2, np.int32) // zero).get().tolist() == [0, 0]  # and no warning
    x = xp.array([np.nan, 3e9, -3e9, 2.7])
    assert x.astype(np.int32).get().tolist() == [0, 2**31 - 1, -2**31, 2]
    assert x.astype(np.int64).get().tolist() == [-2**63, 3_000_000_000, -3_000_000_000, 2]
    assert x.astype(np.uint8).get().tolist() == [0, 255, 0, 2]
    assert np.isnan(xp.empty(3).get()).all() and xp.empty(3, np.int32).get().tolist() == [2**31 - 1] * 3


@pytest.mark.gpu
def test_two_devices(xp: Any) -> None:
    assert xp.cuda.runtime.getDeviceCount() == 2
    a = xp.ones(3)
    with xp.cuda.Device(1):
        b = xp.ones(3)
        assert b.device.id == 1 == xp.cuda.runtime.getDevice() and (b + 1).device.id == 1
        with pytest.raises(ValueError, match="array device = 0 while current = 1"):
            a + b
        moved = xp.array(a)
        assert moved.device.id == 1 and (moved + b).get().tolist() == [2, 2, 2]
    assert xp.cuda.runtime.getDevice() == 0 and b.reshape(3, 1).device.id == 1 and b[1:].device.id == 1
    for use in (lambda: b + 1, lambda: b.sum(), lambda: b.__setitem__(0, 1), lambda: xp.exp(b), lambda: xp.stack([a, b])):
        with pytest.raises(ValueError, match="array device = 1 while current = 0"):
            use()
    with pytest.raises(ValueError, match="invalid device"):
        xp.cuda.Device(2)


@pytest.mark.gpu
def test_a_kernel_takes_arrays_of_the_current_device(xp: Any) -> None:
    kernel = xp.RawModule(code='extern "C" __global__ void k(float* x) { x[threadIdx.x] = 1; }').get_function("k")
    with xp.cuda.Device(1):
        b = xp.zeros(2, np.float32)
        kernel((1,), (2,), (b,))
    with pytest.raises(RuntimeError, match="argument 0 is on device 1, the kernel runs on device 0"):
        kernel((1,), (2,), (b,))


@pytest.mark.skipif(find_spec("cupy") is None, reason="needs CuPy")
def test_names_txt_is_what_the_installed_cupy_gives() -> None:
    from importlib.metadata import PackageNotFoundError, version

    written = names.FILE.read_text().split()[2].rstrip(",")
    found = [v for p in ("cupy-cuda12x", "cupy-cuda13x", "cupy") for v in [_version(version, p, PackageNotFoundError)] if v]
    if written not in found:
        pytest.skip(f"names.txt is of CuPy {written}, installed is {', '.join(found)}")
    result = subprocess.run([sys.executable, "-m", "tests.cuda_on_cpu.names"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def _version(version: Any, package: str, missing: Any) -> str:
    try:
        return str(version(package))
    except missing:
        return ""


# ---- the code that runs over CuPy

# NumPy's names that stay NumPy's there: dtypes, which CuPy takes, and what kernels/cuda/definitions.py provides
NUMPYS = {"errstate", "ndarray"}


def uses(path: Path, module: str) -> list[tuple[int, str, ast.Call | None]]:
    """Every `module.name` in the file, and the call that it is in."""
    tree = ast.parse(path.read_text())
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            parts, value = [], node
            while isinstance(value, ast.Attribute):
                parts.append(value.attr)
                value = value.value  # type: ignore[assignment]
            if isinstance(value, ast.Name) and value.id == module:
                found.append((node.lineno, ".".join(["cupy", *reversed(parts)]), calls.get(id(node))))
    return found


def problem(name: str, call: ast.Call | None) -> str:
    """What CuPy lacks of the name as it is called; empty for nothing."""
    known = names.known()
    owner, _, last = name.rpartition(".")
    if owner in names.ufuncs():
        return "" if f"cupy.ufunc.{last}" in known else f"a ufunc has no {last}"
    if name.startswith("cupy.cuda.cublas"):
        return ""  # not in names.txt
    if name not in known:
        constant = owner in known and not any(other.startswith(owner + ".") for other in known)
        return "" if constant else f"CuPy has no {name}"  # (a constant, such as a dtype, has attributes of its own)
    signature = known[name]
    if call is None or signature is None or any(isinstance(a, ast.Starred) for a in call.args):
        return ""
    options = {k.arg: None for k in call.keywords if k.arg}
    try:
        bind = signature.bind_partial if any(k.arg is None for k in call.keywords) else signature.bind
        bind(*[None] * len(call.args), **options)
    except TypeError as error:
        return f"{name}{signature}: {error}"
    return ""


FILES = [(path, module) for folder, module in (("reference", "np"), ("cuda", "cupy"))
         for path in sorted((KERNELS / folder).glob("*.py"))]


@pytest.mark.parametrize("path, module", FILES, ids=[f"{p.parent.name}/{p.name}" for p, _ in FILES])
def test_cupy_has_what_the_kernels_ask_of_it(path: Path, module: str) -> None:
    found = [f"{path.name}:{line}: {text}" for line, name, call in uses(path, module)
             if name.partition(".")[2] not in NUMPYS and (text := problem(name, call))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line, text", [
    ("np.sum(x, axis=1, keepdims=True)", ""), ("np.amax(x, initial=0)", "initial"), ("np.block_of(x)", "no cupy.block_of"),
    ("np.add.reduceat(x, s)", ""), ("np.add.reducing(x)", "no reducing"), ("np.linalg.solve(a, b)", ""),
    ("np.linalg.nothing(a)", "no cupy"),
    ("np.clip(x, min=0)", "a_min"), ("np.lib.stride_tricks.as_strided(x, shape=s, strides=t)", ""), ("np.exp(x, where=m)", "where"),
])
def test_the_check_finds_what_is_missing(line: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.py"
    path.write_text(line)
    (_, name, call), = uses(path, "np")
    assert text in problem(name, call) and bool(text) == bool(problem(name, call))


def test_signatures_are_read() -> None:
    known = names.known()
    assert len(known) > 1000 and sum(isinstance(s, inspect.Signature) for s in known.values()) > 500
    assert list(known["cupy.sum"].parameters) == ["a", "axis", "dtype", "out", "keepdims"]  # type: ignore[union-attr]
    assert "where" not in known["cupy.add"].parameters  # type: ignore[union-attr]
