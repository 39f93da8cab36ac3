"""Files: what is saved comes back, damaged files are refused by name, and a crash leaves the old file."""

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import serialization
from chainrule.tensor import Tensor

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


def test_every_dtype_and_shape(path: Path) -> None:
    values = {f"{d}-{len(s)}": (np.arange(math.prod(s)).reshape(s) % 2).astype(d) for d in DTYPES for s in ((), (0, 3),
                                                                                                            (2, 3))}
    cr.save_file({k: cr.tensor(v) for k, v in values.items()}, path)
    loaded = cr.load_file(path)
    assert loaded.keys() == values.keys()
    for name, expected in values.items():
        found = loaded[name]
        assert isinstance(found, Tensor) and found.dtype == expected.dtype and found.shape == expected.shape
        assert (found.numpy() == expected).all() and not found.requires_grad and found.data.flags.writeable


def test_strided_arrays_arrive_whole(path: Path) -> None:
    a = np.arange(24.0).reshape(4, 6)
    views = {"transposed": a.T, "stepped": a[::2, ::-1], "column": a[:, 1], "expanded": np.broadcast_to(a[0], (3, 6)),
             "foreign": a.astype(">f4"), "fortran": np.asfortranarray(a)}
    cr.save_file(views, path)
    for name, found in cr.load_file(path).items():
        assert (found.numpy() == views[name]).all(), name


def test_metadata_and_empty(path: Path) -> None:
    cr.save_file({}, path)
    assert cr.load_file(path) == {} and serialization.load_metadata(path) == {}
    cr.save_file({"a": cr.ones(1, requires_grad=True)}, path, {"epoch": "3", "näme": "ü"})
    assert serialization.load_metadata(path) == {"epoch": "3", "näme": "ü"}
    assert cr.load_file(path)["a"].tolist() == [1]


def test_refusals_name_the_entry(path: Path) -> None:
    for value, match in (({"w": 3}, "'w' is a int"), ({"w": np.zeros(1, complex)}, r"'w' \(complex128\(1\)\)"),
                         ({1: cr.ones(1)}, "1 cannot be a name"), ({"__metadata__": cr.ones(1)}, "cannot be a name"),
                         ([cr.ones(1)], "takes a dict")):
        with pytest.raises(cr.DtypeError, match=match):
            cr.save_file(value, path)  # type: ignore[arg-type]
    with pytest.raises(cr.DtypeError, match="metadata 'n' is 3"):
        cr.save_file({}, path, {"n": 3})  # type: ignore[dict-item]
    assert not path.exists() and list(path.parent.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="create it first"):
        cr.save_file({}, path / "none" / "x")
    with pytest.raises(IsADirectoryError):
        cr.save_file({}, path.parent)
    with pytest.raises(FileNotFoundError):
        cr.load_file(path)


def test_a_damaged_file_is_refused_by_name(path: Path) -> None:
    cr.save_file({"first": cr.ones(4), "second": cr.arange(6).reshape(2, 3)}, path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(serialization.FileError, match=r"file\.safetensors: (truncated|not a safetensors file)"):
            cr.load_file(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(serialization.FileError, match="4 bytes follow the last tensor"):
        cr.load_file(path)
    for i in range(8, 8 + length):  # a header with a byte flipped is refused, or still says the same about the tensors
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1:])
        try:
            found = cr.load_file(path)
        except (serialization.FileError, cr.DtypeError) as error:
            assert "file.safetensors" in str(error)
        else:
            assert sorted(t.shape for t in found.values()) == [(2, 3), (4,)]
    path.write_bytes(b"not a file of tensors at all")
    with pytest.raises(serialization.FileError, match="not a safetensors file"):
        cr.load_file(path)
    path.write_bytes(struct.pack("<Q", 4) + b"[{]}")
    with pytest.raises(serialization.FileError, match="header cannot be read"):
        serialization.load_metadata(path)


def test_elements_that_do_not_exist_here(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(cr.DtypeError, match=r"'w' \(2,\) has elements of type BF16.*convert it to F32"):
        cr.load_file(path)


def test_an_interrupted_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cr.save_file({"a": cr.ones(2)}, path)

    def fail(*args: Any) -> None:
        raise OSError("the disk is full")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, fail)
            with pytest.raises(OSError, match="full"):
                cr.save_file({"a": cr.zeros(2)}, path)
        assert cr.load_file(path)["a"].tolist() == [1, 1] and list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and symbolic links are POSIX's here")
def test_permissions_and_links_stay(path: Path) -> None:
    cr.save_file({"a": cr.ones(2)}, path)
    fresh = path.with_name("plain")
    fresh.write_text("")
    assert path.stat().st_mode == fresh.stat().st_mode
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    cr.save_file({"a": cr.zeros(2)}, link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert cr.load_file(path)["a"].tolist() == [0, 0]


def same(a: Any, b: Any) -> bool:
    """Equal in structure, types and values."""
    if isinstance(a, Tensor | np.ndarray):
        alike = isinstance(b, Tensor) and b.dtype == a.dtype and b.shape == a.shape
        return alike and bool((np.asarray(a) == b.numpy()).all())
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(b) is type(a) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


@pytest.mark.parametrize("value", [
    3, -2.5, "text", True, None, [], {}, (), 2**70, float("inf"), float("nan"), 0.1, -0.0, [[], [()]], cr.tensor(2.0),
    {"a": {"b": cr.ones(2)}, "a.b": cr.zeros(3), "": cr.ones(1)}, [cr.ones(2), (cr.zeros(2, 2).mT, 1.5)], np.arange(3),
    {0: cr.ones(1), "0": cr.zeros(1), -1: None}, {"dict": {"list": [{"tensor": "float"}]}},
    {"__metadata__": cr.ones(1)},
    {"state": {0: {"step": 3, "exp_avg": cr.rand(3)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999),
                                                                         "params": [0]}]},
])
def test_nested_structures(value: Any, path: Path) -> None:
    cr.save(value, path)
    assert same(value, cr.load(path))


def test_a_changed_bit_is_noticed(path: Path) -> None:
    cr.save({"w": cr.arange(6, dtype=cr.float32).reshape(2, 3), "foreign": np.arange(3, dtype=">f4"), "epoch": 3}, path)
    whole = path.read_bytes()
    assert cr.load(path)["foreign"].tolist() == [0, 1, 2]
    for i in range(8, len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1:])
        try:
            found = cr.load(path)
        except (serialization.FileError, cr.DtypeError) as error:
            assert "file.safetensors" in str(error)
        else:  # a space more or less at the end of the header says the same
            assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["epoch"] == 3, i


def test_sharing_inside_a_structure(path: Path) -> None:
    w = cr.rand(1000)
    cr.save({"a": w, "b": [w, w]}, path)
    found = cr.load(path)
    assert found["a"] is found["b"][0] is found["b"][1] and path.stat().st_size < 2 * w.data.nbytes
    assert list(cr.load_file(path)) == ["a"]


def test_numpy_scalars_become_numbers(path: Path) -> None:
    cr.save([np.float32(0.5), np.int64(3), np.bool_(True), np.float64(2.5)], path)
    assert same([0.5, 3, True, 2.5], cr.load(path))


def test_save_names_the_place(path: Path) -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    for value, match in (({"a": [1, {2}]}, r"\['a'\]\[1\] is a set"), (object(), "the object itself is a object"),
                         ({"a": {1.5: 2}}, r"\['a'\] has the key 1.5"), (loop, r"\[0\]\['again'\] contains itself"),
                         ({"f": print}, r"\['f'\] is a builtin"), ([1j], r"\[0\] is a complex"),
                         ({"w": [np.zeros(2, complex)]}, r"\['w'\]\[0\] \(complex128\(2\)\) has a dtype")):
        with pytest.raises(cr.DtypeError, match=match):
            cr.save(value, path)
    cr.save_file({"a": cr.ones(1)}, path)
    with pytest.raises(serialization.FileError, match="load_file"):
        cr.load(path)
    cr.save_file({}, path, {"chainrule": '{"tensor": "gone"}'})
    with pytest.raises(serialization.FileError, match="structure cannot be read"):
        cr.load(path)


@pytest.mark.peers
def test_torch_reads_our_files_and_we_read_torchs(path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    cr.save_file({"w": cr.arange(6, dtype=cr.float32).reshape(2, 3).mT}, path)
    assert torch.equal(load_file(path)["w"], torch.arange(6.0).reshape(2, 3).T)
    save_file({"v": torch.ones(2, 2)}, path)
    assert cr.load_file(path)["v"].tolist() == [[1, 1], [1, 1]]
    save_file({"v": torch.ones(2, dtype=torch.bfloat16)}, path)
    with pytest.raises(cr.DtypeError, match="BF16"):
        cr.load_file(path)
