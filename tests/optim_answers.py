"""torch's trajectories for the tables of optimizers and schedules, committed so that torch is not needed to compare.

`python -m tests.optim_answers` makes the file anew; it needs the `peers` extra.
"""

import contextlib
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.optim_samples import OPTIMIZERS, SCHEDULES, OptimSample, Problem, Schedule, digest

ANSWERS = Path(__file__).with_name("optim_answers.npz")


@cache
def _load() -> dict[str, np.ndarray]:
    with np.load(ANSWERS) as file:
        return dict(file)


def read(sample: Any) -> tuple[str, Any]:
    """The digest and the trajectory stored for a row."""
    stored = _load()
    digests = dict(line.split() for line in stored["digests"])
    return digests.get(str(sample), "nothing"), stored.get(str(sample))


@contextlib.contextmanager
def torch_in_float64() -> Iterator[Any]:
    """torch, keeping scalars of its states in float64, and without Muon's rounding to bfloat16."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            yield torch
    finally:
        torch.set_default_dtype(before)


def torchs(sample: Any) -> Any:
    """What torch makes of a row."""
    with torch_in_float64() as torch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(sample, OptimSample):
            return Problem(sample, torch).trajectory()
        return Schedule(sample, torch).follow(sample.steps)


def main() -> None:
    """Ask torch for every row and write the file."""
    arrays: dict[str, Any] = {}
    for sample in [*OPTIMIZERS, *SCHEDULES]:
        arrays[str(sample)] = torchs(sample)
    arrays["digests"] = np.array([f"{sample} {digest(sample)}" for sample in [*OPTIMIZERS, *SCHEDULES]])
    np.savez_compressed(ANSWERS, **arrays)
    print(f"{len(arrays) - 1} rows, {ANSWERS.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
