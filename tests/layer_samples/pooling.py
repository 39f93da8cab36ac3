"""Pooling."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("MaxPool2d", 2, inputs=[normal(2, 3, 4, 4)]),
]
