"""Linear layers, and those that change nothing but the shape."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("Linear", 3, 2, inputs=[normal(4, 3)]),
    layer("Linear", 3, 2, bias=False, inputs=[normal(2, 4, 3)], label="no-bias"),
    layer("Identity", 5, inputs=[normal(2, 3)]),
    layer("Flatten", inputs=[normal(2, 3, 4)]),
    layer("Flatten", 0, 1, inputs=[normal(2, 3, 4)], label="dims"),
]
