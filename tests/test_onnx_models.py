"""Whole models as ONNX files: compared under onnxruntime with another batch, and another length where that is open."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers import models
from tests.onnx_runs import run


def images(count: int, channels: int, size: int) -> cr.Tensor:
    return cr.tensor(np.random.default_rng(count).normal(size=(count, channels, size, size)).astype(np.float32))


def tokens(count: int, length: int, most: int = 11) -> cr.Tensor:
    return cr.tensor(np.random.default_rng(count).integers(1, most, (count, length)))


BATCH_AND_TIME = {0: "batch", 1: "time"}
CASES: dict[str, Any] = {
    "LeNet5": (lambda: models.LeNet5(), [(images(2, 1, 32),), (images(5, 1, 32),)], None),
    "ResNet-18": (lambda: models.resnet18(7, widths=(4, 8, 8, 16)), [(images(2, 3, 64),), (images(3, 3, 64),)], None),
    "ResNet-50": (lambda: models.ResNet(models.Bottleneck, (1, 1, 1, 1), 7, widths=(4, 4, 4, 8)),
                  [(images(2, 3, 64),), (images(3, 3, 64),)], None),
    "ResNet-20": (lambda: models.resnet20(), [(images(2, 3, 16),), (images(4, 3, 16),)], None),
    "VGG": (lambda: models.vgg_small(width=4, hidden=8), [(images(2, 1, 8),), (images(5, 1, 8),)], None),
    "DCGAN generator": (lambda: models.DCGANGenerator(6, 1, 4, 16), [(cr.randn(2, 6),), (cr.randn(5, 6),)], None),
    "DCGAN discriminator": (lambda: models.DCGANDiscriminator(1, 4, 16), [(images(2, 1, 16),), (images(3, 1, 16),)], None),
    "GPT-2": (lambda: models.GPT2(11, 16, 8, 2, 2), [(tokens(2, 5),), (tokens(3, 7),), (tokens(1, 1),)],
              {"tokens": BATCH_AND_TIME}),
    "GPT-2 of one length": (lambda: models.GPT2(11, 16, 8, 2, 2), [(tokens(2, 5),), (tokens(3, 5),)], None),
    "BERT": (lambda: models.BertForSequenceClassification(3, 11, 8, 2, 2, 16), [(tokens(2, 5),), (tokens(3, 7),)],
             {"input_ids": BATCH_AND_TIME}),
    "BERT with a mask": (lambda: models.BertForMaskedLM(11, 8, 2, 2, 16), [
        (tokens(2, 5), cr.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])), (tokens(1, 4), cr.tensor([[1, 1, 1, 0]]))],
        {"input_ids": BATCH_AND_TIME, "attention_mask": BATCH_AND_TIME}),
    "Transformer": (lambda: models.OriginalTransformer(11, 8, 2, 1, 1, 16, max_length=12), [
        (tokens(2, 5), tokens(2, 4)), (tokens(3, 7), tokens(3, 6))],
        {"source": {0: "batch", 1: "source length"}, "target": {0: "batch", 1: "target length"}}),
    "DeepFM": (lambda: models.DeepFM((5, 4), 3, (4,)), [
        (cr.tensor([1, 4]), cr.tensor([0, 3])), (cr.tensor([1, 4, 0]), cr.tensor([0, 3, 2]))], None),
    "DeepFM with a list of values": (lambda: models.DeepFM((5, 4), 3, (4,)), [
        (cr.tensor([1, 4]), (cr.tensor([0, 3, 2]), cr.tensor([0, 1]))),
        (cr.tensor([2, 3]), (cr.tensor([1, 1, 3]), cr.tensor([0, 2])))], {}),
    "WaveNet": (lambda: models.WaveNet(8, 4, 2, 2), [(tokens(2, 9, 8),), (tokens(3, 9, 8),)], None),
    "WaveNet of any length": (lambda: models.WaveNet(8, 4, 2, 2), [(tokens(2, 9, 8),), (tokens(3, 20, 8),)],
                              {"input": BATCH_AND_TIME}),
    "Seq2seq": (lambda: models.Seq2Seq(11, 11, 4, 6), [
        (tokens(2, 5), cr.tensor([5, 3]), tokens(2, 4)), (tokens(3, 5), cr.tensor([1, 5, 2]), tokens(3, 4))], None),
}


@pytest.mark.parametrize("name", CASES)
def test_model(name: str) -> None:
    make, examples, dynamic_axes = CASES[name]
    cr.manual_seed(0)
    run(make(), (examples[0], {}), [(example, {}) for example in examples], dynamic_axes=dynamic_axes)
