"""Attention layers beyond their rows: hidden queries, causality however it is said, the cache, positions, errors."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers
from chainrule.errors import DtypeError, ShapeError


def randn(*shape):
    return cr.randn(*shape, dtype=cr.float64)


@pytest.fixture(autouse=True)
def _seed():
    cr.manual_seed(0)


@pytest.fixture
def attention():
    return layers.MultiheadAttention(8, 2, batch_first=True).double()


def same(a, b):
    np.testing.assert_allclose(a.data, b.data, atol=1e-12)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("floats", [False, True])
def test_a_query_that_sees_nothing_gets_zeros(attention, need_weights, floats):
    x = randn(2, 3, 8).requires_grad_()
    hidden = np.zeros((3, 3), bool)
    hidden[1] = True
    mask = cr.tensor(np.where(hidden, -np.inf, 0.0) if floats else hidden)
    output, weights = attention(x, x, x, attn_mask=mask, need_weights=need_weights)
    same(output[:, 1], attention.out_proj.bias.expand(2, 8))
    if need_weights:
        assert (weights[:, 1].data == 0).all() and np.allclose(weights[:, 0].data.sum(-1), 1)
    output.sum().backward()
    assert np.isfinite(x.grad.data).all() and np.isfinite(attention.in_proj_weight.grad.data).all()


def test_the_quick_way_and_the_way_with_weights_agree(attention):
    query, key = randn(2, 3, 8), randn(2, 5, 8)
    for masks in ({}, {"is_causal": True}, {"key_padding_mask": cr.tensor(np.array([[0, 0, 0, 1, 1], [0, 1, 0, 0, 0]], bool))},
                  {"attn_mask": randn(4, 3, 5)}, {"attn_mask": randn(3, 5), "key_padding_mask": randn(2, 5)},
                  {"attn_mask": randn(3, 5), "key_padding_mask": randn(2, 5) > 0.5}):
        output, weights = attention(query, key, key, **masks)
        same(output, attention(query, key, key, need_weights=False, **masks)[0])
        assert weights.shape == (2, 3, 5)


def test_causality_may_be_said_in_any_way(attention):
    x = randn(2, 4, 8)
    hidden = cr.tensor(np.triu(np.ones((4, 4), bool), 1))
    floats = layers.Transformer.generate_square_subsequent_mask(4, dtype=cr.float64)
    expected = attention(x, x, x, attn_mask=hidden)[0]
    for how in ({"is_causal": True}, {"attn_mask": floats}, {"attn_mask": hidden, "is_causal": True},
                {"attn_mask": cr.tensor(np.stack([hidden.data] * 4))}):
        for need_weights in (True, False):
            same(attention(x, x, x, need_weights=need_weights, **how)[0], expected)
    changed = cr.cat((x[:, :3], randn(2, 1, 8)), dim=1)
    same(attention(changed, changed, changed, is_causal=True)[0][:, :3], expected[:, :3])  # the last says nothing to earlier ones


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}])
@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_with_a_cache_equals_the_whole(options, need_weights):
    attention = layers.MultiheadAttention(8, 2, batch_first=True, **options).double()
    x = randn(3, 7, 8)
    padding = cr.tensor(np.array([[1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]], bool))
    for mask in (None, padding):
        whole, _ = attention(x, x, x, key_padding_mask=mask, is_causal=True)
        cache, parts, start = layers.KeyValueCache(), [], 0
        for size in (3, 1, 2, 1):
            part, stop = x[:, start: start + size], start + size
            parts.append(attention(part, part, part, None if mask is None else mask[:, :stop], need_weights,
                                   is_causal=True, cache=cache)[0])
            start = stop
        same(cr.cat(parts, dim=1), whole)
        assert len(cache) == 7


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_with_a_cache_equals_the_whole(norm_first):
    layer = layers.TransformerDecoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
    decoder = layers.TransformerDecoder(layer, 2, layers.LayerNorm(8)).double().eval()
    x, memory = randn(2, 5, 8), randn(2, 6, 8)
    padding = cr.tensor(np.array([[0, 0, 0, 0, 1, 1], [0] * 6], bool))
    whole = decoder(x, memory, tgt_is_causal=True, memory_key_padding_mask=padding)
    cache = decoder.new_cache()
    parts = [decoder(x[:, i: i + 1], memory, tgt_is_causal=True, memory_key_padding_mask=padding, cache=cache) for i in range(5)]
    same(cr.cat(parts, dim=1), whole)
    assert [(len(entry.own), len(entry.memory)) for entry in cache] == [(5, 6)] * 2


def test_a_cache_goes_on_with_the_rows_selected(attention):
    x = randn(3, 4, 8)
    cache = layers.KeyValueCache()
    attention(x[:, :3], x[:, :3], x[:, :3], is_causal=True, cache=cache)
    cache.select(cr.tensor([2, 0, 2, 1]))
    rows = x[np.array([2, 0, 2, 1])]
    found, _ = attention(rows[:, 3:], rows[:, 3:], rows[:, 3:], is_causal=True, cache=cache)
    same(found, attention(rows, rows, rows, is_causal=True)[0][:, 3:])


def test_a_cache_of_another_batch_is_refused(attention):
    cache = layers.KeyValueCache()
    x = randn(3, 4, 8)
    attention(x, x, x, is_causal=True, cache=cache)
    with pytest.raises(ShapeError, match="new batch needs a new cache"):
        attention(x[:2], x[:2], x[:2], is_causal=True, cache=cache)


def test_the_copies_in_a_stack_are_separate():
    encoder = layers.TransformerEncoder(layers.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = encoder.layers
    same(first.linear1.weight, second.linear1.weight)
    assert first.linear1.weight is not second.linear1.weight
    model = layers.Transformer(4, 2, 2, 2, 8)
    first, second = model.encoder.layers
    assert not np.allclose(first.linear1.weight.data, second.linear1.weight.data)


def test_parts_of_ones_own_in_a_transformer():
    class Sum(layers.Module):
        def forward(self, tgt, memory, *masks):
            return tgt + memory.sum(0)

    model = layers.Transformer(4, 2, 1, 1, 8, custom_decoder=Sum()).double().eval()
    source, target = randn(3, 2, 4), randn(5, 2, 4)
    same(model(source, target), target + model.encoder(source).sum(0))


@pytest.mark.parametrize(("message", "error", "call"), [
    ("multiple of num_heads=3", ValueError, lambda m: layers.MultiheadAttention(8, 3)),
    ("dropout=2", ValueError, lambda m: layers.MultiheadAttention(8, 2, dropout=2)),
    ("last axes must be", ShapeError, lambda m: m(randn(1, 2, 8), randn(1, 2, 7), randn(1, 2, 8))),
    ("agree in the batch, axis 0", ShapeError, lambda m: m(randn(1, 2, 8), randn(2, 2, 8), randn(2, 2, 8))),
    ("each key has one value", ShapeError, lambda m: m(randn(1, 2, 8), randn(1, 2, 8), randn(1, 3, 8))),
    ("all three must have the axes", ShapeError, lambda m: m(randn(1, 1, 2, 8), randn(1, 1, 2, 8), randn(1, 1, 2, 8))),
    ("attn_mask is .* it must have the shape", ShapeError,
     lambda m: m(randn(1, 2, 8), randn(1, 3, 8), randn(1, 3, 8), attn_mask=cr.zeros(3, 2))),
    ("key_padding_mask is int64", DtypeError,
     lambda m: m(randn(1, 2, 8), randn(1, 3, 8), randn(1, 3, 8), key_padding_mask=cr.tensor([[0, 0, 1]]))),
    ("leave is_causal out", ValueError,
     lambda m: m(randn(1, 2, 8), randn(1, 2, 8), randn(1, 2, 8), attn_mask=cr.zeros(2, 2), is_causal=True)),
    ("must be 'relu', 'gelu' or a function", ValueError, lambda m: layers.TransformerEncoderLayer(8, 2, activation="tanh")),
    ("src .* and tgt .* must agree in the batch, axis 1", ShapeError,
     lambda m: layers.Transformer(8, 2, 1, 1, 8)(cr.zeros(3, 1, 8), cr.zeros(3, 2, 8))),
    ("d_model=8", ShapeError, lambda m: layers.Transformer(8, 2, 1, 1, 8)(cr.zeros(3, 2, 4), cr.zeros(3, 2, 4))),
    ("make it with new_cache", ValueError,
     lambda m: layers.TransformerEncoder(layers.TransformerEncoderLayer(8, 2), 2)(cr.zeros(1, 1, 8), cache=[])),
    ("within max_length=4", ShapeError, lambda m: layers.LearnedPositions(8, 4)(cr.zeros(3, 2, 8), offset=2)),
    ("8 features", ShapeError, lambda m: layers.SinusoidalPositions(8)(cr.zeros(3, 2, 6))),
    ("must be even", ValueError, lambda m: layers.RotaryPositions(7)),
    (r"\(..., length, 6\)", ShapeError, lambda m: layers.RotaryPositions(6)(cr.zeros(2, 8))),
])
def test_errors_say_what_is_wrong(attention, message, error, call):
    with pytest.raises(error, match=message):
        call(attention)


def test_sinusoids_are_those_of_the_paper():
    table = layers.SinusoidalPositions(6, dtype=cr.float64)(cr.zeros(10, 6, dtype=cr.float64)).data
    for position in range(10):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(table[position, 2 * i: 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-12)


@pytest.mark.parametrize("kind", [layers.SinusoidalPositions, layers.LearnedPositions])
def test_positions_run_along_the_axis_of_the_layout(kind):
    lengthwise, batchwise = kind(4, max_length=9).double(), kind(4, max_length=9, batch_first=True).double()
    if kind is layers.LearnedPositions:
        batchwise.load_state_dict(lengthwise.state_dict())
    x = randn(5, 2, 4)
    same(lengthwise(x, offset=3).transpose(0, 1), batchwise(x.transpose(0, 1), offset=3))
    same(lengthwise(x)[3:, 0], lengthwise(x[3:, 0], offset=3))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_products_depend_on_the_distance_alone(interleaved):
    rotary = layers.RotaryPositions(8, interleaved=interleaved)
    query, key = (randn(8).expand(20, 8) for _ in range(2))
    products = (rotary(query) @ rotary(key).mT).data  # (20, 20), the same vectors at all positions
    for distance in (-7, 0, 3):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)
    assert np.ptp(products) > 0.1
    same(rotary(query)[5:9], rotary(query[:4], offset=5))


def test_rotary_forms_differ_by_the_order_of_features_only():
    x = randn(3, 5, 8)
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])
    same(layers.RotaryPositions(8)(x)[..., order], layers.RotaryPositions(8, interleaved=False)(x[..., order]))
