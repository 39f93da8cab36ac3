"""Logs: the course of a run in a table (CSV), and in TensorBoard's event files."""

import csv
import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from chainrule.optim.training.callbacks import Callback

__all__ = ["CSVLog", "EventWriter", "TensorBoardLog"]


class CSVLog(Callback):
    """Writes the history to a CSV file after each epoch: a line of names, then one line for each epoch.

    The file is written anew each time, so after a crash it has the same lines as if there had been none.

    >>> CSVLog("out/log.csv").path.name
    'log.csv'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch(self, run: Any) -> None:
        """Write the table."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(self.path.name + ".tmp")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *run.history])
            writer.writerows([epoch, *values] for epoch, values in enumerate(zip(*run.history.values(), strict=True), 1))
        temporary.replace(self.path)


# ---- TensorBoard's files
#
# An event file is a sequence of records, each: its length (8 bytes), a checksum of the length, the bytes, a checksum of
# them; all little-endian. The bytes are a protobuf message `Event`:
#
#     Event:   1 wall_time (double)   2 step (int64)   3 file_version (string)   5 summary   7 session_log
#     Summary: 1 value (repeated)     Value: 1 tag (string), 2 simple_value (float)     SessionLog: 1 status (START = 1)
#
# In a protobuf message a field is its number · 8 + wire type (0: varint, 1: eight bytes, 2: length and bytes, 5: four
# bytes), then its content.

@cache
def crc_table() -> tuple[int, ...]:
    """CRC-32C of each byte: division by the Castagnoli polynomial, bits reflected."""
    def remainder(byte: int) -> int:
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        return byte

    return tuple(map(remainder, range(256)))


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    """The checksum as records have it: rotated by 15 bits and shifted, so that a checksum of checksums is none of theirs."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """A record around these bytes."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value: int) -> bytes:
    """A number, seven bits a byte, the least first; a byte's highest bit says that more follow. Negative ones as 64 bits.

    >>> varint(300).hex()
    'ac02'
    """
    value &= 0xFFFFFFFFFFFFFFFF
    found = []
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, value: bytes | int | float, single: bool = False) -> bytes:
    """A field of a message: bytes by their length, an int as a varint, a float as a double, or in four bytes if `single`."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | (5 if single else 1)) + struct.pack("<f" if single else "<d", value)


class EventWriter:
    """Writes numbers to a new event file in `folder`, which is made; `tensorboard --logdir` shows the folder.

    Closes with `close`, or as a context manager.

    >>> import tempfile
    >>> with EventWriter(tempfile.mkdtemp()) as writer:
    ...     writer.write(1, {"loss": 0.5})
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        now = time.time()
        host = socket.gethostname().replace("/", "_") or "host"
        # The reader takes files in the order of their names: seconds, then the same length of nanoseconds, are in order.
        self.path = Path(folder) / f"events.out.tfevents.{now:.0f}.{host}.{os.getpid()}.{time.time_ns()}"
        self.file: BinaryIO = open(self.path, "xb")
        self._event(0, field(3, b"brain.Event:2"))

    def _event(self, step: int, content: bytes) -> None:
        self.file.write(record(field(1, time.time()) + field(2, step) + content))
        self.file.flush()

    def begin_at(self, step: int) -> None:
        """Say that this run goes on from a checkpoint: numbers of earlier files from this step on no longer count."""
        self._event(step, field(7, field(1, 1)))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers, by name, as those of a step."""
        value = b"".join(field(1, field(1, name.encode()) + field(2, float(number), single=True))
                         for name, number in values.items())
        self._event(step, field(5, value))

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class TensorBoardLog(Callback):
    """Writes event files for TensorBoard: after each epoch its values as "epoch/loss" …, after each `every` steps the
    loss and the learning rate as "step/loss" and "step/lr"; all over the number of steps.

    No TensorFlow is needed; to look at them, `pip install tensorboard`, then `tensorboard --logdir FOLDER`.

    >>> TensorBoardLog("out/run", every=50).every
    50
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"TensorBoardLog: every={every} must be at least 1")
        self.folder, self.every = Path(folder), every
        self.writer: EventWriter | None = None

    def on_start(self, run: Any) -> None:
        """Begin a file."""
        self.writer = EventWriter(self.folder)
        if run.resumed:
            self.writer.begin_at(run.step + 1)

    def on_step(self, run: Any) -> None:
        """Write the step's loss."""
        if self.writer is not None and run.step % self.every == 0:
            self.writer.write(run.step, {"step/loss": run.loss, "step/lr": run.optimizer.param_groups[0]["lr"]})

    def on_epoch(self, run: Any) -> None:
        """Write the epoch's values."""
        if self.writer is not None:
            self.writer.write(run.step, {f"epoch/{name}": value for name, value in run.record.items()})

    def on_end(self, run: Any) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None
