"""The Transformer: without dropout, or in evaluation mode, where torch can be compared with."""

import warnings
from typing import Any

import numpy as np

from tests.layer_samples.table import layer
from tests.samples.table import normal

CAUSAL = np.triu(np.ones((3, 3), np.bool_), 1)  # (T, T)
PADDED = np.array([[False, False, False, True], [False, False, False, False]])  # (N, S)


def quietly(name: str) -> Any:
    """torch's class, without its remarks on which of its fast paths are out of the question."""
    def make(torch: Any, *args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(torch.nn, name)(*args, **kwargs)

    return make


ENCODER_LAYER = layer("TransformerEncoderLayer", 4, 2, 6, 0.0, inputs=[normal(4, 2, 4)])
DECODER_LAYER = layer("TransformerDecoderLayer", 4, 2, 6, 0.0, inputs=[normal(3, 2, 4), normal(4, 2, 4)])

LAYERS = [
    ENCODER_LAYER,
    layer("TransformerEncoderLayer", 4, 2, 6, activation="gelu", layer_norm_eps=0.1, batch_first=True, norm_first=True,
          bias=False, train=False, inputs=[normal(2, 4, 4)], call={"src_key_padding_mask": PADDED}, label="options"),
    layer("TransformerEncoderLayer", 4, 2, 6, 0.3, torch=None, inputs=[normal(4, 2, 4)], call={"is_causal": True},
          label="training"),
    layer("TransformerEncoderLayer", 4, 1, 6, 0.0, batch_first=True, inputs=[normal(3, 4)],
          call={"src_mask": CAUSAL, "is_causal": True}, label="one-sequence-causal"),
    DECODER_LAYER,
    layer("TransformerDecoderLayer", 4, 2, 6, activation="gelu", layer_norm_eps=0.1, batch_first=True, norm_first=True,
          bias=False, train=False, inputs=[normal(2, 3, 4), normal(2, 4, 4)],
          call={"tgt_mask": CAUSAL, "tgt_is_causal": True, "memory_key_padding_mask": PADDED}, label="options"),
    layer("TransformerDecoderLayer", 4, 2, 6, 0.0, inputs=[normal(3, 2, 4), normal(4, 2, 4)],
          call={"tgt_mask": normal(3, 3), "memory_mask": normal(3, 4), "tgt_key_padding_mask": normal(2, 3)}, label="masks"),
    layer("TransformerEncoder", ENCODER_LAYER, 2, torch=quietly("TransformerEncoder"), inputs=[normal(4, 2, 4)]),
    layer("TransformerEncoder", ENCODER_LAYER, 2, layer("LayerNorm", 4, inputs=[]), enable_nested_tensor=False, mask_check=False,
          inputs=[normal(4, 2, 4)], call={"src_key_padding_mask": PADDED}, label="norm"),
    layer("TransformerDecoder", DECODER_LAYER, 2, inputs=[normal(3, 2, 4), normal(4, 2, 4)]),
    layer("TransformerDecoder", DECODER_LAYER, 1, norm=layer("LayerNorm", 4, inputs=[]),
          inputs=[normal(3, 2, 4), normal(4, 2, 4)], call={"tgt_mask": CAUSAL, "memory_key_padding_mask": PADDED}, label="norm"),
    layer("Transformer", 4, 2, 1, 2, 6, 0.0, torch=quietly("Transformer"), inputs=[normal(4, 2, 4), normal(3, 2, 4)],
          call={"tgt_mask": CAUSAL}),
    layer("Transformer", 4, 2, 2, 1, 6, batch_first=True, norm_first=True, bias=False, layer_norm_eps=0.1, activation="gelu",
          train=False, torch=quietly("Transformer"), inputs=[normal(2, 4, 4), normal(2, 3, 4)],
          call={"src_key_padding_mask": PADDED, "memory_key_padding_mask": PADDED, "tgt_mask": CAUSAL}, label="options"),
]
