"""torch's answers for the sample table, committed so that agreement is tested where torch is not installed.

`python -m tests.torch_answers` makes the file anew; it needs the `peers` extra.
"""

import hashlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.properties import map_arrays
from tests.samples.table import Sample

ANSWERS = Path(__file__).with_name("torch_answers.npz")


def keys(samples: list[Sample]) -> dict[int, str]:
    """A name for each sample (by identity): its own, numbered where several share it."""
    seen: dict[str, int] = {}
    found = {}
    for s in samples:
        n = seen[str(s)] = seen.get(str(s), 0) + 1
        found[id(s)] = str(s) if n == 1 else f"{s}-{n}"
    return found


def digest(sample: Sample) -> str:
    """A fingerprint of a sample's inputs: answers of other inputs are stale."""
    parts: list[bytes] = []

    def note(a: np.ndarray) -> None:
        parts.append(np.round(a.astype(np.float64), 9).tobytes() + str(a.shape).encode())

    rest = map_arrays((sample.args, sample.kwargs), note)
    return hashlib.sha256(repr((sample.name, rest)).encode() + b"".join(parts)).hexdigest()[:16]


@cache
def _load() -> dict[str, np.ndarray]:
    with np.load(ANSWERS) as file:
        return dict(file)


def read(key: str) -> tuple[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """The digest and the answers stored for a sample."""
    stored = _load()
    if f"{key}/digest" not in stored:
        return "nothing", ([], [])
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for kind, listed in zip(("output", "gradient"), parts, strict=True):
        while f"{key}/{kind}{len(listed)}" in stored:
            listed.append(stored[f"{key}/{kind}{len(listed)}"])
    return str(stored[f"{key}/digest"]), parts


def main() -> None:
    """Ask torch for every sample and write the file."""
    from tests.properties import torch_answers
    from tests.samples import SAMPLES

    arrays: dict[str, Any] = {}
    failed = []
    names = keys(SAMPLES)
    for sample in SAMPLES:
        if sample.torch is None:
            continue
        key = names[id(sample)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers = torch_answers(sample)
        except Exception as problem:
            failed.append(f"{key}: {problem}")
            continue
        assert answers is not None
        arrays[f"{key}/digest"] = np.array(digest(sample))
        for kind, listed in zip(("output", "gradient"), answers, strict=True):
            for i, a in enumerate(listed):
                arrays[f"{key}/{kind}{i}"] = a
    np.savez_compressed(ANSWERS, **arrays)
    print(f"{len(names) - len(failed)} samples, {ANSWERS.stat().st_size // 1024} KiB")
    for line in failed:
        print("FAILED", line)


if __name__ == "__main__":
    main()
