"""Files: tensors in the safetensors format, and nested structures of them. Never pickle: loading a file runs no code.

A safetensors file is 8 bytes with the length of a header, the header (JSON: for each tensor its dtype, shape and place;
and texts under `__metadata__`), then the elements. `save_file` writes a flat dict; `save` any nesting of dicts, lists
and tuples, whose skeleton goes into the metadata as JSON.
"""

import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, FileError, describe
from chainrule.tensor import Tensor

__all__ = ["load", "load_file", "load_metadata", "save", "save_file"]

StrPath = str | os.PathLike[str]
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64", "I32": "int32", "I16": "int16",
          "I8": "int8",
          "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool"}
SKELETON = "chainrule"  # the metadata entry that holds what `save` saved, below a checksum of it and of the tensors


# ---- writing

def contiguous(name: str, value: Any) -> Any:
    """The array of a tensor in C order: the library writes the bytes in memory as they lie, whatever the strides."""
    array = value.detach().cpu()._data if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"save_file: {name!r} is a {type(value).__name__}; the values are tensors or arrays, save() "
                         "takes others")
    if array.dtype.name not in DTYPES.values():
        raise DtypeError(f"save_file: {name!r} ({describe(array)}) has a dtype that the format cannot hold; convert "
                         "it first")
    return np.asarray(array, order="C")


def save_file(tensors: Mapping[str, Any], path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
    """Write a flat dict of tensors (or NumPy arrays) to a file in the safetensors format.

    `metadata`: texts to go with them, see `load_metadata`. The file appears, or replaces an older one, only when it is
    complete on the disk. Tensors that share memory are each written in full. Raises DtypeError, naming the entry, for
    what is no tensor or text.

    >>> import chainrule as cr, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> cr.save_file({"weight": cr.tensor([1.0, 2.0])}, path, {"epoch": "3"})
    >>> cr.load_file(path)
    {'weight': tensor([1., 2.])}
    """
    if not isinstance(tensors, Mapping):
        raise DtypeError(f"save_file: takes a dict of tensors, got {type(tensors).__name__}; save() takes nested "
                         "structures")
    for kind, texts in (("name", tensors), ("metadata key", metadata or {})):
        for key in texts:
            if not isinstance(key, str) or (kind == "name" and key == "__metadata__"):
                raise DtypeError(f"save_file: {key!r} cannot be a {kind}; use another text")
    for key, value in (metadata or {}).items():
        if not isinstance(value, str):
            raise DtypeError(f"save_file: metadata {key!r} is {describe(value)}; metadata are texts, use str() or "
                             "json.dumps()")
    arrays = {name: contiguous(name, value) for name, value in tensors.items()}
    _replace(path, arrays, dict(metadata) if metadata else None)


def _replace(path: StrPath, arrays: dict[str, Any], metadata: dict[str, str] | None) -> None:
    """Write beside the file, force it to the disk, then rename: a crash at any time leaves the old file or the new."""
    from safetensors.numpy import save_file as write

    target = Path(os.path.realpath(path))  # through symbolic links, which stay
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: the folder {str(target.parent)!r} does not exist; create it first")
    if target.is_dir():
        raise IsADirectoryError(f"save: {str(path)!r} is a folder; name a file in it")
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = (target if target.exists() else temporary).stat().st_mode & 0o777
        write(arrays, temporary, metadata)  # may put a file of its own, readable by nobody else, in this one's place
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the rename too must reach the disk
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# ---- reading

def read_header(path: StrPath) -> dict[str, Any]:
    """A file's header, checked against its length. FileError, naming the file and what is wrong, for a damaged one."""
    def damaged(why: str) -> FileError:
        return FileError(f"{os.fspath(path)}: {why}")

    size = os.path.getsize(path)
    with open(path, "rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise damaged(f"not a safetensors file: it has {size} bytes, the length of the header alone takes 8")
        length = int.from_bytes(first, "little")
        if length > 100_000_000 or 8 + length > size:
            raise damaged(f"truncated, or not a safetensors file: a header of {length} bytes is announced, the file "
                          f"has {size}")
        text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
        spans = sorted((*entry["data_offsets"], name) for name, entry in header.items())
        shapes = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
        assert all(isinstance(v, str) for v in metadata.values())
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError):
        raise damaged("damaged, or not a safetensors file: its header cannot be read") from None
    end = spans[-1][1] if spans else 0
    if size < 8 + length + end:
        raise damaged(f"truncated: it has {size} bytes of {8 + length + end}, the end of {spans[-1][2]!r} is missing")
    if size > 8 + length + end:
        raise damaged(f"damaged: {size - 8 - length - end} bytes follow the last tensor")
    return {"metadata": metadata, "tensors": shapes}


def load_file(path: StrPath) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name; they require no gradients.

    Raises FileError, naming the file and what is wrong with it, where it is damaged or truncated; DtypeError for
    elements that tensors here cannot have, such as bfloat16; FileNotFoundError where there is none.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as read

    for name, (dtype, shape) in read_header(path)["tensors"].items():
        if dtype not in DTYPES:
            raise DtypeError(f"{os.fspath(path)}: {name!r} {shape} has elements of type {dtype}, which there are none "
                             "of here; "
                             "convert it to F32 with the program that wrote it")
    try:
        arrays = read(path)
    except SafetensorError as error:
        raise FileError(f"{os.fspath(path)}: damaged: {error}") from None
    return {name: Tensor(a if a.flags.writeable else a.copy()) for name, a in arrays.items()}


def load_metadata(path: StrPath) -> dict[str, str]:
    """The texts that were saved with the tensors of a safetensors file. Errors as `load_file`.

    >>> import chainrule as cr, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> cr.save_file({}, path, {"epoch": "3"})
    >>> cr.serialization.load_metadata(path)
    {'epoch': '3'}
    """
    metadata: dict[str, str] = read_header(path)["metadata"]
    return metadata


# ---- nested structures

class _Skeleton:
    """Takes a structure apart into tensors and JSON.

    Scalars and texts stand for themselves; every container is a JSON object with one entry that says which: {"dict":
    [[key, value], …]} (keys may be numbers), {"list": […]}, {"tuple": […]}, {"tensor": name}, {"float": "nan"}.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}
        self.names: dict[int, str] = {}  # by identity: a tensor that occurs twice is saved once
        self.open: list[int] = []  # the containers we are in

    def take(self, value: Any, path: tuple[Any, ...]) -> Any:
        """The JSON that stands for a value."""
        if isinstance(value, Tensor | np.ndarray):
            return {"tensor": self.tensor(value, path)}
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | str):
            return str(value) if isinstance(value, str) else value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if id(value) in self.open:
            raise DtypeError(f"save: {_where(path)} contains itself")
        if not (isinstance(value, dict) or type(value) in (list, tuple)):
            raise DtypeError(f"save: {_where(path)} is a {type(value).__name__} ({value!r:.60}); only dicts, lists, "
                             "tuples, tensors, "
                             "texts, numbers, bools and None are saved")
        self.open.append(id(value))
        found: dict[str, Any]
        if isinstance(value, dict):
            found = {"dict": [[self.key(k, path), self.take(v, (*path, k))] for k, v in value.items()]}
        else:
            found = {type(value).__name__: [self.take(v, (*path, i)) for i, v in enumerate(value)]}
        self.open.pop()
        return found

    def key(self, key: Any, path: tuple[Any, ...]) -> Any:
        """A dict's key, which JSON can hold as it is."""
        if isinstance(key, str | int) or key is None:
            return key
        raise DtypeError(f"save: {_where(path)} has the key {key!r:.60}; keys are texts or integers")

    def tensor(self, value: Any, path: tuple[Any, ...]) -> str:
        """The name under which a tensor is saved: its path, made unique."""
        if id(value) not in self.names:
            array = value.detach().cpu()._data if isinstance(value, Tensor) else value
            if array.dtype.name not in DTYPES.values():
                raise DtypeError(f"save: {_where(path)} ({describe(array)}) has a dtype that the format cannot hold; "
                                 "convert it first")
            name = plain = ".".join(map(str, path)) or "tensor"
            count = 1
            while name in self.tensors or name == "__metadata__":
                count += 1
                name = f"{plain}#{count}"
            self.tensors[name], self.names[id(value)] = np.asarray(array, order="C"), name
        return self.names[id(value)]


def _where(path: tuple[Any, ...]) -> str:
    """A place in a structure as one would write it: ['state'][0]."""
    return "the object itself" if not path else "".join(f"[{k!r}]" for k in path)


def _assemble(skeleton: Any, tensors: dict[str, Tensor]) -> Any:
    """The structure again, of what `_Skeleton.take` made."""
    if not isinstance(skeleton, dict):
        return skeleton
    (kind, content), = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {key: _assemble(value, tensors) for key, value in content}
    parts = [_assemble(value, tensors) for value in content]
    return {"list": list, "tuple": tuple}[kind](parts)


def checksum(skeleton: Any, arrays: Mapping[str, Any]) -> int:
    """The CRC-32 of a structure: of its JSON, and of each array's name, dtype, shape and bytes in C order."""
    found = zlib.crc32(json.dumps(skeleton).encode())
    for name, array in sorted(arrays.items()):
        found = zlib.crc32(json.dumps([name, array.dtype.name, array.shape]).encode(), found)
        little = np.asarray(array, array.dtype.newbyteorder("<"))
        found = zlib.crc32(little.reshape(-1).data, found)
    return found


def save(obj: Any, path: StrPath) -> None:
    """Write nested dicts, lists and tuples of tensors, texts, numbers, bools and None to a file; `load` gives them
    back.

    For optimizers' and training states. The file is in the safetensors format, tensors under their paths
    ("model.weight"); a tensor that occurs twice is saved once. NumPy scalars become Python numbers, arrays become
    tensors. Written as by `save_file`, with a checksum that `load` looks at. Raises DtypeError, naming the place, for
    anything else.

    >>> import chainrule as cr, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> cr.save({"step": 3, "moments": [cr.tensor([1.0])], "betas": (0.9, 0.999)}, path)
    >>> cr.load(path)
    {'step': 3, 'moments': [tensor([1.])], 'betas': (0.9, 0.999)}
    """
    parts = _Skeleton()
    skeleton = parts.take(obj, ())
    checked = {"crc32": [checksum(skeleton, parts.tensors), skeleton]}
    _replace(path, parts.tensors, {SKELETON: json.dumps(checked)})


def load(path: StrPath) -> Any:
    """What `save` wrote to the file. FileError where it is damaged or `save` did not write it; see `load_file`."""
    metadata = load_metadata(path)
    if SKELETON not in metadata:
        raise FileError(f"{os.fspath(path)}: was not written by save(); read its tensors with load_file()")
    tensors = load_file(path)
    try:
        expected, skeleton = json.loads(metadata[SKELETON])["crc32"]
        intact = checksum(skeleton, {name: t._data for name, t in tensors.items()}) == expected
        found = _assemble(skeleton, tensors)
    except (ValueError, TypeError, KeyError):
        raise FileError(f"{os.fspath(path)}: damaged: what it says about its structure cannot be read") from None
    if not intact:
        raise FileError(f"{os.fspath(path)}: damaged: by their checksum its contents are not what was saved")
    return found
