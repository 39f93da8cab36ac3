"""Readers of files: what a tiny writer wrote comes back, and what is wrong with a file is named."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import chainrule as cr
from chainrule.data import CIFAR10, CIFAR100, MNIST, DataLoader, FashionMNIST, read_cifar, read_csv, read_idx, read_text

IDX_KINDS = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array):
    """An array as the bytes of an IDX file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, IDX_KINDS[array.dtype.name], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def cifar(images, *labels):
    """Images and labels as the bytes of a CIFAR file."""
    return np.concatenate([*(np.asarray(each, np.uint8)[:, None] for each in labels), images.reshape(len(images), -1)],
                          axis=1).tobytes()


def written(folder, content, name="file"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- IDX

@given(array=st.sampled_from(sorted(IDX_KINDS)).flatmap(
    lambda kind: nps.arrays(kind, nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))), packed=st.booleans())
def test_idx_comes_back(tmp_path_factory, array, packed):
    path = written(tmp_path_factory.getbasetemp(), gzip.compress(idx(array)) if packed else idx(array), "idx")
    found = read_idx(path)
    assert found.dtype == array.dtype and found.shape == array.shape
    np.testing.assert_array_equal(found.data, array)


def test_idx_files_that_are_wrong(tmp_path):
    good = idx(np.arange(6, dtype=np.int16).reshape(2, 3))
    for content, problem in [
            (good[:-1], r"truncated: 12 bytes of elements are announced \(int16\(2, 3\)\), the file has 11"),
            (good + b"x", "damaged: 12 bytes of elements are announced"),
            (good[:9], "truncated: 2 axes are announced, the file ends after 9 bytes"),
            (b"", "not an IDX file: it begins with nothing"),
            (b"\0\0\x0a\x01" + bytes(8), "not an IDX file: it begins with 00 00 0a 01"),
            (b"hello", "not an IDX file: it begins with 68 65 6c 6c"),
            (gzip.compress(good)[:-4], "truncated or damaged: it cannot be uncompressed"),
            (gzip.compress(good)[:12] + bytes(30), "truncated or damaged: it cannot be uncompressed"),
            (b"\0\0\x08\x03" + b"\xff" * 12, "truncated")]:  # a size beyond 64 bits
        path = written(tmp_path, content)
        with pytest.raises(cr.errors.FileError, match=problem) as caught:
            read_idx(path)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


# ---- CIFAR

def test_cifar_comes_back(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    found = read_cifar(written(tmp_path, cifar(images, [0, 9, 3, 3])))
    assert [t.dtype for t in found] == [cr.uint8, cr.int64] and found[1].tolist() == [0, 9, 3, 3]
    np.testing.assert_array_equal(found[0].data, images)
    found = read_cifar(written(tmp_path, gzip.compress(cifar(images, [19, 1, 2, 3], [99, 5, 6, 7]))), classes=100)
    assert found[1].tolist() == [99, 5, 6, 7] and found[2].tolist() == [19, 1, 2, 3]
    np.testing.assert_array_equal(found[0].data, images)


def test_cifar_files_that_are_wrong(tmp_path):
    images = np.zeros((2, 3, 32, 32), np.uint8)
    for content, classes, problem in [
            (cifar(images, [1, 2])[:-1], 10, "truncated, or no file of CIFAR-10: 6145 bytes"), (b"", 10, "0 bytes"),
            (cifar(images, [1, 10]), 10, "record 1 has the label 10, there are 0 to 9"),
            (cifar(images, [20, 1], [1, 1]), 100, "record 0 has the coarse label 20"),
            (cifar(images, [1, 2]), 100, "no file of CIFAR-100")]:
        with pytest.raises(cr.errors.FileError, match=problem):
            read_cifar(written(tmp_path, content), classes)
    with pytest.raises(ValueError, match="there are CIFAR-10 and CIFAR-100"):
        read_cifar(written(tmp_path, b"x"), 20)


# ---- CSV and text

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).filter(
    lambda c: c == c.strip() and c not in ("", "NA", "N/A", "NaN", "nan", "?"))


@given(st.lists(st.tuples(st.integers(-2**63, 2**63 - 1), st.floats(width=32), cells), min_size=1), st.booleans())
def test_csv_comes_back(tmp_path_factory, rows, header):
    import csv

    file = io.StringIO()
    writer = csv.writer(file, delimiter=";")
    writer.writerows(([("n", "x", "text")] if header else []) + rows)
    path = written(tmp_path_factory.getbasetemp(), file.getvalue(), "table.csv")
    n, x, text = ("n", "x", "text") if header else (0, 1, 2)
    found = read_csv(path, [text, x, n], header=header, delimiter=";", dtypes={text: str, x: cr.float32},
                     missing=("",))
    assert list(found) == [text, x, n] and found[n].tolist() == [row[0] for row in rows] and found[n].dtype == cr.int64
    np.testing.assert_array_equal(found[x].data, np.array([row[1] for row in rows], np.float32))
    assert found[text] == [row[2] for row in rows]


def test_csv_columns_dtypes_and_missing_values(tmp_path):
    path = written(tmp_path, 'a,b,c,d\n1, 2.5 ,"x, y",true\n\n?,,NA,0\r\n')
    found = read_csv(path, fill={"a": -1, "b": float("nan")}, dtypes={"d": cr.bool})
    assert found["a"].tolist() == [1, -1] and found["a"].dtype == cr.int64
    assert found["b"].dtype == cr.float32 and np.isnan(found["b"].data[1]) and found["c"] == ["x, y", "NA"]
    assert found["d"].tolist() == [True, False] and found["d"].dtype == cr.bool
    assert read_csv(path, ["a"], fill=0.5)["a"].tolist() == [1, 0.5]  # a fill that is no integer
    assert read_csv(path, ["c"], fill="unknown")["c"] == ["x, y", "unknown"]
    assert read_csv(path, ["b"], dtypes={"b": cr.float64}, fill=0)["b"].dtype == cr.float64
    assert read_csv(written(tmp_path, "a\n1_0\nx\u2028y"))["a"] == ["1_0", "x\u2028y"]
    empty = read_csv(written(tmp_path, "a,b\n"))
    assert list(empty) == ["a", "b"] and empty["a"].shape == (0,)
    assert read_csv(written(tmp_path, gzip.compress("a\té\n1\t2".encode("latin-1"))), delimiter="\t", encoding="latin-1") \
        ["é"].tolist() == [2]


@pytest.mark.parametrize(("text", "options", "problem"), [
    ("a,b\n1,2\n3\n", {}, "line 3: 1 cells, line 1 has 2; is the delimiter ','"),
    ("a,b\n1,2\n\n3,\n", {}, "line 4, column 'b': the value is missing \\(''\\); pass fill"),
    ("a,b\n1,2\n?,3\n", {}, "line 3, column 'a': the value is missing \\('\\?'\\)"),
    ("a\n1\nx\n", {"dtypes": {"a": cr.float32}}, "line 3, column 'a': 'x' is no float32"),
    ("a\n1\n1.5\n", {"dtypes": {"a": cr.int64}}, "line 3, column 'a': '1.5' is no int64"),
    ("a\n1\n300\n", {"dtypes": {"a": cr.uint8}}, "line 3, column 'a': '300' is no uint8"),
    ("a\n1_0\n", {"dtypes": {"a": int}}, "'1_0' is no int64"),
    ("a\nyes\n", {"dtypes": {"a": bool}}, "'yes' is no bool"),
    ("a\n\"x\n", {}, "line 2: unexpected end of data"),
    ("a,a\n1,2\n", {}, "two columns have the same name"),
    ("", {}, "there is no row in it"),
])
def test_csv_files_that_are_wrong(tmp_path, text, options, problem):
    with pytest.raises(cr.errors.FileError, match=problem):
        read_csv(written(tmp_path, text), **options)


def test_csv_arguments_that_are_wrong(tmp_path):
    path = written(tmp_path, "a,b\n1,2\n")
    for options in ({"columns": ["c"]}, {"dtypes": {"c": str}}, {"fill": {"c": 0}}, {"columns": [0]}):
        with pytest.raises(KeyError, match="there is no column .*, there are 'a', 'b'"):
            read_csv(path, **options)
    with pytest.raises(cr.DtypeError, match="columns are of numbers, of bools, or str"):
        read_csv(path, dtypes={"a": "complex128"})


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff")), st.booleans())
def test_text_comes_back(tmp_path_factory, text, packed):
    content = text.encode("utf-8-sig" if packed else "utf-8")
    path = written(tmp_path_factory.getbasetemp(), gzip.compress(content) if packed else content, "text")
    assert read_text(path) == text


def test_text_line_ends_and_errors(tmp_path):
    assert read_text(written(tmp_path, "a\r\nb\rc\n")) == "a\nb\nc\n"
    path = written(tmp_path, "a\nb\né".encode("latin-1"))
    assert read_text(path, "latin-1") == "a\nb\né"
    with pytest.raises(cr.errors.FileError, match=r"line 3: not utf-8: byte 0xe9 .*latin-1"):
        read_text(path)


# ---- sets of pictures

def digits_folder(folder, images, labels, part="train", packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", np.asarray(labels, np.uint8))):
        content = idx(array)
        written(folder, gzip.compress(content) if packed else content, f"{part}-{kind}-ubyte{'.gz' * packed}")


@pytest.mark.parametrize("place", ["", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder(tmp_path, place, packed):
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    digits_folder(tmp_path / place, images, [3, 1, 4, 1, 5], packed=packed)
    digits_folder(tmp_path / place, images[:2], [9, 2], "t10k", packed)
    data, test = MNIST(tmp_path), MNIST(tmp_path, train=False)
    assert len(data) == 5 and len(test) == 2 and data.classes[3] == "3" and test[0][1].item() == 9
    image, label = data[2]
    assert image.shape == (1, 28, 28) and image.dtype == cr.float32 and (label.item(), label.dtype) == (4, cr.int64)
    np.testing.assert_array_equal(image.data[0], images[2].astype(np.float32) / 255)
    batch, labels = next(iter(DataLoader(MNIST(tmp_path, transform=lambda x, y: (1 - x, y + 1)), 3)))
    assert batch.shape == (3, 1, 28, 28) and labels.tolist() == [4, 2, 5]
    np.testing.assert_array_equal(batch.data[:, 0], 1 - images[:3].astype(np.float32) / 255)


def test_mnist_that_is_not_there_or_does_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"MNIST: there is no train-images-idx3-ubyte.gz in .*; pass download=True, or "
                       r"fetch https://.*/mnist/train-images-idx3-ubyte.gz and put it there"):
        MNIST(tmp_path)
    images = np.zeros((2, 28, 28), np.uint8)
    digits_folder(tmp_path, images, [1, 2, 3])
    with pytest.raises(cr.errors.FileError, match=r"FashionMNIST: .* do not belong together: images uint8\(2, 28, 28\)"):
        FashionMNIST(tmp_path)
    assert len(FashionMNIST.classes) == 10 and len(CIFAR10.classes) == 10


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_cifar_from_an_archive_and_from_a_folder(tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    files = {f"cifar-10-batches-bin/data_batch_{i}.bin": cifar(images[i: i + 1], [i]) for i in range(1, 6)}
    files["cifar-10-batches-bin/test_batch.bin"] = cifar(images[:1], [7])
    archive(tmp_path / "cifar-10-binary.tar.gz", files)
    data, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    assert [label.item() for _, label in data] == [1, 2, 3, 4, 5] and test[0][1].item() == 7
    np.testing.assert_array_equal(data.tensors[0].data, images[1:])

    folder = tmp_path / "unpacked" / "cifar-100-binary"
    folder.mkdir(parents=True)
    written(folder, cifar(images[:2], [19, 0], [99, 3]), "train.bin")
    hundred = CIFAR100(folder.parent)
    assert [label.item() for _, label in hundred] == [99, 3] and hundred[0][0].shape == (3, 32, 32)
    assert len(set(CIFAR100.classes)) == 100 and list(CIFAR100.classes) == sorted(CIFAR100.classes)


def test_archives_that_are_wrong(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    archive(path, {"cifar-10-batches-bin/test_batch.bin": bytes(5)})
    with pytest.raises(cr.errors.FileError, match="truncated or damaged, or not what its name says: .*data_batch_1.bin"):
        CIFAR10(tmp_path)
    with pytest.raises(cr.errors.FileError, match="test_batch.bin: truncated, or no file of CIFAR-10: 5 bytes"):
        CIFAR10(tmp_path, train=False)
    archive(path, {"cifar-10-batches-bin/test_batch.bin": np.random.default_rng(0).bytes(30_000)})
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(cr.errors.FileError, match="truncated or damaged"):
        CIFAR10(tmp_path, train=False)
    path.write_bytes(b"no archive")
    with pytest.raises(cr.errors.FileError, match="truncated or damaged"):
        CIFAR10(tmp_path, train=False)
