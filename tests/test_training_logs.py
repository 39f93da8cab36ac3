"""Logs: the CSV is the history, and the event files are what TensorBoard reads."""

import csv
import math
import struct
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.optim.training import CSVLog, EventWriter, TensorBoardLog, fit
from chainrule.optim.training.logs import crc32c, field, varint

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def train(epochs, callbacks, **options):
    cr.manual_seed(0)
    model = layers.Linear(3, 1)
    return fit(model, DataLoader(TensorDataset(X, X[:, :1]), 4), layers.MSELoss(), optim.SGD(model.parameters(), lr=0.1),
               epochs, callbacks=callbacks, **options)


def test_the_table_is_the_history(tmp_path):
    path = tmp_path / "new" / "log.csv"
    history = train(3, CSVLog(path), validation=[(cr.tensor(X), cr.tensor(X[:, :1]))])
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "lr", "validation_loss"] and [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all([float(row[name]) for row in rows] == values for name, values in history.items())
    assert [p.name for p in path.parent.iterdir()] == ["log.csv"]


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def message(data):
    """The fields of a protobuf message: [(number, value)]."""
    at, found = 0, []
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at: at + size], at + size
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[key & 7]
            value, at = struct.unpack(form, data[at: at + size])[0], at + size
        found.append((key >> 3, value))
    return found


def slow_crc32c(data):
    """By the definition: the remainder of a division of polynomials, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if (crc ^ byte >> bit) & 1 else 0)
    return crc ^ 0xFFFFFFFF


def events(path):
    """The events of a file, every checksum looked at: [dict of fields]."""
    data, found = path.read_bytes(), []
    while data:
        size, = struct.unpack("<Q", data[:8])
        for part, check in ((data[:8], data[8:12]), (data[12: 12 + size], data[12 + size: 16 + size])):
            crc = slow_crc32c(part)
            assert struct.unpack("<I", check)[0] == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
        found.append(dict(message(data[12: 12 + size])))
        data = data[16 + size:]
    return found


def scalars(path):
    """[(step, tag, value)] of an event file."""
    found = []
    for event in events(path):
        for number, value in message(event.get(5, b"")):
            fields = dict(message(value))
            found.append((event[2], fields[1].decode(), fields[2]))
            assert number == 1 and set(fields) == {1, 2}
    return found


@pytest.mark.parametrize("data", [b"", b"a", b"123456789", bytes(32), bytes(range(256)) * 3])
def test_checksums(data):
    assert crc32c(data) == slow_crc32c(data)
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(bytes([255] * 32)) == 0x62A8AB43  # RFC 3720, B.4


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**35 + 5, 2**63, -1])
def test_varints(value):
    assert read_varint(varint(value), 0) == (value % 2**64, len(varint(value)))
    assert message(field(3, value)) == [(3, value % 2**64)]


def test_event_files_hold_the_run(tmp_path):
    history = train(3, TensorBoardLog(tmp_path / "board", every=2))
    path, = (tmp_path / "board").iterdir()
    first, *rest = events(path)
    assert "tfevents" in path.name and first[3] == b"brain.Event:2" and all(event[1] > 1.6e9 for event in rest)
    found = scalars(path)
    for name, values in history.items():
        assert [(step, value) for step, tag, value in found if tag == f"epoch/{name}"] == [
            (3 * epoch, pytest.approx(value, rel=1e-6)) for epoch, value in enumerate(values, 1)]
    assert [step for step, tag, _ in found if tag == "step/loss"] == [2, 4, 6, 8]
    assert {tag for _, tag, _ in found} == {"epoch/loss", "epoch/lr", "step/loss", "step/lr"}
    with pytest.raises(ValueError, match="every=0"):
        TensorBoardLog(tmp_path, every=0)


def test_awkward_numbers_and_names(tmp_path):
    with EventWriter(tmp_path / "a" / "b") as writer:
        writer.write(2**40, {"größe": 1e300 * 1e300, "nan": math.nan, "small": np.float32(0.1), "whole": 3})
    found = scalars(writer.path)
    assert [step for step, _, _ in found] == [2**40] * 4 and writer.file.closed
    values = {tag: value for _, tag, value in found}
    assert values["größe"] == math.inf and math.isnan(values["nan"]) and values["small"] == np.float32(0.1) and values["whole"] == 3


def test_a_resumed_run_says_from_where_on_earlier_numbers_are_void(tmp_path):
    for epochs in (1, 2):
        train(epochs, TensorBoardLog(tmp_path / "board", every=1), checkpoints=tmp_path / "run", resume=True)
    first, second = sorted((tmp_path / "board").iterdir())
    assert [event.get(7) for event in events(first)] == [None] * 5
    marks = [(event[2], dict(message(event[7]))) for event in events(second) if 7 in event]
    assert marks == [(4, {1: 1})]
    assert [step for step, tag, _ in scalars(second) if tag == "step/loss"] == [4, 5, 6]


@pytest.mark.peers
def test_tensorboard_reads_them(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError)
    for epochs in (1, 2):
        history = train(epochs, TensorBoardLog(tmp_path / "board", every=1), checkpoints=tmp_path / "run", resume=True)
    found = accumulator.EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == ["epoch/loss", "epoch/lr", "step/loss", "step/lr"]
    assert [event.value for event in found.Scalars("epoch/loss")] == pytest.approx(history["loss"], rel=1e-6)
    assert [event.step for event in found.Scalars("step/loss")] == [1, 2, 3, 4, 5, 6]
