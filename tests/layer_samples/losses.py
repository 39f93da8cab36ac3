"""Losses."""

import numpy as np

from tests.layer_samples.table import layer
from tests.samples.table import normal, uniform

LAYERS = [
    layer("CrossEntropyLoss", inputs=[normal(4, 3), np.array([0, 2, 1, 2])]),
    layer("CrossEntropyLoss", uniform(0.5, 2.0, 3), label_smoothing=0.1, reduction="sum",
          inputs=[normal(4, 3), np.array([0, 2, 1, 2])], label="weight"),
    layer("MSELoss", inputs=[normal(4, 3), normal(4, 3)]),
]
