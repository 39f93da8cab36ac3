"""THE table of layers: one module per family, each with its rows in `LAYERS`."""

from importlib import import_module
from pathlib import Path

from tests.layer_samples.table import LayerSample

FAMILIES: dict[str, list[LayerSample]] = {}
for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem not in ("__init__", "table"):
        FAMILIES[_path.stem] = import_module(f"tests.layer_samples.{_path.stem}").LAYERS
LAYERS: list[tuple[str, LayerSample]] = [(family, row) for family, rows in FAMILIES.items() for row in rows]
