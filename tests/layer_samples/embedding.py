"""Embeddings. The padding row is not among the indices of rows compared by differences, where its gradient is not 0."""

import numpy as np

from tests.layer_samples.table import layer
from tests.samples.table import integers, normal

OFFSETS = np.array([0, 3, 3, 5])


LAYERS = [
    layer("Embedding", 5, 2, inputs=[integers(0, 5, 3, 4)]),
    layer("Embedding", 5, 2, padding_idx=0, inputs=[integers(1, 5, 3, 4)], label="padding"),
    layer("Embedding", 5, 2, padding_idx=-1, inputs=[integers(0, 4, 6)], label="negative-padding"),
    layer("Embedding", 5, 2, padding_idx=1, inputs=[np.array([[0, 1], [1, 4]])], differentiable=False, label="padding-used"),
    layer("Embedding", 5, 3, _weight=normal(5, 3), _freeze=True, inputs=[integers(0, 5, 3)], differentiable=False, label="frozen"),
    layer("Embedding", 5, 3, max_norm=0.4, norm_type=1.0, inputs=[integers(0, 4, 3)], differentiable=False, onnx=False,
          label="max-norm"),
    layer("EmbeddingBag", 6, 2, inputs=[integers(0, 6, 3, 4)]),
    layer("EmbeddingBag", 6, 2, mode="sum", inputs=[integers(0, 6, 8), OFFSETS], label="sum"),
    layer("EmbeddingBag", 6, 2, mode="max", inputs=[integers(0, 6, 3, 4)], onnx=False, label="max"),
    layer("EmbeddingBag", 6, 2, mode="sum", inputs=[integers(0, 6, 8), OFFSETS, normal(8)], label="weights"),
    layer("EmbeddingBag", 6, 2, mode="sum", inputs=[integers(0, 6, 2, 3)], call={"per_sample_weights": normal(2, 3)},
          label="weights-2d"),
    layer("EmbeddingBag", 6, 2, include_last_offset=True, inputs=[integers(0, 6, 8), np.array([0, 3, 8])], label="last-offset"),
    layer("EmbeddingBag", 6, 2, padding_idx=2, inputs=[np.array([0, 2, 2, 1, 2, 3, 4, 2]), OFFSETS], label="padding"),
    layer("EmbeddingBag", 6, 2, 0.5, 3.0, mode="max", inputs=[integers(0, 6, 2, 3)], differentiable=False, onnx=False,
          label="max-norm"),
]
