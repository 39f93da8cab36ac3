"""Checkpoints: a training run on the disk, from which it goes on to the same bits after a crash."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainrule.errors import DtypeError, FileError, describe
from chainrule.serialization import load, save

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints of one training run, in a folder of their own: "step-000000120.safetensors".

    One is written at the end of each epoch, and after each `every` steps where given; the latest `keep` stay. With
    `best=True` that of the best epoch so far, by the value that `fit` monitors, is "best.safetensors". `also`: further
    objects with a `state_dict`, by name, that belong to the run, such as an average of the weights.

    Each holds the model, the optimizer, the scheduler, the state of the default generator and of the loader, the history
    and the callbacks' state; `chainrule.load(path)["model"]` are the weights. A file appears when it is complete on the
    disk, and one that was damaged later is noticed by its checksum: it gets the ending ".damaged", and a warning says
    that the one before it is taken.

    >>> import tempfile
    >>> Checkpoints(tempfile.mkdtemp(), every=100, keep=3).files()
    []
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int | None = None, keep: int = 2, best: bool = False,
                 also: Mapping[str, Any] | None = None) -> None:
        if keep < 1 or (every is not None and every < 1):
            raise ValueError(f"Checkpoints: keep={keep} and every={every} must be at least 1")
        for name, value in (also or {}).items():
            if not hasattr(value, "state_dict") or not hasattr(value, "load_state_dict"):
                raise TypeError(f"Checkpoints: also={{{name!r}: {describe(value)}}} has no state_dict and load_state_dict")
        self.folder, self.every, self.keep, self.best, self.also = Path(folder), every, keep, best, dict(also or {})

    @property
    def best_file(self) -> Path:
        """Where the checkpoint of the best epoch is."""
        return self.folder / "best.safetensors"

    def files(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def begin(self) -> None:
        """Make the folder; FileExistsError where it has checkpoints of another run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if found := self.files():
            raise FileExistsError(f"fit: {str(self.folder)!r} has checkpoints already, the latest {found[-1].name}; pass "
                                  "resume=True to go on from it, or name another folder")

    def latest(self) -> tuple[Path, dict[str, Any]] | None:
        """(file, state) of the latest checkpoint that is whole, or None where there is none at all; FileError where all
        are damaged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for pattern in (".*.safetensors.*.tmp", ".tmp??????"):  # save's, and within it the safetensors library's
            for leftover in self.folder.glob(pattern):  # of a process that was killed while it wrote
                leftover.unlink()
        for path in reversed(self.files()):
            try:
                return path, load(path)
            except (FileError, DtypeError) as error:
                path.rename(path.with_suffix(".damaged"))
                warnings.warn(f"{error}; the checkpoint before it is taken", stacklevel=2)
        if damaged := [path.name for path in self.folder.glob("*.damaged")]:
            raise FileError(f"fit: all checkpoints in {str(self.folder)!r} are damaged: {', '.join(damaged)}; to begin anew "
                            "delete them")
        return None

    def is_due(self, step: int) -> bool:
        """Whether it is time to save in the middle of an epoch."""
        return self.every is not None and step % self.every == 0

    def save(self, state: dict[str, Any], step: int, best: bool = False) -> Path:
        """Write a checkpoint, then delete those that are older than the latest `keep`; returns the file."""
        path = self.folder / f"step-{step:09d}.safetensors"
        if best and self.best:
            save(state, self.best_file)  # first: if the next line is not reached, the epoch's end comes again
        save(state, path)
        for old in self.files()[: -self.keep]:
            old.unlink()
        return path
