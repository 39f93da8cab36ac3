"""Dropout: compared in evaluation mode, where nothing is drawn; in training mode by differences, with the same draw."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

SHAPES = {"Dropout": (20, 3), "Dropout1d": (4, 5, 2), "Dropout2d": (3, 4, 2, 2), "Dropout3d": (2, 4, 1, 2, 2),
          "AlphaDropout": (20, 3), "FeatureAlphaDropout": (4, 5, 2)}

LAYERS = [
    *[layer(name, 0.3, train=False, inputs=[normal(2, *shape[1:])]) for name, shape in SHAPES.items()],
    *[layer(name, 0.3, torch=None, inputs=[normal(*shape)], label="training") for name, shape in SHAPES.items()],
]
