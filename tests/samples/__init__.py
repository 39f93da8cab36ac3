"""THE table of example inputs: one module per family of ops, each with its rows in `SAMPLES`."""

from importlib import import_module
from pathlib import Path

from tests.samples.table import Sample

SAMPLES: list[Sample] = []
for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem not in ("__init__", "table"):
        SAMPLES += import_module(f"tests.samples.{_path.stem}").SAMPLES
