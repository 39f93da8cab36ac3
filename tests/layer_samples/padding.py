"""Padding."""

from tests.layer_samples.table import LayerSample, layer
from tests.samples.table import normal

INPUTS = {1: normal(2, 2, 4), 2: normal(1, 2, 3, 4), 3: normal(1, 2, 3, 3, 3)}
UNBATCHED = {1: normal(2, 4), 2: normal(2, 3, 4), 3: normal(1, 3, 3, 3)}


def rows(name: str, *more: float) -> list[LayerSample]:
    """A kind of padding in all ranks: one width for all sides, different widths, and some that cut off."""
    found = []
    for rank in (1, 2, 3):
        widths = (1, 2, 0, 1, 2, 0)[: 2 * rank]
        found += [layer(f"{name}{rank}d", 1, *more, inputs=[INPUTS[rank]]),
                  layer(f"{name}{rank}d", widths, *more, inputs=[UNBATCHED[rank]], label="widths")]
    found.append(layer(f"{name}2d", (-1, 1, 0, -2), *more, inputs=[INPUTS[2]], label="negative"))
    return found


LAYERS = [*rows("ConstantPad", 1.5), *rows("ZeroPad"), *rows("ReflectionPad"), *rows("ReplicationPad"), *rows("CircularPad")]
