"""Linear layers, and those that change nothing but the shape."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("Linear", 3, 2, inputs=[normal(4, 3)]),
    layer("Linear", 3, 2, bias=False, inputs=[normal(2, 4, 3)], label="no-bias"),
    layer("Bilinear", 2, 3, 4, inputs=[normal(5, 2), normal(5, 3)]),
    layer("Bilinear", 3, 2, 2, bias=False, inputs=[normal(2, 2, 3), normal(2, 2, 2)], label="no-bias"),
    layer("Identity", 5, inputs=[normal(2, 3)]),
    layer("Flatten", inputs=[normal(2, 3, 4)]),
    layer("Flatten", 0, 1, inputs=[normal(2, 3, 4)], label="dims"),
    layer("Unflatten", 1, (2, 3), inputs=[normal(2, 6, 2)]),
    layer("Unflatten", -1, (-1, 2), inputs=[normal(2, 6)], label="rest"),
]
