"""How alike vectors are."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

LAYERS = [
    layer("CosineSimilarity", inputs=[normal(4, 3), normal(4, 3)]),
    layer("CosineSimilarity", 2, 0.5, inputs=[normal(2, 1, 3), normal(2, 4, 3)], label="options"),
    layer("PairwiseDistance", inputs=[normal(4, 3), normal(4, 3)]),
    layer("PairwiseDistance", 3.0, 0.1, True, inputs=[normal(4, 3), normal(3)], label="options"),
]
