"""Convolutions."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("Conv2d", 2, 4, 3, inputs=[normal(2, 2, 5, 5)]),
    layer("Conv2d", 2, 4, (2, 3), stride=2, padding=(1, 2), dilation=(1, 2), groups=2, bias=False, inputs=[normal(2, 2, 5, 6)],
          label="options"),
]
