"""Dropout, plain and variational: compared in evaluation mode; in training mode by differences, with the same draw."""

from tests.layer_samples.table import layer
from tests.samples.table import integers, normal

SHAPES = {"Dropout": (20, 3), "Dropout1d": (4, 5, 2), "Dropout2d": (3, 4, 2, 2), "Dropout3d": (2, 4, 1, 2, 2),
          "AlphaDropout": (20, 3), "FeatureAlphaDropout": (4, 5, 2)}

LAYERS = [
    *[layer(name, 0.3, train=False, inputs=[normal(2, *shape[1:])]) for name, shape in SHAPES.items()],
    *[layer(name, 0.3, torch=None, inputs=[normal(*shape)], label="training") for name, shape in SHAPES.items()],
    layer("VariationalDropout", 0.3, torch=None, inputs=[normal(4, 3, 5)], label="training"),
    layer("VariationalDropout", batch_first=True, torch=None, inputs=[normal(4, 3, 5)], label="batch-first"),
    layer("VariationalDropout", train=False, torch=None, inputs=[normal(4, 3, 5)]),
    layer("VariationalDropout", torch=None, inputs=[normal(4, 5)], label="one-sequence"),
    layer("VariationalEmbedding", 5, 3, p=0.3, torch=None, inputs=[integers(0, 5, 4, 3)], label="training"),
    layer("VariationalEmbedding", 5, 3, batch_first=True, torch=None, inputs=[integers(0, 5, 3, 4)], label="batch-first"),
    layer("VariationalEmbedding", 5, 3, padding_idx=0, torch=None, inputs=[integers(1, 5, 4)], label="one-sequence"),
    layer("VariationalEmbedding", 5, 3, train=False, torch=lambda torch, *sizes: torch.nn.Embedding(*sizes),
          inputs=[integers(0, 5, 4, 3)]),
]
