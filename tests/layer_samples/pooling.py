"""Pooling."""

import numpy as np

from tests.layer_samples.table import layer
from tests.samples.table import normal, positive

LINE, IMAGE, VOLUME = normal(2, 2, 7), normal(2, 2, 5, 6), normal(1, 2, 4, 4, 3)
RANKS = ((1, LINE), (2, IMAGE), (3, VOLUME))

LAYERS = [
    layer("MaxPool2d", 2, inputs=[normal(2, 2, 4, 4)]),
    layer("MaxPool2d", (2, 3), (1, 2), (1, 0), (2, 1), True, True, inputs=[IMAGE], label="options"),
    layer("MaxPool1d", 2, inputs=[LINE]),
    layer("MaxPool1d", 3, 2, 1, 2, return_indices=True, ceil_mode=True, inputs=[normal(2, 8)], label="options"),
    layer("MaxPool3d", 2, inputs=[VOLUME]),
    layer("MaxPool3d", 2, (1, 2, 2), padding=(0, 1, 1), return_indices=True, ceil_mode=True, inputs=[VOLUME], label="options"),
    layer("MaxUnpool1d", 2, inputs=[normal(1, 2, 2), np.array([[[0, 3], [1, 2]]])]),
    layer("MaxUnpool1d", 2, inputs=[normal(1, 2, 2), np.array([[[0, 4], [1, 2]]]), (1, 2, 5)], label="output-size"),
    layer("MaxUnpool2d", 2, inputs=[normal(1, 1, 2, 2), np.array([[[[0, 6], [9, 15]]]])]),
    layer("MaxUnpool2d", 3, stride=2, padding=1, inputs=[normal(1, 1, 2, 2), np.array([[[[0, 3], [6, 11]]]])],
          call={"output_size": [4, 3]}, label="options"),
    layer("MaxUnpool3d", 2, inputs=[normal(1, 1, 1, 1, 2), np.array([[[[[6, 13]]]]])]),
    *(layer(f"AvgPool{rank}d", 2, inputs=[x]) for rank, x in RANKS),
    *(layer(f"AvgPool{rank}d", 3, 2, 1, True, False, inputs=[x], label="options") for rank, x in RANKS),
    layer("AvgPool2d", (2, 3), stride=(1, 2), divisor_override=5, inputs=[normal(2, 4, 5)], label="divisor"),
    layer("AvgPool3d", 2, stride=1, divisor_override=3, inputs=[VOLUME], label="divisor"),
    *(layer(f"LPPool{rank}d", 2, 2, inputs=[x]) for rank, x in RANKS),
    layer("LPPool1d", 3.0, 3, stride=2, ceil_mode=True, inputs=[positive(2, 2, 6)], label="options"),
    layer("LPPool2d", 1.5, (2, 3), stride=1, inputs=[positive(2, 4, 5)], label="options"),
    *(layer(f"AdaptiveAvgPool{rank}d", 2, inputs=[x]) for rank, x in RANKS),
    layer("AdaptiveAvgPool2d", (None, 4), inputs=[IMAGE], label="sizes"),
    layer("AdaptiveAvgPool3d", (3, 1, None), inputs=[VOLUME], label="sizes"),
    *(layer(f"AdaptiveMaxPool{rank}d", 2, inputs=[x]) for rank, x in RANKS),
    *(layer(f"AdaptiveMaxPool{rank}d", 3, return_indices=True, inputs=[x], label="indices") for rank, x in RANKS),
    layer("AdaptiveMaxPool2d", (None, 4), inputs=[IMAGE], label="sizes"),
]
