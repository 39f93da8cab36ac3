"""Every layer in an ONNX file computes under onnxruntime what it computes here, for the rows of the table of layers."""

import numpy as np
import pytest

import chainrule as cr
from tests.layer_samples import LAYERS
from tests.layer_samples.table import LayerSample, build, fill, flat, replace
from tests.onnx_runs import run


def tensors(value: object) -> object:
    return replace(value, lambda a: cr.tensor(a.astype(np.float32) if a.dtype.kind == "f" else a))


FIRST_AXIS = {  # rows whose inputs' first axis is no batch, although they look alike
    "of features or channels, of a single sample": [
        "Conv1d-same", "Conv1d-circular", "Conv2d-same", "ConvTranspose2d-options", "InstanceNorm1d-one-sample",
        "InstanceNorm2d-one-sample", "InstanceNorm3d-evaluation", "BCEWithLogitsLoss-weights"],
    "of positions, which a mask or a table limits": [
        "LearnedPositions", "MultiheadAttention-one-sequence-causal", "TransformerEncoderLayer-one-sequence-causal"],
    "of steps, which are unrolled": ["LSTM-projected", "LSTM-projected-variational-dropout"],
    "of layers and directions, in the first state": [
        "RNN-layers-bidirectional", "LSTM-layers-bidirectional", "GRU-layers-bidirectional"],
}


def batched(sample: LayerSample) -> bool:
    """Whether all inputs have one size along their first axis, and that is the batch."""
    if any(str(sample) in names for names in FIRST_AXIS.values()):
        return False
    sizes = {a.shape[:1] for a in flat([sample.inputs, sample.call])}
    return len(sizes) == 1 and sizes != {()}


@pytest.mark.parametrize("sample", [row for _, row in LAYERS if row.onnx], ids=str)
def test_layer(sample: LayerSample) -> None:
    """Where the first axis is the batch, with another batch too."""
    layer = fill(build(sample, np.float32))
    given = tensors(sample.inputs), tensors(sample.call)
    more = [given]
    if batched(sample):
        longer = replace((sample.inputs, sample.call), lambda a: np.concatenate([a[::-1], a[:1], a]))
        more.append(tensors(longer))
    run(layer, given, more, dynamic_axes=None if batched(sample) else {}, tolerance=sample.tolerance)


def test_the_list_names_rows():
    names = {str(row) for _, row in LAYERS}
    assert [n for found in FIRST_AXIS.values() for n in found if n not in names] == []
