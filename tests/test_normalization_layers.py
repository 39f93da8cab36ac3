"""Normalization, embedding and dropout layers over more than one call: running statistics, what is kept out, errors."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers
from chainrule.errors import ShapeError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_running_statistics_follow_the_batches():
    moving, average = layers.BatchNorm1d(3, momentum=0.2).double(), layers.BatchNorm1d(3, momentum=None).double()
    batches = [normal(6, 3, seed=s) * (s + 1) + s for s in range(4)]
    mean, var = np.zeros(3), np.ones(3)
    for i, x in enumerate(batches, 1):
        moving(cr.tensor(x))
        average(cr.tensor(x))
        mean, var = 0.8 * mean + 0.2 * x.mean(0), 0.8 * var + 0.2 * x.var(0, ddof=1)
        assert moving.num_batches_tracked.item() == average.num_batches_tracked.item() == i
    np.testing.assert_allclose(moving.running_mean.data, mean)
    np.testing.assert_allclose(moving.running_var.data, var)
    np.testing.assert_allclose(average.running_mean.data, np.mean([x.mean(0) for x in batches], 0))
    np.testing.assert_allclose(average.running_var.data, np.mean([x.var(0, ddof=1) for x in batches], 0))
    before = moving.state_dict()["running_mean"].data.copy()
    out = moving.eval()(cr.tensor(batches[0]))
    np.testing.assert_allclose(out.data, (batches[0] - mean) / np.sqrt(var + 1e-5))
    np.testing.assert_array_equal(moving.running_mean.data, before)
    assert moving.num_batches_tracked.item() == 4
    moving.reset_running_stats()
    assert (moving.running_mean.data == 0).all() and (moving.running_var.data == 1).all() and not moving.num_batches_tracked.item()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_checkpoint_counts_a_batch_once(momentum):
    states = []
    for checkpointed in (False, True):
        layer, x = layers.BatchNorm2d(2, momentum=momentum).double(), cr.tensor(normal(3, 2, 2, 2), requires_grad=True)
        (cr.checkpoint(layer, x) if checkpointed else layer(x)).square().sum().backward()
        states.append([t.data.copy() for t in layer.state_dict().values()] + [x.grad.data])
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b)


def test_moving_and_conversion_keep_the_count_an_integer():
    layer = layers.BatchNorm1d(2).half()
    assert layer.running_mean.dtype == np.float16 and layer.num_batches_tracked.dtype == np.int64
    assert layers.BatchNorm1d(2, dtype=cr.float64).running_var.dtype == np.float64


def test_a_model_is_the_same_in_training_and_evaluation_without_running_statistics():
    layer, x = layers.BatchNorm1d(3, track_running_stats=False), cr.tensor(normal(4, 3))
    np.testing.assert_array_equal(layer(x).data, layer.eval()(x).data)
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize(("layer", "shape", "words"), [
    (layers.BatchNorm1d(3), (2, 3, 4, 5), r"BatchNorm1d: .*\(2, 3, 4, 5\), 4 axes; it takes \(N, C\) or \(N, C, L\)"),
    (layers.BatchNorm2d(3), (2, 3), r"BatchNorm2d: .* it takes \(N, C, H, W\)"),
    (layers.BatchNorm3d(3), (2, 3, 4, 4), r"BatchNorm3d: .* it takes \(N, C, D, H, W\)"),
    (layers.BatchNorm1d(3, affine=False, track_running_stats=False), (2, 4), r"4 channels \(axis 1\), .*num_features=3"),
    (layers.InstanceNorm1d(3), (4, 5), r"4 channels \(axis 0\), .*num_features=3"),
    (layers.InstanceNorm2d(3), (3, 5), r"it takes \(C, H, W\) or \(N, C, H, W\)"),
    (layers.GroupNorm(2, 4, affine=False), (2, 6), "num_channels=4"),
    (layers.GroupNorm(2, 4), (4,), r"it takes \(N, C, …\)"),
    (layers.LayerNorm((3, 4)), (2, 4, 3), r"does not end in normalized_shape=\(3, 4\)"),
    (layers.RMSNorm(4), (2, 3), r"does not end in normalized_shape=\(4,\)"),
    (layers.LocalResponseNorm(2), (2, 3), "local_response_norm"),
    (layers.Dropout2d(), (2, 3), "dropout2d"),
], ids=str)
def test_other_shapes_are_refused(layer, shape, words):
    with pytest.raises(ShapeError, match=words):
        layer(cr.tensor(normal(*shape)))


@pytest.mark.parametrize(("layer", "shape"), [
    (layers.BatchNorm1d(3), (1, 3)), (layers.BatchNorm2d(3), (1, 3, 1, 1)), (layers.InstanceNorm1d(3), (2, 3, 1)),
], ids=str)
def test_a_single_value_per_channel_has_no_variance(layer, shape):
    with pytest.raises(ValueError, match=r"a single (value|position) per channel"):
        layer(cr.tensor(normal(*shape).astype(np.float32)))


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: layers.GroupNorm(3, 4), ValueError, "num_groups=3 must divide num_channels=4"),
    (lambda: layers.Dropout1d(1.5), ValueError, "Dropout1d: p=1.5"),
    (lambda: layers.Embedding(4, 2, sparse=True), ValueError, "Embedding: sparse=True is not supported"),
    (lambda: layers.EmbeddingBag(4, 2, sparse=True), ValueError, "EmbeddingBag: sparse=True is not supported"),
    (lambda: layers.Embedding(4, 2, padding_idx=4), IndexError, "padding_idx=4 is out of range for num_embeddings=4"),
    (lambda: layers.EmbeddingBag(4, 2, mode="min"), ValueError, "mode='min'"),
    (lambda: layers.Embedding(4, 2, _weight=cr.zeros(3, 2)), ShapeError, r"\(3, 2\), .* say \(4, 2\)"),
    (lambda: layers.EmbeddingBag.from_pretrained(cr.zeros(3)), ShapeError, r"EmbeddingBag.from_pretrained: .*\(3,\)"),
    (lambda: layers.TripletMarginLoss(0), ValueError, "TripletMarginLoss: margin=0"),
    (lambda: layers.MultiMarginLoss(3), ValueError, "p=3 must be 1 or 2"),
    (lambda: layers.HuberLoss("batchmean"), ValueError, "HuberLoss: reduction='batchmean'; choose 'mean', 'sum' or 'none'"),
])
def test_arguments_that_cannot_be_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_the_padding_row_starts_at_zero_and_stays():
    layer = layers.Embedding(5, 3, padding_idx=-2)
    layer(cr.tensor([[3, 1], [3, 3]])).sum().backward()
    assert layer.padding_idx == 3 and not layer.weight.data[3].any() and not layer.weight.grad.data[3].any()
    np.testing.assert_array_equal(layer.weight.grad.data[1], [1, 1, 1])


@pytest.mark.parametrize("kind", [layers.Embedding, layers.EmbeddingBag])
def test_frequent_rows_get_the_mean_of_their_gradients(kind):
    options = {} if kind is layers.Embedding else {"mode": "sum"}
    layer = kind(4, 2, scale_grad_by_freq=True, **options)
    layer(cr.tensor([[0, 2, 2], [2, 0, 1]])).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.data, [[1, 1], [1, 1], [1, 1], [0, 0]])


def test_a_given_table_is_shared_and_frozen_unless_asked_otherwise():
    table = cr.tensor(normal(4, 2))
    frozen, trained = layers.Embedding.from_pretrained(table), layers.Embedding.from_pretrained(table, freeze=False)
    assert not frozen.weight.requires_grad and trained.weight.requires_grad
    assert np.shares_memory(frozen.weight.data, table.data)
    bag = layers.EmbeddingBag.from_pretrained(table, mode="max", padding_idx=0)
    np.testing.assert_array_equal(bag(cr.tensor([[0, 1, 2]])).data, table.data[1:3].max(0, keepdims=True))


def test_the_former_way_to_name_a_reduction_is_understood_with_a_warning():
    with pytest.warns(UserWarning, match="MSELoss: size_average and reduce are torch's former arguments"):
        assert layers.MSELoss(False).reduction == "sum"


@pytest.mark.parametrize(("layer", "text"), [
    (layers.BatchNorm2d(8), "BatchNorm2d(8)"), (layers.BatchNorm1d(8, momentum=None), "BatchNorm1d(8, momentum=None)"),
    (layers.InstanceNorm1d(4, affine=True), "InstanceNorm1d(4, affine=True)"),
    (layers.LayerNorm((2, 3), bias=False), "LayerNorm((2, 3), bias=False)"), (layers.RMSNorm(3, 0.1), "RMSNorm((3,), eps=0.1)"),
    (layers.GroupNorm(2, 4), "GroupNorm(2, 4)"), (layers.AlphaDropout(0.1, True), "AlphaDropout(p=0.1, inplace=True)"),
    (layers.EmbeddingBag(4, 2, mode="sum"), "EmbeddingBag(4, 2, mode='sum')"),
    (layers.BCEWithLogitsLoss(pos_weight=cr.ones(2), reduction="sum"), "BCEWithLogitsLoss(reduction='sum')"),
    (layers.TripletMarginLoss(swap=True), "TripletMarginLoss(swap=True)"),
])
def test_layers_say_what_is_not_the_default(layer, text):
    assert repr(layer).split("  ")[0] == text
