"""torch's answers for the table of layers, a file per family, committed so that agreement is tested where torch is not installed.

`python -m tests.layer_answers [family …]` makes them anew.
"""

from functools import cache
from pathlib import Path

import numpy as np


def path(family: str) -> Path:
    """Where a family's answers are."""
    return Path(__file__).with_name(f"{family}.npz")


@cache
def _load(family: str) -> dict[str, np.ndarray]:
    with np.load(path(family)) as file:
        return dict(file)


def read(family: str, row: int, part: str) -> dict[str, np.ndarray]:
    """The arrays stored for a row under "outputs", "inputs", "parameters", "state" or "first", by name."""
    start = f"{row}/{part}/"
    return {key.removeprefix(start): a for key, a in _load(family).items() if key.startswith(start)}


def stored_digest(family: str, row: int) -> str:
    """The fingerprint of the row that was asked for."""
    return str(_load(family).get(f"{row}/digest", "nothing"))
