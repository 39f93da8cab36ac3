"""Readers of files that data comes in: IDX (MNIST), CIFAR's binary form, CSV, plain text. What does not fit is an error
that names the file and the place in it."""

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.dtypes import get_default_dtype
from chainrule.errors import DtypeError, FileError
from chainrule.tensor import Tensor

__all__ = ["read_cifar", "read_csv", "read_idx", "read_text"]

StrPath = str | os.PathLike[str]
# The third byte of an IDX file: the type of its elements, which are stored with the high byte first.
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# The bytes before each image of CIFAR's files: what they are, and how many classes there are of it.
CIFAR_LABELS = {10: (("label", 10),), 100: (("coarse label", 20), ("label", 100))}
CIFAR_PIXELS = 3 * 32 * 32


def read_bytes(path: StrPath) -> bytes:
    """All bytes of a file, uncompressed where it is a gzip file, whatever its name. FileError where that is damaged."""
    content = Path(path).read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{os.fspath(path)}: truncated or damaged: it cannot be uncompressed ({error})") from None


def read_idx(path: StrPath) -> Tensor:
    """The array in an IDX file, the format of MNIST, compressed by gzip or not.

    The file is two zero bytes, the type of the elements, the number of axes, the length of each (32 bits), and the
    elements, high bytes first. -> a tensor of that shape and type: MNIST's images are uint8 (N, 28, 28), its labels
    uint8 (N).

    Raises FileError, naming the file and what is wrong, where it is of another format, truncated, or too long.
    """
    content, name = read_bytes(path), os.fspath(path)
    kind = content[2] if len(content) > 3 else None
    if content[:2] != b"\0\0" or kind not in IDX_TYPES:
        raise FileError(f"{name}: not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, not with 00 00, the "
                        "type of the elements (08, 09, 0b to 0e) and the number of axes")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise FileError(f"{name}: truncated: {axes} axes are announced, the file ends after {len(content)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, 4))
    dtype = np.dtype(IDX_TYPES[kind])
    expected = dtype.itemsize
    for length in shape:  # of Python's integers, which do not overflow
        expected *= length
    if len(content) - start != expected:
        wrong = "truncated" if len(content) - start < expected else "damaged"
        raise FileError(f"{name}: {wrong}: {expected} bytes of elements are announced ({dtype.name}{shape}), the file has "
                        f"{len(content) - start}")
    return Tensor(np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("=")))


def read_cifar(path: StrPath, classes: int = 10) -> tuple[Tensor, ...]:
    """The images and labels of a file of CIFAR-10's or CIFAR-100's binary version, compressed by gzip or not.

    Each record is a label (for `classes=100` two: of the 20 coarse classes, and of the 100) and 3072 bytes, the red,
    green and blue planes. -> images uint8 (N, 3, 32, 32), labels int64 (N), and, of CIFAR-100, coarse labels int64 (N).

    Raises FileError where the file does not consist of whole records or a label is out of range, ValueError for another
    number of classes.
    """
    return cifar_records(read_bytes(path), classes, os.fspath(path))


def cifar_records(content: bytes, classes: int, name: str) -> tuple[Tensor, ...]:
    """What the bytes of a CIFAR file hold, see `read_cifar`; `name` is the file's in messages."""
    if classes not in CIFAR_LABELS:
        raise ValueError(f"read_cifar: classes={classes!r}: there are CIFAR-10 and CIFAR-100")
    kinds = CIFAR_LABELS[classes]
    size = len(kinds) + CIFAR_PIXELS
    if not content or len(content) % size:
        raise FileError(f"{name}: truncated, or no file of CIFAR-{classes}: {len(content)} bytes are not a number of records "
                        f"of {size} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = []
    for column, (kind, count) in enumerate(kinds):
        found = records[:, column].astype(np.int64)
        if found.max() >= count:
            where = int(np.argmax(found >= count))
            raise FileError(f"{name}: damaged, or no file of CIFAR-{classes}: record {where} has the {kind} {found[where]}, "
                            f"there are 0 to {count - 1}")
        labels.append(Tensor(found))
    return Tensor(records[:, len(kinds):].reshape(-1, 3, 32, 32).copy()), *reversed(labels)


def read_text(path: StrPath, encoding: str = "utf-8") -> str:
    """The text in a file, compressed by gzip or not; line ends become "\\n", a byte order mark is left out.

    Raises FileError, naming the line, where the bytes are not of this encoding.
    """
    content = read_bytes(path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"{os.fspath(path)}, line {line}: not {encoding}: byte {content[error.start]:#04x} ({error.reason}); "
                        "pass the encoding, for example encoding='latin-1'") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


# ---- CSV

def rows_of(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of the line on which it ends."""
    import csv

    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise FileError(f"{name}, line {reader.line_num}: {error}") from None


def read_csv(path: StrPath, columns: Sequence[Any] | None = None, *, header: bool = True, delimiter: str = ",",
             dtypes: Mapping[Any, Any] | None = None, missing: Sequence[str] = ("", "NA", "N/A", "NaN", "nan", "?"),
             fill: Any = None, encoding: str = "utf-8") -> dict[Any, Any]:
    """The columns of a CSV file, compressed by gzip or not, by name: tensors (N) of numbers, lists of texts.

    `header`: the first row has the names; without one they are 0, 1, 2, …. `columns`: which, and in which order, all
    when None. `dtypes`: a dtype for a column, or `str`; a column without one is int64 where every cell is an integer,
    the default float dtype where every cell is a number, else texts. `missing`: the cells that count as missing;
    `fill`: what stands in their place, a value or a dict of one for each column.

    Raises FileError, naming the line and the column, for a row of another length, a cell that is no number where there
    must be one, and a missing cell without a `fill`; KeyError for a column that there is not.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("length,petals,name\\n1.5,5,rose\\n,4,poppy\\n")
    >>> read_csv(path, ["petals", "length", "name"], fill={"length": 0.0})
    {'petals': tensor([5, 4]), 'length': tensor([1.5, 0. ]), 'name': ['rose', 'poppy']}
    """
    name = os.fspath(path)
    rows = rows_of(read_text(path, encoding), delimiter, name)
    first = next(rows, None)
    if first is None:
        raise FileError(f"{name}: there is no row in it")
    names: list[Any] = first[1] if header else list(range(len(first[1])))
    if len(set(names)) < len(names):
        raise FileError(f"{name}, line {first[0]}: two columns have the same name in {names}; pass header=False where this "
                        "is no header")
    wanted = names if columns is None else list(columns)
    for column in [*wanted, *(dtypes or ()), *(fill if isinstance(fill, Mapping) else ())]:
        if column not in names:
            raise KeyError(f"{name}: there is no column {column!r}, there are {', '.join(map(repr, names))}")
    lines: list[int] = []
    table: list[list[str]] = []
    for line, row in rows if header else [first, *rows]:
        if len(row) != len(names):
            raise FileError(f"{name}, line {line}: {len(row)} cells, line {first[0]} has {len(names)}; is the delimiter "
                            f"{delimiter!r}?")
        lines.append(line)
        table.append(row)
    found = {}
    for column in wanted:
        at = names.index(column)
        cells = Column(name, column, [row[at] for row in table], lines)
        value = fill.get(column) if isinstance(fill, Mapping) else fill
        found[column] = cells.read((dtypes or {}).get(column), set(missing), value)
    return found


class Column:
    """The cells of one column, as texts, and where they stand."""

    def __init__(self, file: str, name: Any, cells: list[str], lines: list[int]) -> None:
        self.file, self.name, self.cells, self.lines = file, name, cells, lines

    def problem(self, row: int, what: str) -> FileError:
        """The error for a cell."""
        return FileError(f"{self.file}, line {self.lines[row]}, column {self.name!r}: {what}")

    def read(self, dtype: Any, missing: set[str], fill: Any) -> Any:
        """The column as a tensor of numbers or a list of texts."""
        gaps = [row for row, cell in enumerate(self.cells) if cell in missing]
        if dtype is str:
            return self.texts(gaps, fill)
        if dtype is None:
            dtype = self.guess(set(gaps), fill)
            if dtype is str:
                return self.texts(gaps, fill)
        if gaps and fill is None:
            raise self.problem(gaps[0], f"the value is missing ({self.cells[gaps[0]]!r}); pass fill, for example fill=0.0, "
                               "or leave the column out by columns=")
        dtype = np.dtype(dtype)
        if dtype.kind not in "iufb":
            raise DtypeError(f"read_csv: dtypes[{self.name!r}]={dtype}: columns are of numbers, of bools, or str")
        values = np.empty(len(self.cells), dtype)
        absent = set(gaps)
        for row, cell in enumerate(self.cells):
            try:
                values[row] = fill if row in absent else number(cell, dtype.kind)
            except (ValueError, OverflowError):
                raise self.problem(row, f"{fill if row in absent else cell!r} is no {dtype.name}; pass dtypes={{{self.name!r}: "
                                   "str}} for texts") from None
        return Tensor(values)

    def texts(self, gaps: list[int], fill: Any) -> list[Any]:
        """The cells as they are; a text may be empty, unless `fill` says what then stands in its place."""
        found: list[Any] = list(self.cells)
        for row in gaps if fill is not None else ():
            found[row] = fill
        return found

    def guess(self, gaps: set[int], fill: Any) -> Any:
        """The narrowest of int64, the default float dtype, and str that all cells are."""
        present = [cell for row, cell in enumerate(self.cells) if row not in gaps]
        if not present and self.cells:
            return get_default_dtype()  # nothing but missing values
        for dtype in (np.dtype(np.int64), get_default_dtype()):
            if dtype.kind == "i" and gaps and isinstance(fill, float):
                continue  # the fill would not fit
            try:
                for cell in present:
                    number(cell, dtype.kind)
            except ValueError:
                continue
            return dtype
        return str


def number(cell: str, kind: str) -> Any:
    """What a cell means in a column of floats ("f"), bools ("b") or integers. ValueError where it means nothing."""
    if "_" in cell:  # which Python takes, in 1_000
        raise ValueError(cell)
    if kind == "b":
        return ("false", "true", "0", "1").index(cell.lower()) % 2 == 1
    return float(cell) if kind == "f" else int(cell)
