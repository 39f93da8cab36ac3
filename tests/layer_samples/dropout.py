"""Dropout: compared in evaluation mode, where nothing is drawn; in training mode by differences, with the same draw."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("Dropout", 0.3, train=False, inputs=[normal(2, 3)]),
    layer("Dropout", 0.3, torch=None, inputs=[normal(20, 3)], label="training"),
]
