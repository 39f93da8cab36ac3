"""Attention and positions."""

import numpy as np

from tests.layer_samples.table import layer
from tests.samples.table import normal

HIDDEN = np.array([[False, True, False, False], [False, False, True, False], [True, False, False, False]])  # (L, S)
PADDED = np.array([[False, False, False, True], [False, False, False, False]])  # (N, S)

LAYERS = [
    layer("MultiheadAttention", 4, 2, inputs=[normal(3, 2, 4), normal(4, 2, 4), normal(4, 2, 4)]),
    layer("MultiheadAttention", 4, 2, batch_first=True, inputs=[normal(2, 3, 4), normal(2, 4, 4), normal(2, 4, 4)],
          call={"key_padding_mask": PADDED, "attn_mask": HIDDEN, "average_attn_weights": False}, label="masks"),
    layer("MultiheadAttention", 4, 2, dropout=0.3, train=False, inputs=[normal(3, 2, 4), normal(4, 2, 4), normal(4, 2, 4)],
          call={"need_weights": False, "key_padding_mask": PADDED}, label="no-weights"),
    layer("MultiheadAttention", 4, 2, dropout=0.3, torch=None, inputs=[normal(3, 2, 4), normal(4, 2, 4), normal(4, 2, 4)],
          label="training"),
    layer("MultiheadAttention", 4, 2, bias=False, kdim=3, vdim=5, inputs=[normal(3, 2, 4), normal(4, 2, 3), normal(4, 2, 5)],
          call={"attn_mask": normal(4, 3, 4)}, label="kdim-vdim"),
    layer("MultiheadAttention", 6, 2, add_bias_kv=True, add_zero_attn=True,
          inputs=[normal(3, 2, 6), normal(4, 2, 6), normal(4, 2, 6)], call={"attn_mask": HIDDEN}, label="extra-keys"),
    layer("MultiheadAttention", 4, 2, inputs=[normal(3, 4), normal(3, 4), normal(3, 4)],
          call={"attn_mask": np.triu(np.ones((3, 3), np.bool_), 1), "is_causal": True}, label="one-sequence-causal"),
    layer("MultiheadAttention", 4, 2, torch=None, batch_first=True, inputs=[normal(2, 3, 4), normal(2, 4, 4), normal(2, 4, 4)],
          call={"need_weights": False, "is_causal": True}, label="causal"),
    layer("SinusoidalPositions", 4, torch=None, inputs=[normal(3, 2, 4), 5]),
    layer("SinusoidalPositions", 4, max_length=8, base=100.0, batch_first=True, torch=None, inputs=[normal(2, 8, 4)],
          label="options"),
    layer("LearnedPositions", 4, 8, torch=None, inputs=[normal(3, 2, 4), 5]),
    layer("LearnedPositions", 4, 8, std=0.5, batch_first=True, torch=None, inputs=[normal(2, 8, 4)], label="options"),
    layer("RotaryPositions", 4, torch=None, inputs=[normal(2, 3, 4), 5]),
    layer("RotaryPositions", 4, base=100.0, interleaved=False, torch=None, inputs=[normal(2, 3, 4)], label="halves"),
]
