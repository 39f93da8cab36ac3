"""The converters, by family as in chainrule.ops; importing this package fills the table."""

from chainrule.onnx.converters import (
    activations,
    arithmetic,
    comparisons,
    convolution,
    elementwise,
    indexing,
    joining,
    linalg,
    losses,
    normalization,
    pooling,
    recurrent,
    reductions,
    shapes,
    sorting,
    writes,
)
