"""Activations."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("ReLU", inputs=[normal(2, 3)]),
]
